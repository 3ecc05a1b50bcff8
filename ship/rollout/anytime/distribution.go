package anytime

import "math"

// Distance is the Kolmogorov-Smirnov distance of two histograms with the same bins: the largest difference of their
// distribution functions at an edge. It is 0 where one of them is empty.
func Distance(live, canary []uint64) float64 {
	nl, nc := count(live), count(canary)
	most := 0.0
	edges(live, canary, nl, nc, func(d float64) { most = max(most, math.Abs(d)) })
	return most
}

// edges gives canary minus live at each inner edge.
func edges(live, canary []uint64, nl, nc float64, see func(d float64)) {
	if nl == 0 || nc == 0 {
		return
	}
	var l, c float64
	for i := range min(len(live), len(canary)) - 1 {
		l += float64(live[i])
		c += float64(canary[i])
		see(c/nc - l/nl)
	}
}

func count(counts []uint64) float64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return float64(n)
}

// PSI is the population stability index Σ(c−l)·ln(c/l) of the bins' shares, each bin with half a count added so that an
// empty one has a logarithm. It is an effect size to report, not a test.
func PSI(live, canary []uint64) float64 {
	bins := min(len(live), len(canary))
	nl, nc := count(live)+float64(bins)/2, count(canary)+float64(bins)/2
	var sum float64
	for i := range bins {
		l, c := (float64(live[i])+0.5)/nl, (float64(canary[i])+0.5)/nc
		sum += (c - l) * math.Log(c/l)
	}
	return sum
}

// Distributions compares the distributions of a value, such as the score, between two arms in the same window, so that a
// drift of the input cancels. The limits are distances (Absolute): harm when the distribution functions are shown to differ
// by more than the tolerance at some edge, non-inferior when they are shown to differ by less than the margin at every
// edge. Difference is the distance.
//
// The count below an edge is a sum of values between 0 and 1, which is sub-Gaussian with variance 1/4 each: with
// V = D/4·(1/n_live + 1/n_canary) LogLambdaAbove is an e-process at every sample size, of each edge and sign. Their mean is the
// evidence of harm, their minimum the evidence of non-inferiority, which therefore pays nothing for the number of edges.
func Distributions(live, canary []uint64, designEffect float64, q Question) Verdict {
	out := Verdict{NLive: count(live), NCanary: count(canary), DesignEffect: max(1, designEffect), Upper: 1}
	out.Tolerance, out.Margin = max(0, q.Tolerance.Absolute), max(0, q.Margin.Absolute)
	if out.NLive > 0 && out.NCanary > 0 {
		v := out.DesignEffect / 4 * (1/out.NLive + 1/out.NCanary)
		up, down := q.effect()*out.Tolerance, out.Margin
		if !(up > 0) {
			up = max(out.Margin, 0.01)
		}
		if !(down > 0) {
			down = up
		}
		var logs, weights []float64
		edges(live, canary, out.NLive, out.NCanary, func(d float64) {
			out.Difference = max(out.Difference, math.Abs(d))
			logs = append(logs, LogLambdaAbove(d-out.Tolerance, v, up), LogLambdaAbove(-d-out.Tolerance, v, up))
		})
		if len(logs) > 0 {
			weights = make([]float64, len(logs))
			for i := range weights {
				weights[i] = 1 / float64(len(logs))
			}
			out.LogE = max(lowest, logMean(logs, weights))
			out.LogSafe = max(lowest, LogLambdaAbove(out.Margin-out.Difference, v, down))
			if q.Interval {
				out.Lower = max(0, out.Difference-HalfWidthAbove(v, up, q.Alpha/float64(len(logs))))
				out.Upper = min(1, out.Difference+HalfWidthAbove(v, down, q.beta()))
			}
		}
	}
	out.decide(q)
	return out
}

// LogSameDistribution is the evidence that two histograms differ at all, by however little: given its bin, a value is the
// canary's with probability weight if the arms are alike, whatever the distribution and however it moves in time. The
// product of beta-binomial martingales over bins (a = c·weight, b = c·(1−weight), mean over c of 10 and 1000) is an e-value
// for the 2×k table. weight is the canary's share of all values, 0 < weight < 1; where it is wrong that shows too.
func LogSameDistribution(live, canary []uint64, weight, designEffect float64) float64 {
	effect := max(1, designEffect)
	half := []float64{0.5, 0.5}
	var sum [2]float64
	for i := range min(len(live), len(canary)) {
		k := float64(canary[i]) / effect
		n := k + float64(live[i])/effect
		for j, c := range []float64{10, 1000} {
			sum[j] += LogBetaBinomial(k, n, weight, c*weight, c*(1-weight))
		}
	}
	return max(lowest, logMean(sum[:], half))
}
