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

// Sums are what the metrics of a task are computed from. They add up: those of a day are those of its hours. The zero Sums
// are those of nothing.
type Sums struct {
	N, Labelled      uint64
	known, positives uint64
	judged, right    uint64
	decided, chosen  uint64 // chosen: decided for the positive class
	bins             [2][Bins]uint64
	scored, out      uint64
	first, second    float64 // sums of Cell
	third, fourth    float64
}

// Add adds a cell of a task.
func (s *Sums) Add(task fairlead.Task, c Cell) {
	s.N += c.N
	if c.Labelled {
		s.Labelled += c.N
	}
	if task == fairlead.TaskBinary && c.Decision != nil {
		s.decided += c.N
		if *c.Decision {
			s.chosen += c.N
		}
	}
	if c.Truth == nil {
		return
	}
	s.known += c.N
	if *c.Truth {
		s.positives += c.N
	}
	if c.Decision != nil {
		s.judged += c.N
		if task == fairlead.TaskBinary && *c.Decision == *c.Truth || task != fairlead.TaskBinary && *c.Decision {
			s.right += c.N
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
		s.out += c.N
		return
	case task == fairlead.TaskBinary && *c.Truth:
		s.bins[1][c.Bin] += c.N
	case task == fairlead.TaskBinary:
		s.bins[0][c.Bin] += c.N
	}
	s.scored += c.N
	s.first, s.second = s.first+c.Sums[0], s.second+c.Sums[1]
	s.third, s.fourth = s.third+c.Sums[2], s.fourth+c.Sums[3]
}

// Metric is a value with its 95 % confidence interval; NaN where it is not defined.
type Metric struct{ Value, Low, High float64 }

// Metrics gives those of Names(task). They are those of Compute, but for AUROC, whose ties are the scores of one bin, and
// which is NaN where a score lies outside of [0, 1].
func (s *Sums) Metrics(task fairlead.Task) map[string]Metric {
	out := map[string]Metric{}
	switch task {
	case fairlead.TaskBinary:
		out["accuracy"] = share(s.right, s.judged)
		out["positive_rate"] = share(s.positives, s.known)
		out["predicted_rate"] = share(s.chosen, s.decided)
		undefined := Metric{math.NaN(), math.NaN(), math.NaN()}
		out["auroc"], out["log_loss"], out["brier"] = undefined, undefined, undefined
		if s.out == 0 {
			out["auroc"] = s.auroc()
			out["log_loss"] = mean(s.first, s.second, s.scored, 0)
			out["brier"] = mean(s.third, s.fourth, s.scored, 0)
		}
	case fairlead.TaskMulticlass:
		out["accuracy"] = share(s.right, s.judged)
	case fairlead.TaskRegression:
		out["bias"] = mean(s.first, s.third, s.scored, math.Inf(-1))
		out["mae"] = mean(s.second, s.third, s.scored, 0)
		square := mean(s.third, s.fourth, s.scored, 0)
		out["rmse"] = Metric{math.Sqrt(square.Value), math.Sqrt(square.Low), math.Sqrt(square.High)}
	}
	return out
}

const z95 = 1.959963984540054

// share is k of n with the score interval of Wilson (1927).
func share(k, n uint64) Metric {
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
func (s *Sums) auroc() Metric {
	var below, positives, negatives, wins float64
	for b := range Bins {
		p, n := float64(s.bins[1][b]), float64(s.bins[0][b])
		wins += p * (below + n/2)
		below += n
		positives, negatives = positives+p, negatives+n
	}
	if positives == 0 || negatives == 0 {
		return Metric{math.NaN(), math.NaN(), math.NaN()}
	}
	a := wins / positives / negatives
	q1, q2 := a/(2-a), 2*a*a/(1+a)
	half := z95 * math.Sqrt(max(0, (a*(1-a)+(positives-1)*(q1-a*a)+(negatives-1)*(q2-a*a))/positives/negatives))
	return Metric{a, max(0, a-half), min(1, a+half)}
}
