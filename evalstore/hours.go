package evalstore

import (
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// hourCounts is what a transaction adds to the table hours.
type hourCounts map[hourKey]*hourCount

type hourKey struct {
	deployment fairlead.Name
	version    fairlead.Version
	role       string
	hour       time.Time
}

type hourCount struct {
	rows        uint64
	labelled    int64     // fewer where labels were taken back or moved
	first, last time.Time // of its rows; zero if none was added
}

func (h hourCounts) at(k hourKey) *hourCount {
	c := h[k]
	if c == nil {
		c = &hourCount{}
		h[k] = c
	}
	return c
}

// countRows counts each row in its hour of event time.
func (h hourCounts) countRows(r *eventlog.Rows) {
	var c *hourCount
	var k hourKey
	for i := range r.N {
		at := r.EventTime[i]
		// Rows come mostly in runs of one hour.
		if role := r.Role[i]; c == nil || k.role != string(role) || at.Before(k.hour) || at.Sub(k.hour) >= time.Hour {
			k = hourKey{r.Deployment, r.Version, text(string(role)), at.Truncate(time.Hour)}
			c = h.at(k)
		}
		if c.rows == 0 {
			c.first, c.last = at, at
		}
		c.rows++
		if at.Before(c.first) {
			c.first = at
		}
		if at.After(c.last) {
			c.last = at
		}
	}
}

// fewHours is how many hours are counted one by one: DuckDB plans an upsert for as long as it needs for some of these.
const fewHours = 4

// countHours adds to the hours and marks them as changed.
func (t *tx) countHours(hours hourCounts) error {
	t.s.seq++
	if len(hours) > fewHours {
		return t.countManyHours(hours)
	}
	for k, c := range hours {
		first, last := c.span()
		n, err := t.exec(`UPDATE hours SET rows = rows + ?, labelled = (labelled::BIGINT + ?)::UBIGINT, seq = ?,
				first_time = least(first_time, ?), last_time = greatest(last_time, ?)
			WHERE deployment = ? AND version = ? AND role = ? AND hour = ?`,
			c.rows, c.labelled, t.s.seq, first, last, text(string(k.deployment)), int32(k.version), k.role, k.hour)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if _, err := t.exec(`INSERT INTO hours VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`, text(string(k.deployment)),
			int32(k.version), k.role, k.hour, c.rows, c.labelled, first, last, t.s.seq); err != nil {
			return err
		}
	}
	return nil
}

// span is first and last as DuckDB takes them, nil if there are none.
func (c *hourCount) span() (first, last any) {
	if c.rows == 0 {
		return nil, nil
	}
	return c.first, c.last
}

func (t *tx) countManyHours(hours hourCounts) error {
	if err := t.clear("batch_hours"); err != nil {
		return err
	}
	err := t.append("temp", "main", "batch_hours", func(a *duckdb.Appender) error {
		for k, c := range hours {
			first, last := c.span()
			if err := a.AppendRow(text(string(k.deployment)), int32(k.version), k.role, k.hour, c.rows, c.labelled,
				first, last); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	// An update and an insert: fewer labels are a negative number, which the table's column has no room for.
	const same = `h.deployment = b.deployment AND h.version = b.version AND h.role = b.role AND h.hour = b.hour`
	if _, err := t.exec(`
		UPDATE hours h SET rows = h.rows + b.rows, labelled = (h.labelled::BIGINT + b.labelled)::UBIGINT, seq = ?,
			first_time = least(h.first_time, b.first_time), last_time = greatest(h.last_time, b.last_time)
		FROM temp.batch_hours b WHERE `+same, t.s.seq); err != nil {
		return err
	}
	_, err = t.exec(`
		INSERT INTO hours SELECT b.deployment, b.version, b.role, b.hour, b.rows, b.labelled, b.first_time, b.last_time, ?, 0
		FROM temp.batch_hours b WHERE NOT EXISTS (SELECT 1 FROM hours h WHERE `+same+`)`, t.s.seq)
	return err
}
