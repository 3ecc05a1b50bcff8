package evalstore

import (
	"fmt"
)

const (
	keepMatched   = `INSERT INTO outcomes SELECT * FROM temp.matched WHERE label IS NOT NULL`
	keepRetracted = `INSERT INTO retracted SELECT deployment, seq, label_received, label_seq FROM temp.matched WHERE label IS NULL`
)

// applyMatched moves temp.matched, at most one label for each row, into outcomes where no later label is known, and counts
// the outcomes in their hours. A label that takes back leaves its row without an outcome; that it did is remembered, for
// an earlier label may come after it.
func (t *tx) applyMatched(hours hourCounts) error {
	if err := t.clear("existing"); err != nil {
		return err
	}
	for _, stmt := range []string{
		`INSERT INTO temp.existing
			SELECT o.seq, o.label_received, o.label_seq, true FROM outcomes o JOIN temp.matched m USING (seq)
			UNION ALL SELECT o.seq, o.label_received, o.label_seq, false FROM retracted o JOIN temp.matched m USING (seq)`,
		// An outcome that has a later label stays as it is.
		`DELETE FROM temp.matched USING temp.existing e WHERE matched.seq = e.seq
			AND (e.label_received, e.label_seq) > (matched.label_received, matched.label_seq)`,
		`DELETE FROM outcomes USING temp.matched m, temp.existing e WHERE m.seq = e.seq AND outcomes.seq = e.seq`,
		`DELETE FROM retracted USING temp.matched m WHERE m.seq = retracted.seq`,
		keepMatched, keepRetracted,
	} {
		if _, err := t.exec(stmt); err != nil {
			return err
		}
	}
	return t.countOutcomes(hours, `
		SELECT m.deployment, m.version, m.role, date_trunc('hour', m.event_time),
			count(*) FILTER (m.label IS NOT NULL) - count(*) FILTER (e.outcome)
		FROM temp.matched m LEFT JOIN temp.existing e USING (seq) GROUP BY ALL`)
}

// countOutcomes adds what a query says about hours: deployment, version, role, hour, how many outcomes more.
func (t *tx) countOutcomes(hours hourCounts, query string, args ...any) error {
	rows, err := t.s.conn.QueryContext(t.ctx, query, args...)
	if err != nil {
		return fmt.Errorf("count outcomes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k hourKey
		var n int64
		if err := rows.Scan(&k.deployment, &k.version, &k.role, &k.hour, &n); err != nil {
			return fmt.Errorf("count outcomes: %w", err)
		}
		k.hour = k.hour.UTC()
		hours.at(k).labelled += n
	}
	return rows.Err()
}
