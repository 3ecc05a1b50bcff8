// Package replay compares the answers that a version gives to recorded requests with the answers that were recorded: which
// decisions flip, how far scores move, in which segments, and on which rows the two disagree most.
package replay

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/drift"
)

// Answer is what one version said of one row.
type Answer struct {
	Score float64 // probability, value; NaN: none
	Class string  // the decision; "": none
}

// Pair is one row with both answers.
type Pair struct {
	ID       string
	Recorded Answer
	Replayed Answer
	Segments []string // "origin=ATL", …
}

// Options say how answers are read.
type Options struct {
	// Threshold turns scores into decisions where a pair has no classes; NaN: there are no decisions.
	Threshold float64
	Examples  int // of the largest disagreements that are kept; 0: 20
	Segments  int // that are counted apart; rows of further ones are counted as RestSegment; 0: 200
}

// RestSegment is where rows of too many segments are counted together.
const RestSegment = "(others)"

// Comparison adds up pairs. The zero value is not ready: use New.
type Comparison struct {
	opt      Options
	tally    fairlead.PairTally
	recorded []float64 // scores of the rows where both have one
	replayed []float64
	segments map[string]*fairlead.PairSegment
}

// New makes an empty comparison.
func New(o Options) *Comparison {
	o.Examples, o.Segments = cmp.Or(o.Examples, 20), cmp.Or(o.Segments, 200)
	return &Comparison{opt: o, segments: map[string]*fairlead.PairSegment{}}
}

// Add counts a pair.
func (c *Comparison) Add(p Pair) {
	e := fairlead.PairExample{
		ID: p.ID, Live: p.Recorded.Score, Shadow: p.Replayed.Score, LiveClass: c.class(p.Recorded), ShadowClass: c.class(p.Replayed),
	}
	if len(p.Segments) > 0 {
		e.Segment = p.Segments[0]
	}
	finite := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
	scored := finite(e.Live) && finite(e.Shadow)
	e.Invalid = finite(e.Live) && !finite(e.Shadow)
	e.Flip = e.LiveClass != "" && e.ShadowClass != "" && e.LiveClass != e.ShadowClass
	c.tally.Pairs++
	for _, s := range append([]*fairlead.PairSegment{nil}, c.of(p.Segments)...) {
		c.count(s, &e, scored)
	}
	if scored {
		d := e.Shadow - e.Live
		c.tally.SumSquaredDifference += d * d
		c.recorded, c.replayed = append(c.recorded, e.Live), append(c.replayed, e.Shadow)
	} else {
		if e.Live = zeroIfNot(e.Live); !e.Invalid {
			e.Live = 0
		}
		e.Shadow = 0
	}
	c.keep(e)
}

func zeroIfNot(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}

// count counts a row in a segment, in all of them if s is nil.
func (c *Comparison) count(s *fairlead.PairSegment, e *fairlead.PairExample, scored bool) {
	flips, invalid, n, sum := &c.tally.Flips, &c.tally.Invalid, &c.tally.Scored, &c.tally.SumDifference
	if s != nil {
		flips, invalid, n, sum = &s.Flips, &s.Invalid, &s.Scored, &s.SumDifference
		s.Pairs++
	}
	if e.Flip {
		*flips++
	}
	if e.Invalid {
		*invalid++
	}
	if scored {
		*n++
		*sum += e.Shadow - e.Live
	}
}

func (c *Comparison) of(names []string) []*fairlead.PairSegment {
	var out []*fairlead.PairSegment
	for _, name := range names {
		s := c.segments[name]
		if s == nil && len(c.segments) >= c.opt.Segments {
			name = RestSegment
			s = c.segments[name]
		}
		if s == nil {
			s = &fairlead.PairSegment{}
			c.segments[name] = s
		}
		out = append(out, s)
	}
	return out
}

func (c *Comparison) class(a Answer) string {
	switch {
	case a.Class != "":
		return a.Class
	case math.IsNaN(c.opt.Threshold) || math.IsNaN(a.Score):
		return ""
	case a.Score >= c.opt.Threshold:
		return "1"
	}
	return "0"
}

