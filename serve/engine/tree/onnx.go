package tree

import (
	"encoding/binary"
	"math"

	"github.com/fairlead-ml/fairlead"
	"google.golang.org/protobuf/encoding/protowire"
)

// The parts of an ONNX model that matter here; the numbers of fields are those of onnx.proto.
type (
	model struct {
		graph   graph
		unknown string // something of the model that is not read and may matter
	}
	graph struct {
		nodes    []node
		inputs   []value
		outputs  []value
		consts   map[string]tensor
		external bool // there are initializers in other files
	}
	node struct {
		op, domain string
		in, out    []string
		attributes map[string]attribute
	}
	attribute struct {
		number  int64
		text    string
		floats  []float32
		ints    []int64
		texts   []string
		foreign bool // a tensor, a graph, or a reference
	}
	value struct {
		name     string
		element  int64 // ONNX's number of the element type; of a map's values
		shape    []int64
		hasShape bool
		isTensor bool
		isMaps   bool  // a sequence of maps
		key      int64 // element type of a map's keys
	}
	tensor struct {
		name   string
		dims   []int64
		typ    int64
		floats []float32
		ints   []int64
		odd    bool // other data than floats or ints
	}
)

// ONNX's numbers of element types.
const (
	typeFloat  = 1
	typeInt32  = 6
	typeInt64  = 7
	typeString = 8
	typeDouble = 11
)

// field is one field of a protobuf message.
type field struct {
	number protowire.Number
	bytes  []byte // of a length-delimited field
	varint uint64 // or the bits of a fixed one
	typ    protowire.Type
}

// each calls f with the fields of a message.
func each(b []byte, f func(field) error) error {
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return broken(protowire.ParseError(n))
		}
		b = b[n:]
		x := field{number: number, typ: typ}
		switch typ {
		case protowire.VarintType:
			x.varint, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			x.varint = uint64(v)
		case protowire.Fixed64Type:
			x.varint, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			x.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, typ, b)
		}
		if n < 0 {
			return broken(protowire.ParseError(n))
		}
		b = b[n:]
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

func broken(cause error) error {
	return fairlead.Invalid("the model is no ONNX file").
		Hintf("its protobuf is cut off or damaged: export or copy it again").Cause(cause)
}

// ints appends a repeated int64, packed or not.
func (x field) ints(to []int64) ([]int64, error) {
	if x.typ == protowire.VarintType {
		return append(to, int64(x.varint)), nil
	}
	for b := x.bytes; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, broken(protowire.ParseError(n))
		}
		to, b = append(to, int64(v)), b[n:]
	}
	return to, nil
}

