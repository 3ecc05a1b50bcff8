package check

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Sample is rows with a model's answers and what turned out to be true: the evaluation set of a bundle, or as well a
// window of served predictions whose labels have come.
type Sample struct {
	Task    fairlead.Task
	Classes []string        // names of the columns of Answers; for a binary task both, the positive one last; nil: not known
	Rows    *fairlead.Table // what rows are selected, grouped and shown by: features, tags, label
	Label   string          // its column of the truth; empty: there is none
	Shown   []string        // the columns that are shown of a row
	Answers *Answers        // in the order of Rows
}

// Answers are what a model said to rows.
type Answers struct {
	Width  int       // numbers per row
	Values []float64 // rows × Width: the positive class's probability or the value; of several classes all; else whatever numbers it gives
	Score  bool      // Width is 1 and the number is a score or a value
	Class  []string  // what an output of role label said; nil: there is none
}

// Source gives rows with outcomes.
type Source interface {
	// Sample is the rows with the answers of a version: "" is the one that is tested, else as not_worse_than names it. The
	// samples of two versions have the same rows in the same order. nil: there is no such version yet, or it is the same.
	Sample(ctx context.Context, version string) (*Sample, error)
}

// truth reads the labels: 0 and 1 of a binary task, the place of the class of several, the number of a regression; NaN
// where there is none, or none that is understood: strange is the first of those.
func (s *Sample) truth() (truth []float64, strange string, err error) {
	c := s.Rows.Column(s.Label)
	if s.Label == "" || c == nil {
		return nil, "", fairlead.Invalid("the evaluation set has no labels").
			Hintf("add a column of the truth to the reference, and name it: label: {name: late}")
	}
	out := make([]float64, s.Rows.Rows)
	known := 0
	for i := range out {
		out[i] = math.NaN()
		text := valueAt(c, i)
		if text == "" {
			continue
		}
		switch s.Task {
		case fairlead.TaskBinary:
			out[i] = positive(text, s.Classes)
		case fairlead.TaskMulticlass:
			out[i] = place(text, s.Classes)
		default:
			if x, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(x, 0) {
				out[i] = x
			}
		}
		if !math.IsNaN(out[i]) {
			known++
		} else if strange == "" {
			strange = text
		}
	}
	switch {
	case known == 0 && strange == "":
		return nil, "", fairlead.Invalid("no row has a label: the column %s is empty", s.Label).Hintf("fill in the truth where it is known; the other rows are left out")
	case known == 0:
		return nil, "", fairlead.Invalid("no label is understood: the first is %q", strange).
			Hintf("a label is a class name (%s), 0 or 1, or a number for a regression", strings.Join(s.Classes, ", "))
	}
	return out, strange, nil
}

