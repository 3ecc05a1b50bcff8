package estimate

import "math"

// The bounds of the importance weights (M-CBPE, arXiv 2401.08348).
const (
	leastWeight = 0.001
	leastOther  = 0.05
)

// ShiftWeight is how much a labelled reference row counts when it stands for a window: s is the probability, from a classifier that
// tells the two apart, that the row is of the window.
func ShiftWeight(s float64, reference, window int) float64 {
	return math.Max(leastWeight, float64(reference)/float64(window)*s/math.Max(leastOther, 1-s))
}

// SegmentMean is the estimate from counters alone: a metric known by segment on the reference, with the segments as frequent as they
// are now. Segments without a known metric are left out of both sums.
func SegmentMean(metric, share []float64) float64 {
	sum, total := 0.0, 0.0
	for i := range metric {
		if !math.IsNaN(metric[i]) {
			sum, total = sum+metric[i]*share[i], total+share[i]
		}
	}
	return sum / total
}

// Cause is what an estimate and the labels together say about a change.
type Cause string

// The causes. Unclear is a change that neither shows.
const (
	Unchanged      Cause = "unchanged"
	ConceptDrift   Cause = "concept drift"
	CovariateShift Cause = "covariate shift"
	Unclear        Cause = "unclear"
)

// Attribute tells concept drift from covariate shift: the estimate assumes that P(y|x) has not changed, so a realised metric outside
// the joint interval of the two is concept drift; where they agree and differ from the reference, the inputs have changed. z is
// the quantile of the interval, for example 1.96.
func Attribute(reference, estimated, realised Mean, z float64) Cause {
	if math.IsNaN(reference.Value) || math.IsNaN(estimated.Value) || math.IsNaN(realised.Value) {
		return Unclear
	}
	apart := func(a, b Mean) bool { return math.Abs(a.Value-b.Value) > z*math.Hypot(a.SE, b.SE) }
	switch {
	case apart(realised, estimated):
		return ConceptDrift
	case apart(realised, reference) && apart(estimated, reference):
		return CovariateShift
	case apart(realised, reference) || apart(estimated, reference):
		return Unclear
	}
	return Unchanged
}
