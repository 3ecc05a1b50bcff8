package explain

import (
	"cmp"
	"math"
	"slices"
)

// looked is how many segments there are to look at.
func (s *search) looked() int {
	n := len(s.names)
	for _, f := range s.facets {
		n += f.Ordered*(f.Ordered+1)/2 + len(f.Parts) - f.Ordered
	}
	return n
}

// best is the segment that holds most of the change beyond its share of the rows, if any does clearly. Columns that have drifted
// themselves are asked only if no other says it: they may have moved with the column rather than carry it.
func (s *search) best(all float64) (Carrier, bool) {
	calm := make([]bool, len(s.facets))
	every := true
	for f := range calm {
		calm[f] = s.facetPSI(f) < calmPSI
		every = every && calm[f]
	}
	c, ok := s.among(all, calm)
	if !ok && !every {
		c, ok = s.among(all, nil)
	}
	return c, ok
}

// calmPSI is below what is called a change of a column.
const calmPSI = 0.1

// among is the best segment by some of the facets; nil: all.
func (s *search) among(all float64, facets []bool) (Carrier, bool) {
	c, found := s.single(nil, -1, facets)
	var m measured
	if found {
		m = s.measure(c.Before, c.Now)
		if narrow, ok := s.single(&c, c.facet, facets); ok {
			if t := s.measure(narrow.Before, narrow.Now); t.gain > m.gain+0.05*s.total && s.adds(&c, &narrow) {
				c, m = narrow, t
			}
		}
	}
	for k := range s.names { // a segment that people know says it better than a predicate that nobody has seen
		known := Carrier{Saved: k, Label: s.names[k], Before: s.before.saved[k], Now: s.now.saved[k]}
		if t := s.measure(known.Before, known.Now); t.gain > m.gain*0.95 {
			c, m = known, t
		}
	}
	if !s.clear(m, c.choices) || m.part/s.total-s.byBin(c.Before) < leastGain/2 {
		return c, false
	}
	outside := s.psi(&c, true)
	inside := s.psi(&c, false)
	if math.IsNaN(inside) {
		inside = 0
	}
	return c, outside <= leastRest*math.Max(inside, all) || math.IsNaN(outside)
}

// clear says whether a segment holds enough beyond its share; choices is the logarithm of how many others there were like it.
func (s *search) clear(m measured, choices float64) bool {
	z := math.Sqrt(2 * (math.Log(float64(max(s.looked(), 1))/chanceOfAny) + choices)) // a normal tail is below exp(-z²/2)
	part, share := m.part/s.total, (m.rows+m.rowsBefore)/2
	return m.n+m.nBefore >= leastRows && part-share >= leastGain && part >= leastLift*share && m.gain > z*m.gainError
}

// adds says whether the rows that a narrower segment leaves out hold clearly less than their share.
func (s *search) adds(wide, narrow *Carrier) bool {
	left := func(wide, narrow []bool) []bool {
		out := make([]bool, len(wide))
		for i := range out {
			out[i] = wide[i] && !narrow[i]
		}
		return out
	}
	before, now := left(wide.Before, narrow.Before), left(wide.Now, narrow.Now)
	m := s.measure(before, now)
	share := (m.rows + m.rowsBefore) / 2
	return m.part-share*s.total < -2*s.spread(before, now, share)
}

// single is the best segment by one facet, within another one if that is given.
func (s *search) single(within *Carrier, not int, facets []bool) (best Carrier, ok bool) {
	most := 0.0
	for f := range s.facets {
		if f == not || facets != nil && !facets[f] {
			continue
		}
		if parts, score := s.run(f, within); score > most {
			most, ok = score, true
			best = s.carrier(f, parts, within)
		}
	}
	return best, ok
}

// carrier of some parts of a facet.
func (s *search) carrier(f int, parts []int, within *Carrier) Carrier {
	c := Carrier{Saved: -1, facet: f}
	c.Where, c.Label = s.facets[f].where(parts)
	if len(parts) > 1 && parts[len(parts)-1] >= s.facets[f].Ordered { // a set could have been many others
		c.choices = float64(len(parts)-1) * math.Log(float64(len(s.facets[f].Parts)))
	}
	in := func(x *side, base []bool) []bool {
		out := make([]bool, len(x.target))
		for i, p := range x.parts[f] {
			out[i] = slices.Contains(parts, p) && (base == nil || base[i])
		}
		return out
	}
	if within == nil {
		c.Before, c.Now = in(&s.before, nil), in(&s.now, nil)
		return c
	}
	c.choices += within.choices + math.Log(float64(s.looked()))
	c.Before, c.Now = in(&s.before, within.Before), in(&s.now, within.Now)
	if c.Where == "" || within.Where == "" {
		c.Where = ""
	} else {
		c.Where = within.Where + " && " + c.Where
	}
	c.Label = within.Label + " and " + c.Label
	return c
}

