package app

import (
	"context"
	"io"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/evalstore"
)

// Keep and KeepRows are the store's, for who fills in a Config.
type (
	Keep     = evalstore.Keep
	KeepRows = evalstore.KeepRows
)

// tidyEvery is how often the evaluation store is tidied up: closed days move into files, many files become one, and what is
// beyond the limits goes.
const tidyEvery = 5 * time.Minute

// tidyLoop tidies the evaluation store up until ctx ends. It gives way to serving as ingestion does.
func (a *App) tidyLoop(ctx context.Context) {
	for wait := time.Minute; pause(ctx, wait) == nil; wait = tidyEvery {
		began := time.Now()
		if err := a.tidy(ctx, began); err != nil && ctx.Err() == nil {
			a.log.Error("evaluation store not tidied up; trying again", "err", err)
		}
		a.pace.Rest(ctx, time.Since(began), 0)
	}
}

func (a *App) tidy(ctx context.Context, now time.Time) error {
	for _, name := range a.deployer.Names() {
		if err := a.segments.copy(ctx, name); err != nil { // another server may have saved one
			return err
		}
	}
	moved, err := a.store.MoveClosed(ctx, a.config.PartitionAfter)
	if err != nil {
		return err
	}
	if moved.Files > 0 {
		a.log.Info("closed days moved into files", "rows", moved.Rows, "files", moved.Files, "bytes", moved.Bytes, "took", time.Since(now))
	}
	dropped, err := a.store.Retain(ctx, a.config.Keep, now)
	for _, d := range dropped {
		a.rowsExpired.Add(d.Rows)
		a.log.Info("rows dropped", "audit", true, "deployment", d.Deployment, "before", d.Before, "why", d.Why,
			"rows", d.Rows, "labels", d.Labels, "events", d.Events, "files", d.Files, "bytes", d.Bytes)
	}
	if err != nil {
		return err
	}
	_, err = a.store.Compact(ctx, now)
	return err
}

// RowFiles lists the recorded rows of a deployment as files.
func (a *App) RowFiles(ctx context.Context, name fairlead.Name, from, until time.Time) ([]api.RowFile, error) {
	files, err := a.store.PartFiles(ctx, name, from, until)
	out := make([]api.RowFile, len(files))
	for i, f := range files {
		out[i] = api.RowFile{
			Folder: evalstore.PartFolder(name, f.Date), Date: f.Date.Format(time.DateOnly), File: f.Name, Rows: f.Rows, Bytes: f.Bytes, SHA256: f.Digest,
		}
	}
	return out, err
}

// OpenRows opens one of these files.
func (a *App) OpenRows(ctx context.Context, name fairlead.Name, date time.Time, file string) (io.ReadCloser, int64, error) {
	return a.store.OpenPart(ctx, name, date, file)
}
