package check

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// behaviour changes features of rows and holds the answers against those to the rows as they are.
func (e *evaluation) behaviour(ctx context.Context, t *Test) (Result, error) {
	b := t.Behaviour
	if e.Rows == nil {
		return noRows()
	}
	column, err := e.column(b.Class, t.Kind == KindDirection)
	if err != nil {
		return Result{}, err
	}
	before, at, err := e.some(b.Where, b.Rows, b.Seed)
	if err != nil {
		return Result{}, err
	}
	c := chance{b.Seed + 1}
	after, err := b.Change.apply(before, e.Rows, b.Features, e.model.integer, &c)
	if err != nil {
		return Result{}, err
	}
	moved := changed(before, after, b.Features)
	if len(moved) == 0 { // a test that cannot fail must not pass
		return Result{}, fairlead.Invalid("%s leaves %s as it is on all of %s", b.Change, strings.Join(b.Features, ", "), counted(len(at), "row")).
			Hintf("make the change larger, or take rows that have something to change: where")
	}
	before, after, at = gather(before, moved), gather(after, moved), pickAll(at, moved)
	x, err := e.model.answer(ctx, before, batchRows)
	if err != nil {
		return Result{}, err
	}
	y, err := e.model.answer(ctx, after, batchRows)
	if err != nil {
		return Result{}, fairlead.Invalid("after the change: %v", err).Cause(err)
	}
	breaks := make([]float64, len(at))
	for i := range at {
		if t.Kind == KindInvariance {
			breaks[i] = x.difference(i, y, i) - b.Tolerance
		} else {
			breaks[i] = b.breaks(x.Values[i*x.Width+column], y.Values[i*y.Width+column])
		}
	}
	return b.result(t.Kind, e.model.features(), before, after, at, x, y, breaks), nil
}

// breaks is by how much a move of the score is not what is expected; 0 or less: it is. A score that must rise must do so by
// the tolerance; one that must not may, by as much.
func (b *Behaviour) breaks(before, after float64) float64 {
	rise := after - before
	if math.IsNaN(rise) {
		return math.Inf(1)
	}
	const least = math.SmallestNonzeroFloat64 // a score that stays does not rise
	if rise == 0 && b.Tolerance == 0 && (b.Expect == Rise || b.Expect == Fall) {
		return least
	}
	switch b.Expect {
	case Rise:
		return b.Tolerance - rise
	case Fall:
		return b.Tolerance + rise
	case NotRise:
		return rise - b.Tolerance
	}
	return -rise - b.Tolerance
}

func (b *Behaviour) result(kind Kind, features []string, before, after *fairlead.Table, at []int, x, y *Answers, breaks []float64) Result {
	var broken []int
	for i, by := range breaks {
		if by > 0 {
			broken = append(broken, i)
		}
	}
	slices.SortStableFunc(broken, func(i, k int) int { return cmp.Compare(breaks[k], breaks[i]) })
	r := verdictOf(len(broken), len(at), b.Allowed)
	r.Value, r.Bound = finite(float64(len(broken))/float64(len(at))), &b.Allowed
	r.Text = fmt.Sprintf("%s: %s on %d of %s", b.Change, b.breach(kind), len(broken), counted(len(at), "row"))
	if b.Allowed > 0 {
		r.Text += fmt.Sprintf(", %s is allowed", percent(b.Allowed))
	}
	if !r.Fails {
		return r
	}
	switch by := breaks[broken[0]]; {
	case math.IsInf(by, 0):
		r.Text += ", at worst by a number that is none"
	case by > math.SmallestNonzeroFloat64:
		r.Text += fmt.Sprintf(", at worst by %s more than that", formatNumber(by))
	}
	for _, i := range broken[:min(len(broken), MaxWorst)] {
		var change []string
		for _, f := range b.Features {
			change = append(change, fmt.Sprintf("%s %s → %s", f, shown(before, f, i), shown(after, f, i)))
		}
		r.Worst = append(r.Worst, Row{
			Row: at[i], Inputs: inputsAt(before, features, i), By: breaks[i],
			Text: fmt.Sprintf("%s: answer %s → %s", strings.Join(change, ", "), x.text(i), y.text(i)),
		})
	}
	return r
}

// breach is what a row does that breaks the test.
func (b *Behaviour) breach(kind Kind) string {
	if kind == KindInvariance {
		return "the answer moves" + within(" by more than %s", b.Tolerance)
	}
	switch b.Expect {
	case Rise, Fall:
		return "the score does not " + string(b.Expect) + within(" by %s", b.Tolerance)
	case NotRise:
		return "the score rises" + within(" by more than %s", b.Tolerance)
	}
	return "the score falls" + within(" by more than %s", b.Tolerance)
}

func within(format string, tolerance float64) string {
	if tolerance == 0 {
		return ""
	}
	return fmt.Sprintf(format, formatNumber(tolerance))
}

// changed are the rows in which a feature of after is not what it was before.
func changed(before, after *fairlead.Table, features []string) []int {
	is := make([]bool, before.Rows)
	for _, f := range features {
		a, b := before.Column(f), after.Column(f)
		for i := range is {
			is[i] = is[i] || a.IsNull(i) != b.IsNull(i) || !a.IsNull(i) && valueAt(a, i) != valueAt(b, i)
		}
	}
	var at []int
	for i, yes := range is {
		if yes {
			at = append(at, i)
		}
	}
	return at
}

func percent(x float64) string { return formatNumber(math.Round(x*1e6)/1e4) + " %" }

// shown is a value for people; nothing is called so.
func shown(t *fairlead.Table, column string, i int) string {
	if s := valueAt(t.Column(column), i); s != "" {
		return s
	}
	return "nothing"
}

// column is the place in an answer of a class's score; without a class of the only number.
func (e *evaluation) column(class string, needed bool) (int, error) {
	classes := e.Signature.Classes()
	if e.Signature.Task == fairlead.TaskMulticlass {
		if class == "" && needed {
			return 0, fairlead.Invalid("whose score is meant?").Hintf("name the class: %s", strings.Join(classes, ", "))
		}
		i := slices.Index(classes, class)
		if class != "" && i < 0 {
			return 0, fairlead.Invalid("there is no class %q%s", class, didYouMean(class, classes)).Hintf("the classes are %s", strings.Join(classes, ", "))
		}
		return max(i, 0), nil
	}
	if _, ok := e.Signature.Score(); !ok && needed {
		return 0, fairlead.Invalid("the model has no score").Hintf("say which output it is: outputs: [{name: y, role: score}]")
	}
	if class != "" && (len(classes) == 0 || class != classes[len(classes)-1]) {
		return 0, fairlead.Invalid("the score is that of the last class").Hintf("leave the class out")
	}
	return 0, nil
}
