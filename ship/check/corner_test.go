package check

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// canned is a model that gives what a function says.
type canned func(in []fairlead.Tensor, rows int) []fairlead.Tensor

func (c canned) Run(_ context.Context, in []fairlead.Tensor, _ []string) ([]fairlead.Tensor, error) {
	return c(in, in[0].Rows()), nil
}

// one asks the first test of a list.
func one(t *testing.T, yaml string, s Subject) Result {
	t.Helper()
	suite, err := ParseFile([]byte("tests: [" + yaml + "]"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), suite, s, Options{Now: stopped})
	if err != nil {
		t.Fatal(err)
	}
	return report.Results[0]
}

func says(t *testing.T, r Result, v Verdict, text string) {
	t.Helper()
	if r.Verdict != v || !strings.Contains(r.Text, text) {
		t.Errorf("expected %s and %q, got %+v", v, text, r)
	}
}

// What an evaluation set may lack.
func TestPoorEvaluationSets(t *testing.T) {
	unlabelled := func(s *Subject) { s.Rows.Columns = s.Rows.Columns[:3] }
	says(t, ask(t, "{metric: auroc, at_least: 0.5}", good(), unlabelled), Failed, "has no labels")
	empty := func(s *Subject) {
		c := &s.Rows.Columns[3]
		c.Strings, c.Null = make([]string, s.Rows.Rows), make([]bool, s.Rows.Rows)
		for i := range c.Null {
			c.Null[i] = true
		}
	}
	says(t, ask(t, "{metric: auroc, at_least: 0.5}", good(), empty), Failed, "no row has a label: the column bought is empty")
	foreign := func(s *Subject) {
		for i := range s.Rows.Columns[3].Strings {
			s.Rows.Columns[3].Strings[i] = map[bool]string{true: "", false: "yes"}[i == 0]
		}
	}
	says(t, ask(t, "{metric: auroc, at_least: 0.5}", good(), foreign), Failed, `no label is understood: the first is "yes"`)
	some := func(s *Subject) {
		for i := range s.Rows.Columns[3].Strings {
			if i%2 == 0 {
				s.Rows.Columns[3].Strings[i] = "maybe"
			}
		}
	}
	says(t, ask(t, "{metric: auroc, at_least: 0.5}", good(), some), Passed, `n 2000, wanted auroc ≥ 0.5000; rows with labels such as "maybe", which is no class, are left out`)
	onlyOne := func(s *Subject) {
		for i := range s.Rows.Columns[3].Strings {
			s.Rows.Columns[3].Strings[i] = "buys"
		}
	}
	says(t, ask(t, "{metric: auroc, at_least: 0.5}", good(), onlyOne), TooFew, "it is not defined on these rows")
	says(t, ask(t, "{metric: auroc, at_least: 0.5, where: {city: Osloo}}", good()), TooFew, "no row with a label has city=Osloo")
	says(t, ask(t, "{invariance: age, change: {add: 1}, where: {city: Osloo}}", good()), Failed, "no row of the evaluation set fulfils the conditions where city=Osloo")
	says(t, ask(t, "{metric: auroc, at_least: 0.5, where: {city: {from: 3}}}", good()), Failed, "city holds no numbers")
	says(t, ask(t, "{metric: auroc, at_least: 0.5, by: age, min_rows: 2}", good()), Passed, "41 groups keep")
	says(t, ask(t, "{metric: auroc, at_least: 0.5, by: price, min_rows: 2}", good()), Failed, "price has too many values to group by")
	says(t, ask(t, "{metric: auroc, at_least: 0.5, cluster: {city: day}}", good()), Failed, "city holds no timestamps")
	nan := &shop{nan: func(float64) bool { return true }}
	for _, yaml := range []string{"{metric: auroc, at_least: 0}", "{metric: ece, at_most: 1, by: city}", "{metric: brier, at_most: 9, cluster: {time: day}, too_few: pass}"} {
		says(t, ask(t, yaml, nan), Failed, "to 4000 more rows the model gave no finite number")
	}
	flags := customers(400)
	flags.Columns = append(flags.Columns, fairlead.TableColumn{Name: "member", Floats: make([]float64, 400)})
	for i := range 400 {
		flags.Columns[5].Floats[i] = float64(i % 2)
	}
	says(t, one(t, "{metric: auroc, at_least: 0.5, where: {member: true}}", Subject{Signature: shopSignature, Model: good(), Rows: flags}), Passed, "n 200")
}

