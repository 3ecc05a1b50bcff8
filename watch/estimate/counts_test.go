package estimate_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/fairlead-ml/fairlead/watch/estimate"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// people are rows with a score that is too sure of itself, and their truth. shift moves who comes.
func people(rng *rand.Rand, n int, shift float64) (scores []float64, positive []bool) {
	for range n {
		x := rng.NormFloat64() + shift
		p := 1 / (1 + math.Exp(-1.2*x+0.4))
		scores = append(scores, 1/(1+math.Exp(-2.1*x+0.4)))
		positive = append(positive, rng.Float64() < p)
	}
	return scores, positive
}

// slotsOf cuts 64 bins at the quantiles of the reference and counts.
func slotsOf(scores []float64, positive []bool) (s estimate.Slots, count func(scores []float64) []uint64) {
	sorted := slices.Sorted(slices.Values(scores))
	var edges []float64
	for k := 1; k < 64; k++ {
		edges = append(edges, sorted[k*len(sorted)/64])
	}
	at := func(x float64) int { return 1 + sort.SearchFloat64s(edges, math.Nextafter(x, 2)) }
	count = func(scores []float64) []uint64 {
		out := make([]uint64, 66)
		for _, x := range scores {
			out[at(x)]++
		}
		return out
	}
	s = estimate.Slots{Rows: count(scores), Positive: make([]uint64, 66), Predicted: make([]uint64, 66), Correct: make([]uint64, 66), Ordered: true}
	for i, x := range scores {
		if positive[i] {
			s.Positive[at(x)]++
		}
		if x >= 0.5 {
			s.Predicted[at(x)]++
		}
		if positive[i] == (x >= 0.5) {
			s.Correct[at(x)]++
		}
	}
	return s, count
}

// Counts say what the rows say: beside CBPE on the rows with a calibrator of its own, and beside the labels.
func TestFromCounts(t *testing.T) {
	const windows = 300
	for _, c := range []struct {
		name             string
		reference, n     int
		shift, worst, up float64 // worst: difference to CBPE of rows
	}{
		{"as the reference", 8000, 500, 0, 0.006, 0.985},
		{"others come", 8000, 500, 0.7, 0.012, 0.985},
		{"a small reference", 1500, 1000, 0.3, 0.02, 0.985},
	} {
		t.Run(c.name, func(t *testing.T) {
			inside, insideAUC, bias, off := 0, 0, 0.0, 0.0
			for w := range windows {
				rng := rand.New(rand.NewPCG(uint64(w), 3))
				refScores, refPositive := people(rng, c.reference, 0)
				s, count := slotsOf(refScores, refPositive)
				scores, positive := people(rng, c.n, c.shift)
				got := estimate.FromCounts(s, count(scores), 0.95)
				truth := realised.Binary(scores, positive, 0.5)
				if got.Accuracy.Low <= truth.Accuracy && truth.Accuracy <= got.Accuracy.High {
					inside++
				}
				if got.AUROC.Low <= truth.AUROC && truth.AUROC <= got.AUROC.High {
					insideAUC++
				}
				bias += (got.Accuracy.Value - truth.Accuracy) / windows
				if w < 20 {
					cal := estimate.Calibrate(refScores, refPositive, nil, rng.Perm)
					rows := make([]estimate.Row, len(scores))
					for i, x := range scores {
						rows[i] = estimate.Row{Score: x, Probability: cal.Probability(x), Predicted: x >= 0.5}
					}
					want := estimate.EstimateBinary(rows, float64(c.reference), 0.95)
					off = max(off, math.Abs(want.Accuracy.Value-got.Accuracy.Value), math.Abs(want.AUROC.Value-got.AUROC.Value),
						math.Abs(want.Recall.Value-got.Recall.Value)/2, math.Abs(want.F1.Value-got.F1.Value)/2)
				}
			}
			coverage, coverageAUC := float64(inside)/windows, float64(insideAUC)/windows
			t.Logf("coverage %.3f of the accuracy, %.3f of the AUROC, bias %.4f, at most %.4f off CBPE of rows", coverage, coverageAUC, bias, off)
			if coverage < 0.91 || coverage > c.up || coverageAUC < 0.91 || coverageAUC > c.up || math.Abs(bias) > 0.006 || off > c.worst {
				t.Errorf("coverage %.3f and %.3f of .95, bias %.4f, off %.4f (seeds 0 to %d)", coverage, coverageAUC, bias, off, windows-1)
			}
		})
	}
}

// Special cases: no rows, rows where the reference has none, scores of a few values.
func TestFromCountsSpecial(t *testing.T) {
	s := estimate.Slots{Rows: []uint64{0, 10, 0, 10, 0}, Positive: []uint64{0, 1, 0, 9, 0}, Predicted: []uint64{0, 0, 0, 10, 0}, Correct: []uint64{0, 9, 0, 9, 0}}
	if e := estimate.FromCounts(s, make([]uint64, 5), 0.95); e.Rows != 0 || !math.IsNaN(e.Accuracy.Value) {
		t.Errorf("no rows: %+v", e)
	}
	e := estimate.FromCounts(s, []uint64{0, 30, 7, 10, 5}, 0.95)
	if e.Rows != 40 || e.Skipped != 12 || math.Abs(e.Accuracy.Value-0.9) > 1e-12 || math.Abs(e.TP-9) > 1e-12 || math.Abs(e.FN-3) > 1e-12 {
		t.Errorf("values: %+v", e)
	}
	s.Ordered = true
	if e := estimate.FromCounts(s, []uint64{5, 30, 7, 10, 5}, 0.95); e.Rows != 57 || e.Skipped != 0 {
		t.Errorf("ordered: %+v", e)
	}
	// The threshold lies in the middle bin: half of it is predicted, and 8 of 10 of those rightly.
	s = estimate.Slots{Rows: []uint64{0, 20, 0}, Positive: []uint64{0, 10, 0}, Predicted: []uint64{0, 10, 0}, Correct: []uint64{0, 16, 0}, Ordered: true}
	if e := estimate.FromCounts(s, []uint64{0, 100, 0}, 0.95); math.Abs(e.Accuracy.Value-0.8) > 1e-12 || math.Abs(e.Precision.Value-0.8) > 1e-12 {
		t.Errorf("threshold in a bin: %+v", e)
	}
}
