package evalstore

import (
	"maps"
	"slices"
	"time"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
)

// cells writes the values from ≤ i < to of a column into a vector of its type, the first one into row at.
type cells func(v *vector, at, from, to int)

// numbers are values that DuckDB keeps as Go does: numbers, booleans, and times as microseconds since 1970.
func numbers[T bool | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64](d []T) cells {
	return func(v *vector, at, from, to int) {
		copy(unsafe.Slice((*T)(v.data), at+to-from)[at:], d[from:to])
	}
}

// same is one value for every row.
func same[T int32 | int64 | float64](x T) cells {
	return func(v *vector, at, from, to int) {
		out := unsafe.Slice((*T)(v.data), at+to-from)
		for i := at; i < len(out); i++ {
			out[i] = x
		}
	}
}

func times(d []time.Time) cells {
	return func(v *vector, at, from, to int) {
		out := unsafe.Slice((*int64)(v.data), at+to-from)
		for i := from; i < to; i++ {
			out[at+i-from] = d[i].UnixMicro()
		}
	}
}

func nulls(v *vector, at, from, to int) {
	for i := range to - from {
		v.setNull(at + i)
	}
}

// unlessNull writes d, then makes NULL what has no value.
func unlessNull(d cells, null func(i int) bool) cells {
	return func(v *vector, at, from, to int) {
		d(v, at, from, to)
		for i := from; i < to; i++ {
			if null(i) {
				v.setNull(at + i - from)
			}
		}
	}
}

// inlined is how many bytes of a text lie in the vector itself.
const inlined = 12

// shortText is DuckDB's form of a text of at most inlined bytes, duckdb_string_t in its C interface.
type shortText struct {
	length uint32
	bytes  [inlined]byte
}

func putText(v *vector, row int, s string) {
	s = text(s)
	if len(s) > inlined {
		mapping.VectorAssignStringElement(v.Vector, mapping.IdxT(row), s)
		return
	}
	short := shortText{length: uint32(len(s))}
	copy(short.bytes[:], s)
	*(*shortText)(unsafe.Add(v.data, row*int(unsafe.Sizeof(short)))) = short
}

func texts[T ~string](d []T) cells {
	return func(v *vector, at, from, to int) {
		for i := from; i < to; i++ {
			putText(v, at+i-from, string(d[i]))
		}
	}
}

// textsOrNull writes NULL for an empty text.
func textsOrNull(get func(i int) string) cells {
	return func(v *vector, at, from, to int) {
		for i := from; i < to; i++ {
			s := get(i)
			putText(v, at+i-from, s)
			if s == "" {
				v.setNull(at + i - from)
			}
		}
	}
}

type listEntry struct{ offset, length uint64 } // duckdb_list_entry

func putList(v *vector, row, offset, length int) {
	e := listEntry{uint64(offset), uint64(length)}
	*(*listEntry)(unsafe.Add(v.data, row*int(unsafe.Sizeof(e)))) = e
}

// lists writes row i as the list of the elements offsets[i] to offsets[i+1].
func lists(offsets []int32, elements cells) cells {
	return func(v *vector, at, from, to int) {
		first, last := int(offsets[from]), int(offsets[to])
		inner, start := v.grow(last - first)
		child := newVector(inner)
		if last > first {
			elements(&child, start, first, last)
		}
		for i := from; i < to; i++ {
			putList(v, at+i-from, start+int(offsets[i])-first, int(offsets[i+1]-offsets[i]))
		}
	}
}

// textMaps writes maps of texts, in the order of their keys; NULL for an empty one.
func textMaps(d []map[string]string) cells {
	return func(v *vector, at, from, to int) {
		for i := from; i < to; i++ {
			m := d[i]
			if len(m) == 0 {
				putList(v, at+i-from, 0, 0)
				v.setNull(at + i - from)
				continue
			}
			pairs, start := v.grow(len(m)) // a map is a list of pairs
			keys := newVector(mapping.StructVectorGetChild(pairs, 0))
			values := newVector(mapping.StructVectorGetChild(pairs, 1))
			for k, key := range slices.Sorted(maps.Keys(m)) {
				putText(&keys, start+k, key)
				putText(&values, start+k, m[key])
			}
			putList(v, at+i-from, start, len(m))
		}
	}
}

// columnCells gives a column's values as its table has them, a list for each row of a tensor.
func columnCells(c *eventlog.Column) cells {
	d := elements(c)
	if c.Shape != nil {
		d = lists(c.Offsets, d)
	}
	if c.Null != nil {
		d = unlessNull(d, c.IsNull)
	}
	return d
}

func elements(c *eventlog.Column) cells {
	switch d := c.Data.(type) {
	case []bool:
		return numbers(d)
	case []int8:
		return numbers(d)
	case []int16:
		return numbers(d)
	case []int32:
		return numbers(d)
	case []int64:
		return numbers(d)
	case []uint8:
		return numbers(d)
	case []uint16:
		if c.Field.Type == fairlead.Uint16 {
			return numbers(d)
		}
		floats := make([]float32, len(d))
		for i, bits := range d {
			floats[i] = fairlead.HalfToFloat(bits, c.Field.Type)
		}
		return numbers(floats)
	case []uint32:
		return numbers(d)
	case []uint64:
		return numbers(d)
	case []float32:
		return numbers(d)
	case []float64:
		return numbers(d)
	case []string:
		return texts(d)
	}
	return nulls
}
