package replay

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func TestComparison(t *testing.T) {
	c := New(Options{Threshold: 0.5, Examples: 2, Segments: 2})
	for i, p := range []struct{ a, b float64 }{{0.1, 0.1}, {0.4, 0.6}, {0.9, 0.8}, {0.2, math.NaN()}, {math.NaN(), 0.3}} {
		c.Add(Pair{ID: fmt.Sprint("r", i), Recorded: Answer{Score: p.a}, Replayed: Answer{Score: p.b}, Segments: []string{fmt.Sprint("origin=", i)}})
	}
	r := c.Report()
	if r.Tally.Pairs != 5 || r.Tally.Flips != 1 || r.Tally.Invalid != 1 || r.Tally.Scored != 3 {
		t.Errorf("tally %+v", r.Tally)
	}
	if len(r.Tally.Examples) != 2 || r.Tally.Examples[0].ID != "r3" || r.Tally.Examples[1].ID != "r1" {
		t.Errorf("examples %+v", r.Tally.Examples)
	}
	if r.Tally.Segments[RestSegment].Pairs != 3 || len(r.Tally.Segments) != 3 {
		t.Errorf("segments %v", r.Tally.Segments)
	}
	if math.Abs(r.Distance.Mean-0.1/3) > 1e-12 || math.Abs(r.Distance.Signed[3]) > 1e-12 || math.Abs(r.Distance.Absolute[7]-0.2) > 1e-12 {
		t.Errorf("distances %+v", r.Distance)
	}
	classes := New(Options{Threshold: math.NaN()})
	classes.Add(Pair{Recorded: Answer{math.NaN(), "late"}, Replayed: Answer{math.NaN(), "on_time"}})
	if r := classes.Report(); r.Tally.Flips != 1 || !math.IsNaN(r.Spearman) || !math.IsNaN(r.Distance.Mean) || !math.IsNaN(r.Drift.PSI) {
		t.Errorf("classes %+v", r)
	}
}

// Reference values are those of scipy.stats.spearmanr.
func TestSpearman(t *testing.T) {
	for _, x := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3, 4, 5}, []float64{5, 6, 7, 8, 7}, 0.8207826816681233},
		{[]float64{1, 1, 2, 2}, []float64{1, 2, 1, 2}, 0},
		{[]float64{3, 1, 2}, []float64{30, 10, 20}, 1},
		{[]float64{1, 1}, []float64{1, 2}, math.NaN()},
		{nil, nil, math.NaN()},
	} {
		if got := Spearman(x.a, x.b); math.Abs(got-x.want) > 1e-12 || math.IsNaN(got) != math.IsNaN(x.want) {
			t.Errorf("%v %v: %v, want %v", x.a, x.b, got, x.want)
		}
	}
}

// The same version drifts nowhere; one whose scores moved by a half does.
func TestDriftOfScores(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	same, moved := New(Options{Threshold: 0.5}), New(Options{Threshold: 0.5})
	for range 20_000 {
		x := r.Float64()
		same.Add(Pair{Recorded: Answer{Score: x}, Replayed: Answer{Score: x}})
		moved.Add(Pair{Recorded: Answer{Score: x}, Replayed: Answer{Score: x / 2}})
	}
	if r := same.Report(); r.Drift.PSI != 0 || r.Drift.KS != 0 || r.Spearman < 1-1e-12 || len(r.Tally.Examples) != 0 {
		t.Errorf("the same version: %+v", r)
	}
	if r := moved.Report(); r.Drift.PSI < r.Drift.PSIFloor || r.Drift.KS < 0.45 || r.Spearman < 1-1e-12 || r.Tally.Flips == 0 {
		t.Errorf("another version: %+v", r.Drift)
	}
}
