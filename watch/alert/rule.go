// Package alert decides when drift of a column becomes an alert and when the alert is over. It is pure: it has no
// clock, and time is the event time of closed windows. A Book is the state of one deployment; what it says depends
// only on the windows applied to it, not on how often or in which order they came.
package alert

import (
	"math"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Verdict is what one window says about one column.
type Verdict string

// Verdicts.
const (
	OK      Verdict = "ok"
	Drifted Verdict = "drifted"
	TooFew  Verdict = "too_few"
)

// Rule is the threshold rule of a deployment. Its measure is PSI, compared after debiasing and only above its noise
// floor.
type Rule struct {
	Measure   string  `json:"measure"`
	Threshold float64 `json:"threshold"`
	Grain     string  `json:"grain"` // of the windows that count: hour or day
	For       int     `json:"for"`   // drifted windows in a row before it fires
	Clear     int     `json:"clear"` // clean windows in a row before it resolves
}

// DefaultRule fires on the first hour whose debiased PSI reaches 0.25 and resolves after two clean hours.
func DefaultRule() Rule {
	return Rule{Measure: "psi", Threshold: 0.25, Grain: "hour", For: 1, Clear: 2}
}

// maxRun bounds For and Clear: a run has to fit into the windows that a Book keeps.
const maxRun = keep / 2

// Validate says what is wrong with the rule; the error is CodeInvalid.
func (r Rule) Validate() error {
	switch {
	case r.Measure != "psi":
		return fairlead.Invalid("measure %q of the alert rule is not known", r.Measure).Hintf("use psi")
	case math.IsNaN(r.Threshold) || r.Threshold <= 0 || math.IsInf(r.Threshold, 0):
		return fairlead.Invalid("threshold %v of the alert rule is not a positive number", r.Threshold).Hintf("0.1 to 0.25 are common for PSI")
	case r.Grain != "hour" && r.Grain != "day":
		return fairlead.Invalid("grain %q of the alert rule is not known", r.Grain).Hintf("use hour or day")
	case r.For < 1 || r.For > maxRun || r.Clear < 1 || r.Clear > maxRun:
		return fairlead.Invalid("the alert rule counts %d drifted and %d clean windows", r.For, r.Clear).
			Hintf("both are 1 to %d", maxRun)
	}
	return nil
}

// fewRows is how far PSI has to lie above its noise floor to count in a window whose floor lies above the threshold.
// One such window in a thousand exceeds its floor by chance, and there debiased PSI is above the threshold as well; with
// hundreds of nightly windows a week that would be a false alarm every few days. Above twice the floor chance plays no
// part any more (3·10⁻⁶ with two bins, 10⁻⁸ with ten).
const fewRows = 2

// Judge compares one window with the rule. It drifted when debiased PSI reaches the threshold and PSI lies above its
// noise floor; the floor is what PSI reaches without drift at this number of rows. A window with a floor above the
// threshold has too few rows: it drifted only when PSI lies above twice the floor, and else says nothing (TooFew). So
// does one in which there was nothing to measure (NaN or infinite).
func (r Rule) Judge(psi, debiased, floor float64) Verdict {
	few := floor > r.Threshold
	switch {
	case !finite(psi) || !finite(debiased) || !finite(floor):
		return TooFew
	case few && psi <= fewRows*floor:
		return TooFew
	case debiased >= r.Threshold && psi > floor:
		return Drifted
	case few:
		return TooFew
	}
	return OK
}

// end is the first instant after the rule's window that starts at t.
func (r Rule) end(t time.Time) time.Time {
	if r.Grain == "day" {
		return t.Add(24 * time.Hour)
	}
	return t.Add(time.Hour)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
