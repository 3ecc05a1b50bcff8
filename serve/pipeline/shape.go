package pipeline

import (
	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// unify is the shape of a tensor that is to be both a and b, where -1 is any size and a nil shape anything; false if none is.
func unify(a, b []int64) ([]int64, bool) {
	if a == nil || b == nil {
		if a == nil {
			a = b
		}
		return a, true
	}
	if len(a) != len(b) {
		return nil, false
	}
	out := make([]int64, len(a))
	for i := range a {
		switch {
		case a[i] < 0:
			out[i] = b[i]
		case b[i] < 0 || a[i] == b[i]:
			out[i] = a[i]
		default:
			return nil, false
		}
	}
	return out, true
}

// column turns [n] into [n,1] and the other way round, nil for any other shape: rows of one value are both.
func column(shape []int64) []int64 {
	switch {
	case len(shape) == 1:
		return []int64{shape[0], 1}
	case len(shape) == 2 && shape[1] == 1:
		return []int64{shape[0]}
	}
	return nil
}

// fits says whether a tensor of shape from can be given where to is expected, as it is or as a column.
func fits(from, to []int64) bool {
	if _, ok := unify(from, to); ok {
		return true
	}
	as := column(from)
	if as == nil {
		return false
	}
	_, ok := unify(as, to)
	return ok
}

// seen is t under another name, and as a column where the shape wanted asks for it. It shares t's memory.
func seen(t *fairlead.Tensor, name string, want []int64) fairlead.Tensor {
	out := *t
	out.Name = name
	if want != nil && !engine.Fits(want, t.Shape) {
		if as := column(t.Shape); as != nil && engine.Fits(want, as) {
			out.Shape = as
		}
	}
	return out
}
