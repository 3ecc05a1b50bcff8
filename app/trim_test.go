package app

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// TestTrimKeepsWhatTheStoreHasNot fills a stream, lets the store take half of it, and trims: only what was taken goes.
func TestTrimKeepsWhatTheStoreHasNot(t *testing.T) {
	ctx := t.Context()
	log, store := openSeams(t)
	var msgs []eventlog.Message
	for i := range 20 {
		label := fairlead.Label{Deployment: "d", PredictionID: string(rune('a' + i)), Value: "1", Received: time.Unix(int64(i), 0)}
		data := eventlog.EncodeLabels([]fairlead.Label{label})
		seq, err := log.Append(ctx, eventlog.Labels, "", data)
		if err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, eventlog.Message{Stream: eventlog.Labels, Seq: seq, Time: time.Unix(0, 0), Data: data})
	}
	quiet := slog.New(slog.DiscardHandler)
	taken := func(ctx context.Context, s eventlog.Stream) (uint64, error) { return store.Position(ctx, string(s)) }
	if err := trim(ctx, log, taken, eventlog.Labels, 1, quiet); err != nil {
		t.Fatal(err)
	}
	if _, first, _ := log.Size(ctx, eventlog.Labels); first != 1 {
		t.Fatalf("the store has taken nothing, yet the log begins at %d", first)
	}
	if err := store.Ingest(ctx, string(eventlog.Labels), msgs[:10]); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := trim(ctx, log, taken, eventlog.Labels, 1, quiet); err != nil {
			t.Fatal(err)
		}
	}
	if _, first, _ := log.Size(ctx, eventlog.Labels); first < 5 || first > 11 {
		t.Errorf("the log begins at %d; what the store took (1 to 10) may go, the rest must stay", first)
	}
	before, _, _ := log.Size(ctx, eventlog.Labels)
	if err := trim(ctx, log, taken, eventlog.Labels, before, quiet); err != nil {
		t.Fatal(err)
	}
	if after, _, _ := log.Size(ctx, eventlog.Labels); after != before {
		t.Error("a stream within its limit was trimmed")
	}
}

// openSeams opens a real event log and a real evaluation store for the length of a test.
func openSeams(t *testing.T) (*eventlog.Log, *evalstore.Store) {
	t.Helper()
	log, err := eventlog.Open(t.Context(), eventlog.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	store, err := evalstore.Open(t.Context(), evalstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return log, store
}
