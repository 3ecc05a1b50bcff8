package anytime

import "math"

// Rates compares the rates of two arms: errors per request, or any outcome between 0 and 1.
//
// The e-value is a mixture of likelihood ratios over worsenings, each against the point of "worse by exactly the limit"
// that lies closest to it in relative entropy. That ratio is an e-value for every pair of rates on the harmless side of the
// limit (reverse information projection: Grünwald, de Heide and Koolen 2024; Turner, Ly and Grünwald 2024 for two
// proportions). With n_a, n_b requests, shares W and 1−W, the limit q_a = α+β·q_b, and v = q(1−q), the points in question
// are θ_a = q_a + s·v_a/(Wβ), θ_b = q_b − s·v_b/(1−W). The point (q_a, q_b) itself, a nuisance, is the maximum-likelihood
// estimate under the limit. For rare events nothing of it remains: the e-value bets on the arm in which the next error
// falls, so that an error rate that changes for both arms alike cancels.
//
// A sum of outcomes between 0 and 1 takes the place of a count: ln is concave, so the bet on fractions is worth no less
// than the one computed (Waudby-Smith and Ramdas 2024, section 3 on sub-Bernoulli bets).
//
// The counts are divided by RateDesignEffect. An absolute and a relative limit together mean the larger: harm needs
// evidence against both, non-inferiority against their average.
func Rates(live, canary []Cell, q Question) Verdict {
	effect := RateDesignEffect(live, canary, min(q.Alpha, q.beta()))
	return RatesOf(Total(live), Total(canary), effect, q)
}

// RatesOf compares two rates whose requests are independent up to a design effect (1: independent).
func RatesOf(live, canary Cell, designEffect float64, q Question) Verdict {
	effect := max(1, designEffect)
	out := Verdict{
		Live: live.Mean(), Canary: canary.Mean(), NLive: live.N, NCanary: canary.N, DesignEffect: effect,
		Difference: canary.Mean() - live.Mean(), Lower: -1, Upper: 1,
	}
	out.Tolerance, out.Margin = q.Tolerance.Over(out.Live), q.Margin.Over(out.Live)
	t, ok := newTable(live, canary, effect)
	if ok {
		out.LogE = t.harm(q)
		out.LogSafe = t.safe(q)
		if q.Interval {
			out.Lower, out.Upper = t.interval(q, out.Difference, out.Margin)
		}
	}
	out.decide(q)
	return out
}

// table is the 2×2 table of effective counts: the canary is a, the live arm b.
type table struct {
	failA, fineA, failB, fineB float64
	w                          float64 // the canary's share of all requests
}

func newTable(live, canary Cell, effect float64) (table, bool) {
	if !(live.N > 0 && canary.N > 0) || math.IsInf(effect, 1) || math.IsNaN(effect) {
		return table{}, false
	}
	t := table{
		failA: max(0, canary.Sum) / effect, fineA: max(0, canary.N-canary.Sum) / effect,
		failB: max(0, live.Sum) / effect, fineB: max(0, live.N-live.Sum) / effect,
	}
	t.w = canary.N / (canary.N + live.N)
	return t, true
}

// line is a limit: the canary's rate is offset + slope times the live one. slope is positive.
type line struct{ offset, slope float64 }

const tiny = 1e-12

// fit is the maximum-likelihood estimate of both rates on the line, by safeguarded Newton steps on the derivative, which
// falls in the live rate b. ok is false where no rate is possible on the line.
func (t table) fit(l line) (a, b float64, ok bool) {
	low := max(0, -l.offset/l.slope) + tiny
	high := min(1, (1-l.offset)/l.slope) - tiny
	if !(low < high) {
		return 0, 0, false
	}
	b = (t.failA + t.failB) / (t.failA + t.failB + t.fineA + t.fineB) // without a limit this is the answer
	if !(b > low && b < high) {
		b = (low + high) / 2
	}
	for range 80 {
		a = l.offset + l.slope*b
		slope := l.slope*(t.failA/a-t.fineA/(1-a)) + t.failB/b - t.fineB/(1-b)
		if slope > 0 {
			low = b
		} else {
			high = b
		}
		if high-low <= 1e-13 {
			break
		}
		bend := -l.slope*l.slope*(t.failA/(a*a)+t.fineA/((1-a)*(1-a))) - t.failB/(b*b) - t.fineB/((1-b)*(1-b))
		next := b - slope/bend
		if !(next > low && next < high) {
			next = (low + high) / 2
		}
		done := math.Abs(next-b) <= 1e-10*b
		b = next
		if done {
			break
		}
	}
	return l.offset + l.slope*b, b, true
}

