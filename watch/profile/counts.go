package profile

import (
	"math"
	"math/bits"

	"github.com/fairlead-ml/fairlead"
)

// Counts is one window: how many rows it has, and for each column how many of them fell where. All counters are
// integers, so merging is exact and independent of order and grouping; equal counts marshal to equal bytes. A Counts
// belongs to one goroutine.
type Counts struct {
	N       uint64
	Columns []ColumnCounts

	layout uint32 // id of the layout
}

// ColumnCounts counts the values of one column. Slots and the four specials add up to the window's rows: a prediction
// that lacks the column counts as null.
type ColumnCounts struct {
	Slots                     []uint64 // numeric: under, fine bins, over; categorical: categories, other, unseen
	Null, NaN, NegInf, PosInf uint64

	moments moments
}

// moments are the sums behind mean and spread, for display. They are kept in units of the column's resolution, as
// 128-bit integers, because sums of floats would depend on the order of addition.
type moments struct {
	unit     float64 // 0: text, no moments
	sum      wide
	squares  wide
	min, max float64 // min > max: no values
}

// wide is a 128-bit two's complement integer.
type wide struct {
	hi int64
	lo uint64
}

func (w *wide) add(o wide) {
	var carry uint64
	w.lo, carry = bits.Add64(w.lo, o.lo, 0)
	w.hi += o.hi + int64(carry)
}

func (w *wide) float() float64 {
	return float64(w.hi)*0x1p64 + float64(w.lo)
}

// momentLimit bounds a value in units: its square, and 2³³ of them, fit 128 bits, and 2¹⁵ of it fit 63.
const momentLimit = 1 << 47

func newMoments(unit float64) moments {
	return moments{unit: unit, min: math.Inf(1), max: math.Inf(-1)}
}

// batch sums the moments of at most batchRows values in registers before they are added up.
type batch struct {
	scale             float64 // units per value
	sum               int64
	high, low         uint64 // sum of squares
	smallest, largest float64
}

const batchRows = 1 << 15

func (m *moments) batch() batch {
	return batch{scale: 1 / m.unit, smallest: m.min, largest: m.max} // exact: unit is a power of two
}

// add counts one finite value.
func (b *batch) add(x float64) {
	if x < b.smallest {
		b.smallest = x
	}
	if x > b.largest {
		b.largest = x
	}
	x *= b.scale
	if x > momentLimit {
		x = momentLimit
	} else if x < -momentLimit {
		x = -momentLimit
	}
	d := int64(x)
	b.sum += d
	if d < 0 {
		d = -d
	}
	hi, lo := bits.Mul64(uint64(d), uint64(d))
	var carry uint64
	b.low, carry = bits.Add64(b.low, lo, 0)
	b.high += hi + carry
}

func (m *moments) addBatch(b *batch) {
	m.sum.add(wide{b.sum >> 63, uint64(b.sum)})
	m.squares.add(wide{int64(b.high), b.low})
	m.extend(b.smallest, b.largest)
}

func (m *moments) merge(o *moments) {
	m.sum.add(o.sum)
	m.squares.add(o.squares)
	m.extend(o.min, o.max)
}

// extend widens the range. Adding 0 makes −0 to 0, which would otherwise depend on which came first.
func (m *moments) extend(low, high float64) {
	m.min, m.max = min(m.min, low)+0, max(m.max, high)+0
}

// NewCounts makes an empty window of the layout.
func NewCounts(l *Layout) *Counts {
	c := &Counts{Columns: make([]ColumnCounts, len(l.Columns)), layout: l.id}
	cells := make([]uint64, l.cells()) // one block, so that columns lie side by side
	for i := range l.Columns {
		n := l.Columns[i].slotCount()
		c.Columns[i].Slots, cells = cells[:n:n], cells[n:]
		c.Columns[i].moments = newMoments(l.Columns[i].unit)
	}
	return c
}

// Merge adds o to c. Counts of another layout are refused with CodeInvalid and change nothing.
func (c *Counts) Merge(o *Counts) error {
	if c.layout != o.layout || len(c.Columns) != len(o.Columns) {
		return fairlead.Invalid("counts of two different layouts cannot be added").
			Hintf("only windows of one model version have the same bins")
	}
	c.N += o.N
	for i := range c.Columns {
		a, b := &c.Columns[i], &o.Columns[i]
		for j, n := range b.Slots {
			a.Slots[j] += n
		}
		a.Null += b.Null
		a.NaN += b.NaN
		a.NegInf += b.NegInf
		a.PosInf += b.PosInf
		a.moments.merge(&b.moments)
	}
	return nil
}

// rows is the number of rows the column counted.
func (c *ColumnCounts) rows() uint64 {
	return c.finite() + c.Null + c.NaN + c.NegInf + c.PosInf
}

// finite is the number of rows with an ordinary value.
func (c *ColumnCounts) finite() uint64 {
	var n uint64
	for _, s := range c.Slots {
		n += s
	}
	return n
}

// Mean is the mean of a column's finite values, false without any and for text. It is for display: values are counted
// in steps of 2⁻²⁷ of the reference's largest one and cut at a million times of it.
func (c *Counts) Mean(col int) (float64, bool) {
	cc := &c.Columns[col]
	n := cc.finite()
	if cc.moments.unit == 0 || n == 0 {
		return 0, false
	}
	return cc.moments.sum.float() * cc.moments.unit / float64(n), true
}

// Std is the population standard deviation of a column's finite values, under the terms of Mean.
func (c *Counts) Std(col int) (float64, bool) {
	cc := &c.Columns[col]
	n := float64(cc.finite())
	if cc.moments.unit == 0 || n == 0 {
		return 0, false
	}
	mean := cc.moments.sum.float() / n
	variance := cc.moments.squares.float()/n - mean*mean
	return math.Sqrt(max(variance, 0)) * cc.moments.unit, true
}

// Range is the smallest and the largest finite value of a column, false without any and for text.
func (c *Counts) Range(col int) (low, high float64, ok bool) {
	m := &c.Columns[col].moments
	return m.min, m.max, m.unit > 0 && m.min <= m.max
}
