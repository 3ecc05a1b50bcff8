package tally

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Pair is what two versions answered to the same request.
type Pair struct {
	Rows    []fairlead.RowMeta // with ids, one per row
	Inputs  []fairlead.Tensor
	Live    []fairlead.Tensor // nil where LiveFailed
	Shadow  []fairlead.Tensor // nil where ShadowFailed
	Foreign bool              // the versions do not take the same inputs

	LiveFailed, ShadowFailed bool
	LiveTook, ShadowTook     time.Duration // of the run; LiveTook is 0 for an answer out of the cache

	// Disagrees is filled by Compare: the rows of another class, or of no number where the live version has one; nil: none.
	Disagrees []bool
}

// Pairs compares a shadow's answers with the live ones. It may be used by many goroutines at once; they wait for each
// other, so it is for comparing where no client waits.
type Pairs struct {
	gauge    *Gauge
	segments *Segments

	dropped atomic.Uint64

	mu sync.Mutex
	t  fairlead.PairTally
}

// NewPairs makes one that has compared nothing.
func NewPairs(g *Gauge, s *Segments) *Pairs {
	p := &Pairs{gauge: g, segments: s}
	p.t.Difference = make([]uint64, fairlead.DifferenceBins)
	p.t.LiveLatency = make([]uint64, fairlead.LatencyBins)
	p.t.ShadowLatency = make([]uint64, fairlead.LatencyBins)
	p.t.Segments = map[string]*fairlead.PairSegment{}
	if g.score != nil {
		p.t.Edges = slices.Clone(g.edges)
		p.t.Joint = make([][]uint64, len(g.edges)+1)
		for i := range p.t.Joint {
			p.t.Joint[i] = make([]uint64, len(g.edges)+1)
		}
	}
	return p
}

// Drop counts n copies that were not run. It waits for nobody.
func (p *Pairs) Drop(n int) { p.dropped.Add(uint64(n)) }

// Compare counts a pair.
func (p *Pairs) Compare(pair *Pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case pair.Foreign:
		p.t.Mismatched++
		return
	case pair.LiveFailed && pair.ShadowFailed:
		return
	case pair.LiveFailed:
		p.t.LiveErrors++
		for _, s := range p.segmentsOf(pair, 0) {
			s.LiveErrors++
		}
		return
	case pair.ShadowFailed:
		p.t.ShadowErrors++
		for _, s := range p.segmentsOf(pair, 0) {
			s.ShadowErrors++
		}
		return
	case !alike(pair.Live, pair.Shadow):
		p.t.Mismatched++
		return
	}
	p.t.Requests++
	if pair.LiveTook > 0 {
		p.t.LiveLatency[fairlead.LatencyBin(pair.LiveTook.Seconds())]++
		p.t.ShadowLatency[fairlead.LatencyBin(pair.ShadowTook.Seconds())]++
		for _, s := range p.segmentsOf(pair, 0) {
			s.LiveLatency[fairlead.LatencyBin(pair.LiveTook.Seconds())/fairlead.LatencyPerOctave]++
			s.ShadowLatency[fairlead.LatencyBin(pair.ShadowTook.Seconds())/fairlead.LatencyPerOctave]++
		}
	}
	flips := p.t.Flips
	for row := range min(len(pair.Rows), fairlead.PairRows) {
		p.row(pair, row)
	}
	if p.t.Flips > flips {
		p.t.FlipRequests++
	}
}

// alike says whether the shadow gave all that the live version gave, in its types and shapes.
func alike(live, shadow []fairlead.Tensor) bool {
	for i := range live {
		s := fairlead.Find(shadow, live[i].Name)
		if s == nil || s.Type != live[i].Type || !slices.Equal(s.Shape, live[i].Shape) {
			return false
		}
	}
	return true
}

