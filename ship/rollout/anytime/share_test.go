package anytime

import (
	"math"
	"testing"
)

// Far below the tolerated rate the incomplete beta function is smaller than any float64: that is no evidence of harm.
func TestShareFarFromTolerance(t *testing.T) {
	for _, n := range []float64{1e3, 1e4, 1e5, 1e6, 1e7} {
		for _, share := range []float64{0, 0.001, 0.02, 0.2} {
			if e := LogShareAbove(share*n, n, 0.5); e > 0 || e < lowest {
				t.Errorf("%v of %v against a half: evidence %v of more", share, n, e)
			}
			if e := LogShareBelow((1-share)*n, n, 0.5); e > 0 || e < lowest {
				t.Errorf("%v of %v against a half: evidence %v of less", 1-share, n, e)
			}
		}
	}
}

// Counts that are taken while they grow may not fit each other.
func TestMoreEventsThanTrials(t *testing.T) {
	for _, k := range []float64{-1, 11, 1e6} {
		low, high := ShareBounds(k, 10, 0.01, 0.01)
		if !(0 <= low && low <= high && high <= 1) {
			t.Errorf("%v of 10: %v to %v", k, low, high)
		}
		v := Tolerated(k, 10, 1, Question{Alpha: 0.01, Tolerance: Limit{Absolute: 0.1}, Interval: true})
		if math.IsNaN(v.LogE) {
			t.Errorf("%v of 10: %+v", k, v)
		}
	}
}
