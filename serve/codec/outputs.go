package codec

import (
	"math"
	"slices"
	"strconv"

	"github.com/fairlead-ml/fairlead"
)

// OutputOption is how one output is asked for.
type OutputOption struct {
	Name    string
	Binary  bool // in binary form
	Classes int  // the best so many classes of each row in place of the values, see Classify; 0: the values
}

// binary says whether an output goes in binary form.
func (r *Request) binary(name string) bool {
	if r == nil {
		return false
	}
	for i := range r.OutputOptions {
		if r.OutputOptions[i].Name == name {
			return r.OutputOptions[i].Binary
		}
	}
	return r.BinaryOutputs
}

// outputs reads "outputs". What the request says about all of them may come later in the body: see finishOutputs.
func (r *Request) outputs(p *parser) error {
	if p.space() != '[' {
		return fairlead.Invalid(`"outputs" is %s; expected an array like [{"name":"y"}]`, p.found())
	}
	return p.array(func(i int) error {
		if p.space() != '{' {
			return fairlead.Invalid(`"outputs"[%d] is %s; expected an object like {"name":"y"}`, i, p.found())
		}
		o, err := p.output(i)
		if err != nil {
			return err
		}
		if slices.Contains(r.Outputs, o.Name) {
			return fairlead.Invalid("output %s is asked for twice", quote(o.Name))
		}
		r.Outputs = append(r.Outputs, o.Name)
		r.OutputOptions = append(r.OutputOptions, o)
		return nil
	})
}

func (p *parser) output(i int) (o OutputOption, err error) {
	said := false
	err = p.object(func(key string) (err error) {
		switch key {
		case "name":
			if p.space() != '"' {
				return fairlead.Invalid(`the name of "outputs"[%d] is %s; expected a string`, i, p.found())
			}
			o.Name, err = p.string()
			return err
		case "parameters":
			said, err = p.outputParameters(i, &o)
			return err
		}
		return p.skip(2)
	})
	if err == nil && o.Name == "" {
		err = fairlead.Invalid(`"outputs"[%d] has no name`, i)
	}
	if !said {
		p.plain = append(p.plain, i)
	}
	return o, err
}

// outputParameters says whether they say in which form the output goes.
func (p *parser) outputParameters(i int, o *OutputOption) (said bool, err error) {
	m, err := p.tensorParameters("output", i)
	if err != nil {
		return false, err
	}
	if v, ok := m["classification"]; ok {
		k, isInt := v.(int64)
		if !isInt || k < 0 || k > math.MaxInt32 {
			return false, fairlead.Invalid(`output %d has the parameter "classification" %#v; expected an integer`, i, v).
				Hintf("the number of classes wanted for each row, the best first, for example 3")
		}
		o.Classes = int(k)
	}
	v, said := m["binary_data"]
	if o.Binary, _ = v.(bool); said && v != o.Binary {
		return false, fairlead.Invalid(`output %d has the parameter "binary_data" %#v; expected true or false`, i, v)
	}
	return said, nil
}

// finishOutputs gives outputs that do not say so themselves the form that the request says.
func (p *parser) finishOutputs(r *Request) error {
	v, ok := r.Parameters["binary_data_output"]
	if !ok {
		return nil
	}
	if r.BinaryOutputs, ok = v.(bool); !ok {
		return fairlead.Invalid(`parameter "binary_data_output" is %#v; expected true or false`, v)
	}
	for _, i := range p.plain {
		r.OutputOptions[i].Binary = r.BinaryOutputs
	}
	return nil
}

// tensorParameters reads the parameters of a tensor and refuses those that mean that its data are not in the request.
func (p *parser) tensorParameters(what string, i int) (map[string]any, error) {
	m, err := p.parameters("the parameters of " + what + " " + strconv.Itoa(i))
	if err != nil {
		return nil, err
	}
	if _, ok := m["shared_memory_region"]; ok {
		return nil, fairlead.Errorf(fairlead.CodeUnsupported, `%s %d has the parameter "shared_memory_region", which is not supported`,
			what, i).Hintf("send and take the values in the body, as JSON or in binary form")
	}
	return m, nil
}
