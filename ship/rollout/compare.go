package rollout

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/rollout/anytime"
)

// queueEffect deflates counts of slow requests: requests that wait in one queue are late together, and no bucket shows it.
const queueEffect = 2

// latency compares one quantile. Harm is what exceeds the tolerance; the bins are upper bounds in seconds.
func (l look) latency(name string, g Gate, q float64) Evidence {
	alpha := l.alpha(name)
	live, canary := l.latencies()
	tolerated := anytime.Limit{Relative: g.Relative, Absolute: g.Absolute}
	switch {
	case l.bake && l.span > 0: // an hour is busier than the day
		tolerated = times(tolerated, 4)
	case l.bake:
		tolerated = times(tolerated, 2)
	case l.shadow: // copies wait behind the requests of clients
		tolerated = times(tolerated, 4)
	}
	if l.early && total(live) > 0 && total(canary) > 0 {
		// Evidence of harm implies that the estimates are apart by more than the tolerance.
		was, is := fairlead.BinQuantile(live, q, fairlead.LatencyBound), fairlead.BinQuantile(canary, q, fairlead.LatencyBound)
		if is <= was+tolerated.Over(was) {
			return Evidence{Unit: "seconds", Finding: Open, Alpha: alpha}
		}
	}
	v := anytime.Quantiles(latencyBounds, live, canary, q, queueEffect, anytime.Question{
		Alpha: alpha, Beta: l.promote, Interval: l.bounds, Tolerance: tolerated, Margin: times(tolerated, l.stage.Slack),
	})
	e := evidence("seconds", v, alpha)
	if v.NLive == 0 || v.NCanary == 0 {
		e.Finding = NoData
	}
	return e
}

func times(l anytime.Limit, by float64) anytime.Limit {
	return anytime.Limit{Relative: l.Relative * by, Absolute: l.Absolute * by}
}

// latencyBounds are the upper bounds of a tally's latency bins.
var latencyBounds = func() []float64 {
	bounds := make([]float64, fairlead.LatencyBins)
	for i := range bounds {
		bounds[i] = fairlead.LatencyBound(i)
	}
	return bounds
}()

func (l look) latencies() (live, canary []uint64) {
	switch {
	case l.shadow && l.o.Pairs != nil:
		return l.o.Pairs.LiveLatency, l.o.Pairs.ShadowLatency
	case l.shadow || l.o.Canary == nil:
		return nil, nil
	case l.bake && l.base != nil:
		return l.base.Latency, l.o.Canary.Latency
	case l.o.Live != nil:
		return l.o.Live.Latency, l.o.Canary.Latency
	}
	return nil, nil
}

// drift compares the distributions of the score by the largest distance of their distribution functions.
func (l look) drift(g Gate) Evidence {
	alpha := l.alpha(GateDrift)
	live, canary, effect := l.scores()
	tolerated := anytime.Limit{Absolute: g.Absolute}
	if l.bake {
		tolerated = times(tolerated, 2)
	}
	v := anytime.Distributions(live, canary, effect, anytime.Question{
		Alpha: alpha, Beta: l.promote, Interval: true, Tolerance: tolerated, Margin: times(tolerated, l.stage.Slack),
	})
	e := evidence("distance", v, alpha)
	if v.NLive == 0 || v.NCanary == 0 {
		e.Finding = NoData
	}
	return e
}

func (l look) scores() (live, canary []uint64, effect float64) {
	switch {
	case l.shadow && l.o.Pairs != nil:
		for i, row := range l.o.Pairs.Joint {
			for j, n := range row {
				live, canary = grow(live, max(i, j), 0), grow(canary, max(i, j), 0)
				live[i] += n
				canary[j] += n
			}
		}
		return live, canary, math.Max(rowsPerRequest(l.o.Pairs), scoreEffect(l.o.Live))
	case l.shadow || l.o.Canary == nil:
		return nil, nil, 1
	case l.bake && l.base != nil:
		return l.base.Scores, l.o.Canary.Scores, math.Max(l.base.Effect, scoreEffect(l.o.Canary))
	case l.o.Live != nil:
		return l.o.Live.Scores, l.o.Canary.Scores, math.Max(scoreEffect(l.o.Live), scoreEffect(l.o.Canary))
	}
	return nil, nil, 1
}

