package codec

import (
	"github.com/fairlead-ml/fairlead"
)

// AppendInferRequest appends a request of the Open Inference Protocol to dst, all of it JSON, as a client of another
// server sends it. outputs are those asked for; nil: all.
func AppendInferRequest(dst []byte, id string, inputs []fairlead.Tensor, outputs []string) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, id)
	dst = append(dst, `,"inputs":[`...)
	for i := range inputs {
		t := &inputs[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendHead(dst, t), `,"data":[`...)
		dst = append(appendValues(dst, t, 0, t.Len()), `]}`...)
	}
	dst = append(dst, ']')
	for i, name := range outputs {
		if i == 0 {
			dst = append(dst, `,"outputs":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = append(appendString(append(dst, `{"name":`...), name), '}')
		if i == len(outputs)-1 {
			dst = append(dst, ']')
		}
	}
	return append(dst, '}')
}

// DecodeInferAnswer reads the outputs that another server answers with, in JSON. The errors say what is wrong with the
// answer.
func DecodeInferAnswer(body []byte) (outputs []fairlead.Tensor, err error) {
	p := &parser{b: body}
	if p.space() != '{' {
		return nil, fairlead.Invalid("the answer is %s; expected a JSON object", p.found())
	}
	found := false
	err = p.object(func(key string) error {
		if key != "outputs" {
			return p.skip(1)
		}
		if found {
			return fairlead.Invalid(`the answer has "outputs" twice`)
		}
		found = true
		if p.space() != '[' {
			return fairlead.Invalid(`"outputs" is %s; expected an array of tensors`, p.found())
		}
		return p.array(func(i int) error {
			if p.space() != '{' {
				return fairlead.Invalid(`"outputs"[%d] is %s; expected an object`, i, p.found())
			}
			t, err := p.tensor(i)
			if err != nil {
				return err
			}
			if fairlead.Find(outputs, t.Name) != nil {
				return fairlead.Invalid("output %s is there twice", quote(t.Name))
			}
			outputs = append(outputs, t)
			return nil
		})
	})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fairlead.Invalid(`the answer has no "outputs"`)
	}
	if p.space(); p.i < len(p.b) {
		return nil, p.syntax("the end of the answer")
	}
	return outputs, nil
}
