package check

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

const full = `name: flights
tests:
  - metric: auroc
    at_least: 0.7
    by: [origin, {x: 1}]
`

const everything = `# comment
name: flights
tests:
  - {metric: auroc, at_least: 0.67, cluster: {time: day}, why: a table of airports ranks as well}
  - {metric: recall, threshold: 30%, at_least: 0.35, class: late, seed: 7}
  - {metric: accuracy, at_least: 0.6, by: origin, min_rows: 500, confidence: 0.9, decide: harm, too_few: fail}
  - {metric: brier, at_most: 0.2, by: {distance: [500, 1000]}, where: {origin: [ATL, ORD], hour: {from: 17, below: 20}, weekday: 4}}
  - {metric: log_loss, not_worse_than: champion, margin: 0.005}
  - {metric: pinball, quantile: 0.9, at_most: 4}
  - {metric: ece, bins: 20, at_least: 0, at_most: 0.05, name: calibration}
  - {invariance: [origin, destination], change: permute, tolerance: 0.1, allowed: 5%, rows: 200, where: {hour: 7}, seed: 3}
  - {invariance: distance, change: {noise: 0.1}}
  - {direction: departures, change: {add: 10}, expect: not_fall, class: late}
  - {direction: distance, change: {set: 3000}, expect: rise}
  - {example: {hour: 7, origin: ATL, weekend: true}, class: late, at_least: 0.4, threshold: 0.3}
  - {example: {hour: 7}, value: 3, tolerance: 0.5, of: cat}
  - {latency: 64, p50: 2ms, p99: 1s, runs: 1000}
  - {size: {model: 5MB, bundle: 1.5GiB, memory: 64000000}}
  - {batch: [2, 64], tolerance: 0.001, rows: 10}
  - batch: true
  - deterministic: 5
  - finite: true
  - {missing: true, tolerance: 0.3}
  - missing: [hour, origin]
  - {unseen: origin, rows: 20}
  - golden: true
  - golden: {absolute: 0.001}
`

