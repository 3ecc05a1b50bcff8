package label

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Delays counts predictions by how long they were followed: those whose first label came after Delay, and those that
// have none and are Delay old.
type Delays struct {
	Delay    time.Duration
	Labelled uint64
	Waiting  uint64
}

// Curve is the share of predictions that have their label by a delay, estimated from predictions of which many have not
// been followed long enough to know: the complement of Kaplan and Meier's product-limit estimator (Journal of the
// American Statistical Association 53, 1958), in which a prediction without a label is censored at its age. It rises in
// steps and never reaches 1 where some labels never come.
type Curve struct {
	steps []step
	n     uint64
	last  time.Duration // the longest that a prediction was followed
}

type step struct {
	at       time.Duration
	survival float64 // share without a label after this delay
	variance float64 // Greenwood's sum of d/(n(n-d))
}

// NewCurve estimates the curve. The counts may be in any order and name a delay more than once; a negative delay, of a
// label that came before its prediction, counts as 0. Of the same delay, labels come before what is censored.
func NewCurve(counts []Delays) *Curve {
	sorted := slices.Clone(counts)
	var total uint64
	for i := range sorted {
		sorted[i].Delay = max(sorted[i].Delay, 0)
		total += sorted[i].Labelled + sorted[i].Waiting
	}
	slices.SortFunc(sorted, func(a, b Delays) int { return cmp.Compare(a.Delay, b.Delay) })
	c := &Curve{n: total}
	atRisk, survival, variance := float64(total), 1.0, 0.0
	for i := 0; i < len(sorted); {
		at := sorted[i].Delay
		var d, gone float64
		for ; i < len(sorted) && sorted[i].Delay == at; i++ {
			d += float64(sorted[i].Labelled)
			gone += float64(sorted[i].Labelled + sorted[i].Waiting)
		}
		if gone > 0 {
			c.last = at
		}
		if d > 0 {
			survival *= 1 - d/atRisk
			if atRisk > d {
				variance += d / (atRisk * (atRisk - d))
			} else {
				survival, variance = 0, 0 // the last one has its label; Greenwood's formula ends here
			}
			c.steps = append(c.steps, step{at, survival, variance})
		}
		atRisk -= gone
	}
	return c
}

// N is how many predictions the curve was estimated from.
func (c *Curve) N() uint64 { return c.n }

// Followed is the longest that one of them was followed: nothing is known about longer delays.
func (c *Curve) Followed() time.Duration { return c.last }

// step gives the last step at or before a delay, false before the first one.
func (c *Curve) step(delay time.Duration) (step, bool) {
	i, found := slices.BinarySearchFunc(c.steps, delay, func(s step, d time.Duration) int { return cmp.Compare(s.at, d) })
	if !found {
		i--
	}
	if i < 0 {
		return step{survival: 1}, false
	}
	return c.steps[i], true
}

// By is the share of predictions that have a label by delay, 0 to 1.
func (c *Curve) By(delay time.Duration) float64 {
	s, _ := c.step(delay)
	return 1 - s.survival
}

// Interval is the 95 % confidence interval of By(delay): Kalbfleisch and Prentice's, on the scale of log(-log S), so that it
// stays inside of 0 to 1. Before the first label and after the last possible one it is the point itself.
func (c *Curve) Interval(delay time.Duration) (low, high float64) {
	s, ok := c.step(delay)
	if !ok || s.survival <= 0 || s.survival >= 1 {
		return 1 - s.survival, 1 - s.survival
	}
	const z = 1.959963984540054
	logS := math.Log(s.survival)
	w := z * math.Sqrt(s.variance) / logS // negative
	return 1 - math.Exp(logS*math.Exp(w)), 1 - math.Exp(logS*math.Exp(-w))
}

// Final is the share of predictions that get a label at all, as far as predictions were followed.
func (c *Curve) Final() float64 {
	if len(c.steps) == 0 {
		return 0
	}
	return 1 - c.steps[len(c.steps)-1].survival
}

// Still is the probability that a prediction without a label at this age gets one yet.
func (c *Curve) Still(age time.Duration) float64 {
	s, _ := c.step(age)
	if s.survival <= 0 {
		return 0
	}
	return max(0, 1-(1-c.Final())/s.survival)
}

// Quantile is the delay by which a share of all predictions has its label, false if that share is never reached.
func (c *Curve) Quantile(share float64) (time.Duration, bool) {
	for _, s := range c.steps {
		if 1-s.survival >= share {
			return s.at, true
		}
	}
	return 0, false
}

// Point is a step of the curve.
type Point struct {
	Delay     time.Duration
	Share     float64 // of predictions with a label by Delay
	Low, High float64 // its 95 % confidence interval
}

// Points gives the curve at up to n of its steps, the last one among them, evenly spread over its rise.
func (c *Curve) Points(n int) []Point {
	var out []Point
	next := 0.0
	final := c.Final()
	for i, s := range c.steps {
		share := 1 - s.survival
		if share < next && i < len(c.steps)-1 {
			continue
		}
		low, high := c.Interval(s.at)
		out = append(out, Point{s.at, share, low, high})
		next = share + final/float64(max(n, 2)-1)
	}
	return out
}
