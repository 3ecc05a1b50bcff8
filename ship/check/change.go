package check

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
)

// How a value is changed.
const (
	ChangeSet      = "set"
	ChangeAdd      = "add"
	ChangeMultiply = "multiply"
	ChangeNoise    = "noise"   // up to so many standard deviations of the column, either way
	ChangePermute  = "permute" // values of other rows
	ChangeTypo     = "typo"    // one letter of a text
	ChangeMissing  = "missing"
)

// Change is what is done to features.
type Change struct {
	How  string
	By   float64 // of add, multiply and noise
	To   any     // of set
	Size string  // as it was written
}

// String is the change as the author wrote it.
func (c Change) String() string {
	if c.Size == "" {
		return c.How
	}
	return c.How + " " + c.Size
}

func (n node) change(to *Change) error {
	const what = "permute, typo, missing, or one of {set: v}, {add: x}, {multiply: x}, {noise: x}"
	if n.Kind != yaml.MappingNode {
		words := []string{ChangePermute, ChangeTypo, ChangeMissing}
		if !n.scalar() || !slices.Contains(words, n.Value) {
			e := n.expected(what)
			if n.scalar() {
				e.Message += didYouMean(n.Value, words)
			}
			return e
		}
		to.How = n.Value
		return nil
	}
	if len(n.Content) != 2 {
		return n.expected(what)
	}
	return n.fields([]string{ChangeSet, ChangeAdd, ChangeMultiply, ChangeNoise}, func(key string, v node) error {
		to.How, to.Size = key, v.Value
		switch key {
		case ChangeSet:
			return v.value(&to.To)
		case ChangeNoise:
			return v.within(&to.By, 1e-9, 1e6)
		}
		return v.number(&to.By)
	})
}

// apply gives a copy of t in which the features are changed. whole is the evaluation set that t is taken from, for the
// spread of its columns. Whole numbers stay whole where integer says so.
func (c Change) apply(t, whole *fairlead.Table, features []string, integer func(string) bool, chance *chance) (*fairlead.Table, error) {
	out := &fairlead.Table{Rows: t.Rows, Columns: slices.Clone(t.Columns)}
	order := chance.permutation(t.Rows) // features that are permuted together keep together
	for _, f := range features {
		col := out.Column(f)
		if col == nil {
			return nil, fairlead.Invalid("the evaluation set has no column %q%s", f, didYouMean(f, t.Names()))
		}
		if err := c.column(col, whole.Column(f), order, integer(f), chance); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c Change) column(col, whole *fairlead.TableColumn, order []int, integer bool, chance *chance) error {
	old := *col
	n := max(len(old.Floats), len(old.Strings))
	wrong := func(what string) error {
		return fairlead.Invalid("%s holds %s: %s cannot change it", col.Name, what, c)
	}
	switch {
	case old.Times != nil:
		return wrong("timestamps")
	case c.How == ChangePermute:
		*col = gatherColumn(old, order)
		return nil
	case c.How == ChangeMissing:
		col.Null = slices.Repeat([]bool{true}, n)
		if old.Floats != nil {
			col.Floats = slices.Repeat([]float64{math.NaN()}, n)
		} else {
			col.Strings = make([]string, n)
		}
		return nil
	case old.Strings != nil:
		return c.strings(col, old, chance, wrong)
	case c.How == ChangeTypo:
		return wrong("numbers")
	}
	to := 0.0
	if c.How == ChangeSet {
		switch v := c.To.(type) {
		case float64:
			to = v
		case bool:
			to = map[bool]float64{true: 1}[v]
		default:
			return wrong("numbers")
		}
	}
	spread := deviation(whole.Floats)
	col.Floats = make([]float64, n)
	for i, x := range old.Floats {
		switch c.How {
		case ChangeSet:
			x = to
		case ChangeAdd:
			x += c.By
		case ChangeMultiply:
			x *= c.By
		case ChangeNoise:
			x += c.By * spread * (2*chance.float() - 1)
		}
		if integer {
			x = math.Round(x)
		}
		col.Floats[i] = x
	}
	if c.How == ChangeSet {
		col.Null = nil
	}
	return nil
}

func (c Change) strings(col *fairlead.TableColumn, old fairlead.TableColumn, chance *chance, wrong func(string) error) error {
	col.Strings = make([]string, len(old.Strings))
	for i, s := range old.Strings {
		switch c.How {
		case ChangeSet:
			if x, ok := c.To.(float64); ok {
				col.Strings[i] = strconv.FormatFloat(x, 'g', -1, 64)
			} else {
				col.Strings[i] = fmt.Sprint(c.To)
			}
			col.Null = nil
		case ChangeTypo:
			col.Strings[i] = typo(s, chance)
		default:
			return wrong("text")
		}
	}
	return nil
}

// typo swaps two neighbouring letters, doubles one or leaves one out.
func typo(s string, chance *chance) string {
	letters := []rune(s)
	if len(letters) == 0 {
		return s
	}
	i := chance.below(len(letters))
	switch chance.below(3) {
	case 0:
		if i+1 < len(letters) {
			letters[i], letters[i+1] = letters[i+1], letters[i]
			return string(letters)
		}
	case 1:
		if len(letters) > 1 {
			return string(slices.Delete(letters, i, i+1))
		}
	}
	return string(slices.Insert(letters, i, letters[i]))
}

func deviation(xs []float64) float64 {
	var n, sum, squares float64
	for _, x := range xs {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			n, sum = n+1, sum+x
		}
	}
	mean := sum / n
	for _, x := range xs {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			squares += (x - mean) * (x - mean)
		}
	}
	if n < 2 {
		return 0
	}
	return math.Sqrt(squares / (n - 1))
}

