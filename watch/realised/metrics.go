package realised

import (
	"cmp"
	"math"
	"slices"
)

// clip keeps probabilities away from 0 and 1 in the log loss: it is computed on [2⁻⁵², 1−2⁻⁵²], as scikit-learn
// does for float64.
const clip = 0x1p-52

// BinaryMetrics are the metrics of a binary task over labelled rows. Each is NaN where it is not defined: all of them
// without rows, AUROC unless both classes occur, LogLoss and Brier when a score lies outside [0, 1].
type BinaryMetrics struct {
	Accuracy      float64 // share of rows where score ≥ threshold agrees with the truth
	AUROC         float64 // probability that a positive row scores above a negative one, ties counting ½
	LogLoss       float64 // mean of −ln of the probability given to the truth, clipped to [2⁻⁵², 1−2⁻⁵²]
	Brier         float64 // mean of (score − truth)²
	PositiveRate  float64 // share of positive rows
	PredictedRate float64 // share of rows with score ≥ threshold
}

type scored struct {
	score    float64
	positive bool
}

// Binary computes the metrics of scores against the truth; both have one element per row. Rows whose score is NaN
// count for PositiveRate only. The sums run in order of score, so the result has the same bits for every order of the
// rows. It takes O(n log n) and changes neither argument.
func Binary(scores []float64, positive []bool, threshold float64) BinaryMetrics {
	rows := make([]scored, 0, len(scores))
	var positives, right, predicted int
	for i, s := range scores {
		positives += count(positive[i])
		if math.IsNaN(s) {
			continue
		}
		rows = append(rows, scored{s, positive[i]})
		right += count((s >= threshold) == positive[i])
		predicted += count(s >= threshold)
	}
	slices.SortFunc(rows, func(a, b scored) int {
		if c := cmp.Compare(a.score, b.score); c != 0 {
			return c
		}
		return count(a.positive) - count(b.positive)
	})
	m := BinaryMetrics{
		Accuracy:      ratio(right, len(rows)),
		AUROC:         auroc(rows),
		PositiveRate:  ratio(positives, len(scores)),
		PredictedRate: ratio(predicted, len(rows)),
	}
	m.LogLoss, m.Brier = probabilistic(rows)
	return m
}

// auroc is the Mann-Whitney statistic U/(n₊n₋) of rows sorted by score. Twice U is counted in integers.
func auroc(rows []scored) float64 {
	var twice, positives, negatives uint64
	for i := 0; i < len(rows); {
		var p, n uint64
		j := i
		for ; j < len(rows) && rows[j].score == rows[i].score; j++ {
			if rows[j].positive {
				p++
			} else {
				n++
			}
		}
		twice += p * (2*negatives + n)
		positives, negatives, i = positives+p, negatives+n, j
	}
	if positives == 0 || negatives == 0 {
		return math.NaN()
	}
	return float64(twice) / (2 * float64(positives) * float64(negatives))
}

// probabilistic gives log loss and Brier score of rows sorted by score.
func probabilistic(rows []scored) (logLoss, brier float64) {
	n := len(rows)
	if n == 0 || rows[0].score < 0 || rows[n-1].score > 1 {
		return math.NaN(), math.NaN()
	}
	for _, r := range rows {
		y := float64(count(r.positive))
		brier += (r.score - y) * (r.score - y)
		p := min(max(r.score, clip), 1-clip)
		if r.positive {
			logLoss -= math.Log(p)
		} else {
			logLoss -= math.Log1p(-p)
		}
	}
	return logLoss / float64(n), brier / float64(n)
}

// RegressionMetrics are the errors of a regression over labelled rows, in the unit of the label; NaN without rows.
type RegressionMetrics struct {
	MAE  float64 // mean |prediction − truth|
	RMSE float64 // √ mean (prediction − truth)²
	Bias float64 // mean prediction − truth: positive when the model answers too high
}

// Regression computes the errors of predictions; both arguments have one finite element per row. Like Binary it gives
// the same bits for every order of the rows, and changes neither argument.
func Regression(predicted, truth []float64) RegressionMetrics {
	errs := make([]float64, len(predicted))
	for i, p := range predicted {
		errs[i] = p - truth[i]
	}
	slices.Sort(errs)
	var abs, square, sum float64
	for _, e := range errs {
		abs, square, sum = abs+math.Abs(e), square+e*e, sum+e
	}
	n := float64(len(errs)) // 0/0 is NaN
	return RegressionMetrics{MAE: abs / n, RMSE: math.Sqrt(square / n), Bias: sum / n}
}
