package importer

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// graph is what an import needs to know of an ONNX file.
type graph struct {
	inputs   []value // without those that initializers give
	outputs  []value
	external []string // locations, one for each tensor whose weights lie in a file
}

// value is an input or output; kind 0 is no tensor.
type value struct {
	name  string
	kind  uint64  // ONNX's element type
	shape []int64 // -1 for a free dimension; nil where none is said
}

// locations lists the files of weights, each once.
func (g *graph) locations() []string {
	all := slices.Clone(g.external)
	slices.Sort(all)
	return slices.Compact(all)
}

// field is one field of a protobuf message; raw is it all, tag included.
type field struct {
	number protowire.Number
	typ    protowire.Type
	varint uint64 // or the bits of a fixed one
	bytes  []byte
	raw    []byte
}

// each calls f with the fields of a message.
func each(b []byte, f func(field) error) error {
	for len(b) > 0 {
		number, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		x, m := field{number: number, typ: typ}, 0
		switch typ {
		case protowire.VarintType:
			x.varint, m = protowire.ConsumeVarint(b[n:])
		case protowire.Fixed32Type:
			var v uint32
			v, m = protowire.ConsumeFixed32(b[n:])
			x.varint = uint64(v)
		case protowire.Fixed64Type:
			x.varint, m = protowire.ConsumeFixed64(b[n:])
		case protowire.BytesType:
			x.bytes, m = protowire.ConsumeBytes(b[n:])
		default:
			m = protowire.ConsumeFieldValue(number, typ, b[n:])
		}
		if m < 0 {
			return protowire.ParseError(m)
		}
		x.raw, b = b[:n+m], b[n+m:]
		if err := f(x); err != nil {
			return err
		}
	}
	return nil
}

// message is a kind of ONNX message in which tensors may be, at any depth.
type message int

const (
	modelMessage message = iota + 1
	graphMessage
	nodeMessage
	attributeMessage
	sparseMessage
	functionMessage
	trainingMessage
	tensorMessage
)

// below says which fields of a message hold messages with tensors in them.
var below = map[message]map[protowire.Number]message{
	modelMessage:     {7: graphMessage, 20: trainingMessage, 25: functionMessage},
	graphMessage:     {1: nodeMessage, 5: tensorMessage, 15: sparseMessage},
	nodeMessage:      {5: attributeMessage},
	attributeMessage: {5: tensorMessage, 6: graphMessage, 10: tensorMessage, 11: graphMessage, 22: sparseMessage, 23: sparseMessage},
	sparseMessage:    {1: tensorMessage, 2: tensorMessage},
	functionMessage:  {7: nodeMessage, 11: attributeMessage},
	trainingMessage:  {1: graphMessage, 2: graphMessage},
}

const maxDepth = 64

// readGraph looks at an ONNX file. The error is for what is no such protobuf.
func readGraph(raw []byte) (*graph, error) {
	g := &graph{}
	found := false
	err := each(raw, func(f field) error {
		if f.number != 7 || f.typ != protowire.BytesType {
			return nil
		}
		found = true
		return g.read(f.bytes)
	})
	if err == nil && !found {
		err = fmt.Errorf("it has no graph")
	}
	if err != nil {
		return nil, err
	}
	return g, g.findExternal(raw, modelMessage, 0)
}

func (g *graph) read(raw []byte) error {
	given := map[string]bool{}
	err := each(raw, func(f field) error {
		switch f.number {
		case 5: // initializer
			return each(f.bytes, func(t field) error {
				if t.number == 8 {
					given[string(t.bytes)] = true
				}
				return nil
			})
		case 11, 12:
			v, err := readValue(f.bytes)
			if f.number == 11 {
				g.inputs = append(g.inputs, v)
			} else {
				g.outputs = append(g.outputs, v)
			}
			return err
		}
		return nil
	})
	g.inputs = slices.DeleteFunc(g.inputs, func(v value) bool { return given[v.name] })
	return err
}

// readValue reads a ValueInfoProto.
func readValue(raw []byte) (v value, err error) {
	err = each(raw, func(f field) error {
		switch f.number {
		case 1:
			v.name = string(f.bytes)
		case 2:
			return each(f.bytes, func(t field) error {
				if t.number != 1 { // a sequence, a map
					return nil
				}
				return each(t.bytes, func(x field) error {
					switch x.number {
					case 1:
						v.kind = x.varint
					case 2:
						v.shape = []int64{}
						return each(x.bytes, v.dimension)
					}
					return nil
				})
			})
		}
		return nil
	})
	return v, err
}