// A change that changes nothing proves nothing, and rows that it leaves alone do not count.
func TestChangesThatChangeNothing(t *testing.T) {
	says(t, ask(t, "{invariance: age, change: {multiply: 1}}", &shop{sign: 1}), Failed, "multiply 1 leaves age as it is on all of 500 rows")
	r := ask(t, "{direction: price, change: {set: 100}, expect: fall}", good())
	if r.Verdict != Passed || r.N >= 500 || r.N < 400 { // some prices are 100 already: they cannot fall
		t.Errorf("%+v", r)
	}
	flat := canned(func(_ []fairlead.Tensor, rows int) []fairlead.Tensor {
		return []fairlead.Tensor{{Name: "p", Type: fairlead.FP32, Shape: []int64{int64(rows), 1}, Data: make([]float32, rows)}}
	})
	r = ask(t, "{direction: price, change: {add: 1}, expect: rise}", flat)
	says(t, r, Failed, "add 1: the score does not rise on 500 of 500 rows")
	if strings.Contains(r.Text, "e-") {
		t.Errorf("%s", r.Text)
	}
	says(t, ask(t, "{direction: price, change: {add: 1}, expect: not_rise}", flat), Passed, "the score rises on 0 of 500 rows")
	says(t, ask(t, "{direction: price, change: {add: 1}, expect: rise, tolerance: 0.1, allowed: 10%}", flat), Failed,
		"the score does not rise by 0.1000 on 500 of 500 rows, 10 % is allowed, at worst by 0.1000 more than that")
}

var animals = fairlead.Signature{
	Task:   fairlead.TaskMulticlass,
	Inputs: []fairlead.TensorSpec{{Name: "legs", Type: fairlead.Int64, Shape: []int64{-1, 1}}},
	Outputs: []fairlead.TensorSpec{
		{Name: "label", Type: fairlead.Bytes, Shape: []int64{-1}, Role: fairlead.RoleLabel},
		{Name: "p", Type: fairlead.FP32, Shape: []int64{-1, 3}, Role: fairlead.RoleScore, Classes: []string{"bird", "cat", "ant"}},
	},
	Label: fairlead.LabelSpec{Name: "kind"},
}

// zoo knows animals by their legs; at gives the columns of its classes, in order of bird, cat and ant.
func zoo(at [3]int) canned {
	return func(in []fairlead.Tensor, rows int) []fairlead.Tensor {
		legs := in[0].Data.([]int64)
		p, label := make([]float32, 3*rows), make([]string, rows)
		for i, l := range legs {
			k := min(int(l)/2-1, 2)
			label[i] = []string{"bird", "cat", "ant"}[k]
			for c := range 3 {
				p[3*i+at[c]] = 0.1
			}
			p[3*i+at[k]] = 0.8
		}
		return []fairlead.Tensor{
			{Name: "label", Type: fairlead.Bytes, Shape: []int64{int64(rows)}, Data: label},
			{Name: "p", Type: fairlead.FP32, Shape: []int64{int64(rows), 3}, Data: p},
		}
	}
}

func animalRows() *fairlead.Table {
	const n = 300
	t := &fairlead.Table{Rows: n, Columns: []fairlead.TableColumn{{Name: "legs", Floats: make([]float64, n)}, {Name: "kind", Strings: make([]string, n)}}}
	for i := range n {
		k := i % 3
		t.Columns[0].Floats[i], t.Columns[1].Strings[i] = float64(2*k+2), []string{"bird", "cat", "ant"}[k]
		if i%10 == 0 {
			t.Columns[1].Strings[i] = "cat"
		}
	}
	return t
}

