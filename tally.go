package fairlead

import (
	"math"
	"slices"
)

// TallyBuckets is the number of buckets that routing keys are spread over by a hash that has nothing to do with the one
// that assigns them to arms.
const TallyBuckets = 256

// Tally is what one arm of a split did since the split began: plain counts that add up over replicas and spans. The unit is
// the request: one of many rows counts once, with the score, key and segments of its first row. Requests pinned by their
// client are in no tally.
type Tally struct {
	Buckets  [TallyBuckets]TallyBucket `json:"buckets"`            // by a hash of the routing key
	Cached   uint64                    `json:"cached"`             // answers out of the cache; in Buckets, not in Latency
	Late     uint64                    `json:"late"`               // given up so that the live version could answer before the client's deadline; in Latency with the time until then, not in Errors
	Latency  []uint64                  `json:"latency,omitempty"`  // answered by a run: time in the queue and the run; nil or LatencyBins long
	Edges    []float64                 `json:"edges,omitempty"`    // inner edges of Scores, ascending; the same for all arms
	Scores   []uint64                  `json:"scores,omitempty"`   // len(Edges)+1 bins: bin i has Edges[i-1] ≤ score < Edges[i]; nil: no score
	Classes  []uint64                  `json:"classes,omitempty"`  // answers by predicted class, MaxClasses at most, the last one and later ones together; nil: no classes
	Segments map[string]*TallySegment  `json:"segments,omitempty"` // by "feature=value", MaxSegments at most; the rest in SegmentRest
}

// TallyBucket counts the requests of the keys in one bucket. The spread of the means between buckets is their variance with
// what a key's requests have in common in it.
type TallyBucket struct {
	Requests   uint64  `json:"requests,omitempty"`
	Errors     uint64  `json:"errors,omitempty"`      // server-side failures, those included that another version answered instead
	Invalid    uint64  `json:"invalid,omitempty"`     // answers with a NaN or an infinity
	Scored     uint64  `json:"scored,omitempty"`      // answers with a finite score: the n of Sum
	Sum        float64 `json:"sum,omitempty"`         // of scores
	SumSquares float64 `json:"sum_squares,omitempty"` // of scores
}

// TallySegment counts the requests of one segment.
type TallySegment struct {
	Requests uint64                 `json:"requests"`
	Errors   uint64                 `json:"errors"`
	Invalid  uint64                 `json:"invalid"`
	Scores   [SegmentBins]uint64    `json:"scores"`  // bins of Tally.Scores, pooled: bin i of n goes to i·SegmentBins/n
	Latency  [SegmentLatency]uint64 `json:"latency"` // octaves: bin i of Tally.Latency goes to i/LatencyPerOctave
}

// Bounds of what a tally keeps.
const (
	MaxSegments    = 64
	MaxClasses     = 32
	SegmentRest    = "(rest)" // the name of what did not fit
	SegmentBins    = 8
	SegmentLatency = LatencyBins / LatencyPerOctave
	JointBins      = 32
	MaxExamples    = 20
)

// The bins of a latency: LatencyPerOctave bins to each doubling, the first from LatencyFloor seconds. Less is in the first
// bin, more in the last.
const (
	LatencyFloor     = 10e-6
	LatencyPerOctave = 8
	LatencyBins      = 24 * LatencyPerOctave
)

// LatencyBin is the bin of a duration in seconds.
func LatencyBin(seconds float64) int {
	return logBin(seconds, LatencyFloor, LatencyPerOctave, LatencyBins)
}

// LatencyBound is the upper bound of a bin in seconds, +Inf of the last.
func LatencyBound(bin int) float64 {
	if bin >= LatencyBins-1 {
		return math.Inf(1)
	}
	return LatencyFloor * math.Exp2(float64(bin+1)/LatencyPerOctave)
}

// The bins of an absolute difference of scores: DifferencePerOctave to each doubling, the second from DifferenceFloor. The
// first has what is smaller, zero above all.
const (
	DifferenceFloor     = 1e-9
	DifferencePerOctave = 4
	DifferenceBins      = 1 + 40*DifferencePerOctave
)

