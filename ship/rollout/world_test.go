package rollout

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// arm is how a version behaves.
type arm struct {
	errors, invalid float64 // per request
	latency         float64 // median in seconds; log-normal with sigma 0.5
	score           float64 // added to a score that is uniform on 0.1 … 0.9
	badSegment      float64 // error rate in the segment origin=JFK, a twentieth of the traffic
	slowSegment     float64 // how many times slower that segment is; 0: not at all
	movedSegment    float64 // shadow: added to its scores
}

var healthy = arm{errors: 0.01, latency: 0.010}

func (a arm) with(change func(*arm)) arm {
	change(&a)
	return a
}

// world makes the tallies of a deployment with two versions, a look at a time.
type world struct {
	live, canary arm
	perMinute    float64
	look         time.Duration
	skew         float64 // part of the canary's requests that get lost before they are counted
	rng          *rand.Rand

	policy    Policy
	state     State
	obs       Observation
	decisions []Decision
	stage     int
	window    int
	baking    bool
	shape     map[float64][]float64 // of latencies, by median
}

var epoch = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC) // a Monday

func newWorld(p Policy, seed uint64) *world {
	w := &world{live: healthy, canary: healthy, perMinute: 6000, look: time.Minute, rng: rand.New(rand.NewPCG(seed, 4)), policy: p, stage: -1, shape: map[float64][]float64{}}
	w.obs = Observation{Now: epoch, Epoch: "boot 1"}
	w.reset()
	w.state, w.decisions = Start(p, epoch, "ada", "the May retraining")
	return w
}

// reset begins counting anew, as the controller does when a stage begins.
func (w *world) reset() {
	edges := make([]float64, 31)
	for i := range edges {
		edges[i] = float64(i+1) / 32
	}
	w.obs.Live = &fairlead.Tally{Edges: edges}
	w.obs.Canary = &fairlead.Tally{Edges: edges}
	w.obs.Pairs = &fairlead.PairTally{}
}

// step lets one look's time pass and looks.
func (w *world) step() {
	w.obs.Now = w.obs.Now.Add(w.look)
	w.serve()
	w.decide()
}

func (w *world) decide() {
	state, decisions := Step(w.policy, w.state, w.obs)
	w.take(state, decisions)
}

func (w *world) take(state State, decisions []Decision) {
	w.state = state
	w.decisions = append(w.decisions, decisions...)
	if baking := state.Phase == Baking; state.Stage != w.stage || baking != w.baking || state.Window != w.window {
		w.stage, w.baking, w.window = state.Stage, baking, state.Window
		w.reset()
	}
}

func (w *world) command(do Do, who, why string) error {
	state, decisions, err := Apply(w.policy, w.state, w.obs, Command{Do: do, Who: who, Why: why})
	w.take(state, decisions)
	return err
}

// run looks until the rollout is over or n looks are done.
func (w *world) run(n int) int {
	for i := range n {
		if w.step(); w.state.Phase.Over() {
			return i + 1
		}
	}
	return n
}

func (w *world) until(done func() bool) {
	for range 5000 {
		if w.step(); done() {
			return
		}
	}
	panic("it never happens:\n" + Explain(w.decisions))
}

// serve counts one look's requests.
func (w *world) serve() {
	n := w.perMinute * w.look.Minutes()
	t := w.state.Traffic(w.policy)
	c := float64(t.Canary)
	if t.Shadow {
		w.shadow(n)
	}
	w.count(w.obs.Live, w.live, n*(1-c))
	w.count(w.obs.Canary, w.canary, n*c*(1-w.skew))
}

