package profile

import (
	"math"

	"github.com/fairlead-ml/fairlead"
)

// Truth is what the reference's labels say of each slot of the score: how often it was right there. With it the counts of a
// window estimate the model's performance before there are labels (estimate.FromCounts).
type Truth struct {
	Column    int     // of the layout
	Threshold float64 // of the decision
	// By slot of the column (ColumnCounts.Slots): labelled rows, and of them those that are positive, that were predicted
	// to be, and that were predicted right.
	Rows, Positive, Predicted, Correct []uint64
}

// Slots are a window's counts of the score, as Truth counts.
func (t *Truth) Slots(c *Counts) []uint64 { return c.Columns[t.Column].Slots }

// learnTruth counts labelled rows by where their score lies.
func (r *Reference) learnTruth(t *fairlead.Table, opt Options) {
	source := t.Column(opt.Score)
	column := -1
	for i, c := range r.Layout.Columns {
		if c.Output && c.Name == opt.Score {
			column = i
		}
	}
	if opt.Label == nil || source == nil || source.Floats == nil || column < 0 {
		return
	}
	of := func(choose func(predicted, positive bool) bool) []uint64 {
		part := fairlead.TableColumn{Name: source.Name}
		for i, score := range source.Floats {
			positive, known := opt.Label(i)
			if known && !source.IsNull(i) && !math.IsNaN(score) && !math.IsInf(score, 0) && choose(score >= opt.Threshold, positive) {
				part.Floats = append(part.Floats, score)
			}
		}
		counts := NewCounts(r.Layout)
		counts.AddTable(r.Layout, &fairlead.Table{Rows: len(part.Floats), Columns: []fairlead.TableColumn{part}}, 0, len(part.Floats))
		return counts.Columns[column].Slots
	}
	truth := &Truth{
		Column: column, Threshold: opt.Threshold,
		Rows:      of(func(bool, bool) bool { return true }),
		Positive:  of(func(_, positive bool) bool { return positive }),
		Predicted: of(func(predicted, _ bool) bool { return predicted }),
		Correct:   of(func(predicted, positive bool) bool { return predicted == positive }),
	}
	for _, n := range truth.Rows {
		if n > 0 {
			r.Truth = truth
			return
		}
	}
}

func (t *Truth) encode(w *writer) {
	w.uvarint(uint64(t.Column)) // #nosec G115 -- an index
	w.float(t.Threshold)
	for i := range t.Rows {
		w.uvarint(t.Rows[i])
		w.uvarint(t.Positive[i])
		w.uvarint(t.Predicted[i])
		w.uvarint(t.Correct[i])
	}
}

func decodeTruth(in *reader, r *Reference) *Truth {
	column := in.uvarint()
	if in.err == nil && column >= uint64(len(r.Layout.Columns)) {
		in.fail("its labels belong to column %d of %d", column, len(r.Layout.Columns))
	}
	t := &Truth{Threshold: in.float()}
	if in.err != nil {
		return nil
	}
	t.Column = int(column) // #nosec G115 -- below the number of columns
	seen := r.Total.Columns[t.Column].Slots
	n := len(seen)
	t.Rows, t.Positive, t.Predicted, t.Correct = make([]uint64, n), make([]uint64, n), make([]uint64, n), make([]uint64, n)
	for i := range n {
		t.Rows[i], t.Positive[i], t.Predicted[i], t.Correct[i] = in.uvarint(), in.uvarint(), in.uvarint(), in.uvarint()
		if in.err == nil && (t.Rows[i] > seen[i] || max(t.Positive[i], t.Predicted[i], t.Correct[i]) > t.Rows[i]) {
			in.fail("its labels contradict its counts")
		}
		if in.err != nil {
			return nil
		}
	}
	return t
}