// What the file says is what the bundle keeps, in JSON, and both read alike.
func TestParse(t *testing.T) {
	s, err := ParseFile([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	if len(s) != 24 {
		t.Fatalf("%d tests", len(s))
	}
	f, err := bundle.ParseFile([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(f.Tests)
	if err != nil {
		t.Fatal(err)
	}
	var kept []any
	if err := json.Unmarshal(raw, &kept); err != nil {
		t.Fatal(err)
	}
	again, err := Parse(kept)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, again); d != "" {
		t.Errorf("-file +bundle:\n%s", d)
	}
	from, below, at := 17.0, 20.0, 0.2
	want := &Metric{
		Metric: "brier", AtMost: &at, Threshold: 0.5, Quantile: 0.5, Bins: 10, MinRows: 100, Confidence: 0.95, Decide: DecideHarm,
		Where: []Condition{{Column: "hour", From: &from, Below: &below}, {Column: "origin", Values: []string{"ATL", "ORD"}}, {Column: "weekday", Values: []string{"4"}}},
		By:    []Grouping{{Column: "distance", Edges: []float64{500, 1000}}},
	}
	if d := cmp.Diff(want, s[3].Metric); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(&Size{Model: 5e6, Bundle: 3 << 29, Memory: 64e6}, s[14].Size); d != "" {
		t.Error(d)
	}
	var names []string
	for _, x := range s {
		names = append(names, x.Name)
	}
	wantNames := []string{
		"auroc ≥ 0.67", "recall of late at 0.3 ≥ 0.35", "accuracy ≥ 0.6 by origin",
		"brier ≤ 0.2 by distance where 17 ≤ hour < 20 and origin=ATL|ORD and weekday=4", "log_loss not worse than champion by 0.005",
		"pinball of the 0.9 quantile ≤ 4", "calibration", "origin, destination: permute changes nothing where hour=7", "distance: noise 0.1 changes nothing",
		"departures: add 10 lets the score not fall", "distance: set 3000 lets the score rise", "example: late and ≥ 0.4", "example: 3 ± 0.5", "latency of 64 rows",
		"size", "rows alone and in batches", "rows alone and in batches (2)", "the same row, the same answer", "every answer is finite", "missing values",
		"missing values: hour, origin", "unseen categories: origin", "golden vectors", "golden vectors (2)",
	}
	if d := cmp.Diff(wantNames, names); d != "" {
		t.Error(d)
	}
	if s, err := ParseFile([]byte("name: a\ntests:\n")); err != nil || s != nil {
		t.Errorf("no tests: %v, %v", s, err)
	}
	if s, err := ParseFile([]byte("name: a")); err != nil || s != nil {
		t.Errorf("no tests: %v, %v", s, err)
	}
}

// bad are lists of tests that are refused, with what the message must say.
var bad = map[string][]string{
	"{metric: auroc, at_least: 0.7, min_row: 5}":             {`line 2: tests[0]: unknown key "min_row"; did you mean "min_rows"?`},
	"{metric: aurok, at_least: 0.7}":                         {"tests[0].metric: expected accuracy", `got "aurok"; did you mean "auroc"?`},
	"{metrik: auroc, at_least: 0.7}":                         {"does not say what kind of test it is", `did you mean "metric"?`},
	"{at_least: 0.7}":                                        {"does not say what kind of test it is"},
	"{metric: auroc}":                                        {"it has no bound"},
	"{metric: auroc, at_least: high}":                        {`tests[0].at_least: expected a number, got "high"`},
	"{metric: auroc, at_least: .nan}":                        {"expected a number"},
	"{metric: auroc, at_least: 0.9, at_most: 0.1}":           {"nothing is at least 0.9 and at most 0.1"},
	"{metric: auroc, at_least: 0.7, margin: 0.1}":            {"margin belongs to not_worse_than"},
	"{metric: auroc, at_least: 0.7, not_worse_than: 3}":      {"a bound and a comparison"},
	"{metric: bias, not_worse_than: champion}":               {"bias cannot be worse"},
	"{metric: auroc, at_least: 0.7, threshold: 0.3}":         {"threshold does not change auroc"},
	"{metric: auroc, at_least: 0.7, by: []}":                 {"tests[0].by: the list is empty"},
	"{metric: auroc, at_least: 0.7, by: [a, a]}":             {`"a" is listed twice`},
	"{metric: auroc, at_least: 0.7, by: {a: [2, 1]}}":        {"the edges must ascend, 1 comes after 2"},
	"{metric: auroc, at_least: 0.7, by: {a: 1}}":             {"tests[0].by.a: expected a list of ascending edges"},
	"{metric: auroc, at_least: 0.7, where: hour}":            {"expected conditions such as"},
	"{metric: auroc, at_least: 0.7, where: {hour: {to: 3}}}": {`tests[0].where.hour: unknown key "to"`},
	"{metric: auroc, at_least: 0.7, where: {hour: {}}}":      {"expected from, below or both"},
	"{metric: auroc, at_least: 0.7, confidence: 1}":          {"tests[0].confidence: expected a number from 0.5"},
	"{metric: auroc, at_least: 0.7, decide: sure}":           {"expected value, harm or proof"},
	"{metric: auroc, at_least: 0.7, too_few: fails}":         {`did you mean "fail"?`},
	"{metric: auroc, at_least: 0.7, cluster: {time: month}}": {"tests[0].cluster.time: expected hour, day or week"},
	"{metric: auroc, at_least: 0.7, at_least: 0.8}":          {`the key "at_least" is given twice`},
	"{metric: auroc, latency: 1, p50: 1s}":                   {"both a metric and a latency test"},
	"{invariance: origin}":                                   {"does not say what is changed"},
	"{invariance: origin, change: permutate}":                {`did you mean "permute"?`},
	"{invariance: origin, change: {add: 1, set: 2}}":         {"expected permute, typo, missing, or one of"},
	"{invariance: origin, change: permute, expect: rise}":    {`unknown key "expect"`},
	"{direction: origin, change: {add: 1}}":                  {"does not say how the score must move"},
	"{direction: origin, change: permute, expect: rise}":     {"has no direction"},
	"{direction: origin, change: {add: 1}, expect: rises}":   {`did you mean "rise"?`},
	"{example: {}, class: late}":                             {"expected the features of a row"},
	"{example: {hour: [1]}, class: late}":                    {"tests[0].example.hour: expected a number, a text or a boolean"},
	"{example: {hour: 1}}":                                   {"does not say what is expected"},
	"{example: {hour: 1}, at_least: 1, tolerance: 2}":        {"tolerance belongs to value"},
	"{latency: 1}":             {"it has no budget"},
	"{latency: 1, p50: 5}":     {"expected a duration such as 5ms", "write the unit: 5ms"},
	"{latency: 0, p50: 5ms}":   {"expected a whole number from 1"},
	"{size: {}}":               {"it has no budget"},
	"{size: {model: 5mb}}":     {"expected a size such as 64MB"},
	"{size: {modell: 5MB}}":    {`did you mean "model"?`},
	"{batch: [1]}":             {"expected a whole number from 2"},
	"{deterministic: 1}":       {"expected a whole number from 2"},
	"{finite: false}":          {"expected true", "leave the test out"},
	"{golden: {relative: -1}}": {"expected a number from 0"},
	"{finite: true, name: a}, {finite: true, name: a}": {"line 2: tests[1]: two tests have the name"},
	"auroc": {"expected a test such as {metric: auroc"},
}

func TestBadTests(t *testing.T) {
	for yaml, says := range bad {
		_, err := ParseFile([]byte("name: a\ntests: [" + yaml + "]"))
		if fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%s: %v", yaml, err)
			continue
		}
		for _, want := range says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: nothing says %q: %v", yaml, want, err)
			}
		}
	}
	// In a bundle there are no lines, but the place is named.
	_, err := Parse([]any{map[string]any{"finite": true}, map[string]any{"metric": "auroc", "at_leats": 0.7}})
	if err == nil || !strings.HasPrefix(err.Error(), `fairlead.yaml: tests[1]: unknown key "at_leats"; did you mean "at_least"?`) {
		t.Errorf("%v", err)
	}
}

