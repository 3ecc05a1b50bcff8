package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// Grain is the length of a measurement window. Windows start on full hours and days, UTC.
type Grain string

// Grains that are measured.
const (
	Hour Grain = "hour"
	Day  Grain = "day"
)

// ParseGrain reads "hour" or "day".
func ParseGrain(s string) (Grain, error) {
	switch g := Grain(s); g {
	case Hour, Day:
		return g, nil
	}
	return "", fairlead.Invalid("grain %q is not known", s).Hintf("use hour or day")
}

// Length is one hour, or 24 hours for a day.
func (g Grain) Length() time.Duration {
	if g == Day {
		return 24 * time.Hour
	}
	return time.Hour
}

// Start is the start of the window that holds t, in UTC.
func (g Grain) Start(t time.Time) time.Time { return t.UTC().Truncate(g.Length()) }

// End is the first instant after the window that holds t, in UTC.
func (g Grain) End(t time.Time) time.Time { return g.Start(t).Add(g.Length()) }

// Window is one measurement window of one version in one role: the rows whose event time is in [Start, End).
type Window struct {
	Deployment fairlead.Name
	Version    fairlead.Version
	Role       fairlead.Role
	Grain      Grain
	Start      time.Time // UTC, a full hour or day
}

// End is the first instant after the window.
func (w Window) End() time.Time { return w.Start.Add(w.Grain.Length()) }

// String is for logs and transcripts: "flights@3 live hour 2001-03-08 14:00".
func (w Window) String() string {
	return fmt.Sprintf("%s@%d %s %s %s", w.Deployment, w.Version, w.Role, w.Grain, w.Start.UTC().Format("2006-01-02 15:04"))
}

// Verdict is what a window says about a column; alert.Rule.Judge decides it.
type Verdict = alert.Verdict

// Verdicts.
const (
	OK      = alert.OK
	Drifted = alert.Drifted // the effect is at or above the tolerance of the rule, and more than chance
	TooFew  = alert.TooFew  // not drifted, but the noise floor lies above the threshold: more rows are needed
)

// Finding is what was measured on one column in one window. A measure that does not exist for the column (KS of
// categories, any distance of no rows) is NaN, and so is its floor.
type Finding struct {
	Window
	Column    string
	Output    bool   // an output of the model, not a feature
	Kind      string // numeric or categorical
	N, M      uint64 // rows of the window, rows of the reference it was compared with
	Reference string // which part of the reference: "all", or "same phase: Mon 14h"

	PSI, PSIDebiased, PSIFloor float64
	KS, KSFloor                float64
	D1, D1Floor                float64
	JS, JSFloor                float64

	Missing, Unseen float64 // shares of the rows, 0 to 1
	Verdict         Verdict
	Provisional     bool // the window is still open
}

// MetricsRow is the realised performance of one window.
type MetricsRow struct {
	Window
	N, Labelled uint64              // predictions, and those of them with a label
	Values      map[string]float64  // by metric name; a metric that is not defined (AUROC of one class) is absent
	Estimates   map[string]Estimate // before labels, by metric name; nil where the reference has no labels
	Provisional bool                // the window is open, or fewer than 95 % have their label
}

// Estimate is a metric as the scores promise it, and where the metric of the labels will lie 95 times in 100; the bounds are NaN
// where they are not known.
type Estimate struct{ Value, Low, High float64 }

// Change is an hour of event time that got new rows, labels or profiles, or that was not yet evaluated as closed. Only the
// hours that have rows are ever listed.
type Change struct {
	Deployment fairlead.Name
	Version    fairlead.Version
	Role       fairlead.Role
	Hour       time.Time // UTC, full hour
	Seq        uint64    // grows when rows, labels or profiles are added to the hour
	Watermark  time.Time // latest event time of that deployment and version
}

// Source is what watch reads from the evaluation store.
type Source interface {
	// Changes lists every hour for which no Save has marked its present Seq (or a later one) as done, in any order.
	Changes(ctx context.Context) ([]Change, error)
	// Profiles gives the marshalled profile.Counts of the minutes in the window, in any order.
	Profiles(ctx context.Context, w Window) ([][]byte, error)
	// Outcomes gives the number of predictions in the window and their outcomes. Those without a label count for the
	// predicted rate only: they may come together, by their decision, or not at all.
	Outcomes(ctx context.Context, w Window) (total uint64, outcomes []realised.Outcome, err error)
}

// Sink is where results go.
type Sink interface {
	// Save, in one transaction, replaces all findings and metrics of res.Windows by those in res, and marks the hours
	// in res.Done evaluated up to their Seq.
	Save(ctx context.Context, res Result) error
}

// Result is what one step found for one deployment.
type Result struct {
	Windows  []Window // evaluated; one without findings has none any more
	Findings []Finding
	Metrics  []MetricsRow
	Done     []Change
}
