package evalstore

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

func TestBulkMessagesCountOnce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	f := newFeed(t, s)
	send := func(id string, data []byte) {
		t.Helper()
		f.seq[eventlog.Labels]++
		err := f.s.Ingest(context.Background(), string(eventlog.Labels), []eventlog.Message{{Stream: eventlog.Labels, Seq: f.seq[eventlog.Labels], Time: march, ID: id, Data: data}})
		if err != nil {
			t.Fatal(err)
		}
	}
	one := eventlog.EncodeLabels([]fairlead.Label{label("a", "late", 1)})
	send(BulkID("x"), one)
	send(BulkID("x"), one)
	send("01J8", one) // somebody said it again
	send("01J8", one)
	expect(t, "labels", table(t, s, `SELECT count(*) FROM labels`), "3")
	for id, want := range map[string]bool{BulkID("x"): true, BulkID("y"): false, "01J8": false} {
		if has, err := s.HasBulk(t.Context(), eventlog.Labels, id); err != nil || has != want {
			t.Errorf("%s: %v %v", id, has, err)
		}
	}
	if has, err := s.HasBulk(t.Context(), eventlog.Predictions, BulkID("x")); err != nil || has {
		t.Errorf("another stream: %v %v", has, err)
	}
	if at, err := s.Position(t.Context(), string(eventlog.Labels)); err != nil || at != 4 {
		t.Errorf("position %d %v", at, err)
	}
}

func TestKnownRows(t *testing.T) {
	s := open(t, t.TempDir())
	f := newFeed(t, s)
	f.rows(flights, flight("a", march, 2, 0.1))
	got, err := s.KnownRows(t.Context(), "flights", 1, []string{"a.0", "a.1", "a.0", "b"}, []time.Time{march, march.Add(time.Minute), march.Add(time.Second), march})
	if err != nil || len(got) != 4 || !got[0] || !got[1] || got[2] || got[3] {
		t.Errorf("%v %v", got, err)
	}
	for _, v := range []fairlead.Version{2} {
		if got, err := s.KnownRows(t.Context(), "flights", v, []string{"a.0"}, []time.Time{march}); err != nil || got[0] {
			t.Errorf("version %d: %v %v", v, got, err)
		}
	}
}
