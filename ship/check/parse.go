package check

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Parse reads the tests of a bundle, as bundle.File keeps them. An error is CodeInvalid and names the test, the key, what
// was expected and what came, and for an unknown key the nearest known one.
func Parse(tests []any) (Suite, error) {
	list := make([]any, len(tests))
	copy(list, tests)
	return parse(node{nodeOf(list), "tests"})
}

// ParseFile reads the tests of a fairlead.yaml, which must be one that bundle.ParseFile takes. It is as Parse, and errors
// name the line as well.
func ParseFile(b []byte) (Suite, error) {
	var root yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&root); err != nil || len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		return nil, fairlead.Invalid("%s is not a mapping in YAML", bundle.FileName).Cause(err)
	}
	keys := root.Content[0].Content
	for i := 0; i+1 < len(keys); i += 2 {
		if keys[i].Value == "tests" {
			return parse(node{keys[i+1], "tests"})
		}
	}
	return nil, nil
}

func parse(n node) (Suite, error) {
	if n.Tag == "!!null" {
		return nil, nil
	}
	var s Suite
	taken := map[string]bool{}
	err := n.items("a list of tests", func(v node) error {
		t, err := parseTest(v)
		if err != nil {
			return err
		}
		if t.Name == "" {
			t.Name = nameOf(t, taken)
		} else if taken[t.Name] {
			return v.errorf("two tests have the name %q", t.Name).Hintf("give one of them another name")
		}
		taken[t.Name] = true
		s = append(s, t)
		return nil
	})
	return s, err
}

// parseTest reads one test: which of its keys is a kind decides what the others may be.
func parseTest(n node) (Test, error) {
	if n.Kind != yaml.MappingNode {
		return Test{}, n.expected("a test such as {metric: auroc, at_least: 0.7}")
	}
	var names []string
	var t Test
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if !slices.Contains(names, key) {
			continue
		}
		if t.Kind != "" {
			return t, n.errorf("it is both a %s and a %s test", t.Kind, key).Hintf("make two tests of it")
		}
		t.Kind = Kind(key)
	}
	if t.Kind == "" {
		e := n.errorf("it does not say what kind of test it is").Hintf("one of its keys must be %s", strings.Join(names, ", "))
		for i := 0; i+1 < len(n.Content); i += 2 {
			if near := didYouMean(n.Content[i].Value, names); near != "" {
				e.Message += fmt.Sprintf(": unknown key %q%s", n.Content[i].Value, near)
				break
			}
		}
		return t, e
	}
	read, known := t.reader()
	err := n.fields(append([]string{string(t.Kind), "name", "why"}, known...), func(key string, v node) error {
		switch key {
		case "name":
			return v.text(&t.Name, "a name for the report")
		case "why":
			return v.text(&t.Why, "a reason, for people")
		}
		return read(key, v)
	})
	if err == nil {
		err = t.complete(n)
	}
	return t, err
}

// reader makes the part of the test's kind with its defaults, and gives what reads it and the keys it has.
func (t *Test) reader() (read func(string, node) error, keys []string) {
	switch t.Kind {
	case KindMetric:
		t.Metric = &Metric{Threshold: 0.5, Quantile: 0.5, Bins: 10, MinRows: 100, Confidence: 0.95}
		return t.Metric.read, []string{
			"at_least", "at_most", "not_worse_than", "margin", "threshold", "class", "quantile", "bins", "where", "by", "cluster", "min_rows",
			"confidence", "decide", "too_few", "seed",
		}
	case KindInvariance, KindDirection:
		t.Behaviour = &Behaviour{Rows: 500}
		keys = []string{"change", "tolerance", "allowed", "where", "rows", "seed"}
		if t.Kind == KindDirection {
			keys = append(keys, "expect", "class")
		}
		return t.Behaviour.read, keys
	case KindExample:
		t.Example = &Example{Threshold: 0.5}
		return t.Example.read, []string{"class", "of", "value", "tolerance", "at_least", "at_most", "threshold"}
	case KindLatency:
		t.Latency = &Latency{Rows: 1, Runs: 200}
		return t.Latency.read, []string{"p50", "p99", "runs"}
	case KindSize:
		t.Size = &Size{}
		return t.Size.read, nil
	case KindGolden:
		return func(_ string, v node) error { return t.readGolden(v) }, nil
	}
	t.Robustness = &Robustness{Sizes: []int{2, 7, 64}, Times: 3, Rows: 100}
	switch t.Kind {
	case KindBatch, KindDeterministic:
		return t.Robustness.read, []string{"tolerance", "rows"}
	case KindMissing:
		return t.Robustness.read, []string{"tolerance", "rows"}
	case KindUnseen:
		return t.Robustness.read, []string{"rows"}
	}
	return t.Robustness.read, nil
}

