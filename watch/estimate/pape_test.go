package estimate

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/fairlead-ml/fairlead/watch/gbdt"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// regions draws rows of a score and a column "region": in region 1 the score is worth little.
func regions(r *rand.Rand, n int, share float64) Labelled {
	l := Labelled{Columns: [][]float64{make([]float64, n)}, Scores: make([]float64, n), Positive: make([]bool, n)}
	for i := range n {
		x := r.NormFloat64()
		l.Scores[i] = logistic(2.5 * x)
		p := logistic(1.2 * x)
		if r.Float64() < share {
			l.Columns[0][i] = 1
			p = 0.5 + 0.2*(l.Scores[i]-0.5)
		}
		l.Positive[i] = r.Float64() < p
	}
	return l
}

// TestPAPE: over windows with more and more of the hard region, the mean error of PAPE is below 0.9 of CBPE's, and the labels'
// accuracy lies in its interval in about 95 of 100.
func TestPAPE(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	small := gbdt.Options{Trees: 30, Leaves: 8}
	var cbpe, pape float64
	inside := 0
	const windows = 20
	for i := range windows {
		reference := regions(r, 4000, 0.1)
		plain := Calibrate(reference.Scores, reference.Positive, nil, r.Perm)
		window := regions(r, 1500, 0.1+0.5*float64(i)/windows)
		s, err := PAPE(reference, window.Columns, window.Scores, small, r.Perm)
		if err != nil {
			t.Fatal(err)
		}
		truth := realised.Binary(window.Scores, window.Positive, 0.5).Accuracy
		a := estimated(plain, window.Scores, float64(len(reference.Scores))).Accuracy
		b := estimated(s.Calibrator, window.Scores, s.Effective).Accuracy
		cbpe += math.Abs(a.Value-truth) / windows
		pape += math.Abs(b.Value-truth) / windows
		if b.Low <= truth && truth <= b.High {
			inside++
		}
	}
	t.Logf("mean error: CBPE %.4f, PAPE %.4f; %d of %d windows inside the interval", cbpe, pape, inside, windows)
	if pape > 0.6*cbpe || inside < windows*17/20 {
		t.Errorf("mean error: CBPE %.4f, PAPE %.4f; %d of %d windows inside the interval", cbpe, pape, inside, windows)
	}
}

// TestDLE: the error of a regression depends on a column; windows with more of the bad part get the larger estimate, with honest
// intervals.
func TestDLE(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	draw := func(n int, share float64) (columns [][]float64, predicted, truth []float64) {
		columns, predicted, truth = [][]float64{make([]float64, n), make([]float64, n)}, make([]float64, n), make([]float64, n)
		for i := range n {
			if r.Float64() < share {
				columns[0][i] = 1
			}
			columns[1][i] = r.NormFloat64()
			predicted[i] = 3 * columns[1][i]
			truth[i] = predicted[i] + r.NormFloat64()*(0.5+2*columns[0][i])
		}
		return columns, predicted, truth
	}
	inside, windows := 0, 0
	for _, share := range []float64{0, 0.2, 0.5, 0.9} {
		for range 8 {
			columns, predicted, truth := draw(4000, 0.2)
			d, err := FitDLE(columns, predicted, truth, gbdt.Options{Trees: 40, Leaves: 8}, r.Perm)
			if err != nil {
				t.Fatal(err)
			}
			columns, predicted, truth = draw(1000, share)
			e, got := d.Estimate(columns, predicted, 0.95), realised.Regression(predicted, truth)
			windows += 2
			if e.MAE.Low <= got.MAE && got.MAE <= e.MAE.High {
				inside++
			}
			if e.RMSE.Low <= got.RMSE && got.RMSE <= e.RMSE.High {
				inside++
			}
		}
	}
	t.Logf("%d of %d inside their intervals", inside, windows)
	if inside < windows*85/100 {
		t.Errorf("%d of %d inside their intervals", inside, windows)
	}
	columns, predicted, truth := draw(10, 0.5)
	if _, err := FitDLE(columns, predicted, truth, gbdt.Options{}, r.Perm); err == nil {
		t.Error("ten rows are enough for nothing")
	}
}
