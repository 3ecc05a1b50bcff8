package detect

import (
	"fmt"
	"math"
)

// Verdict is the answer to "is it still the same?".
type Verdict string

// The verdicts of TolerantKS.
const (
	Drifted Verdict = "drifted"
	Same    Verdict = "same"
	Unknown Verdict = "not yet known"
)

// TolerantKS judges the Kolmogorov-Smirnov distance of a growing sample from a reference, with a tolerance: the verdict
// holds with probability 1−Alpha over all looks together (Howard and Ramdas 2022).
type TolerantKS struct {
	Tolerance float64 // distance that is the same for our purpose
	Alpha     float64 // probability that any verdict over all time is wrong
	Slack     float64 // error of the distance itself, from bins or sketches
}

// Radius is how far the distance of t values may lie from the truth at any time t: 0.85·√((ln(1+ln t)+C)/t). It is infinite
// without values and for an Alpha outside (0,1). C = 0.8·ln(1612/alpha) is a safe closed form, a little above the exact solution.
func Radius(t uint64, alpha float64) float64 {
	if t == 0 || !(alpha > 0 && alpha < 1) {
		return math.Inf(1)
	}
	n := float64(t)
	return 0.85 * math.Sqrt((math.Log1p(math.Log(n))+radiusConstant(alpha))/n)
}

// radiusConstant is C, rounded up: a constant that is rounded down breaks the level.
func radiusConstant(alpha float64) float64 {
	switch alpha {
	case 0.05:
		return 8.123
	case 0.01:
		return 9.284
	case 0.001:
		return 10.944
	case 0.0001:
		return 12.6
	}
	return 0.8 * math.Log(1612/alpha)
}

// ReferenceRadius is the part of a fixed reference of m values, √(ln(2/alpha)/(2m)) (Dvoretzky, Kiefer, Wolfowitz; Massart).
func ReferenceRadius(m uint64, alpha float64) float64 {
	if m == 0 {
		return math.Inf(1)
	}
	return math.Sqrt(math.Log(2/alpha) / (2 * float64(m)))
}

// Judge says what a distance d between n current values and a reference of m values shows.
func (t TolerantKS) Judge(d float64, n, m uint64) Verdict {
	margin := Radius(n, t.Alpha) + ReferenceRadius(m, t.Alpha) + t.Slack
	switch {
	case d-margin > t.Tolerance:
		return Drifted
	case d+margin < t.Tolerance:
		return Same
	}
	return Unknown
}

// String says the rule in a line.
func (t TolerantKS) String() string {
	return fmt.Sprintf("KS above %g, sure to %g %% at any time", t.Tolerance, 100*(1-t.Alpha))
}