// ratio is the log-likelihood ratio of (θa, θb) against (qa, qb).
func (t table) ratio(qa, qb, thetaA, thetaB float64) float64 {
	return weigh(t.failA, thetaA/qa) + weigh(t.fineA, (1-thetaA)/(1-qa)) +
		weigh(t.failB, thetaB/qb) + weigh(t.fineB, (1-thetaB)/(1-qb))
}

func weigh(n, ratio float64) float64 {
	if n == 0 {
		return 0
	}
	return n * math.Log(ratio)
}

// The priors. A harmful canary's rate is 1 + Effect·step times the limit: twice as bad first of all, a broken version and a
// creeping one too. A harmless one lies below the margin by step times the margin: an equal version first of all.
var (
	harmSteps   = []float64{0.125, 0.25, 0.5, 1, 2, 5, 20, 100}
	harmWeights = []float64{0.03, 0.08, 0.20, 0.34, 0.20, 0.09, 0.04, 0.02}
	safeSteps   = []float64{0.25, 0.5, 1, 2}
	safeWeights = []float64{0.10, 0.25, 0.45, 0.20}
)

// above is the evidence that the canary's rate is over the line.
func (t table) above(l line, effect float64) float64 {
	qa, qb, ok := t.fit(l)
	if !ok {
		return 0
	}
	va, vb := qa*(1-qa)/(t.w*l.slope), qb*(1-qb)/(1-t.w)
	top, bottom := (1-qa)/va, 0.999*qb/vb // where θa reaches 1 and θb 0
	var logs [8]float64
	for i, step := range harmSteps {
		more := effect * step
		s := qa * more / (va + (1+more)*l.slope*vb)
		s = min(s*top/(s+top), bottom)
		logs[i] = t.ratio(qa, qb, qa+s*va, qb-s*vb)
	}
	return logMean(logs[:], harmWeights)
}

// below is the evidence that the canary's rate is under the line; unit is the distance that is looked for first.
func (t table) below(l line, unit float64) float64 {
	if !(unit > 0) {
		return 0
	}
	qa, qb, ok := t.fit(l)
	if !ok {
		return 0
	}
	va, vb := qa*(1-qa)/(t.w*l.slope), qb*(1-qb)/(1-t.w)
	limit := 0.999 * min(qa/va, (1-qb)/max(vb, tiny))
	var logs [4]float64
	for i, step := range safeSteps {
		s := min(step*unit/(va+l.slope*vb), limit)
		logs[i] = t.ratio(qa, qb, qa-s*va, qb+s*vb)
	}
	return logMean(logs[:], safeWeights)
}

// lines of a limit: the relative one, the absolute one, or both.
func (l Limit) lines() []line {
	switch {
	case l.Relative > 0 && l.Absolute > 0:
		return []line{{0, 1 + l.Relative}, {l.Absolute, 1}}
	case l.Relative > 0:
		return []line{{0, 1 + l.Relative}}
	}
	return []line{{max(0, l.Absolute), 1}}
}

func (t table) harm(q Question) float64 {
	least := math.Inf(1)
	for _, l := range q.Tolerance.lines() {
		least = min(least, t.above(l, q.effect()))
	}
	return least
}

func (t table) safe(q Question) float64 {
	lines := q.Margin.lines()
	logs, weights := make([]float64, len(lines)), make([]float64, len(lines))
	rate := t.failB / (t.failB + t.fineB)
	for i, l := range lines {
		logs[i] = t.below(l, max(l.offset, (l.slope-1)*rate))
		weights[i] = 1 / float64(len(lines))
	}
	return logMean(logs, weights)
}

// interval inverts the tests: all differences that neither one rejects.
func (t table) interval(q Question, difference, margin float64) (lower, upper float64) {
	n := t.failA + t.fineA + t.failB + t.fineB
	unit := margin
	if !(unit > 0) {
		unit = max(q.effect()*(t.failA+t.failB)/n, 1/n)
	}
	lower = bisect(difference, -1, math.Log(1/q.Alpha), func(d float64) float64 { return t.above(line{d, 1}, q.effect()) })
	upper = bisect(difference, 1, math.Log(1/q.beta()), func(d float64) float64 { return t.below(line{d, 1}, unit) })
	return lower, upper
}

// bisect finds where evidence reaches the target on the way from inside, where there is none, to the bound outside.
func bisect(inside, outside, target float64, evidence func(float64) float64) float64 {
	bound := outside
	step := (outside - inside) / 1024
	for at := inside + step; math.Abs(at-inside) < math.Abs(bound-inside); step *= 2 { // bracket: evidence grows outwards
		if evidence(at) >= target {
			outside = at
			break
		}
		inside, at = at, at+step
	}
	if outside == bound {
		return bound
	}
	for range 24 {
		mid := (inside + outside) / 2
		if evidence(mid) >= target {
			outside = mid
		} else {
			inside = mid
		}
	}
	return outside
}
