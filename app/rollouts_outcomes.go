package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/ship/rollout"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// storedOutcomes reads outcomes from the evaluation store. It implements outcomeSource.
type storedOutcomes struct{ store *evalstore.Store }

// groupLimit bounds the answer of one query; labels that are names are few.
const groupLimit = 10000

// Place implements outcomeSource.
func (s storedOutcomes) Place(ctx context.Context, name fairlead.Name) (int64, error) {
	if none, err := s.empty(ctx, name); err != nil || none {
		return 0, err
	}
	a, err := s.store.Query(ctx, fmt.Sprintf(`SELECT max(seq) FROM rows."%s"`, name), 1)
	if err != nil || len(a.Rows) == 0 {
		return 0, err
	}
	return int64(float(a.Rows[0][0])), nil
}

// empty says whether a deployment has no rows, and so no table of them.
func (s storedOutcomes) empty(ctx context.Context, name fairlead.Name) (bool, error) {
	stats, err := s.store.Stats(ctx, name)
	return stats.Rows == 0, err
}

// Since implements outcomeSource.
func (s storedOutcomes) Since(ctx context.Context, name fairlead.Name, q outcomeQuestion) (map[fairlead.Version]versionOutcomes, error) {
	if none, err := s.empty(ctx, name); err != nil || none {
		return nil, err
	}
	groups, err := s.groups(ctx, name, q.after, q.task)
	if err != nil {
		return nil, err
	}
	found := outcomesOf(q.task, q.classes, groups)
	if q.task != fairlead.TaskBinary {
		if err := s.numeric(ctx, name, q.after, q.task, found); err != nil {
			return nil, err
		}
	}
	a, err := s.store.Query(ctx, fmt.Sprintf(
		`SELECT version, count(DISTINCT request_id) FROM rows."%s" WHERE seq > %d AND role <> 'shadow' GROUP BY version`, name, q.after), groupLimit)
	if err != nil {
		return nil, err
	}
	for _, row := range a.Rows {
		v := fairlead.Version(float(row[0]))
		known := found[v]
		known.requests = uint64(float(row[1]))
		found[v] = known
	}
	return found, s.events(ctx, name, q, found)
}

// events adds what came of the predictions as business events, the roles of a version together.
func (s storedOutcomes) events(ctx context.Context, name fairlead.Name, q outcomeQuestion, found map[fairlead.Version]versionOutcomes) error {
	totals, err := s.store.EventTotals(ctx, name, q.after, q.now, q.events)
	if err != nil {
		return err
	}
	for _, t := range totals {
		known := found[t.Version]
		if known.outcomes == nil {
			known.outcomes = map[string]rollout.Moments{}
		}
		m := known.outcomes[t.Name]
		known.outcomes[t.Name] = rollout.Moments{N: m.N + t.N, Sum: m.Sum + t.Sum, SumSquares: m.SumSquares + t.SumSquares}
		found[t.Version] = known
	}
	return nil
}

// groups counts the labelled predictions by what decides about them.
func (s storedOutcomes) groups(ctx context.Context, name fairlead.Name, after int64, task fairlead.Task) ([]labelGroup, error) {
	if task != fairlead.TaskBinary && task != fairlead.TaskMulticlass {
		return nil, nil
	}
	a, err := s.store.Query(ctx, fmt.Sprintf(`
		SELECT version, label, coalesce(predicted, ''), scored, scored AND score >= %g, count(*),
			coalesce(sum(score) FILTER (scored), 0), coalesce(sum(score ** 2) FILTER (scored), 0),
			coalesce(sum(score ** 3) FILTER (scored), 0), coalesce(sum(score ** 4) FILTER (scored), 0)
		FROM (SELECT *, coalesce(isfinite(score), false) AS scored FROM outcomes
			WHERE deployment = '%s' AND seq > %d AND role <> 'shadow' AND label IS NOT NULL)
		GROUP BY ALL ORDER BY ALL`, realised.Threshold, name, after), groupLimit)
	if err != nil {
		return nil, err
	}
	groups := make([]labelGroup, 0, len(a.Rows))
	for _, row := range a.Rows {
		g := labelGroup{version: fairlead.Version(float(row[0])), n: uint64(float(row[5]))}
		g.label, _ = row[1].(string)
		g.predicted, _ = row[2].(string)
		g.scored, _ = row[3].(bool)
		g.above, _ = row[4].(bool)
		g.s1, g.s2, g.s3, g.s4 = float(row[6]), float(row[7]), float(row[8]), float(row[9])
		groups = append(groups, g)
	}
	return groups, nil
}

// numeric adds what labels that are numbers say: the label itself, and the errors of a regression.
func (s storedOutcomes) numeric(ctx context.Context, name fairlead.Name, after int64, task fairlead.Task, found map[fairlead.Version]versionOutcomes) error {
	a, err := s.store.Query(ctx, fmt.Sprintf(`
		SELECT version, count(*), sum(y), sum(y ** 2), count(e), coalesce(sum(abs(e)), 0), coalesce(sum(e ** 2), 0), coalesce(sum(e ** 4), 0)
		FROM (SELECT version, y, CASE WHEN isfinite(score) THEN score - y END AS e
			FROM (SELECT version, score, try_cast(label AS DOUBLE) AS y FROM outcomes
				WHERE deployment = '%s' AND seq > %d AND role <> 'shadow'))
		WHERE isfinite(y) GROUP BY version`, name, after), groupLimit)
	if err != nil {
		return err
	}
	for _, row := range a.Rows {
		v := fairlead.Version(float(row[0]))
		known := found[v]
		if known.outcomes == nil {
			known.outcomes = map[string]rollout.Moments{}
		}
		known.outcomes["label"] = rollout.Moments{N: uint64(float(row[1])), Sum: float(row[2]), SumSquares: float(row[3])}
		if task == fairlead.TaskRegression {
			n, e2 := uint64(float(row[4])), float(row[6])
			known.outcomes["absolute_error"] = rollout.Moments{N: n, Sum: float(row[5]), SumSquares: e2}
			known.outcomes["squared_error"] = rollout.Moments{N: n, Sum: e2, SumSquares: float(row[7])}
		}
		found[v] = known
	}
	return nil
}

// float reads a number of the store, whatever its type.
func float(x any) float64 {
	var f float64
	if _, err := fmt.Sscan(strings.TrimSpace(fmt.Sprint(x)), &f); err != nil {
		return 0
	}
	return f
}
