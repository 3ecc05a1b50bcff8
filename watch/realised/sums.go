package realised

import (
	"math"

	"github.com/fairlead-ml/fairlead"
)

// Bins is how many equal parts of [0, 1] the scores of a binary task are counted in. AUROC takes scores of one part for ties.
const Bins = 100

// Bins that are none.
const (
	NoScore = -1
	Outside = -2 // of [0, 1]
)

// Cell counts predictions that are alike. For a binary task Truth is the label and Decision what was decided; for a multi-class one
// Decision says whether it was right; for a regression whether there was a value.
type Cell struct {
	Labelled bool
	Truth    *bool // nil: without a label, or one that is not understood
	Decision *bool // nil: there was none
	Bin      int   // of the score of a binary task
	N        uint64
	// Sums over those with a truth and a score. Binary: log loss, its square, Brier score, its square. Regression: error,
	// absolute error, squared error, its square.
	Sums [4]float64
}

// Totals are what the metrics of a task are computed from.
type Totals struct {
	N, Labelled      uint64
	Known, Positives uint64 // labels that are understood
	Judged, Right    uint64
	Decided, Chosen  uint64     // Chosen: decided for the positive class
	Scored, Outside  uint64     // labels whose score is in one of the bins, and outside of [0, 1]
	Sums             [4]float64 // those of Cell, over Scored
	// Wins are the pairs of a positive and a negative scored prediction of which the positive has the higher bin; equal ones
	// count ½. Above and Below are how many of each there are.
	Wins         float64
	Above, Below uint64
}

// Sums add up: those of a day are those of its hours. The zero Sums are those of nothing.
type Sums struct {
	total Totals
	bins  [2][Bins]uint64
}

// Add adds a cell of a task.
func (s *Sums) Add(task fairlead.Task, c Cell) {
	t := &s.total
	t.N += c.N
	if c.Labelled {
		t.Labelled += c.N
	}
	if task == fairlead.TaskBinary && c.Decision != nil {
		t.Decided += c.N
		if *c.Decision {
			t.Chosen += c.N
		}
	}
	if c.Truth == nil {
		return
	}
	t.Known += c.N
	if *c.Truth {
		t.Positives += c.N
	}
	if c.Decision != nil {
		t.Judged += c.N
		if task == fairlead.TaskBinary && *c.Decision == *c.Truth || task != fairlead.TaskBinary && *c.Decision {
			t.Right += c.N
		}
	}
	s.score(task, c)
}

// score adds what the score of labelled predictions says.
func (s *Sums) score(task fairlead.Task, c Cell) {
	switch {
	case task == fairlead.TaskRegression && c.Decision == nil, task == fairlead.TaskBinary && c.Bin == NoScore, task == fairlead.TaskMulticlass:
		return
	case task == fairlead.TaskBinary && c.Bin == Outside:
		s.total.Outside += c.N
		return
	case task == fairlead.TaskBinary && *c.Truth:
		s.bins[1][c.Bin] += c.N
	case task == fairlead.TaskBinary:
		s.bins[0][c.Bin] += c.N
	}
	s.total.Scored += c.N
	for i, x := range c.Sums {
		s.total.Sums[i] += x
	}
}

// Totals gives what was added.
func (s *Sums) Totals() Totals {
	t := s.total
	var below float64
	for b := range Bins {
		p, n := s.bins[1][b], s.bins[0][b]
		t.Wins += float64(p) * (below + float64(n)/2)
		below += float64(n)
		t.Above, t.Below = t.Above+p, t.Below+n
	}
	return t
}

// Metric is a value with its 95 % confidence interval; NaN where it is not defined.
type Metric struct{ Value, Low, High float64 }

// Metrics gives those of Names(task). They are those of Compute, but for AUROC, whose ties are the scores of one bin, and
// which is NaN where a score lies outside of [0, 1].
func (t *Totals) Metrics(task fairlead.Task) map[string]Metric {
	out := map[string]Metric{}
	switch task {
	case fairlead.TaskBinary:
		out["accuracy"] = Share(t.Right, t.Judged)
		out["positive_rate"] = Share(t.Positives, t.Known)
		out["predicted_rate"] = Share(t.Chosen, t.Decided)
		undefined := Metric{math.NaN(), math.NaN(), math.NaN()}
		out["auroc"], out["log_loss"], out["brier"] = undefined, undefined, undefined
		if t.Outside == 0 {
			out["auroc"] = t.auroc()
			out["log_loss"] = mean(t.Sums[0], t.Sums[1], t.Scored, 0)
			out["brier"] = mean(t.Sums[2], t.Sums[3], t.Scored, 0)
		}
	case fairlead.TaskMulticlass:
		out["accuracy"] = Share(t.Right, t.Judged)
	case fairlead.TaskRegression:
		out["bias"] = mean(t.Sums[0], t.Sums[2], t.Scored, math.Inf(-1))
		out["mae"] = mean(t.Sums[1], t.Sums[2], t.Scored, 0)
		square := mean(t.Sums[2], t.Sums[3], t.Scored, 0)
		out["rmse"] = Metric{math.Sqrt(square.Value), math.Sqrt(square.Low), math.Sqrt(square.High)}
	}
	return out
}

const z95 = 1.959963984540054

// Share is k of n with the score interval of Wilson (1927).
func Share(k, n uint64) Metric {
	if n == 0 {
		return Metric{math.NaN(), math.NaN(), math.NaN()}
	}
	p, m := float64(k)/float64(n), float64(n)
	centre := (p + z95*z95/(2*m)) / (1 + z95*z95/m)
	half := z95 / (1 + z95*z95/m) * math.Sqrt(p*(1-p)/m+z95*z95/(4*m*m))
	return Metric{p, max(0, centre-half), min(1, centre+half)}
}

// mean is sum/n with a normal interval from the sum of squares, which ends at least.
func mean(sum, squares float64, n uint64, least float64) Metric {
	if n == 0 {
		return Metric{math.NaN(), math.NaN(), math.NaN()}
	}
	m := float64(n)
	value := sum / m
	half := z95 * math.Sqrt(max(0, squares/m-value*value)/m)
	return Metric{value, max(least, value-half), value + half}
}

// auroc is the Mann-Whitney statistic of the bins, with the interval of Hanley and McNeil (1982).
func (t *Totals) auroc() Metric {
	if t.Above == 0 || t.Below == 0 {
		return Metric{math.NaN(), math.NaN(), math.NaN()}
	}
	positives, negatives := float64(t.Above), float64(t.Below)
	a := t.Wins / positives / negatives
	q1, q2 := a/(2-a), 2*a*a/(1+a)
	half := z95 * math.Sqrt(max(0, (a*(1-a)+(positives-1)*(q1-a*a)+(negatives-1)*(q2-a*a))/positives/negatives))
	return Metric{a, max(0, a-half), min(1, a+half)}
}
