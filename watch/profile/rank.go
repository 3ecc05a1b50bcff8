package profile

import (
	"math"
	"slices"
	"sort"

	"github.com/fairlead-ml/fairlead"
)

// ranker finds the slot of a number: the count of edges at or below it, through a table instead of a search.
//
// The table is indexed by the leading bits of the value as a float32. An entry is the rank of the smallest value that
// can carry those bits, from which a few comparisons lead to the value's own rank. Prefixes whose exponent is all ones
// hold a sentinel: NaN and the infinities take the slow path, as do values beyond float32's range. A value that is
// not a float32 is looked up by its rounding and compared as it is; the entry then starts one float32 earlier, because
// rounding may have lifted the value into the prefix.
type ranker struct {
	edges   []float64 // ascending
	edges32 []float32 // the same with a NaN at the end for which x >= edge is false; nil for wider types
	slot    []uint8   // rank to slot, len(edges)+1
	table   []uint8   // prefix to the lowest rank in it
	shift   uint
}

const (
	slowPath  = 255 // table entry: NaN, infinity, or edges too dense for a walk
	maxRank   = 250 // ranks fit a table entry beside the sentinel
	longWalk  = 12  // comparisons after which a binary search is faster
	wideTable = 16  // bits of a prefix: 64 KiB a column
	slimTable = 14  // 16 KiB a column, for models whose tables would not fit the cache
	manyCols  = 100
)

// prefixShift picks the size of the tables: with many columns the smaller ones win because they stay in the cache.
func prefixShift(columns int) uint {
	if columns > manyCols {
		return 32 - slimTable
	}
	return 32 - wideTable
}

// isFloat32 says that every value of the type is a float32 exactly.
func isFloat32(t fairlead.DataType) bool {
	switch t {
	case fairlead.Int64, fairlead.Uint64, fairlead.Int32, fairlead.Uint32, fairlead.FP64, fairlead.Bytes:
		return false
	}
	return true
}

// newRanker builds the table for ascending edges. slot maps ranks to slots; nil is the identity. narrow says that all
// edges and values are float32 exactly.
func newRanker(edges []float64, slot []uint8, narrow bool, shift uint) *ranker {
	if len(edges) > maxRank {
		panic("profile: more edges than a table entry can count")
	}
	r := &ranker{edges: edges, slot: slot, shift: shift}
	if slot == nil {
		r.slot = make([]uint8, len(edges)+1)
		for i := range r.slot {
			r.slot[i] = uint8(i)
		}
	}
	if narrow {
		r.edges32 = make([]float32, 0, len(edges)+1)
		for _, e := range edges {
			r.edges32 = append(r.edges32, float32(e))
		}
		r.edges32 = append(r.edges32, float32(math.NaN()))
	}
	r.edges = append(slices.Clone(edges), math.NaN())
	r.fillTable()
	return r
}

// fillTable walks the prefixes in order of the numbers they begin, so that the ranks only ever rise.
func (r *ranker) fillTable() {
	edges := r.edges[:len(r.edges)-1]
	size := 1 << (32 - r.shift)
	r.table = make([]uint8, size)
	start, end := 0, 0 // ranks of the smallest and of the largest value with the prefix
	for k := range size {
		p := uint32(k - size/2)
		if k < size/2 { // negative: larger bits are smaller numbers
			p = uint32(size - 1 - k)
		}
		from, to, ok := r.span(p)
		if !ok {
			r.table[p] = slowPath
			continue
		}
		for start < len(edges) && edges[start] <= from {
			start++
		}
		for end < len(edges) && edges[end] <= to {
			end++
		}
		r.table[p] = uint8(start)
		if end-start > longWalk {
			r.table[p] = slowPath
		}
	}
}

// span is the smallest and the largest number that is looked up under a prefix; false for NaN and the infinities.
func (r *ranker) span(p uint32) (from, to float64, ok bool) {
	first := p << r.shift
	if first&0x7f800000 == 0x7f800000 {
		return 0, 0, false
	}
	low, high := math.Float32frombits(first), math.Float32frombits(first|(1<<r.shift-1))
	if math.Signbit(float64(low)) {
		low, high = high, low
	}
	if r.edges32 == nil {
		low = math.Nextafter32(low, float32(math.Inf(-1)))
		high = math.Nextafter32(high, float32(math.Inf(1)))
	}
	return float64(low), float64(high), true
}

// search is the number of edges at or below x, by binary search.
func (r *ranker) search(x float64) int {
	edges := r.edges[:len(r.edges)-1]
	return sort.Search(len(edges), func(i int) bool { return edges[i] > x })
}

// rank32 is the number of edges at or below x; false for NaN and the infinities. Only for a narrow ranker.
func (r *ranker) rank32(x float32) (uint8, bool) {
	j := r.table[math.Float32bits(x)>>(r.shift&31)]
	if j == slowPath {
		return r.slow(float64(x))
	}
	for x >= r.edges32[j] {
		j++
	}
	return j, true
}

// rank is rank32 for values of any numeric type. A narrow ranker rounds them to float32 first.
func (r *ranker) rank(x float64) (uint8, bool) {
	if r.edges32 != nil {
		return r.rank32(float32(x))
	}
	j := r.table[math.Float32bits(float32(x))>>(r.shift&31)]
	if j == slowPath {
		return r.slow(x)
	}
	for x >= r.edges[j] {
		j++
	}
	return j, true
}

func (r *ranker) slow(x float64) (uint8, bool) {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, false
	}
	return uint8(r.search(x)), true
}

// successor is the smallest number above v that the type of a column can tell from it.
func successor(v float64, t fairlead.DataType) float64 {
	if isFloat32(t) {
		return float64(math.Nextafter32(float32(v), float32(math.Inf(1))))
	}
	return math.Nextafter(v, math.Inf(1))
}

// valueEdges gives the edges that single out each of the ascending values, and the slot of each rank: the value's
// number, or len(values)+1 (unseen) between them.
func valueEdges(values []float64, t fairlead.DataType) (edges []float64, slots []uint8) {
	unseen := uint8(len(values) + 1)
	slots = append(slots, unseen)
	for i, v := range values {
		if n := len(edges); n > 0 && edges[n-1] == v { // the neighbour of the value before
			slots[n] = uint8(i)
		} else {
			edges = append(edges, v)
			slots = append(slots, uint8(i))
		}
		edges = append(edges, successor(v, t))
		slots = append(slots, unseen)
	}
	return edges, slots
}

// round brings a reference value to the resolution of the column's tensor, so that it meets live values exactly.
func round(v float64, t fairlead.DataType) float64 {
	switch t {
	case fairlead.FP32:
		return float64(float32(v))
	case fairlead.FP16:
		return roundTo(v, 11, -24, 65504)
	case fairlead.BF16:
		return roundTo(v, 8, -133, 0x1.fep127)
	case fairlead.Bool:
		if v != 0 && !math.IsNaN(v) {
			return 1
		}
	case fairlead.FP64:
	default:
		return math.RoundToEven(v)
	}
	return v
}

// roundTo rounds half to even at a precision of so many significant bits and at a smallest unit of 2^minExp; beyond
// limit it gives an infinity.
func roundTo(v float64, precision, minExp int, limit float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	_, exp := math.Frexp(v)
	unit := math.Ldexp(1, max(exp-precision, minExp))
	v = math.RoundToEven(v/unit) * unit
	if math.Abs(v) > limit {
		return math.Copysign(math.Inf(1), v)
	}
	return v
}
