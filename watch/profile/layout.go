// Package profile counts the values of a model's inputs and outputs over bins that were frozen at the reference.
//
// Learn looks at reference data once and fixes a Layout: for each column its bins. From then on a window of live
// traffic is a Counts, nothing but integers that are added. Counts of goroutines, replicas, minutes and hours merge in
// any order and grouping to the same bytes. A Reference holds the layout and the reference's own counts, in total and
// by hour of the week, so that a window can be compared with the same phase of the week.
//
// The package is pure: no clock, no I/O, no goroutines.
package profile

import (
	"hash/crc32"
	"sync"

	"github.com/fairlead-ml/fairlead"
)

// Kind is how a column is binned.
type Kind string

// Kinds of columns.
const (
	Numeric     Kind = "numeric"     // ordered bins
	Categorical Kind = "categorical" // one bin per frequent value
)

// Limits of a layout.
const (
	fineBins      = 64     // quantile bins of a numeric column; a value holding more than 1/64 gets its own
	alertBins     = 10     // unions of fine bins that enter the scores
	fewValues     = 20     // numeric columns with at most so many distinct values are categorical
	ownCategories = 100    // most frequent categories with a bin of their own
	exactKeys     = 10_000 // up to here the vocabulary is kept word by word
	hashedKeys    = 200_000
)

// Column is one profiled column with frozen bins.
//
// A numeric column has edges e₀ < … < e_B: fine bin j is [eⱼ₋₁, eⱼ), values under e₀ are "under" the reference, values
// from e_B on "over" it, e_B being the successor of the reference's maximum. A categorical column has one bin per
// category, then other (in the reference's vocabulary but without a bin) and unseen (not in it). A numeric column of
// few values is categorical by value.
type Column struct {
	Name   string
	Output bool
	Field  fairlead.Field
	Kind   Kind
	// Projection is what of a value is counted; "": the value. Field is then the text or tensor, with the type of the numbers.
	Projection Projection

	edges []float64 // numeric: B+1 fine edges
	atoms []bool    // numeric: fine bin j holds the single value edges[j]
	alert []int     // numeric: indices of edges at which alert bins begin and end; first 0, last B

	values []float64   // categorical by value: the categories, ascending
	keys   []string    // categorical: the categories, most frequent first
	vocab  *vocabulary // categorical: the rest of the reference's values

	unit float64 // resolution of the moments, a power of two; 0 for text

	ranker func() *ranker // numbers: value to slot; built when first asked for, since most readers never count
	slots  map[string]int // text: category to slot
}

// Layout is the frozen bins of a model version's columns. It is not changed after Learn or ParseReference and may be
// used by any number of goroutines. The zero Layout has no columns: a model without a reference counts its rows only.
type Layout struct {
	Columns []Column

	id uint32 // of its encoding; counts of another layout are refused
}

// byValue says that the column's categories are numbers.
func (c *Column) byValue() bool { return c.Kind == Categorical && c.Field.Type != fairlead.Bytes }

// categories is the number of categories with a bin of their own.
func (c *Column) categories() int {
	if c.byValue() {
		return len(c.values)
	}
	return len(c.keys)
}

// slotCount is the number of counters of a column besides null, NaN and the infinities: under, fine bins and over, or
// categories, other and unseen.
func (c *Column) slotCount() int {
	if c.Kind == Numeric {
		return len(c.edges) + 1
	}
	return c.categories() + 2
}

// isFloat says that the column's tensor can hold NaN and infinities.
func isFloat(t fairlead.DataType) bool {
	switch t {
	case fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64:
		return true
	}
	return false
}

// cells is the number of counters in one Counts of the layout.
func (l *Layout) cells() int {
	n := 0
	for i := range l.Columns {
		n += l.Columns[i].slotCount()
	}
	return n
}

// seal prepares the lookups and the layout's identity. It must be called once before the layout is used.
func (l *Layout) seal() {
	shift := prefixShift(len(l.Columns))
	for i := range l.Columns {
		c := &l.Columns[i]
		if c.Kind == Categorical && !c.byValue() {
			c.slots = make(map[string]int, len(c.keys))
			for i, k := range c.keys {
				c.slots[k] = i
			}
			continue
		}
		edges, values, numeric, t := c.edges, c.values, c.Kind == Numeric, c.Field.Type
		c.ranker = sync.OnceValue(func() *ranker {
			if numeric {
				return newRanker(edges, nil, isFloat32(t), shift)
			}
			edges, slots := valueEdges(values, t)
			return newRanker(edges, slots, isFloat32(t), shift)
		})
	}
	if len(l.Columns) > 0 {
		w := &writer{}
		l.encode(w)
		l.id = crc32.Checksum(w.b, castagnoli)
	}
}