// keep keeps the largest disagreements.
func (c *Comparison) keep(e fairlead.PairExample) {
	if !e.Invalid && !e.Flip && e.Live == e.Shadow {
		return
	}
	list := c.tally.Examples
	i := sort.Search(len(list), func(i int) bool { return list[i].Compare(&e) > 0 })
	if i >= c.opt.Examples {
		return
	}
	list = slices.Insert(list, i, e)
	c.tally.Examples = list[:min(len(list), c.opt.Examples)]
}

// Report is what a comparison found. Values without rows are NaN.
type Report struct {
	Tally    fairlead.PairTally // with Segments and Examples
	Distance Distance
	Drift    Drift
	// Spearman is the rank correlation of the scores; ties have their mean rank. NaN if one side is constant.
	Spearman float64
}

// Distance holds quantiles of |Δscore|, and of Δscore = replayed − recorded.
type Distance struct {
	Levels   []float64 // of both
	Signed   []float64
	Absolute []float64
	Mean     float64 // of Δscore
}

// Drift compares the two distributions of scores.
type Drift struct {
	PSI, PSIFloor float64 // over ten bins of equal recorded counts
	KS, KSFloor   float64
	N             int
}

// Report reads the comparison.
func (c *Comparison) Report() Report {
	r := Report{Tally: c.tally}
	r.Tally.Segments = c.segments
	signed, absolute := make([]float64, len(c.recorded)), make([]float64, len(c.recorded))
	for i := range c.recorded {
		signed[i] = c.replayed[i] - c.recorded[i]
		absolute[i] = math.Abs(signed[i])
	}
	slices.Sort(signed)
	slices.Sort(absolute)
	r.Distance.Levels = []float64{0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1}
	for _, q := range r.Distance.Levels {
		r.Distance.Signed = append(r.Distance.Signed, quantile(signed, q))
		r.Distance.Absolute = append(r.Distance.Absolute, quantile(absolute, q))
	}
	r.Distance.Mean = c.tally.SumDifference / float64(c.tally.Scored)
	r.Spearman = Spearman(c.recorded, c.replayed)
	r.Drift = distributions(c.recorded, c.replayed)
	return r
}

// quantile is the linear interpolation between order statistics (type 7 of Hyndman and Fan) of sorted values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low == len(sorted)-1 {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

func distributions(recorded, replayed []float64) Drift {
	n := uint64(len(recorded))
	d := Drift{N: len(recorded), PSI: math.NaN(), PSIFloor: math.NaN(), KS: math.NaN(), KSFloor: math.NaN()}
	if n == 0 {
		return d
	}
	sorted := slices.Sorted(slices.Values(recorded))
	var edges []float64
	for i := 1; i < 10; i++ {
		if e := quantile(sorted, float64(i)/10); len(edges) == 0 || e > edges[len(edges)-1] {
			edges = append(edges, e)
		}
	}
	count := func(xs []float64) []uint64 {
		counts := make([]uint64, len(edges)+1)
		for _, x := range xs {
			counts[sort.Search(len(edges), func(i int) bool { return x < edges[i] })]++
		}
		return counts
	}
	bins := 0
	d.PSI, bins = drift.PSI(count(recorded), count(replayed))
	d.PSIFloor = drift.PSIFloor(n, n, bins, drift.FloorAlpha)
	d.KS, d.KSFloor = drift.KS(sorted, slices.Sorted(slices.Values(replayed))), drift.KSFloor(n, n, drift.FloorAlpha)
	return d
}

// Spearman is the Pearson correlation of the ranks of x and y, which are as long; equal values have their mean rank. It is
// NaN for fewer than two rows and where one side is constant.
func Spearman(x, y []float64) float64 {
	a, b := ranks(x), ranks(y)
	n := float64(len(a))
	mean := (n + 1) / 2
	var cov, va, vb float64
	for i := range a {
		cov += (a[i] - mean) * (b[i] - mean)
		va += (a[i] - mean) * (a[i] - mean)
		vb += (b[i] - mean) * (b[i] - mean)
	}
	if n < 2 || va == 0 || vb == 0 {
		return math.NaN()
	}
	return cov / math.Sqrt(va*vb)
}

func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(x[i], x[j]) })
	out := make([]float64, len(x))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && x[order[j]] == x[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			out[k] = float64(i+j+1) / 2
		}
		i = j
	}
	return out
}
