package codec

import (
	"slices"
	"sync"

	"github.com/fairlead-ml/fairlead"
)

// blobs is the binary part of a body.
type blobs struct {
	rest  []byte // not yet read
	there bool   // the request said where it starts
	owned bool   // tensors may share its memory
	used  bool   // one does
	model string
}

// DecodeInfer reads the body of an inference request with the binary tensor data extension. header is the value of
// Inference-Header-Content-Length, the number of bytes of JSON that the body starts with; -1 where that header is absent
// and the body is JSON alone; 0 for a raw request, whose body is the only input of the model. Nothing of the request
// refers to the body afterwards. All errors are CodeInvalid or CodeUnsupported.
func DecodeInfer(body []byte, header int, s *Schema) (*Request, error) {
	return decodeInfer(body, header, s, false)
}

// DecodeInferOwned is DecodeInfer for a body that the caller gives away if KeepsBody says so afterwards: then inputs of
// 64 KiB or more share its memory in place of copies, and it must never be written to again. Only aligned data can be
// shared: a body that starts BodyOffset(header) bytes behind an aligned address has its first blob aligned.
func DecodeInferOwned(body []byte, header int, s *Schema) (*Request, error) {
	return decodeInfer(body, header, s, true)
}

// BodyOffset is how many bytes to leave free before a body in an aligned buffer so that the first byte behind its JSON
// is aligned to 64 bytes.
func BodyOffset(header int) int { return -header & 63 }

// reader is a parser with the binary part of its body. Readers are used again.
type reader struct {
	parser
	blobs blobs
}

var readers = sync.Pool{New: func() any { return new(reader) }}

func decodeInfer(body []byte, header int, s *Schema, owned bool) (*Request, error) {
	rd := readers.Get().(*reader)
	defer readers.Put(rd)
	r, err := rd.infer(body, header, s, owned)
	*rd = reader{parser: parser{lengths: rd.lengths, path: rd.path}} // nothing of the body stays
	return r, err
}

func (rd *reader) infer(body []byte, header int, s *Schema, owned bool) (*Request, error) {
	b := &rd.blobs
	b.model, b.owned = s.Model, owned
	switch {
	case header < -1 || header > len(body):
		return nil, fairlead.Invalid("the header Inference-Header-Content-Length is %d, but the body has %d bytes", header, len(body)).
			Hintf("it is the number of bytes of JSON that the body starts with")
	case header == 0:
		return raw(body, s, b)
	case header > 0:
		b.there, b.rest, body = true, body[header:], body[:header]
	}
	p := &rd.parser
	p.b, p.blobs = body, b
	r, err := p.request(s, (*Request).field)
	if err != nil {
		return nil, err
	}
	if len(b.rest) > 0 {
		return nil, fairlead.Invalid("unexpected additional input data%s", b.of()).
			Hintf("%d bytes are left behind the JSON and the binary_data_size bytes of each input", len(b.rest))
	}
	r.KeepsBody = b.used
	return r, nil
}

// of names the model as Triton's messages do.
func (b *blobs) of() string {
	if b.model == "" {
		return ""
	}
	return " for model '" + b.model + "'"
}

// inputParameters gives the number of bytes of an input's binary form, -1 where it has none.
func (p *parser) inputParameters(i int) (int, error) {
	m, err := p.tensorParameters("input", i)
	if err != nil {
		return 0, err
	}
	v, ok := m["binary_data_size"]
	if !ok {
		return -1, nil
	}
	size, isInt := v.(int64)
	if !isInt || size < 0 {
		return 0, fairlead.Invalid(`input %d has the parameter "binary_data_size" %#v; expected a number of bytes`, i, v)
	}
	return int(size), nil
}

