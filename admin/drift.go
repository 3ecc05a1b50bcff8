package admin

import (
	"context"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/drift"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// Span selects windows: those that start in [From, To), the latest Limit of them. Zero times are open ends.
type Span struct {
	Deployment fairlead.Name
	Version    fairlead.Version
	Grain      watch.Grain
	From, To   time.Time
	Limit      int
}

// Findings reads what the watch room wrote, and the profiles under it.
type Findings interface {
	Findings(ctx context.Context, span Span) ([]watch.Finding, error)
	Metrics(ctx context.Context, span Span) ([]watch.MetricsRow, error)
	Profiles(ctx context.Context, w watch.Window) ([][]byte, error)
}

// References knows what a deployment's versions are compared with.
type References interface {
	// Reference is nil when the version has none.
	Reference(ctx context.Context, name fairlead.Name, v fairlead.Version) (*profile.Reference, fairlead.Signature, error)
	// Metrics are the model's on its reference data, nil when they are not known.
	Metrics(name fairlead.Name, v fairlead.Version) map[string]float64
	Rule(name fairlead.Name) alert.Rule
}

// ByWindows says which windows of a deployment are meant.
type ByWindows struct {
	ByName
	Grain   string    `query:"grain" enum:"hour,day" default:"day" doc:"size of the windows, in event time"`
	From    time.Time `query:"from" doc:"first window start; absent: the latest windows"`
	To      time.Time `query:"to" doc:"windows start before this"`
	Limit   int       `query:"limit" minimum:"1" maximum:"5000" default:"96" doc:"the latest so many windows"`
	Version int       `query:"version" minimum:"0" doc:"absent: the live version"`
}

func (s *server) registerDrift(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "drift", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/drift", Tags: []string{"drift"},
		Summary: "Drift of every feature and output, window by window",
	}, func(ctx context.Context, in *ByWindows) (*reply[api.Drift], error) {
		return replied(s.drift(ctx, in))
	})
	huma.Register(a, huma.Operation{
		OperationID: "distribution", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/drift/{column}", Tags: []string{"drift"},
		Summary: "One column in one window: reference and current distributions",
	}, func(ctx context.Context, in *struct {
		ByName
		Column  string    `path:"column"`
		Grain   string    `query:"grain" enum:"hour,day" default:"day"`
		Start   time.Time `query:"start" required:"true" doc:"start of the window"`
		Version int       `query:"version" minimum:"0"`
	}) (*reply[api.Distribution], error) {
		name, v, err := s.version(in.Name, in.Version)
		if err != nil {
			return nil, toStatus(err)
		}
		w := watch.Window{Deployment: name, Version: v, Role: fairlead.RoleLive, Grain: watch.Grain(in.Grain)}
		w.Start = w.Grain.Start(in.Start.UTC())
		return replied(s.distribution(ctx, w, in.Column))
	})
}

// version resolves a deployment and 0 to the version that is live.
func (s *server) version(deployment string, v int) (fairlead.Name, fairlead.Version, error) {
	name, err := s.known(deployment)
	if err != nil || v > 0 {
		return name, fairlead.Version(v), err
	}
	live, err := s.Live(name)
	return name, live, err
}

func (s *server) drift(ctx context.Context, in *ByWindows) (api.Drift, error) {
	name, v, err := s.version(in.Name, in.Version)
	if err != nil {
		return api.Drift{}, err
	}
	ref, _, err := s.References.Reference(ctx, name, v)
	if err != nil {
		return api.Drift{}, err
	}
	out := api.Drift{
		Deployment: string(name), Version: int(v), Grain: in.Grain, Rule: ruleOf(s.References.Rule(name)),
		Windows: []time.Time{}, Columns: []api.DriftColumn{},
	}
	if ref == nil {
		out.Empty = "no_reference"
		return out, nil
	}
	found, err := s.Findings.Findings(ctx, Span{name, v, watch.Grain(in.Grain), in.From, in.To, in.Limit})
	if err != nil {
		return api.Drift{}, err
	}
	if len(found) == 0 {
		out.Empty = "no_data"
	}
	fillHeatMap(&out, ref.Layout, found)
	return out, nil
}

// fillHeatMap lays the findings out as columns × windows, in the order of the layout.
func fillHeatMap(out *api.Drift, layout *profile.Layout, found []watch.Finding) {
	at := map[time.Time]int{}
	for _, f := range found {
		if _, ok := at[f.Start]; !ok {
			at[f.Start] = 0
			out.Windows = append(out.Windows, f.Start)
		}
	}
	slices.SortFunc(out.Windows, time.Time.Compare)
	for i, start := range out.Windows {
		at[start] = i
	}
	row := map[string]int{}
	for i, c := range layout.Columns {
		row[c.Name] = i
		out.Columns = append(out.Columns, api.DriftColumn{
			Name: c.Name, Kind: string(c.Kind), Output: c.Output, Cells: make([]*api.Cell, len(out.Windows)),
		})
	}
	for _, f := range found {
		if i, ok := row[f.Column]; ok {
			cell := cellOf(f)
			out.Columns[i].Cells[at[f.Start]] = &cell
		}
	}
}

