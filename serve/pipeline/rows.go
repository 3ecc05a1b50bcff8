package pipeline

import (
	"fmt"

	"github.com/fairlead-ml/fairlead"
)

// gather is those rows of t. A tensor that has no row for each of the request's (a scalar, for example) stays whole.
func gather(t *fairlead.Tensor, rows []int, of int) (*fairlead.Tensor, error) {
	if len(t.Shape) == 0 || t.Rows() != of || of == 1 {
		return t, nil
	}
	out := *t
	out.Shape = append([]int64{int64(len(rows))}, t.Shape[1:]...)
	out.Data = fairlead.MakeData(t.Type, len(rows)*t.Width())
	for i, row := range rows {
		if err := copyRow(&out, i, t, row); err != nil {
			return nil, err
		}
	}
	return &out, nil
}

// copyRow copies row from of one tensor to row to of another one of the same type and width.
func copyRow(dst *fairlead.Tensor, to int, src *fairlead.Tensor, from int) error {
	return copyPart(dst, to*src.Width(), src, from)
}

// copyPart copies row from of a tensor to the elements of another one, of the same type, that start at.
func copyPart(dst *fairlead.Tensor, at int, src *fairlead.Tensor, from int) error {
	w := src.Width()
	ok := false
	switch d := dst.Data.(type) {
	case []bool:
		ok = move(d, at, src.Data, from*w, w)
	case []int8:
		ok = move(d, at, src.Data, from*w, w)
	case []int16:
		ok = move(d, at, src.Data, from*w, w)
	case []int32:
		ok = move(d, at, src.Data, from*w, w)
	case []int64:
		ok = move(d, at, src.Data, from*w, w)
	case []uint8:
		ok = move(d, at, src.Data, from*w, w)
	case []uint16:
		ok = move(d, at, src.Data, from*w, w)
	case []uint32:
		ok = move(d, at, src.Data, from*w, w)
	case []uint64:
		ok = move(d, at, src.Data, from*w, w)
	case []float32:
		ok = move(d, at, src.Data, from*w, w)
	case []float64:
		ok = move(d, at, src.Data, from*w, w)
	case []string:
		ok = move(d, at, src.Data, from*w, w)
	}
	if !ok {
		return fmt.Errorf("tensor %q of type %s holds %T", src.Name, src.Type, src.Data)
	}
	return nil
}

func move[T any](dst []T, at int, data any, from, n int) bool {
	src, ok := data.([]T)
	if ok {
		copy(dst[at:at+n], src[from:from+n])
	}
	return ok
}

// merge puts the rows that the parts hold in the order of the request: parts[i] is of rows[i]. Errors are CodeInternal:
// the parts do not fit each other or their rows.
func merge(name string, parts []*fairlead.Tensor, rows [][]int, of int) (fairlead.Tensor, error) {
	first := parts[0]
	for i, p := range parts {
		if len(p.Shape) == 0 || p.Rows() != len(rows[i]) {
			return fairlead.Tensor{}, fairlead.Errorf(fairlead.CodeInternal, "%q has shape %s for %d rows: it cannot be put together by row", name,
				fairlead.ShapeString(p.Shape), len(rows[i])).Hintf("use by: request in the switch")
		}
		if p.Type != first.Type || p.Width() != first.Width() || len(p.Shape) != len(first.Shape) {
			return fairlead.Tensor{}, fairlead.Errorf(fairlead.CodeInternal, "%q is %s %s in one case and %s %s in another", name, first.Type,
				fairlead.ShapeString(first.Shape), p.Type, fairlead.ShapeString(p.Shape))
		}
	}
	out := fairlead.Tensor{Name: name, Type: first.Type, Shape: append([]int64{int64(of)}, first.Shape[1:]...)}
	out.Data = fairlead.MakeData(first.Type, of*first.Width())
	for i, p := range parts {
		for k, row := range rows[i] {
			if err := copyRow(&out, row, p, k); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}
