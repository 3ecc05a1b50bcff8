package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// complete fills in the defaults that follow from other keys, and says what is lacking or does not go together.
func (t *Test) complete(n node) error {
	given := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		given[n.Content[i].Value] = true
	}
	switch t.Kind {
	case KindMetric:
		return t.Metric.complete(n, given)
	case KindInvariance, KindDirection:
		b := t.Behaviour
		switch {
		case b.Change.How == "":
			return n.errorf("it does not say what is changed").Hintf("for example change: permute, or change: {add: 1}")
		case t.Kind == KindDirection && b.Expect == "":
			return n.errorf("it does not say how the score must move").Hintf("add expect: rise, fall, not_rise or not_fall")
		case t.Kind == KindDirection && (b.Change.How == ChangePermute || b.Change.How == ChangeTypo || b.Change.How == ChangeNoise):
			return n.errorf("a change by %s has no direction", b.Change.How).Hintf("use add, multiply or set")
		}
	case KindExample:
		x := t.Example
		x.Cut = given["threshold"]
		switch {
		case x.Class == "" && x.Value == nil && x.AtLeast == nil && x.AtMost == nil:
			return n.errorf("it does not say what is expected").Hintf("add class: late, at_least: 0.7, at_most: 0.3, or value: 12 with tolerance: 0.5")
		case given["tolerance"] && x.Value == nil:
			return n.errorf("tolerance belongs to value")
		case x.AtLeast != nil && x.AtMost != nil && *x.AtLeast > *x.AtMost:
			return n.errorf("nothing is at least %g and at most %g", *x.AtLeast, *x.AtMost)
		}
	case KindLatency:
		if t.Latency.P50 == 0 && t.Latency.P99 == 0 {
			return n.errorf("it has no budget").Hintf("add p50: 2ms or p99: 10ms")
		}
	case KindSize:
		if *t.Size == (Size{}) {
			return n.errorf("it has no budget").Hintf("for example size: {model: 5MB, memory: 64MB}")
		}
	}
	return nil
}

func (m *Metric) complete(n node, given map[string]bool) error {
	switch {
	case m.AtLeast == nil && m.AtMost == nil && m.OtherThan == "":
		return n.errorf("it has no bound").Hintf("add at_least, at_most, or not_worse_than: champion with a margin")
	case m.OtherThan != "" && (m.AtLeast != nil || m.AtMost != nil):
		return n.errorf("it has a bound and a comparison").Hintf("make two tests of it")
	case given["margin"] && m.OtherThan == "":
		return n.errorf("margin belongs to not_worse_than")
	case m.OtherThan != "" && m.Metric == "bias":
		return n.errorf("bias cannot be worse or better").Hintf("bound it with at_least and at_most, or compare mae")
	case m.AtLeast != nil && m.AtMost != nil && *m.AtLeast > *m.AtMost:
		return n.errorf("nothing is at least %g and at most %g", *m.AtLeast, *m.AtMost)
	}
	for key, metrics := range map[string]string{"threshold": "accuracy precision recall f1", "quantile": "pinball", "bins": "ece"} {
		if given[key] && !strings.Contains(metrics, m.Metric) {
			return n.errorf("%s does not change %s", key, m.Metric).Hintf("it belongs to %s", strings.ReplaceAll(metrics, " ", ", "))
		}
	}
	m.Cut = given["threshold"]
	if m.Decide == "" {
		switch {
		case len(m.By) > 0:
			m.Decide = DecideHarm
		case m.OtherThan != "":
			m.Decide = DecideProof
		default:
			m.Decide = DecideValue
		}
	}
	if !given["too_few"] {
		m.TooFew = len(m.By) == 0 && m.Decide != DecideHarm
	}
	return nil
}

// nameOf makes a name of what a test says, one that is not taken.
func nameOf(t Test, taken map[string]bool) string {
	name := t.says()
	for i := 2; taken[name]; i++ {
		name = fmt.Sprintf("%s (%d)", t.says(), i)
	}
	return name
}

// says is the definition in a few words.
func (t *Test) says() string {
	switch t.Kind {
	case KindMetric:
		return t.Metric.says()
	case KindInvariance:
		return fmt.Sprintf("%s: %s changes nothing%s", strings.Join(t.Behaviour.Features, ", "), t.Behaviour.Change, among(t.Behaviour.Where))
	case KindDirection:
		return fmt.Sprintf("%s: %s lets the score %s%s", strings.Join(t.Behaviour.Features, ", "), t.Behaviour.Change,
			strings.ReplaceAll(string(t.Behaviour.Expect), "_", " "), among(t.Behaviour.Where))
	case KindExample:
		return "example: " + t.Example.says()
	case KindLatency:
		if t.Latency.Rows > 1 {
			return fmt.Sprintf("latency of %d rows", t.Latency.Rows)
		}
		return "latency of one row"
	case KindBatch:
		return "rows alone and in batches"
	case KindDeterministic:
		return "the same row, the same answer"
	case KindFinite:
		return "every answer is finite"
	case KindMissing:
		return strings.TrimSuffix("missing values: "+strings.Join(t.Robustness.Features, ", "), ": ")
	case KindUnseen:
		return strings.TrimSuffix("unseen categories: "+strings.Join(t.Robustness.Features, ", "), ": ")
	case KindGolden:
		return "golden vectors"
	}
	return string(t.Kind)
}

