package estimate

import (
	"cmp"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead/watch/realised"
)

// Calibrator turns a score into the probability that the row is positive.
type Calibrator struct {
	// Curve is empty where scores are taken as they are.
	Curve Isotonic `json:"curve"`
	// Before and After are the expected calibration errors of held-out rows, without and with the curve.
	Before float64 `json:"ece_before"`
	After  float64 `json:"ece_after"`
	Why    string  `json:"why"` // the scores are taken as they are, or are not
}

// Probability is the calibrated score.
func (c Calibrator) Probability(score float64) float64 {
	if len(c.Curve.X) == 0 {
		return score
	}
	return c.Curve.At(score)
}

const (
	splits    = 10
	eceBins   = 10
	separable = 0.999 // an AUROC above this leaves nothing to calibrate
)

// Calibrate fits a calibrator on labelled rows that the model was not trained on: the isotonic curve of all rows, where it makes the
// expected calibration error of held-out rows smaller (ten stratified splits of a tenth each), else none. weight may be nil;
// perm draws a permutation of n and decides the splits.
func Calibrate(scores []float64, positive []bool, weight []float64, perm func(n int) []int) Calibrator {
	var x, y, w []float64
	for i, s := range scores {
		if !valid(s) {
			continue
		}
		x, y = append(x, s), append(y, indicator(positive[i]))
		if weight != nil {
			w = append(w, weight[i])
		}
	}
	ones := 0
	label := make([]bool, len(y))
	for i, v := range y {
		label[i] = v == 1
		ones += int(v)
	}
	if ones == 0 || ones == len(y) {
		return Calibrator{Why: "only one class among the labelled rows: scores are taken as they are"}
	}
	if realised.Binary(x, label, realised.Threshold).AUROC > separable {
		return Calibrator{Why: "the scores separate the classes: they are taken as they are"}
	}
	var raw, fitted, truth, weights []float64
	for _, test := range stratified(label, perm) {
		held := make([]bool, len(x))
		for _, i := range test {
			held[i] = true
		}
		curve := FitIsotonic(keep(x, held, false), keep(y, held, false), keep(w, held, false))
		for _, i := range test {
			raw, truth, fitted = append(raw, x[i]), append(truth, y[i]), append(fitted, curve.At(x[i]))
			if w != nil {
				weights = append(weights, w[i])
			}
		}
	}
	c := Calibrator{Before: ECE(raw, truth, weights), After: ECE(fitted, truth, weights)}
	if !(c.After < c.Before) {
		c.Why = "the scores are calibrated already"
		return c
	}
	c.Curve, c.Why = FitIsotonic(x, y, w), "calibrated on the labelled rows"
	return c
}

func keep(values []float64, marked []bool, want bool) []float64 {
	if values == nil {
		return nil
	}
	out := make([]float64, 0, len(values))
	for i, v := range values {
		if marked[i] == want {
			out = append(out, v)
		}
	}
	return out
}

// stratified splits rows into ten parts with the same share of positives in each, and every row in one of them.
func stratified(positive []bool, perm func(n int) []int) [][]int {
	parts := make([][]int, splits)
	next := map[bool]int{}
	for _, i := range perm(len(positive)) {
		k := next[positive[i]] % splits
		parts[k] = append(parts[k], i)
		next[positive[i]]++
	}
	return slices.DeleteFunc(parts, func(p []int) bool { return len(p) == 0 })
}

// ECE is the expected calibration error in ten bins of equal count: the mean of |mean probability − share of positives|.
func ECE(p, positive, weight []float64) float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := cmp.Compare(p[a], p[b]); c != 0 {
			return c
		}
		return cmp.Compare(a, b)
	})
	sum, total := 0.0, 0.0
	for b := range eceBins {
		var gap, n float64
		for _, i := range order[b*len(order)/eceBins : (b+1)*len(order)/eceBins] {
			w := 1.0
			if weight != nil {
				w = weight[i]
			}
			gap += w * (p[i] - positive[i])
			n += w
		}
		sum += math.Abs(gap)
		total += n
	}
	return sum / total
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
