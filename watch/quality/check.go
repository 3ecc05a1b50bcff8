package quality

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Context is what rules want to know beyond the rows.
type Context struct {
	Now  time.Time // for fresh
	Past []float64 // rows of the windows before, for volume; empty: volume is not checked
}

// Result is what a rule found.
type Result struct {
	Rule Rule `json:"rule"`
	OK   bool `json:"ok"`
	// Skipped says why the rule could not be checked at all; it is not OK then, unless there was nothing to check.
	Skipped    string    `json:"skipped,omitempty"`
	Rows       int       `json:"rows"`               // that were judged
	Unexpected int       `json:"unexpected"`         // of them
	Observed   *float64  `json:"observed,omitempty"` // of a rule over the window
	Examples   []Example `json:"examples,omitempty"` // the first unexpected rows, at most ten
	Found      []string  `json:"found,omitempty"`    // values or columns that are too many
	Missing    []string  `json:"missing,omitempty"`  // values or columns that are not there
	Text       string    `json:"text"`               // a sentence
}

// Example is an unexpected value.
type Example struct {
	Row   int    `json:"row"` // from 0
	Value string `json:"value"`
}

const maxExamples = 10

// Check holds a table against rules, one result each in their order. A rule that is wrong in itself or meets a column it cannot
// judge is not OK and says why.
func Check(rules []Rule, t *fairlead.Table, c Context) []Result {
	results := make([]Result, len(rules))
	for i := range rules {
		results[i] = check(&rules[i], t, c)
	}
	return results
}

func check(r *Rule, t *fairlead.Table, c Context) Result {
	res := Result{Rule: *r}
	if err := r.Check(); err != nil {
		return res.cannot(err.Error())
	}
	n := kinds[r.Kind]
	var columns []*fairlead.TableColumn
	wanted := r.Columns
	if n.column {
		wanted = []string{r.Column}
	}
	if r.Kind != ColumnsAre && r.Kind != Exists {
		for _, name := range wanted {
			col := t.Column(name)
			if col == nil {
				return res.cannot("there is no column " + name)
			}
			if n.numeric && col.Floats == nil {
				return res.cannot(fmt.Sprintf("column %s holds %s, %s is for numbers", name, holds(col), r.Kind))
			}
			if n.text && col.Strings == nil {
				return res.cannot(fmt.Sprintf("column %s holds %s, %s is for text", name, holds(col), r.Kind))
			}
			columns = append(columns, col)
		}
	}
	if n.row {
		return res.rows(columns, t.Rows)
	}
	return res.window(columns, t, c)
}

func (res Result) cannot(why string) Result {
	res.OK, res.Skipped, res.Text = false, why, fmt.Sprintf("%s of %s could not be checked: %s", res.Rule.Kind, res.Rule.subject(), why)
	return res
}

func holds(c *fairlead.TableColumn) string {
	switch {
	case c.Strings != nil:
		return "text"
	case c.Times != nil:
		return "times"
	}
	return "numbers"
}

// show writes a value for people, and for comparison with a set: numbers in their shortest form.
func show(c *fairlead.TableColumn, i int) string {
	switch {
	case c.Strings != nil:
		return c.Strings[i]
	case c.Times != nil:
		return c.Times[i].UTC().Format(time.RFC3339Nano)
	}
	return written(c.Floats[i])
}

// written is a number as it stands in a set.
func written(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// canonical makes "1", "1.0" and "1e0" the same value of a set, for numeric columns.
func canonical(c *fairlead.TableColumn, set []string) map[string]int {
	out := make(map[string]int, len(set))
	for i, s := range set {
		if c.Floats != nil {
			if v, err := strconv.ParseFloat(s, 64); err == nil {
				s = strconv.FormatFloat(v, 'g', -1, 64)
			}
		}
		if _, twice := out[s]; !twice {
			out[s] = i
		}
	}
	return out
}

// rows judges every row.
func (res Result) rows(columns []*fairlead.TableColumn, n int) Result {
	r := &res.Rule
	unexpected := r.predicate(columns, n)
	skip := r.Kind != NotNull && r.Kind != Null && slices.ContainsFunc(columns, func(c *fairlead.TableColumn) bool { return c.Null != nil })
	if r.Kind == NotNull && columns[0].Null == nil {
		res.Rows, n = n, 0 // none is null
	}
	for i := range n {
		if skip && slices.ContainsFunc(columns, func(c *fairlead.TableColumn) bool { return c.IsNull(i) }) {
			continue
		}
		res.Rows++
		if !unexpected(i) {
			continue
		}
		res.Unexpected++
		if len(res.Examples) < maxExamples {
			value := ""
			for k, c := range columns {
				if k > 0 {
					value += ", "
				}
				if c.IsNull(i) {
					value += "null"
				} else {
					value += show(c, i)
				}
			}
			res.Examples = append(res.Examples, Example{i, value})
		}
	}
	mostly := r.Mostly
	if mostly == 0 {
		mostly = 1
	}
	// A share of the rows that holds exactly must not fail by the last bit of a product.
	res.OK = float64(res.Rows-res.Unexpected) >= mostly*float64(res.Rows)-1e-9*float64(res.Rows)
	res.Text = fmt.Sprintf("%d of %d values of %s break %s", res.Unexpected, res.Rows, r.subject(), r.describe())
	if r.Mostly != 0 && r.Mostly != 1 {
		res.Text += fmt.Sprintf("; %.4g %% may", 100*(1-mostly))
	}
	return res
}

// describe is a rule with its numbers.
func (r *Rule) describe() string {
	s := string(r.Kind)
	low, high := "[", "]"
	if r.StrictMin {
		low = "("
	}
	if r.StrictMax {
		high = ")"
	}
	switch {
	case r.Min != nil && r.Max != nil:
		s += fmt.Sprintf(" %s%v, %v%s", low, *r.Min, *r.Max, high)
	case r.Min != nil && r.StrictMin:
		s += fmt.Sprintf(" > %v", *r.Min)
	case r.Min != nil:
		s += fmt.Sprintf(" ≥ %v", *r.Min)
	case r.Max != nil && r.StrictMax:
		s += fmt.Sprintf(" < %v", *r.Max)
	case r.Max != nil:
		s += fmt.Sprintf(" ≤ %v", *r.Max)
	}
	if len(r.Set) > 0 {
		s += fmt.Sprintf(" %v", r.Set[:min(len(r.Set), 8)])
		if len(r.Set) > 8 {
			s += fmt.Sprintf(" and %d more", len(r.Set)-8)
		}
	}
	return s + r.detail()
}

func (r *Rule) detail() string {
	switch r.Kind {
	case Matches, NotMatches:
		return " " + r.Pattern
	case Type:
		return " " + r.Type
	case QuantileBetween:
		return fmt.Sprintf(" at %v", r.Quantile)
	}
	return ""
}

// observe judges one number of the window.
func (res Result) observe(v float64) Result {
	if math.IsNaN(v) {
		res.OK, res.Skipped = true, "there are no values"
		res.Text = fmt.Sprintf("%s of %s has nothing to judge", res.Rule.Kind, res.Rule.subject())
		return res
	}
	if res.OK = res.Rule.within(v); !math.IsInf(v, 0) { // which JSON has no word for
		res.Observed = &v
	}
	verb := "keeps"
	if !res.OK {
		verb = "breaks"
	}
	res.Text = fmt.Sprintf("%.6g of %s %s %s", v, res.Rule.subject(), verb, res.Rule.describe())
	return res
}
