package evalstore

import (
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// keyReach is how long before an event the prediction may be that it is given to by entity key.
const keyReach = 30 * 24 * time.Hour

type eventRow struct {
	fairlead.BusinessEvent
	seq int64
}

func (e eventRow) later(o eventRow) bool {
	if !e.Received.Equal(o.Received) {
		return e.Received.After(o.Received)
	}
	return e.seq > o.seq
}

// ingestEvents stores the events, each with the prediction it belongs to where that is stored already. An event with an
// id takes the place of an earlier one.
func (t *tx) ingestEvents(msgs []eventlog.Message) error {
	var all []eventRow
	for _, m := range msgs {
		events, err := decodeEvents(m)
		if err != nil {
			if err := t.reject(m, err); err != nil {
				return err
			}
			continue
		}
		all = append(all, events...)
	}
	all = latestEvents(all)
	if len(all) == 0 {
		return nil
	}
	if err := t.clear("batch_events", "event_rows"); err != nil {
		return err
	}
	if err := t.stageEvents(all); err != nil {
		return err
	}
	if err := t.replaceEvents(all); err != nil {
		return err
	}
	spans := make(map[fairlead.Name]*eventSpan)
	for _, e := range all {
		s := spans[e.Deployment]
		if s == nil {
			s = &eventSpan{}
			spans[e.Deployment] = s
		}
		s.add(e)
	}
	for d, s := range spans {
		rt, err := t.loadTable(d)
		if err != nil {
			return err
		}
		if rt == nil {
			continue // events may come before the first row
		}
		if err := t.matchEvents(d, s); err != nil {
			return err
		}
	}
	_, err := t.exec(`
		INSERT INTO events
		SELECT b.deployment, b.name, b.value, b.time, b.received, b.id, coalesce(b.prediction_id, r.prediction_id), b.key,
			r.version, r.role, r.event_time, r.received, r.seq, b.seq
		FROM temp.batch_events b LEFT JOIN temp.event_rows r ON r.event = b.seq`)
	return err
}

// eventSpan is what limits the search for the predictions of some events of one deployment.
type eventSpan struct {
	ids         idRange
	first, last time.Time // of those by key
}

func (s *eventSpan) add(e eventRow) {
	if e.Key == "" {
		s.ids.add(e.PredictionID)
		return
	}
	if s.first.IsZero() || e.Time.Before(s.first) {
		s.first = e.Time
	}
	if e.Time.After(s.last) {
		s.last = e.Time
	}
}

func decodeEvents(m eventlog.Message) ([]eventRow, error) {
	events, err := eventlog.DecodeEvents(m.Data)
	if err != nil {
		return nil, err
	}
	if len(events) >= 1<<seqBits {
		return nil, fairlead.Invalid("a message holds fewer than %d events, this one has %d", 1<<seqBits, len(events))
	}
	out := make([]eventRow, len(events))
	for i, e := range events {
		if e.Received.IsZero() {
			e.Received = m.Time
		}
		if e.Time.IsZero() {
			e.Time = e.Received
		}
		e.Received, e.Time = e.Received.Truncate(time.Microsecond), e.Time.Truncate(time.Microsecond)
		if err := errors.Join(checkTime(e.Time), checkTime(e.Received)); err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
		e.Deployment, e.Name, e.ID = fairlead.Name(text(string(e.Deployment))), text(e.Name), text(e.ID)
		e.PredictionID, e.Key = text(e.PredictionID), text(e.Key)
		out[i] = eventRow{e, int64(m.Seq<<seqBits) + int64(i)}
	}
	return out, nil
}

// latestEvents keeps one of the events that replace each other.
func latestEvents(all []eventRow) []eventRow {
	type key struct {
		d        fairlead.Name
		name, id string
	}
	at := make(map[key]int)
	kept := all[:0:0]
	for _, e := range all {
		if e.ID == "" {
			kept = append(kept, e)
			continue
		}
		k := key{e.Deployment, e.Name, e.ID}
		i, ok := at[k]
		switch {
		case !ok:
			at[k] = len(kept)
			kept = append(kept, e)
		case e.later(kept[i]):
			kept[i] = e
		}
	}
	return kept
}

// stageEvents fills temp.batch_events.
func (t *tx) stageEvents(events []eventRow) error {
	n := len(events)
	deployment, name, value := make([]fairlead.Name, n), make([]string, n), make([]float64, n)
	at, received, seq := make([]time.Time, n), make([]time.Time, n), make([]int64, n)
	for i, e := range events {
		deployment[i], name[i], value[i] = e.Deployment, e.Name, e.Value
		at[i], received[i], seq[i] = e.Time, e.Received, e.seq
	}
	return t.appendChunks("temp", "main", "batch_events", func(w *chunkWriter) error {
		return w.write(n, []cells{
			texts(deployment), texts(name), numbers(value), times(at), times(received),
			textsOrNull(func(i int) string { return events[i].ID }),
			textsOrNull(func(i int) string { return events[i].PredictionID }),
			textsOrNull(func(i int) string { return events[i].Key }), numbers(seq),
		})
	})
}

// replaceEvents removes stored events whose id came again, and from the batch those that were corrected already.
func (t *tx) replaceEvents(events []eventRow) error {
	var ids idRange
	for _, e := range events {
		if e.ID != "" {
			ids.add(e.ID)
		}
	}
	if !ids.any {
		return nil
	}
	const same = ` WHERE e.deployment = b.deployment AND e.name = b.name AND e.id = b.id AND e.id BETWEEN ? AND ?`
	if _, err := t.exec(`DELETE FROM temp.batch_events b USING events e`+same+
		` AND (e.received, e.seq) > (b.received, b.seq)`, ids.lo, ids.hi); err != nil {
		return err
	}
	_, err := t.exec(`DELETE FROM events e USING temp.batch_events b`+same, ids.lo, ids.hi)
	return err
}

// An event with a prediction's id belongs to the first row of that id, one with a key to the latest row about the entity
// at or before its time: whatever comes first, events or rows, and in whatever order, the end is the same. A shadow's
// answer reached nobody, so nothing came of it.
const (
	firstOfID = `SELECT prediction_id, min(seq) AS seq, arg_min(version, seq) AS version, arg_min(role, seq) AS role,
		arg_min(event_time, seq) AS event_time, arg_min(received, seq) AS received`
	lastOfKey = `SELECT key, event_time, max(seq) AS seq, arg_max(version, seq) AS version, arg_max(role, seq) AS role,
		arg_max(prediction_id, seq) AS prediction_id, arg_max(received, seq) AS received`
	intoEventRows = `INSERT INTO temp.event_rows
		SELECT e.seq, r.seq, r.prediction_id, r.version, r.role, r.event_time, r.received `
)

// matchEvents finds the rows of temp.batch_events.
func (t *tx) matchEvents(d fairlead.Name, s *eventSpan) error {
	if s.ids.any {
		rows, err := t.rowsIn(d, rowSpan{ids: s.ids})
		if err != nil {
			return err
		}
		if _, err := t.exec(intoEventRows+`FROM temp.batch_events e JOIN (`+firstOfID+` FROM `+rows+`
				WHERE prediction_id BETWEEN ? AND ? AND role <> 'shadow'
					AND prediction_id IN (SELECT prediction_id FROM temp.batch_events WHERE deployment = ?) GROUP BY prediction_id) r
				USING (prediction_id) WHERE e.deployment = ? AND e.key IS NULL`,
			s.ids.lo, s.ids.hi, string(d), string(d)); err != nil {
			return err
		}
	}
	if s.first.IsZero() {
		return nil
	}
	rows, err := t.rowsIn(d, rowSpan{from: s.first.Add(-keyReach), to: s.last})
	if err != nil {
		return err
	}
	_, err = t.exec(intoEventRows+`
		FROM (SELECT * FROM temp.batch_events WHERE deployment = ? AND key IS NOT NULL) e
		ASOF JOIN (`+lastOfKey+` FROM `+rows+` WHERE event_time BETWEEN ? AND ? AND role <> 'shadow'
			AND key IN (SELECT key FROM temp.batch_events WHERE deployment = ?) GROUP BY key, event_time) r
			ON e.key = r.key AND e.time >= r.event_time
		WHERE e.time - r.event_time <= to_microseconds(?)`,
		string(d), s.first.Add(-keyReach), s.last, string(d), keyReach.Microseconds())
	return err
}

// matchEarlyEvents gives the rows of this transaction the events that came before them. Most batches have none, and are
// done with two looks at the events' ids and times.
func (t *tx) matchEarlyEvents(d fairlead.Name, batches []rowBatch) error {
	var ids, keys idRange
	var first, last time.Time
	for _, b := range batches {
		ids.add(b.ID...)
		for i, k := range b.Key {
			at := b.EventTime[i]
			if k == "" {
				continue
			}
			keys.add(k)
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		}
	}
	end := batches[len(batches)-1]
	rows := ` FROM ` + hotOf(d) + ` WHERE seq BETWEEN ? AND ? AND role <> 'shadow' `
	from, to := batches[0].first, end.first+int64(end.N)-1
	if err := t.clear("event_rows"); err != nil {
		return err
	}
	const byID = ` FROM events e WHERE e.deployment = ? AND e.row_seq IS NULL AND e.key IS NULL AND e.prediction_id BETWEEN ? AND ?`
	if err := t.ifAny(byID, []any{string(d), ids.lo, ids.hi}, func(args []any) error {
		_, err := t.exec(intoEventRows+`FROM (SELECT *`+byID+`) e JOIN (`+firstOfID+rows+`GROUP BY prediction_id) r USING (prediction_id)`,
			append(args, from, to)...)
		return err
	}); err != nil {
		return err
	}
	if keys.any {
		const byKey = ` FROM events e WHERE e.deployment = ? AND e.time BETWEEN ? AND ? AND e.key BETWEEN ? AND ?`
		if err := t.ifAny(byKey, []any{string(d), first, last.Add(keyReach), keys.lo, keys.hi}, func(args []any) error {
			_, err := t.exec(intoEventRows+`FROM (SELECT *`+byKey+`) e
				ASOF JOIN (`+lastOfKey+rows+`AND key IS NOT NULL GROUP BY key, event_time) r ON e.key = r.key AND e.time >= r.event_time
				WHERE e.time - r.event_time <= to_microseconds(?) AND (e.row_seq IS NULL OR (r.event_time, r.seq) > (e.row_time, e.row_seq))`,
				append(args, from, to, keyReach.Microseconds())...)
			return err
		}); err != nil {
			return err
		}
	}
	return t.moveEvents()
}

// ifAny calls fn with args when there is a row.
func (t *tx) ifAny(from string, args []any, fn func(args []any) error) error {
	var any bool
	if err := t.s.conn.QueryRowContext(t.ctx, `SELECT EXISTS (SELECT 1`+from+`)`, args...).Scan(&any); err != nil {
		return fmt.Errorf("look for events: %w", err)
	}
	if !any {
		return nil
	}
	return fn(args)
}

// moveEvents gives stored events the rows of temp.event_rows.
func (t *tx) moveEvents() error {
	var n int
	if err := t.s.conn.QueryRowContext(t.ctx, `SELECT count(*) FROM temp.event_rows`).Scan(&n); err != nil || n == 0 {
		return err
	}
	_, err := t.exec(`UPDATE events SET row_seq = r.seq, prediction_id = r.prediction_id, version = r.version, role = r.role,
			row_time = r.event_time, row_received = r.received
		FROM temp.event_rows r WHERE events.seq = r.event`)
	return err
}
