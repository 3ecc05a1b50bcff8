// Package watch answers "is it still right?". It follows what the evaluation store has taken in and measures each
// hour and day of event time of each version: profile (the minutes' counters are merged) → drift (they are compared
// with the version's reference) → realised (labels that have arrived are held against the predictions) → alert (the
// rule of the deployment, on windows that are closed).
//
// The spine is Step, which somebody calls again and again. It asks the Source which hours changed, works through their
// windows, oldest first and only so many at a time, and hands the findings to the Sink together with the hours that
// are done. A window is closed when the watermark, the latest event time seen, has passed its end by the allowed
// lateness; until then everything said about it is provisional. Rows and labels that come later move the sequence
// number of their hour, and the windows they fall into are evaluated anew, the alerts included. Nothing depends on the
// wall clock or on what was done before: the same rows give the same findings in a replay. What fails is confined to
// its column, window or deployment, logged and counted.
package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// Models gives what is known of a deployment's version. The answer is kept, as a version never changes.
type Models interface {
	// Reference gives the reference profile, nil if the version has none, and the signature.
	Reference(ctx context.Context, deployment fairlead.Name, version fairlead.Version) (*profile.Reference, fairlead.Signature, error)
}

// AlertStore keeps the alert book of each deployment.
type AlertStore interface {
	// Load gives the book that was saved last, the zero Book if there is none.
	Load(ctx context.Context, deployment fairlead.Name) (alert.Book, error)
	Save(ctx context.Context, deployment fairlead.Name, book alert.Book) error
}

// Options of a Watcher; the zero value takes the defaults.
type Options struct {
	// Lateness is how far the watermark must have passed the end of a window to close it, in event time; 10 minutes
	// if zero, at once if negative.
	Lateness time.Duration
	// MaxWindows bounds the windows evaluated in one Step; 200 if zero. Deployments share it evenly.
	MaxWindows int
	// Rule gives the alert rule of a deployment; alert.DefaultRule if nil.
	Rule func(deployment fairlead.Name) alert.Rule
	// Now is the wall clock. With it, a window that is evaluated again and again as rows and labels trickle in waits
	// at least ten times as long as its last evaluation took, and event times in the future do not close windows.
	// Without it every change is evaluated at once.
	Now func() time.Time
}

// Stats counts what a Watcher did since it was made.
type Stats struct {
	Windows       uint64 // evaluated
	Failed        uint64 // could not be read (in part), and will be tried again
	BadProfiles   uint64 // windows without findings because a stored profile is damaged
	BrokenColumns uint64 // columns that could not be measured
	UnknownLabels uint64 // labels that mean nothing to the model's task, in the evaluated windows
	Alerts        uint64 // events: fired, resolved, …
}

// Watcher evaluates windows. Step is for one goroutine; Stats may be called by any.
type Watcher struct {
	src    Source
	sink   Sink
	models Models
	alerts AlertStore
	opt    Options
	log    *slog.Logger

	known      map[modelKey]*model
	watermarks map[fairlead.Name]time.Time
	seen       map[Window]*memory
	step       uint64

	windows, failed, badProfiles, brokenColumns, unknownLabels, events atomic.Uint64
}

// New makes a Watcher. It starts nothing.
func New(src Source, sink Sink, models Models, alerts AlertStore, opt Options, log *slog.Logger) *Watcher {
	switch {
	case opt.Lateness == 0:
		opt.Lateness = 10 * time.Minute
	case opt.Lateness < 0:
		opt.Lateness = 0
	}
	if opt.MaxWindows <= 0 {
		opt.MaxWindows = 200
	}
	if opt.Rule == nil {
		opt.Rule = func(fairlead.Name) alert.Rule { return alert.DefaultRule() }
	}
	return &Watcher{
		src: src, sink: sink, models: models, alerts: alerts, opt: opt, log: log,
		known:      map[modelKey]*model{},
		watermarks: map[fairlead.Name]time.Time{},
		seen:       map[Window]*memory{},
	}
}

// Stats gives the counters.
func (w *Watcher) Stats() Stats {
	return Stats{
		Windows: w.windows.Load(), Failed: w.failed.Load(), BadProfiles: w.badProfiles.Load(),
		BrokenColumns: w.brokenColumns.Load(), UnknownLabels: w.unknownLabels.Load(), Alerts: w.events.Load(),
	}
}

