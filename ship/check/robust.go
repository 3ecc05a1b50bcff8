package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// near says whether two answers are the same within a tolerance, nil: that of golden vectors.
func near(a *Answers, i int, b *Answers, k int, tolerance *float64) (by float64, ok bool) {
	by = a.difference(i, b, k)
	if tolerance != nil {
		return by, by <= *tolerance
	}
	largest := 0.0
	for c := range a.Width {
		if x := math.Abs(a.Values[i*a.Width+c]); !math.IsInf(x, 0) {
			largest = max(largest, x)
		}
	}
	return by, by <= bundle.DefaultAbsolute+bundle.DefaultRelative*largest
}

// compare holds answers against those that were expected, row by row.
func (e *evaluation) compare(t *fairlead.Table, at []int, want, got *Answers, tolerance *float64, what string) []Row {
	var out []Row
	for i := range at {
		if by, ok := near(want, i, got, i, tolerance); !ok {
			out = append(out, Row{
				Row: at[i], Inputs: inputsAt(t, e.model.features(), i), By: by, Text: fmt.Sprintf("%s: %s, %s", what, want.text(i), got.text(i)),
			})
		}
	}
	slices.SortStableFunc(out, func(a, b Row) int { return cmp.Compare(b.By, a.By) })
	return out
}

// batch asks about rows alone, then about the same rows together, in order and in reverse.
func (e *evaluation) batch(ctx context.Context, r *Robustness) (Result, error) {
	if f := e.model.fixed(); f > 0 {
		return skipped("the graph takes %d rows a run, no more and no less", f)
	}
	if e.Rows == nil {
		return noRows()
	}
	t, at, err := e.some(nil, max(r.Rows, slices.Max(r.Sizes)), 0)
	if err != nil {
		return Result{}, err
	}
	alone, err := e.model.answer(ctx, t, 1)
	if err != nil {
		return Result{}, err
	}
	backwards := sequence(len(at))
	slices.Reverse(backwards)
	var bad []Row
	compared := 0
	for _, size := range r.Sizes {
		for _, turned := range []bool{false, true} {
			rows, what := t, fmt.Sprintf("alone and among %d", size)
			if turned {
				rows, what = gather(t, backwards), what+" in reverse"
			}
			together, err := e.model.answer(ctx, rows, size)
			if err != nil {
				return Result{}, fairlead.Invalid("in batches of %d: %v", size, err).Cause(err)
			}
			if turned {
				together = together.pick(backwards)
			}
			compared += len(at)
			bad = append(bad, e.compare(t, at, alone, together, r.Tolerance, what)...)
		}
	}
	res := verdictOf(len(bad), compared, 0)
	res.Text = fmt.Sprintf("%s alone and in batches of %s: %d of %d answers differ", counted(len(at), "row"), joined(r.Sizes), len(bad), compared)
	res.Worst = bad[:min(len(bad), MaxWorst)]
	return res, nil
}

func (a *Answers) pick(at []int) *Answers {
	out := &Answers{Width: a.Width, Score: a.Score, Class: pickAll(a.Class, at)}
	for _, i := range at {
		out.Values = append(out.Values, a.Values[i*a.Width:(i+1)*a.Width]...)
	}
	return out
}

func joined(numbers []int) string {
	s := make([]string, len(numbers))
	for i, n := range numbers {
		s[i] = fmt.Sprint(n)
	}
	return strings.Join(s, ", ")
}

// deterministic asks the same again.
func (e *evaluation) deterministic(ctx context.Context, r *Robustness) (Result, error) {
	if e.Rows == nil {
		return noRows()
	}
	t, at, err := e.some(nil, r.Rows, 0)
	if err != nil {
		return Result{}, err
	}
	first, err := e.model.answer(ctx, t, batchRows)
	if err != nil {
		return Result{}, err
	}
	tolerance := r.Tolerance
	if tolerance == nil {
		tolerance = new(float64)
	}
	var bad []Row
	for k := 1; k < r.Times; k++ {
		again, err := e.model.answer(ctx, t, batchRows)
		if err != nil {
			return Result{}, err
		}
		bad = append(bad, e.compare(t, at, first, again, tolerance, "first and again")...)
	}
	res := verdictOf(len(bad), len(at)*(r.Times-1), 0)
	res.Text = fmt.Sprintf("%s asked %d times: %d of %d answers differ from the first", counted(len(at), "row"), r.Times, len(bad), res.N)
	res.Worst = bad[:min(len(bad), MaxWorst)]
	return res, nil
}

