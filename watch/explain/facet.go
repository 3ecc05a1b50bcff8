package explain

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead/watch/profile"
)

// Facet is something by which rows fall into parts: a column by its bins, a tag by its values.
type Facet struct {
	Name    string // as a predicate writes it: distance, tags["region"]
	Label   string // for people
	Parts   []profile.Bin
	Ordered int // so many of the first parts are in ascending order: neighbours are looked at together
}

// Rows are rows by what they fall into. All slices but Weight and Saved are as long as Target or by facet.
type Rows struct {
	Weight []float64 // how many each stands for; nil: 1
	Target []int     // bin of the column that drifted
	Parts  [][]int   // by facet: the part of each row; -1: none
	Saved  [][]bool  // by saved segment: whether the row belongs to it
}

func (r *Rows) weight(i int) float64 {
	if r.Weight == nil {
		return 1
	}
	return r.Weight[i]
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Identifier is a column's name as a predicate writes it.
func Identifier(column string) string {
	reserved := []string{"in", "true", "false", "null", "has", "row", "tags", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while"}
	if identifier.MatchString(column) && !slices.Contains(reserved, column) {
		return column
	}
	return `row[` + strconv.QuoteToASCII(column) + `]`
}

// where is a run of ordered parts, or a set of others, as a predicate and for people; the predicate is empty where the parts have no
// values that could be named.
func (f *Facet) where(parts []int) (predicate, label string) {
	if len(parts) > 1 && parts[len(parts)-1] < f.Ordered {
		return f.between(f.Parts[parts[0]], f.Parts[parts[len(parts)-1]])
	}
	if len(parts) == 1 {
		return f.single(f.Parts[parts[0]])
	}
	var quoted, plain []string
	for _, p := range parts {
		quoted, plain = append(quoted, strconv.QuoteToASCII(f.Parts[p].Label)), append(plain, f.Parts[p].Label)
	}
	return f.Name + ` in [` + strings.Join(quoted, ", ") + `]`, f.Label + " " + strings.Join(plain, ", ")
}

func (f *Facet) single(b profile.Bin) (predicate, label string) {
	switch b.Kind {
	case "range":
		return f.between(b, b)
	case "value":
		return f.Name + " == " + number(b.Low), f.Label + " " + b.Label
	case "category":
		return f.Name + " == " + strconv.QuoteToASCII(b.Label), f.Label + " " + b.Label
	case "null", "nan":
		return "!has(" + f.Name + ")", f.Label + " is missing"
	}
	return "", f.Label + ": " + b.Label
}

// between are the values from one bin to another.
func (f *Facet) between(first, last profile.Bin) (predicate, label string) {
	var terms []string
	if !math.IsNaN(first.Low) {
		terms = append(terms, f.Name+" >= "+number(first.Low))
	}
	if !math.IsNaN(last.High) {
		if last.Kind == "value" {
			terms = append(terms, f.Name+" <= "+number(last.High))
		} else {
			terms = append(terms, f.Name+" < "+number(last.High))
		}
	}
	low, high := !math.IsNaN(first.Low), !math.IsNaN(last.High)
	switch {
	case low && high && last.Kind == "value":
		label = fmt.Sprintf("%s %s to %s", f.Label, number(first.Low), number(last.High))
	case low && high:
		label = fmt.Sprintf("%s from %s to under %s", f.Label, number(first.Low), number(last.High))
	case low:
		label = fmt.Sprintf("%s from %s on", f.Label, number(first.Low))
	default:
		label = fmt.Sprintf("%s under %s", f.Label, number(last.High))
	}
	return strings.Join(terms, " && "), label
}

// number is in the shortest form that reads back the same.
func number(x float64) string {
	if x == math.Trunc(x) && math.Abs(x) < 1e15 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
