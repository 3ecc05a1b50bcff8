package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead/api"
)

// Alerts reads the alert books of all deployments.
type Alerts interface {
	// Alerts lists them, latest onset first.
	Alerts(ctx context.Context) ([]api.Alert, error)
	// Explain says what is known of one of them.
	Explain(ctx context.Context, id string) (api.AlertExplanation, error)
	// ExplainRows says also what recorded rows show, and asks the model about some of them again.
	ExplainRows(ctx context.Context, id string) (api.AlertExplanation, error)
}

func (s *server) registerAlerts(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "alerts", Method: http.MethodGet, Path: "/api/v1/alerts", Tags: []string{"alerts"},
		Summary: "Alerts, latest onset first",
	}, func(ctx context.Context, in *struct {
		State      string `query:"state" enum:"pending,firing,resolved"`
		Deployment string `query:"deployment"`
	}) (*reply[[]api.Alert], error) {
		all, err := s.Alerts.Alerts(ctx)
		all = slices.DeleteFunc(all, func(x api.Alert) bool {
			return in.State != "" && x.State != in.State || in.Deployment != "" && x.Deployment != in.Deployment
		})
		return replied(all, err)
	})
	huma.Register(a, huma.Operation{
		OperationID: "explain-alert", Method: http.MethodGet, Path: "/api/v1/alerts/explain", Tags: []string{"alerts"},
		Summary:     "What is known of an alert: its course, which rows carry it, what moved with it, what it did, what to do",
		Description: "Unless it is to be brief, recorded rows are read and the model is asked about a few thousand of them again, which takes seconds, half a minute at most.",
	}, func(ctx context.Context, in *struct {
		ID    string `query:"id" required:"true" doc:"of the alert"`
		Brief bool   `query:"brief" doc:"without what rows say: carried, impact, examples"`
	}) (*reply[api.AlertExplanation], error) {
		if !in.Brief {
			return replied(s.Alerts.ExplainRows(ctx, in.ID))
		}
		return replied(s.Alerts.Explain(ctx, in.ID))
	})
}
