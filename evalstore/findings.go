package evalstore

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch"
)

// Findings gives the findings of the last limit windows of that grain (all if limit is 0) which start in [from, to);
// a zero time is no bound. They are in order of window, then as written: columns in no particular order. All roles
// of the version are given.
func (s *Store) Findings(ctx context.Context, d fairlead.Name, v fairlead.Version, grain watch.Grain,
	from, to time.Time, limit int) ([]watch.Finding, error) {
	rows, err := s.windowed(ctx, "findings", `role, start, "column", output, kind, n, m, reference,
		psi, psi_debiased, psi_floor, ks, ks_floor, d1, d1_floor, js, js_floor, missing, unseen, verdict, provisional`,
		d, v, grain, from, to, limit)
	if err != nil {
		return nil, fmt.Errorf("read findings of %s@%s: %w", d, v, err)
	}
	defer rows.Close()
	var out []watch.Finding
	for rows.Next() {
		f := watch.Finding{Window: watch.Window{Deployment: d, Version: v, Grain: grain}}
		if err := rows.Scan(&f.Role, &f.Start, &f.Column, &f.Output, &f.Kind, &f.N, &f.M, &f.Reference,
			&f.PSI, &f.PSIDebiased, &f.PSIFloor, &f.KS, &f.KSFloor, &f.D1, &f.D1Floor, &f.JS, &f.JSFloor,
			&f.Missing, &f.Unseen, &f.Verdict, &f.Provisional); err != nil {
			return nil, fmt.Errorf("read findings of %s@%s: %w", d, v, err)
		}
		out = append(out, f)
	}
	return out, rows.Err()
}

// MetricsRows gives the metrics of the last limit windows of that grain (all if limit is 0) which start in
// [from, to), in order; a zero time is no bound. All roles of the version are given.
func (s *Store) MetricsRows(ctx context.Context, d fairlead.Name, v fairlead.Version, grain watch.Grain,
	from, to time.Time, limit int) ([]watch.MetricsRow, error) {
	rows, err := s.windowed(ctx, "metric_windows", `role, start, n, labelled, "values", provisional`,
		d, v, grain, from, to, limit)
	if err != nil {
		return nil, fmt.Errorf("read metrics of %s@%s: %w", d, v, err)
	}
	defer rows.Close()
	var out []watch.MetricsRow
	for rows.Next() {
		m := watch.MetricsRow{Window: watch.Window{Deployment: d, Version: v, Grain: grain}}
		var values duckdb.OrderedMap
		if err := rows.Scan(&m.Role, &m.Start, &m.N, &m.Labelled, &values, &m.Provisional); err != nil {
			return nil, fmt.Errorf("read metrics of %s@%s: %w", d, v, err)
		}
		m.Values = make(map[string]float64, values.Len())
		for i, k := range values.Keys() {
			name, _ := k.(string)
			m.Values[name], _ = values.Values()[i].(float64)
		}
		m.Estimates = estimates(m.Values)
		out = append(out, m)
	}
	return out, rows.Err()
}

// estimates takes the estimates out of the values; nil if there are none.
func estimates(values map[string]float64) map[string]watch.Estimate {
	var out map[string]watch.Estimate
	for key, v := range values {
		name, ok := strings.CutPrefix(key, estimatedPrefix)
		if !ok || strings.HasSuffix(key, lowSuffix) || strings.HasSuffix(key, highSuffix) {
			continue
		}
		bound := func(suffix string) float64 {
			if b, ok := values[key+suffix]; ok {
				return b
			}
			return math.NaN()
		}
		if out == nil {
			out = map[string]watch.Estimate{}
		}
		out[name] = watch.Estimate{Value: v, Low: bound(lowSuffix), High: bound(highSuffix)}
	}
	maps.DeleteFunc(values, func(key string, _ float64) bool { return strings.HasPrefix(key, estimatedPrefix) })
	return out
}

func (s *Store) windowed(ctx context.Context, table, columns string, d fairlead.Name, v fairlead.Version,
	grain watch.Grain, from, to time.Time, limit int) (*sql.Rows, error) {
	where := ` WHERE deployment = ? AND version = ? AND grain = ?`
	args := []any{string(d), int32(v), string(grain)}
	if !from.IsZero() {
		where += ` AND start >= ?`
		args = append(args, from.UTC())
	}
	if !to.IsZero() {
		where += ` AND start < ?`
		args = append(args, to.UTC())
	}
	if limit > 0 {
		where += ` AND start >= (SELECT min(start) FROM (SELECT DISTINCT start FROM ` + table + where +
			` ORDER BY start DESC LIMIT ?))`
		args = append(append(args, args...), limit)
	}
	return s.db.QueryContext(ctx, `SELECT `+columns+` FROM `+table+where+` ORDER BY start, role, rowid`, args...)
}