// Several classes: metrics over all and of one, the direction of one, and another version that has them in another order.
func TestSeveralClasses(t *testing.T) {
	s := Subject{Signature: animals, Model: zoo([3]int{0, 1, 2}), Rows: animalRows()}
	says(t, one(t, "{metric: accuracy, at_least: 0.9}", s), Passed, "0.9333 [0.8")
	says(t, one(t, "{metric: precision, class: cat, at_least: 0.9}", s), Passed, "1 [0.9")
	says(t, one(t, "{metric: recall, at_least: 0.95}", s), Failed, "recall")
	says(t, one(t, "{metric: ece, at_most: 0.2, class: ant}", s), Passed, "ece")
	says(t, one(t, "{direction: legs, class: ant, change: {set: 6}, expect: not_fall}", s), Passed, "0 of ")
	says(t, one(t, "{direction: legs, change: {set: 6}, expect: rise}", s), Failed, "whose score is meant?")
	says(t, one(t, "{direction: legs, class: any, change: {set: 6}, expect: rise}", s), Failed, `there is no class "any"; did you mean "ant"?`)
	says(t, one(t, "{example: {legs: 6}, class: ant, of: ant, at_least: 0.75, at_most: 0.9}", s), Passed, "answer [0.1000, 0.1000, 0.8000]")
	if r := one(t, "{example: {legs: 6}, of: ant, at_least: 0.75}", s); *r.Bound != 0.75 {
		t.Errorf("%+v", r)
	}
	says(t, one(t, "{example: {legs: 6}, class: cat, of: cat, at_least: 0.05, at_most: 0.09}", s), Failed, "the class is ant, expected cat; expected at most 0.0900")
	winged := animals
	winged.Inputs = append([]fairlead.TensorSpec{{Name: "wings", Type: fairlead.Int64, Shape: []int64{-1, 1}}}, animals.Inputs...)
	says(t, one(t, "{example: {legs: 6}, class: ant}", Subject{Signature: winged, Model: s.Model}), Failed, "wings is INT64, which cannot be without a value")

	turned := animals
	turned.Outputs = []fairlead.TensorSpec{animals.Outputs[0], animals.Outputs[1]}
	turned.Outputs[1].Classes = []string{"cat", "ant", "bird"}
	s.Other = func(context.Context, string) (*Other, error) { return &Other{turned, zoo([3]int{2, 0, 1})}, nil }
	says(t, one(t, "{metric: log_loss, not_worse_than: champion}", s), Failed, "champion has the classes cat, ant, bird, this version bird, cat, ant")
	s.Other = func(context.Context, string) (*Other, error) { return &Other{shopSignature, good()}, nil }
	if r := one(t, "{metric: log_loss, not_worse_than: champion}", s); r.Verdict != Failed {
		t.Errorf("%+v", r)
	}
	s.Other = func(context.Context, string) (*Other, error) { return &Other{animals, zoo([3]int{0, 1, 2})}, nil }
	says(t, one(t, "{metric: log_loss, not_worse_than: champion}", s), Passed, "worse by 0 [0, 0]")

	// One number says nothing about three classes, but the label does.
	s.Model = canned(func(in []fairlead.Tensor, rows int) []fairlead.Tensor {
		all := zoo([3]int{0, 1, 2})(in, rows)
		all[1].Shape, all[1].Data = []int64{int64(rows), 1}, make([]float32, rows)
		return all
	})
	says(t, one(t, "{metric: accuracy, at_least: 0.9}", s), Passed, "0.9333")
	says(t, one(t, "{metric: f1, at_least: 0.9}", s), Passed, "f1")
	says(t, one(t, "{metric: auroc, at_least: 0.9}", s), TooFew, "not defined")
}

// A threshold that is named decides; without one the model's own word does.
func TestThresholdAgainstLabelOutput(t *testing.T) {
	sig := shopSignature
	sig.Outputs = append([]fairlead.TensorSpec{{Name: "said", Type: fairlead.Bytes, Shape: []int64{-1}, Role: fairlead.RoleLabel}}, sig.Outputs...)
	m := canned(func(in []fairlead.Tensor, rows int) []fairlead.Tensor {
		out, _ := good().Run(context.Background(), in, nil)
		said := make([]string, rows)
		for i, p := range out[0].Data.([]float32) {
			said[i] = map[bool]string{true: "buys", false: "leaves"}[p >= 0.9]
		}
		return append(out, fairlead.Tensor{Name: "said", Type: fairlead.Bytes, Shape: []int64{int64(rows)}, Data: said})
	})
	s := Subject{Signature: sig, Model: m, Rows: customers(2000)}
	own, cut, half := one(t, "{metric: recall, at_least: 0}", s), one(t, "{metric: recall, at_least: 0, threshold: 0.1}", s), one(t, "{metric: recall, at_least: 0, threshold: 0.5}", s)
	if !(*own.Value < 0.5 && *own.Value < *half.Value && *half.Value < *cut.Value && *cut.Value > 0.95) {
		t.Errorf("recall %g by its own word, %g at 0.5, %g at 0.1", *own.Value, *half.Value, *cut.Value)
	}
	says(t, one(t, "{example: {age: 45, price: 50, city: Oslo}, class: leaves}", s), Passed, "answer")
	says(t, one(t, "{example: {age: 45, price: 50, city: Oslo}, class: buys, threshold: 0.6}", s), Passed, "answer")
}

