package detect

import "math"

// DDM watches the rate of errors of a stream of right and wrong predictions: a warning when p+s is two standard deviations
// above its lowest value, drift at three (Gama et al. 2004). It sees a rate that rises, not one that falls.
type DDM struct {
	WarmUp int     `json:"warm_up"` // values before it says anything
	Warn   float64 `json:"warn"`    // standard deviations
	Alarm  float64 `json:"alarm"`   // standard deviations

	N    int     `json:"n"`
	Rate float64 `json:"rate"`
	Low  float64 `json:"low"`    // the rate where rate+deviation was lowest
	Dev  float64 `json:"dev"`    // the deviation there
	Best float64 `json:"lowest"` // their sum; only valid where Set
	Set  bool    `json:"set"`
}

// NewDDM makes a detector with the settings of the paper: 30 values, two and three deviations.
func NewDDM() *DDM { return &DDM{WarmUp: 30, Warn: 2, Alarm: 3} }

// Add takes whether the next prediction was wrong.
func (d *DDM) Add(wrong bool) State {
	d.N++
	d.Rate += (indicator(wrong) - d.Rate) / float64(d.N)
	if d.N <= d.WarmUp {
		return Stable
	}
	s := math.Sqrt(d.Rate * (1 - d.Rate) / float64(d.N))
	if !d.Set || d.Rate+s <= d.Best {
		d.Low, d.Dev, d.Best, d.Set = d.Rate, s, d.Rate+s, true
	}
	switch {
	case d.Rate+s > d.Low+d.Alarm*d.Dev:
		*d = DDM{WarmUp: d.WarmUp, Warn: d.Warn, Alarm: d.Alarm}
		return Drift
	case d.Rate+s > d.Low+d.Warn*d.Dev:
		return Warning
	}
	return Stable
}

// EDDM watches the distances between errors: they shrink when a model gets worse (Baena-García et al. 2006). Better than DDM at
// slow drift, and with more false alarms.
type EDDM struct {
	WarmUp int     `json:"warm_up"` // values, and as many errors, before it says anything
	Warn   float64 `json:"warn"`    // share of the largest mean + 2 deviations
	Alarm  float64 `json:"alarm"`

	N       int     `json:"n"`
	Errors  int     `json:"errors"`
	Last    int     `json:"last"` // where the last error was
	Mean    float64 `json:"mean"`
	Squares float64 `json:"squares"` // sum of squared deviations of the distances
	Max     float64 `json:"max"`
	Warned  bool    `json:"warned"` // stays until an error says otherwise
}

// NewEDDM makes a detector with the settings of the paper: 30, 0.95 and 0.9.
func NewEDDM() *EDDM { return &EDDM{WarmUp: 30, Warn: 0.95, Alarm: 0.9} }

// Add takes whether the next prediction was wrong.
func (d *EDDM) Add(wrong bool) State {
	d.N++
	if wrong && d.failed() {
		*d = EDDM{WarmUp: d.WarmUp, Warn: d.Warn, Alarm: d.Alarm}
		return Drift
	}
	if d.Warned {
		return Warning
	}
	return Stable
}

// failed takes an error and says whether the distances have shrunk below the alarm's share.
func (d *EDDM) failed() bool {
	d.Errors++
	distance := float64(d.N - d.Last)
	d.Last = d.N
	before := d.Mean
	d.Mean += (distance - d.Mean) / float64(d.Errors)
	d.Squares += (distance - d.Mean) * (distance - before)
	if d.N <= d.WarmUp {
		return false
	}
	deviation := 0.0
	if d.Errors > 1 {
		deviation = math.Sqrt(d.Squares / float64(d.Errors-1))
	}
	level := d.Mean + 2*deviation
	if level > d.Max {
		d.Max = level
		return false
	}
	if d.Errors <= d.WarmUp {
		return false
	}
	share := level / d.Max
	d.Warned = share < d.Warn
	return share < d.Alarm
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
