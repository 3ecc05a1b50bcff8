package batch

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// unbatchable says why the requests of a model cannot be run together, "" where its signature allows it: every input and
// output has a free first dimension.
func unbatchable(sig *fairlead.Signature) string {
	check := func(kind string, specs []fairlead.TensorSpec) string {
		for _, s := range specs {
			switch {
			case s.Shape == nil:
				return fmt.Sprintf("%s %q has no known shape, so its first dimension may not be the row", kind, s.Name)
			case len(s.Shape) == 0 || s.Shape[0] >= 0:
				return fmt.Sprintf("%s %q has shape %s: its first dimension is not free", kind, s.Name, fairlead.ShapeString(s.Shape))
			}
		}
		return ""
	}
	if len(sig.Inputs) == 0 {
		return "the model has no inputs"
	}
	if why := check("input", sig.Inputs); why != "" {
		return why
	}
	return check("output", sig.Outputs)
}

// shapeOf is what requests have in common that can be run together: the types and the dimensions after the first of all
// inputs. ok is false where the inputs do not all have the request's rows as first dimension.
func shapeOf(sig *fairlead.Signature, r Request) (shape string, ok bool) {
	var room [64]byte
	key := room[:0]
	for i := range sig.Inputs {
		t := fairlead.Find(r.Inputs, sig.Inputs[i].Name)
		if t == nil || len(t.Shape) == 0 || t.Shape[0] != int64(r.Rows) || r.Rows < 1 {
			return "", false
		}
		key = append(key, t.Type...)
		for _, d := range t.Shape[1:] {
			key = binary.AppendVarint(append(key, ','), d)
		}
		key = append(key, ';')
	}
	return string(key), true
}

// join lays tensors of the same type and trailing shape end to end.
func join(parts []*fairlead.Tensor, rows int) fairlead.Tensor {
	first := parts[0]
	t := fairlead.Tensor{Name: first.Name, Type: first.Type, Shape: slices.Clone(first.Shape)}
	t.Shape[0] = int64(rows)
	n := int(fairlead.Elements(t.Shape))
	switch first.Data.(type) {
	case []bool:
		t.Data = joined[bool](parts, n)
	case []int8:
		t.Data = joined[int8](parts, n)
	case []int16:
		t.Data = joined[int16](parts, n)
	case []int32:
		t.Data = joined[int32](parts, n)
	case []int64:
		t.Data = joined[int64](parts, n)
	case []uint8:
		t.Data = joined[uint8](parts, n)
	case []uint16:
		t.Data = joined[uint16](parts, n)
	case []uint32:
		t.Data = joined[uint32](parts, n)
	case []uint64:
		t.Data = joined[uint64](parts, n)
	case []float32:
		t.Data = joined[float32](parts, n)
	case []float64:
		t.Data = joined[float64](parts, n)
	case []string:
		t.Data = joined[string](parts, n)
	}
	return t
}

func joined[T any](parts []*fairlead.Tensor, n int) []T {
	all := make([]T, 0, n)
	for _, p := range parts {
		all = append(all, p.Data.([]T)...)
	}
	return all
}

// part is rows [from,to) of t.
func part(t *fairlead.Tensor, from, to int) fairlead.Tensor {
	p := fairlead.Tensor{Name: t.Name, Type: t.Type, Shape: slices.Clone(t.Shape)}
	p.Shape[0] = int64(to - from)
	w := t.Width()
	from, to = from*w, to*w
	switch d := t.Data.(type) {
	case []bool:
		p.Data = cut(d, from, to, 1)
	case []int8:
		p.Data = cut(d, from, to, 1)
	case []int16:
		p.Data = cut(d, from, to, 2)
	case []int32:
		p.Data = cut(d, from, to, 4)
	case []int64:
		p.Data = cut(d, from, to, 8)
	case []uint8:
		p.Data = cut(d, from, to, 1)
	case []uint16:
		p.Data = cut(d, from, to, 2)
	case []uint32:
		p.Data = cut(d, from, to, 4)
	case []uint64:
		p.Data = cut(d, from, to, 8)
	case []float32:
		p.Data = cut(d, from, to, 4)
	case []float64:
		p.Data = cut(d, from, to, 8)
	case []string:
		p.Data = cut(d, from, to, 16)
	}
	return p
}

// cut shares the memory of all where that is small or the part is at least a quarter of it; else it copies, so that a
// small answer that somebody keeps does not keep a large one. What shares cannot grow into its neighbour.
func cut[T any](all []T, from, to, size int) []T {
	p := all[from:to:to]
	if len(all)*size <= 4096 || 4*len(p) >= len(all) {
		return p
	}
	return slices.Clone(p)
}
