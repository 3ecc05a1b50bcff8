package eventlog

import (
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Matches says what is wrong with rows as those of a model with the signature sig: the error is CodeInvalid where their
// columns are not the ones that EncodePredictions makes of it.
func (r *Rows) Matches(sig *fairlead.Signature) error {
	want := columnsOf(sig)
	same := func(a, b Column) bool {
		return a.Field == b.Field && slices.Equal(a.Shape, b.Shape) && (a.Shape == nil) == (b.Shape == nil)
	}
	if slices.EqualFunc(r.Columns, want, same) {
		return nil
	}
	return fairlead.Invalid("the rows have other columns than the model").
		Hintf("expected %s, got %s", columnText(want), columnText(r.Columns))
}

func columnText(all []Column) string {
	var names []string
	for _, c := range all {
		names = append(names, c.Field.Name+" "+string(c.Field.Type))
	}
	if len(names) > 20 {
		names = append(names[:20], "… ("+strconv.Itoa(len(all))+")")
	}
	return strings.Join(names, ", ")
}

// Prediction gives scalar columns and tensors back their form: one prediction of N rows with the columns' values, what
// belongs to the same tensor next to each other. A tensor of which only some columns are stored has zeros in the others;
// one without any value is left out.
func (r *Rows) Prediction(sig *fairlead.Signature) *fairlead.Prediction {
	p := &fairlead.Prediction{Deployment: r.Deployment, Model: r.Model, Version: r.Version, Digest: r.Digest, Rows: make([]fairlead.RowMeta, r.N)}
	for i := range r.N {
		p.Rows[i] = fairlead.RowMeta{ID: r.ID[i], Time: r.EventTime[i], Key: r.Key[i], Tags: r.Tags[i]}
	}
	if r.N > 0 {
		p.ID, p.Role, p.Variant, p.Received = r.Request[0], r.Role[0], r.Variant[0], r.Received[0]
	}
	p.Inputs, p.Outputs = r.tensors(sig.Inputs, false), r.tensors(sig.Outputs, true)
	return p
}

func (r *Rows) tensors(specs []fairlead.TensorSpec, output bool) []fairlead.Tensor {
	var out []fairlead.Tensor
	for _, s := range specs {
		var columns []*Column
		for i := range r.Columns {
			if c := &r.Columns[i]; c.Field.Tensor == s.Name && c.Field.Output == output && c.Shape == nil && !slices.Contains(c.Null, true) {
				columns = append(columns, c)
			}
		}
		width := max(1, s.Width())
		if len(columns) == 0 {
			continue
		}
		t := fairlead.Tensor{Name: s.Name, Type: s.Type, Shape: []int64{int64(r.N)}, Data: fairlead.MakeData(s.Type, r.N*width)}
		for _, d := range s.Shape[min(1, len(s.Shape)):] {
			t.Shape = append(t.Shape, max(1, d))
		}
		for _, c := range columns {
			if c.Field.Index < width {
				spread(t.Data, c.Data, c.Field.Index, width)
			}
		}
		out = append(out, t)
	}
	return out
}

// spread writes a column into its place in each row of a tensor.
func spread(to, from any, index, width int) {
	switch d := to.(type) {
	case []bool:
		spreadInto(d, from, index, width)
	case []int8:
		spreadInto(d, from, index, width)
	case []int16:
		spreadInto(d, from, index, width)
	case []int32:
		spreadInto(d, from, index, width)
	case []int64:
		spreadInto(d, from, index, width)
	case []uint8:
		spreadInto(d, from, index, width)
	case []uint16:
		spreadInto(d, from, index, width)
	case []uint32:
		spreadInto(d, from, index, width)
	case []uint64:
		spreadInto(d, from, index, width)
	case []float32:
		spreadInto(d, from, index, width)
	case []float64:
		spreadInto(d, from, index, width)
	case []string:
		spreadInto(d, from, index, width)
	}
}

func spreadInto[T any](to []T, from any, index, width int) {
	values, _ := from.([]T)
	for i, v := range values {
		to[i*width+index] = v
	}
}
