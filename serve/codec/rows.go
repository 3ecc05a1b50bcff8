package codec

import (
	"errors"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// rows reads "instances": an array of objects by feature or input name, or of bare values for a model with one input.
type rows struct {
	s       *Schema
	columns []column
	shapes  [][]int64 // of one row of each input
	widths  []int     // elements of one row, -1 until the first row tells
	nested  [][]int   // how the first row that came whole is nested, nil until then
	seen    []int     // per slot: the number of the last row that had it, from 1
	at      []int     // per input: where the present row starts
	n       int
	lists   bool // a feature of one value may stand in a list
	context bool // what is read is the context of examples
}

func (s *Schema) rows() *rows {
	r := &rows{
		s: s, seen: make([]int, len(s.slots)),
		columns: make([]column, len(s.sig.Inputs)), shapes: make([][]int64, len(s.sig.Inputs)),
		widths: make([]int, len(s.sig.Inputs)), at: make([]int, len(s.sig.Inputs)), nested: make([][]int, len(s.sig.Inputs)),
	}
	for i, in := range s.sig.Inputs {
		r.columns[i] = newColumn(in.Type, true)
		switch {
		case len(in.Features) > 0:
			r.shapes[i], r.widths[i] = []int64{int64(len(in.Features))}, len(in.Features)
		case len(in.Shape) > 0:
			r.shapes[i], r.widths[i] = in.Shape[1:], in.Width()
		default:
			r.widths[i] = -1
		}
	}
	return r
}

func (s *Schema) instances(p *parser) ([]fairlead.Tensor, int, error) {
	if p.space() != '[' {
		return nil, 0, fairlead.Invalid(`"instances" is %s; expected an array with one element per row`, p.found()).
			Hintf("for example %s", s.Example())
	}
	r := s.rows()
	err := p.array(func(int) error {
		err := r.row(p)
		r.n++
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if r.n == 0 {
		return nil, 0, fairlead.Invalid(`"instances" is empty`).Hintf("send at least one row, for example %s", s.Example())
	}
	return r.tensors(), r.n, nil
}

// tensors are the rows read so far.
func (r *rows) tensors() []fairlead.Tensor {
	tensors := make([]fairlead.Tensor, len(r.columns))
	for i, in := range r.s.sig.Inputs {
		shape := append([]int64{int64(r.n)}, r.shapes[i]...)
		tensors[i] = fairlead.Tensor{Name: in.Name, Type: in.Type, Shape: shape, Data: r.columns[i].slice()}
	}
	return tensors
}

// start begins a row.
func (r *rows) start() {
	for i, c := range r.columns {
		r.at[i] = c.len()
	}
}

func (r *rows) row(p *parser) error {
	r.start()
	if p.space() != '{' || p.encoded() {
		if len(r.columns) != 1 {
			return fairlead.Invalid("row %d is %s; expected an object", r.n, p.found()).
				Hintf("for example %s", r.s.Example())
		}
		return r.whole(p, r.s.index[r.s.sig.Inputs[0].Name], 0)
	}
	if err := r.object(p); err != nil {
		return err
	}
	return r.complete()
}

// object reads a row's values by name.
func (r *rows) object(p *parser) error {
	next := 0
	return p.object(func(key string) error {
		// Clients send the keys in one order: look where it should be first.
		slot := next
		if slot >= len(r.s.slots) || r.s.slots[slot].name != key {
			known := false
			if slot, known = r.s.index[key]; !known {
				return r.s.unknownKey(r.n, key)
			}
		}
		next = slot + 1
		if r.seen[slot] == r.n+1 && r.context {
			return fairlead.Invalid("row %d: %s is in the context and in the example", r.n, r.s.what(slot)).
				Hintf("say it in one of them")
		}
		if r.seen[slot] == r.n+1 {
			return fairlead.Invalid("row %d has %q twice", r.n, key)
		}
		r.seen[slot] = r.n + 1
		return r.value(p, slot)
	})
}

// complete says what a row lacks.
func (r *rows) complete() error {
	for i, sl := range r.s.slots {
		if r.seen[i] != r.n+1 && (sl.column >= 0 || len(r.s.sig.Inputs[sl.input].Features) == 0) {
			return r.s.missing(r.n, r.seen) // nil where the input was given whole
		}
	}
	return nil
}

func (r *rows) value(p *parser, slot int) error {
	sl := r.s.slots[slot]
	if sl.column < 0 {
		return r.whole(p, slot, sl.input)
	}
	if whole := r.s.index[r.s.sig.Inputs[sl.input].Name]; r.s.slots[whole].column < 0 && r.seen[whole] == r.n+1 {
		return r.both(slot)
	}
	c := r.columns[sl.input]
	if c.len() == r.at[sl.input] {
		c.grow(r.widths[sl.input])
	}
	at := r.at[sl.input] + sl.column
	if !r.lists || p.space() != '[' {
		if err := c.set(p, at); err != nil {
			return r.wrong(p, slot, err)
		}
		return nil
	}
	n := 0
	err := p.array(func(i int) error { // a list of one, as TensorFlow's examples have it
		if n++; i > 0 {
			return fairlead.Invalid("row %d: %s is a list of more than one value", r.n, r.s.what(slot))
		}
		p.space()
		if err := c.set(p, at); err != nil {
			return r.wrong(p, slot, err)
		}
		return nil
	})
	if err == nil && n == 0 {
		err = fairlead.Invalid("row %d: %s is an empty list; expected one value", r.n, r.s.what(slot))
	}
	return err
}

func (r *rows) both(slot int) error {
	sl := r.s.slots[slot]
	return fairlead.Invalid("row %d gives input %q whole and by feature", r.n, r.s.sig.Inputs[sl.input].Name).
		Hintf("send either the features or the input")
}

// whole reads a row of an input as one value: a list, nested or not, or a bare value where a row has one element.
func (r *rows) whole(p *parser, slot, input int) error {
	c := r.columns[input]
	if c.len() != r.at[input] {
		return r.both(slot)
	}
	if p.space() != '[' {
		if r.widths[input] > 1 {
			return fairlead.Invalid("row %d: %s is %s; expected a list of %d values", r.n, r.s.what(slot), p.found(),
				r.widths[input])
		}
		if r.widths[input] < 0 {
			r.widths[input], r.shapes[input] = 1, []int64{}
		}
		if err := c.one(p); err != nil {
			return r.wrong(p, slot, err)
		}
		return nil
	}
	d, err := c.append(p, 1<<62)
	var at *place
	switch {
	case errors.As(err, &at) && at.err != nil:
		t := r.s.sig.Inputs[input].Type
		return fairlead.Invalid("row %d: %s %s; expected %s (%s)", r.n, at.where(r.s.what(slot)), at.text,
			expectation(at.err, t), t)
	case errors.As(err, &at):
		return fairlead.Invalid("row %d: %s %s", r.n, at.where(r.s.what(slot)), at.text)
	case err != nil:
		return err
	}
	if r.widths[input] < 0 && !r.learn(input, d) || d.leaves != r.widths[input] {
		return r.badLength(slot, input, d)
	}
	if r.nested[input] == nil {
		r.nested[input] = slices.Clone(d.shape)
	} else if !slices.Equal(r.nested[input], d.shape) {
		return fairlead.Invalid("row %d: %s has the shape %v, but the rows before it have %v", r.n, r.s.what(slot), d.shape,
			r.nested[input]).Hintf("all rows have one shape")
	}
	return nil
}

// learn takes the free dimensions of an input's row from the first row.
func (r *rows) learn(input int, d dims) bool {
	if spec := r.shapes[input]; spec != nil {
		if len(spec) != len(d.shape) {
			return false
		}
		for i, n := range spec {
			if n >= 0 && int(n) != d.shape[i] {
				return false
			}
		}
	}
	shape := make([]int64, len(d.shape))
	for i, n := range d.shape {
		shape[i] = int64(n)
	}
	r.shapes[input], r.widths[input] = shape, d.leaves
	return true
}

func (r *rows) badLength(slot, input int, d dims) error {
	spec := r.s.sig.Inputs[input]
	if r.widths[input] < 0 {
		return fairlead.Invalid("row %d: %s has the shape %v; a row of it has the shape %s", r.n, r.s.what(slot), d.shape,
			fairlead.ShapeString(spec.Shape[1:])).Hintf("? is any size")
	}
	err := fairlead.Invalid("row %d: %s has %d values; expected %d", r.n, r.s.what(slot), d.leaves, r.widths[input])
	if len(spec.Features) > 0 {
		return err.Hintf("they are %s", join(spec.Features, 30))
	}
	return err
}

// wrong is the error of a value that cannot be read.
func (r *rows) wrong(p *parser, slot int, err error) error {
	if _, syntax := err.(*fairlead.Error); syntax {
		return err
	}
	t := r.s.sig.Inputs[r.s.slots[slot].input].Type
	e := fairlead.Invalid("row %d: %s is %s; expected %s (%s)", r.n, r.s.what(slot), p.found(), expectation(err, t), t)
	switch {
	case err == errNull:
		return e.Hintf("%s has no missing value: send one that means \"missing\" to the model", t)
	case p.space() == '"':
		return e.Hintf("numbers stand without quotes")
	case err == errString:
		return e.Hintf("text stands in double quotes")
	}
	return e
}