// segmentsOf are the counters of the segments that a row is in.
func (p *Pairs) segmentsOf(pair *Pair, row int) []*fairlead.PairSegment {
	if len(pair.Rows) == 0 {
		return nil
	}
	var numbers [8]int
	var found []*fairlead.PairSegment
	for _, n := range p.segments.append(numbers[:0], pair.Inputs, row) {
		name := p.segments.name(n)
		s := p.t.Segments[name]
		if s == nil {
			s = &fairlead.PairSegment{
				Difference:  make([]uint64, fairlead.SegmentDifferences),
				LiveLatency: make([]uint64, fairlead.SegmentLatency), ShadowLatency: make([]uint64, fairlead.SegmentLatency),
			}
			p.t.Segments[name] = s
		}
		found = append(found, s)
	}
	return found
}

// row counts one row that both versions answered.
func (p *Pairs) row(pair *Pair, row int) {
	g := p.gauge
	segments := p.segmentsOf(pair, row)
	e := fairlead.PairExample{ID: pair.Rows[row].ID}
	p.t.Pairs++
	for _, s := range segments {
		s.Pairs++
	}
	if !finite(pair.Shadow, row) && finite(pair.Live, row) {
		p.t.Invalid++
		for _, s := range segments {
			s.Invalid++
		}
		e.Invalid = true
	}
	live, shadow := g.classOf(pair.Live, row), g.classOf(pair.Shadow, row)
	e.LiveClass, e.ShadowClass = g.name(live), g.name(shadow)
	if live != noClass && shadow != noClass && live != shadow {
		p.t.Flips++
		for _, s := range segments {
			s.Flips++
		}
		e.Flip = true
	}
	p.scores(pair, row, live, segments, &e)
	if e.Flip || e.Invalid {
		if pair.Disagrees == nil {
			pair.Disagrees = make([]bool, len(pair.Rows))
		}
		pair.Disagrees[row] = true
	}
	if e.Flip || e.Invalid || e.Live != e.Shadow {
		p.keep(e, pair.Inputs, row)
	}
}

// scores counts a row's scores: those of the class that the live version predicted where there are several.
func (p *Pairs) scores(pair *Pair, row int, of class, segments []*fairlead.PairSegment, e *fairlead.PairExample) {
	score := func(outputs []fairlead.Tensor) (float64, bool) {
		if g := p.gauge; g.columns != "" && of.number >= 0 && !g.positive() {
			return element(outputs, g.columns, row, of.number)
		}
		return p.gauge.Score(outputs, row)
	}
	live, ok := score(pair.Live)
	if ok = ok && math.Abs(live) < 1e150; ok {
		e.Live = live
	}
	shadow, both := score(pair.Shadow)
	if both = both && math.Abs(shadow) < 1e150; both {
		e.Shadow = shadow
	}
	if !ok || !both {
		return
	}
	d := shadow - live
	p.t.Scored++
	p.t.SumDifference += d
	p.t.SumSquaredDifference += d * d
	bin := fairlead.DifferenceBin(math.Abs(d))
	p.t.Difference[bin]++
	p.t.Joint[fairlead.ScoreBin(p.gauge.edges, live)][fairlead.ScoreBin(p.gauge.edges, shadow)]++
	for _, s := range segments {
		s.Scored++
		s.SumDifference += d
		s.Difference[fairlead.SegmentDifferenceBin(bin)]++
	}
}

// positive says whether the score is one class's of two.
func (g *Gauge) positive() bool { return g.score != nil && g.score.Index == 1 }

// keep keeps e if it is among the largest disagreements.
func (p *Pairs) keep(e fairlead.PairExample, inputs []fairlead.Tensor, row int) {
	all := p.t.Examples
	if len(all) == fairlead.MaxExamples && all[len(all)-1].Compare(&e) <= 0 {
		return
	}
	var numbers [8]int
	for _, n := range p.segments.append(numbers[:0], inputs, row) {
		e.Segment = p.segments.name(n)
		break
	}
	at, _ := slices.BinarySearchFunc(all, e, func(a, b fairlead.PairExample) int { return a.Compare(&b) })
	all = slices.Insert(all, at, e)
	p.t.Examples = all[:min(len(all), fairlead.MaxExamples)]
}

// Tally copies what was compared.
func (p *Pairs) Tally() *fairlead.PairTally {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &fairlead.PairTally{Dropped: p.dropped.Load()}
	t.Add(&p.t)
	return t
}