func (w *world) count(t *fairlead.Tally, a arm, n float64) {
	if n == 0 {
		return
	}
	requests := 0.0
	for i := range t.Buckets {
		b := &t.Buckets[i]
		m := w.poisson(n / fairlead.TallyBuckets)
		b.Requests += uint64(m)
		b.Scored += uint64(m)
		mean := 0.5 + a.score + 0.23*w.rng.NormFloat64()/math.Sqrt(max(m, 1))
		b.Sum += m * mean
		b.SumSquares += m * (mean*mean + 0.053)
		requests += m
	}
	if t.Segments == nil {
		t.Segments = map[string]*fairlead.TallySegment{}
	}
	for range int(min(w.poisson(requests*a.errors), requests)) {
		bucket := w.rng.IntN(fairlead.TallyBuckets)
		for t.Buckets[bucket].Errors >= t.Buckets[bucket].Requests { // what was not asked cannot fail
			bucket = (bucket + 1) % fairlead.TallyBuckets
		}
		t.Buckets[bucket].Errors++
		w.segment(t, w.rng.IntN(20)).Errors++
	}
	for range int(min(w.poisson(requests*a.invalid), requests)) {
		t.Buckets[w.rng.IntN(fairlead.TallyBuckets)].Invalid++
		w.segment(t, w.rng.IntN(20)).Invalid++
	}
	for i := range 20 {
		s := w.segment(t, i)
		m := w.poisson(requests / 20)
		s.Requests += uint64(m)
		w.octaves(s.Latency[:], a.in(i), m)
		if i == 0 && a.badSegment > 0 {
			for range int(w.poisson(m * a.badSegment)) {
				s.Errors++
				t.Buckets[w.rng.IntN(fairlead.TallyBuckets)].Errors++
			}
		}
	}
	t.Latency = w.latencies(t.Latency, a, requests)
	t.Scores = w.scores(t.Scores, a, requests)
}

var origins = [20]string{"JFK", "ATL", "ORD", "DFW", "DEN", "LAX", "SFO", "SEA", "LAS", "MCO", "CLT", "PHX", "EWR", "IAH", "MIA", "BOS", "MSP", "FLL", "DTW", "PHL"}

func (w *world) segment(t *fairlead.Tally, i int) *fairlead.TallySegment {
	name := "origin=" + origins[i]
	if t.Segments[name] == nil {
		t.Segments[name] = &fairlead.TallySegment{}
	}
	return t.Segments[name]
}

func (w *world) latencies(counts []uint64, a arm, n float64) []uint64 {
	if counts == nil {
		counts = make([]uint64, fairlead.LatencyBins)
	}
	for i, p := range w.shapeOf(a) {
		if p > 1e-9 {
			counts[i] += uint64(w.poisson(n * p))
		}
	}
	return counts
}

// shapeOf is the share of the latencies in each bin.
func (w *world) shapeOf(a arm) []float64 {
	if w.shape[a.latency] == nil {
		shape, below := make([]float64, fairlead.LatencyBins), 0.0
		for i := range shape {
			p := 1.0
			if b := fairlead.LatencyBound(i); !math.IsInf(b, 1) {
				p = 0.5 * math.Erfc(-math.Log(b/a.latency)/0.5/math.Sqrt2)
			}
			shape[i], below = p-below, p
		}
		w.shape[a.latency] = shape
	}
	return w.shape[a.latency]
}

func (w *world) scores(counts []uint64, a arm, n float64) []uint64 {
	if counts == nil {
		counts = make([]uint64, 32)
	}
	for i := range counts {
		low, high := max(float64(i)/32, 0.1+a.score), min(float64(i+1)/32, 0.9+a.score)
		if high > low {
			counts[i] += uint64(w.poisson(n * (high - low) / 0.8))
		}
	}
	return counts
}

