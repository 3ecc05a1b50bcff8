package check

import (
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// calibrationInterval is that of the calibration error, or of a difference of two.
//
// The error is a sum of absolute values, so that noise adds to it: a perfectly calibrated model has one of 0.1 on a hundred
// rows, and resamples have more still. By the triangle inequality it is off by at most the sum of the bins' own errors,
// which a bootstrap measures: the interval goes as far either way as that sum is likely to reach. A difference is off by at
// most both versions' sums, and is no larger than the sum of the differences of their bins, in which noise that they have in
// common cancels: the narrower of the two counts. Both are wide rather than wrong.
func (j *judged) calibrationInterval(value float64, r rows, o *rows, clusters []int, confidence float64) (low, high float64) {
	p, y := j.calibration(r)
	gaps := j.m.gaps(p, y, nil)
	if o == nil {
		noise := j.noise(r.n(), clusters, confidence, func(times []int) float64 { return apartFrom(j.m.gaps(p, y, times), gaps) })
		return max(0, value-noise), min(1, value+noise)
	}
	confidence = (1 + confidence) / 2 // one of two may be beyond
	p2, y2 := j.calibration(*o)
	gaps2 := j.m.gaps(p2, y2, nil)
	both := j.noise(r.n(), clusters, confidence, func(times []int) float64 {
		return apartFrom(j.m.gaps(p, y, times), gaps) + apartFrom(j.m.gaps(p2, y2, times), gaps2)
	})
	differ := apartFrom(gaps, gaps2) + j.noise(r.n(), clusters, confidence, func(times []int) float64 {
		a, b := j.m.gaps(p, y, times), j.m.gaps(p2, y2, times)
		noise := 0.0
		for i := range a {
			noise += math.Abs((a[i] - b[i]) - (gaps[i] - gaps2[i]))
		}
		return noise
	})
	return max(value-both, -differ), min(value+both, differ)
}

// noise is what a sum of the bins' errors stays below with that confidence. times is how often each row is drawn.
func (j *judged) noise(n int, clusters []int, confidence float64, of func(times []int) float64) float64 {
	units, q := n, z(2*confidence-1)
	if clusters != nil {
		units = 1 + slices.Max(clusters)
		q = studentT(2*confidence-1, float64(units-1))
	}
	if units < 2 {
		return math.Inf(1)
	}
	times := make([]int, n)
	mean, deviation := Bootstrap(units, resamples, j.m.Seed, func(drawn []int) float64 {
		for i := range times {
			if clusters == nil {
				times[i] = drawn[i]
			} else {
				times[i] = drawn[clusters[i]]
			}
		}
		return of(times)
	})
	// A bin's own mean is taken off, as for any variance.
	return (mean + q*deviation) * math.Sqrt(float64(units)/float64(max(1, units-j.m.Bins)))
}

// apartFrom is Σ|a − b|.
func apartFrom(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		sum += math.Abs(x - b[i])
	}
	return sum
}

// calibration is what the calibration error compares: the probability of what was said, and whether it was so.
func (j *judged) calibration(r rows) (p, y []float64) {
	if j.sample.Task == fairlead.TaskBinary || r.width == 1 {
		return r.score, r.truth
	}
	class := slices.Index(j.sample.Classes, j.m.Class)
	for i, truth := range r.truth {
		top, q := r.top(i)
		if class >= 0 {
			top, q = float64(class), r.score[i*r.width+class]
		}
		p, y = append(p, q), append(y, number(top == truth))
	}
	return p, y
}
