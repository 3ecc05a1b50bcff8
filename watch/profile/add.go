package profile

import (
	"math"

	"github.com/fairlead-ml/fairlead"
)

// Add counts those rows of a prediction, column by column; nil means all rows. A column whose tensor is absent or too
// small counts as null. The layout must be the one of NewCounts.
func (c *Counts) Add(l *Layout, p *fairlead.Prediction, rows []int) {
	n := len(rows)
	if rows == nil {
		n = len(p.Rows)
	}
	c.N += uint64(n)
	var projections projector
	for i := range l.Columns {
		col := &l.Columns[i]
		tensors := p.Inputs
		if col.Output {
			tensors = p.Outputs
		}
		t := fairlead.Find(tensors, col.Field.Tensor)
		counted := false
		if col.Projection != "" {
			counted = projections.add(&c.Columns[i], col, t, rows, len(p.Rows))
		} else {
			counted = c.Columns[i].addTensor(col, t, rows, len(p.Rows))
		}
		if !counted {
			c.Columns[i].Null += uint64(n)
		}
	}
}

// addTensor counts one column of a tensor of n rows; false if the tensor has no such column.
func (c *ColumnCounts) addTensor(col *Column, t *fairlead.Tensor, rows []int, n int) bool {
	if t == nil {
		return false
	}
	width := t.Width()
	if col.Field.Index >= width || t.Len() < n*width {
		return false
	}
	v := view{rows: rows, n: n, width: width, index: col.Field.Index}
	if data, ok := t.Data.([]string); ok {
		if col.ranker != nil {
			return false
		}
		for i := range v.len() {
			c.addText(col, data[v.at(i)])
		}
		return true
	}
	if col.ranker == nil {
		return false
	}
	r := col.ranker()
	switch data := t.Data.(type) {
	case []float32:
		addNumbers(c, r, data, v)
	case []float64:
		addNumbers(c, r, data, v)
	case []int64:
		addNumbers(c, r, data, v)
	case []int32:
		addNumbers(c, r, data, v)
	case []int16:
		addNumbers(c, r, data, v)
	case []int8:
		addNumbers(c, r, data, v)
	case []uint64:
		addNumbers(c, r, data, v)
	case []uint32:
		addNumbers(c, r, data, v)
	case []uint8:
		addNumbers(c, r, data, v)
	default: // booleans, uint16 and half floats, which share []uint16
		for i := range v.len() {
			x, _ := t.Float(v.at(i))
			c.addNumber(r, x)
		}
	}
	return true
}

// view picks a column's elements out of a row-major tensor.
type view struct {
	rows            []int // nil: all n
	n, width, index int
}

func (v *view) len() int {
	if v.rows != nil {
		return len(v.rows)
	}
	return v.n
}

func (v *view) at(i int) int {
	if v.rows != nil {
		i = v.rows[i]
	}
	return i*v.width + v.index
}

type scalar interface {
	float32 | float64 | int64 | int32 | int16 | int8 | uint64 | uint32 | uint8
}

// addNumbers counts a column of numbers in batches.
func addNumbers[T scalar](c *ColumnCounts, r *ranker, data []T, v view) {
	for n, from := v.len(), 0; from < n; from += batchRows {
		b := c.moments.batch()
		if floats, ok := any(data).([]float32); ok && r.edges32 != nil {
			addNarrow(c, r, floats, &v, from, min(from+batchRows, n), &b)
		} else {
			for i := from; i < min(from+batchRows, n); i++ {
				x := float64(data[v.at(i)])
				if j, finite := r.rank(x); finite {
					c.Slots[r.slot[j]]++
					b.add(x)
				} else {
					c.addSpecial(x)
				}
			}
		}
		c.moments.addBatch(&b)
	}
}

// addNarrow is the inner loop for the usual case, float32 values and edges: rank32 and batch.add, spelt out so that
// the sums stay in registers.
func addNarrow(c *ColumnCounts, r *ranker, data []float32, v *view, from, to int, sums *batch) {
	table, edges, slot, shift, slots := r.table, r.edges32, r.slot, r.shift&31, c.Slots
	b := *sums
	for i := from; i < to; i++ {
		x := data[v.at(i)]
		j := table[math.Float32bits(x)>>shift]
		if j == slowPath {
			rank, finite := r.slow(float64(x))
			if !finite {
				c.addSpecial(float64(x))
				continue
			}
			j = rank
		}
		for x >= edges[j] {
			j++
		}
		slots[slot[j]]++
		b.add(float64(x))
	}
	*sums = b
}

func (c *ColumnCounts) addNumber(r *ranker, x float64) {
	j, finite := r.rank(x)
	if !finite {
		c.addSpecial(x)
		return
	}
	c.Slots[r.slot[j]]++
	b := c.moments.batch()
	b.add(x)
	c.moments.addBatch(&b)
}

func (c *ColumnCounts) addSpecial(x float64) {
	switch {
	case x > 0:
		c.PosInf++
	case x < 0:
		c.NegInf++
	default:
		c.NaN++
	}
}

func (c *ColumnCounts) addText(col *Column, s string) { c.Slots[col.textSlot(s)]++ }

// AddTable counts the rows from ≤ i < to of a table, by column name; a column that the table lacks counts as null, as
// does one of the wrong kind. In a column of floats a null counts as NaN, because that is how a missing number reaches
// a model: a tensor has no null.
func (c *Counts) AddTable(l *Layout, t *fairlead.Table, from, to int) {
	rows := make([]int, 0, max(to-from, 0))
	for i := from; i < to; i++ {
		rows = append(rows, i)
	}
	c.addRows(l, t, rows)
}

func (c *Counts) addRows(l *Layout, t *fairlead.Table, rows []int) {
	c.N += uint64(len(rows))
	for i := range l.Columns {
		col, cc := &l.Columns[i], &c.Columns[i]
		if col.Projection != "" {
			if !cc.addProjected(col, t, rows) {
				cc.Null += uint64(len(rows))
			}
			continue
		}
		source := t.Column(col.Name)
		if source == nil {
			cc.Null += uint64(len(rows))
			continue
		}
		if col.ranker == nil {
			cc.addTexts(col, source, rows)
		} else {
			cc.addCells(col, source, rows)
		}
	}
}

func (c *ColumnCounts) addTexts(col *Column, source *fairlead.TableColumn, rows []int) {
	for _, row := range rows {
		if s, ok := text(source, row); ok {
			c.addText(col, s)
		} else {
			c.Null++
		}
	}
}

func (c *ColumnCounts) addCells(col *Column, source *fairlead.TableColumn, rows []int) {
	r := col.ranker()
	for _, row := range rows {
		x, ok := number(source, row, col.Field.Type)
		switch {
		case !ok && isFloat(col.Field.Type):
			c.NaN++
		case !ok:
			c.Null++
		default:
			c.addNumber(r, x)
		}
	}
}