// shadow compares copies: the shadow's score is the live one's, moved.
func (w *world) shadow(n float64) {
	p := w.obs.Pairs
	requests := w.poisson(n)
	failed := min(w.poisson(requests*w.canary.errors), requests)
	p.ShadowErrors += uint64(failed)
	p.LiveErrors += uint64(w.poisson(requests * w.live.errors))
	ok := requests - failed
	p.Requests += uint64(ok)
	p.Pairs += uint64(ok)
	invalid := min(w.poisson(ok*w.canary.invalid), ok)
	p.Invalid += uint64(invalid)
	p.Scored += uint64(ok - invalid)
	if p.Difference == nil {
		p.Difference = make([]uint64, fairlead.DifferenceBins)
		p.Joint = make([][]uint64, fairlead.JointBins)
		for i := range p.Joint {
			p.Joint[i] = make([]uint64, fairlead.JointBins)
		}
	}
	moved := math.Abs(w.canary.score - w.live.score)
	p.Difference[fairlead.DifferenceBin(moved)] += uint64(ok - invalid)
	p.Flips += uint64(w.poisson((ok - invalid) * moved / 0.8))
	for i := range p.Joint {
		low, high := max(float64(i)/32, 0.1), min(float64(i+1)/32, 0.9)
		if high > low {
			j := min(31, int(32*((low+high)/2+moved)))
			p.Joint[i][j] += uint64(w.poisson((ok - invalid) * (high - low) / 0.8))
		}
	}
	p.LiveLatency = w.latencies(p.LiveLatency, w.live, ok)
	p.ShadowLatency = w.latencies(p.ShadowLatency, w.canary, ok)
	for i := range origins {
		w.pairs(p, i, w.poisson(ok/20))
	}
}

// pairs compares n copies of one segment.
func (w *world) pairs(p *fairlead.PairTally, i int, n float64) {
	if p.Segments == nil {
		p.Segments = map[string]*fairlead.PairSegment{}
	}
	s := p.Segments["origin="+origins[i]]
	if s == nil {
		s = &fairlead.PairSegment{
			Difference:  make([]uint64, fairlead.SegmentDifferences),
			LiveLatency: make([]uint64, fairlead.SegmentLatency), ShadowLatency: make([]uint64, fairlead.SegmentLatency),
		}
		p.Segments["origin="+origins[i]] = s
	}
	s.Pairs += uint64(n)
	s.Scored += uint64(n)
	s.Invalid += uint64(min(w.poisson(n*w.canary.invalid), n))
	s.ShadowErrors += uint64(w.poisson(n * w.canary.errors))
	s.LiveErrors += uint64(w.poisson(n * w.live.errors))
	moved := math.Abs(w.canary.score - w.live.score)
	if i == 0 {
		moved += w.canary.movedSegment
	}
	s.Difference[fairlead.SegmentDifferenceBin(fairlead.DifferenceBin(moved))] += uint64(n)
	w.octaves(s.LiveLatency, w.live.in(i), n)
	w.octaves(s.ShadowLatency, w.canary.in(i), n)
}

// in is how the version behaves in one segment.
func (a arm) in(segment int) arm {
	if segment == 0 && a.slowSegment > 0 {
		a.latency *= a.slowSegment
	}
	return a
}

// octaves counts latencies as segments do.
func (w *world) octaves(counts []uint64, a arm, n float64) {
	sum := 0.0
	for i, p := range w.shapeOf(a) {
		if sum += p; (i+1)%fairlead.LatencyPerOctave > 0 {
			continue
		}
		if sum > 1e-9 {
			counts[i/fairlead.LatencyPerOctave] += uint64(w.poisson(n * sum))
		}
		sum = 0
	}
}

// poisson draws a number of mean l.
func (w *world) poisson(l float64) float64 {
	if l > 40 {
		return max(0, math.Round(l+math.Sqrt(l)*w.rng.NormFloat64()))
	}
	k, p, limit := -1.0, 1.0, math.Exp(-l)
	for p > limit {
		k++
		p *= w.rng.Float64()
	}
	return max(k, 0)
}

func mustParse(text string) Policy {
	p, err := Parse([]byte(text))
	if err != nil {
		panic(fmt.Sprintf("%s\n%v", text, err))
	}
	return p
}
