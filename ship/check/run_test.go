package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Every kind of test passes a good model and fails one that was spoilt for it; the failure shows rows where there are any.
func TestPlantedBadModels(t *testing.T) {
	champion := func(m Runner) func(*Subject) {
		return func(s *Subject) {
			s.Other = func(_ context.Context, version string) (*Other, error) {
				if version != "champion" {
					return nil, nil
				}
				return &Other{shopSignature, m}, nil
			}
		}
	}
	vectors := &bundle.Golden{Absolute: 1e-6, Relative: 1e-5}
	in, err := bundle.Inputs(shopSignature, customers(3), 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := good().Run(t.Context(), in, nil)
	vectors.Cases = []bundle.GoldenCase{{Inputs: in, Outputs: out}}
	for name, c := range map[string]struct {
		yaml string
		bad  *shop
		more func(*Subject)
		says string // in the text, or in the worst rows
	}{
		"accuracy":         {yaml: "{metric: accuracy, at_least: 0.7}", bad: &shop{sign: 1}, says: "wanted accuracy ≥ 0.7000"},
		"auroc":            {yaml: "{metric: auroc, at_least: 0.8}", bad: &shop{sign: 1}, says: "answer 0.9"},
		"log loss":         {yaml: "{metric: log_loss, at_most: 0.6}", bad: &shop{sign: 1}, says: "truth leaves"},
		"brier":            {yaml: "{metric: brier, at_most: 0.2}", bad: &shop{sign: -1, mean: 1}, says: "brier"},
		"calibration":      {yaml: "{metric: ece, at_most: 0.05}", bad: &shop{sign: -1, mean: 0.5}, says: "ece"},
		"precision":        {yaml: "{metric: precision, at_least: 0.7}", bad: &shop{sign: 1}, says: "precision"},
		"recall":           {yaml: "{metric: recall, threshold: 0.8, at_least: 0.2}", bad: &shop{sign: -1, mean: 0.9}, says: "recall"},
		"f1":               {yaml: "{metric: f1, at_least: 0.6}", bad: &shop{sign: 1}, says: "f1"},
		"a bad segment":    {yaml: "{metric: auroc, at_least: 0.7, by: city}", bad: &shop{sign: -1, blind: "Lima"}, says: "city=Lima"},
		"a bad range":      {yaml: "{metric: accuracy, at_least: 0.6, by: {age: [30, 50]}}", bad: &shop{sign: -1, shift: -0.9}, says: "age ≥ 50"},
		"a condition":      {yaml: "{metric: brier, at_most: 0.22, where: {city: Lima, age: {from: 20}}}", bad: &shop{sign: -1, blind: "Lima"}, says: "brier"},
		"too low and high": {yaml: "{metric: accuracy, at_least: 0.7, at_most: 0.8}", bad: &shop{sign: 1}, says: "0.7000 ≤ accuracy ≤ 0.8000"},
		"proof":            {yaml: "{metric: accuracy, at_least: 0.73, decide: proof}", bad: &shop{sign: -1, blind: "Lima"}, says: "accuracy"},
		"silence":          {yaml: "{metric: accuracy, at_least: 0.7}", bad: &shop{sign: -1, nan: func(age float64) bool { return age > 58 }}, says: "no finite number"},
		"worse than champion": {
			yaml: "{metric: log_loss, not_worse_than: champion, margin: 0.01}", bad: &shop{sign: -1, mean: 0.3}, more: champion(good()), says: "worse by",
		},
		"worse in a segment": {
			yaml: "{metric: auroc, not_worse_than: champion, margin: 0.02, by: city}", bad: &shop{sign: -1, blind: "Rome"}, more: champion(good()), says: "city=Rome",
		},
		"worse calibrated":  {yaml: "{metric: ece, not_worse_than: champion, margin: 0.02}", bad: &shop{sign: -1, mean: 0.5}, more: champion(good()), says: "worse by"},
		"invariance":        {yaml: "{invariance: city, change: permute, tolerance: 0.01}", bad: &shop{sign: -1, blind: "Lima"}, says: "city"},
		"typos":             {yaml: "{invariance: city, change: typo, tolerance: 0.01}", bad: &shop{sign: -1, blind: "Lima"}, says: "city Lima →"},
		"set":               {yaml: "{invariance: city, change: {set: Lima}, tolerance: 0.01}", bad: &shop{sign: -1, blind: "Lima"}, says: "→ Lima"},
		"noise":             {yaml: "{invariance: [age, price], change: {noise: 0.01}, tolerance: 0.02}", bad: &shop{sign: -20}, says: "price"},
		"direction":         {yaml: "{direction: price, change: {add: 20}, expect: fall}", bad: &shop{sign: 1}, says: "price 50 → 70"},
		"not the other way": {yaml: "{direction: age, change: {multiply: 1.1}, expect: not_fall, allowed: 1%}", bad: &shop{sign: -1, nan: func(age float64) bool { return age > 55 }}, says: "NaN"},
		"fall that is none": {yaml: "{direction: age, change: {add: 5}, expect: not_fall}", bad: &shop{sign: -1, blind: "Lima", nan: func(float64) bool { return false }, age: -1}, says: "the score falls on"},
		"rise that is none": {yaml: "{direction: price, change: {add: 5}, expect: not_rise, tolerance: 0.01}", bad: &shop{sign: 1}, says: "the score rises by more than 0.0100 on"},
		"example":           {yaml: "{example: {age: 60, price: 0, city: Oslo}, class: buys, at_least: 0.9}", bad: &shop{sign: 1}, says: "expected at least 0.9000"},
		"example's class":   {yaml: "{example: {age: 60, price: 0, city: Oslo}, class: buys}", bad: &shop{sign: -1, shift: -0.6}, says: "the class is leaves, expected buys"},
		"example's value":   {yaml: "{example: {age: 40, price: 50}, value: 0.5, tolerance: 0.01}", bad: &shop{sign: -1, shift: 0.02}, says: "expected 0.5000 ± 0.0100"},
		"batch":             {yaml: "{batch: [2, 9]}", bad: &shop{sign: -1, together: 0.001}, says: "alone and among 2"},
		"deterministic":     {yaml: "{deterministic: 4}", bad: &shop{sign: -1, drunk: true}, says: "first and again"},
		"finite":            {yaml: "{finite: true}", bad: &shop{sign: -1, nan: func(age float64) bool { return age == 33 }}, says: "age 33"},
		"missing":           {yaml: "{missing: city}", bad: &shop{sign: -1, refuses: ""}, says: "no embedding"},
		"missing, far off":  {yaml: "{missing: age, tolerance: 0.6}", bad: &shop{sign: -1, nan: func(age float64) bool { return age == 40 }}, says: "age"},
		"unseen":            {yaml: "{unseen: true}", bad: &shop{sign: -1, refuses: "never seen: ⁇"}, says: "no embedding"},
		"golden":            {yaml: "{golden: true}", bad: &shop{sign: -1, shift: 1e-4}, more: func(s *Subject) { s.Golden = vectors }, says: "beyond the tolerance"},
		"model size":        {yaml: "{size: {model: 5kB}}", bad: good(), says: "model 8 kB of at most 5 kB"},
		"memory":            {yaml: "{size: {model: 1MB, memory: 2MiB}}", bad: good(), says: "memory 1.07 GB"},
	} {
		t.Run(name, func(t *testing.T) {
			yaml := strings.ReplaceAll(c.yaml, "kB", "KB")
			var more []func(*Subject)
			if c.more != nil {
				more = append(more, c.more)
			}
			if r := ask(t, yaml, good(), more...); r.Verdict != Passed || r.Fails {
				t.Errorf("the good model: %+v", r)
			}
			bad := Runner(c.bad)
			switch name {
			case "missing":
				bad = refusesEmpty{c.bad}
			case "model size", "memory":
				more = append(more, func(s *Subject) { s.ModelBytes, s.Memory = 8000, 1<<30 })
			}
			r := ask(t, yaml, bad, more...)
			if r.Verdict != Failed || !r.Fails {
				t.Fatalf("the bad model passes: %+v", r)
			}
			if told := fmt.Sprintf("%s %v %v", r.Text, r.Worst, r.Groups); !strings.Contains(told, c.says) && !strings.Contains(strings.ReplaceAll(told, "age:", "age "), c.says) {
				t.Errorf("nothing says %q: %s", c.says, told)
			}
			if len(r.Worst) == 0 && !strings.Contains("size memory precision", strings.Fields(c.yaml)[0][1:]) && r.Kind != KindSize && c.yaml[1:7] != "metric" {
				t.Errorf("no row shows it: %+v", r)
			}
		})
	}
}

type refusesEmpty struct{ *shop }

func (r refusesEmpty) Run(ctx context.Context, in []fairlead.Tensor, out []string) ([]fairlead.Tensor, error) {
	for _, c := range fairlead.Find(in, "city").Data.([]string) {
		if c == "" {
			return nil, errors.New("no embedding for nothing")
		}
	}
	return r.shop.Run(ctx, in, out)
}

// Seven rows do not decide, neither for nor against.
func TestTooFewRows(t *testing.T) {
	blind := &shop{sign: -1, blind: "Nuuk"}
	r := ask(t, "{metric: accuracy, at_least: 0.99, where: {city: Nuuk}}", blind)
	if r.Verdict != TooFew || !r.Fails || r.N != 7 || !strings.Contains(r.Text, "7 labelled rows are too few, min_rows is 100") {
		t.Errorf("%+v", r)
	}
	if r = ask(t, "{metric: accuracy, at_least: 0.99, where: {city: Nuuk}, too_few: pass}", blind); r.Verdict != TooFew || r.Fails {
		t.Errorf("%+v", r)
	}
	r = ask(t, "{metric: accuracy, at_least: 0.6, by: city}", blind)
	if r.Verdict != Passed || r.Fails || !strings.Contains(r.Text, "3 groups keep accuracy ≥ 0.6000; 1 cannot tell, for too few rows") {
		t.Errorf("%+v", r)
	}
	for _, metric := range []string{"accuracy, at_least: 0.6", "accuracy, at_least: 0.99", "brier, at_most: 0.3"} {
		r := ask(t, "{metric: "+metric+", by: city}", good())
		for _, g := range r.Groups {
			if g.Value != nil && (*g.Value < *r.Value) == (metric[0] == 'a') && *g.Value != *r.Value {
				t.Errorf("%s: %s with %g is worse than the worst: %+v", metric, g.Name, *g.Value, r)
			}
		}
	}
	if r = ask(t, "{metric: accuracy, at_least: 0.6, by: city, too_few: fail}", blind); !r.Fails {
		t.Errorf("%+v", r)
	}
	// A share below its floor by less than what the rows can tell is no harm.
	r = ask(t, "{metric: accuracy, at_least: 0.76, decide: harm}", good())
	if r.Verdict != TooFew || r.Fails || *r.High < 0.76 || *r.Value >= 0.76 || !strings.Contains(r.Text, "these rows cannot tell") {
		t.Errorf("%+v", r)
	}
	// And one above it by less than that is no proof.
	r = ask(t, fmt.Sprintf("{metric: accuracy, at_least: %g, decide: proof}", *r.Value-0.001), good())
	if r.Verdict != Failed || !strings.Contains(r.Text, "not shown") {
		t.Errorf("%+v", r)
	}
}

// With many groups some are beyond their bound by chance: all intervals together have the confidence of one.
func TestManyGroupsDoNotFailByChance(t *testing.T) {
	const n, groups = 20_000, 100
	rows := customers(n)
	failed := 0
	for seed := range uint64(40) {
		c := chance{seed}
		for i := range n {
			rows.Columns[2].Strings[i] = fmt.Sprint("c", c.below(groups))
		}
		suite, err := ParseFile([]byte("tests: [{metric: brier, at_most: 0.1737, by: city}]"))
		if err != nil {
			t.Fatal(err)
		}
		report, err := Run(t.Context(), suite, Subject{Signature: shopSignature, Model: good(), Rows: rows}, Options{Now: stopped})
		if err != nil {
			t.Fatal(err)
		}
		if report.Results[0].Verdict == Failed {
			failed++
		}
		if seed == 0 { // the floor is where the model is: half of the groups lie beyond it
			beyond := 0
			for _, g := range report.Results[0].Groups {
				if *g.Value > 0.1737 {
					beyond++
				}
			}
			if beyond < 30 || beyond > 70 {
				t.Fatalf("%d of 100 groups beyond the bound: the test looks at nothing", beyond)
			}
		}
	}
	if failed > 5 {
		t.Errorf("%d of 40 harmless models fail in one of a hundred groups", failed)
	}
}

// A version that is as good passes non-inferiority; on few rows that cannot be shown.
func TestNotWorseThan(t *testing.T) {
	other := func(s *Subject) {
		s.Other = func(context.Context, string) (*Other, error) { return &Other{shopSignature, good()}, nil }
	}
	r := ask(t, "{metric: accuracy, not_worse_than: 3, margin: 0.001}", good(), other)
	if r.Verdict != Passed || *r.Value != 0 || *r.High != 0 {
		t.Errorf("the same answers: %+v", r)
	}
	r = ask(t, "{metric: log_loss, not_worse_than: champion, margin: 0.005, where: {age: {from: 58}}}", &shop{sign: -1, mean: 0.05}, other)
	if r.Verdict != Failed || *r.Value > 0.005 || !strings.Contains(r.Text, "not shown") {
		t.Errorf("%+v", r)
	}
	r = ask(t, "{metric: accuracy, not_worse_than: champion, margin: 0.001}", good())
	if r.Verdict != Skipped || r.Fails || !strings.Contains(r.Text, "there is no champion") {
		t.Errorf("%+v", r)
	}
}

// The paired comparison sees a difference that two separate intervals hide.
func TestComparisonIsPaired(t *testing.T) {
	slightly := &shop{sign: -1, mean: 0.15}
	other := func(s *Subject) {
		s.Other = func(context.Context, string) (*Other, error) { return &Other{shopSignature, good()}, nil }
	}
	paired := ask(t, "{metric: log_loss, not_worse_than: champion, decide: harm}", slightly, other)
	a, b := ask(t, "{metric: log_loss, at_most: 9}", slightly), ask(t, "{metric: log_loss, at_most: 9}", good())
	if *a.Low > *b.High {
		t.Fatalf("the intervals [%g, %g] and [%g, %g] do not overlap: nothing is hidden", *a.Low, *a.High, *b.Low, *b.High)
	}
	if paired.Verdict != Failed || *paired.Low <= 0 {
		t.Errorf("%+v", paired)
	}
}

// Latency is that of the median round, after a warm-up.
func TestLatencyBudget(t *testing.T) {
	clock, calls := time.Time{}, 0
	m := good()
	m.slow = func(rows int) {
		calls++
		took := time.Duration(rows) * time.Millisecond
		switch {
		case calls <= 20: // cold
			took = time.Second
		case calls <= 40: // one disturbed round
			took = 500 * time.Millisecond
		}
		clock = clock.Add(took)
	}
	suite, err := ParseFile([]byte("tests: [{latency: 1, p50: 2ms, p99: 2ms}, {latency: 8, p50: 5ms, p99: 1s}]"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), suite, Subject{Signature: shopSignature, Model: m, Rows: customers(100)}, Options{Now: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	if r := report.Results[0]; r.Verdict != Passed || r.Text != "p50 1ms of at most 2ms, p99 1ms of at most 2ms, 5 × 20 runs" {
		t.Errorf("%+v", r)
	}
	if r := report.Results[1]; r.Verdict != Failed || *r.Value != 0.008 || !strings.Contains(r.Text, "p50 8ms of at most 5ms") {
		t.Errorf("%+v", r)
	}
}

// Without rows, what needs them is skipped and says so; a model that fails, fails its tests and not the run.
func TestWhatCannotBeAsked(t *testing.T) {
	bare := func(s *Subject) { s.Rows, s.ModelBytes = nil, 0 }
	for _, yaml := range []string{
		"{metric: auroc, at_least: 0.5}", "{invariance: city, change: permute}", "{batch: true}", "{deterministic: true}", "{finite: true}",
		"{missing: true}", "{unseen: true}", "{latency: 1, p50: 1s}", "{golden: true}", "{size: {model: 1MB}}",
	} {
		if r := ask(t, yaml, good(), bare); r.Verdict != Skipped || r.Fails || r.Text == "" {
			t.Errorf("%s: %+v", yaml, r)
		}
	}
	for _, yaml := range []string{"{metric: auroc, at_least: 0.5}", "{batch: true}", "{finite: true}", "{latency: 1, p50: 1s}"} {
		if r := ask(t, yaml, &shop{refuses: "Oslo"}); r.Verdict != Failed || !strings.Contains(r.Text, "no embedding for") {
			t.Errorf("%s: %+v", yaml, r)
		}
	}
	if r := ask(t, "{metric: auroc, at_least: 0.5, by: town}", good()); r.Verdict != Failed || !strings.Contains(r.Text, `no column "town"`) {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Builtin(), Subject{Signature: shopSignature, Model: good(), Rows: customers(10)}, Options{Now: stopped}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	report, err := Run(t.Context(), Builtin(), Subject{Signature: shopSignature, Model: good(), Rows: customers(200)}, Options{Now: stopped, Skip: []Kind{KindFinite}})
	if err != nil || len(report.Failed()) != 0 || report.Count(Passed) != 4 || report.Count(Skipped) != 2 || report.Rows != 200 {
		t.Errorf("%+v, %v", report, err)
	}
}
