package admin

import (
	"context"
	"math"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/learn/label"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/estimate"
	"github.com/fairlead-ml/fairlead/watch/profile"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

func (s *server) registerMetrics(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/metrics", Tags: []string{"metrics"},
		Summary:     "Realised metrics over time, as labels arrive, beside what the scores promised before",
		Description: "A point is provisional until 95 % of its predictions have their label, or the time that labels take (label.delay of the bundle) is over.",
	}, func(ctx context.Context, in *ByWindows) (*reply[api.Metrics], error) {
		return replied(s.metrics(ctx, in))
	})
}

func (s *server) metrics(ctx context.Context, in *ByWindows) (api.Metrics, error) {
	name, v, err := s.version(in.Name, in.Version)
	if err != nil {
		return api.Metrics{}, err
	}
	ref, sig, err := s.References.Reference(ctx, name, v)
	if err != nil {
		return api.Metrics{}, err
	}
	out := api.Metrics{
		Deployment: string(name), Grain: in.Grain, Task: string(sig.Task), Label: sig.Label.Name,
		Names: realised.Names(sig.Task), Points: []api.MetricsPoint{},
	}
	if out.Names == nil {
		out.Names, out.Empty = []string{}, "no_task"
	}
	rows, err := s.Findings.Metrics(ctx, Span{name, v, watch.Grain(in.Grain), in.From, in.To, in.Limit})
	if err != nil {
		return api.Metrics{}, err
	}
	latest, err := s.Watermark(ctx, name)
	if err != nil {
		return api.Metrics{}, err
	}
	var labelled uint64
	for _, r := range rows {
		// A window that waits for labels only is final when the time that they take is over.
		r.Provisional = r.Provisional && label.Provisional(r.End(), 0, sig.Label.Delay, latest)
		point := api.MetricsPoint{Start: r.Start, N: r.N, Labelled: r.Labelled, Provisional: r.Provisional, Metrics: valuesOf(out.Names, r.Values), Estimated: estimatesOf(r.Estimates)}
		point.Cause = causeOf(s.References.Metrics(name, v), rowsOf(ref), r)
		labelled += r.Labelled
		out.Points = append(out.Points, point)
	}
	if known := s.References.Metrics(name, v); known != nil {
		out.Reference = &api.MetricsPoint{N: uint64(rowsOf(ref)), Labelled: uint64(rowsOf(ref)), Metrics: valuesOf(out.Names, known)}
	}
	switch {
	case out.Empty != "":
	case len(rows) == 0:
		out.Empty = "no_data"
	case labelled == 0:
		out.Empty = "no_labels"
	}
	return out, nil
}

func estimatesOf(all map[string]watch.Estimate) map[string]api.Estimate {
	out := make(map[string]api.Estimate, len(all))
	for name, e := range all {
		out[name] = api.Estimate{Value: e.Value, Low: number(e.Low), High: number(e.High)}
	}
	return out
}

// fewestLabels of a window that a cause is told from.
const fewestLabels = 50

// causeOf tells concept drift from covariate shift; "" where it cannot. Three standard errors: a page shows hundreds of windows.
func causeOf(reference map[string]float64, rows int, r watch.MetricsRow) string {
	before, a := reference["accuracy"]
	promised, b := r.Estimates["accuracy"]
	now, c := r.Values["accuracy"]
	if !a || !b || !c || r.Labelled < fewestLabels || rows == 0 || math.IsNaN(promised.Low) || math.IsNaN(promised.High) {
		return ""
	}
	// The estimate's interval is that of the metric of all labels; with only some of them it is wider.
	se := (promised.High - promised.Low) / (2 * 1.96) * math.Sqrt(float64(r.N)/float64(r.Labelled))
	return string(estimate.Attribute(
		estimate.Mean{Value: before, SE: math.Sqrt(before * (1 - before) / float64(rows))},
		estimate.Mean{Value: promised.Value, SE: se}, estimate.Mean{Value: now, SE: math.Sqrt(now * (1 - now) / float64(r.Labelled))}, 3))
}

// valuesOf has every name; one without a value is null.
func valuesOf(names []string, values map[string]float64) map[string]*float64 {
	out := make(map[string]*float64, len(names))
	for _, n := range names {
		out[n] = nil
		if x, ok := values[n]; ok {
			out[n] = number(x)
		}
	}
	return out
}

func rowsOf(ref *profile.Reference) int {
	if ref == nil {
		return 0
	}
	return ref.Rows
}
