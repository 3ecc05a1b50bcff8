// Package shape names what a drift looks like over time: instantaneous, gradual, periodic or temporary (Gama et al. 2014 and
// Full Stack Deep Learning use these words). It fits a handful of shapes to the series of a measure, one value a window, and
// takes the simplest that explains it by the Bayesian information criterion. It is a pure function of the series, so that the
// same windows always get the same name, and the numbers behind the name can be shown.
//
// The series should be √PSI against a fixed reference: the root makes the noise variance nearly constant, which justifies least
// squares. Known seasonality is no periodic drift: take a reference of the same phase, so that the season is not in the series.
package shape

// Kind is the type of a drift.
type Kind string

// The kinds. None is a series that a constant explains.
const (
	None          Kind = "none"
	Instantaneous Kind = "instantaneous"
	Gradual       Kind = "gradual"
	Periodic      Kind = "periodic"
	Temporary     Kind = "temporary"
)

// Kinds are all of them, None first.
var Kinds = []Kind{None, Instantaneous, Gradual, Periodic, Temporary}

// Drift is a kind with where and how sure. Places are indices of the series.
type Drift struct {
	Kind   Kind `json:"kind"`
	Onset  int  `json:"onset"`            // the first window that differs; 0 for periodic and none
	End    int  `json:"end"`              // gradual: the first window at the new level; temporary: the first after its return
	Period int  `json:"period,omitempty"` // of a season in the series, whatever the kind; 0: none
	// Amplitude is how much the series changed in its own unit: the height of the step, ramp or pulse; of a season half
	// the way from its lowest to its highest point.
	Amplitude float64 `json:"amplitude"`
	// Margin is BIC(constant) − BIC(best): evidence that there is anything, 6 is strong.
	Margin float64 `json:"margin"`
	// Confidence is the probability of this kind among all kinds, exp(−BIC/2) of the best fit of each, in [0,1].
	Confidence float64 `json:"confidence"`
	// Provisional says that the next windows can still change the name: a step may return, a ramp may still rise, and what
	// began a few windows ago has not shown its shape.
	Provisional bool `json:"provisional"`
}
