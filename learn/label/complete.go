package label

import "time"

// Enough is the completeness from which on a window's metrics are final.
const Enough = 0.95

// Window is what is known of the labels of one window of predictions.
type Window struct {
	Start, End time.Time // of event time
	Rows       uint64
	Labelled   uint64
	Waiting    []Delays // those without a label, by age; only Delay and Waiting are read
}

// Completeness is how many of the labels that a window will get are there.
type Completeness struct {
	Share float64 // of its predictions that have a label
	Final float64 // that will have one in the end, estimated
	Of    float64 // Share as a part of Final: 1 when nothing is expected any more, or nothing ever comes
}

// Complete estimates the completeness of a window by the curve: the labels that are there, and for each prediction without
// one the probability that it gets one yet.
func Complete(w Window, c *Curve) Completeness {
	if w.Rows == 0 {
		return Completeness{Of: 1}
	}
	expected := float64(w.Labelled)
	for _, a := range w.Waiting {
		expected += float64(a.Waiting) * c.Still(a.Delay)
	}
	n := float64(w.Rows)
	out := Completeness{Share: float64(w.Labelled) / n, Final: expected / n, Of: 1}
	if expected > 0 {
		out.Of = float64(w.Labelled) / expected
	}
	return out
}

// Provisional says that a window's metrics may still change much: it is open at the moment now of event time, or fewer
// than Enough of its labels are there and the time that labels take by declaration is not over. delay 0 declares nothing.
func Provisional(end time.Time, of float64, delay time.Duration, now time.Time) bool {
	if now.Before(end) {
		return true
	}
	if of >= Enough {
		return false
	}
	return delay <= 0 || now.Before(end.Add(delay))
}
