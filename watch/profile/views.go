package profile

import (
	"math"
	"strconv"
	"strings"
)

// Bin describes one counter for display. Kinds are range, value, category, other, under, over, null, nan, inf and
// unseen. Low and High are NaN where a bin has no bounds; a range holds Low ≤ x < High, the last one its High as well.
type Bin struct {
	Label, Kind string
	Low, High   float64
}

// AlertBins gives the counts that enter the scores of a column, in an order that depends on the layout only: the ten
// alert bins (under joins the first, over the last, because quantile bins are open-ended) or the categories, other and
// unseen, then null, NaN, −Inf and +Inf as bins of their own.
func (c *Counts) AlertBins(l *Layout, col int) []uint64 {
	column, cc := &l.Columns[col], &c.Columns[col]
	if column.Kind == Categorical {
		return append(append([]uint64(nil), cc.Slots...), cc.Null, cc.NaN, cc.NegInf, cc.PosInf)
	}
	counts := cc.alert(column)
	counts[0] += cc.Slots[0]
	counts[len(counts)-1] += cc.Slots[len(cc.Slots)-1]
	return append(counts, cc.Null, cc.NaN, cc.NegInf, cc.PosInf)
}

// alert sums the fine bins to alert bins, without under and over.
func (c *ColumnCounts) alert(column *Column) []uint64 {
	counts := make([]uint64, len(column.alert)-1, len(column.alert)+6)
	for i := range counts {
		for _, n := range c.Slots[1+column.alert[i] : 1+column.alert[i+1]] {
			counts[i] += n
		}
	}
	return counts
}

// FineBins gives the ordered bins of a numeric column, under first and over last, without missing and infinite
// values; nil for categories.
func (c *Counts) FineBins(l *Layout, col int) []uint64 {
	if l.Columns[col].Kind == Categorical {
		return nil
	}
	return append([]uint64(nil), c.Columns[col].Slots...)
}

// Missing is the share of null and NaN among the window's rows, 0 without rows.
func (c *Counts) Missing(_ *Layout, col int) float64 {
	cc := &c.Columns[col]
	return c.share(cc.Null + cc.NaN)
}

// Unseen is the share of the window's rows whose value lies outside the reference: categories that it never had,
// numbers under its minimum or over its maximum, and infinities. It is 0 without rows.
func (c *Counts) Unseen(l *Layout, col int) float64 {
	cc := &c.Columns[col]
	outside := cc.NegInf + cc.PosInf + cc.Slots[len(cc.Slots)-1] // unseen or over
	if l.Columns[col].Kind == Numeric {
		outside += cc.Slots[0]
	}
	return c.share(outside)
}

func (c *Counts) share(rows uint64) float64 {
	if c.N == 0 {
		return 0
	}
	return float64(rows) / float64(c.N)
}

// Bins describes the bins of a column for display: the alert bins in ascending order, or the categories, then the
// specials that the column can have. Categories that are numbers come in ascending order, others the most frequent
// first.
func (l *Layout) Bins(col int) []Bin {
	c := &l.Columns[col]
	nan := math.NaN()
	special := func(label, kind string) Bin { return Bin{Label: label, Kind: kind, Low: nan, High: nan} }
	var bins []Bin
	switch {
	case c.Kind == Numeric:
		for i := range len(c.alert) - 1 {
			bins = append(bins, c.alertBin(i))
		}
		low, high := c.edges[0], c.maximum()
		bins = append(bins,
			Bin{Label: "< " + c.format(low), Kind: "under", Low: nan, High: low},
			Bin{Label: "> " + c.format(high), Kind: "over", Low: high, High: nan})
	case c.byValue():
		for _, v := range c.values {
			bins = append(bins, Bin{Label: c.format(v), Kind: "value", Low: v, High: v})
		}
		bins = append(bins, special("unseen", "unseen"))
	default:
		for _, k := range c.keys {
			bins = append(bins, special(strings.ToValidUTF8(k, "\uFFFD"), "category"))
		}
		if c.hasOther() {
			bins = append(bins, special("other", "other"))
		}
		bins = append(bins, special("unseen", "unseen"))
	}
	bins = append(bins, special("null", "null"))
	if isFloat(c.Field.Type) {
		bins = append(bins, special("NaN", "nan"), special("-Inf", "inf"), special("+Inf", "inf"))
	}
	return bins
}

// BinCounts gives the counts of Bins, in the same order.
func (c *Counts) BinCounts(l *Layout, col int) []uint64 {
	column, cc := &l.Columns[col], &c.Columns[col]
	var counts []uint64
	last := len(cc.Slots) - 1
	if column.Kind == Numeric {
		counts = append(cc.alert(column), cc.Slots[0], cc.Slots[last])
	} else {
		counts = append(counts, cc.Slots[:column.categories()]...)
		if column.hasOther() {
			counts = append(counts, cc.Slots[last-1])
		}
		counts = append(counts, cc.Slots[last])
	}
	counts = append(counts, cc.Null)
	if isFloat(column.Field.Type) {
		counts = append(counts, cc.NaN, cc.NegInf, cc.PosInf)
	}
	return counts
}

// hasOther says that the reference has categories without a bin of their own.
func (c *Column) hasOther() bool {
	return c.vocab != nil && (c.vocab.open || len(c.vocab.keys) > 0 || len(c.vocab.hashes) > 0)
}

func (c *Column) alertBin(i int) Bin {
	from, to := c.alert[i], c.alert[i+1]
	low, high := c.edges[from], c.edges[to]
	if c.atoms[from] && to == from+1 {
		return Bin{Label: c.format(low), Kind: "value", Low: low, High: low}
	}
	if to == len(c.edges)-1 {
		high = c.maximum()
	}
	return Bin{Label: c.format(low) + " … " + c.format(high), Kind: "range", Low: low, High: high}
}

// maximum is the largest value of the reference.
func (c *Column) maximum() float64 {
	top := c.edges[len(c.edges)-1]
	if isFloat32(c.Field.Type) {
		return float64(math.Nextafter32(float32(top), float32(math.Inf(-1))))
	}
	return math.Nextafter(top, math.Inf(-1))
}

// format writes a bound with the digits that a reader needs: five significant ones, all of a whole number.
func (c *Column) format(v float64) string {
	a := math.Abs(v)
	if v == math.Trunc(v) && a < 1e15 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	if a < 1e-4 || a >= 1e15 {
		return strconv.FormatFloat(v, 'g', 5, 64)
	}
	digits := max(0, 4-int(math.Floor(math.Log10(a))))
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
