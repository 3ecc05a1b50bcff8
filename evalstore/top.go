package evalstore

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// TopValues are the most frequent values of a column as text, the most frequent first, at most n; missing ones are left out.
func (s *Store) TopValues(ctx context.Context, d fairlead.Name, column string, from, to time.Time, n int) ([]string, error) {
	if to.IsZero() {
		to = greatestTime
	}
	if from.IsZero() {
		from = leastTime
	}
	rows, err := s.db.QueryContext(ctx, `SELECT `+quote(column)+`::VARCHAR AS v FROM `+rowsOf(d)+` WHERE `+quote(column)+` IS NOT NULL
		AND event_time >= ? AND event_time < ? GROUP BY v ORDER BY count(*) DESC, v LIMIT ?`, from.UTC(), to.UTC(), n)
	if err != nil {
		return nil, fmt.Errorf("read the values of %s: %w", column, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("read the values of %s: %w", column, err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// Versions are those that have rows in the role, the earliest first.
func (s *Store) Versions(ctx context.Context, d fairlead.Name, role fairlead.Role) ([]fairlead.Version, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT DISTINCT version FROM hours WHERE deployment = ? AND role = ? AND rows > 0 ORDER BY version`, string(d), string(role))
	if err != nil {
		return nil, fmt.Errorf("list the versions of %s: %w", d, err)
	}
	defer rows.Close()
	var out []fairlead.Version
	for rows.Next() {
		var v fairlead.Version
		if err := rows.Scan(&v); err != nil {
			return nil, fmt.Errorf("list the versions of %s: %w", d, err)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
