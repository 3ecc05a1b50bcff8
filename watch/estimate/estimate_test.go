package estimate

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/fairlead-ml/fairlead/watch/realised"
)

// world draws rows of one numeric feature: the truth follows a curve of x that the score distorts, so that it needs calibration.
type world struct {
	mean float64                 // of x: what a covariate shift moves
	bend func(x float64) float64 // P(y=1|x): what concept drift changes
}

func (w world) rows(r *rand.Rand, n int) (x, score []float64, positive []bool) {
	x, score, positive = make([]float64, n), make([]float64, n), make([]bool, n)
	for i := range n {
		x[i] = w.mean + r.NormFloat64()
		score[i] = logistic(2.5 * x[i]) // too sure of itself
		positive[i] = r.Float64() < w.bend(x[i])
	}
	return x, score, positive
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func estimated(c Calibrator, score []float64, calibrated float64) Binary {
	rows := make([]Row, len(score))
	for i, s := range score {
		rows[i] = Row{Score: s, Probability: c.Probability(s), Predicted: s >= 0.5}
	}
	return EstimateBinary(rows, calibrated, 0.95)
}

// TestCoverage: the metrics of the labels lie in their 95 % intervals in 93 to 97 of 100 windows, the calibrator fitted anew each time.
func TestCoverage(t *testing.T) {
	const windows, reference, n = 600, 4000, 1000
	w := world{bend: func(x float64) float64 { return logistic(1.2 * x) }}
	inside := map[string]int{}
	r := rand.New(rand.NewPCG(1, 2))
	for range windows {
		_, score, positive := w.rows(r, reference)
		c := Calibrator{Curve: FitIsotonic(score, ones(positive), nil)}
		_, score, positive = w.rows(r, n)
		e, got := estimated(c, score, reference), cells(score, positive)
		m := realised.Binary(score, positive, 0.5)
		for name, pair := range map[string]struct {
			of    Interval
			truth float64
		}{
			"accuracy": {e.Accuracy, m.Accuracy}, "AUROC": {e.AUROC, m.AUROC}, "precision": {e.Precision, got.TP / (got.TP + got.FP)},
			"recall": {e.Recall, got.TP / (got.TP + got.FN)}, "specificity": {e.Specificity, got.TN / (got.TN + got.FP)},
			"F1": {e.F1, 2 * got.TP / (2*got.TP + got.FP + got.FN)}, "average precision": {e.AveragePrecision, averagePrecision(score, positive)},
		} {
			if pair.of.Low <= pair.truth && pair.truth <= pair.of.High {
				inside[name]++
			}
		}
	}
	for name, k := range inside {
		share := float64(k) / windows
		t.Logf("%s: %.3f of the windows inside", name, share)
		if share < 0.93 || share > 0.975 {
			t.Errorf("%s: %.3f of the windows inside, want 0.93 to 0.97", name, share)
		}
	}
	if len(inside) != 7 {
		t.Errorf("%d metrics were looked at", len(inside))
	}
}

func ones(b []bool) []float64 {
	out := make([]float64, len(b))
	for i, v := range b {
		out[i] = indicator(v)
	}
	return out
}

func cells(score []float64, positive []bool) Cells {
	var c Cells
	for i, s := range score {
		switch {
		case s >= 0.5 && positive[i]:
			c.TP++
		case s >= 0.5:
			c.FP++
		case positive[i]:
			c.FN++
		default:
			c.TN++
		}
	}
	return c
}

func averagePrecision(score []float64, positive []bool) float64 {
	rows := make([]Row, len(score))
	for i, s := range score {
		rows[i] = Row{Score: s, Probability: indicator(positive[i])}
	}
	return EstimateBinary(rows, 0, 0.95).AveragePrecision.Value // with certain labels it is the metric itself
}

// TestShiftAndConcept: where only the inputs move, the weighted calibrator is right and the plain one is not, because the score
// hides what calibration it needs; where P(y|x) moves, nothing can know it before the labels, and the comparison says so.
func TestShiftAndConcept(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const n = 20_000
	// A second feature that the score ignores: in its region the score is worth little, and that region grows.
	draw := func(share float64) (region []bool, score []float64, positive []bool) {
		w := world{bend: func(x float64) float64 { return logistic(1.2 * x) }}
		_, score, positive = w.rows(r, n)
		region = make([]bool, n)
		for i := range region {
			if region[i] = r.Float64() < share; region[i] {
				positive[i] = r.Float64() < 0.5+0.2*(score[i]-0.5)
			}
		}
		return region, score, positive
	}
	region, score, positive := draw(0.1)
	plain := Calibrator{Curve: FitIsotonic(score, ones(positive), nil)}
	before := realised.Binary(score, positive, 0.5).Accuracy

	_, newScore, newPositive := draw(0.6)
	weights := make([]float64, n)
	for i := range weights { // what a classifier between reference and window would say
		s := 0.4 / (0.4 + 0.9)
		if region[i] {
			s = 0.6 / (0.6 + 0.1)
		}
		weights[i] = ShiftWeight(s, n, n)
	}
	weighted := Calibrator{Curve: FitIsotonic(score, ones(positive), weights)}
	truth := realised.Binary(newScore, newPositive, 0.5).Accuracy
	cbpe, pape := estimated(plain, newScore, n).Accuracy, estimated(weighted, newScore, Kish(weights)).Accuracy
	t.Logf("accuracy before %.4f, now %.4f; CBPE %.4f, PAPE %.4f", before, truth, cbpe.Value, pape.Value)
	if off := math.Abs(pape.Value - truth); off > 0.015 || off > 0.2*math.Abs(cbpe.Value-truth) {
		t.Errorf("PAPE says %.4f, CBPE %.4f; the labels %.4f", pape.Value, cbpe.Value, truth)
	}
	se := math.Sqrt(truth * (1 - truth) / n)
	if got := Attribute(Mean{Value: before, SE: se}, Mean{Value: pape.Value, SE: pape.SE}, Mean{Value: truth}, 3); got != CovariateShift {
		t.Errorf("inputs moved: %q", got)
	}

	flipped := world{bend: func(x float64) float64 { return logistic(0.3 * x) }}
	_, newScore, newPositive = flipped.rows(r, n)
	truth = realised.Binary(newScore, newPositive, 0.5).Accuracy
	blind := estimated(plain, newScore, n).Accuracy
	if got := Attribute(Mean{Value: before, SE: se}, Mean{Value: blind.Value, SE: blind.SE}, Mean{Value: truth}, 3); got != ConceptDrift {
		t.Errorf("P(y|x) moved, estimated %.4f, realised %.4f: %q", blind.Value, truth, got)
	}
	if got := Attribute(Mean{Value: before, SE: se}, Mean{Value: before, SE: se}, Mean{Value: before}, 3); got != Unchanged {
		t.Errorf("nothing moved: %q", got)
	}
	if got := Attribute(Mean{Value: math.NaN()}, Mean{}, Mean{}, 3); got != Unclear {
		t.Errorf("nothing known: %q", got)
	}
}

// TestCalibrate: a curve where it helps, none where the scores are right, and a reason either way.
func TestCalibrate(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	w := world{bend: func(x float64) float64 { return logistic(1.2 * x) }}
	_, score, positive := w.rows(r, 5000)
	c := Calibrate(score, positive, nil, r.Perm)
	if len(c.Curve.X) == 0 || c.After >= c.Before || c.Before < 0.05 {
		t.Errorf("scores that are too sure: %s, error %.3f before and %.3f after", c.Why, c.Before, c.After)
	}
	if got, want := c.Probability(logistic(2.5)), logistic(1.2); math.Abs(got-want) > 0.05 {
		t.Errorf("x = 1: probability %.3f, want %.3f", got, want)
	}
	honest := make([]float64, len(score))
	for i := range honest {
		honest[i] = r.Float64()
		positive[i] = r.Float64() < honest[i]
	}
	if c = Calibrate(honest, positive, nil, r.Perm); c.Before > 0.03 {
		t.Errorf("honest scores: error %.3f (%s)", c.Before, c.Why)
	}
	for name, labels := range map[string]func(i int) bool{"all positive": func(int) bool { return true }, "separated": func(i int) bool { return honest[i] > 0.5 }} {
		for i := range positive {
			positive[i] = labels(i)
		}
		if c = Calibrate(honest, positive, nil, r.Perm); len(c.Curve.X) != 0 || c.Why == "" || c.Probability(0.3) != 0.3 {
			t.Errorf("%s: %+v", name, c.Why)
		}
	}
	honest[0] = math.NaN()
	honest[1] = 7
	Calibrate(honest, positive, nil, r.Perm) // rows without a probability are left out
}

// TestNothing: windows without rows or of one kind have no number where there is none, and never an infinity.
func TestNothing(t *testing.T) {
	empty := EstimateBinary(nil, 0, 0.95)
	if !math.IsNaN(empty.Accuracy.Value) || !math.IsNaN(empty.AUROC.Value) || empty.Rows != 0 {
		t.Errorf("no rows: %+v", empty)
	}
	never := EstimateBinary([]Row{{0.1, 0.1, false}, {0.2, 0.2, false}, {math.NaN(), 0.5, true}, {0.5, 2, true}}, 0, 0.95)
	if never.Rows != 2 || never.Skipped != 2 || !math.IsNaN(never.Precision.Value) || math.IsNaN(never.Recall.Value) || math.IsInf(never.F1.SE, 0) {
		t.Errorf("nothing predicted positive: %+v", never)
	}
	if p := []float64{0, 0}; true {
		if Normalise(p); p[0] != 0.5 {
			t.Errorf("no mass: %v", p)
		}
	}
	m := EstimateMulticlass([][]float64{{1, 0}, {0.5, 0.5}}, []int{0, 5}, 2, 0, 0.95)
	if m.Rows != 1 || m.Skipped != 1 || m.Accuracy.Value != 1 {
		t.Errorf("a class that is not there: %+v", m)
	}
	if !math.IsNaN(FitIsotonic(nil, nil, nil).At(1)) || !math.IsNaN(PPI(nil, nil, nil, nil).Value) || !math.IsNaN(HorvitzThompson([]float64{1}, []float64{0}, 1)) {
		t.Error("something out of nothing")
	}
}

// TestIsotonicOptimal: no other function that never falls is closer, tried with random ones, and the fit never falls.
func TestIsotonicOptimal(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		n := 5 + r.IntN(40)
		x, y, w := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range x {
			x[i], y[i], w[i] = float64(r.IntN(20)), r.NormFloat64(), 0.1+r.Float64()
		}
		f := FitIsotonic(x, y, w)
		cost := func(at func(float64) float64) (sum float64) {
			for i := range x {
				sum += w[i] * (y[i] - at(x[i])) * (y[i] - at(x[i]))
			}
			return sum
		}
		best := cost(f.At)
		for range 50 {
			other := Isotonic{X: f.X, Y: append([]float64(nil), f.Y...)}
			for i := range other.Y {
				other.Y[i] += 0.1 * r.NormFloat64()
				if i > 0 {
					other.Y[i] = math.Max(other.Y[i], other.Y[i-1])
				}
			}
			if c := cost(other.At); c < best-1e-9 {
				t.Fatalf("a better fit: %v below %v", c, best)
			}
		}
	}
}
