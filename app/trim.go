package app

import (
	"context"
	"log/slog"
	"time"

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
		if a.leader != nil && !a.leader.leads() {
			continue
		}
		for _, s := range ingested {
			if err := trim(ctx, a.events, a.taken, s, logKeeps, a.log); err != nil && ctx.Err() == nil {
				a.log.Warn("event log not trimmed", "stream", s, "err", err)
			}
		}
	}
}

// taken is how far the evaluation store has taken a stream; where several servers follow the log, how far all have.
func (a *App) taken(ctx context.Context, s eventlog.Stream) (uint64, error) {
	if a.peers != nil {
		return a.peers.readByAll(ctx, s)
	}
	return a.store.Position(ctx, string(s))
}

// trim forgets the older half of a stream that has grown beyond keep bytes, but never a message that the evaluation store
// has not taken.
func trim(ctx context.Context, log *eventlog.Log, taken func(context.Context, eventlog.Stream) (uint64, error), s eventlog.Stream, keep uint64, l *slog.Logger) error {
	size, first, err := log.Size(ctx, s)
	if err != nil || size <= keep {
		return err
	}
	at, err := taken(ctx, s)
	if err != nil || at < first {
		return err
	}
	upTo := first + (at-first)/2
	l.Info("event log trimmed", "stream", s, "bytes", size, "up_to", upTo)
	return log.Trim(ctx, s, upTo)
}
