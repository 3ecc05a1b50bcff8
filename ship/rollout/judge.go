package rollout

import (
	"math"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/rollout/anytime"
)

// Judge says what each gate of the current stage finds, with its numbers, in the order of GateNames and then of
// Policy.Metrics. It is what a page shows between decisions; Step uses the same. Nothing is judged outside Running and Baking.
func Judge(p Policy, s State, o Observation) []Evidence { return newLook(p, s, o, true).judge(s) }

// look is one stage's comparison at one moment.
type look struct {
	p       Policy
	o       Observation
	stage   Stage
	shadow  bool
	bake    bool
	bounds  bool // everything with intervals, as people see it; else what cannot be harm is passed over quickly
	held    bool // for a sample-ratio mismatch
	early   bool // non-inferiority is not asked for yet, or no longer
	base    *Baseline
	budget  float64 // of this stage and counting, all gates together
	promote float64 // level of non-inferiority, per gate
	restart float64 // part of the levels that this counting may spend

	span Duration // of the bake's present window, where only that is looked at
}

func newLook(p Policy, s State, o Observation, bounds bool) look {
	l := look{p: p, o: o, bounds: bounds, base: s.Baseline, bake: s.Phase == Baking, held: s.Held == ReasonRatio}
	if p.Kind != KindRollout || s.Phase != Running && s.Phase != Baking || s.Stage < 0 || s.Stage >= len(p.Stages) {
		return l
	}
	l.stage = p.Stages[s.Stage]
	l.shadow = l.stage.Traffic == 0
	l.early = !bounds && (l.bake || o.Now.Sub(s.Entered) < time.Duration(l.stage.Time))
	// Counting that begins anew is a new chance for a false alarm: the first has 4/5 of the level, all later ones together the
	// rest. No part is nothing: a stage whose gates cannot speak would be passed unseen.
	l.restart = 0.8
	if s.Restarts > 0 {
		l.restart = 0.2 * anytime.SpendOnce(1, s.Restarts-1)
	}
	l.budget = p.Budget * (1 - l.metricsShare()) / float64(len(p.Stages)) * l.restart
	l.promote = p.Promotion * l.restart
	return l
}

// gates that are judged in this kind of stage.
func (l look) gates() []string {
	switch {
	case l.stage.Traffic == 0 && !l.shadow:
		return nil
	case l.shadow:
		return []string{GateErrors, GateInvalid, GateLatencyP50, GateDrift, GateSegments, GateSegmentLatency, GateSegmentDifference, GateFlips, GateDifference, GateMismatch}
	case l.bake:
		return []string{GateErrors, GateInvalid, GateLatencyP50, GateLatencyP95, GateLatencyP99, GateDrift, GateSegments}
	}
	return []string{GateErrors, GateInvalid, GateLatencyP50, GateLatencyP95, GateLatencyP99, GateDrift, GateSegments, GateSegmentLatency, GateRatio}
}

// alpha is a gate's part of the stage's budget: by weight over the gates that are judged in it and may act.
func (l look) alpha(name string) float64 {
	if name == GateRatio {
		return ratioAlpha / float64(len(l.p.Stages)) * l.restart
	}
	sum := 0.0
	for _, g := range l.gates() {
		sum += weight(l.p.Gates[g])
	}
	if w := weight(l.p.Gates[name]); sum > 0 && w > 0 {
		return l.budget * w / sum
	}
	return l.budget / float64(len(GateNames())) // a gate that only reports
}

// ratioAlpha is the probability of a false alarm about the sample ratio in a whole rollout. It holds and hurts nobody, so
// that it has a budget of its own.
const ratioAlpha = 0.001

func weight(g Gate) float64 {
	if g.Mode == ModeAbort {
		return g.Weight
	}
	return 0
}

// metricsShare is the part of the budget that labels and business events have. Their evidence lasts for the whole rollout,
// so that it is not divided by stages.
func (l look) metricsShare() float64 {
	metrics, gates := 0.0, 0.0
	for _, m := range l.p.Metrics {
		metrics += weight(m.Gate)
	}
	for _, g := range l.p.Gates {
		gates += weight(g)
	}
	if metrics == 0 {
		return 0
	}
	return metrics / (metrics + gates)
}

func (l look) judge(s State) []Evidence {
	var all []Evidence
	var window *look
	if l.bake {
		l, window = l.halves(s)
	}
	for _, name := range l.gates() {
		g := l.p.Gates[name]
		if g.Mode == ModeOff || g.Mode == "" {
			continue
		}
		e := window.ofWindow(name, g, l.gate(name, g))
		e.Gate, e.Mode, e.Required = name, g.Mode, g.Required
		all = append(all, e)
	}
	for _, m := range l.p.Metrics {
		if m.Mode != ModeOff {
			all = append(all, l.metric(m))
		}
	}
	return all
}