// Regressions have metrics of their own.
func TestRegression(t *testing.T) {
	sig := fairlead.Signature{
		Task: fairlead.TaskRegression, Inputs: []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP64, Shape: []int64{-1, 1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP64, Shape: []int64{-1, 1}, Role: fairlead.RoleValue}}, Label: fairlead.LabelSpec{Name: "truth"},
	}
	line := func(slope float64) canned {
		return func(in []fairlead.Tensor, rows int) []fairlead.Tensor {
			y := make([]float64, rows)
			for i, x := range in[0].Data.([]float64) {
				y[i] = slope * x
			}
			return []fairlead.Tensor{{Name: "y", Type: fairlead.FP64, Shape: []int64{int64(rows), 1}, Data: y}}
		}
	}
	const n = 500
	rows := &fairlead.Table{Rows: n, Columns: []fairlead.TableColumn{{Name: "x", Floats: make([]float64, n)}, {Name: "truth", Floats: make([]float64, n)}}}
	c := chance{5}
	for i := range n {
		rows.Columns[0].Floats[i] = 10 * c.float()
		rows.Columns[1].Floats[i] = 2*rows.Columns[0].Floats[i] + c.float() - 0.5
	}
	s, bad := Subject{Signature: sig, Model: line(2), Rows: rows}, Subject{Signature: sig, Model: line(1.5), Rows: rows}
	for _, yaml := range []string{
		"{metric: mae, at_most: 0.3}", "{metric: rmse, at_most: 0.35, decide: proof}", "{metric: r2, at_least: 0.99}", "{metric: bias, at_least: -0.1, at_most: 0.1}",
		"{metric: pinball, quantile: 0.9, at_most: 0.2}", "{metric: mae, at_most: 0.3, by: {x: [2, 5]}}", "{direction: x, change: {add: 1}, expect: rise, tolerance: 1.9}",
		"{example: {x: 4}, value: 8, tolerance: 0.1}", "{invariance: x, change: {noise: 0.001}, tolerance: 0.1}",
	} {
		if r := one(t, yaml, s); r.Verdict != Passed {
			t.Errorf("%s: %+v", yaml, r)
		}
		if r := one(t, yaml, bad); r.Verdict != Failed && !strings.HasPrefix(yaml, "{inv") {
			t.Errorf("the bad model, %s: %+v", yaml, r)
		}
	}
	if r := one(t, "{metric: bias, at_least: -0.1, at_most: 0.1}", bad); *r.Bound != -0.1 {
		t.Errorf("the bound that it breaks is the lower one: %g", *r.Bound)
	}
	says(t, one(t, "{metric: auroc, at_least: 0.5}", s), Failed, "a model of task regression has no auroc")
}

// Answers that are no table of numbers.
func TestOddAnswers(t *testing.T) {
	sig := fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.Bytes, Shape: []int64{-1, 1}}},
	}
	rows := &fairlead.Table{Rows: 40, Columns: []fairlead.TableColumn{{Name: "x", Floats: make([]float64, 40)}}}
	for i := range 40 {
		rows.Columns[0].Floats[i] = float64(i)
	}
	words := canned(func(in []fairlead.Tensor, rows int) []fairlead.Tensor {
		y := make([]string, rows)
		for i, x := range in[0].Data.([]float32) {
			y[i] = fmt.Sprint("word", x, map[bool]string{true: "!"}[rows > 20 && x == 3])
		}
		return []fairlead.Tensor{{Name: "y", Type: fairlead.Bytes, Shape: []int64{int64(rows), 1}, Data: y}}
	})
	s := Subject{Signature: sig, Model: words, Rows: rows}
	says(t, one(t, "{invariance: x, change: {add: 1}}", s), Failed, "the answer moves on 40 of 40 rows")
	says(t, one(t, "{batch: [40]}", s), Failed, "40 rows alone and in batches of 40: 2 of 80 answers differ")
	says(t, one(t, "{finite: true}", s), Passed, "0 of 40")
	sig.Outputs[0].Type = fairlead.FP32
	s.Model = canned(func(_ []fairlead.Tensor, rows int) []fairlead.Tensor { // as wide as its batch is long
		return []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: []int64{int64(rows), int64(rows)}, Data: make([]float32, rows*rows)}}
	})
	says(t, one(t, "{batch: [7]}", s), Failed, "an answer has 7 numbers for some rows, and 5 for others")
	s.Model = canned(func(_ []fairlead.Tensor, _ int) []fairlead.Tensor {
		return []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{1}}}
	})
	says(t, one(t, "{finite: true}", s), Failed, `output "y" has 1 rows for 40 that were asked`)
}

// The warm-up of a model that is slow ends too.
func TestLatencyOfSlowModel(t *testing.T) {
	clock, m := time.Time{}, good()
	m.slow = func(int) { clock = clock.Add(3 * time.Second) }
	suite, err := ParseFile([]byte("tests: [{latency: 1, p50: 5s, runs: 100_000}]"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), suite, Subject{Signature: shopSignature, Model: m, Rows: customers(10)}, Options{Now: func() time.Time { return clock }})
	if err != nil || report.Results[0].Verdict != Passed || m.calls > 110 || math.Abs(*report.Results[0].Value-3) > 1e-9 {
		t.Errorf("%d calls, %+v, %v", m.calls, report.Results, err)
	}
}
