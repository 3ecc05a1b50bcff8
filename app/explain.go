package app

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/explain"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// explainBefore is how much of the past before an onset is looked at, in windows; explainProfiles bounds the windows whose
// values are read.
const (
	explainBefore   = 7 * 24
	explainProfiles = 72
)

// Explain implements admin.Alerts: what is known of one alert, put together from what the monitor has measured.
func (a *App) Explain(ctx context.Context, id string) (api.AlertExplanation, error) {
	return a.explain(ctx, id, false)
}

// ExplainRows implements admin.Alerts: Explain, and what recorded rows say: which segments carry the change, what it does to
// predictions, and examples. It reads two samples and asks the model about a few thousand rows, half a minute at most; what cannot be
// had has a reason in its place.
func (a *App) ExplainRows(ctx context.Context, id string) (api.AlertExplanation, error) {
	return a.explain(ctx, id, true)
}

func (a *App) explain(ctx context.Context, id string, rows bool) (api.AlertExplanation, error) {
	for _, name := range a.deployer.Names() {
		book, err := a.books.Load(ctx, name)
		if err != nil {
			return api.AlertExplanation{}, err
		}
		alerts := book.Alerts()
		for i, x := range alerts {
			if x.ID != id {
				continue
			}
			in, v, err := a.explainInput(ctx, x, book.Rule)
			if err != nil {
				return api.AlertExplanation{}, err
			}
			var seen rowsSeen
			if rows {
				if seen, err = a.seeRows(ctx, x, &in, v, &book); err != nil {
					return api.AlertExplanation{}, err
				}
			}
			out := explanationOf(alertOf(x, a.annotations.list(name)), explain.Explain(in))
			out.Carried, out.Impact, out.Examples = seen.carried, seen.impact, seen.examples
			onsets := make([]time.Time, len(alerts))
			for k := range alerts {
				onsets[k] = alerts[k].Onset
			}
			first := explain.Incident(onsets, in.Grain)
			out.Incident = alerts[first[i]].ID
			for k := range alerts {
				if k != i && first[k] == first[i] {
					out.Together = append(out.Together, alerts[k].ID)
				}
			}
			return out, nil
		}
	}
	return api.AlertExplanation{}, fairlead.NotFound("there is no alert %q", id).Hintf("`fairlead alerts -o json` lists them with their ids")
}

// rowsSeen is what rows add to an explanation.
type rowsSeen struct {
	carried  *api.Concentration
	impact   *api.Counterfactual
	examples []api.ExampleRow
}

// seeRows looks at rows, for lookTakes at most; what is out of time by then has that as its reason.
func (a *App) seeRows(ctx context.Context, x alert.Alert, in *explain.Input, v fairlead.Version, book *alert.Book) (rowsSeen, error) {
	bounded, cancel := context.WithTimeout(ctx, lookTakes)
	defer cancel()
	var seen rowsSeen
	without := func(reason string, err error) (rowsSeen, error) {
		if err != nil {
			if bounded.Err() == nil || ctx.Err() != nil {
				return seen, err
			}
			reason = fmt.Sprintf("reading rows took longer than %s", lookTakes)
		}
		if seen.carried == nil {
			seen.carried = &api.Concentration{Says: reason, Reason: reason, Segments: []api.CarryingSegment{}}
		}
		seen.impact = &api.Counterfactual{Says: reason, Reason: reason, Classes: []api.ClassPutBack{}}
		return seen, nil
	}
	l, reason, err := a.lookAtRows(bounded, x, in, v, book)
	if err != nil || reason != "" {
		return without(reason, err)
	}
	if err := l.concentrate(bounded); err != nil {
		return without("", err)
	}
	in.Carried, seen.carried = &l.carried, l.concentration()
	c, err := l.putBack(bounded)
	seen.examples = l.examples(c)
	if err != nil {
		return without("", err)
	}
	in.Impact, seen.impact = c.impact, c.answered()
	return seen, nil
}

