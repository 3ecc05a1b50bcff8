package fairlead

import (
	"math"
	"testing"
)

// TestBins: every value lies at or under its bin's bound and above the one before.
func TestBins(t *testing.T) {
	for x := 1e-12; x < 1e6; x *= 1.0137 {
		b := LatencyBin(x)
		if x > LatencyBound(b)*(1+1e-9) || b > 0 && x < LatencyBound(b-1)*(1-1e-9) {
			t.Fatalf("%v s is in bin %d, up to %v", x, b, LatencyBound(b))
		}
		b = DifferenceBin(x)
		if x > DifferenceBound(b)*(1+1e-9) || b > 0 && x < DifferenceBound(b-1)*(1-1e-9) {
			t.Fatalf("a difference of %v is in bin %d, up to %v", x, b, DifferenceBound(b))
		}
	}
	for x, want := range map[float64]int{0: 0, -1: 0, math.NaN(): 0, math.Inf(1): LatencyBins - 1} {
		if got := LatencyBin(x); got != want {
			t.Errorf("%v s is in bin %d, want %d", x, got, want)
		}
	}
	edges := []float64{0, 1, 2}
	for x, want := range map[float64]int{-1: 0, 0: 1, 0.5: 1, 1: 2, 2: 3, 9: 3} {
		if got := ScoreBin(edges, x); got != want {
			t.Errorf("a score of %v is in bin %d, want %d", x, got, want)
		}
	}
}

func TestBinQuantile(t *testing.T) {
	bound := func(i int) float64 {
		if i == 3 {
			return math.Inf(1)
		}
		return float64(i + 1)
	}
	for p, want := range map[float64]float64{0.1: 1, 0.5: 1, 0.51: 2, 0.9: 2, 0.91: 3, 1: 3} {
		if got := BinQuantile([]uint64{5, 4, 0, 1}, p, bound); got != want {
			t.Errorf("p = %v: %v, want %v", p, got, want)
		}
	}
	if got := BinQuantile(make([]uint64, 4), 0.5, bound); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
}

// TestTalliesOfOtherEdges adds what can be added.
func TestTalliesOfOtherEdges(t *testing.T) {
	a := &Tally{Edges: []float64{0}, Scores: []uint64{1, 2}}
	a.Buckets[7].Requests = 3
	b := &Tally{Edges: []float64{1}, Scores: []uint64{4, 4}, Segments: map[string]*TallySegment{"x=1": {Requests: 2}}}
	b.Buckets[7].Requests = 8
	a.Add(b)
	if a.Total().Requests != 11 || a.Scores[0] != 1 || a.Segments["x=1"].Requests != 2 {
		t.Errorf("%+v", a)
	}
	b.Segments["x=1"].Requests = 100
	if a.Segments["x=1"].Requests != 2 {
		t.Error("the sum shares memory with what was added")
	}
}
