package anytime

import (
	"math"
	"sort"
)

// RatePlan is a comparison of two rates before it has begun.
type RatePlan struct {
	Live     float64 // expected rate of the live arm
	Canary   float64 // the canary's, as supposed: Live for a harmless one
	Share    float64 // the canary's share of the traffic, 0 < Share < 1
	Effect   float64 // expected design effect; 0 means 1
	Question Question
}

// at is the verdict on exactly the expected counts of n requests in both arms together.
func (p RatePlan) at(n float64) Verdict {
	q := p.Question
	q.Interval = false
	c, l := n*p.Share, n*(1-p.Share)
	return RatesOf(Cell{N: l, Sum: l * p.Live}, Cell{N: c, Sum: c * p.Canary}, p.Effect, q)
}

// Expected is the least number of requests in both arms together at which counts that are exactly as expected give the
// finding: near the median of the time until then. It is +Inf where that is never so.
func (p RatePlan) Expected(want Finding) float64 {
	return Least(func(n float64) bool {
		v := p.at(n)
		if want == NonInferior { // harm within a wide margin does not take it away
			return v.LogSafe >= math.Log(1/p.Question.beta())
		}
		return v.Finding == want
	})
}

// Least is the smallest whole n for which enough(n) holds, +Inf if it does not at 10^13. enough must not become false again.
// It plans with any test: enough computes the half-width or the verdict that n would bring.
func Least(enough func(n float64) bool) float64 {
	const most = 1e13
	high := 1.0
	for !enough(high) {
		if high *= 2; high > most {
			return math.Inf(1)
		}
	}
	low := math.Floor(high / 2)
	for high-low > 1 {
		if mid := math.Floor((low + high) / 2); enough(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}

// LeastMeans is the number of outcomes in both arms together until the always-valid half-width of the difference of two
// means, h(V(n)) with V = D·variance/(n·share·(1−share)) and a prior of scale effect, is at most effect.
func LeastMeans(variance, designEffect, share, effect, alpha float64) float64 {
	return Least(func(n float64) bool {
		return HalfWidth(max(1, designEffect)*variance/(n*share*(1-share)), effect, alpha) <= effect
	})
}

// LeastRatio is the number of requests in both arms together at which a canary's share that differs from weight by
// difference is found by Ratio, counts being exactly as expected.
func LeastRatio(weight, difference, designEffect, alpha float64) float64 {
	return Least(func(n float64) bool {
		logs, third := [3]float64{}, [3]float64{1. / 3, 1. / 3, 1. / 3}
		m := n / max(1, designEffect)
		for i, c := range concentrations {
			logs[i] = LogBetaBinomial(m*(weight+difference), m, weight, c*weight, c*(1-weight))
		}
		return logMean(logs[:], third[:]) >= math.Log(1/alpha)
	})
}

// FixedHorizon is the number of requests in both arms together that the one-sided z-test of two proportions needs for a
// power when it looks once, at its end, and knows what to look for: the least that any test can do with. For limits of zero:
// n = ((z_α·√(p̄(1−p̄)/(w(1−w))) + z_β·√(p_c(1−p_c)/w + p_l(1−p_l)/(1−w)))/(p_c−p_l))², p̄ = w·p_c + (1−w)·p_l.
func (p RatePlan) FixedHorizon(power float64) float64 {
	w, d := p.Share, p.Canary-p.Live
	if d == 0 {
		return math.Inf(1)
	}
	pooled := w*p.Canary + (1-w)*p.Live
	v0 := pooled * (1 - pooled) / (w * (1 - w))
	v1 := p.Canary*(1-p.Canary)/w + p.Live*(1-p.Live)/(1-w)
	root := (normalQuantile(1-p.Question.Alpha)*math.Sqrt(v0) + normalQuantile(power)*math.Sqrt(v1)) / d
	return math.Ceil(root * root * max(1, p.Effect))
}

func normalQuantile(p float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*p) }

// Source is where a simulation takes its chance from; *rand.Rand of math/rand/v2 is one.
type Source interface {
	Float64() float64     // uniform in [0,1)
	NormFloat64() float64 // standard normal
}

// Simulation is what happened in simulated comparisons. Shares add up to 1.
type Simulation struct {
	Harm, NonInferior, Undecided float64 // share of the runs that ended so
	MedianHarm                   float64 // look, from 1, at which half of the runs that found harm had found it; 0 if none did
	MedianSafe                   float64 // likewise for non-inferiority
	MeanLook                     float64 // at which a run ended, undecided ones at the last
}

// Simulate runs the plan: looks times, requests requests in both arms together come, then the verdict is looked at; a run
// ends with the first finding. With untilHarm a run does not end with non-inferiority: the share Harm of a plan with Canary
// equal to Live is then the probability of a false abort in that many looks. Requests are independent, counts binomial.
func (p RatePlan) Simulate(requests float64, looks, runs int, untilHarm bool, source Source) Simulation {
	var out Simulation
	var harm, safe []float64
	for range runs {
		var live, canary Cell
		finding, end := Undecided, looks
		for look := 1; look <= looks; look++ {
			c := binomial(requests, p.Share, source)
			canary.N += c
			live.N += requests - c
			canary.Sum += binomial(c, p.Canary, source)
			live.Sum += binomial(requests-c, p.Live, source)
			f := RatesOf(live, canary, p.Effect, p.Question).Finding
			if f == Harm || f == NonInferior && !untilHarm {
				finding, end = f, look
				break
			}
		}
		out.MeanLook += float64(end) / float64(runs)
		switch finding {
		case Harm:
			harm = append(harm, float64(end))
		case NonInferior:
			safe = append(safe, float64(end))
		}
	}
	total := float64(max(1, runs))
	out.Harm, out.NonInferior = float64(len(harm))/total, float64(len(safe))/total
	out.Undecided = 1 - out.Harm - out.NonInferior
	out.MedianHarm, out.MedianSafe = median(harm), median(safe)
	return out
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	sort.Float64s(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// binomial draws by inversion, in halves where more than 30 are expected on both sides, from 500 on by the rounded normal
// distribution.
func binomial(n, p float64, source Source) float64 {
	n = math.Floor(n)
	if n <= 0 || p <= 0 {
		return 0
	}
	if p >= 1 {
		return n
	}
	if p > 0.5 {
		return n - binomial(n, 1-p, source)
	}
	if n*p > 30 && n*p <= 500 {
		half := math.Floor(n / 2)
		return binomial(half, p, source) + binomial(n-half, p, source)
	}
	if n*p > 500 {
		return min(n, max(0, math.Round(n*p+math.Sqrt(n*p*(1-p))*source.NormFloat64())))
	}
	u, k := source.Float64(), 0.0
	mass := math.Exp(n * math.Log1p(-p))
	for u > mass && k < n {
		u -= mass
		mass *= (n - k) / (k + 1) * p / (1 - p)
		k++
	}
	return k
}
