package evalstore

import (
	"cmp"
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// rowBatch is the rows of one message on their way into a table.
type rowBatch struct {
	*eventlog.Rows
	first int64 // seq of row 0
	place []int // see tx.rowTable
}

// ingestRows appends the rows, joins those whose label or events came before them, and counts them.
func (t *tx) ingestRows(msgs messages) error {
	batches := make(map[fairlead.Name][]rowBatch)
	var order []fairlead.Name
	var counts []counted
	for _, m := range msgs {
		rows, err := m.rows, m.err
		if err != nil {
			if err := t.reject(m.Message, err); err != nil {
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
		if rows.Counts != nil {
			counts = append(counts, counted{b.first, rows.Counts})
		}
	}
	hours := make(hourCounts)
	if err := t.appendProfiles(counts, hours); err != nil {
		return err
	}
	for _, d := range order {
		if err := t.appendRows(d, batches[d]); err != nil {
			return err
		}
		for _, b := range batches[d] {
			hours.countRows(b.Rows)
		}
		if err := t.matchEarlyLabels(d, batches[d], hours); err != nil {
			return err
		}
		if err := t.matchEarlyKeyLabels(d, batches[d], hours); err != nil {
			return err
		}
		if err := t.matchEarlyEvents(d, batches[d]); err != nil {
			return err
		}
	}
	return t.countHours(hours)
}

func decodeRows(m eventlog.Message, known *handed) (rows *eventlog.Rows, err error) {
	if IsBulk(m) {
		rows = known.take(m.ID)
	}
	if rows == nil {
		if rows, err = eventlog.DecodePredictions(m.Data); err != nil {
			return nil, err
		}
	}
	for i, at := range rows.Received {
		if at.IsZero() { // past predictions: a message of a file's rows does not depend on when it is sent
			rows.Received[i] = m.Time
		}
	}
	return rows, checkRows(rows)
}

// matchEarlyLabels gives the rows of this transaction the labels that came before them; the latest one counts where
// there are several. Most batches have none, and are done with one look at the labels' ids.
func (t *tx) matchEarlyLabels(d fairlead.Name, batches []rowBatch, hours hourCounts) error {
	var ids idRange
	for _, b := range batches {
		ids.add(b.ID...)
	}
	var any bool
	err := t.s.conn.QueryRowContext(t.ctx, `SELECT EXISTS (SELECT 1 FROM labels WHERE deployment = ? AND prediction_id BETWEEN ? AND ?)`,
		string(d), ids.lo, ids.hi).Scan(&any)
	if err != nil {
		return fmt.Errorf("look for labels: %w", err)
	}
	if !any {
		return nil
	}
	last := batches[len(batches)-1]
	if err := t.clear("matched"); err != nil {
		return err
	}
	n, err := t.exec(`
		INSERT INTO temp.matched
		SELECT l.deployment, r.version, r.role, r.seq, r.prediction_id, r.event_time, r.score, r.predicted,
			l.value, l.time, l.received, l.seq
		FROM `+hotOf(d)+` r JOIN labels l USING (prediction_id)
		WHERE r.seq BETWEEN ? AND ? AND l.deployment = ? AND l.prediction_id BETWEEN ? AND ?
		QUALIFY row_number() OVER (PARTITION BY r.seq ORDER BY l.received DESC, l.seq DESC) = 1`,
		batches[0].first, last.first+int64(last.N)-1, string(d), ids.lo, ids.hi)
	if err != nil || n == 0 {
		return err
	}
	return t.applyMatched(hours)
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
		if err := cmp.Or(checkTime(r.EventTime[i]), checkTime(r.Received[i])); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
	}
	for _, d := range r.Counts {
		if err := checkTime(d.Minute); err != nil {
			return fmt.Errorf("counts: %w", err)
		}
	}
	return nil
}

func (t *tx) appendRows(d fairlead.Name, batches []rowBatch) error {
	rt := t.s.tables[d]
	source := &rowSource{}
	for i := range batches {
		part := rowPart{batches[i].N, batches[i].cells(rt)}
		source.parts = append(source.parts, part)
		source.rows += part.n
	}
	if source.rows >= t.s.parallel {
		var err error
		if source.columns, err = rt.columnInfos(); err != nil {
			return err
		}
		if source.columns != nil {
			return t.appendParallel(hotOf(d), source)
		}
	}
	return t.appendChunks("", "hot", string(d), func(w *chunkWriter) error {
		for _, p := range source.parts {
			if err := w.write(p.n, p.columns); err != nil {
				return err
			}
		}
		return nil
	})
}

// cells gives the values of all columns of the table.
func (b *rowBatch) cells(rt *rowTable) []cells {
	columns := append(make([]cells, 0, len(systemColumns)+len(rt.columns)), b.systemCells()...)
	columns = columns[:cap(columns)]
	for c := range b.Columns {
		if p := b.place[c]; p >= 0 {
			columns[len(systemColumns)+p] = columnCells(&b.Columns[c])
		}
	}
	return columns
}

// systemCells gives the systemColumns.
func (b *rowBatch) systemCells() []cells {
	seq, latency, score := make([]int64, b.N), make([]int64, b.N), make([]float64, b.N)
	noScore := make([]bool, b.N)
	for i := range b.N {
		seq[i], latency[i] = b.first+int64(i), int64(b.Latency[i]/time.Microsecond)
		s, ok := b.ScoreAt(i)
		score[i], noScore[i] = s, !ok
	}
	return []cells{
		numbers(seq), texts(b.ID), texts(b.Request), times(b.EventTime), times(b.Received), same(int32(b.Version)),
		texts(b.Role), textsOrNull(func(i int) string { return b.Variant[i] }),
		textsOrNull(func(i int) string { return b.Key[i] }), textMaps(b.Tags), numbers(latency), numbers(b.Cached),
		unlessNull(numbers(score), func(i int) bool { return noScore[i] }), textsOrNull(b.PredictedAt), b.probabilities(),
	}
}

// probabilities are those with which the rows were chosen.
func (b *rowBatch) probabilities() cells {
	if b.Probability != nil {
		return numbers(b.Probability)
	}
	return same(1.0)
}
