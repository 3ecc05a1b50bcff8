package anytime

import (
	"math"
	"sort"
)

// DKW is the half-width of a band around an empirical distribution function of n independent values that holds everywhere
// and at all n at once with probability 1−alpha: 0.85·√((ln ln(e·n) + 0.8·ln(1612/α))/n) (Howard and Ramdas 2022, theorem 2),
// at most 1.
func DKW(n, alpha float64) float64 {
	if n < 1 {
		return 1
	}
	return min(1, 0.85*math.Sqrt((math.Log(math.Log(math.E*n))+0.8*math.Log(1612/alpha))/n))
}

// histogram answers how much lies above an edge.
type histogram struct {
	bounds []float64 // upper bound of each bin, ascending; the last may be +Inf
	above  []float64 // count above bounds[i], over the design effect
	n      float64
}

func newHistogram(bounds []float64, counts []uint64, effect float64) histogram {
	bins := min(len(bounds), len(counts))
	h := histogram{bounds: bounds[:bins], above: make([]float64, bins)}
	var sum uint64
	for i := bins - 1; i >= 0; i-- {
		h.above[i] = float64(sum) / effect
		sum += counts[i]
	}
	h.n = float64(sum) / effect
	return h
}

// over is the evidence that the p-quantile is above bounds[i], under that it is not: P(X > bounds[i]) against 1−p. Over
// falls with i and under rises, because counts do. So of all edges on the wrong side of the true quantile the nearest one
// would be rejected first, and one error probability covers them all.
func (h histogram) over(i int, p float64) float64 {
	if i < 0 {
		return -lowest
	}
	if i >= len(h.above) || math.IsInf(h.bounds[i], 1) {
		return lowest
	}
	return LogShareAbove(h.above[i], h.n, 1-p)
}

func (h histogram) under(i int, p float64) float64 {
	if i < 0 {
		return lowest
	}
	if i >= len(h.above) || math.IsInf(h.bounds[i], 1) {
		return -lowest
	}
	return LogShareBelow(h.above[i], h.n, 1-p)
}

// estimate is the upper bound of the quantile's bin, 0 without data; for an unbounded bin the bound below.
func (h histogram) estimate(p float64) float64 {
	if !(h.n > 0) {
		return 0
	}
	i := sort.Search(len(h.above), func(i int) bool { return h.above[i] <= (1-p)*h.n*(1+1e-12) })
	if i > 0 && math.IsInf(h.bounds[i], 1) {
		i--
	}
	return h.bounds[i]
}

// between is the interval of the p-quantile: edges of bins, 0 and +Inf where nothing is known.
func (h histogram) between(p, alphaLow, alphaHigh float64) (low, high float64) {
	if !(h.n > 0) {
		return 0, math.Inf(1)
	}
	first := sort.Search(len(h.above), func(i int) bool { return h.over(i, p) < math.Log(1/alphaLow) })
	if first > 0 {
		low = h.bounds[first-1]
	}
	last := sort.Search(len(h.above), func(i int) bool { return h.under(i, p) >= math.Log(1/alphaHigh) })
	high = math.Inf(1)
	if last < len(h.above) {
		high = h.bounds[last]
	}
	return low, high
}

// QuantileBounds is the always-valid interval of the p-quantile, 0 < p < 1, of positive values counted in fixed bins, the
// upper bounds of which are ascending: above low with confidence 1−alphaLow, at most high with 1−alphaHigh, at all looks at
// once (after Howard and Ramdas 2022, with a beta-binomial martingale for the count above each edge in place of their
// boundary). Its ends are edges of bins: it is exact for independent values and never narrower than the quantile's bin.
func QuantileBounds(bounds []float64, counts []uint64, p, designEffect, alphaLow, alphaHigh float64) (low, high float64) {
	return newHistogram(bounds, counts, max(1, designEffect)).between(p, alphaLow, alphaHigh)
}

// Parts of the error probability of a comparison of two quantiles: the canary has fewer values.
const (
	canaryPart = 0.75
	livePart   = 0.25
)

// Quantiles compares the p-quantile of positive values, counted in the same bins, between two arms. Harm: for some edge b the
// live quantile is at most b and the canary's is above b plus the tolerance. Non-inferior: for some edge b the live one is
// above b and the canary's at most b plus the margin. Each half is an exact test of QuantileBounds. A margin has to span two
// bins to be shown wherever in its bin the quantile lies: 19 % for eight bins to the octave. Requests that wait in one queue
// are late together: designEffect says how many count as one.
func Quantiles(bounds []float64, live, canary []uint64, p, designEffect float64, q Question) Verdict {
	effect := max(1, designEffect)
	l, c := newHistogram(bounds, live, effect), newHistogram(bounds, canary, effect)
	out := Verdict{
		Live: l.estimate(p), Canary: c.estimate(p), NLive: l.n * effect, NCanary: c.n * effect, DesignEffect: effect,
		Lower: math.Inf(-1), Upper: math.Inf(1),
	}
	out.Difference = out.Canary - out.Live
	out.Tolerance, out.Margin = q.Tolerance.Over(out.Live), q.Margin.Over(out.Live)
	if l.n > 0 && c.n > 0 {
		out.LogE = meet(len(l.above), func(j int) (rising, falling float64) {
			return l.under(j, p) + math.Log(livePart), c.over(c.from(l.bounds[j]+q.Tolerance.Over(l.bounds[j])), p) + math.Log(canaryPart)
		})
		out.LogSafe = meet(len(l.above), func(j int) (rising, falling float64) {
			return c.under(c.until(l.bounds[j]+q.Margin.Over(l.bounds[j])), p) + math.Log(canaryPart), l.over(j, p) + math.Log(livePart)
		})
		if q.Interval {
			ll, lh := l.between(p, q.beta()*livePart, q.Alpha*livePart)
			cl, ch := c.between(p, q.Alpha*canaryPart, q.beta()*canaryPart)
			out.Lower, out.Upper = cl-lh, ch-ll
		}
	}
	out.decide(q)
	return out
}

// from is the first edge not below x, until the last one not above it; a hair of rounding is forgiven.
func (h histogram) from(x float64) int {
	return sort.SearchFloat64s(h.bounds, x*(1-1e-9))
}

func (h histogram) until(x float64) int {
	return sort.Search(len(h.bounds), func(i int) bool { return h.bounds[i] > x*(1+1e-9) }) - 1
}

// meet is the largest minimum of a sequence that rises and one that falls.
func meet(n int, at func(i int) (rising, falling float64)) float64 {
	i := sort.Search(n, func(i int) bool {
		up, down := at(i)
		return up >= down
	})
	best := float64(lowest)
	for _, j := range []int{i - 1, i} {
		if j >= 0 && j < n {
			up, down := at(j)
			best = max(best, min(up, down))
		}
	}
	return best
}