// explainInput gives what is known, and the version that answered at the onset; 0: that is not known.
func (a *App) explainInput(ctx context.Context, x alert.Alert, rule alert.Rule) (explain.Input, fairlead.Version, error) {
	grain := watch.Grain(x.Grain)
	in := explain.Input{
		Column: x.Column, Grain: grain.Length(), Onset: x.Onset, Last: x.Last, Over: x.State == alert.Resolved,
		Rule: fmt.Sprintf("%s %.3g, %s", rule.Measure, rule.Threshold, rule.Windows()),
	}
	dep := a.deployer.get(x.Deployment)
	if dep == nil {
		return in, 0, fairlead.NotFound("there is no deployment %q", x.Deployment)
	}
	from, to := x.Onset.Add(-explainBefore*grain.Length()), x.Last.Add(2*24*grain.Length())
	versions := append(slices.Clone(dep.Previous), dep.Live)
	slices.Sort(versions)
	columns := map[string]*explain.Column{}
	at := fairlead.Version(0)                // of the onset
	live := map[time.Time]fairlead.Version{} // by window: the newest version that has one
	for _, v := range slices.Compact(versions) {
		found, err := a.store.Findings(ctx, x.Deployment, v, grain, from, to, 0)
		if err != nil {
			return in, 0, err
		}
		metrics, err := a.store.MetricsRows(ctx, x.Deployment, v, grain, from, to, 0)
		if err != nil {
			return in, 0, err
		}
		addFindings(columns, found)
		for _, f := range found {
			if f.Role == fairlead.RoleLive && f.Start.Equal(x.Onset) {
				at = v
			}
		}
		for _, m := range metrics {
			if m.Role == fairlead.RoleLive {
				in.Performance = append(in.Performance, performanceOf(m))
				live[m.Start] = v
			}
		}
	}
	for _, c := range columns {
		slices.SortFunc(c.Points, func(a, b explain.Point) int { return a.Start.Compare(b.Start) })
		in.Columns = append(in.Columns, *c)
	}
	slices.SortFunc(in.Performance, func(a, b explain.Performance) int { return a.Start.Compare(b.Start) })
	in.Changes = a.happened(ctx, x, live)
	var err error
	in.Shares, err = a.shares(ctx, x, grain, at)
	return in, at, err
}

func addFindings(columns map[string]*explain.Column, found []watch.Finding) {
	for _, f := range found {
		if f.Role != fairlead.RoleLive || math.IsNaN(f.PSI) {
			continue
		}
		c := columns[f.Column]
		if c == nil {
			c = &explain.Column{Name: f.Column, Output: f.Output}
			columns[f.Column] = c
		}
		c.Points = append(c.Points, explain.Point{Start: f.Start, PSI: f.PSI, Floor: f.PSIFloor, N: f.N, Drifted: f.Verdict == watch.Drifted})
	}
}

func performanceOf(m watch.MetricsRow) explain.Performance {
	value := func(name string) float64 {
		if v, ok := m.Values[name]; ok {
			return v
		}
		return math.NaN()
	}
	p := explain.Performance{Start: m.Start, N: m.N, Accuracy: value("accuracy"), Estimated: math.NaN(), PredictedRate: value("predicted_rate")}
	if e, ok := m.Estimates["accuracy"]; ok {
		p.Estimated = e.Value
	}
	return p
}

// happened are the versions that went live with what they changed of the schema, and what people noted.
func (a *App) happened(ctx context.Context, x alert.Alert, live map[time.Time]fairlead.Version) []explain.Change {
	var out []explain.Change
	starts := make([]time.Time, 0, len(live))
	for at := range live {
		starts = append(starts, at)
	}
	slices.SortFunc(starts, time.Time.Compare)
	for i, at := range starts {
		if i > 0 && live[at] != live[starts[i-1]] {
			text := fmt.Sprintf("version %d went live in place of %d", live[at], live[starts[i-1]])
			_, old, err1 := a.deployer.Reference(ctx, x.Deployment, live[starts[i-1]])
			_, now, err2 := a.deployer.Reference(ctx, x.Deployment, live[at])
			if err1 == nil && err2 == nil {
				text += schemaChange(&old, &now)
			}
			out = append(out, explain.Change{Time: at, Text: text})
		}
	}
	for _, m := range a.annotations.list(x.Deployment) {
		if m.Kind != "planted" { // the answer is not to be told
			out = append(out, explain.Change{Time: m.Start, Text: m.Title})
		}
	}
	return out
}

