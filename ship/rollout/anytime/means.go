package anytime

import "math"

// LogLambda is the logarithm of the mixture sequential probability ratio for a difference d with variance v and a normal
// prior of scale tau on the effect: Λ = √(v/(v+τ²))·exp(τ²d²/(2v(v+τ²))) (Johari, Koomen, Pekelis and Walsh 2017). It tests
// "no difference" on two sides. Without data (v infinite or not positive) it is 0.
func LogLambda(d, v, tau float64) float64 {
	if !usable(v) || !(tau > 0) {
		return 0
	}
	t2 := tau * tau
	return 0.5*math.Log(v/(v+t2)) + t2*d*d/(2*v*(v+t2))
}

// LogLambdaAbove tests "d ≤ 0" against "d > 0": the mixture over the positive half of the prior,
// Λ₊ = 2·Λ·Φ(dτ/√(v(v+τ²))). It gains up to ln 2 over the two-sided one and falls towards −∞ where d is negative.
func LogLambdaAbove(d, v, tau float64) float64 {
	if !usable(v) || !(tau > 0) {
		return 0
	}
	return math.Ln2 + LogLambda(d, v, tau) + logNormalCDF(d*tau/math.Sqrt(v*(v+tau*tau)))
}

// HalfWidth is the always-valid half-width of the interval around d: h = √(v(v+τ²)/τ²·(2 ln(1/α) + ln((v+τ²)/v))). The
// interval d ± h holds the true difference at all looks with probability 1−α. It is +Inf without data.
func HalfWidth(v, tau, alpha float64) float64 {
	if !usable(v) || !(tau > 0) {
		return math.Inf(1)
	}
	t2 := tau * tau
	return math.Sqrt(v * (v + t2) / t2 * (2*math.Log(1/alpha) + math.Log((v+t2)/v)))
}

// HalfWidthAbove is the one-sided half-width: d − h is below the true difference at all looks with probability 1−α. It is
// where LogLambdaAbove(h) reaches ln(1/α).
func HalfWidthAbove(v, tau, alpha float64) float64 {
	if !usable(v) || !(tau > 0) {
		return math.Inf(1)
	}
	target := math.Log(1 / alpha)
	high := HalfWidth(v, tau, alpha) // Λ₊(h) ≥ Λ(h) for h ≥ 0
	low := 0.0
	for range 60 {
		mid := (low + high) / 2
		if LogLambdaAbove(mid, v, tau) >= target {
			high = mid
		} else {
			low = mid
		}
		if high-low <= 1e-10*high {
			break
		}
	}
	return high
}

func usable(v float64) bool { return v > 0 && !math.IsInf(v, 1) }

// logNormalCDF is ln Φ(x), with the asymptotic series far out on the left.
func logNormalCDF(x float64) float64 {
	if x > -30 {
		return math.Log(0.5 * math.Erfc(-x/math.Sqrt2))
	}
	x2 := x * x
	return -0.5*x2 - 0.5*math.Log(2*math.Pi) - math.Log(-x) + math.Log1p(-1/x2+3/(x2*x2))
}

// Means compares the means of two arms, cells being the units of chance. It is a large-sample test: the variance is
// estimated between cells, is at least the one of independent requests where SumSquares is given, and is widened for few
// degrees of freedom. The priors' scales are Effect times the live mean for harm and the margin for non-inferiority; where
// one of them is zero the other stands in. A single cell in an arm, or fewer than two outcomes, leaves it undecided.
func Means(live, canary []Cell, q Question) Verdict {
	l, c := Total(live), Total(canary)
	ul, uc := l.variance(), c.variance()
	e := ClusterDifference(live, canary, ul, uc)
	var independent float64
	if l.N > 0 && c.N > 0 {
		independent = ul/l.N + uc/c.N
	}
	v, effect := e.Variance*studentFactor(e.Freedom, q.Alpha), 1.0
	if independent > 0 {
		v = max(v, independent)
		effect = max(1, v/independent)
	}
	return meansVerdict(l, c, v, effect, q)
}

// MeansOf compares the means of two arms whose outcomes are independent up to a design effect (1: independent).
func MeansOf(live, canary Cell, designEffect float64, q Question) Verdict {
	v := math.Inf(1)
	if live.N >= 2 && canary.N >= 2 {
		freedom := live.N + canary.N - 2
		v = (live.variance()/live.N + canary.variance()/canary.N) * max(1, designEffect) * studentFactor(freedom, q.Alpha)
	}
	return meansVerdict(live, canary, v, max(1, designEffect), q)
}

func meansVerdict(l, c Cell, v, effect float64, q Question) Verdict {
	out := Verdict{
		Live: l.Mean(), Canary: c.Mean(), NLive: l.N, NCanary: c.N, DesignEffect: effect,
		Difference: c.Mean() - l.Mean(), Lower: math.Inf(-1), Upper: math.Inf(1),
	}
	out.Tolerance, out.Margin = q.Tolerance.Over(out.Live), q.Margin.Over(out.Live)
	up, down := q.effect()*math.Abs(out.Live), out.Margin
	if !(up > 0) {
		up = down
	}
	if !(down > 0) {
		down = up
	}
	out.LogE = LogLambdaAbove(out.Difference-out.Tolerance, v, up)
	out.LogSafe = LogLambdaAbove(out.Margin-out.Difference, v, down)
	if q.Interval {
		out.Lower = out.Difference - HalfWidthAbove(v, up, q.Alpha)
		out.Upper = out.Difference + HalfWidthAbove(v, down, q.beta())
	}
	out.decide(q)
	return out
}

// variance of a single outcome, 0 if SumSquares was not given.
func (c Cell) variance() float64 {
	if c.N < 2 || c.SumSquares <= 0 {
		return 0
	}
	m := c.Sum / c.N
	return max(0, (c.SumSquares/c.N-m*m)*c.N/(c.N-1))
}
