package tally

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Request is what is counted of one request.
type Request struct {
	Bucket  int // of the routing key, below fairlead.TallyBuckets
	Inputs  []fairlead.Tensor
	Outputs []fairlead.Tensor // all of the model's; nil where Failed
	Rows    int
	Took    time.Duration // in the queue and the run
	Cached  bool          // out of the cache
	Failed  bool          // the arm could not answer, and it was the server's side
	Late    bool          // given up after Took, without an answer
	Left    bool          // the client left before there was an answer: it counts as a request, and as nothing else
}

// Counter counts the requests of one arm. It may be used by many goroutines at once, and takes no lock.
type Counter struct {
	gauge    *Gauge
	segments *Segments
	cached   atomic.Uint64
	late     atomic.Uint64
	buckets  [fairlead.TallyBuckets]bucket
	shards   [shards]shard
	perPart  [fairlead.MaxSegments + 1]atomic.Pointer[segment]
}

// shards is how many copies of the histograms there are, so that cores seldom meet in one.
const shards = 8

// bucket is as large as a cache line.
type bucket struct {
	requests, errors, invalid, scored atomic.Uint64
	sum, squares                      float
	_                                 [16]byte
}

type shard struct {
	latency [fairlead.LatencyBins]atomic.Uint64
	scores  [fairlead.JointBins]atomic.Uint64
	classes [fairlead.MaxClasses]atomic.Uint64
}

type segment struct {
	requests, errors, invalid atomic.Uint64
	scores                    [fairlead.SegmentBins]atomic.Uint64
	latency                   [fairlead.SegmentLatency]atomic.Uint64
}

// float is a sum that many add to.
type float struct{ bits atomic.Uint64 }

func (f *float) add(x float64) {
	for {
		old := f.bits.Load()
		if f.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+x)) {
			return
		}
	}
}

func (f *float) load() float64 { return math.Float64frombits(f.bits.Load()) }

// NewCounter makes the counter of an arm. The arms of a split share segments.
func NewCounter(g *Gauge, s *Segments) *Counter { return &Counter{gauge: g, segments: s} }

// Count adds one request.
func (c *Counter) Count(r *Request) {
	var numbers [8]int
	in := numbers[:0]
	if r.Rows > 0 {
		in = c.segments.append(in, r.Inputs, 0)
	}
	b, s := &c.buckets[r.Bucket], &c.shards[r.Bucket%shards]
	b.requests.Add(1)
	for _, n := range in {
		c.segment(n).requests.Add(1)
	}
	if r.Failed || r.Left {
		if r.Failed {
			b.errors.Add(1)
			for _, n := range in {
				c.segment(n).errors.Add(1)
			}
		}
		return
	}
	c.latency(r, s, in)
	if r.Late {
		c.late.Add(1)
		return
	}
	if !finite(r.Outputs, -1) {
		b.invalid.Add(1)
		for _, n := range in {
			c.segment(n).invalid.Add(1)
		}
	}
	if r.Rows > 0 {
		c.answer(r, b, s, in)
	}
}

func (c *Counter) latency(r *Request, s *shard, in []int) {
	if r.Cached && !r.Late {
		c.cached.Add(1)
		return
	}
	bin := fairlead.LatencyBin(r.Took.Seconds())
	s.latency[bin].Add(1)
	for _, n := range in {
		c.segment(n).latency[bin/fairlead.LatencyPerOctave].Add(1)
	}
}

// answer counts the score and the class of the first row.
func (c *Counter) answer(r *Request, b *bucket, s *shard, in []int) {
	if n := c.gauge.counted(); n > 0 {
		if number := c.gauge.classOf(r.Outputs, 0).number; number >= 0 {
			s.classes[min(number, n-1)].Add(1)
		}
	}
	score, ok := c.gauge.Score(r.Outputs, 0)
	if !ok || !(math.Abs(score) < 1e150) { // its square would be infinite
		return
	}
	b.scored.Add(1)
	b.sum.add(score)
	b.squares.add(score * score)
	bin := fairlead.ScoreBin(c.gauge.edges, score)
	s.scores[bin].Add(1)
	for _, n := range in {
		c.segment(n).scores[bin*fairlead.SegmentBins/(len(c.gauge.edges)+1)].Add(1)
	}
}

func (c *Counter) segment(n int) *segment {
	if s := c.perPart[n].Load(); s != nil {
		return s
	}
	c.perPart[n].CompareAndSwap(nil, new(segment))
	return c.perPart[n].Load()
}

// Tally reads what was counted. Requests that are being counted meanwhile may be in some of the numbers and not yet in
// others.
func (c *Counter) Tally() *fairlead.Tally {
	t := &fairlead.Tally{Cached: c.cached.Load(), Late: c.late.Load(), Latency: make([]uint64, fairlead.LatencyBins)}
	for i := range c.buckets {
		b := &c.buckets[i]
		t.Buckets[i] = fairlead.TallyBucket{
			Errors: b.errors.Load(), Invalid: b.invalid.Load(), Scored: b.scored.Load(), Sum: b.sum.load(), SumSquares: b.squares.load(),
			Requests: b.requests.Load(), // last: never fewer than their errors
		}
	}
	if c.gauge.score != nil {
		t.Edges = slices.Clone(c.gauge.edges)
		t.Scores = make([]uint64, len(t.Edges)+1)
	}
	t.Classes = make([]uint64, c.gauge.counted())
	for i := range c.shards {
		s := &c.shards[i]
		read(t.Latency, s.latency[:])
		read(t.Scores, s.scores[:])
		read(t.Classes, s.classes[:])
	}
	for n := range c.perPart {
		s := c.perPart[n].Load()
		if s == nil {
			continue
		}
		if t.Segments == nil {
			t.Segments = map[string]*fairlead.TallySegment{}
		}
		out := &fairlead.TallySegment{Errors: s.errors.Load(), Invalid: s.invalid.Load(), Requests: s.requests.Load()}
		read(out.Scores[:], s.scores[:])
		read(out.Latency[:], s.latency[:])
		t.Segments[c.segments.name(n)] = out
	}
	return t
}

// read adds counts to dst, which may be shorter.
func read(dst []uint64, counts []atomic.Uint64) {
	for i := range dst {
		dst[i] += counts[i].Load()
	}
}
