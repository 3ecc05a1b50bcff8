package quality

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// window judges all rows at once.
func (res Result) window(columns []*fairlead.TableColumn, t *fairlead.Table, c Context) Result {
	r := &res.Rule
	res.Rows = t.Rows
	switch r.Kind {
	case Exists, ColumnsAre:
		return res.schema(t)
	case RowsBetween:
		return res.observe(float64(t.Rows))
	case Volume:
		if len(c.Past) == 0 {
			return res.observe(math.NaN())
		}
		return res.observe(float64(t.Rows) / median(slices.Clone(c.Past)))
	case Fresh:
		if columns[0].Times == nil {
			return res.cannot(fmt.Sprintf("column %s holds %s, fresh is for times", r.Column, holds(columns[0])))
		}
		return res.observe(age(columns[0], c.Now))
	case MostCommonInSet, DistinctInSet, DistinctContain, DistinctEqual, DistinctBetween, DistinctShareBetween, KLBelow:
		return res.distinct(columns[0], t.Rows)
	}
	return res.observe(statistic(r, columns[0]))
}

// age is how many seconds ago the newest value was; NaN without values.
func age(c *fairlead.TableColumn, now time.Time) float64 {
	newest, found := time.Time{}, false
	for i, v := range c.Times {
		if !c.IsNull(i) && (!found || v.After(newest)) {
			newest, found = v, true
		}
	}
	if !found {
		return math.NaN()
	}
	return now.Sub(newest).Seconds()
}

// statistic of the values that are numbers.
func statistic(r *Rule, c *fairlead.TableColumn) float64 {
	values := make([]float64, 0, len(c.Floats))
	for i, v := range c.Floats {
		if !c.IsNull(i) && v == v {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return math.NaN()
	}
	switch r.Kind {
	case MinBetween:
		return slices.Min(values)
	case MaxBetween:
		return slices.Max(values)
	case MedianBetween:
		return median(values)
	case QuantileBetween:
		return quantile(values, r.Quantile)
	}
	mean, squares, sum := 0.0, 0.0, 0.0
	for i, v := range values {
		before := mean
		mean += (v - mean) / float64(i+1)
		squares += (v - mean) * (v - before)
		sum += v
	}
	switch r.Kind {
	case TotalBetween:
		return sum
	case DeviationBetween:
		return math.Sqrt(squares / float64(len(values)-1)) // of a sample, as pandas; NaN for one value
	}
	return mean
}

func median(v []float64) float64 { return quantile(v, 0.5) }

// quantile with linear interpolation, as numpy's default; it sorts v.
func quantile(v []float64, q float64) float64 {
	slices.Sort(v)
	at := q * float64(len(v)-1)
	i := int(at)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[i] + (at-float64(i))*(v[i+1]-v[i])
}

// distinct judges the values of a window as a set.
func (res Result) distinct(c *fairlead.TableColumn, rows int) Result {
	r := &res.Rule
	counts, n := map[string]int{}, 0
	for i := range rows {
		if !c.IsNull(i) {
			counts[show(c, i)]++
			n++
		}
	}
	switch r.Kind {
	case DistinctBetween:
		return res.observe(float64(len(counts)))
	case DistinctShareBetween:
		return res.observe(float64(len(counts)) / float64(n))
	case KLBelow:
		return res.observe(divergence(counts, n, canonical(c, r.Set), r.Weights))
	}
	set := canonical(c, r.Set)
	if r.Kind == MostCommonInSet {
		counts = mostCommon(counts)
	}
	for v := range counts {
		if _, ok := set[v]; !ok && r.Kind != DistinctContain {
			res.Found = append(res.Found, v)
		}
	}
	if r.Kind == DistinctContain || r.Kind == DistinctEqual {
		for v := range set {
			if counts[v] == 0 {
				res.Missing = append(res.Missing, v)
			}
		}
	}
	return res.sets()
}

// sets says which values or columns are too many and which are missing.
func (res Result) sets() Result {
	res.OK = len(res.Found)+len(res.Missing) == 0
	slices.Sort(res.Found)
	slices.Sort(res.Missing)
	var parts []string
	for _, p := range []struct {
		what  string
		which *[]string
	}{{"unexpected", &res.Found}, {"missing", &res.Missing}} {
		if n := len(*p.which); n > 0 {
			*p.which = (*p.which)[:min(n, maxExamples)]
			text := strings.Join(*p.which, ", ")
			if n > maxExamples {
				text += fmt.Sprintf(" and %d more", n-maxExamples)
			}
			parts = append(parts, p.what+" "+text)
		}
	}
	res.Text = fmt.Sprintf("%s keeps %s", res.Rule.subject(), res.Rule.Kind)
	if !res.OK {
		res.Text = fmt.Sprintf("%s breaks %s: %s", res.Rule.subject(), res.Rule.Kind, strings.Join(parts, "; "))
	}
	return res
}

// mostCommon keeps the values that occur as often as the most frequent.
func mostCommon(counts map[string]int) map[string]int {
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	out := map[string]int{}
	for v, n := range counts {
		if n == most {
			out[v] = n
		}
	}
	return out
}

// divergence is KL(observed ‖ declared) in nats; a value that is not declared, or has no weight, makes it infinite, and no values make it NaN.
func divergence(counts map[string]int, n int, set map[string]int, weights []float64) float64 {
	if n == 0 {
		return math.NaN()
	}
	total := 0.0
	for _, w := range weights {
		total += w
	}
	values := make([]string, 0, len(counts))
	for v := range counts {
		values = append(values, v)
	}
	slices.SortFunc(values, cmp.Compare) // the same sum for the same counts
	kl := 0.0
	for _, v := range values {
		i, ok := set[v]
		if !ok || weights[i] == 0 {
			return math.Inf(1)
		}
		p := float64(counts[v]) / float64(n)
		kl += p * math.Log(p*total/weights[i])
	}
	return math.Max(0, kl)
}

// schema judges which columns there are.
func (res Result) schema(t *fairlead.Table) Result {
	r := &res.Rule
	want := r.Columns
	if r.Kind == Exists {
		want = []string{r.Column}
	}
	have := t.Names()
	for _, name := range want {
		if !slices.Contains(have, name) {
			res.Missing = append(res.Missing, name)
		}
	}
	if r.Exact {
		for _, name := range have {
			if !slices.Contains(want, name) {
				res.Found = append(res.Found, name)
			}
		}
	}
	res = res.sets()
	if res.OK && r.Ordered {
		kept := slices.DeleteFunc(slices.Clone(have), func(n string) bool { return !slices.Contains(want, n) })
		if res.OK = slices.Equal(kept, want); !res.OK {
			res.Text = fmt.Sprintf("the columns come as %s; expected %s", strings.Join(kept, ", "), strings.Join(want, ", "))
		}
	}
	return res
}
