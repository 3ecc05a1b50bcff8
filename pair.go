package fairlead

import (
	"cmp"
	"math"
	"slices"
)

// PairTally compares a shadow's answers with the live answers to the same requests. It adds up as a Tally does. The unit is
// the row, of which a request gives PairRows at most; what fails fails as a request.
type PairTally struct {
	Requests     uint64 `json:"requests"`      // copies that both versions answered alike in shape and type
	Pairs        uint64 `json:"pairs"`         // their rows
	Flips        uint64 `json:"flips"`         // rows with another predicted class; threshold 0.5 for a single probability
	FlipRequests uint64 `json:"flip_requests"` // requests with at least one such row
	Invalid      uint64 `json:"invalid"`       // rows where the shadow gave a NaN or an infinity and the live version did not
	ShadowErrors uint64 `json:"shadow_errors"` // requests that the live version answered and the shadow could not
	LiveErrors   uint64 `json:"live_errors"`   // requests that the shadow answered and the live version could not
	Mismatched   uint64 `json:"mismatched"`    // requests with outputs of another name, shape or type
	Dropped      uint64 `json:"dropped"`       // copies that were not run because the shadow was busy

	Edges      []float64  `json:"edges,omitempty"`      // inner edges of the score bins of Joint, JointBins-1 at most
	Joint      [][]uint64 `json:"joint,omitempty"`      // rows by (bin of the live score, bin of the shadow's); nil: no score
	Difference []uint64   `json:"difference,omitempty"` // |Δscore| of rows: DifferenceBin
	// SumDifference is Σ(shadow − live) over rows with a score, SumSquaredDifference the sum of squares, Scored their number.
	SumDifference        float64 `json:"sum_difference"`
	SumSquaredDifference float64 `json:"sum_squared_difference"`
	Scored               uint64  `json:"scored"`

	LiveLatency   []uint64                `json:"live_latency,omitempty"` // of the compared requests, as Tally.Latency; answers out of the cache left out
	ShadowLatency []uint64                `json:"shadow_latency,omitempty"`
	Segments      map[string]*PairSegment `json:"segments,omitempty"`
	Examples      []PairExample           `json:"examples,omitempty"` // the largest disagreements, largest first, MaxExamples at most
}

// PairRows is how many rows of one request are compared at most: its first ones.
const PairRows = 64

// PairSegment counts the rows of one segment.
type PairSegment struct {
	Pairs         uint64  `json:"pairs"`
	Flips         uint64  `json:"flips"`
	Invalid       uint64  `json:"invalid"`
	ShadowErrors  uint64  `json:"shadow_errors"` // of PairTally.ShadowErrors those whose first row is of the segment
	LiveErrors    uint64  `json:"live_errors"`   // of PairTally.LiveErrors
	SumDifference float64 `json:"sum_difference"`
	Scored        uint64  `json:"scored"`

	// Difference is PairTally.Difference by octaves: SegmentDifferenceBin. nil where nothing was counted.
	Difference []uint64 `json:"difference,omitempty"`
	// The latencies are those of requests whose first row is of the segment, by octaves: bin i of PairTally.LiveLatency goes to
	// i/LatencyPerOctave.
	LiveLatency   []uint64 `json:"live_latency,omitempty"`
	ShadowLatency []uint64 `json:"shadow_latency,omitempty"`
}

// SegmentDifferences is the number of bins of PairSegment.Difference.
const SegmentDifferences = 1 + (DifferenceBins-1)/DifferencePerOctave

// SegmentDifferenceBin is where a bin of PairTally.Difference goes in a segment.
func SegmentDifferenceBin(bin int) int { return (bin + DifferencePerOctave - 1) / DifferencePerOctave }

// PairExample is one row on which the two versions disagree.
type PairExample struct {
	ID          string  `json:"id"`     // of the prediction: the same for both versions
	Live        float64 `json:"live"`   // score
	Shadow      float64 `json:"shadow"` // score; 0 where it is Invalid
	LiveClass   string  `json:"live_class,omitempty"`
	ShadowClass string  `json:"shadow_class,omitempty"`
	Flip        bool    `json:"flip,omitempty"`
	Invalid     bool    `json:"invalid,omitempty"` // the shadow's answer is no number
	Segment     string  `json:"segment,omitempty"`
}

// Compare is negative where e is the larger disagreement: an answer that is no number, else the larger |Δscore|, else a
// flip, else the smaller id.
func (e *PairExample) Compare(o *PairExample) int {
	return cmp.Or(
		cmp.Compare(rank(o.Invalid), rank(e.Invalid)),
		cmp.Compare(math.Abs(o.Live-o.Shadow), math.Abs(e.Live-e.Shadow)),
		cmp.Compare(rank(o.Flip), rank(e.Flip)),
		cmp.Compare(e.ID, o.ID))
}

func rank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Add adds o, which has the same Edges, to t. A tally whose edges differ keeps its own and leaves o's Joint out.
func (t *PairTally) Add(o *PairTally) {
	t.Requests += o.Requests
	t.Pairs += o.Pairs
	t.Flips += o.Flips
	t.FlipRequests += o.FlipRequests
	t.Invalid += o.Invalid
	t.ShadowErrors += o.ShadowErrors
	t.LiveErrors += o.LiveErrors
	t.Mismatched += o.Mismatched
	t.Dropped += o.Dropped
	t.SumDifference += o.SumDifference
	t.SumSquaredDifference += o.SumSquaredDifference
	t.Scored += o.Scored
	if t.Edges == nil && t.Joint == nil {
		t.Edges = slices.Clone(o.Edges)
	}
	if slices.Equal(t.Edges, o.Edges) {
		for len(t.Joint) < len(o.Joint) {
			t.Joint = append(t.Joint, nil)
		}
		for i, row := range o.Joint {
			t.Joint[i] = addCounts(t.Joint[i], row)
		}
	}
	t.Difference = addCounts(t.Difference, o.Difference)
	t.LiveLatency = addCounts(t.LiveLatency, o.LiveLatency)
	t.ShadowLatency = addCounts(t.ShadowLatency, o.ShadowLatency)
	if t.Segments == nil && len(o.Segments) > 0 {
		t.Segments = map[string]*PairSegment{}
	}
	for name, s := range o.Segments {
		place(t.Segments, name).add(s)
	}
	examples := slices.Concat(t.Examples, o.Examples)
	slices.SortFunc(examples, func(a, b PairExample) int { return a.Compare(&b) })
	t.Examples = examples[:min(len(examples), MaxExamples)]
}

func (s *PairSegment) add(o *PairSegment) {
	s.Pairs += o.Pairs
	s.Flips += o.Flips
	s.Invalid += o.Invalid
	s.ShadowErrors += o.ShadowErrors
	s.LiveErrors += o.LiveErrors
	s.SumDifference += o.SumDifference
	s.Scored += o.Scored
	s.Difference = addCounts(s.Difference, o.Difference)
	s.LiveLatency = addCounts(s.LiveLatency, o.LiveLatency)
	s.ShadowLatency = addCounts(s.ShadowLatency, o.ShadowLatency)
}
