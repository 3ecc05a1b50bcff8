package anytime

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// lowest is where evidence ends: e^-700 is no wealth at all, and numbers stay finite.
const lowest = -700

// LogBetaBinomial is the beta-binomial mixture martingale of k events in n trials against the rate p0:
// ln B(a+k, b+n−k) − ln B(a, b) − k ln p0 − (n−k) ln(1−p0). It tests p = p0 on two sides. k and n may be fractions.
func LogBetaBinomial(k, n, p0, a, b float64) float64 {
	if !(n > 0) {
		return 0
	}
	return mathext.Lbeta(a+k, b+n-k) - mathext.Lbeta(a, b) - weigh(k, p0) - weigh(n-k, 1-p0)
}

// LogShareAbove is the evidence that a rate is above p0, 0 < p0 < 1: the mixture of LogBetaBinomial with a = 1, b = (1−p0)/p0
// cut to (p0, 1), a prior whose mean is about 2·p0. It is an e-process against every rate up to p0, exact for independent
// trials of any number.
func LogShareAbove(k, n, p0 float64) float64 {
	a, b := 1.0, (1-p0)/p0
	return cut(k, n, p0, a, b, mathext.RegIncBeta(b+n-k, a+k, 1-p0), mathext.RegIncBeta(b, a, 1-p0))
}

// LogShareBelow is the evidence that a rate is below p0: the same mixture cut to (0, p0).
func LogShareBelow(k, n, p0 float64) float64 {
	a, b := 1.0, (1-p0)/p0
	return cut(k, n, p0, a, b, mathext.RegIncBeta(a+k, b+n-k, p0), mathext.RegIncBeta(a, b, p0))
}

func cut(k, n, p0, a, b, posterior, prior float64) float64 {
	if !(n > 0) {
		return 0
	}
	if posterior < 1e-290 { // the library ends near e^-709, the martingale goes on: their sum would be evidence out of nothing
		return lowest
	}
	return max(lowest, LogBetaBinomial(k, n, p0, a, b)+math.Log(posterior)-math.Log(prior))
}

// ShareBounds is the always-valid interval of one rate: it is above low with confidence 1−alphaLow and below high with
// 1−alphaHigh, at all looks at once, exact for independent trials.
func ShareBounds(k, n, alphaLow, alphaHigh float64) (low, high float64) {
	if !(n > 0) {
		return 0, 1
	}
	k = min(n, max(0, k)) // counts that are taken while they grow may not fit each other
	rate := k / n
	if k > 0 {
		low = edge(rate, 0, math.Log(1/alphaLow), func(p float64) float64 { return LogShareAbove(k, n, p) })
	}
	high = 1
	if k < n {
		high = edge(rate, 1, math.Log(1/alphaHigh), func(p float64) float64 { return LogShareBelow(k, n, p) })
	}
	return low, high
}

// edge finds the rejected rate next to the estimate, on the side of the estimate that end is on.
func edge(inside, end, target float64, evidence func(float64) float64) float64 {
	outside := end
	for range 60 {
		mid := (inside + outside) / 2
		if mid <= 1e-12 || mid >= 1-1e-12 {
			return end
		}
		if evidence(mid) >= target {
			outside = mid
		} else {
			inside = mid
		}
		if math.Abs(outside-inside) <= 1e-7*outside {
			break
		}
	}
	return outside
}

// Tolerated compares one rate, such as the flips of a shadow in n pairs, with a tolerated one: harm where it is above
// Tolerance.Absolute, non-inferior where it is below Margin.Absolute (Tolerance.Absolute if zero). designEffect divides the
// counts. A tolerated rate of zero is broken by the first event.
func Tolerated(k, n, designEffect float64, q Question) Verdict {
	out := Verdict{
		NCanary: n, Canary: Cell{N: n, Sum: k}.Mean(), DesignEffect: max(1, designEffect), Upper: 1,
		Tolerance: q.Tolerance.Absolute, Margin: q.Margin.Absolute,
	}
	if !(out.Margin > 0) {
		out.Margin = out.Tolerance
	}
	out.Difference = out.Canary
	k = min(n, max(0, k))
	k, n = k/out.DesignEffect, n/out.DesignEffect
	switch {
	case out.Tolerance >= 1:
	case out.Tolerance > 0:
		out.LogE = LogShareAbove(k, n, out.Tolerance)
	case k > 0:
		out.LogE = -lowest
	}
	switch {
	case out.Margin >= 1:
		out.LogSafe = -lowest
	case out.Margin > 0:
		out.LogSafe = LogShareBelow(k, n, out.Margin)
	}
	if q.Interval {
		out.Lower, out.Upper = ShareBounds(k, n, q.Alpha, q.beta())
	}
	out.decide(q)
	return out
}
