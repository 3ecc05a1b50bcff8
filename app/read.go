package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/admin"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/fairlead-ml/fairlead/ship/rollout"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/alert"
)

// This file answers the control API's questions from the seams.

// status implements admin.Options.Status.
func (a *App) status(ctx context.Context) (api.Status, error) {
	total, err := a.store.Stats(ctx, "")
	if err != nil {
		return api.Status{}, err
	}
	labels, err := a.store.Labels(ctx)
	if err != nil {
		return api.Status{}, err
	}
	lag, err := a.lag(ctx)
	if err != nil {
		return api.Status{}, err
	}
	return api.Status{
		Version: a.config.Version, Started: a.started, Now: time.Now().UTC(), Engine: a.engine,
		Recorded: a.recorder.recorded.Load(), Dropped: a.recorder.dropped.Load(),
		Stored: total.Rows, Labels: labels, Lag: lag.Seconds(), LossLimit: a.config.LossWindow.Seconds(),
	}, nil
}

// Deployments implements admin.Deployments.
func (a *App) Deployments(ctx context.Context) ([]api.Deployment, error) {
	firing, err := a.firing(ctx)
	if err != nil {
		return nil, err
	}
	out := []api.Deployment{}
	for _, dep := range a.deployer.list() {
		d, err := a.describe(ctx, dep)
		if err != nil {
			return nil, err
		}
		d.Firing = firing[dep.Name]
		out = append(out, d)
	}
	return out, nil
}

func (a *App) describe(ctx context.Context, dep deployment) (api.Deployment, error) {
	d := api.Deployment{
		Name: string(dep.Name), Model: string(dep.Model), Version: int(dep.Live), State: "ready",
		Notes: a.annotations.list(dep.Name), Drifted: []string{}, History: []api.LivePoint{},
	}
	if dep.failed != nil {
		d.State, d.Reason = "failed", dep.failed.Error()
	}
	if dep.Unloaded {
		d.State, d.Reason = "unloaded", "a client unloaded it; its next load puts it back"
	}
	d.Serving = a.serving(dep)
	d.Rollout = a.rollouts.standing(dep.Name)
	if _, sig, err := a.deployer.Reference(ctx, dep.Name, dep.Live); err == nil {
		d.Task, d.Label = string(sig.Task), sig.Label.Name
	}
	if entry, err := a.registry.Resolve(ctx, dep.Model, dep.Live.String()); err == nil {
		d.Digest = string(entry.Digest)
	}
	stats, err := a.store.Stats(ctx, dep.Name)
	if err != nil {
		return d, err
	}
	d.Rows, d.Labelled, d.From, d.To = stats.Rows, stats.Labelled, stats.From, stats.To
	d.Live, d.History = live(a.meter, dep.Name, time.Now())
	latest, err := a.store.Findings(ctx, dep.Name, dep.Live, watch.Hour, time.Time{}, time.Time{}, 1)
	if err != nil {
		return d, err
	}
	for _, f := range latest {
		if f.Verdict == watch.Drifted {
			d.Drifted = append(d.Drifted, f.Column)
		}
	}
	return d, nil
}

// live turns the meter's snapshot into the API's form.
func live(m *meter.Meter, name fairlead.Name, now time.Time) (api.Live, []api.LivePoint) {
	s := m.Live(name, now)
	out := api.Live{RequestsPerSecond: s.Requests, RowsPerSecond: s.Rows, ErrorsPerSecond: s.Errors}
	if s.Measured {
		out.P50, out.P95, out.P99 = millis(s.P50), millis(s.P95), millis(s.P99)
	}
	points := []api.LivePoint{}
	for _, p := range m.History(name, now, historySeconds) {
		point := api.LivePoint{Time: p.Time.UTC(), Rows: float64(p.Rows)}
		if p.Measured {
			point.P50, point.P99 = millis(p.P50), millis(p.P99)
		}
		points = append(points, point)
	}
	return out, points
}

// loadOf is a deployment's traffic over the last seconds.
func (a *App) loadOf(name fairlead.Name) rollout.Load {
	s := a.meter.Live(name, time.Now())
	load := rollout.Load{RequestsPerMinute: 60 * s.Requests}
	if s.Requests > 0 {
		load.ErrorRate = min(s.Errors/s.Requests, 0.5)
	}
	return load
}

// historySeconds is how much of the live rate the page draws.
const historySeconds = 120

func millis(d time.Duration) *float64 {
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}

// Annotate implements admin.Deployments.
func (a *App) Annotate(ctx context.Context, name fairlead.Name, in api.Annotation) (api.Annotation, error) {
	return a.annotations.put(ctx, name, in)
}

