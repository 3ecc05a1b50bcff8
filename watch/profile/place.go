package profile

import (
	"math"

	"github.com/fairlead-ml/fairlead"
)

// Slot is the place in ColumnCounts.Slots of a finite number in a column of numbers; -1 for any other.
func (l *Layout) Slot(col int, x float64) int {
	c := &l.Columns[col]
	if c.ranker == nil {
		return -1
	}
	r := c.ranker()
	j, finite := r.rank(round(x, c.Field.Type))
	if !finite {
		return -1
	}
	return int(r.slot[j])
}

// AlertPlace is the place in AlertBins of a value: a number or a text as the column holds it, nil for null. A value of the wrong
// kind counts as null.
func (l *Layout) AlertPlace(col int, v any) int {
	c := &l.Columns[col]
	null := c.slotCount()
	if c.Kind == Numeric {
		null = len(c.alert) - 1
	}
	if c.ranker == nil {
		s, ok := v.(string)
		if !ok {
			return null
		}
		return c.textSlot(s)
	}
	x, ok := v.(float64)
	switch {
	case !ok:
		return null
	case math.IsNaN(x):
		return null + 1
	}
	if x = round(x, c.Field.Type); math.IsInf(x, 0) {
		if x < 0 {
			return null + 2
		}
		return null + 3
	}
	slot := l.Slot(col, x)
	if c.Kind != Numeric {
		return slot
	}
	for i, end := range c.alert[1:] {
		if slot-1 < end { // slot 0 is under
			return i
		}
	}
	return len(c.alert) - 2 // over
}

// AlertPlaces describes the places of AlertBins. Of a column of numbers the first ones are in ascending order: so many are
// ordered. The first and the last of a column's ranges are open-ended: their Low or High is NaN.
func (l *Layout) AlertPlaces(col int) (bins []Bin, ordered int) {
	c := &l.Columns[col]
	nan := math.NaN()
	special := func(label, kind string) Bin { return Bin{Label: label, Kind: kind, Low: nan, High: nan} }
	switch {
	case c.Kind == Numeric:
		for i := range len(c.alert) - 1 {
			b := c.alertBin(i)
			if b.Kind == "value" && (i == 0 || i == len(c.alert)-2) { // it holds what lies beyond as well
				b.Kind = "range"
			}
			if i == 0 {
				b.Low, b.Label = nan, "< "+c.format(c.edges[c.alert[1]])
			}
			if i == len(c.alert)-2 {
				b.High, b.Label = nan, "≥ "+c.format(c.edges[c.alert[i]])
			}
			bins = append(bins, b)
		}
		ordered = len(bins)
	case c.byValue():
		for _, v := range c.values {
			bins = append(bins, Bin{Label: c.format(v), Kind: "value", Low: v, High: v})
		}
		ordered = len(bins)
		bins = append(bins, special("other", "other"), special("unseen", "unseen"))
	default:
		for _, k := range c.keys {
			bins = append(bins, special(k, "category"))
		}
		bins = append(bins, special("other", "other"), special("unseen", "unseen"))
	}
	return append(bins, special("null", "null"), special("NaN", "nan"), special("-Inf", "inf"), special("+Inf", "inf")), ordered
}

// FineEdges are the bounds of the ordered bins of a numeric column, one more than there are bins between under and over; nil for
// categories.
func (l *Layout) FineEdges(col int) []float64 {
	if l.Columns[col].Kind == Categorical {
		return nil
	}
	return append([]float64(nil), l.Columns[col].edges...)
}

// textSlot is where a text is counted.
func (c *Column) textSlot(s string) int {
	k := key(s)
	slot, ok := c.slots[k]
	if !ok {
		slot = len(c.keys) // other
		if !c.vocab.has(k) {
			slot++ // unseen
		}
	}
	return slot
}

// IsNumber says whether a column's values are numbers.
func (c *Column) IsNumber() bool { return c.Field.Type != fairlead.Bytes }
