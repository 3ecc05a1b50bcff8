package e2e

import (
	bin "encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fairlead-ml/fairlead/conformance/wire"
)

// datatypes by the number that TensorProto has for them.
var datatypes = map[uint64]string{
	1: "FP32", 2: "UINT8", 3: "INT8", 4: "UINT16", 5: "INT16", 6: "INT32", 7: "INT64", 8: "BYTES", 9: "BOOL", 10: "FP16", 11: "FP64",
	12: "UINT32", 13: "UINT64", 16: "BF16",
}

// fields calls f for each field of a message; v is the value of a varint or a fixed-size field, b the bytes of the others.
func fields(message []byte, f func(num protowire.Number, kind protowire.Type, v uint64, b []byte) error) error {
	for len(message) > 0 {
		num, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		var v uint64
		var b []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(message)
		case protowire.Fixed32Type:
			var x uint32
			x, n = protowire.ConsumeFixed32(message)
			v = uint64(x)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(message)
		case protowire.BytesType:
			b, n = protowire.ConsumeBytes(message)
		default:
			return fmt.Errorf("field %d is a group", num)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if err := f(num, kind, v, b); err != nil {
			return fmt.Errorf("field %d: %w", num, err)
		}
	}
	return nil
}

// numbers are the values of a repeated number, packed or not.
func numbers(dst []uint64, kind protowire.Type, v uint64, b []byte, size int) ([]uint64, error) {
	if kind != protowire.BytesType {
		return append(dst, v), nil
	}
	for len(b) > 0 {
		switch size {
		case 4:
			if len(b) < 4 {
				return dst, fmt.Errorf("half a number")
			}
			dst, b = append(dst, uint64(bin.LittleEndian.Uint32(b))), b[4:]
		case 8:
			if len(b) < 8 {
				return dst, fmt.Errorf("half a number")
			}
			dst, b = append(dst, bin.LittleEndian.Uint64(b)), b[8:]
		default:
			x, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return dst, protowire.ParseError(n)
			}
			dst, b = append(dst, x), b[n:]
		}
	}
	return dst, nil
}

// readTensor reads a TensorProto.
func readTensor(message []byte) (wire.Tensor, error) {
	t := wire.Tensor{Shape: []int64{}}
	var dims, values []uint64
	var number uint64
	var texts []string
	raw, external := []byte(nil), false
	err := fields(message, func(num protowire.Number, kind protowire.Type, v uint64, b []byte) (err error) {
		switch num {
		case 1:
			dims, err = numbers(dims, kind, v, b, 0)
		case 2:
			number = v
		case 4: // float_data
			values, err = numbers(values, kind, v, b, 4)
		case 5, 7, 11: // int32_data, int64_data, uint64_data
			values, err = numbers(values, kind, v, b, 0)
		case 6:
			texts = append(texts, string(b))
		case 8:
			t.Name = string(b)
		case 9:
			raw = b
		case 10: // double_data
			values, err = numbers(values, kind, v, b, 8)
		case 14:
			external = v != 0
		}
		return err
	})
	if err != nil {
		return t, err
	}
	for _, d := range dims {
		t.Shape = append(t.Shape, int64(d))
	}
	t.Datatype = datatypes[number]
	size := wire.Size(t.Datatype)
	switch {
	case t.Datatype == "":
		return t, fmt.Errorf("elements of the ONNX type %d, which the protocol has no name for", number)
	case external:
		return t, fmt.Errorf("external data")
	case t.Datatype == "BYTES":
		t.Raw = wire.BytesRaw(texts...)
	case raw != nil:
		t.Raw = raw
	default:
		for _, v := range values {
			t.Raw = append(t.Raw, bin.LittleEndian.AppendUint64(nil, v)[:size]...)
		}
	}
	if n, err := t.Count(); err != nil || int64(n) != wire.Elements(t.Shape) {
		return t, fmt.Errorf("%d elements of shape %v, %v", n, t.Shape, err)
	}
	return t, nil
}

