package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/internal/pressure"
)

const (
	// ingestBatch is how many log messages go into one transaction of the evaluation store.
	ingestBatch = 256
	// ingestPause lets messages gather between two transactions: one costs some ten statements and an fsync however few
	// rows it has.
	ingestPause = 300 * time.Millisecond
)

// ingestFull is how many bytes are worth a transaction without waiting for more.
const ingestFull = 2 << 20

func sizeOf(msgs []eventlog.Message) (n int) {
	for _, m := range msgs {
		n += len(m.Data)
	}
	return n
}

// ingest follows one stream of the log into the evaluation store until ctx ends. The store keeps the position in the
// same transaction as the rows, so that a message is taken exactly once however often this starts again. Serving goes
// first: while processors are contended the store lags behind, visibly (lag_seconds) and up to Config.MaxLag. past is told of
// messages of an import.
func ingest(ctx context.Context, log *eventlog.Log, store *evalstore.Store, stream eventlog.Stream, pace *pressure.Pacer, past func(), l *slog.Logger) {
	for wait := time.Second; ; wait = min(2*wait, 10*time.Second) {
		after, err := store.Position(ctx, string(stream))
		if err == nil {
			err = log.Follow(ctx, stream, after, ingestBatch, func(msgs []eventlog.Message) error {
				wait = time.Second
				// A database that meets a full disk refuses everything until it is opened again: it does not get there.
				if err := log.Room(); err != nil {
					return err
				}
				if evalstore.IsBulk(msgs[0]) {
					past()
				}
				began := time.Now()
				err := store.Ingest(ctx, string(stream), msgs)
				took := time.Since(began)
				l.Debug("ingested", "stream", stream, "messages", len(msgs), "took", took, "waited", began.Sub(msgs[0].Time))
				if err != nil {
					return err
				}
				pace.Rest(ctx, took, time.Since(msgs[0].Time))
				if len(msgs) == ingestBatch || sizeOf(msgs) >= ingestFull || evalstore.IsBulk(msgs[0]) {
					return nil
				}
				return pause(ctx, ingestPause)
			})
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			l.Error("evaluation store fell behind; trying again", "stream", stream, "wait", wait, "err", err)
		}
		if pause(ctx, wait) != nil {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var ingested = []eventlog.Stream{eventlog.Predictions, eventlog.Profiles, eventlog.Labels, eventlog.Events}

// behind is the number of messages that the store has not taken yet.
func behind(ctx context.Context, log *eventlog.Log, store *evalstore.Store) (uint64, error) {
	var n uint64
	for _, s := range ingested {
		last, err := log.Last(ctx, s)
		if err != nil {
			return 0, err
		}
		at, err := store.Position(ctx, string(s))
		if err != nil {
			return 0, err
		}
		if last > at {
			n += last - at
		}
	}
	return n, nil
}

// catchUp waits until the store has taken everything, so that a clean stop leaves nothing for the next start. Whatever
// is left when ctx ends is taken then.
func catchUp(ctx context.Context, log *eventlog.Log, store *evalstore.Store, pace *pressure.Pacer) error {
	pace.Hurry()
	if deadline, ok := ctx.Deadline(); ok { // the loops that write to the store need time to end before it closes
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-5*time.Second))
		defer cancel()
	}
	for {
		n, err := behind(ctx, log, store)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}
