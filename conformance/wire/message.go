package wire

import (
	"fmt"
	"math"
	"strconv"
)

// HeaderLength is the header that says where the JSON of a message with binary tensors ends.
const HeaderLength = "Inference-Header-Content-Length"

// Request is an inference request. Parameters are JSON values; what is empty is left out.
type Request struct {
	ID         string
	Parameters map[string]any
	Inputs     []Tensor
	Binary     []bool // per input: sent as binary; nil: none is
	Nested     bool   // data of the others as arrays in arrays
	Outputs    []Output
}

// Output is one requested output.
type Output struct {
	Name       string
	Parameters map[string]any
}

// Body is the request's HTTP body, and the value of HeaderLength, "" where nothing is binary.
func (r Request) Body() (body []byte, headerLength string, err error) {
	b := []byte{'{'}
	if r.ID != "" {
		b = append(AppendString(append(b, `"id":`...), r.ID), ',')
	}
	if len(r.Parameters) > 0 {
		b = append(appendValue(append(b, `"parameters":`...), r.Parameters), ',')
	}
	b = append(b, `"inputs":[`...)
	var blobs []byte
	binary := false
	for i, t := range r.Inputs {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(append(b, `{"name":`...), t.Name)
		b = AppendString(append(b, `,"datatype":`...), t.Datatype)
		b = appendValue(append(b, `,"shape":`...), shapeValue(t.Shape))
		if r.Binary != nil && r.Binary[i] {
			binary = true
			b = fmt.Appendf(b, `,"parameters":{"binary_data_size":%d}}`, len(t.Raw))
			blobs = append(blobs, t.Raw...)
			continue
		}
		if b, err = t.AppendData(append(b, `,"data":`...), r.Nested); err != nil {
			return nil, "", err
		}
		b = append(b, '}')
	}
	b = append(b, ']')
	if len(r.Outputs) > 0 {
		outputs := make([]any, len(r.Outputs))
		for i, o := range r.Outputs {
			m := map[string]any{"name": o.Name}
			if len(o.Parameters) > 0 {
				m["parameters"] = o.Parameters
			}
			outputs[i] = m
		}
		b = appendValue(append(b, `,"outputs":`...), outputs)
	}
	b = append(b, '}')
	if binary {
		headerLength = strconv.Itoa(len(b))
	}
	return append(b, blobs...), headerLength, nil
}

func shapeValue(shape []int64) []any {
	out := make([]any, len(shape))
	for i, d := range shape {
		out[i] = d
	}
	return out
}

// appendValue writes the few kinds of values that requests are made of.
func appendValue(dst []byte, v any) []byte {
	switch x := v.(type) {
	case string:
		return AppendString(dst, x)
	case []any:
		dst = append(dst, '[')
		for i, e := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, e)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		first := true
		for k, e := range x {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = appendValue(append(AppendString(dst, k), ':'), e)
		}
		return append(dst, '}')
	}
	return fmt.Append(dst, v)
}

// Response is an inference answer; a request read by ReadRequest has its inputs as Outputs.
type Response struct {
	Object  map[string]any // the JSON part
	Outputs []Tensor
	Binary  []bool // per output: it came as binary
}

// Output is the tensor of that name.
func (r *Response) Output(name string) (Tensor, bool) {
	for _, t := range r.Outputs {
		if t.Name == name {
			return t, true
		}
	}
	return Tensor{}, false
}

// ReadResponse reads the body of a successful answer; headerLength is the value of HeaderLength, "" where it is absent. It
// is strict: sizes agree with shapes, and nothing is left over.
func ReadResponse(body []byte, headerLength string) (*Response, error) {
	return read(body, headerLength, "outputs")
}

// ReadRequest reads a request as strictly, for servers that a test makes.
func ReadRequest(body []byte, headerLength string) (*Response, error) {
	return read(body, headerLength, "inputs")
}

func read(body []byte, headerLength, list string) (*Response, error) {
	head, rest := body, []byte(nil)
	if headerLength != "" {
		n, err := strconv.Atoi(headerLength)
		if err != nil || n < 0 || n > len(body) {
			return nil, fmt.Errorf("%s %q of a body of %d bytes", HeaderLength, headerLength, len(body))
		}
		head, rest = body[:n], body[n:]
	}
	v, err := Parse(head)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("it is no JSON object: %.100s", head)
	}
	outputs, ok := object[list].([]any)
	if !ok {
		return nil, fmt.Errorf("it has no array %q: %.200s", list, head)
	}
	r := &Response{Object: object}
	for i, o := range outputs {
		m, ok := o.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s[%d] is no object", list, i)
		}
		var t Tensor
		var binary bool
		if t, binary, rest, err = readOutput(m, rest); err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", list, i, err)
		}
		r.Outputs, r.Binary = append(r.Outputs, t), append(r.Binary, binary)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes are left after the last output", len(rest))
	}
	return r, nil
}

func readOutput(m map[string]any, rest []byte) (t Tensor, binary bool, _ []byte, err error) {
	name, ok1 := m["name"].(string)
	datatype, ok2 := m["datatype"].(string)
	dims, ok3 := m["shape"].([]any)
	if !ok1 || !ok2 || !ok3 {
		return t, false, rest, fmt.Errorf("name, datatype or shape is missing")
	}
	t = Tensor{Name: name, Datatype: datatype}
	if t.Shape, err = Shape(dims); err != nil {
		return t, false, rest, err
	}
	parameters, _ := m["parameters"].(map[string]any)
	if size, ok := parameters["binary_data_size"].(Number); ok {
		n, err := strconv.Atoi(string(size))
		if err != nil || n < 0 || n > len(rest) {
			return t, true, rest, fmt.Errorf("binary_data_size %s, and %d bytes are left", size, len(rest))
		}
		if _, both := m["data"]; both {
			return t, true, rest, fmt.Errorf("both binary_data_size and data")
		}
		t.Raw, rest, binary = rest[:n], rest[n:], true
	} else if t, err = FromData(name, datatype, t.Shape, m["data"]); err != nil {
		return t, false, rest, err
	}
	n, err := t.Count()
	if err != nil {
		return t, binary, rest, err
	}
	if want := Elements(t.Shape); int64(n) != want {
		return t, binary, rest, fmt.Errorf("%q has %d elements, its shape %v says %d", name, n, t.Shape, want)
	}
	return t, binary, rest, nil
}

// Shape reads the dimensions of a message.
func Shape(dims []any) ([]int64, error) {
	shape := make([]int64, len(dims))
	for i, d := range dims {
		n, ok := d.(Number)
		v, err := strconv.ParseInt(string(n), 10, 64)
		if !ok || err != nil || v > math.MaxInt32 {
			return nil, fmt.Errorf("dimension %v", d)
		}
		shape[i] = v
	}
	return shape, nil
}
