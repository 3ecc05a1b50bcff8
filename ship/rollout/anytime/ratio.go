package anytime

import "math"

// concentrations of the priors on the canary's share: a broken split, a wrong weight, a lost hundredth of the requests.
var concentrations = []float64{10, 1e3, 1e5}

// Ratio looks for a sample-ratio mismatch: the canary's share of the requests is not the weight, 0 < weight < 1. Cells hold
// requests in N; live[i] and canary[i] are the same keys' cell. The evidence is the mean of three beta-binomial martingales
// (LogBetaBinomial with a = c·weight, b = c·(1−weight)) on counts divided by a design effect: the spread of the canary's
// share between cells around the weight over weight·(1−weight) per request, at least 1. So a heavy key, which is in one arm
// with all it has, counts as one draw. Finding is Harm or Undecided; Live is the weight, Canary the share.
func Ratio(live, canary []Cell, weight, alpha float64) Verdict {
	n, k, effect := ratioCounts(live, canary, weight, alpha)
	out := Verdict{Live: weight, NLive: n - k, NCanary: k, Lower: -1, Upper: 1, DesignEffect: effect, LogSafe: lowest}
	if n > 0 {
		out.Canary = k / n
		out.Difference = out.Canary - weight
		logs, third := [3]float64{}, [3]float64{1. / 3, 1. / 3, 1. / 3}
		for i, c := range concentrations {
			logs[i] = LogBetaBinomial(k/effect, n/effect, weight, c*weight, c*(1-weight))
		}
		out.LogE = max(lowest, logMean(logs[:], third[:]))
		low, high := ShareBounds(k/effect, n/effect, alpha/2, alpha/2)
		out.Lower, out.Upper = low-weight, high-weight
	}
	out.decide(Question{Alpha: alpha})
	return out
}

// RatioChiSquare is the p-value of the same question asked once: χ² = (k−n·w)²/(n·w·(1−w)·D) with one degree of freedom. It is
// not valid under repeated looks; look once, at level 0.001.
func RatioChiSquare(live, canary []Cell, weight float64) (statistic, p float64) {
	n, k, effect := ratioCounts(live, canary, weight, 0.001)
	if !(n > 0) {
		return 0, 1
	}
	d := k - n*weight
	statistic = d * d / (n * weight * (1 - weight) * effect)
	return statistic, math.Erfc(math.Sqrt(statistic / 2))
}

func ratioCounts(live, canary []Cell, weight, alpha float64) (n, k, effect float64) {
	unit := weight * (1 - weight)
	var sum, n2, n3, n4 float64
	for i := range max(len(live), len(canary)) {
		var a, b float64
		if i < len(live) {
			b = live[i].N
		}
		if i < len(canary) {
			a = canary[i].N
		}
		all := a + b
		n, k = n+all, k+a
		e := a - weight*all // around the weight, not the share seen: nothing was fitted
		sum += e * e
		n2, n3, n4 = n2+all*all, n3+all*all*all, n4+all*all*all*all
	}
	if !(n > 0) {
		return 0, 0, 1
	}
	effect = sum / (n * unit)
	if effect <= 1 {
		return n, k, 1
	}
	phi := (sum - n*unit) / n2
	freedom := sum * sum / (unit*unit*n2 + 2*unit*phi*n3 + phi*phi*n4)
	return n, k, 1 + (effect-1)*studentFactor(max(1, freedom), alpha)
}