// What does not fit the model is found when it is pushed.
func TestFits(t *testing.T) {
	for yaml, want := range map[string]string{
		"{metric: mae, at_most: 3}":                                    "a model of task binary has no mae",
		"{metric: f1, at_least: 0.3, class: buyss}":                    `did you mean "buys"?`,
		"{metric: f1, at_least: 0.3, class: leaves}":                   "the positive class is buys",
		"{invariance: town, change: permute}":                          `the model has no feature "town"`,
		"{invariance: age, change: typo}":                              "age is FP32: typo cannot change it",
		"{invariance: city, change: {add: 1}}":                         "city is BYTES: add 1 cannot change it",
		"{invariance: age, change: {set: old}}":                        "set old cannot change it",
		"{direction: age, change: {add: 1}, expect: rise, class: yes}": "the score is that of the last class",
		"{example: {agee: 3}, class: buys}":                            `the model has no feature "agee"; did you mean "age"?`,
		"{example: {age: old}, class: buys}":                           `age is FP32, the example gives the text "old"`,
		"{example: {age: 3}, class: by}":                               `there is no class "by"`,
		"{missing: cty}":                                               `did you mean "city"?`,
	} {
		s, err := ParseFile([]byte("tests: [" + yaml + ", {finite: true}]"))
		if err != nil {
			t.Errorf("%s: %v", yaml, err)
			continue
		}
		if err := s.Fits(shopSignature); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), s[0].Name) {
			t.Errorf("%s: %v", yaml, err)
		}
	}
	if err := Builtin().Fits(fairlead.Signature{}); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(full))
	for yaml := range bad {
		f.Add([]byte("tests: [" + yaml + "]"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseFile(b)
		if err != nil {
			if fairlead.CodeOf(err) != fairlead.CodeInvalid {
				t.Errorf("%v", err)
			}
			return
		}
		_ = s.Fits(shopSignature)
		var names []string
		for _, x := range s {
			if x.Name == "" || slices.Contains(names, x.Name) {
				t.Errorf("two tests are called %q", x.Name)
			}
			names = append(names, x.Name)
			if m := x.Metric; m != nil && (m.AtLeast != nil && math.IsNaN(*m.AtLeast) || m.Confidence >= 1 || m.MinRows < 2) {
				t.Errorf("%+v", m)
			}
		}
	})
}
