package grpcd

import (
	"fmt"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve/codec"
)

// tensors reads the inputs of a request, raw or typed. All errors are CodeInvalid or CodeUnsupported.
func tensors(req *oip.ModelInferRequest) ([]fairlead.Tensor, error) {
	raw := req.RawInputContents
	if n := len(raw); n > 0 && n != len(req.Inputs) {
		return nil, fairlead.Invalid("raw_input_contents has %d entries for %d inputs", n, len(req.Inputs)).
			Hintf("send one entry per input, in their order")
	}
	ts := make([]fairlead.Tensor, len(req.Inputs))
	for i, in := range req.Inputs {
		if in.GetName() == "" {
			return nil, fairlead.Invalid("inputs[%d] has no name", i)
		}
		err := noSharedMemory("input", in.Name, in.Parameters)
		switch {
		case err != nil:
		case len(raw) == 0:
			ts[i], err = typed(in)
		case in.Contents != nil:
			err = fairlead.Invalid("contents field must not be specified when using raw_input_contents for '%.60s'", in.Name).
				Hintf("send the values of all inputs raw, or of all in contents")
		default:
			ts[i], err = codec.DecodeBinary(in.Name, fairlead.DataType(in.Datatype), in.Shape, raw[i])
		}
		if err != nil {
			return nil, err
		}
	}
	return ts, nil
}

// field is one field of InferTensorContents: its name in the protocol and how many values it has.
type field struct {
	name string
	n    int
}

func fields(c *oip.InferTensorContents) []field {
	return []field{
		{"bool_contents", len(c.GetBoolContents())}, {"int_contents", len(c.GetIntContents())},
		{"int64_contents", len(c.GetInt64Contents())}, {"uint_contents", len(c.GetUintContents())},
		{"uint64_contents", len(c.GetUint64Contents())}, {"fp32_contents", len(c.GetFp32Contents())},
		{"fp64_contents", len(c.GetFp64Contents())}, {"bytes_contents", len(c.GetBytesContents())},
	}
}

// fieldOf is where the values of a type go; "" for FP16 and BF16.
func fieldOf(t fairlead.DataType) string {
	switch t {
	case fairlead.Bool:
		return "bool_contents"
	case fairlead.Int8, fairlead.Int16, fairlead.Int32:
		return "int_contents"
	case fairlead.Int64:
		return "int64_contents"
	case fairlead.Uint8, fairlead.Uint16, fairlead.Uint32:
		return "uint_contents"
	case fairlead.Uint64:
		return "uint64_contents"
	case fairlead.FP32:
		return "fp32_contents"
	case fairlead.FP64:
		return "fp64_contents"
	case fairlead.Bytes:
		return "bytes_contents"
	}
	return ""
}

// typed reads an input whose values are in its contents.
func typed(in *oip.ModelInferRequest_InferInputTensor) (fairlead.Tensor, error) {
	t := fairlead.Tensor{Name: in.Name, Type: fairlead.DataType(in.Datatype), Shape: in.Shape}
	n, err := codec.CheckHead(t.Name, t.Type, t.Shape)
	if err != nil {
		return t, err
	}
	want, has := fieldOf(t.Type), 0
	if want == "" {
		return t, fairlead.Invalid("input %.60q is %s, which goes only as raw_input_contents", t.Name, t.Type).
			Hintf("send 2 little-endian bytes per element there")
	}
	var others []string
	for _, f := range fields(in.Contents) {
		switch {
		case f.name == want:
			has = f.n
		case f.n > 0:
			others = append(others, f.name)
		}
	}
	if len(others) > 0 {
		return t, fairlead.Invalid("input %.60q is %s, whose values go in %s, but %s came", t.Name, t.Type, want,
			strings.Join(others, " and "))
	}
	if has != n {
		return t, fairlead.Invalid("input %.60q has shape %s, which is %d values, but its %s has %d", t.Name,
			fairlead.ShapeString(t.Shape), n, want, has).
			Hintf("send all values there, or all of the request in raw_input_contents")
	}
	t.Data, err = data(t.Type, in.Contents)
	if err != nil {
		return t, fairlead.Invalid("input %.60q: %v", t.Name, err)
	}
	return t, nil
}

// data gives the values of a type's field. Where the Go types agree they are the message's own.
func data(t fairlead.DataType, c *oip.InferTensorContents) (any, error) {
	switch t {
	case fairlead.Bool:
		return orEmpty(c.GetBoolContents()), nil
	case fairlead.Int8:
		return narrow[int8](t, c.GetIntContents())
	case fairlead.Int16:
		return narrow[int16](t, c.GetIntContents())
	case fairlead.Int32:
		return orEmpty(c.GetIntContents()), nil
	case fairlead.Int64:
		return orEmpty(c.GetInt64Contents()), nil
	case fairlead.Uint8:
		return narrow[uint8](t, c.GetUintContents())
	case fairlead.Uint16:
		return narrow[uint16](t, c.GetUintContents())
	case fairlead.Uint32:
		return orEmpty(c.GetUintContents()), nil
	case fairlead.Uint64:
		return orEmpty(c.GetUint64Contents()), nil
	case fairlead.FP32:
		return orEmpty(c.GetFp32Contents()), nil
	case fairlead.FP64:
		return orEmpty(c.GetFp64Contents()), nil
	}
	elements := make([]string, len(c.GetBytesContents()))
	for i, b := range c.GetBytesContents() {
		elements[i] = string(b)
	}
	return elements, nil
}

func orEmpty[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

// narrow converts to a smaller integer; the error says which value does not fit.
func narrow[T int8 | int16 | uint8 | uint16, S int32 | uint32](t fairlead.DataType, wide []S) ([]T, error) {
	values := make([]T, len(wide))
	for i, v := range wide {
		values[i] = T(v)
		if S(values[i]) != v {
			return nil, fmt.Errorf("value %d is %d, which no %s holds", i, v, t)
		}
	}
	return values, nil
}
