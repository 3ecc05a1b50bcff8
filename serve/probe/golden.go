package probe

import (
	"fmt"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

func (p *prober) checkGolden() error {
	if p.Golden == nil {
		return nil
	}
	err := p.Golden.Check(func(in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		out, _, err := p.run(in)
		return out, err
	})
	switch {
	case p.ctx.Err() != nil:
		return engine.ContextError(p.ctx)
	case err != nil && p.undecided():
		p.report("golden vectors: not compared, for the model gives more than one answer to the same row")
		return nil
	case err != nil:
		return err
	}
	p.report("golden vectors: all %d cases agree within %g + %g·|expected|", len(p.Golden.Cases), p.Golden.Absolute, p.Golden.Relative)
	return nil
}

// undecided says whether the model draws its answers: such a one may have agreed with itself by chance when the vectors
// were made.
func (p *prober) undecided() bool {
	for _, c := range p.Golden.Cases {
		first, _, err := p.run(c.Inputs)
		for range drawnRuns {
			if err != nil {
				return false
			}
			var again []fairlead.Tensor
			if again, _, err = p.run(c.Inputs); err == nil && p.Golden.Difference(first, again) != "" {
				return true
			}
		}
	}
	return false
}

// Check runs every case. The error is CodeInvalid with the reason "golden_mismatch" and says which output of which case
// differs first, where, what was expected and what came, and how many cases differ.
func (g *Golden) Check(run func(in []fairlead.Tensor) ([]fairlead.Tensor, error)) error {
	var first string
	bad := 0
	for i, c := range g.Cases {
		var difference string
		if out, err := run(c.Inputs); err != nil {
			difference = fmt.Sprintf("the model fails: %v", err)
		} else {
			difference = g.Difference(c.Outputs, out)
		}
		if difference == "" {
			continue
		}
		if bad++; first == "" {
			first = fmt.Sprintf("case %d: %s", i, difference)
		}
	}
	if bad == 0 {
		return nil
	}
	err := fairlead.Invalid("the model does not give its golden answers: %s; %d of %d cases differ", first, bad, len(g.Cases)).
		Hintf("the graph, the runtime or the processor computes otherwise than when they were made: correct golden.json, or widen its tolerance (absolute %g, relative %g now); without one, a new push makes new ones",
			g.Absolute, g.Relative)
	err.Reason = "golden_mismatch"
	return err
}

// Difference says where got differs from what was expected, "" if it does not. Outputs that are not expected do not matter.
func (g *Golden) Difference(want, got []fairlead.Tensor) string {
	for i := range want {
		w := &want[i]
		o := fairlead.Find(got, w.Name)
		if o == nil {
			return fmt.Sprintf("the model has no output %q", w.Name)
		}
		if o.Type != w.Type || !slices.Equal(o.Shape, w.Shape) {
			return fmt.Sprintf("output %q: expected %s %s, got %s %s", w.Name, w.Type, fairlead.ShapeString(w.Shape), o.Type, fairlead.ShapeString(o.Shape))
		}
		for k := range w.Len() {
			if !near(w, k, o, k, g.Absolute, g.Relative) {
				return fmt.Sprintf("output %q, %s: expected %s, got %s", w.Name, place(w, k), element(w, k), element(o, k))
			}
		}
	}
	return ""
}

// near compares element i of a, expected, with element k of b. NaN equals NaN.
func near(a *fairlead.Tensor, i int, b *fairlead.Tensor, k int, absolute, relative float64) bool {
	switch x := a.Data.(type) {
	case []string:
		return x[i] == b.Data.([]string)[k]
	case []int64:
		return x[i] == b.Data.([]int64)[k]
	case []uint64:
		return x[i] == b.Data.([]uint64)[k]
	}
	x, _ := a.Float(i)
	y, _ := b.Float(k)
	switch a.Type {
	case fairlead.FP16:
		relative = max(relative, 2e-3) // two units in the last of its eleven digits
	case fairlead.BF16:
		relative = max(relative, 2e-2)
	case fairlead.FP32, fairlead.FP64:
	default:
		absolute, relative = 0, 0
	}
	if math.IsInf(x, 0) { // which any difference would be within
		return x == y
	}
	return x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= absolute+relative*math.Abs(x)
}

// place names element i for people: its row, and its column where a row has several.
func place(t *fairlead.Tensor, i int) string {
	if len(t.Shape) == 0 {
		return "the only value"
	}
	if w := t.Width(); w > 1 {
		return fmt.Sprintf("row %d, column %d", i/w, i%w)
	}
	return fmt.Sprintf("row %d", i)
}

func element(t *fairlead.Tensor, i int) string {
	switch d := t.Data.(type) {
	case []string:
		return fmt.Sprintf("%.40q", d[i])
	case []float32:
		return fmt.Sprint(d[i])
	case []int64:
		return fmt.Sprint(d[i])
	case []uint64:
		return fmt.Sprint(d[i])
	case []bool:
		return fmt.Sprint(d[i])
	}
	v, _ := t.Float(i)
	return fmt.Sprint(v)
}
