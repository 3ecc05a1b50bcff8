package anytime

import "math"

// Finding is what a comparison can say.
type Finding string

// Findings.
const (
	Harm        Finding = "harm"         // worse than tolerated
	NonInferior Finding = "non_inferior" // worse by less than the margin, or not worse
	Undecided   Finding = "undecided"    // not enough data
)

// Limit is how much worse than the live arm is meant: Relative times the live value or Absolute, whichever is more.
type Limit struct{ Relative, Absolute float64 }

// Over is the limit in units of the outcome, for a live value.
func (l Limit) Over(live float64) float64 {
	return max(l.Relative*math.Abs(live), l.Absolute, 0)
}

// Question says what a comparison has to decide and how often it may err. The zero values of Tolerance and Margin mean "any
// worsening at all"; non-inferiority within a margin of zero is never shown by an equal version.
type Question struct {
	Alpha     float64 // probability to find harm where there is none, over all looks
	Beta      float64 // probability to find non-inferiority where the canary is worse by the margin, over all looks; 0: as Alpha
	Tolerance Limit   // harm is more than this
	Margin    Limit   // non-inferior is less than this
	Effect    float64 // the relative worsening beyond Tolerance to be found soonest; 0 means 1: twice as bad
	Interval  bool    // Lower and Upper are wanted: costs some ten times the verdict
}

func (q Question) beta() float64 {
	if q.Beta > 0 {
		return q.Beta
	}
	return q.Alpha
}

func (q Question) effect() float64 {
	if q.Effect > 0 {
		return q.Effect
	}
	return 1
}

// Verdict is a finding with its numbers.
type Verdict struct {
	Finding      Finding
	Live         float64 // estimate of the live arm: rate, mean or quantile; 0 where there is one arm only
	Canary       float64
	NLive        float64 // requests, pairs or outcomes
	NCanary      float64
	Difference   float64 // canary minus live; for distributions and quantiles see the function
	Lower        float64 // Difference > Lower with confidence 1−Alpha at all looks at once
	Upper        float64 // Difference < Upper with confidence 1−Beta at all looks at once
	Tolerance    float64 // Question.Tolerance in units of the outcome, at the estimate of the live arm
	Margin       float64 // Question.Margin likewise
	LogE         float64 // evidence against "no worse than tolerated"; harm when it reaches Threshold
	Threshold    float64 // ln(1/Alpha)
	LogSafe      float64 // evidence against "worse by the margin or more"; non-inferior when it reaches ln(1/Beta)
	DesignEffect float64 // variance over that of independent requests, at least 1
}

// P is an always-valid p-value of "no worse than tolerated": min(1, exp(−LogE)).
func (v Verdict) P() float64 { return math.Min(1, math.Exp(-v.LogE)) }

// decide sets the finding. Harm is looked at first: a canary can be worse than tolerated and still within a wider margin.
func (v *Verdict) decide(q Question) {
	v.Threshold = math.Log(1 / q.Alpha)
	switch {
	case v.LogE >= v.Threshold:
		v.Finding = Harm
	case v.LogSafe >= math.Log(1/q.beta()):
		v.Finding = NonInferior
	default:
		v.Finding = Undecided
	}
}

// Spend splits a budget over guardrails, stages or restarts by weight. Parts add up to alpha, so that the probability of any
// false alarm among them is at most alpha (Bonferroni, Holm's first step). Weights that are not positive get nothing.
func Spend(alpha float64, weights []float64) []float64 {
	var total float64
	for _, w := range weights {
		total += max(w, 0)
	}
	parts := make([]float64, len(weights))
	if !(total > 0) {
		return parts
	}
	for i, w := range weights {
		parts[i] = alpha * max(w, 0) / total
	}
	return parts
}

// SpendOnce is the part of alpha for attempt i = 0, 1, … of a sequence of unknown length: alpha/((i+1)(i+2)). All parts add
// up to alpha. A count that restarts begins a new attempt.
func SpendOnce(alpha float64, i int) float64 {
	return alpha / (float64(i+1) * float64(i+2))
}

// logMean is ln of the mean of exp(logs) with weights that add up to 1.
func logMean(logs, weights []float64) float64 {
	top := math.Inf(-1)
	for _, l := range logs {
		top = max(top, l)
	}
	if math.IsInf(top, 0) {
		return top
	}
	var sum float64
	for i, l := range logs {
		sum += weights[i] * math.Exp(l-top)
	}
	return top + math.Log(sum)
}
