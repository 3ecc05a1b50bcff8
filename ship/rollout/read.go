package rollout

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

// node is a place in a policy: the value and the key that leads to it.
type node struct {
	*yaml.Node
	key string
}

func (n node) errorf(format string, args ...any) *fairlead.Error {
	return fairlead.Invalid("rollout policy, line %d: %s", n.Line, fmt.Sprintf(format, args...))
}

func (n node) expected(what string) *fairlead.Error {
	at := ""
	if n.key != "" {
		at = n.key + ": "
	}
	return n.errorf("%sexpected %s, got %s", at, what, n.describe())
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

// fields reads a mapping; read gets each of its keys, all of which are in known. A key without a value is as good as
// absent.
func (n node) fields(known []string, read func(key string, v node) error) error {
	if n.Kind != yaml.MappingNode {
		return n.expected("a mapping with the keys " + strings.Join(known, ", "))
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, c := n.Content[i], n.Content[i+1]
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
		if c.Tag == "!!null" && c.Kind == yaml.ScalarNode {
			continue
		}
		key := k.Value
		if n.key != "" {
			key = n.key + "." + key
		}
		if err := read(k.Value, node{c, key}); err != nil {
			return err
		}
	}
	return nil
}

func (n node) items(what string, read func(v node) error) error {
	if n.Kind != yaml.SequenceNode {
		return n.expected(what)
	}
	const most = 200
	if len(n.Content) > most {
		return n.errorf("%s: %d entries; at most %d make sense", n.key, len(n.Content), most)
	}
	for i, c := range n.Content {
		if err := read(node{c, fmt.Sprintf("%s[%d]", n.key, i)}); err != nil {
			return err
		}
	}
	return nil
}

func (n node) text(what string) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return "", n.expected(what)
	}
	return n.Value, nil
}

// oneOf reads one of a few words.
func oneOf[T ~string](n node, to *T, words ...T) error {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	what := strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
	if n.Kind != yaml.ScalarNode || !slices.Contains(names, n.Value) {
		e := n.expected(what)
		if d := didYouMean(n.Value, names); d != "" && n.Kind == yaml.ScalarNode {
			e.Message += d
		}
		return e
	}
	*to = T(n.Value)
	return nil
}

func (n node) duration(to *Duration) error {
	d, err := ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		return n.expected("a duration such as 30s, 15m, 24h or 7d")
	}
	*to = d
	return nil
}

func (n node) share(to *Share) error {
	s, err := ParseShare(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		e := n.expected(`a share of the traffic such as "5%", or shadow`)
		if _, bare := strconv.ParseFloat(n.Value, 64); bare == nil && n.Kind == yaml.ScalarNode {
			e = e.Hintf("write the unit: %s%%", n.Value)
		}
		return e
	}
	*to = s
	return nil
}

// fraction reads 0.25 or "25%" between low and high.
func (n node) fraction(to *float64, low, high float64) error {
	digits, percent := strings.CutSuffix(n.Value, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent {
		v /= 100
	}
	if n.Kind != yaml.ScalarNode || err != nil || !(v >= low && v <= high) {
		return n.expected(fmt.Sprintf("a number from %g to %g, or a percentage", low, high))
	}
	*to = v
	return nil
}

func (n node) count(to *uint64) error {
	v, err := strconv.ParseUint(strings.ReplaceAll(n.Value, "_", ""), 10, 53)
	if n.Kind != yaml.ScalarNode || err != nil {
		return n.expected("a whole number, not negative")
	}
	*to = v
	return nil
}

func (n node) boolean(to *bool) error {
	if n.Kind != yaml.ScalarNode || n.Value != "true" && n.Value != "false" {
		return n.expected("true or false")
	}
	*to = n.Value == "true"
	return nil
}

func (n node) instant(to *time.Time) error {
	t, err := time.Parse(time.RFC3339, n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || math.Abs(float64(t.Year()-2000)) > 1000 {
		return n.expected("a time such as 2026-12-24T00:00:00+01:00")
	}
	*to = t
	return nil
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
