package evalstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// EventQuestion asks for the totals of one business event.
type EventQuestion struct {
	Name string
	// Window is how long after its answer a prediction's events count, by the server's clock: with a window every
	// prediction counts once it is over, with what had arrived by then and 0 if nothing had, and the younger ones are
	// pending, events or not. Without a window (0) exactly the predictions that have an event count, from its arrival on.
	Window time.Duration
}

// EventTotal is what came of the predictions of one version in one role. A prediction's value is the sum of its events of
// that name.
type EventTotal struct {
	Version     fairlead.Version
	Role        fairlead.Role
	Name        string
	Predictions uint64  // stored since
	Pending     uint64  // of them, those whose window is not over
	With        uint64  // of those that count, with an event
	N           uint64  // predictions that count: Sum and SumSquares are over so many
	Sum         float64 // of values
	SumSquares  float64
}

// EventTotals gives the totals of each event asked for over the predictions stored after the row with seq after (0: all),
// as they are at now; shadows are left out. The order is that of the questions, then by version and role; a version
// without predictions since then is missing. It reads four columns of the rows stored since and of the events that
// belong to them, and passes over older parts of the tables by the least and greatest seq that DuckDB keeps for each.
func (s *Store) EventTotals(ctx context.Context, d fairlead.Name, after int64, now time.Time, asked []EventQuestion) ([]EventTotal, error) {
	var exists bool
	err := s.db.QueryRowContext(ctx, `SELECT count(*) > 0 FROM duckdb_tables() WHERE schema_name = 'hot' AND table_name = ?`, string(d)).Scan(&exists)
	if err != nil {
		return nil, fmt.Errorf("event totals: %w", err)
	}
	if !exists {
		return nil, nil
	}
	var all []EventTotal
	for _, q := range asked {
		totals, err := s.eventTotals(ctx, d, after, now, q)
		if err != nil {
			return nil, fmt.Errorf("event totals of %s: %w", q.Name, err)
		}
		all = append(all, totals...)
	}
	return all, nil
}

func (s *Store) eventTotals(ctx context.Context, d fairlead.Name, after int64, now time.Time, q EventQuestion) ([]EventTotal, error) {
	ripe := now.UTC().Add(-q.Window)
	var totals []EventTotal
	err := s.reading(ctx, func(r *sql.Conn) (err error) {
		totals, err = s.readEventTotals(ctx, r, d, after, ripe, q)
		return err
	})
	return totals, err
}

func (s *Store) readEventTotals(ctx context.Context, r reader, d fairlead.Name, after int64, ripe time.Time, q EventQuestion) ([]EventTotal, error) {
	served, err := s.rowsIn(ctx, r, d, rowSpan{after: after})
	if err != nil {
		return nil, err
	}
	rows, err := r.QueryContext(ctx, `
		WITH made AS (
			SELECT version, role, count(*) AS n, count(*) FILTER (received > ? AND ? > 0) AS pending
			FROM `+served+` WHERE seq > ? AND role <> 'shadow' GROUP BY ALL),
		came AS (
			SELECT version, role, count(*) AS n, sum(v) AS s1, sum(v * v) AS s2
			FROM (SELECT version, role, row_seq, sum(value) AS v FROM events
				WHERE deployment = ? AND name = ? AND row_seq > ?
					AND (? = 0 OR row_received <= ? AND received - row_received <= to_microseconds(?))
				GROUP BY ALL)
			GROUP BY ALL)
		SELECT version, role, made.n, pending, coalesce(came.n, 0), coalesce(s1, 0), coalesce(s2, 0)
		FROM made LEFT JOIN came USING (version, role) ORDER BY version, role`,
		ripe, q.Window.Microseconds(), after, string(d), q.Name, after, q.Window.Microseconds(), ripe, q.Window.Microseconds())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var totals []EventTotal
	for rows.Next() {
		t := EventTotal{Name: q.Name}
		if err := rows.Scan(&t.Version, &t.Role, &t.Predictions, &t.Pending, &t.With, &t.Sum, &t.SumSquares); err != nil {
			return nil, err
		}
		if t.N = t.With; q.Window > 0 {
			t.N = t.Predictions - t.Pending
		}
		totals = append(totals, t)
	}
	return totals, rows.Err()
}
