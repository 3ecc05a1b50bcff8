package ort

// #include "shim.h"
import "C"

import (
	"slices"
	"strconv"
	"unsafe"

	"github.com/fairlead-ml/fairlead"
)

// tensor copies a value into Go's memory.
func (s *Session) tensor(v *C.fl_value, name string) (fairlead.Tensor, error) {
	t, known := types[int(v._type)]
	if v.kind != C.FL_TENSOR || !known {
		return fairlead.Tensor{}, fairlead.Errorf(fairlead.CodeInternal, "output %q is not a tensor of a known type", name)
	}
	out := fairlead.Tensor{Name: name, Type: t, Shape: shapeOf(v.dims, v.rank)}
	n := int(v.count)
	if t == fairlead.Bytes {
		strings, err := s.strings(v)
		out.Data = strings
		return out, err
	}
	switch t {
	case fairlead.Bool:
		out.Data = copied[bool](v.data, n)
	case fairlead.Int8:
		out.Data = copied[int8](v.data, n)
	case fairlead.Int16:
		out.Data = copied[int16](v.data, n)
	case fairlead.Int32:
		out.Data = copied[int32](v.data, n)
	case fairlead.Int64:
		out.Data = copied[int64](v.data, n)
	case fairlead.Uint8:
		out.Data = copied[uint8](v.data, n)
	case fairlead.Uint16, fairlead.FP16, fairlead.BF16:
		out.Data = copied[uint16](v.data, n)
	case fairlead.Uint32:
		out.Data = copied[uint32](v.data, n)
	case fairlead.Uint64:
		out.Data = copied[uint64](v.data, n)
	case fairlead.FP32:
		out.Data = copied[float32](v.data, n)
	case fairlead.FP64:
		out.Data = copied[float64](v.data, n)
	}
	return out, nil
}

func copied[T any](data unsafe.Pointer, n int) []T {
	if n == 0 {
		return []T{}
	}
	return append([]T(nil), unsafe.Slice((*T)(data), n)...)
}

func (s *Session) strings(v *C.fl_value) ([]string, error) {
	n, size := int(v.count), int(v.bytes)
	if n == 0 {
		return []string{}, nil
	}
	blob := make([]byte, size+1) // one more, so that it has an address
	offsets := make([]C.size_t, n)
	var cErr C.fl_error
	if C.fl_strings(s.r, v.value, unsafe.Pointer(&blob[0]), C.size_t(size), &offsets[0], C.size_t(n), &cErr) != 0 {
		return nil, fairlead.Errorf(fairlead.CodeInternal, "read strings: %s", message(&cErr))
	}
	all := string(blob[:size])
	texts := make([]string, n)
	for i := range texts {
		end := size
		if i+1 < n {
			end = int(offsets[i+1])
		}
		texts[i] = all[int(offsets[i]):end]
	}
	return texts, nil
}

// stack makes one tensor of a sequence of tensors, the members as its first dimension. They must be of one shape.
func (s *Session) stack(v *C.fl_value, spec *fairlead.TensorSpec) (fairlead.Tensor, error) {
	out := fairlead.Tensor{Name: spec.Name, Type: spec.Type, Data: fairlead.MakeData(spec.Type, 0)}
	var shape []int64
	for i := range int(v.count) {
		var member C.fl_value
		var cErr C.fl_error
		if C.fl_member(s.r, v.value, C.int(i), &member, &cErr) != 0 {
			return out, fairlead.Errorf(fairlead.CodeInternal, "read output %q: %s", spec.Name, message(&cErr))
		}
		t, err := s.tensor(&member, spec.Name)
		C.fl_release(s.r, member.value)
		if err != nil {
			return out, err
		}
		if i == 0 {
			shape = t.Shape
		}
		if !slices.Equal(t.Shape, shape) {
			return out, fairlead.Errorf(fairlead.CodeUnsupported, "output %q is a sequence whose members have different shapes: %s, then %s",
				spec.Name, fairlead.ShapeString(shape), fairlead.ShapeString(t.Shape)).
				Hintf("make it a tensor in the graph, for example with ConcatFromSequence, or pad the members to one shape")
		}
		out.Data = concat(out.Data, t.Data)
	}
	if v.count == 0 && len(spec.Shape) > 0 {
		for _, d := range spec.Shape[1:] {
			shape = append(shape, max(d, 0))
		}
	}
	out.Shape = append([]int64{int64(v.count)}, shape...)
	return out, nil
}

