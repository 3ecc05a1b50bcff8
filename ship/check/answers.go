package check

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Runner computes a model's answers; a loaded session is one.
type Runner interface {
	// Run computes the named outputs, all of them for nil. Inputs are not kept or changed.
	Run(ctx context.Context, in []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error)
}

// batchRows is how many rows go into one run.
const batchRows = 1024

// model is a version that can be asked.
type model struct {
	sig fairlead.Signature
	run Runner
	ran int // calls
}

// fixed is the number of rows that the graph fixes for a run, 0 if it is free.
func (m *model) fixed() int {
	for _, in := range m.sig.Inputs {
		if len(in.Shape) > 0 && in.Shape[0] > 0 {
			return int(in.Shape[0])
		}
	}
	return 0
}

// features are the columns that the model reads.
func (m *model) features() []string {
	var out []string
	for _, f := range m.sig.Fields() {
		if !f.Output {
			out = append(out, f.Name)
		}
	}
	return out
}

// field is the input feature of that name.
func (m *model) field(name string) (fairlead.Field, bool) {
	fields := m.sig.Fields()
	i := slices.IndexFunc(fields, func(f fairlead.Field) bool { return !f.Output && f.Name == name })
	if i < 0 {
		return fairlead.Field{}, false
	}
	return fields[i], true
}

func (m *model) integer(name string) bool {
	f, ok := m.field(name)
	return ok && !floating(f.Type) && f.Type != fairlead.Bytes
}

func floating(t fairlead.DataType) bool {
	return t == fairlead.FP16 || t == fairlead.BF16 || t == fairlead.FP32 || t == fairlead.FP64
}

// answer asks for every row of t, step at a time or as many as the graph wants.
func (m *model) answer(ctx context.Context, t *fairlead.Table, step int) (*Answers, error) {
	rows := t.Rows
	if f := m.fixed(); f > 0 {
		step = f
		if rest := rows % f; rest > 0 { // the last run is filled up with its last row
			full := make([]int, rows+f-rest)
			for i := range full {
				full[i] = min(i, rows-1)
			}
			t = gather(t, full)
		}
	}
	a := &Answers{}
	for at := 0; at < t.Rows; at += step {
		to := min(at+step, t.Rows)
		in, err := bundle.Inputs(m.sig, t, at, to)
		if err != nil {
			return nil, err
		}
		out, err := m.run.Run(ctx, in, nil)
		m.ran++
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			return nil, fairlead.Invalid("the model fails on rows %d to %d: %v", at, to-1, err).Cause(err)
		}
		if err := a.take(&m.sig, out, to-at); err != nil {
			return nil, err
		}
	}
	a.Values = a.Values[:rows*a.Width]
	if a.Class != nil {
		a.Class = a.Class[:rows]
	}
	return a, nil
}

// take appends the answers of one run.
func (a *Answers) take(sig *fairlead.Signature, out []fairlead.Tensor, rows int) error {
	columns, score := answerColumns(sig, out)
	width := 0
	for _, c := range columns {
		width += c.width
	}
	if a.rows() > 0 && a.Width != width {
		return fairlead.Invalid("an answer has %d numbers for some rows, and %d for others", a.Width, width).
			Hintf("the graph leaves the width of an output open: name the output that is the answer, outputs: [{name: y, role: score}]")
	}
	a.Width, a.Score = width, score && width == 1
	for _, c := range columns {
		if c.tensor.Rows() != rows {
			return fairlead.Invalid("output %q has %d rows for %d that were asked", c.tensor.Name, c.tensor.Rows(), rows)
		}
	}
	for r := range rows {
		for _, c := range columns {
			stride := c.tensor.Width()
			for k := range c.width {
				x, ok := c.tensor.Float(r*stride + c.from + k)
				if !ok {
					x = math.NaN()
				}
				a.Values = append(a.Values, x)
			}
		}
	}
	for i := range sig.Outputs {
		o := &sig.Outputs[i]
		t := fairlead.Find(out, o.Name)
		if o.Role != fairlead.RoleLabel || t == nil || t.Width() != 1 {
			continue
		}
		for r := range rows {
			a.Class = append(a.Class, elementText(t, r))
		}
		return nil
	}
	if width == 0 {
		a.takeTexts(out, rows)
	}
	return nil
}

// takeTexts appends the answers of a model that gives texts alone.
func (a *Answers) takeTexts(out []fairlead.Tensor, rows int) {
	all := make([]string, rows)
	for i := range out {
		t := &out[i]
		texts, ok := t.Data.([]string)
		if !ok || rows == 0 || len(texts)%rows != 0 {
			continue
		}
		each := len(texts) / rows
		for r := range rows {
			all[r] = strings.TrimSpace(all[r] + " " + strings.Join(texts[r*each:(r+1)*each], " "))
		}
	}
	a.Class = append(a.Class, all...)
}

func elementText(t *fairlead.Tensor, i int) string {
	if texts, ok := t.Data.([]string); ok {
		return texts[i]
	}
	x, _ := t.Float(i)
	return formatNumber(x)
}

type answerColumn struct {
	tensor      *fairlead.Tensor
	from, width int
}

// answerColumns are the numbers that make up an answer: the score's column, the columns of a score with several classes,
// else every numeric output.
func answerColumns(sig *fairlead.Signature, out []fairlead.Tensor) (columns []answerColumn, score bool) {
	if f, ok := sig.Score(); ok && sig.Task != fairlead.TaskMulticlass {
		if t := fairlead.Find(out, f.Tensor); t != nil {
			return []answerColumn{{t, f.Index, 1}}, true
		}
	}
	for i := range sig.Outputs {
		if o := &sig.Outputs[i]; o.Role == fairlead.RoleScore {
			if t := fairlead.Find(out, o.Name); t != nil && t.Type != fairlead.Bytes {
				return []answerColumn{{t, 0, t.Width()}}, true
			}
		}
	}
	for i := range out {
		if t := &out[i]; t.Type != fairlead.Bytes && len(t.Shape) > 0 {
			columns = append(columns, answerColumn{t, 0, t.Width()})
		}
	}
	return columns, false
}

// rows is the number of rows.
func (a *Answers) rows() int {
	if a.Width == 0 {
		return len(a.Class)
	}
	return len(a.Values) / a.Width
}

// difference is how far the answers to row i of a and row k of b lie apart: the largest difference of a number, else 1 for
// another class. A number against NaN is infinitely far.
func (a *Answers) difference(i int, b *Answers, k int) float64 {
	if a.Width != b.Width {
		return math.Inf(1)
	}
	d := 0.0
	for c := range a.Width {
		x, y := a.Values[i*a.Width+c], b.Values[k*a.Width+c]
		switch {
		case x == y || math.IsNaN(x) && math.IsNaN(y):
		case math.IsNaN(x) || math.IsNaN(y):
			return math.Inf(1)
		default:
			d = max(d, math.Abs(x-y))
		}
	}
	if a.Width == 0 && a.Class != nil && a.Class[i] != b.Class[k] {
		return 1
	}
	return d
}

// text is the answer to row i for people.
func (a *Answers) text(i int) string {
	if a.Class != nil && a.Width == 0 {
		return a.Class[i]
	}
	s := ""
	for c := range min(a.Width, 6) {
		if c > 0 {
			s += ", "
		}
		s += formatNumber(a.Values[i*a.Width+c])
	}
	if a.Width > 6 {
		s += ", …"
	}
	if a.Width > 1 {
		s = "[" + s + "]"
	}
	return s
}
