package evalstore

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"slices"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead/watch"
)

// Save replaces all findings and metrics of res.Windows by those in res, and marks the hours in res.Done evaluated up
// to their Seq, in one transaction.
func (s *Store) Save(ctx context.Context, res watch.Result) error {
	err := s.write(ctx, func(tx *tx) error {
		if err := tx.clearWindows(windowsOf(res)); err != nil {
			return err
		}
		if err := tx.saveFindings(res.Findings); err != nil {
			return err
		}
		if err := tx.saveMetrics(res.Metrics); err != nil {
			return err
		}
		return tx.markDone(res.Done)
	})
	if err != nil {
		return fmt.Errorf("save findings: %w", err)
	}
	return nil
}

// windowsOf lists each window of res once.
func windowsOf(res watch.Result) []watch.Window {
	windows := slices.Clone(res.Windows)
	for _, f := range res.Findings {
		windows = append(windows, f.Window)
	}
	for _, m := range res.Metrics {
		windows = append(windows, m.Window)
	}
	seen := make(map[watch.Window]bool, len(windows))
	return slices.DeleteFunc(windows, func(w watch.Window) bool {
		w.Start = w.Start.UTC()
		again := seen[w]
		seen[w] = true
		return again
	})
}

func (t *tx) clearWindows(windows []watch.Window) error {
	if len(windows) == 0 {
		return nil
	}
	if _, err := t.exec(emptyTable("batch_windows")); err != nil {
		return err
	}
	err := t.append("temp", "main", "batch_windows", func(a *duckdb.Appender) error {
		for _, w := range windows {
			if err := a.AppendRow(windowValues(w)...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, table := range []string{"findings", "metric_windows"} {
		if _, err := t.exec(`DELETE FROM ` + table + ` AS f USING temp.batch_windows w WHERE f.deployment = w.deployment
			AND f.version = w.version AND f.role = w.role AND f.grain = w.grain AND f.start = w.start`); err != nil {
			return err
		}
	}
	return nil
}

func windowValues(w watch.Window) []driver.Value {
	return []driver.Value{string(w.Deployment), int32(w.Version), string(w.Role), string(w.Grain), w.Start}
}

func (t *tx) saveFindings(findings []watch.Finding) error {
	return t.append("", "main", "findings", func(a *duckdb.Appender) error {
		for _, f := range findings {
			if err := a.AppendRow(append(windowValues(f.Window), text(f.Column), f.Output, f.Kind, f.N, f.M, f.Reference,
				f.PSI, f.PSIDebiased, f.PSIFloor, f.KS, f.KSFloor, f.D1, f.D1Floor, f.JS, f.JSFloor,
				f.Missing, f.Unseen, string(f.Verdict), f.Provisional)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Estimates stand in the metrics as estimated_accuracy, estimated_accuracy_low and estimated_accuracy_high.
const (
	estimatedPrefix = "estimated_"
	lowSuffix       = "_low"
	highSuffix      = "_high"
)

func (t *tx) saveMetrics(metrics []watch.MetricsRow) error {
	return t.append("", "main", "metric_windows", func(a *duckdb.Appender) error {
		for _, m := range metrics {
			values := make(duckdb.Map, len(m.Values))
			for name, v := range m.Values {
				values[name] = v
			}
			for name, e := range m.Estimates { // beside what they estimate, so that SQL finds both
				for suffix, v := range map[string]float64{"": e.Value, lowSuffix: e.Low, highSuffix: e.High} {
					if !math.IsNaN(v) {
						values[estimatedPrefix+name+suffix] = v
					}
				}
			}
			if err := a.AppendRow(append(windowValues(m.Window), m.N, m.Labelled, values, m.Provisional)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// markDone leaves an hour that got more since it was read as it is: it will be listed again.
func (t *tx) markDone(done []watch.Change) error {
	if len(done) == 0 {
		return nil
	}
	if _, err := t.exec(emptyTable("batch_done")); err != nil {
		return err
	}
	err := t.append("temp", "main", "batch_done", func(a *duckdb.Appender) error {
		for _, c := range done {
			if err := a.AppendRow(string(c.Deployment), int32(c.Version), string(c.Role), c.Hour, c.Seq); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = t.exec(`
		UPDATE hours SET done = greatest(hours.done, d.seq) FROM temp.batch_done d
		WHERE hours.deployment = d.deployment AND hours.version = d.version AND hours.role = d.role
			AND hours.hour = d.hour`)
	return err
}