// gather gives the rows of t at those places.
func gather(t *fairlead.Table, rows []int) *fairlead.Table {
	out := &fairlead.Table{Rows: len(rows), Columns: make([]fairlead.TableColumn, len(t.Columns))}
	for i, c := range t.Columns {
		out.Columns[i] = gatherColumn(c, rows)
	}
	return out
}

func gatherColumn(c fairlead.TableColumn, rows []int) fairlead.TableColumn {
	return fairlead.TableColumn{
		Name: c.Name, Floats: pickAll(c.Floats, rows), Strings: pickAll(c.Strings, rows), Times: pickAll(c.Times, rows), Null: pickAll(c.Null, rows),
	}
}

func pickAll[T any](from []T, rows []int) []T {
	if from == nil {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = from[r]
	}
	return out
}

// valueAt is row i of a column as people write it.
func valueAt(c *fairlead.TableColumn, i int) string {
	switch {
	case c.IsNull(i):
		return ""
	case c.Strings != nil:
		return c.Strings[i]
	case c.Times != nil:
		return c.Times[i].UTC().Format("2006-01-02T15:04:05Z")
	}
	return strconv.FormatFloat(c.Floats[i], 'g', -1, 64)
}

// inputsAt is row i by feature, for people.
func inputsAt(t *fairlead.Table, features []string, i int) map[string]any {
	row := map[string]any{}
	for _, f := range features {
		c := t.Column(f)
		switch {
		case c == nil || c.IsNull(i):
		case c.Strings != nil:
			row[f] = c.Strings[i]
		case c.Floats != nil && !math.IsNaN(c.Floats[i]) && !math.IsInf(c.Floats[i], 0):
			row[f] = c.Floats[i]
		default:
			row[f] = strings.TrimSpace(valueAt(c, i))
		}
	}
	return row
}

// chance is a sequence that looks random and follows from its seed: SplitMix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", 2014).
type chance struct{ state uint64 }

func (c *chance) next() uint64 {
	c.state += 0x9e3779b97f4a7c15
	z := c.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float is in [0, 1).
func (c *chance) float() float64 { return float64(c.next()>>11) / (1 << 53) }

// below is in [0, n).
func (c *chance) below(n int) int { return int(c.next() % uint64(n)) } // #nosec G115 -- n is a positive length

func (c *chance) permutation(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		k := c.below(i + 1)
		p[i], p[k] = p[k], p[i]
	}
	return p
}
