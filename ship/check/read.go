package check

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// node is a place in the list of tests: the value and the key that leads to it. Line 0 is a value that was no text.
type node struct {
	*yaml.Node
	key string
}

func (n node) errorf(format string, args ...any) *fairlead.Error {
	at := bundle.FileName
	if n.Line > 0 {
		at = fmt.Sprintf("%s, line %d", at, n.Line)
	}
	return fairlead.Invalid("%s: %s: %s", at, n.key, fmt.Sprintf(format, args...))
}

func (n node) expected(what string) *fairlead.Error {
	return n.errorf("expected %s, got %s", what, n.describe())
}

func (n node) describe() string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "a YAML alias"
	case n.Tag == "!!null":
		return "nothing"
	}
	v := n.Value
	if len(v) > 60 {
		v = strings.ToValidUTF8(v[:60], "") + "…"
	}
	return strconv.Quote(v)
}

func (n node) scalar() bool { return n.Kind == yaml.ScalarNode && n.Tag != "!!null" }

// fields reads a mapping; read gets each of its keys, all of which are in known, in their order.
func (n node) fields(known []string, read func(key string, v node) error) error {
	if n.Kind != yaml.MappingNode {
		return n.expected("a mapping with the keys " + strings.Join(known, ", "))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		at := node{k, n.key}
		if k.Kind != yaml.ScalarNode || !slices.Contains(known, k.Value) {
			return at.errorf("unknown key %q%s", k.Value, didYouMean(k.Value, known)).Hintf("known keys are %s", strings.Join(known, ", "))
		}
		if seen[k.Value] {
			return at.errorf("the key %q is given twice", k.Value)
		}
		seen[k.Value] = true
		if err := read(k.Value, node{n.Content[i+1], n.key + "." + k.Value}); err != nil {
			return err
		}
	}
	return nil
}

func (n node) items(what string, read func(v node) error) error {
	const most = 1000
	switch {
	case n.Kind != yaml.SequenceNode:
		return n.expected(what)
	case len(n.Content) > most:
		return n.errorf("%d entries; at most %d are read", len(n.Content), most)
	}
	for i, c := range n.Content {
		if err := read(node{c, fmt.Sprintf("%s[%d]", n.key, i)}); err != nil {
			return err
		}
	}
	return nil
}

func (n node) text(to *string, what string) error {
	if !n.scalar() || strings.TrimSpace(n.Value) == "" {
		return n.expected(what)
	}
	*to = n.Value
	return nil
}

// texts reads one text, or a list of different ones.
func (n node) texts(to *[]string, what string) error {
	if n.scalar() {
		*to = []string{""}
		return n.text(&(*to)[0], what)
	}
	*to = []string{}
	err := n.items(what+", or a list of them", func(v node) error {
		var s string
		if err := v.text(&s, what); err != nil {
			return err
		}
		if slices.Contains(*to, s) {
			return v.errorf("%q is listed twice", s)
		}
		*to = append(*to, s)
		return nil
	})
	if err == nil && len(*to) == 0 {
		return n.errorf("the list is empty")
	}
	return err
}

// number reads a finite number.
func (n node) number(to *float64) error {
	v, err := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
	if !n.scalar() || err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return n.expected("a number")
	}
	*to = v
	return nil
}

func (n node) pointer(to **float64) error {
	var v float64
	err := n.number(&v)
	*to = &v
	return err
}

// within reads 0.25 or "25%" between low and high.
func (n node) within(to *float64, low, high float64) error {
	digits, percent := strings.CutSuffix(n.Value, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent {
		v /= 100
	}
	if !n.scalar() || err != nil || !(v >= low && v <= high) {
		return n.expected(fmt.Sprintf("a number from %g to %g, or a percentage", low, high))
	}
	*to = v
	return nil
}

func (n node) count(to *int, low, high int) error {
	v, err := strconv.Atoi(strings.ReplaceAll(n.Value, "_", ""))
	if !n.scalar() || err != nil || v < low || v > high {
		return n.expected(fmt.Sprintf("a whole number from %d to %d", low, high))
	}
	*to = v
	return nil
}

func (n node) seed(to *uint64) error {
	v, err := strconv.ParseUint(n.Value, 10, 53)
	if !n.scalar() || err != nil {
		return n.expected("a whole number, not negative")
	}
	*to = v
	return nil
}

func (n node) duration(to *time.Duration) error {
	d, err := time.ParseDuration(n.Value)
	if !n.scalar() || err != nil || d <= 0 {
		e := n.expected("a duration such as 5ms")
		if n.Tag == "!!int" || n.Tag == "!!float" {
			e = e.Hintf("write the unit: %sms", n.Value)
		}
		return e
	}
	*to = d
	return nil
}

// bytes reads a size: a number of bytes, or one with a unit.
func (n node) bytes(to *int64) error {
	digits := strings.TrimRight(n.Value, "KMGTiB")
	unit, known := map[string]float64{
		"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}[n.Value[len(digits):]]
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if !n.scalar() || err != nil || !known || !(v*unit >= 1 && v*unit <= 1<<50) {
		return n.expected("a size such as 64MB or 1GiB")
	}
	*to = int64(v * unit)
	return nil
}

// flag reads true; false is as good as no test, and said by leaving it out.
func (n node) on() error {
	if !n.scalar() || n.Value != "true" {
		return n.expected("true").Hintf("leave the test out to switch it off")
	}
	return nil
}

// oneOf reads one of a few words.
func oneOf[T ~string](n node, to *T, words ...T) error {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	if !n.scalar() || !slices.Contains(names, n.Value) {
		e := n.expected(strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1])
		if n.scalar() {
			e.Message += didYouMean(n.Value, names)
		}
		return e
	}
	*to = T(n.Value)
	return nil
}

// value reads a number, a text or a boolean as it is written.
func (n node) value(to *any) error {
	if !n.scalar() {
		return n.expected("a number, a text or a boolean")
	}
	switch n.Tag {
	case "!!int", "!!float":
		var v float64
		if err := n.number(&v); err != nil {
			return err
		}
		*to = v
	case "!!bool":
		*to = n.Value == "true"
	default:
		*to = n.Value
	}
	return nil
}

// nodeOf is a value of JSON's types as YAML has it, without lines.
func nodeOf(v any) *yaml.Node {
	switch x := v.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: k}, nodeOf(x[k]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, e := range x {
			n.Content = append(n.Content, nodeOf(e))
		}
		return n
	case string:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: x}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(x)}
	case float64:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!float", Value: strconv.FormatFloat(x, 'g', -1, 64)}
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			n.Tag, n.Value = "!!int", strconv.FormatInt(int64(x), 10)
		}
		return n
	case int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(x)}
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: fmt.Sprint(v)}
}

// didYouMean is "; did you mean x?" or "". Two letters may be wrong, fewer in a short name.
func didYouMean(name string, known []string) string {
	best, least := "", min(len(name)/2, max(2, len(name)/3))+1
	for _, k := range known {
		if d := fairlead.Edits(strings.ToLower(name), strings.ToLower(k), least); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
