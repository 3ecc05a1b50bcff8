package rollout

import (
	"maps"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/rollout/anytime"
)

// farOff is the difference of two scores that counts as a large one: a quarter of the live scores' standard deviation; 0
// where they have none.
func (l look) farOff() float64 {
	if l.o.Live == nil {
		return 0
	}
	return standardDeviation(l.o.Live.Total()) / 4
}

// beyond counts the values in bins that lie above a limit altogether.
func beyond(counts []uint64, limit float64, bound func(bin int) float64) float64 {
	n := 0.0
	for bin := 1; bin < len(counts); bin++ {
		if bound(bin-1) >= limit {
			n += float64(counts[bin])
		}
	}
	return n
}

// octaveBound is the upper bound of a bin of PairSegment.Difference.
func octaveBound(bin int) float64 {
	return fairlead.DifferenceBound(bin * fairlead.DifferencePerOctave)
}

// octaves are the upper bounds of the latencies of a segment.
var octaves = func() []float64 {
	bounds := make([]float64, fairlead.SegmentLatency)
	for i := range bounds {
		bounds[i] = fairlead.LatencyBound((i+1)*fairlead.LatencyPerOctave - 1)
	}
	return bounds
}()

// segmentDifference looks for one segment in which many scores moved far. Its bins are octaves: what lies in the octave of
// the limit does not count.
func (l look) segmentDifference(g Gate) Evidence {
	p, limit := l.o.Pairs, l.farOff()
	if p == nil || limit == 0 || len(p.Segments) == 0 {
		return Evidence{Finding: NoData, Unit: "rate"}
	}
	alpha, rows := l.perSegment(GateSegmentDifference, len(p.Segments)), rowsPerRequest(p)
	worst := Evidence{Finding: NoData, Unit: "rate"}
	for _, name := range slices.Sorted(maps.Keys(p.Segments)) {
		s := p.Segments[name]
		c := counted{float64(s.Scored), beyond(s.Difference, limit, octaveBound)}
		if c.n == 0 || !l.bounds && c.rate() <= g.Absolute && worst.Finding != NoData { // cannot be harm
			continue
		}
		worst = worst.or(l.shareAt(g, c, rows, alpha), name)
	}
	return worst
}

// segmentLatency looks for one segment whose median is shown to be slower than is tolerated. Its bins are octaves: with the
// default tolerance of 100 % what is two to four times as slow is seen or not by where the bins lie, and in the shadow, whose copies
// wait behind the requests of clients, what is four to twelve times as slow.
func (l look) segmentLatency(g Gate) Evidence {
	none := Evidence{Finding: NoData, Unit: "seconds"}
	type row struct{ live, canary []uint64 }
	rows := map[string]row{}
	switch {
	case l.shadow && l.o.Pairs != nil:
		for name, s := range l.o.Pairs.Segments {
			rows[name] = row{s.LiveLatency, s.ShadowLatency}
		}
	case !l.shadow && !l.bake && l.o.Canary != nil && l.o.Live != nil:
		for name, s := range l.o.Canary.Segments {
			if live := l.o.Live.Segments[name]; live != nil {
				rows[name] = row{live.Latency[:], s.Latency[:]}
			}
		}
	}
	alpha, worst := l.perSegment(GateSegmentLatency, len(rows)), none
	tolerated := anytime.Limit{Relative: g.Relative, Absolute: g.Absolute}
	if l.shadow {
		tolerated = times(tolerated, 2) // copies wait behind the requests of clients
	}
	octave := func(bin int) float64 { return octaves[bin] }
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		r := rows[name]
		if total(r.live) == 0 || total(r.canary) == 0 {
			continue
		}
		was, is := fairlead.BinQuantile(r.live, 0.5, octave), fairlead.BinQuantile(r.canary, 0.5, octave)
		if !l.bounds && is <= was+tolerated.Over(was) && worst.Finding != NoData {
			continue
		}
		v := anytime.Quantiles(octaves, r.live, r.canary, 0.5, queueEffect, anytime.Question{
			Alpha: alpha, Beta: l.promote, Interval: l.bounds, Tolerance: tolerated, Margin: tolerated,
		})
		worst = worst.or(evidence("seconds", v, alpha), name)
	}
	return worst
}

// perSegment is a gate's level for each of n segments.
func (l look) perSegment(gate string, n int) float64 {
	return l.alpha(gate) / float64(max(n, fewestSegments))
}

// or is the worse of two segments: of one alone, that it is not worse would say little.
func (e Evidence) or(o Evidence, segment string) Evidence {
	o.Segment = segment
	if o.Finding == NonInferior {
		o.Finding = Open
	}
	harm, was := o.Finding == Harm, e.Finding == Harm
	if e.Finding == NoData || harm && !was || harm == was && math.Max(o.LogE, -1e300) > e.LogE {
		return o
	}
	return e
}
