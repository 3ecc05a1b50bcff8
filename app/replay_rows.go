package app

import (
	"fmt"
	"math"
	"strconv"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/watch/replay"
)

// This file makes tensors of recorded values, and answers of tensors.

// replayable are the types whose stored values are those that came.
func replayable(t fairlead.DataType) bool {
	switch t {
	case fairlead.FP16, fairlead.BF16:
		return false
	}
	return true
}

// replayInputs puts recorded rows into the tensors that a signature asks for. values has the columns of its inputs first, in
// the signature's order.
func replayInputs(sig *fairlead.Signature, values [][]any, rows []int) ([]fairlead.Tensor, error) {
	tensors := make([]fairlead.Tensor, 0, len(sig.Inputs))
	at := 0
	for _, in := range sig.Inputs {
		width := max(in.Width(), 1)
		t := fairlead.Tensor{Name: in.Name, Type: in.Type, Data: fairlead.MakeData(in.Type, len(rows)*width), Shape: []int64{int64(len(rows))}}
		if len(in.Shape) > 1 {
			t.Shape = append(t.Shape, in.Shape[1:]...)
		}
		columns := max(len(in.Features), 1)
		for n, i := range rows {
			for c := range columns {
				if err := putRecorded(t.Data, n*width+c, width/columns, values[at+c][i]); err != nil {
					return nil, fmt.Errorf("input %s: %w", in.Name, err)
				}
			}
		}
		at += columns
		tensors = append(tensors, t)
	}
	return tensors, nil
}

// putRecorded puts one value, or the list of a whole tensor's row, at i.
func putRecorded(data any, i, width int, v any) error {
	list, ok := v.([]any)
	if !ok {
		return putOne(data, i, v)
	}
	if len(list) != width {
		return fairlead.Errorf(fairlead.CodeConflict, "a recorded row has %d elements, expected %d", len(list), width)
	}
	for j, e := range list {
		if err := putOne(data, i+j, e); err != nil {
			return err
		}
	}
	return nil
}

func putOne(data any, i int, v any) error {
	switch d := data.(type) {
	case []string:
		d[i] = fmt.Sprint(v)
		return nil
	case []bool:
		b, ok := v.(bool)
		if !ok {
			b = fmt.Sprint(v) == "true"
		}
		d[i] = b
		return nil
	}
	x, err := recordedNumber(v)
	if err != nil {
		return err
	}
	switch d := data.(type) {
	case []float32:
		d[i] = float32(x)
	case []float64:
		d[i] = x
	case []int64:
		if n, ok := v.(int64); ok {
			d[i] = n // not through a float
			return nil
		}
		d[i] = int64(x)
	case []uint64:
		if n, ok := v.(uint64); ok {
			d[i] = n
			return nil
		}
		d[i] = uint64(x)
	case []int32:
		d[i] = int32(x)
	case []int16:
		d[i] = int16(x)
	case []int8:
		d[i] = int8(x)
	case []uint32:
		d[i] = uint32(x)
	case []uint16:
		d[i] = uint16(x)
	case []uint8:
		d[i] = uint8(x)
	default:
		return fairlead.Errorf(fairlead.CodeUnsupported, "inputs of type %T cannot be replayed", data)
	}
	return nil
}

// recordedNumber is a stored value as a number: also one that another version of the model took as a text.
func recordedNumber(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case float32:
		return float64(v), nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	}
	x, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	if err != nil {
		return 0, fairlead.Errorf(fairlead.CodeConflict, "the recorded value %.40q is no number", fmt.Sprint(v)).
			Hintf("the input was a text when it was recorded")
	}
	return x, nil
}

// pair is row i of a batch and row n of what the version answered.
func (r *replayRun) pair(b *evalstore.RecordedBatch, i int, outputs []fairlead.Tensor, n int) replay.Pair {
	p := replay.Pair{ID: b.ID[i], Recorded: replay.Answer{Score: b.Score[i], Class: b.Predicted[i]}, Replayed: replay.Answer{Score: math.NaN()}}
	if f, ok := r.sig.Score(); ok {
		p.Replayed.Score = outputNumber(outputs, f, n)
	}
	if f, ok := labelField(&r.sig); ok {
		p.Replayed.Class = outputText(outputs, f, n)
	} else if len(r.classes) > 0 {
		p.Recorded.Class, p.Replayed.Class = r.argmax(b, i, outputs, n)
	}
	if p.Recorded.Class == "" || p.Replayed.Class == "" { // one of them decides by the threshold, so both do
		p.Recorded.Class, p.Replayed.Class = "", ""
	}
	for _, c := range r.segments {
		p.Segments = append(p.Segments, fmt.Sprintf("%s=%v", r.recording.Fields[c].Name, b.Values[c][i]))
	}
	return p
}

// argmax is the class of the largest score, recorded and replayed; "" where a score is missing.
func (r *replayRun) argmax(b *evalstore.RecordedBatch, i int, outputs []fairlead.Tensor, n int) (recorded, replayed string) {
	bestRecorded, bestReplayed := math.Inf(-1), math.Inf(-1)
	at := 0
	for _, f := range r.sig.Fields() {
		if !f.Output || f.Role != fairlead.RoleScore {
			continue
		}
		x, err := recordedNumber(b.Values[r.classes[at]][i])
		if err != nil || b.Values[r.classes[at]][i] == nil {
			return "", ""
		}
		if x > bestRecorded {
			bestRecorded, recorded = x, f.Name
		}
		if y := outputNumber(outputs, f, n); y > bestReplayed {
			bestReplayed, replayed = y, f.Name
		}
		at++
	}
	return recorded, replayed
}

func outputNumber(outputs []fairlead.Tensor, f fairlead.Field, row int) float64 {
	t := fairlead.Find(outputs, f.Tensor)
	if t == nil {
		return math.NaN()
	}
	x, ok := t.Float(row*t.Width() + f.Index)
	if !ok {
		return math.NaN()
	}
	return x
}

// outputText is a label as labels are written.
func outputText(outputs []fairlead.Tensor, f fairlead.Field, row int) string {
	t := fairlead.Find(outputs, f.Tensor)
	if t == nil {
		return ""
	}
	at := row*t.Width() + f.Index
	switch d := t.Data.(type) {
	case []string:
		return d[at]
	case []bool:
		return strconv.FormatBool(d[at])
	case []int64:
		return strconv.FormatInt(d[at], 10)
	case []uint64:
		return strconv.FormatUint(d[at], 10)
	}
	x, ok := t.Float(at)
	if !ok {
		return ""
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}