func (v *value) dimension(f field) error {
	size := int64(-1)
	err := each(f.bytes, func(d field) error {
		if d.number == 1 {
			size = int64(min(d.varint, math.MaxInt64))
		}
		return nil
	})
	v.shape = append(v.shape, size)
	return err
}

func (g *graph) findExternal(raw []byte, m message, depth int) error {
	if m == tensorMessage {
		if location, ok := outside(raw); ok {
			g.external = append(g.external, location.file)
		}
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	return each(raw, func(f field) error {
		if inner, ok := below[m][f.number]; ok && f.typ == protowire.BytesType {
			return g.findExternal(f.bytes, inner, depth+1)
		}
		return nil
	})
}

// location is where the weights of a tensor lie; length -1 is the rest of the file.
type location struct {
	file           string
	offset, length int64
}

// outside reads data_location and external_data of a TensorProto.
func outside(raw []byte) (location, bool) {
	at, external := location{length: -1}, false
	err := each(raw, func(f field) error {
		switch f.number {
		case 14:
			external = f.varint == 1
		case 13:
			var key, text string
			err := each(f.bytes, func(e field) error {
				switch e.number {
				case 1:
					key = string(e.bytes)
				case 2:
					text = string(e.bytes)
				}
				return nil
			})
			n, bad := strconv.ParseInt(text, 10, 64)
			switch {
			case key == "location":
				at.file = text
			case bad == nil && key == "offset":
				at.offset = n
			case bad == nil && key == "length":
				at.length = n
			}
			return err
		}
		return nil
	})
	return at, err == nil && external
}

// inline puts the weights that lie in files into the tensors they belong to. fetch reads a file.
func inline(raw []byte, fetch func(location string) ([]byte, error)) ([]byte, error) {
	in := &inliner{fetch: fetch, files: map[string][]byte{}}
	out, err := in.message(raw, modelMessage, 0)
	if err != nil {
		return nil, err
	}
	if int64(len(out)) > bundle.MaxModel {
		return nil, tooLarge("the model with its weights", int64(len(out)))
	}
	return out, nil
}

type inliner struct {
	fetch func(string) ([]byte, error)
	files map[string][]byte
	total int64
}

func (in *inliner) message(raw []byte, m message, depth int) ([]byte, error) {
	if m == tensorMessage {
		return in.tensor(raw)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	out := make([]byte, 0, len(raw))
	err := each(raw, func(f field) error {
		inner, ok := below[m][f.number]
		if !ok || f.typ != protowire.BytesType {
			out = append(out, f.raw...)
			return nil
		}
		changed, err := in.message(f.bytes, inner, depth+1)
		out = protowire.AppendBytes(protowire.AppendTag(out, f.number, protowire.BytesType), changed)
		return err
	})
	return out, err
}

func (in *inliner) tensor(raw []byte) ([]byte, error) {
	at, ok := outside(raw)
	if !ok {
		return raw, nil
	}
	content, ok := in.files[at.file]
	if !ok {
		var err error
		if content, err = in.fetch(at.file); err != nil {
			return nil, err
		}
		in.files[at.file] = content
	}
	size := int64(len(content))
	if at.length < 0 {
		at.length = size - at.offset
	}
	if at.offset < 0 || at.length < 0 || at.offset > size || at.length > size-at.offset {
		return nil, fairlead.Invalid("a tensor's weights are bytes %d to %d of %s, which has %d", at.offset, at.offset+at.length, at.file, size).
			Hintf("the file is cut off, or not the one that belongs to the model: copy both again")
	}
	// Tensors may share bytes of a file: what a few kilobytes refer to can be more than any file holds.
	if in.total += at.length; in.total > bundle.MaxModel {
		return nil, tooLarge("the model with its weights", in.total)
	}
	out := make([]byte, 0, int64(len(raw))+at.length)
	err := each(raw, func(f field) error {
		if f.number != 9 && f.number != 13 && f.number != 14 {
			out = append(out, f.raw...)
		}
		return nil
	})
	return protowire.AppendBytes(protowire.AppendTag(out, 9, protowire.BytesType), content[at.offset:at.offset+at.length]), err
}