func (l look) gate(name string, g Gate) Evidence {
	switch name {
	case GateLatencyP50:
		return l.latency(name, g, 0.5)
	case GateLatencyP95:
		return l.latency(name, g, 0.95)
	case GateLatencyP99:
		return l.latency(name, g, 0.99)
	case GateDrift:
		return l.drift(g)
	case GateSegments:
		return l.segments(g)
	case GateSegmentLatency:
		return l.segmentLatency(g)
	case GateSegmentDifference:
		return l.segmentDifference(g)
	case GateRatio:
		return l.ratio()
	}
	if l.shadow {
		return l.pairs(name, g)
	}
	return l.failures(name, g)
}

// failures are the gates errors and invalid while both versions answer, and in the bake.
func (l look) failures(name string, g Gate) Evidence {
	if l.o.Canary == nil {
		return Evidence{Finding: NoData, Unit: "rate"}
	}
	events := func(b *fairlead.TallyBucket) float64 { return float64(b.Errors) }
	if name == GateInvalid {
		events = func(b *fairlead.TallyBucket) float64 { return float64(b.Invalid) }
	}
	canary := cells(l.o.Canary, events)
	if !l.bake {
		return l.rates(g, cells(l.o.Live, events), canary, l.alpha(name))
	}
	sum := anytime.Total(canary)
	effect := anytime.RateDesignEffect(nil, canary, l.alpha(name))
	if l.base == nil || l.base.Requests == 0 { // nothing to compare with: only a disaster can be seen
		g.Absolute = math.Max(g.Absolute, 0.05)
		return l.share(name, g, counted{sum.N, sum.Sum}, effect)
	}
	live := anytime.Cell{N: l.base.Requests, Sum: l.base.Errors}
	if name == GateInvalid {
		live.Sum = l.base.Invalid
	}
	return l.ratesOf(g, live, sum, effect, l.alpha(name))
}

// cells are a tally's buckets of keys.
func cells(t *fairlead.Tally, events func(*fairlead.TallyBucket) float64) []anytime.Cell {
	if t == nil {
		return nil
	}
	all := make([]anytime.Cell, len(t.Buckets))
	for i := range t.Buckets {
		all[i] = anytime.Cell{N: float64(t.Buckets[i].Requests), Sum: events(&t.Buckets[i])}
	}
	return all
}

// rates compares two rates of events with keys as the unit of chance.
func (l look) rates(g Gate, live, canary []anytime.Cell, alpha float64) Evidence {
	effect := anytime.RateDesignEffect(live, canary, math.Min(alpha, l.promote))
	return l.ratesOf(g, anytime.Total(live), anytime.Total(canary), effect, alpha)
}

// ratesOf is rates with a known design effect. Harm is an increase that was shown and whose estimate is more than is
// tolerated: the test is against any increase at all, so that it finds a bad version soon, and a small one is let pass.
func (l look) ratesOf(g Gate, live, canary anytime.Cell, effect, alpha float64) Evidence {
	live.Sum, canary.Sum = math.Min(live.Sum, live.N), math.Min(canary.Sum, canary.N) // counters are not read at one moment
	q := anytime.Question{Alpha: alpha, Beta: l.promote, Interval: l.bounds}
	tolerated := anytime.Limit{Relative: g.Relative, Absolute: math.Min(g.Absolute, 0.99)}
	if l.bake { // the two were not counted at the same time
		tolerated.Relative, tolerated.Absolute = 2*tolerated.Relative, 2*tolerated.Absolute
		q.Tolerance = anytime.Limit{Relative: tolerated.Relative}
	}
	q.Margin = anytime.Limit{Relative: tolerated.Relative * l.stage.Slack, Absolute: math.Min(tolerated.Absolute*l.stage.Slack, 0.99)}
	v := anytime.RatesOf(live, canary, effect, q)
	e := evidence("rate", v, alpha)
	e.Live, e.Canary = Side{live.N, live.Sum, live.Mean()}, Side{canary.N, canary.Sum, canary.Mean()}
	e.Tolerance = tolerated.Over(live.Mean())
	if e.Finding == Harm && e.Difference <= e.Tolerance { // worse, by little: it may pass
		if e.Finding = Open; v.LogSafe >= math.Log(1/l.promote) {
			e.Finding = NonInferior
		}
	}
	if l.bounds { // nothing falls by more than there was
		_, most := anytime.ShareBounds(live.Sum/effect, live.N/effect, alpha, alpha)
		e.Lower = math.Max(e.Lower, -most)
		_, top := anytime.ShareBounds(canary.Sum/effect, canary.N/effect, l.promote, l.promote)
		e.Upper = math.Min(e.Upper, top)
	}
	return e
}