// schemaChange says which fields one version has and the other has not, or has of another type; "" for none.
func schemaChange(old, now *fairlead.Signature) string {
	was := map[string]fairlead.DataType{}
	for _, f := range old.Fields() {
		was[f.Name] = f.Type
	}
	var parts []string
	for _, f := range now.Fields() {
		switch of, ok := was[f.Name]; {
		case !ok:
			parts = append(parts, "with "+f.Name)
		case of != f.Type:
			parts = append(parts, fmt.Sprintf("with %s as %s, not %s", f.Name, f.Type, of))
		}
		delete(was, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		parts = append(parts, "without "+name)
	}
	if len(parts) > 4 {
		parts = append(parts[:3], fmt.Sprintf("%d more differences", len(parts)-3))
	}
	if len(parts) == 0 {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}

// shares are the values of the column in the reference and in the drifted windows.
func (a *App) shares(ctx context.Context, x alert.Alert, grain watch.Grain, v fairlead.Version) ([]explain.Share, error) {
	if v == 0 {
		return nil, nil
	}
	ref, _, err := a.deployer.Reference(ctx, x.Deployment, v)
	if err != nil || ref == nil {
		return nil, err
	}
	column := slices.IndexFunc(ref.Layout.Columns, func(c profile.Column) bool { return c.Name == x.Column })
	if column < 0 {
		return nil, nil
	}
	sum := profile.NewCounts(ref.Layout)
	was := make([]float64, len(ref.Layout.Bins(column))) // rows expected, each window by what it is compared with
	for n, at := 0, x.Onset; !at.After(x.Last) && n < explainProfiles; n, at = n+1, at.Add(grain.Length()) {
		w := watch.Window{Deployment: x.Deployment, Version: v, Role: fairlead.RoleLive, Grain: grain, Start: at}
		counts, err := watch.Merged(ctx, a.store.Profiles, ref.Layout, w, w.End())
		if err != nil {
			return nil, err
		}
		if err := sum.Merge(counts); err != nil {
			return nil, err
		}
		like, _ := ref.For(w.Start, w.End())
		for i, n := range like.BinCounts(ref.Layout, column) {
			was[i] += float64(counts.N) * float64(n) / float64(max(like.N, 1))
		}
	}
	if sum.N == 0 {
		return nil, nil
	}
	now := sum.BinCounts(ref.Layout, column)
	var out []explain.Share
	for i, bin := range ref.Layout.Bins(column) {
		out = append(out, explain.Share{Label: bin.Label, Before: was[i] / float64(sum.N), Now: float64(now[i]) / float64(sum.N)})
	}
	return out, nil
}

func explanationOf(x api.Alert, e explain.Explanation) api.AlertExplanation {
	out := api.AlertExplanation{
		Alert: x, Text: e.Text, Harm: string(e.Harm), Advice: e.Advice, Since: e.Since, Until: e.Until, Together: []string{},
		Course: api.Course{Kind: string(e.Shape.Kind), Confidence: e.Shape.Confidence, Provisional: e.Shape.Provisional, Period: e.Shape.Period},
		Sure:   api.Sureness(e.Sure), Shares: []api.ValueShare{}, Related: []api.RelatedDrift{}, Effects: []api.Effect{}, Changes: []api.Change{},
	}
	for _, s := range e.Shares {
		out.Shares = append(out.Shares, api.ValueShare(s))
	}
	for _, r := range e.Related {
		out.Related = append(out.Related, api.RelatedDrift(r))
	}
	for _, f := range e.Effects {
		out.Effects = append(out.Effects, api.Effect(f))
	}
	for _, c := range e.Changes {
		out.Changes = append(out.Changes, api.Change(c))
	}
	return out
}
