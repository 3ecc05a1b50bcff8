package evalstore

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// rowBatch is the rows of one message on their way into a table.
type rowBatch struct {
	*eventlog.Rows
	first int64 // seq of row 0
	place []int // see tx.rowTable
}

// ingestRows appends the rows, joins those whose label came before them, and counts them.
func (t *tx) ingestRows(msgs []eventlog.Message) error {
	batches := make(map[fairlead.Name][]rowBatch)
	var order []fairlead.Name
	for _, m := range msgs {
		rows, err := eventlog.DecodePredictions(m.Data)
		if err == nil {
			err = checkRows(rows)
		}
		if err != nil {
			if err := t.reject(m, err); err != nil {
				return err
			}
			continue
		}
		b := rowBatch{Rows: rows, first: int64(m.Seq << seqBits)}
		if _, b.place, err = t.rowTable(rows); err != nil {
			return err
		}
		if batches[rows.Deployment] == nil {
			order = append(order, rows.Deployment)
		}
		batches[rows.Deployment] = append(batches[rows.Deployment], b)
	}
	for _, d := range order {
		if err := t.appendRows(d, batches[d]); err != nil {
			return err
		}
	}
	if err := t.appendBatchRows(order, batches); err != nil {
		return err
	}
	var ids idRange
	for _, bs := range batches {
		for _, b := range bs {
			ids.add(b.ID...)
		}
	}
	// The latest label counts where several came before the row.
	if _, err := t.exec(`
		INSERT INTO temp.matched
		SELECT r.*, l.value, l.time, l.received, l.seq
		FROM temp.batch_rows r JOIN labels l USING (deployment, prediction_id)
		WHERE l.prediction_id BETWEEN ? AND ?
		QUALIFY row_number() OVER (PARTITION BY r.seq ORDER BY l.received DESC, l.seq DESC) = 1`, ids.lo, ids.hi); err != nil {
		return err
	}
	if err := t.applyMatched(); err != nil {
		return err
	}
	return t.countHours()
}

// idRange is the least and the greatest of some prediction ids. As a condition it lets DuckDB skip the parts of a table
// whose ids lie elsewhere: nearly all of it when ids are made in order of time, as the server's are. On two million
// rows that turns 100 ms of processor time per batch into one.
type idRange struct {
	lo, hi string
	any    bool
}

func (r *idRange) add(ids ...string) {
	for _, id := range ids {
		id = text(id)
		if !r.any {
			r.lo, r.hi, r.any = id, id, true
		}
		r.lo, r.hi = min(r.lo, id), max(r.hi, id)
	}
}

func checkRows(r *eventlog.Rows) error {
	for i := range r.N {
		if err := errors.Join(checkTime(r.EventTime[i]), checkTime(r.Received[i])); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
	}
	return nil
}

