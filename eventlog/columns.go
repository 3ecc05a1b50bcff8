package eventlog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/fairlead-ml/fairlead"
)

// codec moves one element type between Go slices and Arrow arrays.
type codec interface {
	encode(c *Column, src *source) arrow.Array
	decode(c *Column, arr arrow.Array) error
}

// valueBuilder is what the Arrow builders of plain values share.
type valueBuilder[T any] interface {
	array.Builder
	Append(T)
	AppendValues(values []T, valid []bool) // valid nil: all are
}

type valueCodec[T any] struct {
	build  func() valueBuilder[T]
	values func(arrow.Array) ([]T, bool)
}

var codecs = map[fairlead.DataType]codec{
	fairlead.Bool: valueCodec[bool]{
		func() valueBuilder[bool] { return array.NewBooleanBuilder(memory.DefaultAllocator) },
		func(a arrow.Array) ([]bool, bool) {
			b, ok := a.(*array.Boolean)
			return collect(a, ok, func(i int) bool { return b.Value(i) }), ok
		}},
	fairlead.Int8:   plain(array.NewInt8Builder, (*array.Int8).Int8Values),
	fairlead.Int16:  plain(array.NewInt16Builder, (*array.Int16).Int16Values),
	fairlead.Int32:  plain(array.NewInt32Builder, (*array.Int32).Int32Values),
	fairlead.Int64:  plain(array.NewInt64Builder, (*array.Int64).Int64Values),
	fairlead.Uint8:  plain(array.NewUint8Builder, (*array.Uint8).Uint8Values),
	fairlead.Uint16: plain(array.NewUint16Builder, (*array.Uint16).Uint16Values),
	fairlead.FP16:   plain(array.NewUint16Builder, (*array.Uint16).Uint16Values),
	fairlead.BF16:   plain(array.NewUint16Builder, (*array.Uint16).Uint16Values),
	fairlead.Uint32: plain(array.NewUint32Builder, (*array.Uint32).Uint32Values),
	fairlead.Uint64: plain(array.NewUint64Builder, (*array.Uint64).Uint64Values),
	fairlead.FP32:   plain(array.NewFloat32Builder, (*array.Float32).Float32Values),
	fairlead.FP64:   plain(array.NewFloat64Builder, (*array.Float64).Float64Values),
	fairlead.Bytes: valueCodec[string]{
		func() valueBuilder[string] {
			return textBuilder{array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)}
		},
		func(a arrow.Array) ([]string, bool) {
			b, ok := a.(*array.Binary)
			if !ok {
				return nil, false
			}
			return texts(b), true
		}},
}

// textBuilder lets a builder of bytes take strings, which need not be valid UTF-8.
type textBuilder struct{ *array.BinaryBuilder }

func (b textBuilder) Append(s string) { b.AppendString(s) }

func (b textBuilder) AppendValues(values []string, valid []bool) { b.AppendStringValues(values, valid) }

func plain[T any, B valueBuilder[T], A arrow.Array](build func(memory.Allocator) B, values func(A) []T) codec {
	return valueCodec[T]{
		build: func() valueBuilder[T] { return build(memory.DefaultAllocator) },
		values: func(a arrow.Array) ([]T, bool) {
			arr, ok := a.(A)
			if !ok {
				return nil, false
			}
			// A copy: what is decoded does not hold on to the whole message.
			return append(make([]T, 0, a.Len()), values(arr)...), true
		},
	}
}

// noTexts are the values of a column that has none: most of the leading columns of most messages. Nobody writes to them.
var noTexts [MaxRows]string

// texts are the values of an array, "" for null. They share one copy of its bytes: a copy each is half of what decoding costs.
func texts(a *array.Binary) []string {
	n := a.Len()
	if n == 0 || n <= MaxRows && len(a.ValueBytes()) == 0 {
		return noTexts[:n:n]
	}
	out := make([]string, n)
	offsets, all, nulls := a.ValueOffsets(), string(a.ValueBytes()), a.NullN() > 0
	first := offsets[0]
	for i := range out {
		if !nulls || a.IsValid(i) {
			out[i] = all[offsets[i]-first : offsets[i+1]-first]
		}
	}
	return out
}

func collect[T any](a arrow.Array, ok bool, at func(int) T) []T {
	if !ok {
		return nil
	}
	out := make([]T, a.Len())
	for i := range out {
		if a.IsValid(i) {
			out[i] = at(i)
		}
	}
	return out
}

// source is where columns come from. It remembers the tensor it found last, because the columns of one tensor follow
// each other.
type source struct {
	preds []*fairlead.Prediction
	rows  int

	values int  // of one row of a list at most, a longer one is null; 0: no bound
	cut    bool // the last list had such a row

	tensor string
	output bool
	found  any // []rowMajor[T] of that tensor, one for each prediction
}

// rowMajor is a tensor of one prediction; data is nil if it has none that fits.
type rowMajor[T any] struct {
	data  []T
	width int
}

