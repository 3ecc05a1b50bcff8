package app

import (
	"context"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/evalstore"
	truth "github.com/fairlead-ml/fairlead/learn/label"
	"github.com/fairlead-ml/fairlead/watch"
)

const (
	// lagSpan is how much event time the label-lag curve is estimated from.
	lagSpan = 90 * 24 * time.Hour
	// lagPoints is how many points of the curve are shown.
	lagPoints = 50
)

// LabelLag implements admin.Labels: the curve is estimated from the windows of the last lagSpan of event time, and the last
// limit of them are given.
func (a *App) LabelLag(ctx context.Context, name fairlead.Name, spec fairlead.LabelSpec, grain watch.Grain, limit int) (api.LabelLag, error) {
	stats, err := a.store.Stats(ctx, name)
	if err != nil {
		return api.LabelLag{}, err
	}
	to := stats.To.Add(time.Microsecond)
	windows, err := a.store.LabelWindows(ctx, name, grain, grain.Start(to.Add(-lagSpan)), to, time.Now())
	if err != nil {
		return api.LabelLag{}, err
	}
	out := lagOf(windows, spec, stats.To, limit)
	out.Deployment, out.Grain, out.Label = string(name), string(grain), spec.Name
	return out, nil
}

// lagOf estimates the curve and how complete each of the last windows is, at the event time latest.
func lagOf(windows []evalstore.LabelWindow, spec fairlead.LabelSpec, latest time.Time, limit int) api.LabelLag {
	var all []truth.Delays
	for _, w := range windows {
		all = append(all, w.Delays...)
	}
	curve := truth.NewCurve(all)
	out := api.LabelLag{
		Delay: spec.Delay.Seconds(), N: curve.N(), Followed: curve.Followed().Seconds(), Final: curve.Final(),
		Curve: []api.LagPoint{}, Windows: []api.LagWindow{},
	}
	for share, to := range map[float64]**float64{0.5: &out.Median, 0.95: &out.P95} {
		if d, ok := curve.Quantile(share * curve.Final()); ok {
			seconds := d.Seconds()
			*to = &seconds
		}
	}
	for _, p := range curve.Points(lagPoints) {
		out.Curve = append(out.Curve, api.LagPoint{Delay: p.Delay.Seconds(), Share: p.Share, Low: p.Low, High: p.High})
	}
	if limit > 0 && len(windows) > limit {
		windows = windows[len(windows)-limit:]
	}
	for _, w := range windows {
		win := w.Window()
		c := truth.Complete(win, curve)
		out.Windows = append(out.Windows, api.LagWindow{
			Start: w.Start, N: win.Rows, Labelled: win.Labelled, Share: c.Share, Final: c.Final, Completeness: c.Of,
			Provisional: truth.Provisional(w.End, c.Of, spec.Delay, latest),
		})
	}
	return out
}
