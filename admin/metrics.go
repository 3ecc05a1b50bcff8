package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch"
)

func (s *server) registerMetrics(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/api/v1/deployments/{name}/metrics", Tags: []string{"metrics"},
		Summary:     "Realised metrics over time, as labels arrive",
		Description: "A point is provisional until 95 % of its predictions have their label.",
	}, func(ctx context.Context, in *windowsInput) (*reply[api.Metrics], error) {
		return replied(s.metrics(ctx, in))
	})
}

// metricNames lists what is computed for a task, in display order.
var metricNames = map[fairlead.Task][]string{
	fairlead.TaskBinary:     {"accuracy", "auroc", "log_loss", "brier", "positive_rate", "predicted_rate"},
	fairlead.TaskMulticlass: {"accuracy", "log_loss"},
	fairlead.TaskRegression: {"mae", "rmse", "bias"},
}

func (s *server) metrics(ctx context.Context, in *windowsInput) (api.Metrics, error) {
	name, v, err := s.version(in.Name, in.Version)
	if err != nil {
		return api.Metrics{}, err
	}
	_, sig, err := s.References.Reference(ctx, name, v)
	if err != nil {
		return api.Metrics{}, err
	}
	out := api.Metrics{
		Deployment: string(name), Grain: in.Grain, Task: string(sig.Task), Label: sig.Label.Name,
		Names: metricNames[sig.Task], Points: []api.MetricsPoint{},
	}
	if out.Names == nil {
		out.Names, out.Empty = []string{}, "no_task"
	}
	rows, err := s.Findings.Metrics(ctx, Span{name, v, watch.Grain(in.Grain), in.From, in.To, in.Limit})
	if err != nil {
		return api.Metrics{}, err
	}
	var labelled uint64
	for _, r := range rows {
		point := api.MetricsPoint{Start: r.Start, N: r.N, Labelled: r.Labelled, Provisional: r.Provisional, Metrics: map[string]*float64{}}
		for _, n := range out.Names {
			point.Metrics[n] = nil
			if x, ok := r.Values[n]; ok {
				point.Metrics[n] = number(x)
			}
		}
		labelled += r.Labelled
		out.Points = append(out.Points, point)
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
