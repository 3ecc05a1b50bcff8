package evalstore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

type labelRow struct {
	fairlead.Label
	seq int64
}

// later says that l takes the place of o: it was received later, or at the same moment and stands later in the log.
func (l labelRow) later(o labelRow) bool {
	if !l.Received.Equal(o.Received) {
		return l.Received.After(o.Received)
	}
	return l.seq > o.seq
}

// ingestLabels appends the labels to the history and gives each one that is the latest to its rows.
func (t *tx) ingestLabels(msgs []eventlog.Message) error {
	var all []labelRow
	for _, m := range msgs {
		labels, err := decodeLabels(m)
		if err != nil {
			if err := t.reject(m, err); err != nil {
				return err
			}
			continue
		}
		all = append(all, labels...)
	}
	if err := t.appendLabels("", "labels", all); err != nil {
		return err
	}
	latest, deployments := latestLabels(all)
	if err := t.clear("batch_labels", "matched", "existing"); err != nil {
		return err
	}
	if err := t.appendLabels("temp", "batch_labels", latest); err != nil {
		return err
	}
	for _, d := range deployments {
		rt, err := t.loadTable(d)
		if err != nil {
			return err
		}
		if rt == nil {
			continue // labels may come before the first row
		}
		var ids idRange
		for _, l := range latest {
			if l.Deployment == d {
				ids.add(l.PredictionID)
			}
		}
		if _, err := t.exec(`
			INSERT INTO temp.matched
			SELECT l.deployment, r.version, r.role, r.seq, r.prediction_id, r.event_time, r.score, r.predicted,
				l.value, l.time, l.received, l.seq
			FROM rows.`+quote(string(d))+` r JOIN temp.batch_labels l USING (prediction_id)
			WHERE l.deployment = ? AND r.prediction_id BETWEEN ? AND ?`, string(d), ids.lo, ids.hi); err != nil {
			return err
		}
	}
	if _, err := t.exec(`
		INSERT INTO temp.existing
		SELECT o.seq, o.label_received, o.label_seq FROM outcomes o JOIN temp.matched m USING (seq)`); err != nil {
		return err
	}
	hours := make(hourCounts)
	if err := t.applyMatched(hours); err != nil {
		return err
	}
	return t.countHours(hours)
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
		l.PredictionID, l.Value = text(l.PredictionID), text(l.Value)
		l.Deployment = fairlead.Name(text(string(l.Deployment)))
		out[i] = labelRow{l, int64(m.Seq<<seqBits) + int64(i)}
	}
	return out, nil
}

// latestLabels keeps one label for each prediction and lists the deployments, both in a fixed order.
func latestLabels(all []labelRow) ([]labelRow, []fairlead.Name) {
	type key struct {
		d  fairlead.Name
		id string
	}
	at := make(map[key]int, len(all))
	var latest []labelRow
	var deployments []fairlead.Name
	for _, l := range all {
		k := key{l.Deployment, l.PredictionID}
		i, ok := at[k]
		switch {
		case !ok:
			at[k] = len(latest)
			latest = append(latest, l)
			if !slices.Contains(deployments, l.Deployment) {
				deployments = append(deployments, l.Deployment)
			}
		case l.later(latest[i]):
			latest[i] = l
		}
	}
	slices.SortFunc(latest, func(a, b labelRow) int { return cmp.Compare(a.seq, b.seq) })
	return latest, deployments
}

func (t *tx) appendLabels(catalog, table string, labels []labelRow) error {
	n := len(labels)
	deployment, id, value := make([]fairlead.Name, n), make([]string, n), make([]string, n)
	at, received, seq := make([]time.Time, n), make([]time.Time, n), make([]int64, n)
	for i, l := range labels {
		deployment[i], id[i], value[i] = l.Deployment, l.PredictionID, l.Value
		at[i], received[i], seq[i] = l.Time, l.Received, l.seq
	}
	return t.appendChunks(catalog, "main", table, func(w *chunkWriter) error {
		return w.write(n, []cells{texts(deployment), texts(id), texts(value), times(at), times(received), numbers(seq)})
	})
}