func (m *Metric) read(key string, v node) (err error) {
	switch key {
	case "metric":
		return oneOf(v, &m.Metric, Metrics()...)
	case "at_least":
		return v.pointer(&m.AtLeast)
	case "at_most":
		return v.pointer(&m.AtMost)
	case "not_worse_than":
		return v.text(&m.OtherThan, "champion, live, another alias or the number of a version")
	case "margin":
		return v.within(&m.Margin, 0, 1e12)
	case "threshold":
		return v.within(&m.Threshold, 0, 1)
	case "class":
		return v.text(&m.Class, "the name of a class")
	case "quantile":
		return v.within(&m.Quantile, 0, 1)
	case "bins":
		return v.count(&m.Bins, 2, 1000)
	case "where":
		return v.conditions(&m.Where)
	case "by":
		return v.groupings(&m.By)
	case "cluster":
		return v.cluster(m)
	case "min_rows":
		return v.count(&m.MinRows, 2, 1e9)
	case "confidence":
		return v.within(&m.Confidence, 0.5, 0.999999)
	case "decide":
		return oneOf(v, &m.Decide, DecideValue, DecideHarm, DecideProof)
	case "too_few":
		const fail, pass = "fail", "pass"
		var word string
		err = oneOf(v, &word, fail, pass)
		m.TooFew = word == fail
		return err
	}
	return v.seed(&m.Seed)
}

// cluster reads cluster: customer, or cluster: {time: day}.
func (n node) cluster(m *Metric) error {
	const what = "the name of a column, or {time: day}"
	if n.Kind != yaml.MappingNode {
		return n.text(&m.Cluster, what)
	}
	if len(n.Content) != 2 {
		return n.expected(what)
	}
	m.Cluster = n.Content[0].Value
	return oneOf(node{n.Content[1], n.key + "." + m.Cluster}, &m.Span, "hour", "day", "week")
}

func (b *Behaviour) read(key string, v node) error {
	switch key {
	case string(KindInvariance), string(KindDirection):
		return v.texts(&b.Features, "the name of a feature")
	case "change":
		return v.change(&b.Change)
	case "expect":
		return oneOf(v, &b.Expect, Rise, Fall, NotRise, NotFall)
	case "class":
		return v.text(&b.Class, "the name of a class")
	case "tolerance":
		return v.within(&b.Tolerance, 0, 1e12)
	case "allowed":
		return v.within(&b.Allowed, 0, 1)
	case "where":
		return v.conditions(&b.Where)
	case "rows":
		return v.count(&b.Rows, 1, 1e6)
	}
	return v.seed(&b.Seed)
}

func (x *Example) read(key string, v node) error {
	switch key {
	case string(KindExample):
		if v.Kind != yaml.MappingNode || len(v.Content) == 0 {
			return v.expected("the features of a row, such as {hour: 17, origin: ATL}")
		}
		x.Given = map[string]any{}
		for i := 0; i+1 < len(v.Content); i += 2 {
			k := v.Content[i].Value
			if _, twice := x.Given[k]; twice {
				return v.errorf("the feature %q is given twice", k)
			}
			var value any
			if err := (node{v.Content[i+1], v.key + "." + k}).value(&value); err != nil {
				return err
			}
			x.Given[k] = value
		}
		return nil
	case "class":
		return v.text(&x.Class, "the name of a class")
	case "of":
		return v.text(&x.Of, "the name of a class")
	case "value":
		return v.pointer(&x.Value)
	case "tolerance":
		return v.within(&x.Tolerance, 0, 1e12)
	case "at_least":
		return v.pointer(&x.AtLeast)
	case "at_most":
		return v.pointer(&x.AtMost)
	}
	return v.within(&x.Threshold, 0, 1)
}

func (l *Latency) read(key string, v node) error {
	switch key {
	case string(KindLatency):
		return v.count(&l.Rows, 1, 100_000)
	case "p50":
		return v.duration(&l.P50)
	case "p99":
		return v.duration(&l.P99)
	}
	return v.count(&l.Runs, 20, 100_000)
}

func (s *Size) read(_ string, v node) error {
	return v.fields([]string{"model", "bundle", "memory"}, func(key string, v node) error {
		return v.bytes(map[string]*int64{"model": &s.Model, "bundle": &s.Bundle, "memory": &s.Memory}[key])
	})
}

func (t *Test) readGolden(v node) error {
	if v.Kind != yaml.MappingNode {
		return v.on()
	}
	t.Golden = &bundle.Tolerance{Absolute: bundle.DefaultAbsolute, Relative: bundle.DefaultRelative}
	return v.fields([]string{"absolute", "relative"}, func(key string, v node) error {
		return v.within(map[string]*float64{"absolute": &t.Golden.Absolute, "relative": &t.Golden.Relative}[key], 0, 1e12)
	})
}

func (r *Robustness) read(key string, v node) error {
	switch Kind(key) {
	case KindBatch:
		if v.scalar() && v.Value == "true" {
			return nil
		}
		r.Sizes = nil
		return v.items("true, or a list of batch sizes such as [2, 64]", func(v node) error {
			var n int
			err := v.count(&n, 2, 10_000)
			r.Sizes = append(r.Sizes, n)
			return err
		})
	case KindDeterministic:
		if v.scalar() && v.Value == "true" {
			return nil
		}
		return v.count(&r.Times, 2, 1000)
	case KindFinite:
		return v.on()
	case KindMissing, KindUnseen:
		if v.scalar() && v.Value == "true" {
			return nil
		}
		return v.texts(&r.Features, "true, the name of a feature")
	}
	if key == "rows" {
		return v.count(&r.Rows, 1, 1e6)
	}
	r.Tolerance = new(float64)
	return v.within(r.Tolerance, 0, 1e12)
}
