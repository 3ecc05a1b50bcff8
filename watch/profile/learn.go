package profile

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Options steer Learn.
type Options struct {
	// TimeColumn names the column with the event time. With it, and two weeks of data, a reference knows the phases
	// of the week. Empty, or absent from the table: no phases.
	TimeColumn string
	// Score names the output whose bins are to know the truth, and Label says of a row whether it was positive; known is
	// false where it has no label. nil: the reference has none.
	Score string
	Label func(row int) (positive, known bool)
	// Threshold of the decision: a score at or above it is positive.
	Threshold float64
	// Inputs of the model: of those that are wide tensors, such as images and embeddings, projections are counted that the table
	// has a column for, named like "image.mean".
	Inputs []fairlead.TensorSpec
}

// maxPhaseCells bounds the memory of the phases, 32 MiB; a model with more counters than that is compared with the
// whole reference.
const maxPhaseCells = 1 << 22

// Learn freezes the bins of every field that the table has and counts the table itself. Fields are found by name.
// Texts that hardly repeat are not counted by value, for nearly all live ones would be unseen: their Projections are.
// A field that is absent is skipped and named in Reference.Skipped.
//
// It fails with CodeInvalid for a table without rows, a table with none of the fields, a column of text for a numeric
// field, and a time column that holds no times.
func Learn(fields []fairlead.Field, t *fairlead.Table, opt Options) (*Reference, error) {
	if t.Rows == 0 {
		return nil, fairlead.Invalid("the reference has no rows").
			Hintf("give a sample of the data that the model was trained or evaluated on")
	}
	r := &Reference{Layout: &Layout{}, Rows: t.Rows}
	taken := func(name string) bool { return hasField(fields, name) || t.Column(name) != nil }
	for _, f := range fields {
		source := t.Column(f.Name)
		if source == nil {
			r.Skipped = append(r.Skipped, f.Name)
			continue
		}
		col, err := learnColumn(f, source, t.Rows)
		if err != nil {
			return nil, err
		}
		var more []Column
		if f.Type == fairlead.Bytes && col.vocab.open && len(col.keys) == 0 { // free text
			more = projectText(f, source, t.Rows, taken)
		}
		r.Layout.Columns = append(append(r.Layout.Columns, col), more...)
	}
	wide, err := projectTensors(opt.Inputs, t, func(name string) bool { return hasField(fields, name) })
	if err != nil {
		return nil, err
	}
	r.Layout.Columns = append(r.Layout.Columns, wide...)
	if len(r.Layout.Columns) == 0 && len(fields) > 0 {
		return nil, fairlead.Invalid("the reference has none of the model's columns: expected %s, found %s",
			strings.Join(r.Skipped, ", "), strings.Join(t.Names(), ", ")).
			Hintf("name the reference's columns like the model's features and outputs")
	}
	times, err := timesOf(t, opt.TimeColumn)
	if err != nil {
		return nil, err
	}
	r.Layout.seal()
	r.count(t, times)
	r.learnTruth(t, opt)
	return r, nil
}

func hasField(fields []fairlead.Field, name string) bool {
	return slices.ContainsFunc(fields, func(f fairlead.Field) bool { return f.Name == name })
}

func timesOf(t *fairlead.Table, name string) (*fairlead.TableColumn, error) {
	if name == "" {
		return nil, nil
	}
	c := t.Column(name)
	if c != nil && c.Times == nil {
		return nil, fairlead.Invalid("column %q of the reference should hold the event time but holds %s", name, holds(c)).
			Hintf("store it as a timestamp")
	}
	return c, nil
}

// holds names what is in a column, for messages.
func holds(c *fairlead.TableColumn) string {
	switch {
	case c.Strings != nil:
		return "text"
	case c.Times != nil:
		return "times"
	}
	return "numbers"
}