// notFinite lists the rows whose answer has a NaN or an infinity.
func notFinite(t *fairlead.Table, shown []string, at []int, a *Answers, what string) []Row {
	var out []Row
	for i := range at {
		for _, x := range a.Values[i*a.Width : (i+1)*a.Width] {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				out = append(out, Row{Row: at[i], Inputs: inputsAt(t, shown, i), Text: what + "answer " + a.text(i)})
				break
			}
		}
	}
	return out
}

// allFinite looks at every answer.
func allFinite(ctx context.Context, from Source) (Result, error) {
	s, err := from.Sample(ctx, "")
	if err != nil {
		return Result{}, err
	}
	if s == nil {
		return noRows()
	}
	bad := notFinite(s.Rows, s.Shown, sequence(s.Rows.Rows), s.Answers, "")
	r := verdictOf(len(bad), s.Rows.Rows, 0)
	r.Text = fmt.Sprintf("%d of %d answers are NaN or infinite", len(bad), s.Rows.Rows)
	r.Worst = bad[:min(len(bad), MaxWorst)]
	return r, nil
}

// missing takes the value of one feature after the other away.
func (e *evaluation) missing(ctx context.Context, r *Robustness) (Result, error) {
	can := func(f fairlead.Field) bool { return floating(f.Type) || f.Type == fairlead.Bytes }
	return e.without(ctx, r, Change{How: ChangeMissing}, can, "an integer or a boolean cannot be missing")
}

// unseen gives one text after the other a value that the evaluation set does not have.
func (e *evaluation) unseen(ctx context.Context, r *Robustness) (Result, error) {
	can := func(f fairlead.Field) bool { return f.Type == fairlead.Bytes }
	const word = "never seen: ⁇"
	return e.without(ctx, r, Change{How: ChangeSet, To: word, Size: "an unseen category"}, can, "only a text has categories")
}

// without changes one feature at a time: the model must not fail, and its answers must be finite, or within the tolerance.
func (e *evaluation) without(ctx context.Context, r *Robustness, c Change, can func(fairlead.Field) bool, why string) (Result, error) {
	if e.Rows == nil {
		return noRows()
	}
	features := r.Features
	for _, name := range e.model.features() {
		if f, _ := e.model.field(name); len(r.Features) == 0 && can(f) {
			features = append(features, name)
		}
	}
	for _, name := range r.Features {
		if f, ok := e.model.field(name); !ok || !can(f) {
			return Result{}, fairlead.Invalid("%s: %s", name, why)
		}
	}
	if len(features) == 0 {
		return skipped("%s", why)
	}
	t, at, err := e.some(nil, r.Rows, 0)
	if err != nil {
		return Result{}, err
	}
	before, err := e.model.answer(ctx, t, batchRows)
	if err != nil {
		return Result{}, err
	}
	var bad []Row
	for _, f := range features {
		changed, err := c.apply(t, e.Rows, []string{f}, e.model.integer, &chance{})
		if err != nil {
			return Result{}, err
		}
		after, err := e.model.answer(ctx, changed, batchRows)
		switch {
		case err != nil && ctx.Err() != nil:
			return Result{}, err
		case err != nil:
			var known *fairlead.Error
			text := err.Error()
			if errors.As(err, &known) {
				text = known.Message
			}
			bad = append(bad, Row{Row: at[0], Group: f, Inputs: inputsAt(changed, e.model.features(), 0), Text: text, By: math.MaxFloat64})
		case r.Tolerance != nil:
			bad = append(bad, e.compare(changed, at, before, after, r.Tolerance, f+": with and without")...)
		default:
			bad = append(bad, notFinite(changed, e.model.features(), at, after, f+": ")...)
		}
	}
	res := verdictOf(len(bad), len(at)*len(features), 0)
	res.Text = fmt.Sprintf("%s: %s on %s, %d of %d answers fail", c, counted(len(features), "feature"), counted(len(at), "row"), len(bad), res.N)
	res.Worst = bad[:min(len(bad), MaxWorst)]
	return res, nil
}
