package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fairlead-ml/fairlead/api"
)

// SQL asks the evaluation store, read-only.
type SQL interface {
	SQL(ctx context.Context, query string, limit int) (api.SQLAnswer, error)
}

func (s *server) registerSQL(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "sql", Method: http.MethodPost, Path: "/api/v1/sql", Tags: []string{"sql"},
		Summary:     "Ask the evaluation store in SQL",
		Description: "One SELECT of DuckDB's dialect over predictions, labels, events, outcomes, findings, metrics and rows.\"<deployment>\". Read-only; no files, no network.",
	}, func(ctx context.Context, in *struct{ Body api.SQLRequest }) (*reply[api.SQLAnswer], error) {
		limit := in.Body.Limit
		if limit <= 0 {
			limit = 10_000
		}
		return replied(s.SQL.SQL(ctx, in.Body.Query, limit))
	})
}
