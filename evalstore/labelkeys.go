package evalstore

import (
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// A label by entity key is resolved to predictions (an id and an event time), then given to all rows of these: a
// shadow's copy of a prediction has its id and time, and gets its labels. See package learn/label for what is to come out.
const (
	// predictionsOfKeys are the predictions that a label by key may be about, for one deployment's rows. Of the same
	// moment the one with the greatest id is the latest.
	latestOfKeys = `SELECT key, event_time, max(prediction_id) AS prediction_id FROM `
	eachOfKeys   = `SELECT DISTINCT key, event_time, prediction_id FROM `
	ofKeys       = ` WHERE role <> 'shadow' AND event_time BETWEEN ? AND ? AND key IN (SELECT key FROM %s) GROUP BY ALL`
)

// resolveKeys fills temp.resolved with the predictions of the labels of the relation from, for rows between two times.
func (t *tx) resolveKeys(d fairlead.Name, labels string, args []any, first, last time.Time) error {
	if err := t.clear("resolved"); err != nil {
		return err
	}
	rows, err := t.rowsIn(d, rowSpan{from: first, to: last})
	if err != nil {
		return err
	}
	keys := fmt.Sprintf(ofKeys, labels)
	all := append(append(append([]any{}, args...), first, last), args...)
	if _, err := t.exec(`INSERT INTO temp.resolved
		SELECT l.seq, r.prediction_id, r.event_time
		FROM (SELECT * FROM `+labels+` WHERE NOT join_all) l
		ASOF JOIN (`+latestOfKeys+rows+keys+`) r ON l.key = r.key AND l.time >= r.event_time
		WHERE l.time - r.event_time <= to_microseconds(l.within_us)`, all...); err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO temp.resolved
		SELECT l.seq, r.prediction_id, r.event_time
		FROM (SELECT * FROM `+labels+` WHERE join_all) l
		JOIN (`+eachOfKeys+rows+keys+`) r
			ON l.key = r.key AND r.event_time <= l.time AND l.time - r.event_time <= to_microseconds(l.within_us)`, all...)
	return err
}

// matchByKey finds the rows of the labels by key in temp.batch_labels.
func (t *tx) matchByKey(s *labelSpan) error {
	first := earlier(s.first, s.reach)
	err := t.resolveKeys(s.deployment, `(SELECT * FROM temp.batch_labels WHERE deployment = ? AND key IS NOT NULL)`,
		[]any{string(s.deployment)}, first, s.last)
	if err != nil {
		return err
	}
	rows, err := t.rowsIn(s.deployment, rowSpan{from: first, to: s.last})
	if err != nil {
		return err
	}
	if _, err := t.exec(intoMatched+`FROM `+rows+` r JOIN temp.resolved p USING (prediction_id, event_time)
			JOIN temp.batch_labels l ON l.seq = p.label
		WHERE r.event_time BETWEEN ? AND ?`, first, s.last); err != nil {
		return err
	}
	return t.oneForEachRow()
}

// oneForEachRow leaves of temp.matched the label that counts.
func (t *tx) oneForEachRow() error {
	_, err := t.exec(`DELETE FROM temp.matched m USING temp.matched o WHERE m.seq = o.seq
		AND (o.label_received, o.label_seq) > (m.label_received, m.label_seq)`)
	return err
}

// earlier is reach before at, but no time that the store does not know.
func earlier(at time.Time, reach time.Duration) time.Time {
	if e := at.Add(-reach); e.After(leastTime) {
		return e
	}
	return leastTime
}

// keySpan is what limits the search for labels by key of some rows.
type keySpan struct {
	keys        idRange
	first, last time.Time
}

func keySpanOf(batches []rowBatch) keySpan {
	var s keySpan
	for _, b := range batches {
		for i, k := range b.Key {
			if k == "" {
				continue
			}
			at := b.EventTime[i]
			if !s.keys.any || at.Before(s.first) {
				s.first = at
			}
			if at.After(s.last) {
				s.last = at
			}
			s.keys.add(k)
		}
	}
	return s
}

// matchEarlyKeyLabels gives the rows of this transaction the labels by key that came before them. A new prediction may be
// later than the one that has a label now: so the outcomes of all predictions of these entities are decided anew, as far
// back as a label of theirs may have reached. Most batches have no such labels, and are done with one look at the
// labels' keys.
func (t *tx) matchEarlyKeyLabels(d fairlead.Name, batches []rowBatch, hours hourCounts) error {
	s := keySpanOf(batches)
	if !s.keys.any {
		return nil
	}
	var reach int64
	err := t.s.conn.QueryRowContext(t.ctx, `SELECT coalesce(max(within_us), 0) FROM labels WHERE deployment = ? AND key BETWEEN ? AND ? AND time >= ?`,
		string(d), s.keys.lo, s.keys.hi, s.first).Scan(&reach)
	if err != nil {
		return fmt.Errorf("look for labels by key: %w", err)
	}
	if reach == 0 {
		return nil
	}
	horizon := time.Duration(reach) * time.Microsecond
	first, last := earlier(s.first, horizon), s.last.Add(horizon)
	rows := ` FROM ` + hotOf(d) + ` WHERE seq BETWEEN ? AND ? AND key IS NOT NULL`
	end := batches[len(batches)-1]
	span := []any{batches[0].first, end.first + int64(end.N) - 1}
	if err := t.clear("scope", "matched"); err != nil {
		return err
	}
	within, err := t.rowsIn(d, rowSpan{from: first, to: s.last})
	if err != nil {
		return err
	}
	// Rows in reach of a stored label's horizon of the same entities, and the copies that shadows made of them.
	if n, err := t.exec(`INSERT INTO temp.scope
		WITH entities AS (SELECT DISTINCT key`+rows+` AND key IN (SELECT key FROM labels WHERE deployment = ? AND key BETWEEN ? AND ?)),
			predictions AS (SELECT DISTINCT prediction_id, event_time FROM `+within+`
				WHERE event_time BETWEEN ? AND ? AND key IN (SELECT key FROM entities))
		SELECT seq, prediction_id, event_time, version, role, score, predicted FROM `+within+` r JOIN predictions USING (prediction_id, event_time)
		WHERE r.event_time BETWEEN ? AND ?`,
		append(span, string(d), s.keys.lo, s.keys.hi, first, s.last, first, s.last)...); err != nil || n == 0 {
		return err
	}
	labels := `(SELECT * FROM labels WHERE deployment = ? AND time BETWEEN ? AND ?
		AND key IN (SELECT DISTINCT key FROM ` + hotOf(d) + ` WHERE seq BETWEEN ? AND ?))`
	if err := t.resolveKeys(d, labels, append([]any{string(d), first, last}, span...), first, last); err != nil {
		return err
	}
	return t.decideScope(d, hours)
}

// decideScope gives the rows of temp.scope the labels that count among temp.resolved and those of their ids, whatever they
// had before, and counts what changed.
func (t *tx) decideScope(d fairlead.Name, hours hourCounts) error {
	var ids idRange
	if err := t.s.conn.QueryRowContext(t.ctx, `SELECT coalesce(min(prediction_id), ''), coalesce(max(prediction_id), '') FROM temp.scope`).
		Scan(&ids.lo, &ids.hi); err != nil {
		return fmt.Errorf("decide outcomes: %w", err)
	}
	if _, err := t.exec(intoMatched+`FROM temp.scope r JOIN temp.resolved p USING (prediction_id, event_time) JOIN labels l ON l.seq = p.label
			WHERE l.deployment = ?
		UNION ALL SELECT l.deployment, r.version, r.role, r.seq, r.prediction_id, r.event_time, r.score, r.predicted,
			l.value, l.time, l.received, l.seq
			FROM temp.scope r JOIN labels l USING (prediction_id) WHERE l.deployment = ? AND l.prediction_id BETWEEN ? AND ?`,
		string(d), string(d), ids.lo, ids.hi); err != nil {
		return err
	}
	if err := t.oneForEachRow(); err != nil {
		return err
	}
	const had = `FROM temp.scope s LEFT JOIN outcomes o USING (seq) LEFT JOIN temp.matched m USING (seq)`
	if err := t.countOutcomes(hours, `
		SELECT ?, s.version, s.role, date_trunc('hour', s.event_time),
			count(*) FILTER (m.label IS NOT NULL) - count(o.seq) `+had+`
		WHERE o.label_seq IS DISTINCT FROM CASE WHEN m.label IS NOT NULL THEN m.label_seq END GROUP BY ALL`, string(d)); err != nil {
		return err
	}
	for _, stmt := range []string{
		`DELETE FROM outcomes USING temp.scope s WHERE outcomes.seq = s.seq`,
		`DELETE FROM retracted USING temp.scope s WHERE retracted.seq = s.seq`,
		keepMatched, keepRetracted,
	} {
		if _, err := t.exec(stmt); err != nil {
			return err
		}
	}
	return nil
}
