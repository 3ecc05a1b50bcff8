package codec

import (
	"errors"
	"math/bits"
	"slices"
	"strconv"

	"github.com/fairlead-ml/fairlead"
)

// Request is a decoded request. Nothing in it refers to the body that it was read from.
type Request struct {
	ID         string             // "" if the client gave none
	Parameters map[string]any     // strings, int64, float64 and bool
	Meta       Meta               // what Parameters say about all rows
	Inputs     []fairlead.Tensor  // not yet checked against the model
	Outputs    []string           // nil: all
	Rows       []fairlead.RowMeta // nil, or one per row
	Instances  bool               // the rows came as "instances"; the answer goes as "predictions"

	OutputOptions []OutputOption // of each of Outputs, in that order
	BinaryOutputs bool           // outputs that have no option go in binary form
	KeepsBody     bool           // an input shares the body's memory: nobody may write to the body any more
}

// Decode reads the body of an inference request: the Open Inference Protocol's, or "instances" in place of "inputs".
// All errors are CodeInvalid or CodeUnsupported.
func Decode(body []byte, s *Schema) (*Request, error) { return DecodeInfer(body, -1, s) }

// DecodeRows reads the body of TensorFlow Serving's predict in row form: "instances" and no "inputs". All errors are
// CodeInvalid or CodeUnsupported.
func DecodeRows(body []byte, s *Schema) (*Request, error) {
	return decode(body, s, (*Request).rowField)
}

func decode(body []byte, s *Schema, field func(*Request, *parser, *Schema, string) error) (*Request, error) {
	return (&parser{b: body}).request(s, field)
}

// request reads the JSON of a request; field reads the value of each key.
func (p *parser) request(s *Schema, field func(*Request, *parser, *Schema, string) error) (*Request, error) {
	switch p.space() {
	case 0:
		if p.i >= len(p.b) {
			return nil, fairlead.Invalid("the body is empty").Hintf("expected JSON, for example %s", s.Example())
		}
	case '{':
	default:
		return nil, fairlead.Invalid("the body is %s; expected a JSON object", p.found()).
			Hintf("for example %s", s.Example())
	}
	r := &Request{}
	keys := make([]string, 0, 8)
	err := p.object(func(key string) error {
		if slices.Contains(keys, key) {
			return fairlead.Invalid("the body has the key %s twice", quote(key))
		}
		keys = append(keys, key)
		return field(r, p, s, key)
	})
	if err != nil {
		return nil, err
	}
	if p.space(); p.i < len(p.b) {
		return nil, p.syntax("the end of the body")
	}
	inputs, instances := slices.Contains(keys, "inputs"), slices.Contains(keys, "instances")
	if inputs && instances {
		return nil, fairlead.Invalid(`the body has both "inputs" and "instances"`).Hintf("send one of them")
	}
	if !inputs && !instances {
		for i := range keys {
			keys[i] = quote(keys[i])
		}
		came := "it is empty"
		if len(keys) > 0 {
			came = "its keys are " + join(keys, 10)
		}
		return nil, fairlead.Invalid(`the body has no "inputs" and no "instances"; %s`, came).
			Hintf("for example %s", s.Example())
	}
	r.Meta, err = ReadMeta(r.Parameters)
	if err != nil {
		return nil, err
	}
	return r, p.finishOutputs(r)
}

// rowField is field for TensorFlow Serving's row form.
func (r *Request) rowField(p *parser, s *Schema, key string) error {
	switch key {
	case "inputs":
		return fairlead.Errorf(fairlead.CodeUnsupported, `"inputs", the column form, is not supported here`).
			Hintf("send rows: %s", s.Example())
	case "signature_name":
		if p.b[p.i] != '"' {
			return fairlead.Invalid(`"signature_name" is %s; expected a string`, p.found())
		}
		name, err := p.string()
		if err == nil && name != "serving_default" {
			err = fairlead.Invalid("Serving signature name: %s not found in signature def", quote(name)).
				Hintf("leave it away, or use serving_default")
		}
		return err
	}
	return r.field(p, s, key)
}