// positive reads a binary label: the last class, 1 and true are positive, another class, 0 and false negative.
func positive(text string, classes []string) float64 {
	if i := slices.Index(classes, text); i >= 0 {
		return map[bool]float64{true: 1}[i == len(classes)-1]
	}
	switch strings.ToLower(text) {
	case "true":
		return 1
	case "false":
		return 0
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil && (x == 0 || x == 1) {
		return x
	}
	return math.NaN()
}

// place is the class's, by name, or by number where the names are none.
func place(text string, classes []string) float64 {
	if i := slices.Index(classes, text); i >= 0 {
		return float64(i)
	}
	if slices.ContainsFunc(classes, func(c string) bool { _, err := strconv.ParseFloat(c, 64); return err == nil }) {
		return math.NaN()
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil && x == math.Trunc(x) && x >= 0 && (len(classes) == 0 || int(x) < len(classes)) {
		return x
	}
	return math.NaN()
}

// matches says for every row whether it fulfils the conditions; nil for no conditions: all do.
func matches(t *fairlead.Table, where []Condition) ([]bool, error) {
	if len(where) == 0 {
		return nil, nil
	}
	in := slices.Repeat([]bool{true}, t.Rows)
	for _, c := range where {
		col := t.Column(c.Column)
		if col == nil {
			return nil, noColumn(t, c.Column)
		}
		if c.Values == nil && col.Floats == nil {
			return nil, fairlead.Invalid("%s holds no numbers: %s selects nothing", c.Column, c).Hintf("name the values: where: {%s: [a, b]}", c.Column)
		}
		numbers := make([]float64, 0, len(c.Values))
		for _, v := range c.Values {
			if x, err := strconv.ParseFloat(v, 64); err == nil {
				numbers = append(numbers, x)
			} else if v == "true" || v == "false" { // a table keeps booleans as 1 and 0
				numbers = append(numbers, number(v == "true"))
			}
		}
		for i := range in {
			if !in[i] {
				continue
			}
			switch {
			case col.IsNull(i):
				in[i] = false
			case c.Values == nil:
				x := col.Floats[i]
				in[i] = (c.From == nil || x >= *c.From) && (c.Below == nil || x < *c.Below)
			case col.Floats != nil:
				in[i] = slices.Contains(numbers, col.Floats[i])
			default:
				in[i] = slices.Contains(c.Values, valueAt(col, i))
			}
		}
	}
	return in, nil
}

func noColumn(t *fairlead.Table, name string) error {
	return fairlead.Invalid("the evaluation set has no column %q%s", name, didYouMean(name, t.Names())).
		Hintf("its columns are %s", strings.Join(t.Names(), ", "))
}

// group is some rows under a name.
type group struct {
	name string
	rows []int
}

// maxGroups bounds the values of one column that rows are grouped by.
const maxGroups = 10_000

// groups splits rows by a column, in order of the values.
func (g Grouping) groups(t *fairlead.Table, rows []int) ([]group, error) {
	col := t.Column(g.Column)
	if col == nil {
		return nil, noColumn(t, g.Column)
	}
	if g.Edges != nil {
		if col.Floats == nil {
			return nil, fairlead.Invalid("%s holds no numbers: it cannot be split at %v", g.Column, g.Edges)
		}
		return g.ranges(col, rows), nil
	}
	at := map[string]int{}
	var out []group
	for _, i := range rows {
		v := valueAt(col, i)
		k, known := at[v]
		if !known {
			if k = len(out); k >= maxGroups || col.Floats != nil && k >= 100 {
				return nil, fairlead.Invalid("%s has too many values to group by", g.Column).Hintf("give edges: by: {%s: [10, 20]}", g.Column)
			}
			at[v] = k
			name := g.Column + "=" + v
			if v == "" {
				name = "no " + g.Column
			}
			out = append(out, group{name: name})
		}
		out[k].rows = append(out[k].rows, i)
	}
	slices.SortFunc(out, func(a, b group) int {
		if col.Floats != nil && len(a.rows) > 0 && len(b.rows) > 0 {
			if x, y := col.Floats[a.rows[0]], col.Floats[b.rows[0]]; x != y {
				return map[bool]int{true: -1, false: 1}[x < y || math.IsNaN(y)]
			}
		}
		return strings.Compare(a.name, b.name)
	})
	return out, nil
}

func (g Grouping) ranges(col *fairlead.TableColumn, rows []int) []group {
	text := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	last := len(g.Edges) - 1
	all := make([]group, len(g.Edges)+2)
	for i := range all {
		switch i {
		case 0:
			all[i].name = g.Column + " < " + text(g.Edges[0])
		case last + 1:
			all[i].name = g.Column + " ≥ " + text(g.Edges[last])
		case last + 2:
			all[i].name = "no " + g.Column
		default:
			all[i].name = text(g.Edges[i-1]) + " ≤ " + g.Column + " < " + text(g.Edges[i])
		}
	}
	for _, r := range rows {
		k := last + 2
		if x := col.Floats[r]; !math.IsNaN(x) {
			k = 0
			for k <= last && x >= g.Edges[k] {
				k++
			}
		}
		all[k].rows = append(all[k].rows, r)
	}
	return slices.DeleteFunc(all, func(g group) bool { return len(g.rows) == 0 })
}
