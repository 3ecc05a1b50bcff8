package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/internal/lifecycle"
	"github.com/fairlead-ml/fairlead/internal/pressure"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
	"github.com/fairlead-ml/fairlead/watch/alert"
)

func TestAnnotationsSurviveARestart(t *testing.T) {
	ctx, kv := t.Context(), &registrytest.KV{}
	a, err := openAnnotations(ctx, kv)
	if err != nil {
		t.Fatal(err)
	}
	if list := a.list("d."); list == nil || len(list) != 0 {
		t.Errorf("a deployment without marks has %v", list)
	}
	east := time.FixedZone("east", 3600)
	late, err := a.put(ctx, "d.", api.Annotation{Kind: "note", Title: "late", Start: noon.Add(time.Hour), End: noon.Add(2 * time.Hour)})
	if err != nil || late.ID == "" {
		t.Fatalf("%+v, %v", late, err)
	}
	if _, err := a.put(ctx, "d.", api.Annotation{ID: "x", Kind: "planted", Title: "early", Start: noon.In(east), End: noon.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.put(ctx, "d.", api.Annotation{ID: "x", Kind: "planted", Title: "replaced", Start: noon.In(east), End: noon.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if a, err = openAnnotations(ctx, kv); err != nil {
		t.Fatal(err)
	}
	list := a.list("d.")
	if len(list) != 2 || list[0].Title != "replaced" || list[1].ID != late.ID || list[0].Start != noon {
		t.Errorf("after a restart: %+v", list)
	}
	for i := range maxAnnotations {
		at := noon.Add(time.Duration(i+10) * time.Hour)
		if _, err := a.put(ctx, "d.", api.Annotation{Kind: "note", Title: fmt.Sprint(i), Start: at, End: at.Add(1)}); err != nil {
			t.Fatal(err)
		}
	}
	if list := a.list("d."); len(list) != maxAnnotations || list[0].Title != "0" {
		t.Errorf("%d marks, the first is %s", len(list), list[0].Title)
	}
	kv.Fail = errors.New("disk full")
	if _, err := a.put(ctx, "d.", api.Annotation{Title: "lost"}); err == nil || len(a.list("d.")) != maxAnnotations {
		t.Errorf("a mark that was not written is listed (%v)", err)
	}
}

func TestDamagedAnnotationsAreNamed(t *testing.T) {
	kv := &registrytest.KV{}
	if _, err := kv.Put(t.Context(), "a=b", []byte("{"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := openAnnotations(t.Context(), kv); err == nil || err.Error()[:19] != "annotations of a.b:" {
		t.Errorf("%v", err)
	}
}

func TestBooksSurviveARestart(t *testing.T) {
	ctx, kv := t.Context(), &registrytest.KV{}
	b := &books{kv: kv}
	empty, err := b.Load(ctx, "d..d")
	if err != nil || empty.Deployment != "d..d" || len(empty.Alerts()) != 0 {
		t.Fatalf("%+v, %v", empty, err)
	}
	book := empty
	rule := (&deployer{}).Rule("d..d")
	for hour := range 3 {
		w := alert.Window{Start: noon.Add(time.Duration(hour) * time.Hour), Observations: []alert.Observation{
			{Column: "distance", N: 5000, Measured: alert.Measured{Value: 0.9, Effect: 0.9, Floor: 0.05}},
		}}
		book.Apply(rule, w)
	}
	if len(book.Alerts()) != 1 || book.Alerts()[0].State != alert.Firing {
		t.Fatalf("three drifted hours give %+v", book.Alerts())
	}
	if err := b.Save(ctx, "d..d", book); err != nil {
		t.Fatal(err)
	}
	for _, again := range []*books{b, {kv: kv}} {
		got, err := again.Load(ctx, "d..d")
		if err != nil || len(got.Alerts()) != 1 || got.Alerts()[0].ID != book.Alerts()[0].ID {
			t.Errorf("%+v, %v", got.Alerts(), err)
		}
	}
	// Somebody else wrote, or a write came through whose answer was lost: the next Load sees it and Save works again.
	other := &books{kv: kv}
	if _, err := other.Load(ctx, "d..d"); err != nil {
		t.Fatal(err)
	}
	if err := other.Save(ctx, "d..d", empty); err != nil {
		t.Fatal(err)
	}
	book.Apply(rule, alert.Window{Start: noon.Add(9 * time.Hour), Observations: []alert.Observation{
		{Column: "hour", N: 5000, Measured: alert.Measured{Value: 0.9, Effect: 0.9, Floor: 0.05}},
	}})
	if err := b.Save(ctx, "d..d", book); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("a book was overwritten: %v", err)
	}
	got, err := b.Load(ctx, "d..d")
	if err != nil || len(got.Alerts()) != 0 {
		t.Errorf("%+v, %v", got.Alerts(), err)
	}
	if err := b.Save(ctx, "d..d", book); err != nil {
		t.Error(err)
	}
}

// Everything that is in the log when it closes is in the store, once, also after a second start; so it is where
// ingestion gave way to serving for as long as it may.
func TestIngestAndCatchUp(t *testing.T) {
	t.Run("with room", func(t *testing.T) {
		free := func() pressure.Reading { return pressure.Reading{At: time.Now()} }
		testIngestAndCatchUp(t, pressure.NewPacer(pressure.NewGauge(free), time.Hour, nil))
	})
	t.Run("contended", func(t *testing.T) {
		began := time.Now()
		contended := func() pressure.Reading {
			now := time.Now()
			return pressure.Reading{At: now, Waiting: now.Sub(began), WaitingRead: true}
		}
		gauge := pressure.NewGauge(contended)
		wait(t, "the first verdict", func() bool { return gauge.Contended(time.Now()) })
		testIngestAndCatchUp(t, pressure.NewPacer(gauge, time.Hour, nil))
	})
}

func testIngestAndCatchUp(t *testing.T, pace *pressure.Pacer) {
	ctx := t.Context()
	log, store := openSeams(t)
	add := func(from, to int) {
		for i := from; i < to; i++ {
			label := fairlead.Label{Deployment: "d", PredictionID: fmt.Sprint(i), Value: "1", Time: noon, Received: noon}
			if _, err := log.Append(ctx, eventlog.Labels, messageID(), eventlog.EncodeLabels([]fairlead.Label{label})); err != nil {
				t.Fatal(err)
			}
		}
	}
	run := func() lifecycle.Part {
		loop := lifecycle.Loop("ingestion", func(ctx context.Context) {
			ingest(ctx, log, store, eventlog.Labels, pace, func() {}, slog.New(slog.DiscardHandler))
		})
		if err := loop.Start(ctx); err != nil {
			t.Fatal(err)
		}
		return loop
	}
	add(0, 30)
	if n, err := behind(ctx, log, store); err != nil || n != 30 {
		t.Errorf("behind by %d, %v", n, err)
	}
	for to := range 2 {
		loop := run()
		add(30*(to+1), 30*(to+2))
		if err := catchUp(ctx, log, store, pace); err != nil {
			t.Fatal(err)
		}
		if err := loop.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		at, err := store.Position(ctx, string(eventlog.Labels))
		labels, err2 := store.Labels(ctx)
		if want := uint64(30 * (to + 2)); at != want || labels != want || errors.Join(err, err2) != nil {
			t.Errorf("position %d with %d labels, want %d (%v, %v)", at, labels, want, err, err2)
		}
	}
}