func grow(counts []uint64, bin int, n uint64) []uint64 {
	for len(counts) <= bin {
		counts = append(counts, 0)
	}
	counts[bin] += n
	return counts
}

// rowsPerRequest deflates counts of rows: those of one request are alike.
func rowsPerRequest(p *fairlead.PairTally) float64 {
	if p.Requests == 0 {
		return 1
	}
	return math.Max(1, float64(p.Pairs)/float64(p.Requests))
}

// pairs are the gates of the shadow: each copy against the live answer of the same request.
func (l look) pairs(name string, g Gate) Evidence {
	p := l.o.Pairs
	if p == nil {
		return Evidence{Finding: NoData, Unit: "rate"}
	}
	all := float64(p.Requests + p.ShadowErrors + p.LiveErrors + p.Mismatched)
	rows := rowsPerRequest(p)
	switch name {
	case GateErrors:
		return l.ratesOf(g, anytime.Cell{N: all, Sum: float64(p.LiveErrors)}, anytime.Cell{N: all, Sum: float64(p.ShadowErrors)}, 1, l.alpha(name))
	case GateInvalid:
		return l.share(name, g, counted{float64(p.Pairs), float64(p.Invalid)}, rows)
	case GateFlips:
		return l.share(name, g, counted{float64(p.Pairs), float64(p.Flips)}, rows)
	case GateMismatch:
		return l.share(name, g, counted{all, float64(p.Mismatched)}, 1)
	}
	limit := l.farOff()
	if limit == 0 || p.Scored == 0 {
		return Evidence{Finding: NoData, Unit: "rate"}
	}
	return l.share(name, g, counted{float64(p.Scored), beyond(p.Difference, limit, fairlead.DifferenceBound)}, rows)
}

// fewestSegments: the level is divided by at least as many, so that it does not jump while segments are discovered.
const fewestSegments = 16

// segments looks for one segment in which the canary fails while the others hide it. The level is shared equally.
func (l look) segments(g Gate) Evidence {
	type row struct {
		name         string
		live, canary counted
	}
	var rows []row
	switch {
	case l.shadow && l.o.Pairs != nil:
		for name, s := range l.o.Pairs.Segments {
			n := float64(s.Pairs + s.ShadowErrors + s.LiveErrors) // as of all: requests that both could not answer say nothing
			rows = append(rows, row{name, counted{n, float64(s.LiveErrors)}, counted{n, float64(s.ShadowErrors + s.Invalid)}})
		}
	case !l.shadow && l.o.Canary != nil:
		for name, s := range l.o.Canary.Segments {
			r := row{name: name, canary: counted{float64(s.Requests), float64(s.Errors + s.Invalid)}}
			if l.bake && l.base != nil {
				r.live = counted{l.base.Segments[name].N, l.base.Segments[name].Events}
			} else if l.o.Live != nil {
				if s := l.o.Live.Segments[name]; s != nil {
					r.live = counted{float64(s.Requests), float64(s.Errors + s.Invalid)}
				}
			}
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return Evidence{Finding: NoData, Unit: "rate"}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.name, b.name) })
	effect := 1.0
	switch {
	case l.shadow:
		effect = rowsPerRequest(l.o.Pairs)
	case l.o.Canary != nil:
		failed := func(b *fairlead.TallyBucket) float64 { return float64(b.Errors + b.Invalid) }
		effect = anytime.RateDesignEffect(nil, cells(l.o.Canary, failed), l.alpha(GateSegments))
	}
	alpha := l.alpha(GateSegments) / float64(max(len(rows), fewestSegments))
	var worst Evidence
	for i, r := range rows {
		if i > 0 && !l.bounds && r.canary.rate() <= r.live.rate()+g.Absolute { // cannot be harm
			continue
		}
		var e Evidence
		if r.live.n == 0 { // new to the live version: against what is tolerated
			e = l.shareAt(g, r.canary, effect, alpha)
		} else {
			e = l.ratesOf(g, anytime.Cell{N: r.live.n, Sum: r.live.k}, anytime.Cell{N: r.canary.n, Sum: r.canary.k}, effect, alpha)
		}
		e.Segment = r.name
		if e.Finding == NonInferior {
			e.Finding = Open // of the worst segment alone it would say little
		}
		if i == 0 || e.Finding == Harm && worst.Finding != Harm || e.Finding == worst.Finding && e.LogE > worst.LogE {
			worst = e
		}
	}
	return worst
}

