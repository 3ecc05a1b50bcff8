package detect

import "math"

// PageHinkley adds up how far values lie above (and, separately, below) their running mean by more than Delta, and says Drift
// when a sum reaches Lambda (Page 1954). Sums are clamped at zero and fade by Alpha.
type PageHinkley struct {
	Delta  float64 `json:"delta"`  // change of the mean that is tolerated, in the unit of the values
	Lambda float64 `json:"lambda"` // threshold, same unit
	Alpha  float64 `json:"alpha"`  // forgetting, 1 is none
	Least  int     `json:"least"`  // values before it says anything
	// Only says which side is watched: 0 both, 1 increases, -1 decreases.
	Only int `json:"only"`

	N       int     `json:"n"`
	Mean    float64 `json:"mean"`
	Up      float64 `json:"up"`
	Down    float64 `json:"down"`
	Skipped int     `json:"skipped"`
}

// NewPageHinkley makes a two-sided detector with the field's usual settings and the given threshold. The usual 50 is for
// errors of 0 and 1; of streams with a standard deviation of 1 that never change, 31 % alarm with it within 1,000 values.
func NewPageHinkley(lambda float64) *PageHinkley {
	return &PageHinkley{Delta: 0.005, Lambda: lambda, Alpha: 0.9999, Least: 30}
}

// Add takes the next value.
func (p *PageHinkley) Add(x float64) State {
	if !finite(x) {
		p.Skipped++
		return Stable
	}
	p.N++
	p.Mean += (x - p.Mean) / float64(p.N)
	p.Up = math.Max(0, p.Alpha*p.Up+x-p.Mean-p.Delta)
	p.Down = math.Max(0, p.Alpha*p.Down-(x-p.Mean)-p.Delta)
	if p.N+1 < p.Least {
		return Stable
	}
	if p.Only >= 0 && p.Up >= p.Lambda || p.Only <= 0 && p.Down >= p.Lambda {
		p.N, p.Mean, p.Up, p.Down = 0, 0, 0, 0
		return Drift
	}
	return Stable
}

// CUSUM is the two-sided tabular cumulative sum of values in standard deviations from a target that it learns from its first
// BurnIn values. With Slack 0.5 and Threshold 5, the textbook's, 88 % of stable streams of 1,000 values alarm: the time between
// false alarms grows as exp(2·Slack·Threshold), so NewCUSUM asks for more.
type CUSUM struct {
	Slack     float64 `json:"slack"`     // half the change worth finding, in standard deviations
	Threshold float64 `json:"threshold"` // in standard deviations
	BurnIn    int     `json:"burn_in"`   // values that target and deviation are learnt from

	N       int     `json:"n"`
	Mean    float64 `json:"mean"`
	Squares float64 `json:"squares"`
	Up      float64 `json:"up"`
	Down    float64 `json:"down"`
	Skipped int     `json:"skipped"`
}

// NewCUSUM makes a detector for changes of one standard deviation or more, with a target learnt from 100 values.
func NewCUSUM() *CUSUM { return &CUSUM{Slack: 0.5, Threshold: 12, BurnIn: 100} }

// Add takes the next value. A stream that did not vary while its target was learnt says Drift at the first other value.
func (c *CUSUM) Add(x float64) State {
	if !finite(x) {
		c.Skipped++
		return Stable
	}
	if c.N < c.BurnIn {
		c.N++
		before := c.Mean
		c.Mean += (x - c.Mean) / float64(c.N)
		c.Squares += (x - c.Mean) * (x - before)
		return Stable
	}
	z := x - c.Mean
	if deviation := math.Sqrt(c.Squares / float64(max(c.N-1, 1))); deviation > 0 {
		z /= deviation
	} else if z != 0 {
		z = math.Inf(int(math.Copysign(1, z)))
	}
	c.Up = math.Max(0, c.Up+z-c.Slack)
	c.Down = math.Max(0, c.Down-z-c.Slack)
	if c.Up <= c.Threshold && c.Down <= c.Threshold {
		return Stable
	}
	c.N, c.Mean, c.Squares, c.Up, c.Down = 0, 0, 0, 0, 0
	return Drift
}