// Step evaluates the windows that changed, at most Options.MaxWindows of them, and returns how many it saved; whoever
// wants to catch up calls it again until that is 0. The error is that of the Source's Changes, of an AlertStore or of the
// Sink; what could not be saved will be evaluated again. Windows that cannot be read are no error here: they are
// logged, counted and tried again in later steps, ever more rarely.
func (w *Watcher) Step(ctx context.Context) (changed int, err error) {
	w.step++
	changes, err := w.src.Changes(ctx)
	if err != nil {
		return 0, fmt.Errorf("watch: list changes: %w", err)
	}
	var errs []error
	for _, d := range w.plan(changes) {
		n, err := w.stepDeployment(ctx, d)
		changed += n
		if err != nil {
			errs = append(errs, fmt.Errorf("watch %s: %w", d.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return changed, errors.Join(errs...)
}

// stepDeployment evaluates, alerts and saves. The alerts are saved first: if the rest fails, the same windows are
// evaluated again, and an alert book takes the same window twice without harm.
func (w *Watcher) stepDeployment(ctx context.Context, d *deploymentPlan) (int, error) {
	rule := w.rule(d.name)
	var res Result
	var closed []alert.Window
	fresh := make(map[Window]*memory, len(d.tasks))
	for _, t := range d.tasks {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		e := w.evaluate(ctx, t, rule)
		if ctx.Err() != nil {
			return 0, ctx.Err() // an interrupted reading is no failed window
		}
		fresh[t.Window] = w.remember(t, e)
		if e.err != nil && len(e.findings) == 0 && e.metrics == nil {
			w.seen[t.Window] = fresh[t.Window]
			continue // what was said about it before stands
		}
		res.Windows = append(res.Windows, t.Window)
		res.Findings = append(res.Findings, e.findings...)
		if e.metrics != nil {
			res.Metrics = append(res.Metrics, *e.metrics)
		}
		if e.decided && t.closed && t.Role == fairlead.RoleLive && string(t.Grain) == rule.Grain {
			closed = append(closed, alert.Window{Version: t.Version, Start: t.Start, Observations: e.observations})
		}
	}
	res.Done = w.done(d, fresh)
	if len(res.Windows) == 0 && len(res.Done) == 0 {
		return 0, nil
	}
	if err := w.applyAlerts(ctx, d.name, rule, closed); err != nil {
		return 0, err
	}
	if err := w.sink.Save(ctx, res); err != nil {
		return 0, fmt.Errorf("save %d windows: %w", len(res.Windows), err)
	}
	for win, m := range fresh {
		w.seen[win] = m
	}
	w.windows.Add(uint64(len(res.Windows)))
	return len(res.Windows), nil
}

// rule is the deployment's rule, or the default one if that is not valid.
func (w *Watcher) rule(deployment fairlead.Name) alert.Rule {
	r := w.opt.Rule(deployment)
	if err := r.Validate(); err != nil {
		w.log.Warn("alert rule is not valid, the default one is used", "deployment", deployment, "error", err)
		return alert.DefaultRule()
	}
	return r
}

// applyAlerts takes closed windows, in order of event time, into the deployment's book.
func (w *Watcher) applyAlerts(ctx context.Context, deployment fairlead.Name, rule alert.Rule, windows []alert.Window) error {
	if len(windows) == 0 {
		return nil
	}
	book, err := w.alerts.Load(ctx, deployment)
	if err != nil {
		return fmt.Errorf("load alerts: %w", err)
	}
	before, err := json.Marshal(book)
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	book.Deployment = deployment
	var events []alert.Event
	for _, win := range windows {
		events = append(events, book.Apply(rule, win)...)
	}
	after, err := json.Marshal(book)
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	if string(before) == string(after) {
		return nil
	}
	if err := w.alerts.Save(ctx, deployment, book); err != nil {
		return fmt.Errorf("save alerts: %w", err)
	}
	for _, e := range events {
		w.log.Info("alert", "event", e.Kind, "id", e.Alert.ID, "message", e.Alert.Message)
	}
	w.events.Add(uint64(len(events)))
	return nil
}
