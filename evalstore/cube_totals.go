package evalstore

import (
	"context"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// inWindows are the windows of a query: their segment, start, and the state of their hours.
const inWindows = `SELECT segment, date_trunc(?, hour) AS start, max(seq) AS seq, count(*) AS hours
	FROM cube_hours WHERE ` + inCube + ` AND segment IN (`

// sumWindows brings cube_windows up to date with the hours that were counted.
func (s *Store) sumWindows(ctx context.Context, q CubeQuery) error {
	find := `SELECT w.* FROM (` + inWindows + q.ids() + `) GROUP BY ALL) w
		ANTI JOIN (SELECT * FROM cube_windows WHERE deployment = ? AND version = ? AND role = ? AND grain = ?) c
		ON c.segment = w.segment AND c.start = w.start AND c.seq = w.seq AND c.hours = w.hours`
	scope := []any{string(q.Deployment), int32(q.Version), string(q.Role), string(q.Grain)} //nolint:gosec // versions are small
	args := slices.Concat([]any{string(q.Grain)}, q.args(), scope)
	var stale bool
	if err := s.db.QueryRowContext(ctx, `SELECT count(*) > 0 FROM (`+find+`)`, args...).Scan(&stale); err != nil || !stale {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		if err := t.clear("stale_windows"); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO temp.stale_windows `+find, args...); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM cube_windows AS c USING temp.stale_windows w WHERE c.deployment = ? AND c.version = ? AND c.role = ? AND c.grain = ?
			AND c.segment = w.segment AND c.start = w.start`, scope...); err != nil {
			return err
		}
		_, err := t.exec(sumCells(q.Signature.Task), slices.Concat([]any{string(q.Grain)}, q.args(), scope)...)
		return err
	})
}

// whole widens a query to whole windows.
func (q CubeQuery) whole() CubeQuery {
	q.From = q.Grain.Start(q.From)
	if end := q.Grain.Start(q.To); !end.Equal(q.To) {
		q.To = end.Add(q.Grain.Length())
	}
	return q
}

// sumCells does in SQL what realised.Sums does.
func sumCells(task fairlead.Task) string {
	scored, right := `truth IS NOT NULL AND bin >= 0`, `decision = truth`
	switch task {
	case fairlead.TaskRegression:
		scored, right = `truth IS NOT NULL AND decision IS NOT NULL`, `decision`
	case fairlead.TaskMulticlass:
		scored, right = `false`, `decision`
	}
	return `INSERT INTO cube_windows
		WITH cells AS (
				SELECT segment, start, labelled, truth, decision, bin, sum(n) AS n, sum(s1) AS s1, sum(s2) AS s2, sum(s3) AS s3, sum(s4) AS s4
				FROM (SELECT *, date_trunc(?, hour) AS start FROM cube WHERE ` + inCube + `) SEMI JOIN temp.stale_windows USING (segment, start)
				GROUP BY ALL),
			bins AS (
				SELECT segment, start, bin, coalesce(sum(n) FILTER (truth), 0)::DOUBLE AS above, coalesce(sum(n) FILTER (NOT truth), 0)::DOUBLE AS below
				FROM cells WHERE truth IS NOT NULL AND bin >= 0 GROUP BY ALL),
			ranked AS (
				SELECT *, coalesce(sum(below) OVER (PARTITION BY segment, start ORDER BY bin ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS lower FROM bins),
			pairs AS (SELECT segment, start, sum(above * (lower + below / 2)) AS wins, sum(above) AS above, sum(below) AS below FROM ranked GROUP BY ALL),
			totals AS (
				SELECT segment, start, sum(n) AS n, sum(n) FILTER (labelled) AS labelled, sum(n) FILTER (truth IS NOT NULL) AS known,
					sum(n) FILTER (truth) AS positives, sum(n) FILTER (truth IS NOT NULL AND decision IS NOT NULL) AS judged,
					sum(n) FILTER (truth IS NOT NULL AND ` + right + `) AS "right", sum(n) FILTER (decision IS NOT NULL) AS decided,
					sum(n) FILTER (decision) AS chosen, sum(n) FILTER (` + scored + `) AS scored, sum(n) FILTER (truth IS NOT NULL AND bin = -2) AS outside,
					sum(s1) FILTER (` + scored + `) AS s1, sum(s2) FILTER (` + scored + `) AS s2, sum(s3) FILTER (` + scored + `) AS s3, sum(s4) FILTER (` + scored + `) AS s4
				FROM cells GROUP BY ALL)
		SELECT ?, w.segment, ?, ?, ?, w.start, w.seq, w.hours, ` + coalesced + `
		FROM temp.stale_windows w LEFT JOIN totals t USING (segment, start) LEFT JOIN pairs p USING (segment, start)`
}

const coalesced = `coalesce(t.n, 0), coalesce(t.labelled, 0), coalesce(known, 0), coalesce(positives, 0), coalesce(judged, 0), coalesce("right", 0),
	coalesce(decided, 0), coalesce(chosen, 0), coalesce(scored, 0), coalesce(outside, 0), coalesce(s1, 0), coalesce(s2, 0), coalesce(s3, 0),
	coalesce(s4, 0), coalesce(wins, 0), coalesce(p.above, 0)::UBIGINT, coalesce(p.below, 0)::UBIGINT`

type cubeWindow struct {
	segment string
	start   time.Time
	totals  realised.Totals
}

// readWindows gives the windows that have rows.
func (s *Store) readWindows(ctx context.Context, q CubeQuery) ([]cubeWindow, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT segment, start, n, labelled, known, positives, judged, "right", decided, chosen, scored, outside, s1, s2, s3, s4, wins, above, below
		FROM cube_windows WHERE deployment = ? AND version = ? AND role = ? AND start >= ? AND start < ? AND grain = ? AND n > 0 AND segment IN (`+q.ids()+`)`,
		append(q.args(), string(q.Grain))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []cubeWindow
	for rows.Next() {
		var w cubeWindow
		t := &w.totals
		if err := rows.Scan(&w.segment, &w.start, &t.N, &t.Labelled, &t.Known, &t.Positives, &t.Judged, &t.Right, &t.Decided, &t.Chosen, &t.Scored, &t.Outside,
			&t.Sums[0], &t.Sums[1], &t.Sums[2], &t.Sums[3], &t.Wins, &t.Above, &t.Below); err != nil {
			return nil, err
		}
		w.start = w.start.UTC()
		out = append(out, w)
	}
	return out, rows.Err()
}
