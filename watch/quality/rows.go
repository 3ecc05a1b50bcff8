package quality

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
)

// predicate says which rows break a rule. Rows with a null among the columns are asked only by not_null and null.
func (r *Rule) predicate(columns []*fairlead.TableColumn, n int) func(i int) bool {
	c := columns[0]
	switch r.Kind {
	case NotNull:
		return c.IsNull
	case Null:
		return func(i int) bool { return !c.IsNull(i) }
	case Unique, UniqueTogether:
		return repeated(columns, n)
	case InSet, NotInSet:
		return membership(c, r.Set, r.Kind == NotInSet)
	case Between:
		return func(i int) bool { return !r.within(c.Floats[i]) }
	case Finite:
		return func(i int) bool { return math.IsNaN(c.Floats[i]) || math.IsInf(c.Floats[i], 0) }
	case Type:
		return wrongType(c, r.Type)
	case Matches, NotMatches:
		pattern := regexp.MustCompile(r.Pattern) // Check has compiled it
		return func(i int) bool { return pattern.MatchString(c.Strings[i]) == (r.Kind == NotMatches) }
	case LengthBetween:
		return func(i int) bool { return !r.within(float64(utf8.RuneCountInString(c.Strings[i]))) }
	case Increasing:
		return falling(c)
	case Greater:
		return func(i int) bool {
			d := order(columns[0], columns[1], i)
			return !(d > 0 || d == 0 && !r.StrictMin)
		}
	}
	return func(i int) bool { // SumBetween
		sum := 0.0
		for _, c := range columns {
			sum += c.Float(i)
		}
		return !r.within(sum)
	}
}

// membership marks rows whose value is in the set, or with in false those whose value is not.
func membership(c *fairlead.TableColumn, set []string, in bool) func(i int) bool {
	texts := canonical(c, set)
	if c.Floats == nil {
		return func(i int) bool { _, found := texts[show(c, i)]; return found == in }
	}
	numbers := map[float64]bool{}
	_, nan := texts["NaN"]
	for s := range texts {
		if v, err := strconv.ParseFloat(s, 64); err == nil {
			numbers[v] = true
		}
	}
	return func(i int) bool {
		v := c.Floats[i]
		if v != v {
			return nan == in
		}
		return numbers[v] == in
	}
}

// repeated marks rows whose values occur more than once.
func repeated(columns []*fairlead.TableColumn, n int) func(i int) bool {
	key := func(i int) string {
		var b strings.Builder
		for _, c := range columns {
			v := show(c, i)
			fmt.Fprintf(&b, "%d:%s", len(v), v)
		}
		return b.String()
	}
	counts := make(map[string]int, n)
	for i := range n {
		if !anyNull(columns, i) {
			counts[key(i)]++
		}
	}
	return func(i int) bool { return counts[key(i)] > 1 }
}

func anyNull(columns []*fairlead.TableColumn, i int) bool {
	for _, c := range columns {
		if c.IsNull(i) {
			return true
		}
	}
	return false
}

func wrongType(c *fairlead.TableColumn, want string) func(i int) bool {
	switch want {
	case "text":
		return func(int) bool { return c.Strings == nil }
	case "time":
		return func(int) bool { return c.Times == nil }
	case "integer":
		return func(i int) bool { return c.Floats == nil || c.Floats[i] != math.Trunc(c.Floats[i]) }
	}
	return func(int) bool { return c.Floats == nil }
}

// falling marks rows whose value is below that of the last row that has one.
func falling(c *fairlead.TableColumn) func(i int) bool {
	return func(i int) bool {
		for j := i - 1; j >= 0; j-- {
			if !c.IsNull(j) {
				return compare(c, j, c, i) > 0
			}
		}
		return false
	}
}

// order compares two columns at a row; NaN where they cannot be compared.
func order(a, b *fairlead.TableColumn, i int) float64 { return compare(a, i, b, i) }

func compare(a *fairlead.TableColumn, i int, b *fairlead.TableColumn, j int) float64 {
	switch {
	case a.Times != nil && b.Times != nil:
		return float64(a.Times[i].Compare(b.Times[j]))
	case a.Strings != nil && b.Strings != nil:
		return float64(strings.Compare(a.Strings[i], b.Strings[j]))
	case a.Floats != nil && b.Floats != nil:
		return a.Floats[i] - b.Floats[j]
	}
	return math.NaN()
}
