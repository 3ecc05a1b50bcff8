package explain

import (
	"math"

	"github.com/fairlead-ml/fairlead/watch/profile"
)

// side is one of the two sets of rows.
type side struct {
	target []int
	parts  [][]int
	saved  [][]bool
	weight []float64 // the sum is 1
	log    []float64 // ln(q/p) of each row's bin
	origin []int     // places in the whole
}

type search struct {
	bins         []profile.Bin
	facets       []Facet
	names        []string
	before, now  side
	total, error float64   // of the change
	change       []float64 // by bin, (q−p) ln(q/p)
}

func newSearch(bins []profile.Bin, facets []Facet, saved []string, before, now *Rows) *search {
	s := &search{bins: bins, facets: facets, names: saved, before: sideOf(before, nil), now: sideOf(now, nil)}
	s.prepare()
	return s
}

// sideOf takes those rows that are not out.
func sideOf(r *Rows, out []bool) side {
	x := side{parts: make([][]int, len(r.Parts)), saved: make([][]bool, len(r.Saved))}
	sum := 0.0
	for i, t := range r.Target {
		if out != nil && out[i] {
			continue
		}
		x.target, x.origin, x.weight = append(x.target, t), append(x.origin, i), append(x.weight, r.weight(i))
		sum += r.weight(i)
		for f := range r.Parts {
			x.parts[f] = append(x.parts[f], r.Parts[f][i])
		}
		for f := range r.Saved {
			x.saved[f] = append(x.saved[f], r.Saved[f][i])
		}
	}
	for i := range x.weight {
		x.weight[i] /= sum
	}
	return x
}

// rows is the side as it was.
func (x *side) rows() *Rows {
	return &Rows{Weight: x.weight, Target: x.target, Parts: x.parts, Saved: x.saved}
}

// without are the rows that no carrier has.
func (s *search) without(carriers []Carrier) *search {
	before, now := make([]bool, len(s.before.target)), make([]bool, len(s.now.target))
	for _, c := range carriers {
		for i, in := range c.Before {
			before[i] = before[i] || in
		}
		for i, in := range c.Now {
			now[i] = now[i] || in
		}
	}
	rest := &search{bins: s.bins, facets: s.facets, names: s.names, before: sideOf(s.before.rows(), before), now: sideOf(s.now.rows(), now)}
	rest.prepare()
	return rest
}

// prepare gives each row the logarithm of its bin, as the other half of the rows has it.
func (s *search) prepare() {
	var log [2][]float64
	for fold := range log {
		p, q := s.before.shares(len(s.bins), fold, nil, false), s.now.shares(len(s.bins), fold, nil, false)
		for b := range p {
			p[b] = math.Log(q[b] / p[b])
		}
		log[1-fold] = p
	}
	p, q := s.before.shares(len(s.bins), -1, nil, false), s.now.shares(len(s.bins), -1, nil, false)
	s.change = make([]float64, len(s.bins))
	for b := range s.change {
		s.change[b] = (q[b] - p[b]) * math.Log(q[b]/p[b])
	}
	for _, x := range []*side{&s.before, &s.now} {
		x.log = make([]float64, len(x.target))
		for i, t := range x.target {
			x.log[i] = log[i%2][t]
		}
	}
	everything := func(x *side) []bool {
		in := make([]bool, len(x.target))
		for i := range in {
			in[i] = true
		}
		return in
	}
	m := s.measure(everything(&s.before), everything(&s.now))
	s.total, s.error = m.part, m.error
}

// shares of the bins among the rows of a fold (-1: both) for which in is not except; half a row is added to each.
func (x *side) shares(bins, fold int, in []bool, except bool) []float64 {
	out := make([]float64, bins)
	n, sum := 0, 0.0
	for i, t := range x.target {
		if fold < 0 || i%2 == fold {
			if in == nil || in[i] != except {
				out[t] += x.weight[i]
				sum += x.weight[i]
				n++
			}
		}
	}
	for b := range out {
		if sum > 0 {
			out[b] *= float64(n) / sum
		}
		out[b] = (out[b] + 0.5) / (float64(n) + 0.5*float64(bins))
	}
	return out
}

