package app

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/evalstore"
)

// maxSQLBytes bounds one written answer.
const maxSQLBytes = 4 << 30

// SQL implements admin.SQL.
func (a *App) SQL(ctx context.Context, query string, limit int) (api.SQLAnswer, error) {
	began := time.Now()
	if err := a.copyRollouts(ctx, query); err != nil {
		return api.SQLAnswer{}, err
	}
	answer, err := a.store.Query(ctx, query, min(limit, 1_000_000))
	if err != nil {
		return api.SQLAnswer{}, err
	}
	return api.SQLAnswer{
		Columns: answer.Columns, Types: answer.Types, Rows: answer.Rows, Truncated: answer.Truncated,
		Seconds: time.Since(began).Seconds(),
	}, nil
}

// WriteSQL implements admin.SQL.
func (a *App) WriteSQL(ctx context.Context, w io.Writer, query, format string, limit int) (api.SQLWritten, error) {
	if err := a.copyRollouts(ctx, query); err != nil {
		return api.SQLWritten{}, err
	}
	written, err := a.store.WriteQuery(ctx, w, query, evalstore.Format(format), evalstore.Limits{Rows: limit, Bytes: maxSQLBytes})
	return api.SQLWritten(written), err
}

// SQLSchema implements admin.SQL.
func (a *App) SQLSchema(ctx context.Context) ([]api.SQLTable, error) {
	tables, err := a.store.Schema(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]api.SQLTable, len(tables))
	for i, t := range tables {
		out[i] = api.SQLTable{Name: t.Name, About: t.About}
		for _, c := range t.Columns {
			out[i].Columns = append(out[i].Columns, api.SQLColumn(c))
		}
	}
	return out, nil
}

// copyRollouts copies the rollouts into the store when a query may read them: they are kept elsewhere, and few.
func (a *App) copyRollouts(ctx context.Context, query string) error {
	if !strings.Contains(strings.ToLower(query), "rollout") {
		return nil
	}
	var all []evalstore.Rollout
	for _, name := range a.deployer.Names() {
		of, err := a.rollouts.Rollouts(ctx, name)
		if err != nil {
			return err
		}
		for _, r := range of {
			row := evalstore.Rollout{
				Deployment: r.Deployment, ID: r.ID, Kind: r.Kind, From: r.From, To: r.To, Phase: r.Phase, Stage: r.Stage,
				Started: r.Started, StartedBy: r.StartedBy, Why: r.Why, Ended: r.Ended, Says: r.Says,
			}
			explained, err := a.rollouts.Explain(ctx, name, r.ID)
			if err != nil {
				return err
			}
			for _, d := range explained.History {
				row.Decisions = append(row.Decisions, evalstore.RolloutDecision{
					Sequence: d.Sequence, Time: d.Time, Action: d.Action, Reason: d.Reason, Stage: d.Stage, Next: d.Next,
					Says: d.Text, Actor: d.Actor, Because: d.Why,
				})
			}
			all = append(all, row)
		}
	}
	return a.store.PutRollouts(ctx, all)
}
