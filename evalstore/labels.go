package evalstore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	truth "github.com/fairlead-ml/fairlead/learn/label"
)

type labelRow = truth.Label

// ingestLabels appends the labels to the history and gives each one that is the latest to its rows, as package learn/label
// defines.
func (t *tx) ingestLabels(msgs messages) error {
	var all []labelRow
	for _, m := range msgs {
		if m.err != nil {
			if err := t.reject(m.Message, m.err); err != nil {
				return err
			}
			continue
		}
		all = append(all, m.labels...)
	}
	if err := t.appendLabels("", "labels", all); err != nil {
		return err
	}
	latest, spans := latestLabels(all)
	hours := make(hourCounts)
	var rest []*labelSpan
	for _, s := range spans {
		done, err := t.matchNew(s, hours)
		if err != nil {
			return err
		}
		if !done {
			rest = append(rest, s)
		}
	}
	if len(rest) > 0 {
		if err := t.matchLabels(latest, rest, hours); err != nil {
			return err
		}
	}
	return t.countHours(hours)
}

// matchLabels gives the labels of these spans to their rows, which may have had others.
func (t *tx) matchLabels(labels []labelRow, spans []*labelSpan, hours hourCounts) error {
	if err := t.clear("batch_labels", "matched"); err != nil {
		return err
	}
	wanted := make(map[fairlead.Name]bool)
	for _, s := range spans {
		wanted[s.deployment] = true
	}
	labels = slices.DeleteFunc(slices.Clone(labels), func(l labelRow) bool { return !wanted[l.Deployment] })
	if err := t.appendLabels("temp", "batch_labels", labels); err != nil {
		return err
	}
	for _, s := range spans {
		rt, err := t.loadTable(s.deployment)
		if err != nil {
			return err
		}
		if rt == nil {
			continue // labels may come before the first row
		}
		if s.ids.any {
			if err := t.matchByID(s); err != nil {
				return err
			}
		}
		if s.keys.any {
			if err := t.matchByKey(s); err != nil {
				return err
			}
		}
	}
	return t.applyMatched(hours)
}

// matchNew does the same for labels of which nothing was said before, without the tables in between that the others need:
// one for each id, none that takes back, and no row in the range of their ids that has a label. It says whether it did.
func (t *tx) matchNew(s *labelSpan, hours hourCounts) (done bool, err error) {
	if s.keys.any || s.again || s.retracts {
		return false, nil
	}
	rt, err := t.loadTable(s.deployment)
	if err != nil || rt == nil {
		return rt == nil, err
	}
	var before bool
	err = t.s.conn.QueryRowContext(t.ctx, `SELECT EXISTS (SELECT 1 FROM outcomes WHERE deployment = ? AND prediction_id BETWEEN ? AND ?)
		OR EXISTS (SELECT 1 FROM retracted WHERE deployment = ?)`, string(s.deployment), s.ids.lo, s.ids.hi, string(s.deployment)).Scan(&before)
	if err != nil {
		return false, fmt.Errorf("look for outcomes: %w", err)
	}
	if before {
		return false, nil
	}
	rows, err := t.rowsIn(s.deployment, rowSpan{ids: s.ids})
	if err != nil {
		return false, err
	}
	n, err := t.exec(`INSERT INTO outcomes `+outcome+`FROM `+rows+` r JOIN labels l USING (prediction_id)
		WHERE l.seq BETWEEN ? AND ? AND l.deployment = ? AND r.prediction_id BETWEEN ? AND ?`,
		s.from, s.to, string(s.deployment), s.ids.lo, s.ids.hi)
	if err != nil || n == 0 {
		return err == nil, err
	}
	return true, t.countOutcomes(hours, `SELECT deployment, version, role, date_trunc('hour', event_time), count(*)
		FROM outcomes WHERE label_seq BETWEEN ? AND ? AND deployment = ? GROUP BY ALL`, s.from, s.to, string(s.deployment))
}

// outcome makes a row of the table outcomes of labels l and rows r.
const outcome = `
	SELECT l.deployment, r.version, r.role, r.seq, r.prediction_id, r.event_time, r.score, r.predicted,
		l.value, l.time, l.received, l.seq `

// intoMatched begins a statement that gives labels l to rows r.
const intoMatched = `INSERT INTO temp.matched ` + outcome

func (t *tx) matchByID(s *labelSpan) error {
	rows, err := t.rowsIn(s.deployment, rowSpan{ids: s.ids})
	if err != nil {
		return err
	}
	_, err = t.exec(intoMatched+`FROM `+rows+` r JOIN temp.batch_labels l USING (prediction_id)
		WHERE l.deployment = ? AND l.key IS NULL AND r.prediction_id BETWEEN ? AND ?`, string(s.deployment), s.ids.lo, s.ids.hi)
	return err
}

// rowsOf is the relation of a deployment's rows; rowsIn is the same for a part of them, and faster.
func rowsOf(d fairlead.Name) string { return `rows.` + quote(string(d)) }

// labelSpan is what limits the search for the rows of some labels of one deployment.
type labelSpan struct {
	deployment  fairlead.Name
	ids, keys   idRange
	first, last time.Time     // of those by key
	reach       time.Duration // the longest horizon of those
	from, to    int64         // of their seq
	again       bool          // some id has several
	retracts    bool          // some take back
}

