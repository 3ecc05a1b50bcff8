package estimate

import "math"

// Slots is what labelled reference rows say of each bin of the score, in ascending order of it.
type Slots struct {
	Rows, Positive, Predicted, Correct []uint64 // labelled rows, and of them those that are positive, predicted to be, predicted right
	// Ordered says that bins lie beside each other, so that one without labelled rows is between its neighbours. Otherwise each
	// stands for a value, and rows with another one are left out.
	Ordered bool
}

// slot is one bin of a window: n rows, of which the share p is positive and the share d predicted to be.
type slot struct {
	n, p, d   float64
	tp        float64 // share of the rows that are both
	reference float64 // labelled rows behind p
}

// FromCounts is CBPE from counters alone: a window's rows, counted by bins of the score, and what the reference's labels say
// of each bin. It needs no row of the window, so that any window can be estimated after the fact, and windows add up. Where
// bins are ordered the share of positives is smoothed by the isotonic fit over them, as a calibrator's is.
//
// Against EstimateBinary it loses what happens within a bin: with 64 bins of the reference's quantiles next to nothing, and
// with scores of a few values nothing. Standard errors are those of the delta method: of the window's own labels, and of the
// labels in each bin of the reference. level is the coverage of the intervals.
func FromCounts(s Slots, window []uint64, level float64) Binary {
	var out Binary
	slots := s.slots(window, &out)
	if out.Rows == 0 {
		return out.undefined()
	}
	for _, w := range slots {
		tp := w.n * w.tp
		out.TP += tp
		out.FP += w.n*w.d - tp
		out.FN += w.n*w.p - tp
		out.TN += w.n - w.n*w.d - w.n*w.p + tp
	}
	n, positive, predicted := float64(out.Rows), out.TP+out.FN, out.TP+out.FP
	negative, both := n-positive, positive+predicted
	metric := func(value float64, yes, no float64) Interval { // what one more positive does to it, among predicted rows and others
		return interval(value, spread(slots, func(_ int, d float64) float64 { return d*yes + (1-d)*no }), level)
	}
	out.Accuracy = metric((out.TP+out.TN)/n, 1/n, -1/n)
	out.Precision = metric(out.TP/predicted, 1/predicted, 0)
	out.Recall = metric(out.TP/positive, out.FN/(positive*positive), -out.TP/(positive*positive))
	out.Specificity = metric(out.TN/negative, out.TN/(negative*negative), (out.TN-negative)/(negative*negative))
	out.F1 = metric(2*out.TP/both, 2*(both-out.TP)/(both*both), -2*out.TP/(both*both))
	out.AUROC = rankedSlots(slots, positive, negative, level)
	out.AveragePrecision = Interval{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	return out
}

func (b Binary) undefined() Binary {
	none := Interval{math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	b.Accuracy, b.Precision, b.Recall, b.Specificity, b.F1, b.AUROC, b.AveragePrecision = none, none, none, none, none, none, none
	return b
}

// slots joins a window's counts with what is known of the bins, and counts the rows into out.
func (s Slots) slots(window []uint64, out *Binary) []slot {
	x, y, weight := make([]float64, 0, len(s.Rows)), make([]float64, 0, len(s.Rows)), make([]float64, 0, len(s.Rows))
	for j, rows := range s.Rows {
		if rows > 0 {
			x, y, weight = append(x, float64(j)), append(y, float64(s.Positive[j])/float64(rows)), append(weight, float64(rows))
		}
	}
	smooth := FitIsotonic(x, y, weight)
	var slots []slot
	for j, count := range window {
		rows := float64(s.Rows[j])
		w := slot{n: float64(count), reference: rows}
		switch {
		case count == 0:
			continue
		case rows == 0 && (!s.Ordered || len(x) == 0):
			out.Skipped += int(count) // #nosec G115 -- rows of a window
			continue
		case rows == 0:
			near := s.nearest(j)
			w.p, w.d, w.reference = smooth.At(float64(j)), math.Round(float64(s.Predicted[near])/float64(s.Rows[near])), float64(s.Rows[near])
		default:
			w.p, w.d = float64(s.Positive[j])/rows, float64(s.Predicted[j])/rows
			if s.Ordered {
				w.p = smooth.At(float64(j))
			}
		}
		w.tp = w.d * w.p
		if w.d > 0 && w.d < 1 { // the threshold lies in this bin: what is above it is more often positive
			w.p = float64(s.Positive[j]) / rows
			w.tp = (float64(s.Correct[j]) - rows + float64(s.Positive[j]) + float64(s.Predicted[j])) / (2 * rows)
		}
		out.Rows += int(count) // #nosec G115 -- rows of a window
		slots = append(slots, w)
	}
	return slots
}

// nearest is the bin with labelled rows that is nearest to j, the lower one of two.
func (s Slots) nearest(j int) int {
	for gap := 1; gap < len(s.Rows); gap++ {
		if j-gap >= 0 && s.Rows[j-gap] > 0 {
			return j - gap
		}
		if j+gap < len(s.Rows) && s.Rows[j+gap] > 0 {
			return j + gap
		}
	}
	return j
}

// spread is the standard error of a metric that changes by effect for each row of slot i that turns positive.
func spread(slots []slot, effect func(i int, d float64) float64) float64 {
	sum := 0.0
	for i, w := range slots {
		e := effect(i, w.d)
		// Laplace keeps a bin without positives from being certain.
		known := (w.p*w.reference + 0.5) / (w.reference + 1)
		sum += e * e * w.n * w.p * (1 - w.p)                                      // the window's labels
		sum += e * e * w.n * w.n * known * (1 - known) / math.Max(w.reference, 1) // the reference's
	}
	return math.Sqrt(sum)
}

// rankedSlots is the AUROC, rows of one bin being ties.
func rankedSlots(slots []slot, positive, negative, level float64) Interval {
	if len(slots) < 2 { // nothing is ranked
		return interval(math.NaN(), math.NaN(), level)
	}
	auc, below := 0.0, 0.0
	lower := make([]float64, len(slots)) // negatives below, half of its own included
	for i, w := range slots {
		own := w.n * (1 - w.p)
		lower[i] = below + own/2
		auc += w.n * w.p * lower[i]
		below += own
	}
	auc /= positive * negative
	above := 0.0
	upper := make([]float64, len(slots)) // positives above, half of its own included
	for i := len(slots) - 1; i >= 0; i-- {
		own := slots[i].n * slots[i].p
		upper[i] = above + own/2
		above += own
	}
	se := spread(slots, func(i int, _ float64) float64 {
		return (lower[i]-upper[i])/(positive*negative) - auc/positive + auc/negative
	})
	return interval(auc, se, level)
}
