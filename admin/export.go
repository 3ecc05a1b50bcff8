package admin

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Export gives what the evaluation store has of a deployment as files.
type Export interface {
	// ExportFiles lists the files of some tables, all without any, of the days from and until, both included; a zero time is
	// no bound.
	ExportFiles(ctx context.Context, name fairlead.Name, tables []string, from, until time.Time) ([]api.ExportFile, error)
	// OpenExport opens one day of a table other than rows, as it is now, and says its name, rows and bytes. The caller closes it.
	OpenExport(ctx context.Context, name fairlead.Name, table string, date time.Time) (io.ReadCloser, api.RowFile, error)
}

func (s *server) registerExport(a huma.API) {
	if s.Export == nil {
		return
	}
	huma.Register(a, huma.Operation{
		OperationID: "export-files", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/export", Tags: []string{"data"},
		Summary:     "What is stored of a deployment as Parquet files, by table and day",
		Description: "Each file is at its path. A day that had something and has nothing any more is listed with an empty file name and no rows.",
	}, func(ctx context.Context, in *struct {
		Name   string   `path:"name"`
		Tables []string `query:"tables" doc:"rows, labels, outcomes, events, profiles, findings, metrics, hours; absent: all"`
		From   string   `query:"from" doc:"first day, 2006-01-02; absent: the first there is"`
		Until  string   `query:"until" doc:"last day, included; absent: the last there is"`
	}) (*reply[[]api.ExportFile], error) {
		from, err := day(in.From)
		if err != nil {
			return nil, toStatus(err)
		}
		until, err := day(in.Until)
		if err != nil {
			return nil, toStatus(err)
		}
		return replied(s.Export.ExportFiles(ctx, fairlead.Name(in.Name), in.Tables, from, until))
	})
	huma.Register(a, huma.Operation{
		OperationID: "export-file", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/export/{table}/{date}", Tags: []string{"data"},
		Summary: "One day of a table as it is now",
		Responses: map[string]*huma.Response{"200": {
			Description: "The Parquet file; the headers " + api.FileHeader + " and " + api.RowsHeader + " say its name and its number of rows",
			Content:     map[string]*huma.MediaType{"application/vnd.apache.parquet": {}},
		}},
	}, func(ctx context.Context, in *struct {
		Name  string `path:"name"`
		Table string `path:"table"`
		Date  string `path:"date"`
	}) (*huma.StreamResponse, error) {
		date, err := day(in.Date)
		if err != nil {
			return nil, toStatus(err)
		}
		f, about, err := s.Export.OpenExport(ctx, fairlead.Name(in.Name), in.Table, date)
		if err != nil {
			return nil, toStatus(err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			defer f.Close()
			c.SetHeader("Content-Type", "application/vnd.apache.parquet")
			c.SetHeader(api.FileHeader, about.File)
			c.SetHeader(api.RowsHeader, strconv.FormatUint(about.Rows, 10))
			c.SetHeader("Content-Length", strconv.FormatUint(about.Bytes, 10)) // a cut file is seen by it
			_, _ = io.Copy(c.BodyWriter(), f)                                  // the client went away, or will see that it is short
		}}, nil
	})
}
