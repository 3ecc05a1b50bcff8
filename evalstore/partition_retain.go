package evalstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Keep says how much the store keeps; zero values are no limit. What a deployment has of its own counts instead of Age and
// besides Bytes.
type Keep struct {
	Age      time.Duration // of rows, with their labels, outcomes and events: days of event time that ended longer ago go
	Bytes    uint64        // of all files of rows: days go, the oldest first, until the rest is within it
	Each     map[fairlead.Name]KeepRows
	Profiles time.Duration // age of profile counts by their minute
}

// KeepRows are the limits of one deployment.
type KeepRows struct {
	Age   time.Duration
	Bytes uint64
}

// Dropped says what Retain dropped of one deployment: all of its rows before a time, and what came of them.
type Dropped struct {
	Deployment           fairlead.Name
	Before               time.Time // start of the first day that is kept
	Why                  string    // "age" or "bytes"
	Rows, Labels, Events uint64
	Files                int
	Bytes                uint64
}

// droppedSchema is the list of what retention dropped: nothing goes without a line here.
const droppedSchema = `CREATE TABLE IF NOT EXISTS dropped (
	deployment VARCHAR, time TIMESTAMP, before TIMESTAMP, why VARCHAR, rows UBIGINT, labels UBIGINT, events UBIGINT,
	files UBIGINT, bytes UBIGINT)`

// Retain drops whole days that are beyond the limits, oldest first, each deployment in one transaction with its line in the
// table dropped. now is compared with event times. Findings and metrics of windows stay, and so do the counts of hours.
func (s *Store) Retain(ctx context.Context, keep Keep, now time.Time) ([]Dropped, error) {
	s.moving.Lock()
	defer s.moving.Unlock()
	now = now.UTC()
	names, err := hotTables(ctx, s.db)
	if err != nil {
		return nil, err
	}
	cuts := make(map[fairlead.Name]Dropped)
	var all []partition
	for _, n := range names {
		d := fairlead.Name(n)
		files, err := partitionsOf(ctx, s.db, d, "")
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
		age := keep.Age
		if own := keep.Each[d]; own.Age > 0 {
			age = own.Age
		}
		if age > 0 {
			cuts[d] = Dropped{Deployment: d, Why: "age", Before: now.Add(-age).Truncate(24 * time.Hour)}
		}
		if own := keep.Each[d]; own.Bytes > 0 {
			cutBytes(cuts, files, own.Bytes)
		}
	}
	if keep.Bytes > 0 {
		cutBytes(cuts, all, keep.Bytes)
	}
	var dropped []Dropped
	for _, d := range slices.Sorted(maps.Keys(cuts)) {
		cut := cuts[d]
		if err := s.drop(ctx, &cut, now); err != nil {
			return dropped, fmt.Errorf("drop the rows of %s before %s: %w", d, cut.Before.Format(time.DateOnly), err)
		}
		if cut.Rows+cut.Labels+cut.Events > 0 {
			dropped = append(dropped, cut)
		}
	}
	if keep.Profiles > 0 {
		if err := s.write(ctx, func(t *tx) error {
			_, err := t.exec(`DELETE FROM profiles WHERE minute < ?`, now.Add(-keep.Profiles))
			return err
		}); err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// cutBytes moves the cuts on until what is left of the files is within a limit.
func cutBytes(cuts map[fairlead.Name]Dropped, files []partition, limit uint64) {
	files = slices.SortedFunc(slices.Values(files), func(a, b partition) int {
		return cmp.Or(a.date.Compare(b.date), cmp.Compare(a.deployment, b.deployment))
	})
	var size uint64
	for _, p := range files {
		if !p.date.Before(cuts[p.deployment].Before) {
			size += p.bytes
		}
	}
	for _, p := range files {
		cut := cuts[p.deployment]
		if p.date.Before(cut.Before) { // another file of a day that goes
			continue
		}
		if size <= limit {
			return
		}
		for _, q := range files {
			if q.deployment == p.deployment && q.date.Equal(p.date) {
				size -= q.bytes
			}
		}
		cuts[p.deployment] = Dropped{Deployment: p.deployment, Why: "bytes", Before: p.date.AddDate(0, 0, 1)}
	}
}

// drop drops the rows before cut.Before and counts them.
func (s *Store) drop(ctx context.Context, cut *Dropped, now time.Time) error {
	return s.write(ctx, func(t *tx) error {
		d, before := string(cut.Deployment), cut.Before
		files, err := partitionsOf(t.ctx, s.conn, cut.Deployment, ` AND date < ?`, before)
		if err != nil {
			return err
		}
		var hot uint64
		if err := s.conn.QueryRowContext(t.ctx, `SELECT count(*) FROM `+hotOf(cut.Deployment)+` WHERE event_time < ?`, before).Scan(&hot); err != nil {
			return err
		}
		columns, err := viewColumns(t.ctx, s.conn, cut.Deployment)
		if err != nil {
			return err
		}
		cut.Files, cut.Rows = len(files), hot
		for _, p := range files {
			cut.Rows, cut.Bytes = cut.Rows+p.rows, cut.Bytes+p.bytes
		}
		gone := `(SELECT * FROM (` + s.union(cut.Deployment, columns, files) + `) WHERE event_time < ?)`
		var none uint64
		for _, stmt := range []struct {
			sql   string
			args  []any
			count *uint64
		}{
			{`DELETE FROM outcomes WHERE deployment = ? AND event_time < ?`, []any{d, before}, &none},
			{`DELETE FROM retracted WHERE deployment = ? AND seq IN (SELECT seq FROM ` + gone + `)`, []any{d, before}, &none},
			// An id that has an outcome still has another row, which is kept.
			{`DELETE FROM labels WHERE deployment = ? AND key IS NULL AND prediction_id IN (SELECT prediction_id FROM ` + gone + `)
				AND prediction_id NOT IN (SELECT prediction_id FROM outcomes WHERE deployment = ?)`, []any{d, before, d}, &cut.Labels},
			// A label by key is about a row at or before its time.
			{`DELETE FROM labels WHERE deployment = ? AND key IS NOT NULL AND time < ?`, []any{d, before}, &cut.Labels},
			{`DELETE FROM events WHERE deployment = ? AND coalesce(row_time, time) < ?`, []any{d, before}, &cut.Events},
			{`DELETE FROM ` + hotOf(cut.Deployment) + ` WHERE event_time < ?`, []any{before}, &none},
		} {
			n, err := t.exec(stmt.sql, stmt.args...)
			if err != nil {
				return err
			}
			*stmt.count += uint64(n) //nolint:gosec // a number of rows
		}
		if cut.Rows+cut.Labels+cut.Events == 0 {
			return nil
		}
		if _, err := t.exec(`UPDATE partitions SET gone = ? WHERE deployment = ? AND date < ? AND gone IS NULL`, now, d, before); err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO dropped VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			d, now, before, cut.Why, cut.Rows, cut.Labels, cut.Events, cut.Files, cut.Bytes); err != nil {
			return err
		}
		return t.makeRowsView(cut.Deployment)
	})
}