// unlikeGrowth is the difference of (now−before)/mean shares of two categories that are not named together: one and a half times as
// many against as many as before.
const unlikeGrowth = 0.4

// run is the best run of ordered parts, or set of others, of a facet: each part counts by what it holds beyond its share of the
// rows, less one standard error, so that parts that hold nothing do not creep in.
func (s *search) run(f int, within *Carrier) (parts []int, score float64) {
	facet := &s.facets[f]
	sum, square, rows, later := make([]float64, len(facet.Parts)), make([]float64, len(facet.Parts)), make([]float64, len(facet.Parts)), make([]float64, len(facet.Parts))
	add := func(x *side, sign float64, base []bool) {
		for i, p := range x.parts[f] {
			if p < 0 || base != nil && !base[i] {
				continue
			}
			sum[p] += sign * x.weight[i] * x.log[i]
			square[p] += x.weight[i] * x.weight[i] * x.log[i] * x.log[i]
			rows[p] += x.weight[i] / 2
			later[p] += sign * x.weight[i]
		}
	}
	if within == nil {
		within = &Carrier{}
	}
	add(&s.now, 1, within.Now)
	add(&s.before, -1, within.Before)
	value := make([]float64, len(facet.Parts))
	for p := range value {
		value[p] = sum[p] - rows[p]*s.total - math.Sqrt(square[p])
	}
	from, here := 0, 0.0
	for p := range facet.Ordered { // the largest sum of neighbours
		if here <= 0 {
			from, here = p, 0
		}
		if here += value[p]; here > score {
			score, parts = here, nil
			for k := from; k <= p; k++ {
				parts = append(parts, k)
			}
		}
	}
	var categories []int
	for p := facet.Ordered; p < len(value); p++ {
		if value[p] > score {
			score, parts = value[p], []int{p}
		}
		if value[p] > 0 && facet.Parts[p].Kind == "category" {
			categories = append(categories, p)
		}
	}
	slices.SortStableFunc(categories, func(a, b int) int { return cmp.Compare(value[b], value[a]) })
	categories = categories[:min(len(categories), mostValues)]
	together := 0.0
	categories = slices.DeleteFunc(categories, func(p int) bool { // of which there are more and of which there are fewer do not belong together
		first := categories[0]
		return math.Abs(later[p]/rows[p]-later[first]/rows[first]) > unlikeGrowth
	})
	for _, p := range categories {
		together += value[p]
	}
	if together > score {
		score, parts = together, slices.Sorted(slices.Values(categories))
	}
	return parts, score
}

// whole completes a carrier that was found among some of the rows: numbers are of all of them.
func (s *search) whole(c Carrier, among *search) Carrier {
	spread := func(x *side, in []bool, n int) []bool {
		out := make([]bool, n)
		for i, yes := range in {
			out[x.origin[i]] = yes
		}
		return out
	}
	c.Before, c.Now = spread(&among.before, c.Before, len(s.before.target)), spread(&among.now, c.Now, len(s.now.target))
	m := s.measure(c.Before, c.Now)
	part := m.part / s.total
	half := 1.96 * s.spread(c.Before, c.Now, part) / s.total
	c.Part = Interval{part, part - half, part + half}
	c.Rows, c.RowsBefore, c.N, c.NBefore = m.rows, m.rowsBefore, m.n, m.nBefore
	c.Values = m.nBefore > 0 && m.n > 0 && math.Abs(m.inside) >= math.Abs(m.part-m.inside)
	c.Inside, c.Outside = s.psi(&c, false), s.psi(&c, true)
	p, q := s.before.shares(len(s.bins), -1, c.Before, false), s.now.shares(len(s.bins), -1, c.Now, false)
	var shares []Share
	for b := range s.bins {
		shares = append(shares, Share{Label: s.bins[b].Label, Before: p[b], Now: q[b]})
	}
	c.Shares = moved(shares)
	return c
}
