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
}