func (m *Metric) says() string {
	s := m.Metric
	if m.Class != "" {
		s += " of " + m.Class
	}
	if m.Threshold != 0.5 {
		s += fmt.Sprintf(" at %g", m.Threshold)
	}
	if m.Quantile != 0.5 {
		s += fmt.Sprintf(" of the %g quantile", m.Quantile)
	}
	switch {
	case m.OtherThan != "":
		s += fmt.Sprintf(" not worse than %s by %g", m.OtherThan, m.Margin)
	case m.AtLeast != nil && m.AtMost != nil:
		s += fmt.Sprintf(" from %g to %g", *m.AtLeast, *m.AtMost)
	case m.AtLeast != nil:
		s += fmt.Sprintf(" ≥ %g", *m.AtLeast)
	default:
		s += fmt.Sprintf(" ≤ %g", *m.AtMost)
	}
	for i, g := range m.By {
		s += map[bool]string{true: " by ", false: ", "}[i == 0] + g.Column
	}
	return s + among(m.Where)
}

func (x *Example) says() string {
	var parts []string
	if x.Class != "" {
		parts = append(parts, x.Class)
	}
	if x.Value != nil {
		parts = append(parts, fmt.Sprintf("%g ± %g", *x.Value, x.Tolerance))
	}
	if x.AtLeast != nil {
		parts = append(parts, fmt.Sprintf("≥ %g", *x.AtLeast))
	}
	if x.AtMost != nil {
		parts = append(parts, fmt.Sprintf("≤ %g", *x.AtMost))
	}
	return strings.Join(parts, " and ")
}

func among(where []Condition) string {
	var parts []string
	for _, c := range where {
		parts = append(parts, c.String())
	}
	if len(parts) == 0 {
		return ""
	}
	return " where " + strings.Join(parts, " and ")
}

// Condition selects rows by one column.
type Condition struct {
	Column string
	Values []string // one of these; nil: the range counts
	From   *float64 // at least
	Below  *float64 // less than
}

// String is the condition as people write it.
func (c Condition) String() string {
	if c.Values != nil {
		return c.Column + "=" + strings.Join(c.Values, "|")
	}
	s := c.Column
	if c.From != nil {
		s = strconv.FormatFloat(*c.From, 'g', -1, 64) + " ≤ " + s
	}
	if c.Below != nil {
		s += " < " + strconv.FormatFloat(*c.Below, 'g', -1, 64)
	}
	return s
}

// conditions reads where: {origin: ATL, hour: {from: 17, below: 20}}.
func (n node) conditions(to *[]Condition) error {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return n.expected("conditions such as {origin: ATL, hour: {from: 17, below: 20}}")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		c := Condition{Column: n.Content[i].Value}
		v := node{n.Content[i+1], n.key + "." + c.Column}
		if v.Kind != yaml.MappingNode {
			if err := v.texts(&c.Values, "a value"); err != nil {
				return err
			}
			*to = append(*to, c)
			continue
		}
		err := v.fields([]string{"from", "below"}, func(key string, v node) error {
			return v.pointer(map[string]**float64{"from": &c.From, "below": &c.Below}[key])
		})
		if err != nil {
			return err
		}
		if c.From == nil && c.Below == nil {
			return v.expected("from, below or both")
		}
		*to = append(*to, c)
	}
	// A bundle keeps mappings without their order.
	slices.SortFunc(*to, func(a, b Condition) int { return strings.Compare(a.Column, b.Column) })
	return nil
}

// Grouping splits rows by one column: by value, or by the ranges between edges.
type Grouping struct {
	Column string
	Edges  []float64 // ascending; nil: by value
}

// groupings reads by: origin, by: [origin, hour], or by: {distance: [500, 1000]}.
func (n node) groupings(to *[]Grouping) error {
	if n.Kind != yaml.MappingNode {
		var columns []string
		err := n.texts(&columns, "the name of a column")
		for _, c := range columns {
			*to = append(*to, Grouping{Column: c})
		}
		return err
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		g := Grouping{Column: n.Content[i].Value, Edges: []float64{}}
		v := node{n.Content[i+1], n.key + "." + g.Column}
		err := v.items("a list of ascending edges such as [500, 1000]", func(v node) error {
			var x float64
			if err := v.number(&x); err != nil {
				return err
			}
			if k := len(g.Edges); k > 0 && x <= g.Edges[k-1] {
				return v.errorf("the edges must ascend, %g comes after %g", x, g.Edges[k-1])
			}
			g.Edges = append(g.Edges, x)
			return nil
		})
		if err != nil {
			return err
		}
		if len(g.Edges) == 0 {
			return v.errorf("the list is empty")
		}
		*to = append(*to, g)
	}
	slices.SortFunc(*to, func(a, b Grouping) int { return strings.Compare(a.Column, b.Column) })
	return nil
}