func learnColumn(f fairlead.Field, source *fairlead.TableColumn, rows int) (Column, error) {
	col := Column{Name: f.Name, Output: f.Output, Field: f}
	if source.Times != nil || f.Type != fairlead.Bytes && source.Strings != nil {
		return col, fairlead.Invalid("column %q of the reference holds %s, but the model's %q is %s",
			source.Name, holds(source), f.Tensor, f.Type).
			Hintf("give the values that the model is fed with, before any encoding inside the model")
	}
	if f.Type == fairlead.Bytes {
		col.learnText(source, rows)
		return col, nil
	}
	values := make([]float64, 0, rows)
	for i := range rows {
		if v, ok := number(source, i, f.Type); ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	col.learnNumbers(values)
	return col, nil
}

func (c *Column) learnNumbers(values []float64) {
	distinct := tallies(values)
	c.unit = 1
	if len(distinct) > 0 {
		c.unit = resolution(distinct)
	}
	if len(distinct) <= fewValues {
		c.Kind = Categorical
		for _, d := range distinct {
			c.values = append(c.values, d.value)
		}
		return
	}
	c.Kind = Numeric
	c.edges, c.atoms = cut(distinct, c.Field.Type)
	fine := make([]uint64, len(c.atoms))
	j := 0
	for _, d := range distinct {
		for d.value >= c.edges[j+1] {
			j++
		}
		fine[j] += uint64(d.rows)
	}
	c.alert = alertEdges(fine)
}

func (c *Column) learnText(source *fairlead.TableColumn, rows int) {
	c.Kind = Categorical
	seen := map[string]int{}
	for i := range rows {
		if s, ok := text(source, i); ok {
			seen[key(s)]++
		}
	}
	if free(seen) {
		c.vocab = &vocabulary{open: true}
		return
	}
	keys := ranked(seen)
	own := min(len(keys), ownCategories)
	c.keys = keys[:own:own]
	c.vocab = newVocabulary(keys[own:])
}

// number is a cell as a value of the field's type; false for a null.
func number(source *fairlead.TableColumn, row int, t fairlead.DataType) (float64, bool) {
	if source.Floats == nil || source.IsNull(row) {
		return 0, false
	}
	return round(source.Floats[row], t), true
}

// text is a cell as text; false for a null. A number is written in its shortest form.
func text(source *fairlead.TableColumn, row int) (string, bool) {
	switch {
	case source.IsNull(row):
		return "", false
	case source.Strings != nil:
		return source.Strings[row], true
	case source.Floats != nil && !math.IsNaN(source.Floats[row]):
		return strconv.FormatFloat(source.Floats[row], 'f', -1, 64), true
	}
	return "", false
}

// count fills the totals and, with two weeks of event times, the phases.
func (r *Reference) count(t *fairlead.Table, times *fairlead.TableColumn) {
	r.Total = NewCounts(r.Layout)
	r.Total.AddTable(r.Layout, t, 0, t.Rows)
	if times == nil {
		return
	}
	var phases [hoursOfWeek][]int
	for i := range t.Rows {
		at := times.Times[i]
		if times.IsNull(i) || at.IsZero() {
			continue
		}
		at = at.UTC()
		if r.From.IsZero() || at.Before(r.From) {
			r.From = at
		}
		if at.After(r.To) {
			r.To = at
		}
		h := hourOfWeek(at)
		phases[h] = append(phases[h], i)
	}
	if r.To.Sub(r.From) < minPhaseSpan || r.Layout.cells()*hoursOfWeek > maxPhaseCells {
		return
	}
	r.Phases = make([]*Counts, hoursOfWeek)
	for h, rows := range phases {
		if len(rows) > 0 {
			r.Phases[h] = NewCounts(r.Layout)
			r.Phases[h].addRows(r.Layout, t, rows)
		}
	}
}

const (
	hoursOfWeek  = 7 * 24
	minPhaseSpan = 14 * 24 * time.Hour
)

// hourOfWeek counts the hours since Monday 00:00 UTC.
func hourOfWeek(t time.Time) int {
	t = t.UTC()
	return (int(t.Weekday())+6)%7*24 + t.Hour()
}