// DifferenceBin is the bin of |Δscore|.
func DifferenceBin(d float64) int {
	if !(d >= DifferenceFloor) {
		return 0
	}
	return 1 + logBin(d, DifferenceFloor, DifferencePerOctave, DifferenceBins-1)
}

// DifferenceBound is the upper bound of a bin, +Inf of the last.
func DifferenceBound(bin int) float64 {
	if bin >= DifferenceBins-1 {
		return math.Inf(1)
	}
	return DifferenceFloor * math.Exp2(float64(bin)/DifferencePerOctave)
}

func logBin(x, floor float64, perOctave, bins int) int {
	if !(x > floor) {
		return 0
	}
	return int(min(math.Log2(x/floor)*float64(perOctave), float64(bins-1)))
}

// BinQuantile is the upper bound of the bin that the p-quantile of the counts lies in, 0 < p ≤ 1, where bound is
// LatencyBound or DifferenceBound. It is NaN where nothing was counted, and for the last bin the lower bound.
func BinQuantile(counts []uint64, p float64, bound func(bin int) float64) float64 {
	var n, below uint64
	for _, c := range counts {
		n += c
	}
	if n == 0 {
		return math.NaN()
	}
	rank := uint64(math.Ceil(p * float64(n)))
	for i, c := range counts {
		if below += c; below >= rank && c > 0 {
			if b := bound(i); !math.IsInf(b, 1) || i == 0 {
				return b
			}
			return bound(i - 1)
		}
	}
	return math.NaN()
}

// ScoreBin is the bin of a finite score between these inner edges: the number of edges that are not above it.
func ScoreBin(edges []float64, score float64) int {
	i, found := slices.BinarySearch(edges, score)
	if found {
		i++
	}
	return i
}

// Total sums the buckets.
func (t *Tally) Total() TallyBucket {
	var sum TallyBucket
	for i := range t.Buckets {
		sum.add(&t.Buckets[i])
	}
	return sum
}

func (b *TallyBucket) add(o *TallyBucket) {
	b.Requests += o.Requests
	b.Errors += o.Errors
	b.Invalid += o.Invalid
	b.Scored += o.Scored
	b.Sum += o.Sum
	b.SumSquares += o.SumSquares
}

// Add adds o, which has the same Edges, to t. A tally whose edges differ keeps its own and leaves o's scores out.
func (t *Tally) Add(o *Tally) {
	for i := range t.Buckets {
		t.Buckets[i].add(&o.Buckets[i])
	}
	t.Cached += o.Cached
	t.Late += o.Late
	t.Latency = addCounts(t.Latency, o.Latency)
	if t.Edges == nil && t.Scores == nil {
		t.Edges = slices.Clone(o.Edges)
	}
	same := slices.Equal(t.Edges, o.Edges)
	if same {
		t.Scores = addCounts(t.Scores, o.Scores)
	}
	t.Classes = addCounts(t.Classes, o.Classes)
	for name, s := range o.Segments {
		t.segment(name).add(s, same)
	}
}

// segment is the counter of that name, or of the rest where there are too many.
func (t *Tally) segment(name string) *TallySegment {
	if t.Segments == nil {
		t.Segments = map[string]*TallySegment{}
	}
	return place(t.Segments, name)
}

// place finds or makes the entry, of the rest where MaxSegments others are there.
func place[S any](m map[string]*S, name string) *S {
	if s := m[name]; s != nil {
		return s
	}
	others := len(m)
	if m[SegmentRest] != nil {
		others--
	}
	if others >= MaxSegments && name != SegmentRest {
		return place(m, SegmentRest)
	}
	s := new(S)
	m[name] = s
	return s
}

func (s *TallySegment) add(o *TallySegment, scores bool) {
	s.Requests += o.Requests
	s.Errors += o.Errors
	s.Invalid += o.Invalid
	for i := range s.Latency {
		s.Latency[i] += o.Latency[i]
	}
	for i := range s.Scores {
		if scores {
			s.Scores[i] += o.Scores[i]
		}
	}
}

// addCounts adds b to a, which may be shorter.
func addCounts(a, b []uint64) []uint64 {
	if len(a) < len(b) {
		a = append(a, make([]uint64, len(b)-len(a))...)
	}
	for i, n := range b {
		a[i] += n
	}
	return a
}