func cellOf(f watch.Finding) api.Cell {
	return api.Cell{
		N: f.N, M: f.M, Reference: f.Reference,
		PSI: number(f.PSI), PSIDebiased: number(f.PSIDebiased), PSIFloor: number(f.PSIFloor),
		KS: number(f.KS), KSFloor: number(f.KSFloor), D1: number(f.D1), D1Floor: number(f.D1Floor),
		JS: number(f.JS), JSFloor: number(f.JSFloor),
		Missing: f.Missing, Unseen: f.Unseen, Verdict: string(f.Verdict), Provisional: f.Provisional,
	}
}

// number is nil for NaN and the infinities, which JSON does not have.
func number(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

func ruleOf(r alert.Rule) api.Rule {
	return api.Rule{Measure: r.Measure, Threshold: r.Threshold, Grain: r.Grain, For: r.For, Of: r.Of, FDR: r.FDR, Clear: r.Clear}
}

func (s *server) distribution(ctx context.Context, w watch.Window, column string) (api.Distribution, error) {
	ref, _, err := s.References.Reference(ctx, w.Deployment, w.Version)
	if err != nil {
		return api.Distribution{}, err
	}
	if ref == nil {
		return api.Distribution{}, fairlead.NotFound("%s version %d has no reference to compare with", w.Deployment, w.Version).
			Hintf("push it with --reference FILE")
	}
	col := slices.IndexFunc(ref.Layout.Columns, func(c profile.Column) bool { return c.Name == column })
	if col < 0 {
		return api.Distribution{}, unknown("column", column, ref.Layout.Columns, func(c profile.Column) string { return c.Name })
	}
	found, err := s.Findings.Findings(ctx, Span{w.Deployment, w.Version, w.Grain, w.Start, w.Grain.End(w.Start), 1})
	if err != nil {
		return api.Distribution{}, err
	}
	mark, err := s.Watermark(ctx, w.Deployment)
	if err != nil {
		return api.Distribution{}, err
	}
	at := slices.IndexFunc(found, func(f watch.Finding) bool { return f.Column == column })
	closed := at < 0 || !found[at].Provisional
	until := w.Until(ref, closed, mark)
	current, err := watch.Merged(ctx, s.Findings.Profiles, ref.Layout, w, until)
	if err != nil {
		return api.Distribution{}, err
	}
	base, phase := ref.For(w.Start, until)
	c := ref.Layout.Columns[col]
	out := api.Distribution{
		Column: c.Name, Kind: string(c.Kind), Grain: string(w.Grain), Start: w.Start, End: w.Grain.End(w.Start),
		Cell: measured(ref.Layout, col, base, current, phase),
		Bins: binsOf(ref.Layout, col, base, current),
	}
	if c.Kind == profile.Numeric {
		if mean, ok := current.Mean(col); ok {
			out.Mean = number(mean)
		}
		if mean, ok := base.Mean(col); ok {
			out.RefMean = number(mean)
		}
	}
	if at >= 0 { // the verdict is the watch room's, not a second opinion
		out.Cell.Verdict, out.Cell.Provisional = string(found[at].Verdict), found[at].Provisional
	}
	return out, nil
}

func measured(l *profile.Layout, col int, base, current *profile.Counts, phase string) api.Cell {
	m := drift.Measure(base.AlertBins(l, col), current.AlertBins(l, col), base.FineBins(l, col), current.FineBins(l, col), current.N, base.N)
	return cellOf(watch.Finding{
		N: current.N, M: base.N, Reference: phase,
		PSI: m.PSI, PSIDebiased: m.PSIDebiased, PSIFloor: m.PSIFloor, KS: m.KS, KSFloor: m.KSFloor,
		D1: m.D1, D1Floor: m.D1Floor, JS: m.JS, JSFloor: m.JSFloor,
		Missing: current.Missing(l, col), Unseen: current.Unseen(l, col),
	})
}

func binsOf(l *profile.Layout, col int, base, current *profile.Counts) []api.Bin {
	bins := []api.Bin{}
	ref, cur := base.BinCounts(l, col), current.BinCounts(l, col)
	share := func(k, n uint64) float64 {
		if n == 0 {
			return 0
		}
		return float64(k) / float64(n)
	}
	for i, b := range l.Bins(col) {
		bins = append(bins, api.Bin{
			Label: b.Label, Kind: b.Kind, Low: number(b.Low), High: number(b.High),
			Reference: share(ref[i], base.N), Current: share(cur[i], current.N), Rows: cur[i],
		})
	}
	return bins
}
