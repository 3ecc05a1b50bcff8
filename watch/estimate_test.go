package watch

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/watch/profile"
)

// What the scores promise is there before any label, for windows of any length, and the labels keep it: of forty-eight hours of
// other flights than the reference's, about 95 of 100 lie in their interval.
func TestEstimatesBeforeLabels(t *testing.T) {
	past := flights(rand.New(rand.NewPCG(1, 1)), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), 35*24*time.Hour, 50_000)
	ref, err := profile.Learn(signature.Fields(), table(past), profile.Options{
		Score: "late", Threshold: 0.5, Label: func(row int) (bool, bool) { return past[row].label == "late", true },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore()
	s.refs[flight1] = ref
	w := s.watcher(Options{})
	r := rand.New(rand.NewPCG(9, 9))
	var rows []flight
	for hour := range 48 {
		for _, f := range flights(r, march8.Add(time.Duration(hour)*time.Hour), time.Hour, 400) {
			if f.score > 0.3 || r.Float64() < 0.3 { // mostly those that are hard to tell
				rows = append(rows, f)
			}
		}
	}
	s.predict(t, "flights", 1, rows)
	steps(t, w)
	day := Window{Deployment: "flights", Version: 1, Role: "live", Grain: Day, Start: march8}
	before := s.metrics[day]
	if before.Labelled != 0 || len(before.Estimates) != 3 {
		t.Fatalf("before labels: %+v", before)
	}
	s.label("flights", 1, rows)
	steps(t, w)
	inside, hours, calm := 0, 0, 0.0
	for win, m := range s.metrics {
		if win.Grain != Hour {
			continue
		}
		hours++
		e := m.Estimates["accuracy"]
		if a := m.Values["accuracy"]; e.Low <= a && a <= e.High {
			inside++
		}
		calm += e.Value / 48
	}
	after := s.metrics[day]
	if hours != 48 || inside < 42 {
		t.Errorf("%d of %d hours lie in their interval (seed 9)", inside, hours)
	}
	if math.Abs(after.Estimates["accuracy"].Value-after.Values["accuracy"]) > 0.015 || math.Abs(after.Estimates["auroc"].Value-after.Values["auroc"]) > 0.015 {
		t.Errorf("the day: estimated %+v, realised %v", after.Estimates, after.Values)
	}
	if after.Estimates["accuracy"] != before.Estimates["accuracy"] {
		t.Error("labels changed what was estimated without them")
	}
	if whole := 0.80; calm > whole {
		t.Errorf("accuracy %v of flights that are hard to tell", calm)
	}
}

func steps(t *testing.T, w *Watcher) {
	t.Helper()
	for {
		n, err := w.Step(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}