// columns makes a tensor of a sequence of maps: a row per map, a column per class in the order of the signature's
// Classes, which is the order in which maps iterate. Where the graph does not name the classes they are those of the
// first map, and all maps must have the same.
func (s *Session) columns(v *C.fl_value, spec fairlead.TensorSpec, m mapOutput) (fairlead.Tensor, error) {
	rows := int(v.count)
	classes := spec.Classes
	data := fairlead.MakeData(m.valueType, 0)
	for i := range rows {
		var member C.fl_value
		var cErr C.fl_error
		if C.fl_member(s.r, v.value, C.int(i), &member, &cErr) != 0 {
			return fairlead.Tensor{}, fairlead.Errorf(fairlead.CodeInternal, "read output %q: %s", spec.Name, message(&cErr))
		}
		keys, values, err := s.entries(&member, spec.Name)
		C.fl_release(s.r, member.value)
		if err != nil {
			return fairlead.Tensor{}, err
		}
		if classes == nil {
			classes = keys
		}
		if !slices.Equal(keys, classes) {
			return fairlead.Tensor{}, fairlead.Errorf(fairlead.CodeInternal,
				"output %q has classes %q in row %d and %q elsewhere", spec.Name, keys, i, classes).
				Hintf("export the model without ZipMap: skl2onnx options={%q: False}", "zipmap")
		}
		data = concat(data, values.Data)
	}
	return fairlead.Tensor{Name: spec.Name, Type: m.valueType, Shape: []int64{int64(rows), int64(len(classes))},
		Data: data}, nil
}

// entries gives a map's keys as text and its values, in the map's order.
func (s *Session) entries(m *C.fl_value, name string) (keys []string, values fairlead.Tensor, err error) {
	var parts [2]fairlead.Tensor
	for i := range parts {
		var v C.fl_value
		var cErr C.fl_error
		if C.fl_member(s.r, m.value, C.int(i), &v, &cErr) != 0 {
			return nil, values, fairlead.Errorf(fairlead.CodeInternal, "read output %q: %s", name, message(&cErr))
		}
		parts[i], err = s.tensor(&v, name)
		C.fl_release(s.r, v.value)
		if err != nil {
			return nil, values, err
		}
	}
	switch k := parts[0].Data.(type) {
	case []string:
		keys = k
	case []int64:
		keys = make([]string, len(k))
		for i, v := range k {
			keys[i] = strconv.FormatInt(v, 10)
		}
	}
	return keys, parts[1], nil
}

// concat appends one slice of tensor data to another of the same type.
func concat(data, more any) any {
	switch d := data.(type) {
	case []bool:
		return append(d, more.([]bool)...)
	case []int8:
		return append(d, more.([]int8)...)
	case []int16:
		return append(d, more.([]int16)...)
	case []int32:
		return append(d, more.([]int32)...)
	case []int64:
		return append(d, more.([]int64)...)
	case []uint8:
		return append(d, more.([]uint8)...)
	case []uint16:
		return append(d, more.([]uint16)...)
	case []uint32:
		return append(d, more.([]uint32)...)
	case []uint64:
		return append(d, more.([]uint64)...)
	case []float32:
		return append(d, more.([]float32)...)
	case []float64:
		return append(d, more.([]float64)...)
	case []string:
		return append(d, more.([]string)...)
	}
	return data
}
