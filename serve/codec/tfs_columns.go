package codec

import (
	"errors"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// columns reads "inputs" of the column form: an object of tensors by input name, or the tensor itself for a model with
// one input. The feature names of an input may stand in its place, each with a list of one value per row. Names that the
// model does not have are skipped.
func (s *Schema) columns(p *parser) ([]fairlead.Tensor, error) {
	inputs := s.sig.Inputs
	if p.space() != '{' || p.encoded() {
		if len(inputs) != 1 {
			return nil, fairlead.Invalid(`"inputs" is %s, but the model has the inputs %s`, p.found(), join(specNames(inputs), 30)).
				Hintf("send an object with one key per input")
		}
		t, err := p.whole(inputs[0])
		return []fairlead.Tensor{t}, err
	}
	c := &byFeature{s: s, tensors: make([]fairlead.Tensor, len(inputs)), seen: make([]bool, len(s.slots)),
		columns: make([]column, len(inputs)), rows: make([]int, len(inputs))}
	err := p.object(func(key string) error {
		slot, known := s.index[key]
		if !known {
			return p.skip(2)
		}
		if c.seen[slot] {
			return fairlead.Invalid(`"inputs" has %s twice`, quote(key))
		}
		c.seen[slot] = true
		sl := s.slots[slot]
		if sl.column >= 0 {
			return c.feature(p, slot)
		}
		t, err := p.whole(inputs[sl.input])
		c.tensors[sl.input] = t
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.tensors, c.finish()
}

func specNames(specs []fairlead.TensorSpec) []string {
	names := make([]string, len(specs))
	for i, spec := range specs {
		names[i] = spec.Name
	}
	return names
}

// whole reads a tensor as nested lists, or a bare value. Its shape is that of the lists.
func (p *parser) whole(spec fairlead.TensorSpec) (fairlead.Tensor, error) {
	t := fairlead.Tensor{Name: spec.Name, Type: spec.Type, Shape: []int64{}}
	values := newColumn(spec.Type, false)
	var d dims
	var err error
	if p.space() == '[' {
		d, err = values.append(p, 1<<62)
	} else {
		err = values.one(p)
	}
	if err != nil {
		return t, wrongValue(spec, p, err)
	}
	for _, n := range d.shape {
		t.Shape = append(t.Shape, int64(n))
	}
	t.Data = values.slice()
	return t, nil
}

// wrongValue says which value of an input cannot be read; errors of syntax stay as they are.
func wrongValue(spec fairlead.TensorSpec, p *parser, err error) error {
	var syntax *fairlead.Error
	if errors.As(err, &syntax) {
		return err
	}
	name := "input " + quote(spec.Name)
	var at *place
	if !errors.As(err, &at) {
		return fairlead.Invalid("%s is %s; expected %s (%s)", name, p.found(), expectation(err, spec.Type), spec.Type)
	}
	if at.err == nil {
		return fairlead.Invalid("%s %s", at.where(name), at.text).Hintf("lists of one level must have equal lengths")
	}
	e := fairlead.Invalid("%s %s; expected %s (%s)", at.where(name), at.text, expectation(at.err, spec.Type), spec.Type)
	return hint(e, at.err, p.space(), spec.Type)
}

// byFeature gathers inputs whose features come one by one.
type byFeature struct {
	s       *Schema
	tensors []fairlead.Tensor // those that came whole
	columns []column          // those that come by feature
	rows    []int             // of columns
	seen    []bool            // by slot
}

// feature reads the values of one feature.
func (c *byFeature) feature(p *parser, slot int) error {
	sl := c.s.slots[slot]
	spec := c.s.sig.Inputs[sl.input]
	width := len(spec.Features)
	if p.space() != '[' {
		return fairlead.Invalid("%s is %s; expected a list with one value per row", c.s.what(slot), p.found())
	}
	col, first := c.columns[sl.input], false
	if col == nil {
		col, first = newColumn(spec.Type, true), true
		c.columns[sl.input] = col
	}
	n := 0
	err := p.array(func(i int) error {
		n++
		if first {
			col.grow(width)
		} else if i >= c.rows[sl.input] {
			return c.unequal(slot, n)
		}
		p.space()
		if err := col.set(p, i*width+sl.column); err != nil {
			if _, syntax := err.(*fairlead.Error); syntax {
				return err
			}
			return fairlead.Invalid("%s: value %d is %s; expected %s (%s)", c.s.what(slot), i, p.found(),
				expectation(err, spec.Type), spec.Type)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !first && n != c.rows[sl.input] {
		return c.unequal(slot, n)
	}
	c.rows[sl.input] = n
	return nil
}

func (c *byFeature) unequal(slot, n int) error {
	return fairlead.Invalid("%s has %d or more values, but the features before it have %d", c.s.what(slot), n,
		c.rows[c.s.slots[slot].input]).Hintf("every feature has one value per row")
}

// finish says what is missing and makes tensors of what came by feature.
func (c *byFeature) finish() error {
	for i, spec := range c.s.sig.Inputs {
		whole, col := c.tensors[i].Data != nil, c.columns[i]
		switch {
		case whole && col != nil:
			return fairlead.Invalid("\"inputs\" gives input %q whole and by feature", spec.Name).
				Hintf("send either the features or the input")
		case whole:
			continue
		case col == nil:
			return fairlead.Invalid("Missing named input: %s in 'inputs' object.", spec.Name).
				Hintf("the model's inputs are %s", join(specNames(c.s.sig.Inputs), 30))
		}
		var missing []string
		for slot, sl := range c.s.slots {
			if sl.input == i && sl.column >= 0 && !c.seen[slot] {
				missing = append(missing, sl.name)
			}
		}
		if len(missing) > 0 {
			slices.Sort(missing)
			return fairlead.Invalid("\"inputs\" lacks %s of input %q", join(missing, 10), spec.Name)
		}
		c.tensors[i] = fairlead.Tensor{Name: spec.Name, Type: spec.Type,
			Shape: []int64{int64(c.rows[i]), int64(len(spec.Features))}, Data: col.slice()}
	}
	return nil
}
