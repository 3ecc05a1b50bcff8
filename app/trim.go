package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/eventlog"
)

const (
	// logKeeps is how many bytes of a stream stay in the event log, so that a recent past can be taken in again.
	logKeeps = 2 << 30
	// trimEvery is how often the sizes are looked at.
	trimEvery = time.Minute
)

// trimLoop keeps the event log from filling the disk.
func (a *App) trimLoop(ctx context.Context) {
	for pause(ctx, trimEvery) == nil {
		for _, s := range ingested {
			if err := trim(ctx, a.events, a.store, s, logKeeps, a.log); err != nil && ctx.Err() == nil {
				a.log.Warn("event log not trimmed", "stream", s, "err", err)
			}
		}
	}
}

// trim forgets the older half of a stream that has grown beyond keep bytes, but never a message that the evaluation store
// has not taken.
func trim(ctx context.Context, log *eventlog.Log, store *evalstore.Store, s eventlog.Stream, keep uint64, l *slog.Logger) error {
	size, first, err := log.Size(ctx, s)
	if err != nil || size <= keep {
		return err
	}
	at, err := store.Position(ctx, string(s))
	if err != nil || at < first {
		return err
	}
	upTo := first + (at-first)/2
	l.Info("event log trimmed", "stream", s, "bytes", size, "up_to", upTo)
	return log.Trim(ctx, s, upTo)
}