// floats appends a repeated float, packed or not.
func (x field) floats(to []float32) ([]float32, error) {
	if x.typ == protowire.Fixed32Type {
		return append(to, math.Float32frombits(uint32(x.varint))), nil
	}
	if len(x.bytes)%4 != 0 {
		return nil, broken(nil)
	}
	for b := x.bytes; len(b) > 0; b = b[4:] {
		to = append(to, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return to, nil
}

func decode(onnx []byte) (*model, error) {
	m, graphs := &model{}, 0
	err := each(onnx, func(x field) (err error) {
		switch x.number {
		case 7:
			graphs++
			m.graph.consts = map[string]tensor{}
			err = m.graph.decode(x.bytes)
		case 20, 25:
			m.unknown = "it has functions or training steps of its own"
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if graphs != 1 {
		return nil, fairlead.Invalid("the model is no ONNX file: it has %d graphs, expected 1", graphs)
	}
	return m, nil
}

func (g *graph) decode(b []byte) error {
	return each(b, func(x field) error {
		switch x.number {
		case 1:
			n, err := decodeNode(x.bytes)
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			t, err := decodeTensor(x.bytes)
			g.consts[t.name] = t
			return err
		case 11, 12:
			v, err := decodeValue(x.bytes)
			if x.number == 11 {
				g.inputs = append(g.inputs, v)
			} else {
				g.outputs = append(g.outputs, v)
			}
			return err
		case 15:
			g.external = true
		}
		return nil
	})
}

func decodeNode(b []byte) (node, error) {
	n := node{attributes: map[string]attribute{}}
	err := each(b, func(x field) error {
		switch x.number {
		case 1:
			n.in = append(n.in, string(x.bytes))
		case 2:
			n.out = append(n.out, string(x.bytes))
		case 4:
			n.op = string(x.bytes)
		case 5:
			name, a, err := decodeAttribute(x.bytes)
			n.attributes[name] = a
			return err
		case 7:
			n.domain = string(x.bytes)
		}
		return nil
	})
	return n, err
}

func decodeAttribute(b []byte) (name string, a attribute, err error) {
	err = each(b, func(x field) (err error) {
		switch x.number {
		case 1:
			name = string(x.bytes)
		case 3:
			a.number = int64(x.varint)
		case 4:
			a.text = string(x.bytes)
		case 7:
			a.floats, err = x.floats(a.floats)
		case 8:
			a.ints, err = x.ints(a.ints)
		case 9:
			a.texts = append(a.texts, string(x.bytes))
		case 5, 6, 10, 11, 14, 15, 21, 22, 23:
			a.foreign = true
		}
		return err
	})
	return name, a, err
}

func decodeTensor(b []byte) (tensor, error) {
	var t tensor
	var raw []byte
	err := each(b, func(x field) (err error) {
		switch x.number {
		case 1:
			t.dims, err = x.ints(t.dims)
		case 2:
			t.typ = int64(x.varint)
		case 4:
			t.floats, err = x.floats(t.floats)
		case 7:
			t.ints, err = x.ints(t.ints)
		case 8:
			t.name = string(x.bytes)
		case 9:
			raw = x.bytes
		case 12: // doc
		default:
			t.odd = true
		}
		return err
	})
	switch {
	case t.typ == typeFloat && len(raw)%4 == 0:
		for ; len(raw) > 0; raw = raw[4:] {
			t.floats = append(t.floats, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
	case t.typ == typeInt64 && len(raw)%8 == 0:
		for ; len(raw) > 0; raw = raw[8:] {
			t.ints = append(t.ints, int64(binary.LittleEndian.Uint64(raw)))
		}
	case len(raw) > 0:
		t.odd = true
	}
	return t, err
}

func decodeValue(b []byte) (value, error) {
	var v value
	err := each(b, func(x field) error {
		switch x.number {
		case 1:
			v.name = string(x.bytes)
		case 2:
			return v.decodeType(x.bytes, 0)
		}
		return nil
	})
	return v, err
}

// decodeType reads a TypeProto; depth 1 is the element of a sequence.
func (v *value) decodeType(b []byte, depth int) error {
	return each(b, func(x field) error {
		switch {
		case x.number == 1 && depth == 0:
			v.isTensor = true
			return v.decodeTensorType(x.bytes)
		case x.number == 4 && depth == 0:
			return each(x.bytes, func(x field) error {
				if x.number == 1 {
					return v.decodeType(x.bytes, 1)
				}
				return nil
			})
		case x.number == 5 && depth == 1:
			v.isMaps = true
			return each(x.bytes, func(x field) error {
				switch x.number {
				case 1:
					v.key = int64(x.varint)
				case 2:
					return each(x.bytes, func(x field) error {
						if x.number == 1 {
							return v.decodeTensorType(x.bytes)
						}
						return nil
					})
				}
				return nil
			})
		}
		return nil
	})
}

func (v *value) decodeTensorType(b []byte) error {
	return each(b, func(x field) error {
		switch x.number {
		case 1:
			v.element = int64(x.varint)
		case 2:
			v.hasShape, v.shape = true, []int64{}
			return each(x.bytes, func(x field) error {
				if x.number != 1 {
					return nil
				}
				size := int64(-1)
				err := each(x.bytes, func(x field) error {
					if x.number == 1 {
						size = int64(x.varint)
					}
					return nil
				})
				v.shape = append(v.shape, size)
				return err
			})
		}
		return nil
	})
}