func find[T any](src *source, c *Column) []rowMajor[T] {
	if found, ok := src.found.([]rowMajor[T]); ok && src.tensor == c.Field.Tensor && src.output == c.Field.Output {
		return found
	}
	found := make([]rowMajor[T], len(src.preds))
	for i, p := range src.preds {
		found[i].data, found[i].width = tensorData[T](c, p)
	}
	src.tensor, src.output, src.found = c.Field.Tensor, c.Field.Output, found
	return found
}

func encodeColumn(c *Column, src *source) (arrow.Array, error) {
	codec := codecs[c.Field.Type]
	if codec == nil {
		return nil, fmt.Errorf("data type %q is not known", c.Field.Type)
	}
	return codec.encode(c, src), nil
}

func (v valueCodec[T]) encode(c *Column, src *source) arrow.Array {
	if c.Shape != nil {
		return v.encodeLists(c, src)
	}
	values := make([]T, src.rows)
	var valid []bool // nil as long as every row has a value
	row := 0
	for i, t := range find[T](src, c) {
		n := len(src.preds[i].Rows)
		if t.data == nil || c.Field.Index >= t.width {
			if valid == nil {
				valid = slices.Repeat([]bool{true}, src.rows)
			}
			clear(valid[row : row+n])
		} else {
			for k, at := 0, c.Field.Index; k < n; k, at = k+1, at+t.width {
				values[row+k] = t.data[at]
			}
		}
		row += n
	}
	b := v.build()
	b.AppendValues(values, valid)
	return b.NewArray()
}

func (v valueCodec[T]) encodeLists(c *Column, src *source) arrow.Array {
	probe := v.build()
	lists := array.NewListBuilder(memory.DefaultAllocator, probe.Type())
	src.cut = false
	for i, t := range find[T](src, c) {
		long := t.data != nil && src.values > 0 && t.width > src.values
		src.cut = src.cut || long
		for k := range src.preds[i].Rows {
			if t.data == nil || long {
				lists.AppendNull()
				continue
			}
			lists.Append(true)
			appendElements(lists.ValueBuilder(), t.data[k*t.width:(k+1)*t.width])
		}
	}
	return lists.NewArray()
}

func appendElements[T any](b array.Builder, values []T) {
	if s, ok := any(values).([]string); ok {
		b.(*array.BinaryBuilder).AppendStringValues(s, nil)
		return
	}
	b.(valueBuilder[T]).AppendValues(values, nil)
}

// tensorData is p's tensor for c and its row width; nil if p has none that fits.
func tensorData[T any](c *Column, p *fairlead.Prediction) ([]T, int) {
	tensors := p.Inputs
	if c.Field.Output {
		tensors = p.Outputs
	}
	t := fairlead.Find(tensors, c.Field.Tensor)
	if t == nil || t.Type != c.Field.Type || t.Rows() != len(p.Rows) {
		return nil, 0
	}
	data, ok := t.Data.([]T)
	width := t.Width()
	if !ok || width < 0 || len(data) != width*len(p.Rows) {
		return nil, 0
	}
	if data == nil {
		data = []T{}
	}
	return data, width
}

func (v valueCodec[T]) decode(c *Column, arr arrow.Array) error {
	n := arr.Len()
	if arr.NullN() > 0 {
		c.Null = make([]bool, n)
		for i := range c.Null {
			c.Null[i] = arr.IsNull(i)
		}
	}
	if c.Shape != nil {
		list, ok := arr.(*array.List)
		if !ok {
			return fmt.Errorf("expected a list, got %s", arr.DataType())
		}
		c.Offsets = append([]int32(nil), list.Offsets()[:n+1]...)
		arr = list.ListValues()
		for i, last := 0, int32(0); i <= n; i++ {
			if c.Offsets[i] < last || int(c.Offsets[i]) > arr.Len() {
				return fmt.Errorf("list %d does not lie inside its values", i)
			}
			last = c.Offsets[i]
		}
	}
	values, ok := v.values(arr)
	if !ok {
		return fmt.Errorf("an array of %s does not hold %s", arr.DataType(), c.Field.Type)
	}
	if len(values) != arr.Len() {
		return fmt.Errorf("%d values for %d rows", len(values), arr.Len())
	}
	c.Data = values
	return nil
}

func shapeText(shape []int64) string {
	parts := make([]string, len(shape))
	for i, d := range shape {
		parts[i] = strconv.FormatInt(d, 10)
	}
	return strings.Join(parts, ",")
}

func parseShape(s string) ([]int64, error) {
	shape := []int64{}
	if s == "" {
		return shape, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		d, err := strconv.ParseInt(part, 10, 64)
		if err != nil || d < -1 {
			return nil, fmt.Errorf("%q is not a shape", s)
		}
		shape = append(shape, d)
	}
	return shape, nil
}
