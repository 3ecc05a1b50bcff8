package eventlog

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog/keep"
)

// formatSampled is the version of a message whose rows were chosen by chance: probabilityField follows the metaFields.
const formatSampled = 2

var probabilityField = arrow.Field{Name: "selection_probability", Type: arrow.PrimitiveTypes.Float64}

func encodeProbability(preds []*fairlead.Prediction, n int) arrow.Array {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	b.Reserve(n)
	for _, p := range preds {
		for i := range p.Rows {
			if p.Probability == nil {
				b.UnsafeAppend(1)
			} else {
				b.UnsafeAppend(p.Probability[i])
			}
		}
	}
	return b.NewArray()
}

func (r *Rows) decodeProbability(rec arrow.RecordBatch, at int) error {
	if int(rec.NumCols()) <= at {
		return fmt.Errorf("%d columns, expected %s too", rec.NumCols(), probabilityField.Name)
	}
	col, ok := rec.Column(at).(*array.Float64)
	if got := rec.Schema().Field(at); !ok || got.Name != probabilityField.Name {
		return fmt.Errorf("column %d is %s %s, expected %s", at, got.Name, got.Type, probabilityField.Name)
	}
	r.Probability = append(make([]float64, 0, r.N), col.Float64Values()...)
	for i, p := range r.Probability {
		if !(p > 0 && p <= 1) {
			return fmt.Errorf("row %d was chosen with probability %g", i, p)
		}
	}
	return nil
}

// redact gives a column without what the rule hides. A hash makes a column of texts of it.
func redact(c *Column, arr arrow.Array, rule *keep.Rule, policy *keep.Policy) arrow.Array {
	text, isText := arr.(*array.Binary)
	if rule.Action == keep.Drop || rule.Action == keep.Truncate && !isText {
		b := array.NewBuilder(memory.DefaultAllocator, arr.DataType())
		b.AppendNulls(arr.Len())
		return b.NewArray()
	}
	out := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	for i := range arr.Len() {
		switch {
		case arr.IsNull(i):
			out.AppendNull()
		case rule.Action == keep.Truncate:
			out.AppendString(keep.Cut(string(text.Value(i)), rule.Bytes))
		case isText:
			out.AppendString(policy.Hashed(text.Value(i)))
		default:
			out.AppendString(policy.Hashed([]byte(arr.ValueStr(i))))
		}
	}
	if rule.Action == keep.Hash {
		c.Field.Type, c.Shape = fairlead.Bytes, nil
	}
	return out.NewArray()
}

// summaryNames are the columns of a summary, behind the name of the tensor and a dot.
var summaryNames = [...]string{"count", "mean", "std", "min", "max"}

// summarise adds the columns of a summary where a row of the tensor is longer than the policy allows.
func summarise(c *Column, src *source, add func(*Column, arrow.Array)) {
	if !src.cut {
		return
	}
	count := array.NewInt64Builder(memory.DefaultAllocator)
	var others [4]*array.Float64Builder
	for i := range others {
		others[i] = array.NewFloat64Builder(memory.DefaultAllocator)
	}
	for _, p := range src.preds {
		tensors := p.Inputs
		if c.Field.Output {
			tensors = p.Outputs
		}
		t := fairlead.Find(tensors, c.Field.Tensor)
		if t == nil || t.Type != c.Field.Type || t.Rows() != len(p.Rows) || t.Width() <= src.values || t.Len() != t.Width()*len(p.Rows) {
			count.AppendNulls(len(p.Rows))
			for _, b := range others {
				b.AppendNulls(len(p.Rows))
			}
			continue
		}
		for i := range p.Rows {
			s := keep.Summarise(t, i)
			count.Append(int64(s.Count))
			for k, v := range [...]float64{s.Mean, s.Std, s.Min, s.Max} {
				others[k].Append(v)
			}
		}
	}
	for i, name := range summaryNames {
		// No Role and no tensor: it is nothing that a model takes or gives.
		col := &Column{Field: fairlead.Field{Name: c.Field.Name + "." + name, Output: c.Field.Output, Type: fairlead.FP64}}
		if i == 0 {
			col.Field.Type = fairlead.Int64
			add(col, count.NewArray())
			continue
		}
		add(col, others[i-1].NewArray())
	}
}
