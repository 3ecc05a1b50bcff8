// Package label decides what labels mean: which predictions a label is about, which of several labels of a prediction
// counts, how late labels come, and when the metrics of a window are final. It is the definition that the evaluation
// store's SQL is checked against.
//
// The package is pure: rows and labels in, decisions out. Nothing depends on what arrived first.
package label

import (
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Row is a prediction as far as labels are concerned.
type Row struct {
	ID     string
	Key    string // entity key; "" where the client gave none
	Time   time.Time
	Shadow bool // its answer reached nobody: it gets the labels of the prediction it is a copy of
}

// Label is a label with its place in the log.
type Label struct {
	fairlead.Label
	Seq int64
}

// Supersedes says that l takes the place of o: it was received later, or at the same moment and stands later in the log.
func (l Label) Supersedes(o Label) bool {
	if !l.Received.Equal(o.Received) {
		return l.Received.After(o.Received)
	}
	return l.Seq > o.Seq
}

// About lists the rows that a label is about, by index. A label with a prediction's id is about every row of that id. One
// with an entity key is about the latest prediction of the entity at or before its time, or about all of them, at most
// l.Join.Horizon() before; among predictions of the same moment the one with the greatest id is the latest. Copies that
// shadows made of a prediction go with it.
func About(l fairlead.Label, rows []Row) []int {
	if l.PredictionID != "" {
		return where(rows, func(r Row) bool { return r.ID == l.PredictionID })
	}
	near := func(r Row) bool {
		age := l.Time.Sub(r.Time)
		return !r.Shadow && r.Key == l.Key && age >= 0 && age <= l.Join.Horizon()
	}
	type prediction struct {
		id string
		at int64
	}
	chosen := map[prediction]bool{}
	var latest *Row
	for i := range rows {
		r := &rows[i]
		if !near(*r) {
			continue
		}
		if l.Join.All {
			chosen[prediction{r.ID, r.Time.UnixMicro()}] = true
		}
		if latest == nil || r.Time.After(latest.Time) || r.Time.Equal(latest.Time) && r.ID > latest.ID {
			latest = r
		}
	}
	if latest != nil && !l.Join.All {
		chosen[prediction{latest.ID, latest.Time.UnixMicro()}] = true
	}
	return where(rows, func(r Row) bool { return chosen[prediction{r.ID, r.Time.UnixMicro()}] })
}

func where(rows []Row, fits func(Row) bool) []int {
	var out []int
	for i, r := range rows {
		if fits(r) {
			out = append(out, i)
		}
	}
	return out
}

// Outcomes gives each row the label that counts, nil where it has none: of those about it, the one that supersedes the
// others. Where that takes back (its value is ""), the row has none.
func Outcomes(rows []Row, labels []Label) []*Label {
	out := make([]*Label, len(rows))
	for i := range labels {
		for _, r := range About(labels[i].Label, rows) {
			if out[r] == nil || labels[i].Supersedes(*out[r]) {
				out[r] = &labels[i]
			}
		}
	}
	for i, l := range out {
		if l != nil && l.Value == "" {
			out[i] = nil
		}
	}
	return out
}
