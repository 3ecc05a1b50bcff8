package check

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Difference is how one output of one golden case comes out on this host.
type Difference struct {
	Case     int
	Output   string
	Elements int
	Beyond   int     // elements that differ by more than the tolerance
	Largest  float64 // difference of a number; +Inf where one is NaN, or of another kind
	Share    float64 // of the tolerance that the worst element takes; more than 1: it is beyond
	At       int     // place of the worst element
	Expected string  // there
	Got      string
	Problem  string // what is wrong as a whole: no such output, another shape, the model fails
}

// Agrees says that nothing is beyond the tolerance.
func (d Difference) Agrees() bool { return d.Beyond == 0 && d.Problem == "" }

// Replay runs golden cases and compares every output that they expect. The error is the context's.
func Replay(ctx context.Context, g *bundle.Golden, model Runner) ([]Difference, error) {
	var out []Difference
	for i, c := range g.Cases {
		got, err := model.Run(ctx, c.Inputs, nil)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		for k := range c.Outputs {
			d := Difference{Case: i, Output: c.Outputs[k].Name, Elements: c.Outputs[k].Len()}
			if err != nil {
				d.Problem = fmt.Sprintf("the model fails: %v", err)
			} else {
				d.compare(&c.Outputs[k], fairlead.Find(got, c.Outputs[k].Name), g)
			}
			out = append(out, d)
		}
	}
	return out, nil
}

func (d *Difference) compare(want, got *fairlead.Tensor, g *bundle.Golden) {
	switch {
	case got == nil:
		d.Problem = "the model has no such output"
		return
	case got.Type != want.Type || !slices.Equal(got.Shape, want.Shape):
		d.Problem = fmt.Sprintf("expected %s %s, got %s %s", want.Type, fairlead.ShapeString(want.Shape), got.Type, fairlead.ShapeString(got.Shape))
		return
	}
	for i := range want.Len() {
		by, share := apart(want, got, i, g)
		d.Largest = max(d.Largest, by)
		if share > 1 {
			d.Beyond++
		}
		if i == 0 || share > d.Share {
			d.At, d.Share = i, share
			d.Expected, d.Got = goldenText(want, i), goldenText(got, i)
		}
	}
}

// apart is how far element i of two tensors lies apart, and what share of the tolerance that is. It is the rule by which
// versions are checked when they are loaded.
func apart(want, got *fairlead.Tensor, i int, g *bundle.Golden) (by, share float64) {
	far := math.Inf(1)
	same := func(equal bool) (float64, float64) {
		if equal {
			return 0, 0
		}
		return far, far
	}
	switch x := want.Data.(type) {
	case []string:
		return same(x[i] == got.Data.([]string)[i])
	case []int64: // a float64 does not hold them all
		return same(x[i] == got.Data.([]int64)[i])
	case []uint64:
		return same(x[i] == got.Data.([]uint64)[i])
	}
	x, _ := want.Float(i)
	y, _ := got.Float(i)
	absolute, relative := g.Absolute, g.Relative
	switch want.Type {
	case fairlead.FP16:
		relative = max(relative, 2e-3)
	case fairlead.BF16:
		relative = max(relative, 2e-2)
	case fairlead.FP32, fairlead.FP64:
	default:
		return same(x == y)
	}
	if x == y || math.IsNaN(x) && math.IsNaN(y) {
		return 0, 0
	}
	by = math.Abs(x - y)
	if math.IsNaN(by) || math.IsInf(by, 0) {
		return far, far
	}
	return by, by / (absolute + relative*math.Abs(x))
}

func goldenText(t *fairlead.Tensor, i int) string {
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
	x, _ := t.Float(i)
	return fmt.Sprint(x)
}

// golden runs the golden vectors.
func (e *evaluation) golden(ctx context.Context, tolerance *bundle.Tolerance) (Result, error) {
	if e.Golden == nil || len(e.Golden.Cases) == 0 {
		return skipped("there are no golden vectors: a push makes them")
	}
	g := *e.Golden
	if tolerance != nil {
		g.Absolute, g.Relative = tolerance.Absolute, tolerance.Relative
	}
	all, err := Replay(ctx, &g, e.Model)
	if err != nil {
		return Result{}, err
	}
	bad, largest, used := 0, 0.0, 0.0
	r := Result{Verdict: Passed, N: len(g.Cases)}
	for _, d := range all {
		largest, used = max(largest, d.Largest), max(used, d.Share)
		if d.Agrees() {
			continue
		}
		bad++
		if len(r.Worst) < MaxWorst {
			r.Worst = append(r.Worst, Row{Row: -1, Group: fmt.Sprintf("case %d", d.Case), By: d.Largest, Text: d.String()})
		}
	}
	r.Value = finite(largest)
	r.Text = fmt.Sprintf("%s of %s, the largest difference is %s, %s of the tolerance", counted(len(all), "output"), counted(len(g.Cases), "case"), formatNumber(largest), percent(used))
	if bad > 0 {
		r.Verdict, r.Fails = Failed, true
		r.Text = fmt.Sprintf("%d of %s differ by more than the tolerance", bad, counted(len(all), "output"))
	}
	return r, nil
}

// String says how the output came out.
func (d Difference) String() string {
	if d.Problem != "" {
		return fmt.Sprintf("output %q: %s", d.Output, d.Problem)
	}
	return fmt.Sprintf("output %q: %d of %d elements are beyond the tolerance; element %d: expected %s, got %s", d.Output, d.Beyond, d.Elements, d.At, d.Expected, d.Got)
}
