package estimate

import (
	"fmt"
	"math"

	"github.com/fairlead-ml/fairlead/watch/gbdt"
	"github.com/fairlead-ml/fairlead/watch/multivariate"
)

// Labelled are rows whose truth is known: columns[c][row] as numbers, categories as codes; scores raw.
type Labelled struct {
	Columns  [][]float64
	Scores   []float64
	Positive []bool
}

// Shifted is a calibrator for one window.
type Shifted struct {
	Calibrator
	// Effective is Kish's number of labelled rows behind it: where the window lies outside the reference few of them count.
	Effective float64
	AUROC     float64 // how well the window can be told from the reference; 0.5: not at all
}

// PAPE fits a calibrator for a window (M-CBPE, arXiv 2401.08348): a classifier says how much each labelled row looks like the window's, and
// the calibration is fitted with those weights. The score is one of the columns that it looks at, beside the features. window has the
// same columns as the reference. perm draws permutations.
func PAPE(reference Labelled, window [][]float64, windowScores []float64, o gbdt.Options, perm func(n int) []int) (Shifted, error) {
	n := len(reference.Scores)
	if len(reference.Positive) != n {
		return Shifted{}, fmt.Errorf("%d labels for %d scores", len(reference.Positive), n)
	}
	both := func(columns [][]float64, scores []float64) [][]float64 {
		return append(append([][]float64(nil), columns...), scores)
	}
	d, err := multivariate.Classify(both(reference.Columns, reference.Scores), both(window, windowScores), o, perm)
	if err != nil {
		return Shifted{}, err
	}
	weights := make([]float64, n)
	for i := range weights {
		weights[i] = ShiftWeight(d.Window[i], n, len(windowScores))
	}
	return Shifted{Calibrator: Calibrate(reference.Scores, reference.Positive, weights, perm), Effective: Kish(weights), AUROC: d.AUROC}, nil
}

// Regression are the expected errors of a regression model in a window.
type Regression struct {
	MAE, RMSE Interval
	Rows      int
}

// DLE learns how large a regression model's errors are (direct loss estimation, NannyML): one model for |y−f|, one for (y−f)².
type DLE struct {
	absolute, squared *gbdt.Model
	// absoluteSpread and squaredSpread are the variances of |y−f| and (y−f)² around their estimates in units of the estimates' own
	// squares, on rows that were not fitted on: errors vary more where they are large.
	absoluteSpread, squaredSpread float64
	rows                          float64
}

// FitDLE fits on labelled rows: columns, what the model predicted and the truth. Three quarters are fitted on, the rest says how far
// off the estimates are; perm draws who is who.
func FitDLE(columns [][]float64, predicted, truth []float64, o gbdt.Options, perm func(n int) []int) (*DLE, error) {
	n := len(truth)
	if n < 40 || len(predicted) != n {
		return nil, fmt.Errorf("learning a model's errors needs 40 rows with prediction and truth; there are %d and %d", len(predicted), n)
	}
	all := append(append([][]float64(nil), columns...), predicted)
	order := perm(n)
	fitted, held := order[:n*3/4], order[n*3/4:]
	d := &DLE{rows: float64(len(fitted))}
	for _, part := range []struct {
		model  **gbdt.Model
		spread *float64
		loss   func(e float64) float64
	}{
		{&d.absolute, &d.absoluteSpread, math.Abs},
		{&d.squared, &d.squaredSpread, func(e float64) float64 { return e * e }},
	} {
		y := make([]float64, n)
		for i := range y {
			y[i] = part.loss(truth[i] - predicted[i])
		}
		m, err := gbdt.Fit(pick(all, fitted), pick([][]float64{y}, fitted)[0], nil, gbdt.Squared, o)
		if err != nil {
			return nil, err
		}
		sample, rest, size := pick(all, held), 0.0, 0.0
		for j, i := range held {
			p := math.Max(0, m.Predict(rowOf(sample, j)))
			rest, size = rest+(y[i]-p)*(y[i]-p), size+p*p
		}
		*part.model = m
		if size > 0 {
			*part.spread = rest / size
		}
	}
	return d, nil
}

func pick(columns [][]float64, rows []int) [][]float64 {
	out := make([][]float64, len(columns))
	for c := range columns {
		out[c] = make([]float64, len(rows))
		for j, i := range rows {
			out[c][j] = columns[c][i]
		}
	}
	return out
}

func rowOf(columns [][]float64, i int) []float64 {
	row := make([]float64, len(columns))
	for c := range columns {
		row[c] = columns[c][i]
	}
	return row
}

// Estimate is the expected MAE and RMSE of a window. The standard errors are those of the realised metrics around the estimates.
func (d *DLE) Estimate(columns [][]float64, predicted []float64, level float64) Regression {
	all := append(append([][]float64(nil), columns...), predicted)
	n := float64(len(predicted))
	var mae, mse, maeVariance, mseVariance float64
	for i := range predicted {
		row := rowOf(all, i)
		a, s := math.Max(0, d.absolute.Predict(row)), math.Max(0, d.squared.Predict(row))
		mae, mse = mae+a/n, mse+s/n
		maeVariance += d.absoluteSpread * a * a / n
		mseVariance += d.squaredSpread * s * s / n
	}
	wider := 1/n + 1/d.rows
	rmse := math.Sqrt(mse)
	return Regression{
		Rows: len(predicted), MAE: unbounded(mae, math.Sqrt(maeVariance*wider), level),
		RMSE: unbounded(rmse, math.Sqrt(mseVariance*wider)/(2*rmse), level), // d√x = dx/(2√x)
	}
}

// unbounded is an interval of a metric that is at least 0.
func unbounded(value, se, level float64) Interval {
	if !finite(value) || !finite(se) {
		return Interval{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	z := math.Sqrt2 * math.Erfinv(level)
	return Interval{Value: value, SE: se, Low: math.Max(0, value-z*se), High: value + z*se}
}
