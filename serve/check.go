package serve

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// check fits the input to the target's signature and fills in what the client left open.
func (c *call) check() error {
	sig := &c.target.Signature
	c.resp.Note = ""
	for i := range c.in.Tensors {
		c.fit(sig, &c.in.Tensors[i])
	}
	if err := engine.Check(sig, c.in.Tensors); err != nil {
		return err
	}
	if err := engine.CheckOutputs(sig, c.in.Outputs); err != nil {
		return err
	}
	if err := c.countRows(sig); err != nil {
		return err
	}
	return c.fillRows()
}

// countRows finds the rows of the request: those of the first input that the model takes any number of, else of the first
// that is no scalar.
func (c *call) countRows(sig *fairlead.Signature) error {
	var of *fairlead.Tensor
	for i := range sig.Inputs {
		t := fairlead.Find(c.in.Tensors, sig.Inputs[i].Name)
		if t == nil || len(t.Shape) == 0 {
			continue
		}
		if shape := sig.Inputs[i].Shape; shape == nil || shape[0] < 0 {
			of = t
			break
		}
		if of == nil {
			of = t
		}
	}
	c.rows = 1
	if of == nil {
		return nil
	}
	c.rows = of.Rows()
	if c.rows > maxHollow && of.Len() == 0 {
		return fairlead.Invalid("input %q has shape %s: %d rows without a value", of.Name, fairlead.ShapeString(of.Shape), c.rows)
	}
	return nil
}

// maxHollow is how many rows a request may have that send nothing, so that nobody gets memory for the number alone.
const maxHollow = 1 << 16

// fit reads a vector of n values as n rows of one value where the model wants those, and the other way round.
func (c *call) fit(sig *fairlead.Signature, t *fairlead.Tensor) {
	spec := sig.Input(t.Name)
	if spec == nil || spec.Shape == nil || engine.Fits(spec.Shape, t.Shape) {
		return
	}
	var shape []int64
	switch {
	case len(t.Shape) == 1 && len(spec.Shape) == 2:
		shape = []int64{t.Shape[0], 1}
	case len(t.Shape) == 2 && t.Shape[1] == 1 && len(spec.Shape) == 1:
		shape = []int64{t.Shape[0]}
	}
	if shape == nil || !engine.Fits(spec.Shape, shape) {
		return
	}
	note := fmt.Sprintf("input %q came with shape %s and was read as %s", t.Name, fairlead.ShapeString(t.Shape),
		fairlead.ShapeString(shape))
	t.Shape = shape
	if c.resp.Note != "" {
		note = c.resp.Note + "; " + note
	}
	c.resp.Note = note
}

// fillRows gives every row its id and time.
func (c *call) fillRows() error {
	in := &c.in
	if in.ID == "" {
		in.ID = c.newID()
	}
	c.resp.ID = in.ID
	if in.Rows != nil && len(in.Rows) != c.rows {
		return fairlead.Invalid(`"rows" describes %s, but the request has %d`, plural(len(in.Rows), "row"), c.rows).
			Hintf("give one entry per row of the first dimension, or leave \"rows\" away")
	}
	if id := twice(in.Rows); id != "" {
		return fairlead.Invalid(`"rows" has the id %q twice`, id).Hintf("a label finds its prediction by this id")
	}
	rows := slices.Clone(in.Rows)
	if rows == nil {
		rows = make([]fairlead.RowMeta, c.rows)
	}
	for i := range rows {
		r := &rows[i]
		if r.ID == "" {
			r.ID = fairlead.RowID(in.ID, i, c.rows)
		}
		if r.Time.IsZero() {
			r.Time = in.Default.Time
		}
		if r.Time.IsZero() {
			r.Time = c.req.Received
		}
		if r.Key == "" {
			r.Key = in.Default.Key
		}
		if r.Tags == nil {
			r.Tags = in.Default.Tags
		}
	}
	c.resp.Rows = rows
	return nil
}

// twice is an id that two rows have, "" if there is none.
func twice(rows []fairlead.RowMeta) string {
	if len(rows) < 2 {
		return ""
	}
	ids := make(map[string]bool, len(rows))
	for _, r := range rows {
		if r.ID != "" && ids[r.ID] {
			return r.ID
		}
		ids[r.ID] = true
	}
	return ""
}

// choose picks the outputs that the client asked for.
func (c *call) choose() error {
	if c.in.Outputs == nil {
		c.resp.Outputs = c.outputs
		return nil
	}
	c.resp.Outputs = make([]fairlead.Tensor, len(c.in.Outputs))
	for i, name := range c.in.Outputs {
		t := fairlead.Find(c.outputs, name)
		if t == nil {
			return fairlead.Errorf(fairlead.CodeInternal, "the model gave no output %q", name)
		}
		c.resp.Outputs[i] = *t
	}
	return nil
}

// explain adds to an error of waiting or running what this layer knows.
func (c *call) explain(err error) error {
	switch fairlead.CodeOf(err) {
	case fairlead.CodeDeadline:
		if c.in.Deadline == 0 {
			return err
		}
		if _, ok := c.target.Session.(Composite); ok {
			return err // it says which step was late
		}
		late := fairlead.Errorf(fairlead.CodeDeadline, "the deadline of %v passed: %v went into reading the request, "+
			"%v into waiting for a free core and %v into the model", c.in.Deadline, round(c.resp.Latency.Decode),
			round(c.resp.Latency.Queue), round(c.resp.Latency.Run)).Cause(err)
		late.Reason = "deadline_expired"
		return late
	case fairlead.CodeInternal:
		if counts := c.unequalRows(); counts != "" {
			return fairlead.Invalid("the inputs have different numbers of rows (%s), and the model cannot compute that", counts).
				Cause(err)
		}
	}
	return err
}

// unequalRows lists the rows of the inputs that have any number of them, "" where they agree.
func (c *call) unequalRows() string {
	var counts []string
	differ := false
	for _, t := range c.in.Tensors {
		if spec := c.target.Signature.Input(t.Name); len(t.Shape) == 0 || spec != nil && len(spec.Shape) > 0 && spec.Shape[0] >= 0 {
			continue
		}
		counts = append(counts, fmt.Sprintf("%q %d", t.Name, t.Rows()))
		differ = differ || t.Rows() != c.rows
	}
	if !differ {
		return ""
	}
	return strings.Join(counts, ", ")
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
