package codec

import (
	"bytes"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// ServingDefault is the signature that every model has.
const ServingDefault = "serving_default"

// DecodePredict reads the body of TensorFlow Serving's predict: rows as "instances" or columns as "inputs", exactly one of
// them. "parameters", "id" and "rows" are this server's own. Like TensorFlow Serving it stops at the end of the JSON object
// and does not look at what follows. Request.Instances says which form came. All errors are CodeInvalid.
func DecodePredict(body []byte, s *Schema) (*Request, error) {
	b := tfsBody{p: &parser{b: body}, s: s, r: &Request{}, signatures: []string{ServingDefault}}
	inputs := false
	err := b.read(func(key string) (known bool, err error) {
		switch key {
		case "instances":
			b.r.Instances = true
			b.r.Inputs, _, err = s.instances(b.p)
		case "inputs":
			inputs = true
			b.r.Inputs, err = s.columns(b.p)
		default:
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil:
		return nil, err
	case inputs && b.r.Instances:
		return nil, fairlead.Invalid("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist").
			Hintf("send rows as \"instances\" or columns as \"inputs\"")
	case !inputs && !b.r.Instances:
		return nil, fairlead.Invalid("Missing 'inputs' or 'instances' key; %s", b.came()).Hintf("for example %s", s.Example())
	}
	return b.r, nil
}

// tfsBody is a body of TensorFlow Serving's while it is read.
type tfsBody struct {
	p          *parser
	s          *Schema
	r          *Request
	signatures []string // that the call may name
	keys       []string // of the body, so far
}

// read goes through the object; field reads the value of a key that it knows.
func (b *tfsBody) read(field func(key string) (known bool, err error)) error {
	switch b.p.space() {
	case 0:
		if b.p.i >= len(b.p.b) {
			return fairlead.Invalid("the body is empty").Hintf("expected JSON, for example %s", b.s.Example())
		}
	case '{':
	default:
		return fairlead.Invalid("the body is %s; expected a JSON object", b.p.found()).Hintf("for example %s", b.s.Example())
	}
	err := b.p.object(func(key string) error {
		if slices.Contains(b.keys, key) {
			return fairlead.Invalid("the body has the key %s twice", quote(key))
		}
		b.keys = append(b.keys, key)
		if known, err := field(key); known || err != nil {
			return err
		}
		switch key {
		case "signature_name":
			return b.signature()
		case "id", "parameters", "rows":
			return b.r.field(b.p, b.s, key)
		}
		return b.p.skip(1)
	})
	if err == nil {
		b.r.Meta, err = ReadMeta(b.r.Parameters)
	}
	return err
}

func (b *tfsBody) signature() error {
	if b.p.space() != '"' {
		return fairlead.Invalid(`"signature_name" is %s; 'signature_name' key must be a string value`, b.p.found())
	}
	name, err := b.p.string()
	if err != nil || name == "" || slices.Contains(b.signatures, name) {
		return err
	}
	return fairlead.Invalid("Serving signature name: %s not found in signature def", quote(name)).
		Hintf("leave it away, or use %s", join(b.signatures, 10))
}

func (b *tfsBody) came() string {
	if len(b.keys) == 0 {
		return "the body is an empty object"
	}
	quoted := make([]string, len(b.keys))
	for i, key := range b.keys {
		quoted[i] = quote(key)
	}
	return "the body's keys are " + join(quoted, 10)
}

// encoded says whether {"b64": "…"}, bytes that are not text, is next. It is one where it has this key only and the value
// is a string.
func (p *parser) encoded() bool {
	q := parser{b: p.b, i: p.i}
	if q.space() != '{' {
		return false
	}
	q.i++
	if q.space() != '"' || !q.word(`"b64"`) || q.space() != ':' {
		return false
	}
	q.i++
	if q.space() != '"' {
		return false
	}
	// Base64 has no quotes and no backslashes: the next quote ends the string.
	end := bytes.IndexByte(q.b[q.i+1:], '"')
	if end < 0 {
		return false
	}
	q.i += end + 2
	return q.space() == '}'
}

// Form is how the body of a prediction says what its inputs are.
type Form int

// Forms.
const (
	FormUnknown Form = iota // neither "inputs" nor "instances" is there
	FormTensors             // the Open Inference Protocol's: "inputs" is a list of objects that have a name or a datatype
	FormRows                // "instances"
	FormColumns             // TensorFlow Serving's: "inputs" is anything else
)

// FormOf looks into a body as far as it needs to. A body that is no JSON object is FormUnknown: the decoder says why.
func FormOf(body []byte) Form {
	p := &parser{b: body}
	form := FormUnknown
	_ = p.object(func(key string) error {
		switch key {
		case "instances":
			form = FormRows
		case "inputs":
			form = FormColumns
			if p.space() == '[' && p.tensors() {
				form = FormTensors
			}
		default:
			return p.skip(1)
		}
		return errFound
	})
	return form
}

// errFound ends the search.
var errFound = fairlead.Invalid("found")

// tensors says whether the array that is next starts with an object like {"name":…} or {"datatype":…}, or is empty.
func (p *parser) tensors() bool {
	q := parser{b: p.b, i: p.i + 1}
	switch q.space() {
	case ']':
		return true
	case '{':
	default:
		return false
	}
	found := false
	_ = q.object(func(key string) error {
		if key == "name" || key == "datatype" || key == "shape" {
			found = true
			return errFound
		}
		return q.skip(2)
	})
	return found
}
