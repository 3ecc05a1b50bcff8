package shape

import "math"

// Options of Label; the zero value is what the reference recommends for hourly windows.
type Options struct {
	Periods []int   // seasons to look for, in windows; nil: 24 and 168
	Least   float64 // the smallest margin that is more than a constant; 0: 6
	Season  float64 // half the way from lowest to highest that is worth calling a season; in the unit of the series
}

// Parameters that each model pays for.
const (
	paysConst  = 1
	paysStep   = 3
	paysRamp   = 4
	paysPulse  = 4
	paysSeason = 5
	harmonics  = 2
	// returned is how many windows ago a pulse must have ended to be one, and settled how old a step must be.
	returned = 6
	settled  = 3
	rampLast = 24
)

type template int

const (
	flat template = iota
	step
	ramp
	pulse
)

// model is one fitted candidate.
type model struct {
	template  template
	a, b      int
	period    int
	rss, bic  float64
	amplitude float64
}

// Label names the drift in a series of one value per window. weight says how much a window counts, for example its rows: nil is
// one each, 0 leaves a window out, and so does a value that is no finite number. Fewer than 12 windows are None.
func Label(y, weight []float64, o Options) Drift {
	if o.Periods == nil {
		o.Periods = []int{24, 168}
	}
	if o.Least == 0 {
		o.Least = 6
	}
	s, ok := newSeries(y, weight)
	if !ok {
		return Drift{Kind: None, Confidence: 1}
	}
	plain := s.fits(0)
	constant, candidates := plain[0], plain
	for _, p := range o.Periods {
		if len(y) >= 2*p {
			candidates = append(candidates, s.fits(p)...)
		}
	}
	best := make(map[Kind]model, len(Kinds))
	for _, c := range candidates {
		k := kindOf(c, candidates)
		if k == Periodic && o.Season > 0 && c.amplitude < o.Season && c.template == flat {
			continue
		}
		if old, ok := best[k]; !ok || c.bic < old.bic {
			best[k] = c
		}
	}
	kind := None
	for _, k := range Kinds {
		if m, ok := best[k]; ok && m.bic < best[kind].bic {
			kind = k
		}
	}
	found := best[kind]
	margin := constant.bic - found.bic
	if kind == None || margin < o.Least {
		return Drift{Kind: None, Margin: math.Max(0, margin), Confidence: confidence(best, None)}
	}
	d := Drift{Kind: kind, Onset: found.a, End: found.b, Period: found.period, Amplitude: found.amplitude, Margin: margin, Confidence: confidence(best, kind)}
	if kind == Periodic {
		d.Onset, d.End = 0, 0
	}
	if kind == Instantaneous {
		d.End = d.Onset
	}
	d.Provisional = provisional(d, len(y))
	return d
}

// kindOf names a candidate. One with a season and a shape is periodic where the season alone explains more than the shape alone.
func kindOf(m model, all []model) Kind {
	if m.period > 0 {
		if m.template == flat {
			return Periodic
		}
		var season, shape float64 = math.Inf(1), math.Inf(1)
		for _, c := range all {
			if c.period == m.period && c.template == flat {
				season = c.rss
			}
			if c.period == 0 && c.template == m.template {
				shape = c.rss
			}
		}
		if season < shape {
			return Periodic
		}
	}
	switch m.template {
	case step:
		return Instantaneous
	case ramp:
		return Gradual
	case pulse:
		return Temporary
	}
	return None
}

// confidence is the share of one kind in the sum of exp(−BIC/2).
func confidence(best map[Kind]model, k Kind) float64 {
	chosen, ok := best[k]
	if !ok {
		return 0
	}
	sum := 0.0
	for _, m := range best {
		sum += math.Exp((chosen.bic - m.bic) / 2)
	}
	return 1 / sum
}

// provisional is whether the windows to come can give another name.
func provisional(d Drift, n int) bool {
	switch d.Kind {
	case Instantaneous:
		return n-d.Onset < settled+rampLast // a ramp looks like a step until it has lasted a day
	case Gradual:
		return d.End >= n || n-d.Onset < rampLast
	case Temporary:
		return n-d.End < returned+settled
	case Periodic:
		return n < 3*d.Period
	}
	return false
}