// psi is that of the rows in a segment, or of those outside, debiased; NaN with too few.
func (s *search) psi(c *Carrier, outside bool) float64 {
	var before, now []bool
	if c != nil {
		before, now = c.Before, c.Now
	}
	count := func(x *side, in []bool) (n int) {
		for i := range x.target {
			if in == nil || in[i] != outside {
				n++
			}
		}
		return n
	}
	n, m := count(&s.now, now), count(&s.before, before)
	if n < leastRows || m < leastRows {
		return math.NaN()
	}
	return debiased(s.before.shares(len(s.bins), -1, before, outside), s.now.shares(len(s.bins), -1, now, outside), n, m)
}

// facetPSI is that of a facet's own parts over all rows.
func (s *search) facetPSI(f int) float64 {
	whole := func(x *side) []float64 {
		y := side{target: make([]int, len(x.target)), weight: x.weight}
		for i, p := range x.parts[f] {
			y.target[i] = p + 1 // none first
		}
		return y.shares(len(s.facets[f].Parts)+1, -1, nil, false)
	}
	return debiased(whole(&s.before), whole(&s.now), len(s.now.target), len(s.before.target))
}

// debiased is the PSI of shares of n rows now and m before, less what it is by chance.
func debiased(p, q []float64, n, m int) float64 {
	psi, used := 0.0, 0
	for b := range p {
		if p[b]*float64(m) > 0.6 || q[b]*float64(n) > 0.6 {
			used++
		}
		psi += (q[b] - p[b]) * math.Log(q[b]/p[b])
	}
	return math.Max(0, psi-float64(max(used-1, 0))*(1/float64(n)+1/float64(m)))
}

// measured is what a segment holds.
type measured struct {
	part, error      float64 // of the change, in PSI
	rows, rowsBefore float64
	n, nBefore       int
	gain, gainError  float64 // part less that of its share of the rows
	inside           float64 // what its values make of part, the rest being made by its number of rows
}

func (s *search) measure(before, now []bool) measured {
	var m measured
	sum := func(x *side, in []bool) (rows, logs float64, n int) {
		for i, yes := range in {
			if yes {
				rows, logs, n = rows+x.weight[i], logs+x.weight[i]*x.log[i], n+1
			}
		}
		return rows, logs, n
	}
	var q, p float64
	m.rows, q, m.n = sum(&s.now, now)
	m.rowsBefore, p, m.nBefore = sum(&s.before, before)
	m.part = q - p
	if m.rows > 0 && m.rowsBefore > 0 {
		m.inside = m.rows * (q/m.rows - p/m.rowsBefore)
	}
	m.error = s.spread(before, now, 0)
	share := (m.rows + m.rowsBefore) / 2
	m.gain, m.gainError = m.part-share*s.total, s.spread(before, now, share)
	return m
}

// byBin is the share of the change that a segment would make if each bin only had more or fewer of the rows that it had before: a
// value that is gone takes along what went with it, which carries nothing.
func (s *search) byBin(before []bool) float64 {
	in, all := make([]float64, len(s.bins)), make([]float64, len(s.bins))
	share := 0.0
	for i, t := range s.before.target {
		all[t] += s.before.weight[i]
		if before[i] {
			in[t] += s.before.weight[i]
			share += s.before.weight[i]
		}
	}
	part, sum := 0.0, 0.0
	for b, x := range s.change {
		of := share // of a bin that nobody was in
		if all[b] > 0 {
			of = in[b] / all[b]
		}
		part, sum = part+x*of, sum+x
	}
	return part / sum
}

// spread is the standard error of the difference of the means of (1[in] − less)·log.
func (s *search) spread(before, now []bool, less float64) float64 {
	variance := func(x *side, in []bool) float64 {
		mean, v := 0.0, 0.0
		z := func(i int) float64 {
			if in[i] {
				return (1 - less) * x.log[i]
			}
			return -less * x.log[i]
		}
		for i := range in {
			mean += x.weight[i] * z(i)
		}
		for i := range in {
			v += x.weight[i] * x.weight[i] * (z(i) - mean) * (z(i) - mean)
		}
		return v
	}
	return math.Sqrt(variance(&s.now, now) + variance(&s.before, before))
}
