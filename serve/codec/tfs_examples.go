package codec

import (
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// Examples is one call of TensorFlow Serving's classify or regress. The zero value is a regression.
//
// A classification answers with the output of role score, whose columns are the classes, and with the output of role
// label where there is no such score. A single score of a model with two classes is the probability of the second one.
// A regression answers with the output of role value; or with the only output that has one number per row.
type Examples struct {
	Classify bool

	output  string
	classes []string
	label   bool // output is the label
}

// maxContext is how much of a "context" may be repeated in one request, in bytes of JSON.
const maxContext = 64 << 20

// ClassifySignatures and RegressSignatures are the names that a request may give as its signature.
func ClassifySignatures() []string {
	return []string{ServingDefault, "classification", "tensorflow/serving/classify"}
}

// RegressSignatures is ClassifySignatures for regress.
func RegressSignatures() []string {
	return []string{ServingDefault, "regression", "tensorflow/serving/regress"}
}

// Decode reads {"context": {…}, "examples": [{feature: value or list, …}, …]}. What the context says holds for every
// example. All errors are CodeInvalid.
func (e *Examples) Decode(body []byte, s *Schema) (*Request, error) {
	verb, signatures := "regress", RegressSignatures()
	if e.Classify {
		verb, signatures = "classify", ClassifySignatures()
	}
	if err := e.choose(s.sig); err != nil {
		return nil, err
	}
	b := tfsBody{p: &parser{b: body}, s: s, r: &Request{Outputs: []string{e.output}}, signatures: signatures}
	context, examples := -1, -1
	err := b.read(func(key string) (known bool, err error) {
		switch key {
		case "context":
			context = b.p.i
		case "examples":
			examples = b.p.i
		default:
			return false, nil
		}
		return true, b.p.skip(1)
	})
	if err != nil {
		return nil, err
	}
	if examples < 0 {
		return nil, fairlead.Invalid("When method is %s, key 'examples' is expected and was not found; %s", verb, b.came()).
			Hintf("for example %s", example1(s))
	}
	b.p.i = examples
	b.r.Inputs, err = s.examples(b.p, context)
	if err != nil {
		return nil, err
	}
	return b.r, nil
}

func example1(s *Schema) string {
	const instances = `{"instances":`
	return `{"examples":` + s.Example()[len(instances):]
}

// examples reads TensorFlow Serving's examples: objects by feature, where a feature of one value may also stand as a list
// of it. The object at context, if that is not negative, belongs to each of them.
func (s *Schema) examples(p *parser, context int) ([]fairlead.Tensor, error) {
	if p.space() != '[' {
		return nil, fairlead.Invalid(`Expecting 'examples' value to be an list/array; it is %s`, p.found()).
			Hintf("for example %s", example1(s))
	}
	r := s.rows()
	r.lists = true
	repeated := 0
	err := p.array(func(int) error {
		if p.space() != '{' {
			return fairlead.Invalid("row %d: Example must be JSON object but it is %s", r.n, p.found())
		}
		r.start()
		if err := r.object(p); err != nil {
			return err
		}
		if context >= 0 {
			again := parser{b: p.b, i: context}
			if again.space() != '{' {
				return fairlead.Invalid("'context' is %s; expected an object like an example", again.found())
			}
			r.context = true
			if err := r.object(&again); err != nil {
				return err
			}
			r.context = false
			if repeated += again.i - context; repeated > maxContext {
				return fairlead.Invalid("the context is too large for so many examples: repeated for each it is more than %d MiB",
					maxContext>>20).Hintf("send fewer examples per request")
			}
		}
		err := r.complete()
		r.n++
		return err
	})
	if err == nil && r.n == 0 {
		err = fairlead.Invalid("'examples' value is an empty array").Hintf("for example %s", example1(s))
	}
	if err != nil {
		return nil, err
	}
	return r.tensors(), nil
}

// choose finds the output that answers.
func (e *Examples) choose(sig *fairlead.Signature) error {
	if e.Classify {
		for _, role := range []fairlead.OutputRole{fairlead.RoleScore, fairlead.RoleLabel} {
			i := slices.IndexFunc(sig.Outputs, func(o fairlead.TensorSpec) bool { return o.Role == role })
			if i >= 0 {
				e.output, e.classes, e.label = sig.Outputs[i].Name, sig.Outputs[i].Classes, role == fairlead.RoleLabel
				return nil
			}
		}
		return fairlead.Invalid("no output of this model is a score or a label, so it cannot classify; its outputs are %s",
			join(specNames(sig.Outputs), 30)).
			Hintf("use :predict, or give an output the role score and its classes in fairlead.yaml")
	}
	one := func(o fairlead.TensorSpec) bool {
		scalar := o.Shape != nil && len(o.Shape) == 0
		return o.Type != fairlead.Bytes && !scalar && o.Width() == 1
	}
	i := slices.IndexFunc(sig.Outputs, func(o fairlead.TensorSpec) bool { return o.Role == fairlead.RoleValue && one(o) })
	if i < 0 && len(sig.Outputs) == 1 && one(sig.Outputs[0]) {
		i = 0
	}
	if i < 0 {
		return fairlead.Invalid("no output of this model is one value per row, so it cannot regress; its outputs are %s",
			join(specNames(sig.Outputs), 30)).
			Hintf("use :predict, or give an output the role value in fairlead.yaml")
	}
	e.output = sig.Outputs[i].Name
	return nil
}

// CanClassify and CanRegress say which calls a model can answer.
func CanClassify(sig *fairlead.Signature) bool { return (&Examples{Classify: true}).choose(sig) == nil }

// CanRegress is CanClassify for regress.
func CanRegress(sig *fairlead.Signature) bool { return (&Examples{}).choose(sig) == nil }

// Append appends {"results": …}: per example a list of [class, score] pairs, or one number.
func (e *Examples) Append(dst []byte, _ *Request, a *Answer) ([]byte, error) {
	t := fairlead.Find(a.Outputs, e.output)
	if t == nil || len(t.Shape) == 0 {
		return nil, fairlead.Errorf(fairlead.CodeInternal, "the model gave no rows of its output %q", e.output)
	}
	width := t.Width()
	if !e.Classify && width != 1 {
		return nil, fairlead.Invalid("output %q has the shape %s, which is not one value per row", t.Name,
			fairlead.ShapeString(t.Shape)).Hintf("use :predict")
	}
	dst = append(dst, `{"results":[`...)
	for row := range t.Rows() {
		if row > 0 {
			dst = append(dst, ',')
		}
		if e.Classify {
			dst = e.pairs(dst, t, row, width)
		} else {
			dst = appendNumber(dst, t, row)
		}
	}
	return append(dst, "]}"...), nil
}

// pairs appends the classes of one row.
func (e *Examples) pairs(dst []byte, t *fairlead.Tensor, row, width int) []byte {
	dst = append(dst, '[')
	for i := range width {
		if i > 0 {
			dst = append(dst, ',')
		}
		at := row*width + i
		if e.label { // certain as far as the model says
			dst = append(dst, '[')
			dst = append(e.appendLabel(dst, t, at), ",1.0]"...)
			continue
		}
		if width == 1 && len(e.classes) == 2 {
			if p, ok := t.Float(at); ok && p >= 0 && p <= 1 { // else it is no probability
				dst = appendPair(dst, e.classes[0])
				before := len(dst)
				dst = appendComplement(dst, t, p)
				dst = append(pointed(dst, before), "],"...)
			}
			dst = append(appendNumber(appendPair(dst, e.classes[1]), t, at), ']')
			continue
		}
		class := ""
		if len(e.classes) == width {
			class = e.classes[i]
		}
		dst = append(appendNumber(appendPair(dst, class), t, at), ']')
	}
	return append(dst, ']')
}

// appendPair starts a pair with its class.
func appendPair(dst []byte, class string) []byte {
	return append(appendString(append(dst, '['), class), ',')
}

func appendComplement(dst []byte, t *fairlead.Tensor, p float64) []byte {
	if t.Type == fairlead.FP64 {
		return appendFloat(dst, 1-p, 64)
	}
	return appendFloat(dst, float64(1-float32(p)), 32)
}

// appendLabel appends the predicted class as text.
func (e *Examples) appendLabel(dst []byte, t *fairlead.Tensor, at int) []byte {
	if words, ok := t.Data.([]string); ok {
		return appendString(dst, words[at])
	}
	dst = append(dst, '"')
	return append(appendValues(dst, t, at, at+1), '"')
}

// appendNumber appends one number as a float.
func appendNumber(dst []byte, t *fairlead.Tensor, at int) []byte {
	before := len(dst)
	if _, isBool := t.Data.([]bool); isBool {
		v, _ := t.Float(at)
		dst = appendFloat(dst, v, 32)
	} else {
		dst = appendValues(dst, t, at, at+1)
	}
	return pointed(dst, before)
}