// share judges one arm's rate against a tolerated one.
func (l look) share(name string, g Gate, c counted, effect float64) Evidence {
	return l.shareAt(g, c, effect, l.alpha(name))
}

func (l look) shareAt(g Gate, c counted, effect, alpha float64) Evidence {
	c.k = math.Min(c.k, c.n)
	v := anytime.Tolerated(c.k, c.n, effect, anytime.Question{
		Alpha: alpha, Beta: l.promote, Interval: l.bounds,
		Tolerance: anytime.Limit{Absolute: g.Absolute}, Margin: anytime.Limit{Absolute: math.Min(g.Absolute*l.stage.Slack, 0.99)},
	})
	e := evidence("rate", v, alpha)
	e.Canary = Side{c.n, c.k, v.Canary}
	if c.n == 0 {
		e.Finding = NoData
	}
	return e
}

// evidence takes over a verdict's numbers and finding.
func evidence(unit string, v anytime.Verdict, alpha float64) Evidence {
	e := Evidence{
		Unit: unit, Finding: Open, Alpha: alpha, Threshold: math.Log(1 / alpha), LogE: v.LogE,
		Live: Side{N: v.NLive, Value: v.Live}, Canary: Side{N: v.NCanary, Value: v.Canary},
		Difference: v.Difference, Lower: v.Lower, Upper: v.Upper, Tolerance: v.Tolerance, Margin: v.Margin,
	}
	switch v.Finding {
	case anytime.Harm:
		e.Finding = Harm
	case anytime.NonInferior:
		e.Finding = NonInferior
	}
	return e
}

// metric compares the means of an outcome. Evidence is of the whole rollout.
func (l look) metric(m Metric) Evidence {
	sum := l.metricsShare()
	alpha := l.p.Budget * sum
	if all := l.metricWeights(); all > 0 && m.Mode == ModeAbort {
		alpha *= m.Weight / all
	} else {
		alpha = l.p.Budget / 10
	}
	e := Evidence{
		Gate: m.Name, Mode: m.Mode, Required: m.Required, Unit: "mean", Better: m.Better, Finding: NoData, Alpha: alpha, Threshold: math.Log(1 / alpha),
	}
	for _, out := range l.o.Outcomes {
		if out.Metric != m.Name {
			continue
		}
		live, canary := out.Live, out.Canary
		e.Live, e.Canary = Side{N: float64(live.N), Value: live.mean()}, Side{N: float64(canary.N), Value: canary.mean()}
		e.Difference = canary.mean() - live.mean()
		e.Tolerance = math.Max(m.Relative*math.Abs(live.mean()), m.Absolute)
		e.Margin = e.Tolerance * l.stage.Slack
		e.Finding = Open
		if min(live.N, canary.N) < max(m.Least, 2) {
			break
		}
		effect := 0.1
		if mean := math.Abs(live.mean()); mean > 0 {
			effect = 2 * e.Tolerance / mean // what is worth finding soonest is twice what is tolerated
		}
		v := meansOf(live, canary, m.Better, anytime.Question{
			Alpha: alpha, Beta: l.promote, Interval: true, Effect: effect,
			Margin: anytime.Limit{Relative: m.Relative * l.stage.Slack, Absolute: m.Absolute * l.stage.Slack},
		})
		e.LogE, e.Lower, e.Upper = v.LogE, v.Lower, v.Upper
		switch {
		case e.LogE >= e.Threshold && v.Difference > e.Tolerance:
			e.Finding = Harm
		case v.LogSafe >= math.Log(1/l.promote):
			e.Finding = NonInferior
		}
		if m.Better == Higher {
			e.Lower, e.Upper = -v.Upper, -v.Lower
		}
	}
	if e.Finding == NoData && m.Required {
		e.Finding = Open // it has to come
	}
	return e
}

func (l look) metricWeights() float64 {
	sum := 0.0
	for _, m := range l.p.Metrics {
		sum += weight(m.Gate)
	}
	return sum
}

// meansOf compares means where more is worse: of a metric whose higher values are good the signs are turned.
func meansOf(live, canary Moments, better Better, q anytime.Question) anytime.Verdict {
	cell := func(m Moments) anytime.Cell {
		c := anytime.Cell{N: float64(m.N), Sum: m.Sum, SumSquares: m.SumSquares}
		if better == Higher {
			c.Sum = -c.Sum
		}
		return c
	}
	return anytime.MeansOf(cell(live), cell(canary), 1, q)
}

func (m Moments) mean() float64 {
	if m.N == 0 {
		return 0
	}
	return m.Sum / float64(m.N)
}

// variance of one value, 0 from fewer than two.
func (m Moments) variance() float64 {
	if m.N < 2 {
		return 0
	}
	n := float64(m.N)
	return math.Max(0, (m.SumSquares-m.Sum*m.Sum/n)/(n-1))
}
