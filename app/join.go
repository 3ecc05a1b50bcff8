package app

import (
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// joinRows is about how many rows are joined into one prediction.
const joinRows = 4096

// join makes one prediction of the first ones of the list, for counting: their rows and tensors after each other, where
// they have one role and tensors of one form. Counting a column is cheap over many rows and dear over one at a time.
// It gives the rest of the list too. The first one is returned itself if no other goes with it.
func join(preds []*fairlead.Prediction) (joined *fairlead.Prediction, rest []*fairlead.Prediction) {
	first, n := preds[0], 1
	rows := len(first.Rows)
	for n < len(preds) && rows < joinRows && whole(first) && alike(first, preds[n]) {
		rows += len(preds[n].Rows)
		n++
	}
	if n == 1 {
		return first, preds[1:]
	}
	out := *first
	out.Rows = make([]fairlead.RowMeta, 0, rows)
	for _, p := range preds[:n] {
		for _, row := range p.Rows {
			if row.Time.IsZero() {
				row.Time = p.Received
			}
			out.Rows = append(out.Rows, row)
		}
	}
	inputs := func(p *fairlead.Prediction) []fairlead.Tensor { return p.Inputs }
	outputs := func(p *fairlead.Prediction) []fairlead.Tensor { return p.Outputs }
	out.Inputs, out.Outputs = joinTensors(preds[:n], inputs, rows), joinTensors(preds[:n], outputs, rows)
	return &out, preds[n:]
}

// whole says that every tensor has all of its prediction's rows.
func whole(p *fairlead.Prediction) bool {
	for _, tensors := range [][]fairlead.Tensor{p.Inputs, p.Outputs} {
		for i := range tensors {
			t := &tensors[i]
			if len(t.Shape) == 0 || t.Rows() != len(p.Rows) || t.Width() < 0 || t.Len() != len(p.Rows)*t.Width() {
				return false
			}
		}
	}
	return true
}

// alike says that p's rows can stand below those of the whole prediction first.
func alike(first, p *fairlead.Prediction) bool {
	same := func(a, b fairlead.Tensor) bool {
		return a.Name == b.Name && a.Type == b.Type && len(b.Shape) > 0 && slices.Equal(a.Shape[1:], b.Shape[1:])
	}
	return p.Role == first.Role && slices.EqualFunc(first.Inputs, p.Inputs, same) &&
		slices.EqualFunc(first.Outputs, p.Outputs, same) && whole(p)
}

func joinTensors(preds []*fairlead.Prediction, of func(*fairlead.Prediction) []fairlead.Tensor, rows int) []fairlead.Tensor {
	out := slices.Clone(of(preds[0]))
	for i := range out {
		t := &out[i]
		width := t.Width()
		t.Shape = append([]int64{int64(rows)}, t.Shape[1:]...)
		t.Data = fairlead.MakeData(t.Type, rows*width)
		at := 0
		for _, p := range preds {
			copyData(t.Data, at, of(p)[i].Data)
			at += len(p.Rows) * width
		}
	}
	return out
}

// copyData copies from to the elements of to from at on; both have one type.
func copyData(to any, at int, from any) {
	switch d := to.(type) {
	case []bool:
		copyFrom(d[at:], from)
	case []int8:
		copyFrom(d[at:], from)
	case []int16:
		copyFrom(d[at:], from)
	case []int32:
		copyFrom(d[at:], from)
	case []int64:
		copyFrom(d[at:], from)
	case []uint8:
		copyFrom(d[at:], from)
	case []uint16:
		copyFrom(d[at:], from)
	case []uint32:
		copyFrom(d[at:], from)
	case []uint64:
		copyFrom(d[at:], from)
	case []float32:
		copyFrom(d[at:], from)
	case []float64:
		copyFrom(d[at:], from)
	case []string:
		copyFrom(d[at:], from)
	}
}

func copyFrom[T any](to []T, from any) {
	if s, ok := from.([]T); ok {
		copy(to, s)
	}
}