// Rollback implements admin.Deployments.
func (a *App) Rollback(ctx context.Context, name fairlead.Name) (api.RollbackAnswer, error) {
	if a.pipelines.get(name) != nil {
		return a.pipelines.rollback(ctx, name)
	}
	r, done, err := a.rollouts.rollback(ctx, name, somebody)
	if err == nil && !done {
		r, err = a.deployer.Rollback(ctx, name)
	}
	if err == nil {
		a.log.Info("rolled back", "deployment", name, "from", r.From, "to", r.To)
	}
	return r, err
}

// Append implements admin.Labels: it returns after the labels are on disk.
func (a *App) Append(ctx context.Context, labels []fairlead.Label) error {
	_, err := a.events.Append(ctx, eventlog.Labels, messageID(), eventlog.EncodeLabels(labels))
	return err
}

// Alerts implements admin.Alerts. While the state is out of reach nobody knows who acknowledged or silenced what.
func (a *App) Alerts(ctx context.Context) ([]api.Alert, error) {
	all, err := a.listAlerts(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.annotateAlerts(ctx, all); err != nil {
		a.log.Warn("alerts are listed without their incidents", "err", err)
	}
	return all, nil
}

// listAlerts has the latest onset first.
func (a *App) listAlerts(ctx context.Context) ([]api.Alert, error) {
	out := []api.Alert{}
	for _, name := range a.deployer.Names() {
		book, err := a.books.Load(ctx, name)
		if err != nil {
			return nil, err
		}
		marks := a.annotations.list(name)
		for _, x := range book.Alerts() {
			out = append(out, alertOf(x, marks))
		}
	}
	slices.SortStableFunc(out, func(x, y api.Alert) int { return y.Onset.Compare(x.Onset) })
	return out, nil
}

func alertOf(x alert.Alert, marks []api.Annotation) api.Alert {
	out := api.Alert{
		ID: x.ID, Deployment: string(x.Deployment), Column: x.Column, State: string(x.State), Measure: x.Measure,
		Value: x.Value, Worst: x.Worst, Threshold: x.Threshold, Floor: x.Floor, N: x.N, Grain: x.Grain,
		Onset: x.Onset, Last: x.Last, Fired: x.Fired, Resolved: x.Resolved, Message: x.Message,
	}
	for _, m := range marks {
		if m.Kind == "planted" && !x.Onset.After(m.End) && !x.Last.Before(m.Start) {
			out.Planted = m.Title
		}
	}
	return out
}

func (a *App) firing(ctx context.Context) (map[fairlead.Name]int, error) {
	all, err := a.listAlerts(ctx)
	count := map[fairlead.Name]int{}
	for _, x := range all {
		if x.State == string(alert.Firing) {
			count[fairlead.Name(x.Deployment)]++
		}
	}
	return count, err
}

// findings reads the evaluation store for the control API.
type findings struct{ store *evalstore.Store }

func (f findings) Findings(ctx context.Context, s admin.Span) ([]watch.Finding, error) {
	return f.store.Findings(ctx, s.Deployment, s.Version, s.Grain, s.From, s.To, s.Limit)
}

func (f findings) Metrics(ctx context.Context, s admin.Span) ([]watch.MetricsRow, error) {
	return f.store.MetricsRows(ctx, s.Deployment, s.Version, s.Grain, s.From, s.To, s.Limit)
}

func (f findings) Profiles(ctx context.Context, w watch.Window) ([][]byte, error) {
	return f.store.Profiles(ctx, w)
}

func (a *App) watermark(ctx context.Context, name fairlead.Name) (time.Time, error) {
	stats, err := a.store.Stats(ctx, name)
	return stats.To, err
}

// Models implements admin.Models.
func (a *App) Models(ctx context.Context) ([]api.Model, error) {
	all, err := a.registry.List(ctx)
	if err != nil {
		return nil, err
	}
	out := []api.Model{}
	for _, m := range all {
		model := api.Model{Name: string(m.Name), Aliases: map[string]int{}, Versions: []api.ModelVersion{}}
		for alias, v := range m.Aliases {
			model.Aliases[alias] = int(v)
		}
		for i := len(m.Versions) - 1; i >= 0; i-- {
			if e := m.Versions[i]; !e.Kept() {
				model.Removed = append(model.Removed, removedOf(e))
				continue
			}
			v, err := a.modelVersion(ctx, m.Name, m.Versions[i])
			if err != nil {
				return nil, err
			}
			model.Versions = append(model.Versions, v)
		}
		out = append(out, model)
	}
	slices.SortFunc(out, func(x, y api.Model) int { return strings.Compare(x.Name, y.Name) })
	return out, nil
}
