package app

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch/explain"
)

const (
	mostExamples = 5
	mostOfABin   = 3
	mostInputs   = 40 // of an example
)

// excess is a bin that has more of the rows than before.
type excess struct {
	bin         int
	now, before float64
	part        float64 // of the PSI, unscaled
}

// excesses are the bins of the column that have too many rows, the ones that make most of the PSI first.
func (l *look) excesses(places []int) []excess {
	bins, _ := l.ref.Layout.AlertPlaces(l.column)
	now, before := make([]float64, len(bins)), make([]float64, len(bins))
	total := 0.0
	for i, p := range places {
		now[p] += l.now.Weight[i]
		total += l.now.Weight[i]
	}
	was := 0.0
	if l.compared != "" {
		for i, p := range l.places(l.before, l.column, l.target) {
			before[p] += l.before.Weight[i]
			was += l.before.Weight[i]
		}
	} else {
		counts := l.expected()
		for b, n := range counts.AlertBins(l.ref.Layout, l.column) {
			before[b] = float64(n)
		}
		was = float64(counts.N)
	}
	var out []excess
	for b := range bins {
		e := excess{bin: b, now: now[b] / total, before: before[b] / math.Max(was, 1)}
		if p := math.Max(e.before, 1e-4); e.now > p {
			e.part = (e.now - p) * math.Log(e.now/p)
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b excess) int { return cmp.Compare(b.part, a.part) })
	return slices.DeleteFunc(out, func(e excess) bool { return e.part < out[0].part/5 })
}

// examples are rows that show the change best: of the bins that have most too many, within the segments that carry it.
func (l *look) examples(c *counterfactual) []api.ExampleRow {
	out := []api.ExampleRow{}
	places := l.places(l.now, l.column, l.target)
	bins, _ := l.ref.Layout.AlertPlaces(l.column)
	carries := func(i int) bool {
		return len(l.carried.Carriers) == 0 || slices.ContainsFunc(l.carried.Carriers, func(x explain.Carrier) bool { return x.Now[i] })
	}
	most := l.excesses(places)
	for k, e := range most {
		taken, limit := 0, mostOfABin
		if k == len(most)-1 {
			limit = mostExamples
		}
		for i, p := range places {
			if p != e.bin || !carries(i) {
				continue
			}
			x := l.example(i)
			x.Why = fmt.Sprintf("%s: %s has %.1f%% of the rows now, %.1f%% before", l.alert.Column, bins[p].Label, 100*e.now, 100*e.before)
			if c != nil && c.impact != nil && c.impact.Reason == "" {
				c.describe(i, &x)
			}
			out = append(out, x)
			if taken++; taken == limit || len(out) == mostExamples {
				break
			}
		}
		if len(out) == mostExamples {
			break
		}
	}
	return out
}

func (l *look) example(i int) api.ExampleRow {
	x := api.ExampleRow{
		ID: l.now.ID[i], Time: l.now.Time[i], Version: int(l.now.Version[i]), Value: plain(l.now.Values[l.target][i]),
		Score: finitePointer(l.now.Score[i]), Decision: l.now.Predicted[i], Inputs: []api.ExampleValue{},
	}
	for f := range min(l.inputs, mostInputs) {
		name := l.fields[f].Name
		v := api.ExampleValue{Name: name, Redacted: l.hidden[name]}
		if !v.Redacted {
			v.Value = plain(l.now.Values[f][i])
		}
		x.Inputs = append(x.Inputs, v)
	}
	return x
}

// plain is a value as JSON can hold it; a long list is said by its length.
func plain(v any) any {
	switch x := v.(type) {
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil
		}
	case float32:
		if y := float64(x); math.IsNaN(y) || math.IsInf(y, 0) {
			return nil
		}
	case []any:
		if len(x) > 8 {
			return fmt.Sprintf("%d elements", len(x))
		}
	}
	return v
}

// describe adds what the model says with the value of before.
func (c *counterfactual) describe(i int, x *api.ExampleRow) {
	a, ok := c.answers[i]
	if !ok {
		return
	}
	if x.Back = plain(c.back[i]); fmt.Sprint(x.Back) == fmt.Sprint(x.Value) {
		x.Back = nil
		return
	}
	x.Score, x.Scored = finitePointer(a[0].Score), finitePointer(a[1].Score)
	x.Decision, x.Decided = a[0].Class, a[1].Class
}
