package app

import (
	"context"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/evalstore"
)

// ExportFiles implements admin.Export.
func (a *App) ExportFiles(ctx context.Context, name fairlead.Name, tables []string, from, until time.Time) ([]api.ExportFile, error) {
	known := append([]string{api.RowsTable}, evalstore.DayTables()...)
	if len(tables) == 0 {
		tables = known
	}
	for _, t := range tables {
		if !slices.Contains(known, t) {
			return nil, fairlead.Invalid("there is no table %q to export", t).Hintf("the tables are %s; others can be asked with `fairlead sql`", strings.Join(known, ", "))
		}
	}
	there, err := a.store.Holds(ctx, name)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fairlead.NotFound("nothing of a deployment %q is stored", name).Hintf("`fairlead deployments` lists those there are")
	}
	base := "/api/v1/deployments/" + url.PathEscape(string(name))
	out := []api.ExportFile{}
	for _, t := range tables {
		if t != api.RowsTable {
			files, err := a.store.DayFiles(ctx, name, t, from, until)
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				date := f.Date.Format(time.DateOnly)
				out = append(out, api.ExportFile{Table: t, Grows: f.Grows, Path: base + "/export/" + t + "/" + date, RowFile: api.RowFile{
					Folder: evalstore.PartFolder(name, f.Date), Date: date, File: f.Name, Rows: f.Rows,
				}})
			}
			continue
		}
		files, err := a.RowFiles(ctx, name, from, until)
		if err != nil && fairlead.CodeOf(err) != fairlead.CodeNotFound { // labels may have come without rows
			return nil, err
		}
		for _, f := range files {
			out = append(out, api.ExportFile{Table: t, Grows: true, Path: base + "/rows/" + f.Date + "/" + url.PathEscape(f.File), RowFile: f})
		}
	}
	return out, nil
}

// OpenExport implements admin.Export.
func (a *App) OpenExport(ctx context.Context, name fairlead.Name, table string, date time.Time) (io.ReadCloser, api.RowFile, error) {
	r, f, size, err := a.store.OpenDay(ctx, name, table, date)
	return r, api.RowFile{
		Folder: evalstore.PartFolder(name, f.Date), Date: f.Date.Format(time.DateOnly), File: f.Name, Rows: f.Rows, Bytes: uint64(max(size, 0)),
	}, err
}
