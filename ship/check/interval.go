package check

import (
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/mathext"

	"github.com/fairlead-ml/fairlead"
)

// resamples of a bootstrap.
const resamples = 500

// z is the two-sided normal quantile of a confidence: 1.96 for 0.95.
func z(confidence float64) float64 { return math.Sqrt2 * math.Erfinv(confidence) }

// studentT is the two-sided quantile of Student's t with df degrees of freedom: 2.262 for 0.95 and 9. It is +Inf for none.
func studentT(confidence, df float64) float64 {
	if df < 1 {
		return math.Inf(1)
	}
	// P(|T| > t) = I(df/(df+t²); df/2, 1/2), the regularised incomplete beta function.
	x := mathext.InvRegIncBeta(df/2, 0.5, 1-confidence)
	return math.Sqrt(df * (1 - x) / x)
}

// Wilson is the score interval of a proportion of k in n (Wilson 1927), [0, 1] for n = 0. k and n need not be whole: rows
// that belong together count as fewer.
func Wilson(k, n, confidence float64) (low, high float64) { return wilson(k, n, z(confidence)) }

func wilson(k, n, q float64) (low, high float64) {
	if n <= 0 || math.IsInf(q, 0) {
		return 0, 1
	}
	p, q2 := k/n, q*q
	middle := (p + q2/(2*n)) / (1 + q2/n)
	half := q / (1 + q2/n) * math.Sqrt(p*(1-p)/n+q2/(4*n*n))
	return max(0, middle-half), min(1, middle+half)
}

// Bootstrap computes a statistic of samples of units that are drawn with replacement, and gives its mean and standard
// deviation over them. statistic gets how often each unit was drawn. The same seed gives the same samples; those on which
// the statistic is NaN do not count, and where all are, both results are NaN.
func Bootstrap(units, samples int, seed uint64, statistic func(times []int) float64) (mean, deviation float64) {
	c := chance{seed}
	times := make([]int, units)
	var n, squares float64
	for range samples {
		clear(times)
		for range units {
			times[c.below(units)]++
		}
		x := statistic(times)
		if math.IsNaN(x) {
			continue
		}
		n++ // Welford 1962
		d := x - mean
		mean += d / n
		squares += d * (x - mean)
	}
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	return mean, math.Sqrt(squares / n)
}

// spread is what an interval is made of besides the value: a standard error, and how many of them to go either way.
type spread struct {
	se, q float64
	draws float64 // independent ones: rows, or clusters
}

// spreadOf is that of a mean with these influences: the root of Σ(Σ over a cluster)²/n², with the normal quantile. Of k
// clusters, which may be few, it is wider by √(k/(k−1)) and by Student's quantile with k − 1 degrees of freedom (Cameron,
// Gelbach and Miller 2008); one cluster shows nothing about others. clusters numbers them from 0 without gaps; nil: every
// row is one.
func spreadOf(influence []float64, clusters []int, confidence float64) spread {
	n := float64(len(influence))
	squares := 0.0
	if clusters == nil {
		for _, x := range influence {
			squares += x * x
		}
		return spread{math.Sqrt(squares) / n, z(confidence), n}
	}
	k := float64(1 + slices.Max(clusters))
	sums := make([]float64, int(k))
	for i, x := range influence {
		sums[clusters[i]] += x
	}
	for _, s := range sums {
		squares += s * s
	}
	if k < 2 {
		return spread{math.Inf(1), math.Inf(1), k}
	}
	return spread{math.Sqrt(squares*k/(k-1)) / n, studentT(confidence, k-1), k}
}

// renumber gives clusters the numbers from 0 without gaps.
func renumber(clusters []int) []int {
	if clusters == nil {
		return nil
	}
	known := map[int]int{}
	out := make([]int, len(clusters))
	for i, c := range clusters {
		if _, ok := known[c]; !ok {
			known[c] = len(known)
		}
		out[i] = known[c]
	}
	return out
}

// interval is the confidence interval of an estimate: Wilson's of a share, on the logit of auroc, by bootstrap for ece, else
// normal. Of rows that belong together a share counts as so many as give the same standard error.
func (j *judged) interval(e estimate, r rows, o *rows, clusters []int, confidence float64) (low, high float64) {
	m := j.m
	if math.IsNaN(e.value) {
		return math.NaN(), math.NaN()
	}
	if m.Metric == "ece" {
		return j.calibrationInterval(e.value, r, o, clusters, confidence)
	}
	s := spreadOf(e.influence, clusters, confidence)
	half := s.q * s.se
	switch {
	case o != nil || m.Metric == "bias":
		return e.value - half, e.value + half
	case e.share != nil:
		return e.share.interval(clusters != nil, e.influence, s)
	case m.Metric == "auroc":
		return logit(e.value, s, r.truth, confidence)
	case m.Metric == "rmse" && !math.IsInf(half, 0): // the square is a mean
		square, width := e.value*e.value, 2*e.value*half
		return math.Sqrt(max(0, square-width)), math.Sqrt(square + width)
	case m.Metric == "r2":
		return e.value - half, min(1, e.value+half)
	}
	if j.sample.Task == fairlead.TaskMulticlass && higherIsBetter(m.Metric) { // means over classes
		return max(0, e.value-half), min(1, e.value+half)
	}
	return max(0, e.value-half), e.value + half
}

// interval is Wilson's. Clusters make the rows count for fewer, by the design effect.
func (s *share) interval(clustered bool, influence []float64, together spread) (low, high float64) {
	n := s.n
	if clustered {
		alone := spreadOf(influence, nil, 0.5).se
		switch {
		case math.IsInf(together.se, 0):
			n = 0
		case together.se > 0:
			n *= min(1, alone*alone/(together.se*together.se))
		default: // all rows alike, or alike in every cluster
			n = min(n, together.draws)
		}
	}
	low, high = wilson(s.k/s.n*n, n, together.q)
	if s.value != nil {
		low, high = s.value(low), s.value(high)
	}
	return low, high
}

// logit is the interval of an auroc, normal on its logit. A perfect one has no spread to go by: there the bound is that of
// the rarer class, none of whose rows was ranked wrongly.
func logit(value float64, s spread, truth []float64, confidence float64) (low, high float64) {
	var positives float64
	for _, y := range truth {
		positives += y
	}
	rarer := min(positives, float64(len(truth))-positives, s.draws)
	edge := math.Pow((1-confidence)/2, 1/rarer)
	switch {
	case math.IsInf(s.se, 0):
		return 0, 1
	case value == 1:
		return edge, 1
	case value == 0:
		return 0, 1 - edge
	}
	at, half := math.Log(value/(1-value)), s.q*s.se/(value*(1-value))
	return 1 / (1 + math.Exp(half-at)), 1 / (1 + math.Exp(-half-at))
}

func formatNumber(x float64) string {
	if x == 0 {
		return "0" // and not -0
	}
	switch {
	case x == math.Trunc(x) && math.Abs(x) < 1e15:
		return strconv.FormatFloat(x, 'f', -1, 64)
	case math.Abs(x) >= 0.001 && math.Abs(x) < 10:
		return strconv.FormatFloat(x, 'f', 4, 64)
	}
	return strconv.FormatFloat(x, 'g', 5, 64)
}