func (s *labelSpan) add(l labelRow) {
	if s.from == 0 {
		s.from = l.Seq
	}
	s.to = l.Seq // they come in order
	s.retracts = s.retracts || l.Value == ""
	if l.Key == "" {
		s.ids.add(l.PredictionID)
		return
	}
	if !s.keys.any || l.Time.Before(s.first) {
		s.first = l.Time
	}
	if l.Time.After(s.last) {
		s.last = l.Time
	}
	s.keys.add(l.Key)
	s.reach = max(s.reach, l.Join.Horizon())
}

func decodeLabels(m eventlog.Message) ([]labelRow, error) {
	labels, err := eventlog.DecodeLabels(m.Data)
	if err != nil {
		return nil, err
	}
	if len(labels) >= 1<<seqBits {
		return nil, fairlead.Invalid("a message holds fewer than %d labels, this one has %d", 1<<seqBits, len(labels))
	}
	out := make([]labelRow, len(labels))
	for i, l := range labels {
		if l.Received.IsZero() {
			l.Received = m.Time
		}
		if l.Time.IsZero() {
			l.Time = l.Received
		}
		l.Received, l.Time = l.Received.Truncate(time.Microsecond), l.Time.Truncate(time.Microsecond)
		if err := errors.Join(checkTime(l.Time), checkTime(l.Received)); err != nil {
			return nil, fmt.Errorf("label %d: %w", i, err)
		}
		l.PredictionID, l.Key, l.Value = text(l.PredictionID), text(l.Key), text(l.Value)
		l.Deployment = fairlead.Name(text(string(l.Deployment)))
		out[i] = labelRow{Label: l, Seq: int64(m.Seq<<seqBits) + int64(i)}
	}
	return out, nil
}

// latestLabels keeps one label for each prediction id and all of those by key, and says where their rows may be, both in a
// fixed order.
func latestLabels(all []labelRow) ([]labelRow, []*labelSpan) {
	if ascending(all) {
		return all, spansOf(all, nil)
	}
	type key struct {
		d  fairlead.Name
		id string
	}
	at := make(map[key]int, len(all))
	again := make(map[fairlead.Name]bool)
	latest := make([]labelRow, 0, len(all))
	for _, l := range all {
		if l.Key != "" {
			latest = append(latest, l)
			continue
		}
		k := key{l.Deployment, l.PredictionID}
		i, ok := at[k]
		if !ok {
			at[k] = len(latest)
			latest = append(latest, l)
			continue
		}
		again[l.Deployment] = true
		if l.Supersedes(latest[i]) {
			latest[i] = l
		}
	}
	slices.SortFunc(latest, func(a, b labelRow) int { return cmp.Compare(a.Seq, b.Seq) })
	return latest, spansOf(latest, again)
}

// ascending says that these are labels of one deployment by ids that grow, as those of a file often are: none is there twice.
func ascending(all []labelRow) bool {
	for i := range all {
		if all[i].Key != "" || i > 0 && (all[i].Deployment != all[i-1].Deployment || all[i].PredictionID <= all[i-1].PredictionID) {
			return false
		}
	}
	return true
}

func spansOf(latest []labelRow, again map[fairlead.Name]bool) []*labelSpan {
	var spans []*labelSpan
	byName := make(map[fairlead.Name]*labelSpan)
	for _, l := range latest {
		s := byName[l.Deployment]
		if s == nil {
			s = &labelSpan{deployment: l.Deployment, again: again[l.Deployment]}
			byName[l.Deployment], spans = s, append(spans, s)
		}
		s.add(l)
	}
	return spans
}

func (t *tx) appendLabels(catalog, table string, labels []labelRow) error {
	n := len(labels)
	deployment, all := make([]fairlead.Name, n), make([]bool, n)
	at, received, seq, within := make([]time.Time, n), make([]time.Time, n), make([]int64, n), make([]int64, n)
	for i, l := range labels {
		deployment[i], all[i] = l.Deployment, l.Join.All
		at[i], received[i], seq[i], within[i] = l.Time, l.Received, l.Seq, l.Join.Horizon().Microseconds()
	}
	byID := func(i int) bool { return labels[i].Key == "" }
	return t.appendChunks(catalog, "main", table, func(w *chunkWriter) error {
		return w.write(n, []cells{
			texts(deployment), textsOrNull(func(i int) string { return labels[i].PredictionID }),
			textsOrNull(func(i int) string { return labels[i].Value }), times(at), times(received), numbers(seq),
			textsOrNull(func(i int) string { return labels[i].Key }), unlessNull(numbers(all), byID), unlessNull(numbers(within), byID),
		})
	})
}

// labelHistory has every label ever received, in the order in which they count.
const labelHistory = `CREATE OR REPLACE VIEW label_history AS
	SELECT deployment, prediction_id, key, value, value IS NULL AS retracted, time, received,
		row_number() OVER earlier AS revision, lag(value) OVER earlier AS previous, lead(seq) OVER earlier IS NULL AS latest
	FROM labels
	WINDOW earlier AS (PARTITION BY deployment, prediction_id, key, CASE WHEN key IS NOT NULL THEN time END ORDER BY received, seq)`