// value is an input or output of a graph.
type value struct {
	name     string
	kind     string // tensor, sequence, map, optional, sparse tensor
	datatype string // of a tensor
}

// readGraph reads the inputs without a default, and the outputs, of a ModelProto, in the graph's order.
func readGraph(model []byte) (inputs, outputs []value, err error) {
	defaults := map[string]bool{}
	err = fields(model, func(num protowire.Number, _ protowire.Type, _ uint64, graph []byte) error {
		if num != 7 {
			return nil
		}
		return fields(graph, func(num protowire.Number, _ protowire.Type, _ uint64, b []byte) error {
			switch num {
			case 5:
				return fields(b, func(num protowire.Number, _ protowire.Type, _ uint64, name []byte) error {
					if num == 8 {
						defaults[string(name)] = true
					}
					return nil
				})
			case 11, 12:
				v, err := readValue(b)
				if num == 11 {
					inputs = append(inputs, v)
				} else {
					outputs = append(outputs, v)
				}
				return err
			}
			return nil
		})
	})
	asked := inputs[:0]
	for _, in := range inputs {
		if !defaults[in.name] {
			asked = append(asked, in)
		}
	}
	return asked, outputs, err
}

var kinds = map[protowire.Number]string{1: "tensor", 4: "sequence", 5: "map", 8: "sparse tensor", 9: "optional"}

func readValue(b []byte) (value, error) {
	var v value
	err := fields(b, func(num protowire.Number, _ protowire.Type, _ uint64, b []byte) error {
		switch num {
		case 1:
			v.name = string(b)
		case 2:
			return fields(b, func(num protowire.Number, _ protowire.Type, _ uint64, b []byte) error {
				kind, ok := kinds[num]
				if !ok {
					return nil
				}
				v.kind = kind
				return fields(b, func(num protowire.Number, _ protowire.Type, element uint64, _ []byte) error {
					if num == 1 && kind == "tensor" {
						v.datatype = datatypes[element]
					}
					return nil
				})
			})
		}
		return nil
	})
	return v, err
}

// differ says where two tensors differ beyond the tolerance that ONNX's own runner has, "" if they do not. Bits that are
// too few for it get what their type can hold.
func differ(got, want wire.Tensor) string {
	if got.Datatype != want.Datatype || fmt.Sprint(got.Shape) != fmt.Sprint(want.Shape) {
		return fmt.Sprintf("%s %v, want %s %v", got.Datatype, got.Shape, want.Datatype, want.Shape)
	}
	if want.Datatype == "BYTES" {
		if string(got.Raw) != string(want.Raw) {
			return fmt.Sprintf("%q, want %q", got.Raw, want.Raw)
		}
		return ""
	}
	relative, absolute := 0.0, 0.0
	switch want.Datatype {
	case "FP32", "FP64":
		relative, absolute = 1e-3, 1e-6*max(1, largest(want))
	case "FP16":
		relative, absolute = 2e-3, 1e-4
	case "BF16":
		relative, absolute = 1e-2, 1e-3
	}
	if relative == 0 {
		if string(got.Raw) != string(want.Raw) {
			return fmt.Sprintf("% x, want % x", got.Raw, want.Raw)
		}
		return ""
	}
	n, _ := want.Count()
	for i := range n {
		g, w := got.Float(i), want.Float(i)
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		if !(math.Abs(g-w) <= absolute+relative*math.Abs(w)) {
			return fmt.Sprintf("element %d is %v, want %v", i, g, w)
		}
	}
	return ""
}

// largest is the largest absolute value: where sums cancel out, rounding is in proportion to what was summed.
func largest(t wire.Tensor) float64 {
	n, _ := t.Count()
	most := 0.0
	for i := range n {
		if a := math.Abs(t.Float(i)); a > most && !math.IsInf(a, 0) {
			most = a
		}
	}
	return most
}
