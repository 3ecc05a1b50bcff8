package app

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/watch/explain"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// choose takes rows that have all inputs; they are in an order of chance. A missing number is one.
func (c *counterfactual) choose() {
	for i := range c.now.ID {
		complete := true
		for f := range c.inputs {
			complete = complete && (c.now.Values[f][i] != nil || f == c.target && c.float())
		}
		if complete {
			if c.rows = append(c.rows, i); len(c.rows) == askedRows {
				return
			}
		}
	}
}

// float says whether the column can hold a NaN.
func (c *counterfactual) float() bool {
	switch c.ref.Layout.Columns[c.column].Field.Type {
	case fairlead.FP32, fairlead.FP64:
		return true
	}
	return false
}

func (c *counterfactual) values(s *evalstore.Sample) []any {
	out := make([]any, len(s.ID))
	for i := range out {
		out[i] = scalar(s.Values[c.target][i], &c.ref.Layout.Columns[c.column])
	}
	return out
}

// replace finds the values of before: within each segment that carries the change by other values, and in all other rows.
func (c *counterfactual) replace() {
	now, before := c.values(c.now), []any(nil)
	if c.look.compared != "" {
		c.compared, before, c.pool = c.look.compared, c.values(c.before), float64(len(c.before.ID))
	} else {
		c.compared = "the reference"
	}
	c.back = slices.Clone(now)
	groupNow, groupBefore := make([]int, len(now)), make([]int, len(before))
	for k := len(c.carried.Carriers) - 1; k >= 0; k-- {
		x := &c.carried.Carriers[k]
		if !x.Values || x.NBefore < poolRows || x.N < poolRows {
			continue
		}
		for i, in := range x.Now {
			if in {
				groupNow[i] = k + 1
			}
		}
		for i, in := range x.Before {
			if in {
				groupBefore[i] = k + 1
			}
		}
	}
	for g := range len(c.carried.Carriers) + 1 {
		var rows []int
		for i := range now {
			if groupNow[i] == g {
				rows = append(rows, i)
			}
		}
		if len(rows) == 0 {
			continue
		}
		pool := &explain.Pool{}
		for i, v := range before {
			if groupBefore[i] == g {
				pool.Values, pool.Weight = append(pool.Values, v), append(pool.Weight, c.before.Weight[i])
			}
		}
		if before == nil {
			pool = c.reference()
			c.pool = pool.Rows
		}
		for k, v := range c.exchange(now, rows, pool) {
			c.back[rows[k]] = v
		}
	}
}

// exchange gives rows values of a pool.
func (c *counterfactual) exchange(now []any, rows []int, pool *explain.Pool) []any {
	values, weight := make([]any, len(rows)), make([]float64, len(rows))
	for k, i := range rows {
		values[k], weight[k] = now[i], c.now.Weight[i]
	}
	coin := rand.New(rand.NewPCG(uint64(c.alert.Onset.Unix()), uint64(len(rows)))).Float64 // the same every time
	if c.ref.Layout.Columns[c.column].Kind == profile.Numeric {
		c.method = "quantiles"
		return explain.Quantiles(values, weight, pool, !c.float(), coin)
	}
	c.method = "resampled"
	return explain.Resample(values, weight, pool, !c.float(), coin)
}

// reference is a pool that has the shares of the reference's bins, of the same hours of the week where it knows them.
func (c *counterfactual) reference() *explain.Pool {
	layout, pool := c.ref.Layout, &explain.Pool{}
	sum := c.expected()
	pool.Rows = float64(sum.N)
	whole := layout.Columns[c.column].Field.Type
	add := func(v any, weight float64) {
		pool.Values, pool.Weight = append(pool.Values, v), append(pool.Weight, weight)
	}
	if edges := layout.FineEdges(c.column); edges != nil {
		for j, n := range sum.FineBins(layout, c.column) {
			low, high := edges[max(0, j-1)], edges[min(j, len(edges)-1)]
			points := int(math.Ceil(float64(n) / pool.Rows * poolPoints))
			for k := range points {
				x := low + (high-low)*(float64(k)+0.5)/float64(points)
				if whole != fairlead.FP32 && whole != fairlead.FP64 {
					x = math.Floor(x)
				}
				add(x, float64(n)/float64(points))
			}
		}
		if lost := sum.Missing(layout, c.column) * pool.Rows; lost > 0 {
			add(nil, lost)
		}
		return pool
	}
	bins, _ := layout.AlertPlaces(c.column)
	for b, n := range sum.AlertBins(layout, c.column) {
		if n == 0 {
			continue
		}
		switch bins[b].Kind {
		case "value":
			add(bins[b].Low, float64(n))
		case "category":
			add(bins[b].Label, float64(n))
		case "null", "nan":
			add(nil, float64(n))
		}
	}
	return pool
}

// expected are the reference's counts that the drifted windows were compared with.
func (l *look) expected() *profile.Counts {
	sum := profile.NewCounts(l.ref.Layout)
	for _, w := range l.windows {
		counts, of := l.ref.For(w.From, w.To)
		if of == "all" {
			return l.ref.Total
		}
		if err := sum.Merge(counts); err != nil {
			return l.ref.Total
		}
	}
	if sum.N == 0 {
		return l.ref.Total
	}
	return sum
}
