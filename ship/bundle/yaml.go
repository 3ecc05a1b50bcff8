package bundle

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
)

// node is a place in fairlead.yaml: the value and the key that leads to it.
type node struct {
	*yaml.Node
	key string
}

func (n node) errorf(format string, args ...any) *fairlead.Error {
	return fairlead.Invalid("%s, line %d: %s", FileName, n.Line, fmt.Sprintf(format, args...))
}

// expected says what should have stood here and what came.
func (n node) expected(what string) *fairlead.Error {
	if n.key == "" {
		return n.errorf("expected %s, got %s", what, n.describe())
	}
	return n.errorf("%s: expected %s, got %s", n.key, what, n.describe())
}

func (n node) describe() string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.isNull():
		return "nothing"
	}
	v := n.Value
	if len(v) > 60 {
		v = v[:60] + "…"
	}
	switch n.Tag {
	case "!!str":
		return fmt.Sprintf("the text %q", v)
	case "!!int", "!!float":
		return "the number " + v
	case "!!bool":
		return "the boolean " + v
	}
	return fmt.Sprintf("%q", v)
}

func (n node) isNull() bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func (n node) child(key string, c *yaml.Node) node {
	if n.key != "" {
		key = n.key + "." + key
	}
	return node{c, key}
}

// keys reads a mapping: read is called for each of its keys that is known. A key without a value is as good as
// absent.
func (n node) keys(known []string, read func(key string, v node) error) error {
	if n.Kind != yaml.MappingNode {
		return n.expected("a mapping with the keys " + strings.Join(known, ", "))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		at := node{k, n.key}
		if k.Kind != yaml.ScalarNode || !slices.Contains(known, k.Value) {
			in := ""
			if n.key != "" {
				in = " in " + n.key
			}
			return at.errorf("unknown key %q%s%s", k.Value, in, didYouMean(k.Value, known)).Hintf("known keys are %s", strings.Join(known, ", "))
		}
		if seen[k.Value] {
			return at.errorf("the key %q is given twice", k.Value)
		}
		seen[k.Value] = true
		v := n.child(k.Value, n.Content[i+1])
		if v.isNull() {
			continue
		}
		if err := read(k.Value, v); err != nil {
			return err
		}
	}
	return nil
}

func (n node) items(what string, read func(i int, v node) error) error {
	if n.Kind != yaml.SequenceNode {
		return n.expected(what)
	}
	for i, c := range n.Content {
		if err := read(i, node{c, fmt.Sprintf("%s[%d]", n.key, i)}); err != nil {
			return err
		}
	}
	return nil
}

func (n node) text(what string) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		e := n.expected(what)
		if n.Kind == yaml.ScalarNode && !n.isNull() {
			e = e.Hintf("put it in quotes if it is meant as text: %q", n.Value)
		}
		return "", e
	}
	if strings.TrimSpace(n.Value) == "" {
		return "", n.errorf("%s: expected %s, got empty text", n.key, what)
	}
	return n.Value, nil
}

// texts reads a list of different texts. With scalars, numbers and booleans are taken as they are written.
func (n node) texts(what string, scalars bool) ([]string, error) {
	var out []string
	err := n.items(what, func(_ int, v node) error {
		s, err := v.Value, error(nil)
		if !scalars || v.Kind != yaml.ScalarNode || v.Tag == "!!str" || v.isNull() {
			s, err = v.text("a name")
		}
		if err != nil {
			return err
		}
		if slices.Contains(out, s) {
			return v.errorf("%s: %q is listed twice", v.key, s)
		}
		out = append(out, s)
		return nil
	})
	return out, err
}

func (n node) duration() (time.Duration, error) {
	const what = "a duration such as 250ms, 24h or 7d"
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Value != "0" {
		e := n.expected(what)
		if n.Tag == "!!int" || n.Tag == "!!float" {
			e = e.Hintf("write the unit: %ss", n.Value)
		}
		return 0, e
	}
	d, err := time.ParseDuration(n.Value)
	if days, ok := strings.CutSuffix(n.Value, "d"); ok && err != nil {
		var f float64
		if f, err = strconv.ParseFloat(days, 64); err == nil && math.Abs(f) > 36500 {
			return 0, n.expected("a duration of at most 36500d")
		}
		d = time.Duration(f * float64(24*time.Hour))
	}
	if err != nil {
		return 0, n.expected(what)
	}
	if d < 0 {
		return 0, n.expected("a duration that is not negative")
	}
	return d, nil
}

// bytes reads a size: a number of bytes, or one with a unit.
func (n node) bytes() (int64, error) {
	const what = "a size such as 64MB or 1GiB"
	if n.Kind != yaml.ScalarNode {
		return 0, n.expected(what)
	}
	digits := strings.TrimRight(n.Value, "KMGTiB")
	unit, known := map[string]int64{
		"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
	}[n.Value[len(digits):]]
	count, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || !known || count < 0 || count > 1<<40/unit {
		return 0, n.expected(what)
	}
	return count * unit, nil
}

// plain turns an opaque value into JSON's types, so that it can be sealed. Timestamps and the like stay text.
func (n node) plain(depth int) (any, error) {
	if depth > 50 {
		return nil, n.errorf("%s: nested more than 50 deep", n.key)
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode {
				return nil, node{k, n.key}.errorf("%s: a key has to be text", n.key)
			}
			if _, twice := m[k.Value]; twice {
				return nil, node{k, n.key}.errorf("the key %q is given twice", k.Value)
			}
			v, err := n.child(k.Value, n.Content[i+1]).plain(depth + 1)
			if err != nil {
				return nil, err
			}
			m[k.Value] = v
		}
		return m, nil
	case yaml.SequenceNode:
		s := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := node{c, fmt.Sprintf("%s[%d]", n.key, i)}.plain(depth + 1)
			if err != nil {
				return nil, err
			}
			s[i] = v
		}
		return s, nil
	}
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		var v bool
		if n.Decode(&v) == nil {
			return v, nil
		}
	case "!!int", "!!float":
		var v float64
		if n.Decode(&v) == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v, nil
		}
	}
	return n.Value, nil
}
