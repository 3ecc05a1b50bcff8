package anytime

import (
	"math"
	"slices"
)

// concentrations of the priors on the canary's share: a broken split, a wrong weight, a lost hundredth of the requests.
var concentrations = []float64{10, 1e3, 1e5}

// Ratio looks for a sample-ratio mismatch: the canary's share of the requests is not the weight, 0 < weight < 1. Cells hold
// requests in N; live[i] and canary[i] are the same keys' cell. The evidence is the mean of three beta-binomial martingales
// (LogBetaBinomial with a = c·weight, b = c·(1−weight)) on counts divided by a design effect: the spread of the canary's
// share between cells around the weight over weight·(1−weight) per request, at least 1, and at least what follows if the part
// of each cell that is above the median cell belongs to a single key. So a heavy key, which is in one arm with all it has,
// counts as one draw; and a key with r requests in a row makes the test wait r times as long. Of the question only Alpha and
// Interval are used. Finding is Harm or Undecided; Live is the weight, Canary the share.
func Ratio(live, canary []Cell, weight float64, q Question) Verdict {
	n, k, effect := ratioCounts(live, canary, weight, q.Alpha)
	out := Verdict{Live: weight, NLive: n - k, NCanary: k, Lower: -1, Upper: 1, DesignEffect: effect, LogSafe: lowest}
	if n > 0 {
		out.Canary = k / n
		out.Difference = out.Canary - weight
		logs, third := [3]float64{}, [3]float64{1. / 3, 1. / 3, 1. / 3}
		for i, c := range concentrations {
			logs[i] = LogBetaBinomial(k/effect, n/effect, weight, c*weight, c*(1-weight))
		}
		out.LogE = max(lowest, logMean(logs[:], third[:]))
		if q.Interval {
			low, high := ShareBounds(k/effect, n/effect, q.Alpha/2, q.Alpha/2)
			out.Lower, out.Upper = low-weight, high-weight
		}
	}
	out.decide(Question{Alpha: q.Alpha})
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
	sizes := make([]float64, 0, len(live))
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
		if all > 0 {
			sizes = append(sizes, all)
		}
		e := a - weight*all // around the weight, not the share seen: nothing was fitted
		sum += e * e
		n2, n3, n4 = n2+all*all, n3+all*all*all, n4+all*all*all*all
	}
	if !(n > 0) {
		return 0, 0, 1
	}
	effect = max(1, heavy(sizes, n))
	if seen := sum / (n * unit); seen > 1 {
		phi := (sum - n*unit) / n2
		freedom := sum * sum / (unit*unit*n2 + 2*unit*phi*n3 + phi*phi*n4)
		effect = max(effect, 1+(seen-1)*studentFactor(max(fewestFreedom, freedom), alpha))
	}
	return n, k, effect
}

// heavy is the design effect of a split by key if what each cell has above the median one is a single key's: n² for it in
// place of n, less what chance alone adds to a cell. The spread of the shares cannot tell while the key is in the likelier
// arm.
func heavy(sizes []float64, n float64) float64 {
	slices.Sort(sizes)
	median := sizes[len(sizes)/2]
	sum := n
	for _, s := range sizes[len(sizes)/2:] {
		sum += (s-median)*(s-median) - s
	}
	return sum / n
}
