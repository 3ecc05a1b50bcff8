// Package alert decides when drift of a column becomes an alert and when the alert is over. It is pure: it has no
// clock, and time is the event time of closed windows. A Book is the state of one deployment; what it says depends
// only on the windows applied to it, not on how often or in which order they came.
package alert

import (
	"fmt"
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

// Rule says when windows of a column make an alert. A window drifted when the effect reaches Threshold and is more than chance;
// the alert fires when For of the last Of windows drifted. Books keep it as JSON; fields that are absent there mean what
// they meant before they existed.
type Rule struct {
	Measure   string  `json:"measure"`      // MeasurePSI or MeasureKS
	Threshold float64 `json:"threshold"`    // the tolerance: changes below it are nobody's business
	Grain     string  `json:"grain"`        // of the windows that count: hour or day
	For       int     `json:"for"`          // drifted windows before it fires
	Of        int     `json:"of,omitempty"` // among so many of the latest; 0: For, which is in a row
	Clear     int     `json:"clear"`        // clean windows in a row before it resolves
	// FDR is the share of false ones that is accepted among the columns called drifted in a window (Benjamini and
	// Hochberg). 0: each column is held against its own noise floor.
	FDR float64 `json:"fdr,omitempty"`
}

// Measures of a rule.
const (
	// MeasurePSI is the population stability index, debiased.
	MeasurePSI = "psi"
	// MeasureKS is the Kolmogorov-Smirnov distance; for categories, which have no order, the total variation distance.
	MeasureKS = "ks"
)

// DefaultRule needs a debiased PSI of 0.2 or more in two of three hours, at a false discovery rate of 1 % over the columns
// of the model, and resolves after four clean hours. docs/drift.md has the measurements that it rests on.
func DefaultRule() Rule {
	return Rule{Measure: MeasurePSI, Threshold: 0.2, Grain: "hour", For: 2, Of: 3, Clear: 4, FDR: 0.01}
}

// maxRun bounds Of and Clear: a run has to fit into the windows that a Book keeps.
const maxRun = keep / 2

// maxFDR is the largest false discovery rate: above it, the alerts would be about chance.
const maxFDR = 0.2

// of is the number of windows that For is counted among.
func (r Rule) of() int { return max(r.For, r.Of) }

// Validate says what is wrong with the rule; the error is CodeInvalid.
func (r Rule) Validate() error {
	switch {
	case r.Measure != MeasurePSI && r.Measure != MeasureKS:
		return fairlead.Invalid("measure %q of the alert rule is not known", r.Measure).Hintf("use psi or ks")
	case math.IsNaN(r.Threshold) || r.Threshold <= 0 || math.IsInf(r.Threshold, 0):
		return fairlead.Invalid("threshold %v of the alert rule is not a positive number", r.Threshold).Hintf("0.1 to 0.25 are common for PSI")
	case r.Measure == MeasureKS && r.Threshold >= 1:
		return fairlead.Invalid("threshold %v of the alert rule is never reached: ks is 1 at most", r.Threshold).Hintf("0.05 to 0.2 are common for ks")
	case r.Grain != "hour" && r.Grain != "day":
		return fairlead.Invalid("grain %q of the alert rule is not known", r.Grain).Hintf("use hour or day")
	case r.For < 1 || r.For > maxRun || r.Clear < 1 || r.Clear > maxRun:
		return fairlead.Invalid("the alert rule counts %d drifted and %d clean windows", r.For, r.Clear).
			Hintf("both are 1 to %d", maxRun)
	case r.Of != 0 && (r.Of < r.For || r.Of > maxRun):
		return fairlead.Invalid("the alert rule wants %d drifted windows of %d", r.For, r.Of).
			Hintf("the second number is the first or more, and at most %d", maxRun)
	case !(r.FDR >= 0 && r.FDR <= maxFDR):
		return fairlead.Invalid("false discovery rate %v of the alert rule is not from 0 to %v", r.FDR, maxFDR).
			Hintf("0.01 is usual; 0 holds each column against its own noise floor")
	}
	return nil
}

// Windows says when the rule fires in words: "2 of 3 hours", "2 hours in a row", "1 day".
func (r Rule) Windows() string {
	plural := func(n int) string {
		if n == 1 {
			return r.Grain
		}
		return r.Grain + "s"
	}
	switch {
	case r.of() > r.For:
		return fmt.Sprintf("%d of %d %s", r.For, r.Of, plural(r.Of))
	case r.For > 1:
		return fmt.Sprintf("%d %s in a row", r.For, plural(r.For))
	}
	return "1 " + r.Grain
}

// fewRows is how far a measure has to lie above its noise floor to count in a window whose floor lies above the threshold.
// One such window in a thousand exceeds its floor by chance, and there debiased PSI is above the threshold as well; with
// hundreds of nightly windows a week that would be a false alarm every few days. Above twice the floor chance plays no
// part any more (for PSI 3·10⁻⁶ with two bins, 10⁻⁸ with ten; for KS 10⁻¹²).
const fewRows = 2

// Measured is what a window says about a column by the measure of a rule.
type Measured struct {
	Value  float64 // as measured
	Effect float64 // less what is expected without drift, where that is known
	Floor  float64 // what Value reaches without drift at this number of rows, one time in a thousand
	// Q is the smallest false discovery rate at which the column is among those of its window that moved, see
	// drift.Adjusted; 0 or NaN: it was not looked at together with others.
	Q float64
}

// Judge compares one window with the rule. It drifted when the effect reaches the threshold and is no chance: with a
// false discovery rate Q is at most that, without one (or without Q) the value lies above its noise floor. A window with
// a floor above the threshold has too few rows: it drifted only when the value lies above twice the floor, and else says
// nothing (TooFew). So does one in which there was nothing to measure (NaN or infinite).
func (r Rule) Judge(m Measured) Verdict {
	few := m.Floor > r.Threshold
	beyond := m.Value > m.Floor
	if r.FDR > 0 && m.Q > 0 { // a chance that rounds to 0 lies above any floor
		beyond = m.Q <= r.FDR
	}
	switch {
	case !finite(m.Value) || !finite(m.Effect) || !finite(m.Floor):
		return TooFew
	case few && m.Value <= fewRows*m.Floor:
		return TooFew
	case m.Effect >= r.Threshold && beyond:
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