func (r *Request) field(p *parser, s *Schema, key string) (err error) {
	switch key {
	case "id":
		if p.word("null") {
			return nil
		}
		if p.space() != '"' {
			return fairlead.Invalid(`"id" is %s; expected a string`, p.found())
		}
		if r.ID, err = p.string(); err != nil || r.ID == "" {
			return err
		}
		return CheckID(`"id"`, r.ID)
	case "parameters":
		r.Parameters, err = p.parameters(`"parameters"`)
		return err
	case "inputs":
		return r.inputs(p)
	case "outputs":
		return r.outputs(p)
	case "instances":
		r.Instances = true
		r.Inputs, _, err = s.instances(p)
		return err
	case "rows":
		r.Rows, err = p.rowMetas()
		return err
	}
	return p.skip(1)
}

func (r *Request) inputs(p *parser) error {
	if p.space() != '[' {
		return fairlead.Invalid(`"inputs" is %s; expected an array of tensors`, p.found()).
			Hintf(`for example "inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"data":[1.5,2]}]`)
	}
	return p.array(func(i int) error {
		if p.space() != '{' {
			return fairlead.Invalid(`"inputs"[%d] is %s; expected an object`, i, p.found()).
				Hintf(`for example {"name":"x","datatype":"FP32","shape":[1,2],"data":[1.5,2]}`)
		}
		t, err := p.tensor(i)
		if err != nil {
			return err
		}
		if fairlead.Find(r.Inputs, t.Name) != nil {
			return fairlead.Invalid("input %s is there twice", quote(t.Name))
		}
		r.Inputs = append(r.Inputs, t)
		return nil
	})
}

// head is an input as far as it is known while its object is read.
type head struct {
	tensor fairlead.Tensor
	shape  bool
	data   int // where "data" starts, -1 while unknown
	binary int // bytes of its binary form, -1 where it has none
}

func (p *parser) tensor(i int) (fairlead.Tensor, error) {
	h := head{data: -1, binary: -1}
	keys := make([]string, 0, 8)
	err := p.object(func(key string) (err error) {
		if slices.Contains(keys, key) {
			return fairlead.Invalid("%s has the key %s twice", h.called(i), quote(key))
		}
		keys = append(keys, key)
		switch key {
		case "name", "datatype":
			if p.space() != '"' {
				return fairlead.Invalid(`the %s of "inputs"[%d] is %s; expected a string`, key, i, p.found())
			}
			s, err := p.string()
			if key == "name" {
				h.tensor.Name = s
			} else {
				h.tensor.Type = fairlead.DataType(s)
			}
			return err
		case "shape":
			h.shape = true
			h.tensor.Shape, err = p.shape(func() string { return h.called(i) })
			return err
		case "parameters":
			h.binary, err = p.inputParameters(i)
			return err
		case "data":
			h.data = p.i
			if h.ready() { // the usual order of keys: read it at once
				return p.data(&h)
			}
			return p.skip(3)
		}
		return p.skip(3)
	})
	if err != nil {
		return h.tensor, err
	}
	for _, missing := range []struct {
		is   bool
		what string
	}{{h.tensor.Name == "", "name"}, {h.tensor.Type == "", "datatype"}, {!h.shape, "shape"}, {h.data < 0 && h.binary < 0, "data"}} {
		if missing.is {
			return h.tensor, fairlead.Invalid("%s has no %q", h.called(i), missing.what).
				Hintf(`for example {"name":"x","datatype":"FP32","shape":[1,2],"data":[1.5,2]}`)
		}
	}
	if h.binary >= 0 {
		return h.tensor, p.takeBinary(&h)
	}
	if h.tensor.Data == nil {
		end := p.i
		p.i = h.data
		err = p.data(&h)
		p.i = end
	}
	return h.tensor, err
}

func (h *head) ready() bool { return h.tensor.Name != "" && h.tensor.Type != "" && h.shape }

func (h *head) called(i int) string {
	if h.tensor.Name != "" {
		return "input " + quote(h.tensor.Name)
	}
	return `"inputs"[` + strconv.Itoa(i) + `]`
}

