package profile

import (
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// tally is one distinct value of the reference and how many rows hold it.
type tally struct {
	value float64
	rows  int
}

// tallies sorts values in place and counts the distinct ones.
func tallies(values []float64) []tally {
	slices.Sort(values)
	var out []tally
	for _, v := range values {
		v += 0 // −0 becomes 0
		if n := len(out); n > 0 && out[n-1].value == v {
			out[n-1].rows++
		} else {
			out = append(out, tally{v, 1})
		}
	}
	return out
}

// cut freezes the bins of a numeric column: a value that holds more than 1/64 of the rows gets a bin of its own, the
// stretches between such values are cut at quantiles so that no bin is meant to hold more than 1/64. Bins without
// reference rows appear between neighbouring atoms, for live values that fall there.
func cut(distinct []tally, t fairlead.DataType) (edges []float64, atoms []bool) {
	rows := 0
	for _, d := range distinct {
		rows += d.rows
	}
	add := func(edge float64, atom bool) {
		if n := len(edges); n > 0 && edges[n-1] == edge { // an atom right above another
			atoms[n-1] = atom
			return
		}
		edges, atoms = append(edges, edge), append(atoms, atom)
	}
	for i := 0; i < len(distinct); {
		if distinct[i].isAtom(rows) {
			add(distinct[i].value, true)
			add(successor(distinct[i].value, t), false)
			i++
			continue
		}
		end := i
		for end < len(distinct) && !distinct[end].isAtom(rows) {
			end++
		}
		starts := quantileStarts(distinct[i:end], rows)
		if i > 0 {
			starts = starts[1:] // the stretch already began above the atom before it
		}
		for _, e := range starts {
			add(e, false)
		}
		i = end
	}
	last := distinct[len(distinct)-1]
	if !last.isAtom(rows) {
		add(successor(last.value, t), false)
	}
	return edges, atoms[:len(atoms)-1]
}

// isAtom says whether the value gets a bin of its own. A value that occurs once never does, however small the sample.
func (d tally) isAtom(rows int) bool { return d.rows > 1 && d.rows*fineBins > rows }

// quantileStarts cuts a stretch of distinct values into bins of about rows/64 rows each and gives the bins' lowest
// values, the first value included. Ties move a cut to the nearest boundary between two values.
func quantileStarts(stretch []tally, rows int) []float64 {
	mass := 0
	for _, d := range stretch {
		mass += d.rows
	}
	bins := max(1, int(math.Round(float64(fineBins)*float64(mass)/float64(rows))))
	starts := []float64{stretch[0].value}
	below, i, last := 0, 0, 0
	for j := 1; j < bins; j++ {
		target := float64(j) * float64(mass) / float64(bins)
		for i < len(stretch)-1 && nearer(below+stretch[i].rows, below, target) {
			below += stretch[i].rows
			i++
		}
		if i > last {
			starts = append(starts, stretch[i].value)
			last = i
		}
	}
	return starts
}

// nearer says that next is at least as near to target as now.
func nearer(next, now int, target float64) bool {
	return math.Abs(float64(next)-target) <= math.Abs(float64(now)-target)
}

// alertEdges picks the fine edges at which the alert bins begin and end: those nearest to the reference's deciles.
// For 64 equal bins these are the fine edges 6, 13, 19, 26, 32, 38, 45, 51 and 58. Of edges that are equally near
// (bins without rows between them) the highest is taken, a value that occurs. fine holds the rows of the fine bins.
func alertEdges(fine []uint64) []int {
	var rows uint64
	for _, n := range fine {
		rows += n
	}
	alert := []int{0}
	below, i := uint64(0), 0
	for k := 1; k < alertBins; k++ {
		target := float64(k) * float64(rows) / alertBins
		for i < len(fine)-1 && nearer(int(below+fine[i]), int(below), target) {
			below += fine[i]
			i++
		}
		if i > alert[len(alert)-1] && below > 0 {
			alert = append(alert, i)
		}
	}
	return append(alert, len(fine))
}

// resolution is the power of two in which the moments of a column count: its largest reference value is about 2²⁷
// units, so a mean is good to eight digits, and values up to a million times as large still fit.
func resolution(distinct []tally) float64 {
	largest := math.Max(math.Abs(distinct[0].value), math.Abs(distinct[len(distinct)-1].value))
	_, exp := math.Frexp(largest)
	return math.Ldexp(1, min(max(exp-27, -1000), 900))
}
