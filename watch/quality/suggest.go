package quality

import (
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// What Suggest goes by (Deequ's rules, with Wilson's interval in place of Wald's).
const (
	someComplete = 0.2  // a column this full gets a rule about how full it is
	onceAtMost   = 0.1  // share of distinct values that occur once, for a set
	restAtMost   = 0.4  // the same for a set that covers most rows
	covered      = 0.9  // share of rows that such a set covers
	nearlyUnique = 0.08 // distinct ÷ rows this close to 1 is a key
	setAtMost    = 100  // values of a set
	z            = 1.96
)

// Suggest proposes rules that a reference keeps, column by column: presence, completeness, type, sign, range of categories,
// uniqueness. They are a start to be read by a person; every one of them holds on the table itself.
func Suggest(t *fairlead.Table) []Rule {
	if len(t.Columns) == 0 {
		return nil
	}
	rules := []Rule{{Kind: ColumnsAre, Columns: t.Names(), Exact: true, Severity: Warning}}
	for i := range t.Columns {
		rules = append(rules, suggest(&t.Columns[i], t.Rows)...)
	}
	return rules
}

func suggest(c *fairlead.TableColumn, rows int) []Rule {
	counts, present := tally(c, rows)
	low, high, whole, numbers := math.Inf(1), math.Inf(-1), true, 0
	for i, v := range c.Floats {
		if v == v {
			numbers++
			low, high = min(low, v), max(high, v)
			whole = whole && v == math.Trunc(v)
		} else if !c.IsNull(i) {
			whole = false
		}
	}
	var rules []Rule
	switch share := float64(present) / float64(max(rows, 1)); {
	case present == rows && rows > 0:
		rules = append(rules, Rule{Kind: NotNull, Column: c.Name})
	case share > someComplete:
		rules = append(rules, Rule{Kind: NotNull, Column: c.Name, Mostly: wilson(present, rows), Severity: Warning})
	}
	if present == 0 {
		return rules
	}
	kind := holdsType(c)
	if kind == "number" && whole {
		kind = "integer"
	}
	rules = append(rules, Rule{Kind: Type, Column: c.Name, Type: kind})
	var set *Rule
	if c.Floats == nil || whole { // a measured quantity is no set, however few values it took
		set = suggestSet(c, counts, present)
	}
	if c.Floats != nil && set == nil && numbers > 0 {
		if low >= 0 && numbers == present { // one that is not a number is in no range
			zero := 0.0
			rules = append(rules, Rule{Kind: Between, Column: c.Name, Min: &zero})
		}
		rules = append(rules, Rule{Kind: Between, Column: c.Name, Min: &low, Max: &high, Mostly: wilson(numbers, present), Severity: Warning})
	}
	if set != nil {
		rules = append(rules, *set)
	}
	if d := float64(len(counts)) / float64(present); present > 1 && 1-d <= nearlyUnique && c.Times == nil && (c.Strings != nil || whole) {
		rules = append(rules, Rule{Kind: Unique, Column: c.Name, Mostly: uniqueShare(counts, present)})
	}
	return rules
}

// tally counts the values that occur, as they are written, and all of them.
func tally(c *fairlead.TableColumn, rows int) (counts map[string]int, present int) {
	counts = map[string]int{}
	numbers := map[float64]int{}
	nans := 0
	for i := range rows {
		if c.IsNull(i) {
			continue
		}
		present++
		switch {
		case c.Times != nil: // no rule asks which
		case c.Floats == nil:
			counts[c.Strings[i]]++
		case c.Floats[i] != c.Floats[i]:
			nans++
		default:
			numbers[c.Floats[i]]++
		}
	}
	for v, n := range numbers {
		counts[written(v)] += n
	}
	if nans > 0 {
		counts[written(math.NaN())] = nans
	}
	return counts, present
}

func holdsType(c *fairlead.TableColumn) string {
	switch {
	case c.Strings != nil:
		return "text"
	case c.Times != nil:
		return "time"
	}
	return "number"
}

// uniqueShare is the share of rows whose value occurs once, as a promise: 0 stands for all.
func uniqueShare(counts map[string]int, present int) float64 {
	once := 0
	for _, n := range counts {
		if n == 1 {
			once++
		}
	}
	if once == present {
		return 0
	}
	return wilson(once, present)
}

// suggestSet proposes a set of values where few of them occur only once: all values, or the frequent ones that cover most rows.
func suggestSet(c *fairlead.TableColumn, counts map[string]int, present int) *Rule {
	once := 0
	values := make([]string, 0, len(counts))
	for v, n := range counts {
		values = append(values, v)
		if n == 1 {
			once++
		}
	}
	slices.SortFunc(values, func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		if a < b {
			return -1
		}
		return 1
	})
	switch share := float64(once) / float64(len(counts)); {
	case c.Times != nil, len(counts) == present:
		return nil
	case share <= onceAtMost && len(counts) <= setAtMost:
		return &Rule{Kind: InSet, Column: c.Name, Set: values}
	case share <= restAtMost:
		rows := 0
		for i, v := range values[:min(len(values), setAtMost)] {
			if rows += counts[v]; float64(rows) >= covered*float64(present) {
				return &Rule{Kind: InSet, Column: c.Name, Set: values[:i+1], Mostly: wilson(rows, present), Severity: Warning}
			}
		}
	}
	return nil
}

// wilson is the lower end of the 95 % interval of a share, two digits down.
func wilson(k, n int) float64 {
	p, m := float64(k)/float64(n), float64(n)
	low := (p + z*z/(2*m) - z*math.Sqrt(p*(1-p)/m+z*z/(4*m*m))) / (1 + z*z/m)
	return math.Max(0.01, math.Floor(low*1000)/1000)
}
