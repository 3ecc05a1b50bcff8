package evalstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// The store is what watch reads from and writes to.
var (
	_ watch.Source = (*Store)(nil)
	_ watch.Sink   = (*Store)(nil)
)

// Changes lists every hour of event time that got rows or labels since a Save marked it as done. Hours whose rows retention
// has dropped are left as they were evaluated.
func (s *Store) Changes(ctx context.Context) ([]watch.Change, error) {
	rows, err := s.db.QueryContext(ctx, `
		WITH latest AS (SELECT deployment, version, max(last_time) AS watermark FROM hours GROUP BY ALL)
		SELECT deployment, version, role, hour, seq, watermark
		FROM hours JOIN latest USING (deployment, version)
		WHERE seq > done AND rows > 0 AND hour >= coalesce(
			(SELECT max(before) FROM dropped WHERE dropped.deployment = hours.deployment), '-infinity'::TIMESTAMP)
		ORDER BY ALL`)
	if err != nil {
		return nil, fmt.Errorf("read changed hours: %w", err)
	}
	defer rows.Close()
	var changes []watch.Change
	for rows.Next() {
		var c watch.Change
		if err := rows.Scan(&c.Deployment, &c.Version, &c.Role, &c.Hour, &c.Seq, &c.Watermark); err != nil {
			return nil, fmt.Errorf("read changed hours: %w", err)
		}
		changes = append(changes, c)
	}
	return changes, rows.Err()
}

// inWindow is the condition on a row's version, role and time; windowArgs are its arguments.
const inWindow = `version = ? AND role = ? AND event_time >= ? AND event_time < ?`

func windowArgs(w watch.Window) []any {
	return []any{int32(w.Version), string(w.Role), w.Start.UTC(), w.End().UTC()}
}

// Profiles gives the marshalled counts of the minutes in the window, one or more for each minute, in no order.
func (s *Store) Profiles(ctx context.Context, w watch.Window) ([][]byte, error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT counts FROM profiles
		WHERE deployment = ? AND version = ? AND role = ? AND minute >= ? AND minute < ?`,
		append([]any{string(w.Deployment)}, windowArgs(w)...)...)
	if err != nil {
		return nil, fmt.Errorf("read profiles of %s: %w", w, err)
	}
	defer rows.Close()
	var blobs [][]byte
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, fmt.Errorf("read profiles of %s: %w", w, err)
		}
		blobs = append(blobs, b)
	}
	return blobs, rows.Err()
}

// Outcomes gives the predictions of the window with their latest labels, one by one; those whose label has not arrived
// come together, by their decision, with a score of 0 or 1. A score that is null is NaN.
func (s *Store) Outcomes(ctx context.Context, w watch.Window) (uint64, []realised.Outcome, error) {
	outcomes, err := s.outcomes(ctx, w)
	if err != nil {
		return 0, nil, fmt.Errorf("read outcomes of %s: %w", w, err)
	}
	total := 0
	for _, o := range outcomes {
		total += max(1, o.Times)
	}
	return uint64(total), outcomes, nil
}

func (s *Store) outcomes(ctx context.Context, w watch.Window) ([]realised.Outcome, error) {
	var n int
	err := s.db.QueryRowContext(ctx, `
		SELECT coalesce(sum(rows), 0)::BIGINT FROM hours
		WHERE deployment = ? AND version = ? AND role = ? AND hour >= ? AND hour < ?`,
		append([]any{string(w.Deployment)}, windowArgs(w)...)...).Scan(&n)
	if err != nil || n == 0 {
		return nil, err
	}
	var outcomes []realised.Outcome
	err = s.reading(ctx, func(r *sql.Conn) (err error) {
		outcomes, err = s.readOutcomes(ctx, r, w)
		return err
	})
	return outcomes, err
}

func (s *Store) readOutcomes(ctx context.Context, r reader, w watch.Window) ([]realised.Outcome, error) {
	served, err := s.rowsIn(ctx, r, w.Deployment, rowSpan{from: w.Start, to: w.End()})
	if err != nil {
		return nil, err
	}
	args := append(windowArgs(w), string(w.Deployment))
	rows, err := r.QueryContext(ctx, `
		WITH labelled AS (SELECT seq, label FROM outcomes WHERE `+inWindow+` AND deployment = ?),
		     served AS (SELECT seq, score, predicted FROM `+served+` WHERE `+inWindow+`),
		     decided AS (SELECT CASE WHEN score IS NULL OR isnan(score) THEN NULL WHEN score >= ? THEN 1.0 ELSE 0.0 END AS score, predicted
		                 FROM served ANTI JOIN labelled USING (seq))
		SELECT score, predicted, label, 1 AS times FROM served JOIN labelled USING (seq)
		UNION ALL SELECT score, predicted, NULL, count(*) FROM decided GROUP BY score, predicted`,
		append(append(args, windowArgs(w)...), realised.Threshold)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var outcomes []realised.Outcome
	var times int
	var score sql.NullFloat64
	var predicted, label sql.NullString
	for rows.Next() {
		if err := rows.Scan(&score, &predicted, &label, &times); err != nil {
			return nil, err
		}
		o := realised.Outcome{Score: score.Float64, Predicted: predicted.String, Label: label.String, Times: times}
		if !score.Valid {
			o.Score = math.NaN()
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, rows.Err()
}

// Stats are the totals of a deployment, over all versions and roles.
type Stats struct {
	Rows     uint64
	Labelled uint64
	From, To time.Time // earliest and latest event time; zero without rows
}

// Stats gives the totals of one deployment, of all of them together if d is "".
func (s *Store) Stats(ctx context.Context, d fairlead.Name) (Stats, error) {
	var st Stats
	var from, to sql.NullTime
	err := s.db.QueryRowContext(ctx, `
		SELECT coalesce(sum(rows), 0)::UBIGINT, coalesce(sum(labelled), 0)::UBIGINT, min(first_time), max(last_time)
		FROM hours WHERE ? IN ('', deployment)`, string(d)).Scan(&st.Rows, &st.Labelled, &from, &to)
	if err != nil {
		return Stats{}, fmt.Errorf("read totals of %q: %w", d, err)
	}
	st.From, st.To = from.Time, to.Time
	return st, nil
}

// Labels is the number of labels ever stored, corrections and those without a prediction included.
func (s *Store) Labels(ctx context.Context) (uint64, error) {
	var n uint64
	if err := s.db.QueryRowContext(ctx, `SELECT count(*)::UBIGINT FROM labels`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count labels: %w", err)
	}
	return n, nil
}

// Rejected is the number of messages that could not be decoded; the table rejected says why.
func (s *Store) Rejected(ctx context.Context) (uint64, error) {
	var n uint64
	if err := s.db.QueryRowContext(ctx, `SELECT count(*)::UBIGINT FROM rejected`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count rejected messages: %w", err)
	}
	return n, nil
}