// takeBinary reads the values of a tensor from the binary part of the body.
func (p *parser) takeBinary(h *head) (err error) {
	t, b := &h.tensor, p.blobs
	if h.data >= 0 {
		return fairlead.Invalid(`input %s has both "data" and the parameter "binary_data_size"`, quote(t.Name)).
			Hintf("send its values one way, as JSON or in binary form")
	}
	if b == nil || !b.there {
		return fairlead.Invalid("must specify valid 'Infer-Header-Content-Length' in request header and 'binary_data_size' when "+
			"passing inputs in binary data format").
			Hintf("input %s has a binary_data_size, but the header Inference-Header-Content-Length, the number of bytes of JSON "+
				"before the binary data, is missing", quote(t.Name))
	}
	if h.binary > len(b.rest) {
		return fairlead.Invalid("unexpected size for input '%s', expecting %d additional bytes%s", shorten(t.Name),
			h.binary-len(b.rest), b.of()).
			Hintf("its binary_data_size is %d, but %d bytes are left in the body", h.binary, len(b.rest))
	}
	*t, err = b.take(t.Name, t.Type, t.Shape, h.binary)
	return err
}

// take makes a tensor of the next size bytes.
func (b *blobs) take(name string, dt fairlead.DataType, shape []int64, size int) (fairlead.Tensor, error) {
	data := b.rest[:size:size]
	b.rest = b.rest[size:]
	if b.owned && size >= shareFrom {
		t, shared, err := shareBinary(name, dt, shape, data)
		b.used = b.used || shared
		return t, err
	}
	return DecodeBinary(name, dt, shape, data)
}

// raw reads a body that is the only input of the model. Its shape is the model's with a batch of 1 and at most one
// further free dimension, which the size of the body gives; of BYTES it is one element. All outputs go in binary form.
func raw(body []byte, s *Schema, b *blobs) (*Request, error) {
	inputs := s.sig.Inputs
	if len(inputs) != 1 {
		of := "the"
		if s.Model != "" {
			of = "'" + s.Model + "'"
		}
		return nil, fairlead.Invalid("Raw request must only have 1 input (found 1) to be deduced but got %d inputs in %s model configuration",
			len(inputs), of).
			Hintf("Inference-Header-Content-Length: 0 says that the whole body is the values of the only input; send JSON before them")
	}
	in := inputs[0]
	shape, err := rawShape(in, len(body))
	if err != nil {
		return nil, err
	}
	r := &Request{BinaryOutputs: true}
	b.rest = body
	var t fairlead.Tensor
	if in.Type == fairlead.Bytes {
		t = fairlead.Tensor{Name: in.Name, Type: in.Type, Shape: shape, Data: []string{string(body)}}
	} else if t, err = b.take(in.Name, in.Type, shape, len(body)); err != nil {
		return nil, err
	}
	r.Inputs, r.KeepsBody = []fairlead.Tensor{t}, b.used
	return r, nil
}

func rawShape(in fairlead.TensorSpec, size int) ([]int64, error) {
	const hint = "it is %s: send JSON with the shape before the values"
	shape := slices.Clone(in.Shape)
	if len(shape) > 1 || len(shape) == 1 && in.Type == fairlead.Bytes {
		if shape[0] < 0 {
			shape[0] = 1
		}
	}
	free, unit := -1, max(ElementSize(in.Type), 1)
	for i, d := range shape {
		switch {
		case d >= 0:
			unit *= int(d)
		case free < 0:
			free = i
		default:
			return nil, fairlead.Invalid("The shape of the raw input '%s' can not be deduced because there are more than one "+
				"variable-sized dimension", in.Name).Hintf(hint, fairlead.ShapeString(in.Shape))
		}
	}
	switch {
	case in.Shape == nil:
		return nil, fairlead.Invalid("The shape of the raw input '%s' can not be deduced", in.Name).
			Hintf("the model takes any number of dimensions: send JSON with the shape before the values")
	case in.Type == fairlead.Bytes && (free >= 0 || unit != 1):
		return nil, fairlead.Invalid("For BYTE datatype raw input '%s', the model must have input shape [1]", in.Name).
			Hintf(hint, fairlead.ShapeString(in.Shape))
	case free >= 0 && unit > 0:
		shape[free] = int64(size / unit) // DecodeBinary refuses a rest
	case free >= 0:
		shape[free] = 0
	}
	return shape, nil
}
