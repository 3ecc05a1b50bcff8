package check

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// example asks about one row.
func (e *evaluation) example(ctx context.Context, x *Example) (Result, error) {
	column, err := e.column(x.Of, x.Value != nil || x.AtLeast != nil || x.AtMost != nil)
	if err != nil {
		return Result{}, err
	}
	row, err := e.model.row(x.Given)
	if err != nil {
		return Result{}, err
	}
	a, err := e.model.answer(ctx, row, 1)
	if err != nil {
		return Result{}, err
	}
	var wrong []string
	if x.Class != "" {
		if got := e.class(a, x); got != x.Class {
			wrong = append(wrong, fmt.Sprintf("the class is %s, expected %s", got, x.Class))
		}
	}
	score := math.NaN()
	if a.Width > column {
		score = a.Values[column]
	}
	r := verdictOf(0, 1, 0)
	r.Value = finite(score)
	for _, c := range []struct {
		bound *float64
		keeps func(float64) bool
		want  string
	}{
		{x.Value, func(v float64) bool { return math.Abs(score-v) <= x.Tolerance }, "± " + formatNumber(x.Tolerance)},
		{x.AtLeast, func(v float64) bool { return score >= v }, "at least"},
		{x.AtMost, func(v float64) bool { return score <= v }, "at most"},
	} {
		if c.bound == nil {
			continue
		}
		keeps := c.keeps(*c.bound)
		if r.Bound == nil || !keeps {
			r.Bound = c.bound
		}
		switch number := formatNumber(*c.bound); {
		case keeps:
		case c.bound == x.Value:
			wrong = append(wrong, "expected "+number+" "+c.want)
		default:
			wrong = append(wrong, "expected "+c.want+" "+number)
		}
	}
	r.Text = "answer " + a.text(0)
	if len(wrong) > 0 {
		r.Verdict, r.Fails = Failed, true
		r.Text += ": " + strings.Join(wrong, "; ")
		r.Worst = []Row{{Row: -1, Inputs: x.Given, Text: r.Text}}
	}
	return r, nil
}

// class is what the model says of the first row of a.
func (e *evaluation) class(a *Answers, x *Example) string {
	classes := e.Signature.Classes()
	switch {
	case a.Class != nil && (a.Width != 1 || !a.Score || !x.Cut):
		return a.Class[0]
	case a.Width == 1:
		if len(classes) < 2 {
			classes = []string{"0", "1"}
		}
		if a.Values[0] >= x.Threshold {
			return classes[len(classes)-1]
		}
		return classes[0]
	}
	top, _ := rows{score: a.Values, width: a.Width}.top(0)
	if int(top) < len(classes) {
		return classes[int(top)]
	}
	return formatNumber(top)
}

// row makes a table of one row; features that are not given have no value.
func (m *model) row(given map[string]any) (*fairlead.Table, error) {
	t := &fairlead.Table{Rows: 1}
	names := m.features()
	for _, name := range names {
		f, _ := m.field(name)
		c := fairlead.TableColumn{Name: name}
		v, ok := given[name]
		switch x := v.(type) {
		case string:
			if f.Type != fairlead.Bytes {
				return nil, fairlead.Invalid("%s is %s, the example gives the text %q", name, f.Type, x)
			}
			c.Strings = []string{x}
		case float64:
			if f.Type == fairlead.Bytes {
				c.Strings = []string{strconv.FormatFloat(x, 'g', -1, 64)}
			} else {
				c.Floats = []float64{x}
			}
		case bool:
			if c.Floats = []float64{number(x)}; f.Type == fairlead.Bytes {
				c.Floats, c.Strings = nil, []string{strconv.FormatBool(x)}
			}
		}
		if !ok && !floating(f.Type) && f.Type != fairlead.Bytes {
			return nil, fairlead.Invalid("%s is %s, which cannot be without a value: the example must give one", name, f.Type)
		}
		if !ok {
			c.Null = []bool{true}
			if f.Type == fairlead.Bytes {
				c.Strings = []string{""}
			} else {
				c.Floats = []float64{math.NaN()}
			}
		}
		t.Columns = append(t.Columns, c)
	}
	for name := range given {
		if !slices.Contains(names, name) {
			return nil, fairlead.Invalid("the model has no feature %q%s", name, didYouMean(name, names)).Hintf("its features are %s", strings.Join(names, ", "))
		}
	}
	return t, nil
}