func (t *tx) appendRows(d fairlead.Name, batches []rowBatch) error {
	rt := t.s.tables[d]
	return t.append("", "rows", string(d), func(a *duckdb.Appender) error {
		values := make([]driver.Value, len(systemColumns)+len(rt.columns))
		for _, b := range batches {
			clear(values)
			cells := make([]func(int) driver.Value, len(b.Columns))
			for c := range b.Columns {
				cells[c] = cell(&b.Columns[c])
			}
			for i := range b.N {
				b.systemValues(values, i)
				for c, get := range cells {
					switch p := b.place[c]; {
					case p < 0:
					case b.Columns[c].IsNull(i):
						values[len(systemColumns)+p] = nil
					default:
						values[len(systemColumns)+p] = get(i)
					}
				}
				if err := a.AppendRow(values...); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// systemValues writes row i's part of systemColumns.
func (b *rowBatch) systemValues(v []driver.Value, i int) {
	v[0], v[1], v[2] = b.first+int64(i), text(b.ID[i]), text(b.Request[i])
	v[3], v[4], v[5] = b.EventTime[i], b.Received[i], int32(b.Version)
	v[6], v[7], v[8], v[9] = text(string(b.Role[i])), orNull(b.Variant[i]), orNull(b.Key[i]), nil
	if len(b.Tags[i]) > 0 {
		tags := make(duckdb.Map, len(b.Tags[i]))
		for k, t := range b.Tags[i] {
			tags[text(k)] = text(t)
		}
		v[9] = tags
	}
	v[10], v[11] = int64(b.Latency[i]/time.Microsecond), b.Cached[i]
	v[12], v[13] = b.score(i), orNull(b.PredictedAt(i))
}

func (b *rowBatch) score(i int) driver.Value {
	if s, ok := b.ScoreAt(i); ok {
		return s
	}
	return nil
}

func orNull(s string) driver.Value {
	if s == "" {
		return nil
	}
	return text(s)
}

// appendBatchRows puts the rows' keys into a small table to join with, and their hours into temp.batch_hours.
func (t *tx) appendBatchRows(order []fairlead.Name, batches map[fairlead.Name][]rowBatch) error {
	hours := make(map[hourKey]*hourCount)
	err := t.append("temp", "main", "batch_rows", func(a *duckdb.Appender) error {
		for _, d := range order {
			for _, b := range batches[d] {
				for i := range b.N {
					role, at := text(string(b.Role[i])), b.EventTime[i]
					if err := a.AppendRow(string(d), int32(b.Version), role, b.first+int64(i), text(b.ID[i]), at,
						b.score(i), orNull(b.PredictedAt(i))); err != nil {
						return err
					}
					countHour(hours, hourKey{d, b.Version, role, at.Truncate(time.Hour)}, at)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.append("temp", "main", "batch_hours", func(a *duckdb.Appender) error {
		for k, h := range hours {
			if err := a.AppendRow(string(k.deployment), int32(k.version), k.role, k.hour, h.rows, uint64(0),
				h.first, h.last); err != nil {
				return err
			}
		}
		return nil
	})
}

type hourKey struct {
	deployment fairlead.Name
	version    fairlead.Version
	role       string
	hour       time.Time
}

type hourCount struct {
	rows        uint64
	first, last time.Time
}

func countHour(hours map[hourKey]*hourCount, k hourKey, at time.Time) {
	h := hours[k]
	if h == nil {
		h = &hourCount{first: at, last: at}
		hours[k] = h
	}
	h.rows++
	if at.Before(h.first) {
		h.first = at
	}
	if at.After(h.last) {
		h.last = at
	}
}

// cell gives the values of a column as DuckDB takes them, a list for a tensor.
func cell(c *eventlog.Column) func(i int) driver.Value {
	switch d := c.Data.(type) {
	case []bool:
		return values(c, d)
	case []int8:
		return values(c, d)
	case []int16:
		return values(c, d)
	case []int32:
		return values(c, d)
	case []int64:
		return values(c, d)
	case []uint8:
		if c.Shape == nil {
			return values(c, d)
		}
		return values(c, widen(d)) // a []uint8 would be taken for a BLOB
	case []uint16:
		if c.Field.Type == fairlead.Uint16 {
			return values(c, d)
		}
		floats := make([]float32, len(d))
		for i, bits := range d {
			floats[i] = fairlead.HalfToFloat(bits, c.Field.Type)
		}
		return values(c, floats)
	case []uint32:
		return values(c, d)
	case []uint64:
		return values(c, d)
	case []float32:
		return values(c, d)
	case []float64:
		return values(c, d)
	case []string:
		valid := make([]string, len(d))
		for i, s := range d {
			valid[i] = text(s)
		}
		return values(c, valid)
	}
	return func(int) driver.Value { return nil }
}

func values[T any](c *eventlog.Column, d []T) func(i int) driver.Value {
	if c.Shape == nil {
		return func(i int) driver.Value { return d[i] }
	}
	return func(i int) driver.Value { return d[c.Offsets[i]:c.Offsets[i+1]] }
}

func widen(d []uint8) []uint16 {
	out := make([]uint16, len(d))
	for i, v := range d {
		out[i] = uint16(v)
	}
	return out
}
