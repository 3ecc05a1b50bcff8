package engine

import (
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Check says whether tensors are a set of inputs for a model of that signature: each input exactly once, of its type
// and of a shape that fits, with as much data as the shape says. The errors are CodeInvalid and name the input, what
// the model takes and what came.
func Check(sig *fairlead.Signature, in []fairlead.Tensor) error {
	for i := range in {
		t := &in[i]
		spec := sig.Input(t.Name)
		if spec == nil {
			return fairlead.Invalid("the model has no input %q", t.Name).Hintf("its inputs are %s", describe(sig.Inputs))
		}
		if slices.ContainsFunc(in[:i], func(o fairlead.Tensor) bool { return o.Name == t.Name }) {
			return fairlead.Invalid("input %q came twice", t.Name)
		}
		if err := checkTensor(spec, t); err != nil {
			return err
		}
	}
	for i := range sig.Inputs {
		if fairlead.Find(in, sig.Inputs[i].Name) == nil {
			return fairlead.Invalid("input %q is missing", sig.Inputs[i].Name).
				Hintf("the model's inputs are %s", describe(sig.Inputs))
		}
	}
	return nil
}

// CheckOutputs says whether the model has all these outputs, each asked for once.
func CheckOutputs(sig *fairlead.Signature, names []string) error {
	for i, name := range names {
		if sig.Output(name) == nil {
			return fairlead.Invalid("the model has no output %q", name).Hintf("its outputs are %s", describe(sig.Outputs))
		}
		if slices.Contains(names[:i], name) {
			return fairlead.Invalid("output %q is asked for twice", name)
		}
	}
	return nil
}

func checkTensor(spec *fairlead.TensorSpec, t *fairlead.Tensor) error {
	if t.Type != spec.Type {
		return fairlead.Invalid("input %q takes %s, but %s came", t.Name, spec.Type, t.Type).
			Hintf("set \"datatype\" to %q and send values of that type", spec.Type)
	}
	if !Fits(spec.Shape, t.Shape) {
		return shapeError(spec, t.Shape)
	}
	if !holds(t) {
		return fairlead.Invalid("input %q says %s, but its data are %T", t.Name, t.Type, t.Data)
	}
	if n := fairlead.Elements(t.Shape); int64(t.Len()) != n {
		return fairlead.Invalid("input %q has shape %s, which is %d values, but %d came",
			t.Name, fairlead.ShapeString(t.Shape), n, t.Len())
	}
	return nil
}

// holds says whether the data are of the Go type that belongs to the element type.
func holds(t *fairlead.Tensor) bool {
	switch t.Data.(type) {
	case []bool:
		return t.Type == fairlead.Bool
	case []int8:
		return t.Type == fairlead.Int8
	case []int16:
		return t.Type == fairlead.Int16
	case []int32:
		return t.Type == fairlead.Int32
	case []int64:
		return t.Type == fairlead.Int64
	case []uint8:
		return t.Type == fairlead.Uint8
	case []uint16:
		return t.Type == fairlead.Uint16 || t.Type == fairlead.FP16 || t.Type == fairlead.BF16
	case []uint32:
		return t.Type == fairlead.Uint32
	case []uint64:
		return t.Type == fairlead.Uint64
	case []float32:
		return t.Type == fairlead.FP32
	case []float64:
		return t.Type == fairlead.FP64
	case []string:
		return t.Type == fairlead.Bytes
	}
	return false
}

func shapeError(spec *fairlead.TensorSpec, got []int64) error {
	err := fairlead.Invalid("input %q takes shape %s, but %s came", spec.Name,
		fairlead.ShapeString(spec.Shape), fairlead.ShapeString(got))
	switch {
	case len(spec.Shape) > 1 && Fits(spec.Shape[1:], got):
		return err.Hintf("the first dimension is the row: for one row send shape %s",
			fairlead.ShapeString(append([]int64{1}, got...)))
	case len(got) != len(spec.Shape):
		return err.Hintf("it has %d dimensions, the first is the row; ? is any size", len(spec.Shape))
	case len(got) > 0 && spec.Shape[0] >= 0 && got[0] != spec.Shape[0] && Fits(spec.Shape[1:], got[1:]):
		if spec.Shape[0] == 1 {
			return err.Hintf("the model was exported with a fixed batch of 1: send one row per request, " +
				"or export it with a free first dimension")
		}
		return err.Hintf("the model was exported with a fixed batch: send exactly %d rows", spec.Shape[0])
	case len(spec.Features) > 0:
		return err.Hintf("the columns of a row are %s", list(spec.Features, 20))
	}
	return err.Hintf("? is any size")
}

// Fits says whether a tensor of shape got can be given where spec is expected. A nil spec takes anything.
func Fits(spec, got []int64) bool {
	if spec == nil {
		return true
	}
	if len(spec) != len(got) {
		return false
	}
	for i, d := range spec {
		if got[i] < 0 || d >= 0 && got[i] != d {
			return false
		}
	}
	return true
}

// describe lists specs as: "a" FP32 [?,2], "b" BYTES [?].
func describe(specs []fairlead.TensorSpec) string {
	parts := make([]string, len(specs))
	for i, s := range specs {
		parts[i] = `"` + s.Name + `" ` + string(s.Type) + " " + fairlead.ShapeString(s.Shape)
	}
	return list(parts, 10)
}

func list(names []string, most int) string {
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
