package estimate

import (
	"cmp"
	"math"
	"slices"
)

// Row is a prediction of a binary task without its label.
type Row struct {
	Score       float64 // raw: it orders the rows of the AUROC
	Probability float64 // calibrated
	Predicted   bool    // what was served
}

// Cells are the expected numbers of a confusion matrix.
type Cells struct{ TP, FP, FN, TN float64 }

// Interval is an expected metric and where the metric of the labels will lie in so many of 100 cases.
type Interval struct {
	Value float64 `json:"value"` // NaN where it is not defined
	SE    float64 `json:"se"`    // standard error of the realised metric around Value
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Binary are the expected metrics of a window of rows. Rows whose probability is no number in [0,1] are left out and counted.
type Binary struct {
	Cells
	Rows, Skipped                            int
	Accuracy, Precision, Recall, Specificity Interval
	F1, AUROC, AveragePrecision              Interval
}

// EstimateBinary is CBPE (NannyML): with calibrated probabilities p the expected cells are TP = Σŷp, FP = Σŷ(1−p), FN = Σ(1−ŷ)p,
// TN = Σ(1−ŷ)(1−p), and metrics follow. calibrated is how many labelled rows the calibrator was fitted on (with weights: Kish's
// effective number), which adds to the standard error; 0 is infinitely many. level is the coverage of the intervals, for
// example 0.95.
//
// The standard errors are those of the delta method: labels are independent with the given probabilities, so a metric g has the variance
// Σ (∂g/∂yᵢ)²·pᵢ(1−pᵢ), times 1 + n/calibrated for what the calibrator does not know.
func EstimateBinary(rows []Row, calibrated, level float64) Binary {
	e := Binary{}
	kept := make([]Row, 0, len(rows))
	var spread [2]float64 // Σp(1−p) of the rows that were predicted negative and positive
	for _, r := range rows {
		p := r.Probability
		if !valid(p) || math.IsNaN(r.Score) {
			e.Skipped++
			continue
		}
		kept = append(kept, r)
		spread[int(indicator(r.Predicted))] += p * (1 - p)
		if r.Predicted {
			e.TP, e.FP = e.TP+p, e.FP+1-p
		} else {
			e.FN, e.TN = e.FN+p, e.TN+1-p
		}
	}
	e.Rows = len(kept)
	n, wider := float64(e.Rows), 1.0
	if calibrated > 0 {
		wider += n / calibrated
	}
	// metric has its value and how it moves when one label becomes positive among rows predicted positive (a) and negative (b).
	metric := func(value, a, b float64) Interval {
		return interval(value, math.Sqrt(wider*(a*a*spread[1]+b*b*spread[0])), level)
	}
	predicted, actual := e.TP+e.FP, e.TP+e.FN
	precision, recall, specificity := e.TP/predicted, e.TP/actual, e.TN/(n-actual)
	f1 := 2 * e.TP / (predicted + actual)
	e.Accuracy = metric((e.TP+e.TN)/n, 1/n, -1/n)
	e.Precision = metric(precision, 1/predicted, 0)
	e.Recall = metric(recall, (1-recall)/actual, -recall/actual)
	e.Specificity = metric(specificity, specificity/(n-actual), (specificity-1)/(n-actual))
	e.F1 = metric(f1, (2-f1)/(predicted+actual), -f1/(predicted+actual))
	e.AUROC, e.AveragePrecision = ranked(kept, wider, level)
	return e
}

// interval is a metric in [0,1] with its bounds.
func interval(value, se, level float64) Interval {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return Interval{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	}
	z := math.Sqrt2 * math.Erfinv(level)
	return Interval{Value: value, SE: se, Low: math.Max(0, value-z*se), High: math.Min(1, value+z*se)}
}

// ranked are the metrics of the order of raw scores, with expected true and false positives at each score: ties are one point.
func ranked(rows []Row, wider, level float64) (auroc, ap Interval) {
	slices.SortFunc(rows, func(a, b Row) int {
		if c := cmp.Compare(b.Score, a.Score); c != 0 {
			return c
		}
		return cmp.Compare(a.Probability, b.Probability)
	})
	positives := 0.0
	for _, r := range rows {
		positives += r.Probability
	}
	negatives := float64(len(rows)) - positives
	pairs := positives * negatives
	area, precision := 0.0, 0.0
	// above[i] are the positives that score higher than row i, counting half of those that score the same; below the negatives that score lower.
	above, below := make([]float64, len(rows)), make([]float64, len(rows))
	tp, fp := 0.0, 0.0
	for i := 0; i < len(rows); {
		j, p := i, 0.0
		for ; j < len(rows) && rows[j].Score == rows[i].Score; j++ {
			p += rows[j].Probability
		}
		f := float64(j-i) - p
		area += f * (tp + p/2)
		for k := i; k < j; k++ {
			above[k], below[k] = tp+p/2, negatives-fp-f/2
		}
		tp, fp = tp+p, fp+f
		precision += p * tp / float64(j)
		i = j
	}
	value, variance := area/pairs, 0.0
	for i, r := range rows {
		slope := (below[i] - above[i] - value*(negatives-positives)) / pairs
		variance += slope * slope * r.Probability * (1 - r.Probability)
	}
	auroc = interval(value, math.Sqrt(wider*variance), level)
	return auroc, interval(precision/positives, averagePrecisionSE(rows, precision/positives, positives, wider), level)
}

// averagePrecisionSE is the delta method for AP = Σ yᵢ·Pᵢ / P with Pᵢ the precision down to row i: a label adds its own precision and a part
// to that of every positive below it.
func averagePrecisionSE(rows []Row, ap, positives, wider float64) float64 {
	down := make([]float64, len(rows)) // precision down to each row
	tp := 0.0
	for i, r := range rows {
		tp += r.Probability
		down[i] = tp / float64(i+1)
	}
	variance, lower := 0.0, 0.0 // Σ over rows below of p/rank
	for i := len(rows) - 1; i >= 0; i-- {
		p := rows[i].Probability
		lower += p / float64(i+1)
		slope := (down[i] + lower - ap) / positives
		variance += slope * slope * p * (1 - p)
	}
	return math.Sqrt(wider * variance)
}
