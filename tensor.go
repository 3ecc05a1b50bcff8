package fairlead

import (
	"fmt"
	"slices"
	"strings"
)

// DataType is the element type of a tensor, named as in the Open Inference Protocol.
type DataType string

// Element types.
const (
	Bool   DataType = "BOOL"
	Int8   DataType = "INT8"
	Int16  DataType = "INT16"
	Int32  DataType = "INT32"
	Int64  DataType = "INT64"
	Uint8  DataType = "UINT8"
	Uint16 DataType = "UINT16"
	Uint32 DataType = "UINT32"
	Uint64 DataType = "UINT64"
	FP16   DataType = "FP16"
	BF16   DataType = "BF16"
	FP32   DataType = "FP32"
	FP64   DataType = "FP64"
	Bytes  DataType = "BYTES"
)

// Tensor is a dense row-major array. Data holds one slice whose element type follows Type: []bool, []int8 …
// []uint64, []float32, []float64, []string for BYTES, and []uint16 (the bits) for FP16 and BF16. Its length is the
// product of Shape. A tensor handed to another part is not changed any more by anybody.
type Tensor struct {
	Name  string
	Type  DataType
	Shape []int64
	Data  any
}

// Rows is the first dimension, or 1 for a scalar.
func (t *Tensor) Rows() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return int(t.Shape[0])
}

// Width is the number of elements in one row.
func (t *Tensor) Width() int {
	if len(t.Shape) == 0 {
		return 1
	}
	return int(Elements(t.Shape[1:]))
}

// Elements is the product of shape, 1 for the empty shape. A negative dimension gives -1.
func Elements(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		if d < 0 {
			return -1
		}
		n *= d
	}
	return n
}

// Len is the number of elements in Data, -1 if Data has none of the expected types.
func (t *Tensor) Len() int {
	switch d := t.Data.(type) {
	case []bool:
		return len(d)
	case []int8:
		return len(d)
	case []int16:
		return len(d)
	case []int32:
		return len(d)
	case []int64:
		return len(d)
	case []uint8:
		return len(d)
	case []uint16:
		return len(d)
	case []uint32:
		return len(d)
	case []uint64:
		return len(d)
	case []float32:
		return len(d)
	case []float64:
		return len(d)
	case []string:
		return len(d)
	}
	return -1
}

// Float is element i as a float64 (booleans as 0 and 1); false for BYTES and for an index out of range.
// INT64 and UINT64 beyond 2^53 round.
func (t *Tensor) Float(i int) (float64, bool) {
	if i < 0 || i >= t.Len() {
		return 0, false
	}
	switch d := t.Data.(type) {
	case []float32:
		return float64(d[i]), true
	case []float64:
		return d[i], true
	case []int64:
		return float64(d[i]), true
	case []int32:
		return float64(d[i]), true
	case []int16:
		return float64(d[i]), true
	case []int8:
		return float64(d[i]), true
	case []uint64:
		return float64(d[i]), true
	case []uint32:
		return float64(d[i]), true
	case []uint16:
		if t.Type == Uint16 {
			return float64(d[i]), true
		}
		return float64(HalfToFloat(d[i], t.Type)), true
	case []uint8:
		return float64(d[i]), true
	case []bool:
		if d[i] {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// Slice is rows [from,to) of t, sharing its memory.
func (t *Tensor) Slice(from, to int) Tensor {
	w := t.Width()
	out := Tensor{Name: t.Name, Type: t.Type, Shape: append([]int64{int64(to - from)}, t.Shape[1:]...)}
	from, to = from*w, to*w
	switch d := t.Data.(type) {
	case []bool:
		out.Data = d[from:to]
	case []int8:
		out.Data = d[from:to]
	case []int16:
		out.Data = d[from:to]
	case []int32:
		out.Data = d[from:to]
	case []int64:
		out.Data = d[from:to]
	case []uint8:
		out.Data = d[from:to]
	case []uint16:
		out.Data = d[from:to]
	case []uint32:
		out.Data = d[from:to]
	case []uint64:
		out.Data = d[from:to]
	case []float32:
		out.Data = d[from:to]
	case []float64:
		out.Data = d[from:to]
	case []string:
		out.Data = d[from:to]
	}
	return out
}

// MakeData allocates the slice of n elements that a tensor of type t holds, or nil for an unknown type.
func MakeData(t DataType, n int) any {
	switch t {
	case Bool:
		return make([]bool, n)
	case Int8:
		return make([]int8, n)
	case Int16:
		return make([]int16, n)
	case Int32:
		return make([]int32, n)
	case Int64:
		return make([]int64, n)
	case Uint8:
		return make([]uint8, n)
	case Uint16, FP16, BF16:
		return make([]uint16, n)
	case Uint32:
		return make([]uint32, n)
	case Uint64:
		return make([]uint64, n)
	case FP32:
		return make([]float32, n)
	case FP64:
		return make([]float64, n)
	case Bytes:
		return make([]string, n)
	}
	return nil
}

// ShapeString prints a shape with ? for a free dimension: [?,7].
func ShapeString(shape []int64) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		if d < 0 {
			parts[i] = "?"
		} else {
			parts[i] = fmt.Sprint(d)
		}
	}
	return "[" + strings.Join(parts, ",") + "]"
}

// Find is the tensor of that name, or nil.
func Find(ts []Tensor, name string) *Tensor {
	i := slices.IndexFunc(ts, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &ts[i]
}
