package loadgen

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"

	"github.com/fairlead-ml/fairlead"
)

type bodyTensor struct {
	Name       string            `json:"name"`
	Shape      []int64           `json:"shape"`
	Datatype   fairlead.DataType `json:"datatype"`
	Parameters map[string]any    `json:"parameters,omitempty"`
	Data       json.RawMessage   `json:"data,omitempty"`
}

// JSONBody is an inference request with its values as JSON, flat.
func JSONBody(in []fairlead.Tensor) ([]byte, error) {
	tensors := make([]bodyTensor, len(in))
	for i := range in {
		tensors[i] = bodyTensor{Name: in[i].Name, Shape: in[i].Shape, Datatype: in[i].Type, Data: jsonValues(&in[i])}
	}
	return json.Marshal(map[string]any{"inputs": tensors})
}

// BinaryBody is an inference request with its values as binary tensors behind the JSON, asking for binary outputs.
// The second result is the length of the JSON, for the header Inference-Header-Content-Length.
func BinaryBody(in []fairlead.Tensor) ([]byte, int, error) {
	tensors := make([]bodyTensor, len(in))
	var blobs []byte
	for i := range in {
		raw := Raw(&in[i])
		blobs = append(blobs, raw...)
		tensors[i] = bodyTensor{Name: in[i].Name, Shape: in[i].Shape, Datatype: in[i].Type,
			Parameters: map[string]any{"binary_data_size": len(raw)}}
	}
	head, err := json.Marshal(map[string]any{"inputs": tensors, "parameters": map[string]any{"binary_data_output": true}})
	return append(head, blobs...), len(head), err
}

// Raw is a tensor's values as the protocol's binary form: little-endian, row-major; each element of BYTES behind its
// length in four bytes.
func Raw(t *fairlead.Tensor) []byte {
	if d, ok := t.Data.([]string); ok {
		var b []byte
		for _, s := range d {
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
		}
		return b
	}
	b, err := binary.Append(nil, binary.LittleEndian, t.Data)
	if err != nil {
		panic(err) // the other types of Tensor.Data all have a fixed size
	}
	return b
}

func jsonValues(t *fairlead.Tensor) json.RawMessage {
	b := []byte{'['}
	for i := range t.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		switch d := t.Data.(type) {
		case []string:
			s, _ := json.Marshal(d[i]) // a string always can
			b = append(b, s...)
		case []bool:
			b = strconv.AppendBool(b, d[i])
		case []int64:
			b = strconv.AppendInt(b, d[i], 10)
		case []uint64:
			b = strconv.AppendUint(b, d[i], 10)
		case []float64:
			b = strconv.AppendFloat(b, d[i], 'g', -1, 64)
		default:
			f, _ := t.Float(i)
			b = strconv.AppendFloat(b, f, 'g', -1, 32)
		}
	}
	return append(b, ']')
}

// ParseInputs reads the tensors of an inference request that somebody wrote, nested or flat, so that it can be sent in
// another form. NaN and the infinities, which JSON does not have, are not read.
func ParseInputs(body []byte) ([]fairlead.Tensor, error) {
	var request struct {
		Inputs []bodyTensor `json:"inputs"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, fairlead.Invalid("the input is not a JSON request: %v", err).Hintf("expected {\"inputs\":[{\"name\":…,\"shape\":[…],\"datatype\":…,\"data\":[…]}]}")
	}
	if len(request.Inputs) == 0 {
		return nil, fairlead.Invalid("the input has no \"inputs\"").Hintf("only a request of tensors can be sent in binary form; leave --binary and --grpc away for \"instances\"")
	}
	tensors := make([]fairlead.Tensor, len(request.Inputs))
	for i, in := range request.Inputs {
		want := fairlead.Elements(in.Shape)
		t := fairlead.Tensor{Name: in.Name, Type: in.Datatype, Shape: in.Shape}
		values, err := leaves(in.Data)
		if err != nil {
			return nil, fairlead.Invalid("input %q: %v", in.Name, err).Hintf("data is an array of numbers, strings or booleans")
		}
		if want != int64(len(values)) {
			return nil, fairlead.Invalid("input %q: shape %v has %d elements, but data has %d", in.Name, in.Shape, want, len(values)).Hintf("correct one of the two")
		}
		if t.Data = fairlead.MakeData(in.Datatype, len(values)); t.Data == nil {
			return nil, fairlead.Invalid("input %q: the datatype %q is not known", in.Name, in.Datatype).Hintf("use BOOL, INT8 … UINT64, FP16, BF16, FP32, FP64 or BYTES")
		}
		for j, v := range values {
			if err := setValue(&t, j, v); err != nil {
				return nil, fairlead.Invalid("input %q: element %d is %v: %v", in.Name, j, v, err).Hintf("the input's datatype is %s", in.Datatype)
			}
		}
		tensors[i] = t
	}
	return tensors, nil
}

// leaves flattens nested arrays.
func leaves(data json.RawMessage) ([]any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	return flatten(nil, tree), nil
}

func flatten(to []any, tree any) []any {
	if list, ok := tree.([]any); ok {
		for _, v := range list {
			to = flatten(to, v)
		}
		return to
	}
	return append(to, tree)
}

// setValue sets element i of a tensor to a leaf of JSON.
func setValue(t *fairlead.Tensor, i int, v any) error {
	switch leaf := v.(type) {
	case string:
		if d, ok := t.Data.([]string); ok {
			d[i] = leaf
			return nil
		}
	case bool:
		if d, ok := t.Data.([]bool); ok {
			d[i] = leaf
			return nil
		}
	case json.Number:
		return setNumber(t, i, leaf.String())
	}
	return strconv.ErrSyntax
}

func setNumber(t *fairlead.Tensor, i int, s string) (err error) {
	switch d := t.Data.(type) {
	case []float32:
		d[i], err = parsed[float32](strconv.ParseFloat(s, 32))
	case []float64:
		d[i], err = strconv.ParseFloat(s, 64)
	case []int8:
		d[i], err = parsed[int8](strconv.ParseInt(s, 10, 8))
	case []int16:
		d[i], err = parsed[int16](strconv.ParseInt(s, 10, 16))
	case []int32:
		d[i], err = parsed[int32](strconv.ParseInt(s, 10, 32))
	case []int64:
		d[i], err = strconv.ParseInt(s, 10, 64)
	case []uint8:
		d[i], err = parsed[uint8](strconv.ParseUint(s, 10, 8))
	case []uint16:
		if t.Type == fairlead.BF16 {
			var f float64
			f, err = strconv.ParseFloat(s, 32)
			d[i] = uint16(math.Float32bits(float32(f)) >> 16) // toward zero: load does not depend on the last bit
			return err
		}
		if t.Type == fairlead.FP16 {
			return fairlead.Invalid("FP16 values cannot be read from a file").Hintf("leave --input away for seeded values")
		}
		d[i], err = parsed[uint16](strconv.ParseUint(s, 10, 16))
	case []uint32:
		d[i], err = parsed[uint32](strconv.ParseUint(s, 10, 32))
	case []uint64:
		d[i], err = strconv.ParseUint(s, 10, 64)
	default:
		err = strconv.ErrSyntax
	}
	return err
}

func parsed[To, From int64 | uint64 | float64 | float32 | int8 | int16 | int32 | uint8 | uint16 | uint32](v From, err error) (To, error) {
	return To(v), err
}