// shape reads a shape; of says what its tensor is called in messages.
func (p *parser) shape(of func() string) ([]int64, error) {
	if p.space() != '[' {
		return nil, fairlead.Invalid("the shape of %s is %s; expected an array of integers", of(), p.found())
	}
	shape := make([]int64, 0, 4)
	err := p.array(func(i int) error {
		d, err := parseSigned[int64](p)
		if err != nil {
			return fairlead.Invalid("dimension %d of the shape of %s is %s; expected an integer", i, of(), p.found())
		}
		if d < 0 {
			return negative(of(), i, d)
		}
		if i >= maxRank {
			return tooManyDimensions(of())
		}
		shape = append(shape, d)
		return nil
	})
	return shape, err
}

const maxRank = 32

// The errors of a shape or type that no model could take; of is the input as it is called in messages.
func negative(of string, i int, d int64) error {
	return fairlead.Invalid("dimension %d of the shape of %s is %d; a request says how much it sends", i, of, d).
		Hintf("-1 stands for any size only in a model's metadata")
}

func tooManyDimensions(of string) error {
	return fairlead.Invalid("the shape of %s has more than %d dimensions", of, maxRank)
}

func unknownType(name string, t fairlead.DataType) error {
	return fairlead.Invalid("the datatype of input %s is %s, which does not exist", quote(name), quote(string(t))).
		Hintf("use BOOL, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FP16, BF16, FP32, FP64 or BYTES")
}

func tooLargeShape(name string, shape []int64) error {
	return fairlead.Invalid("the shape of input %s is %s, which is more than can be addressed", quote(name),
		fairlead.ShapeString(shape))
}

// product multiplies the dimensions; false if it overflows.
func product(shape []int64) (int, bool) {
	n := uint64(1)
	for _, d := range shape {
		high, low := bits.Mul64(n, uint64(d))
		if high != 0 || low > 1<<62 {
			return 0, false
		}
		n = low
	}
	return int(n), true
}

// data reads the values of a tensor whose name, type and shape are known.
func (p *parser) data(h *head) error {
	t := &h.tensor
	name := func() string { return "input " + quote(t.Name) }
	values := newColumn(t.Type, false)
	if values == nil {
		return unknownType(t.Name, t.Type)
	}
	want, ok := product(t.Shape)
	if !ok {
		return tooLargeShape(t.Name, t.Shape)
	}
	if p.space() != '[' {
		return fairlead.Invalid("the data of %s are %s; expected an array", name(), p.found())
	}
	// A value takes at least two bytes, so a short body with a large shape reserves little.
	values.reserve(min(want, (len(p.b)-p.i)/2+1))
	d, err := values.append(p, want)
	if err != nil {
		return p.misplaced(err, name(), t.Type)
	}
	if d.leaves != want {
		return fairlead.Invalid("%s has shape %s, which is %d values, but its data are %d", name(),
			fairlead.ShapeString(t.Shape), want, d.leaves)
	}
	t.Data = values.slice()
	return nil
}

// misplaced says what is wrong with the data of the tensor called name.
func (p *parser) misplaced(err error, name string, t fairlead.DataType) error {
	var at *place
	switch {
	case !errors.As(err, &at):
		return err
	case at.err != nil:
		e := fairlead.Invalid("%s: %s %s; expected %s (%s)", name, at.where("data"), at.text, expectation(at.err, t), t)
		return hint(e, at.err, p.space(), t)
	}
	return fairlead.Invalid("%s: %s %s", name, at.where("data"), at.text).
		Hintf("send the data flat, or nested with equal lengths")
}

func hint(e *fairlead.Error, expected error, came byte, t fairlead.DataType) error {
	switch {
	case expected == errNull && (t == fairlead.FP32 || t == fairlead.FP64 || t == fairlead.FP16 || t == fairlead.BF16):
		return e.Hintf("write NaN for a missing value")
	case expected == errInteger && (came == '-' || came-'0' < 10):
		return e.Hintf("an integer has no point and no exponent")
	case expected == errString:
		return e.Hintf("text stands in double quotes")
	case came == '"':
		return e.Hintf("numbers stand without quotes")
	}
	return e
}