// fewestBuckets that have to be occupied before the sample ratio is judged: a handful of keys has no ratio.
const fewestBuckets = 64

// ratio checks that the canary's share of the requests is its weight.
func (l look) ratio() Evidence {
	alpha := l.alpha(GateRatio)
	w := float64(l.o.Weight)
	if w == 0 {
		w = float64(l.stage.Traffic)
	}
	none := func(*fairlead.TallyBucket) float64 { return 0 }
	live, canary := cells(l.o.Live, none), cells(l.o.Canary, none)
	occupied := 0
	for i := range min(len(live), len(canary)) {
		if live[i].N+canary[i].N > 0 {
			occupied++
		}
	}
	if occupied < fewestBuckets || w <= 0 || w >= 1 {
		return Evidence{Unit: "rate", Finding: NoData, Alpha: alpha}
	}
	v := anytime.Ratio(live, canary, w, anytime.Question{Alpha: alpha, Interval: l.bounds})
	e := evidence("rate", v, alpha)
	n := v.NLive + v.NCanary
	e.Live, e.Canary = Side{n, n * w, w}, Side{n, v.NCanary, v.Canary}
	return e
}

// plainRatio is the largest evidence against the weight that these counts could give: the likelihood ratio at the share seen,
// of independent requests. Mixtures and design effects only make it less.
func plainRatio(live, canary []anytime.Cell, w float64) float64 {
	k, m := anytime.Total(canary).N, anytime.Total(live).N
	sum := 0.0
	if k > 0 {
		sum += k * math.Log(k/(k+m)/w)
	}
	if m > 0 {
		sum += m * math.Log(m/(k+m)/(1-w))
	}
	return sum
}

// plus is the sum of what two stages know of the live version, either of which may be nil. Neither is changed.
func (b *Baseline) plus(o *Baseline) *Baseline {
	if b == nil || o == nil {
		return cmp.Or(b, o)
	}
	sum := &Baseline{
		Requests: b.Requests + o.Requests, Errors: b.Errors + o.Errors, Invalid: b.Invalid + o.Invalid,
		Latency: slices.Clone(b.Latency), Scores: slices.Clone(b.Scores), Effect: math.Max(b.Effect, o.Effect), Segments: maps.Clone(b.Segments),
	}
	for i, n := range o.Latency {
		sum.Latency = grow(sum.Latency, i, n)
	}
	for i, n := range o.Scores {
		sum.Scores = grow(sum.Scores, i, n)
	}
	for name, s := range o.Segments {
		if sum.Segments == nil {
			sum.Segments = map[string]Side{}
		}
		c := counted{sum.Segments[name].N + s.N, sum.Segments[name].Events + s.Events}
		sum.Segments[name] = Side{c.n, c.k, c.rate()}
	}
	return sum
}

// baseline keeps what the bake has to know of the live version.
func baseline(t *fairlead.Tally) *Baseline {
	if t == nil {
		return nil
	}
	sum := t.Total()
	b := &Baseline{
		Requests: float64(sum.Requests), Errors: float64(sum.Errors), Invalid: float64(sum.Invalid),
		Latency: slices.Clone(t.Latency), Scores: slices.Clone(t.Scores), Effect: scoreEffect(t),
	}
	for _, name := range slices.Sorted(maps.Keys(t.Segments)) {
		if b.Segments == nil {
			b.Segments = map[string]Side{}
		}
		s := t.Segments[name]
		c := counted{float64(s.Requests), float64(s.Errors + s.Invalid)}
		b.Segments[name] = Side{c.n, c.k, c.rate()}
	}
	return b
}
