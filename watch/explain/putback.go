package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Pool is what values of a column were before: each with its weight.
type Pool struct {
	Values []any // float64 or string; nil: missing
	Weight []float64
	Rows   float64 // that they rest on
}

func missing(v any) bool {
	x, number := v.(float64)
	return v == nil || number && math.IsNaN(x)
}

// missingShare of weighted values.
func missingShare(values []any, weight []float64) float64 {
	lost, sum := 0.0, 0.0
	for i, v := range values {
		sum += weight[i]
		if missing(v) {
			lost += weight[i]
		}
	}
	if sum == 0 {
		return 0
	}
	return lost / sum
}

// ranked are numbers in ascending order and, for each, the share of the weight before its middle.
type ranked struct {
	value []float64
	rank  []float64
	row   []int
}

// rankNumbers leaves missing ones out; coin orders equal ones.
func rankNumbers(values []any, weight []float64, coin func() float64) ranked {
	var r ranked
	tie := make([]float64, len(values))
	sum := 0.0
	for i, v := range values {
		tie[i] = coin()
		if _, ok := v.(float64); ok && !missing(v) {
			r.row = append(r.row, i)
			sum += weight[i]
		}
	}
	slices.SortFunc(r.row, func(a, b int) int {
		return cmp.Or(cmp.Compare(values[a].(float64), values[b].(float64)), cmp.Compare(tie[a], tie[b]))
	})
	at := 0.0
	for _, i := range r.row {
		r.value = append(r.value, values[i].(float64))
		r.rank = append(r.rank, (at+weight[i]/2)/sum)
		at += weight[i]
	}
	return r
}

// at is the value at a rank in [0,1].
func (r *ranked) at(rank float64) float64 {
	i, _ := slices.BinarySearch(r.rank, rank)
	switch {
	case i == 0:
		return r.value[0]
	case i == len(r.rank):
		return r.value[i-1]
	case rank-r.rank[i-1] < r.rank[i]-rank:
		return r.value[i-1]
	}
	return r.value[i]
}

// Quantiles replaces each number by the one of the same rank in the pool, so that the column has its values of before and rows keep
// their order. Where more values are missing than before, some of these rows get values; where fewer are, some lose theirs, unless
// keep says that the column cannot be without. coin gives numbers in [0,1). The pool needs one number at least, or nothing changes.
func Quantiles(now []any, weight []float64, pool *Pool, keep bool, coin func() float64) []any {
	out := slices.Clone(now)
	was := rankNumbers(pool.Values, pool.Weight, coin)
	if len(was.row) == 0 {
		return out
	}
	q, p := missingShare(now, weight), missingShare(pool.Values, pool.Weight)
	given := make([]bool, len(now))
	for i, v := range now {
		draw, which := coin(), coin()
		switch lost := missing(v); {
		case lost && q > p && draw < (q-p)/q:
			out[i], given[i] = was.at(which), true
		case !lost && p > q && !keep && draw < (p-q)/(1-q):
			out[i], given[i] = math.NaN(), true
		}
	}
	rest := slices.Clone(now)
	for i := range rest {
		if given[i] {
			rest[i] = nil
		}
	}
	is := rankNumbers(rest, weight, coin)
	for k, i := range is.row {
		out[i] = was.at(is.rank[k])
	}
	return out
}

// Resample replaces values of which there are more than in the pool by those of which there are fewer: as many as needed, chosen
// by coin, and no others. Missing ones are a value like any other, unless keep says that the column cannot be without.
func Resample(now []any, weight []float64, pool *Pool, keep bool, coin func() float64) []any {
	q, _ := shareOf(now, weight)
	p, order := shareOf(pool.Values, pool.Weight)
	lacking := 0.0
	var few []any
	for _, v := range order {
		if p[v] > q[v] && (!keep || v != nil) {
			lacking += p[v] - q[v]
			few = append(few, v)
		}
	}
	out := slices.Clone(now)
	if lacking <= 0 {
		return out
	}
	for i, v := range now {
		if missing(v) {
			v = nil
		}
		draw, which := coin(), coin()*lacking
		if q[v] <= p[v] || draw >= (q[v]-p[v])/q[v] {
			continue
		}
		for k, w := range few {
			if which -= p[w] - q[w]; which < 0 || k == len(few)-1 {
				out[i] = w
				break
			}
		}
	}
	return out
}

// shareOf gives each value its share, and the values in an order that does not depend on that of the rows.
func shareOf(values []any, weight []float64) (share map[any]float64, order []any) {
	share = map[any]float64{}
	sum := 0.0
	for i, v := range values {
		if missing(v) {
			v = nil
		}
		if _, ok := share[v]; !ok {
			order = append(order, v)
		}
		share[v] += weight[i]
		sum += weight[i]
	}
	for v := range share {
		share[v] /= sum
	}
	slices.SortFunc(order, func(a, b any) int { return cmp.Compare(fmt.Sprintf("%T%v", a, a), fmt.Sprintf("%T%v", b, b)) })
	return share, order
}
