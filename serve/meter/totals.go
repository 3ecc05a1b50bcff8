package meter

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// totals are the counts of one version in one shard since the server started.
type totals struct {
	version  fairlead.Version
	last     time.Time // the last request's end
	rows     uint64    // answered
	run      uint64    // of those, by a run
	together uint64    // requests whose run had rows of others too
	outcomes []outcome // [0] is success, once anything was counted

	decode, queue, compute, encode, whole histogram // of successful requests; cached ones have no queue and compute
	exemplars                             *[buckets]exemplar
	fail, hit, miss                       Total
	hitDecode, hitEncode                  time.Duration // of those out of the cache

	runs    [sizes]uint64 // by rows, by sizeBucket
	batches []Batch       // by rows, ascending
}

type outcome struct {
	code   fairlead.Code
	reason string
	n      uint64
}

// exemplar is the latest traced request whose latency fell into a bucket.
type exemplar struct {
	trace string
	took  time.Duration
	at    time.Time
}

// maxOutcomes bounds the pairs of code and reason, should a reason ever be made of what a client sent.
const maxOutcomes = 48

func (t *totals) observe(o *Observation) {
	t.last = o.At
	if o.Code != "" {
		t.fail.add(o.Total)
		t.count(o.Code, o.Reason, 1)
		return
	}
	if len(t.outcomes) == 0 {
		t.outcomes = append(t.outcomes, outcome{})
	}
	t.outcomes[0].n++
	t.rows += uint64(o.Rows)
	t.decode.observe(o.Stages.Decode)
	t.encode.observe(o.Stages.Encode)
	bucket := t.whole.observe(o.Total)
	if o.Trace != "" {
		if t.exemplars == nil {
			t.exemplars = new([buckets]exemplar)
		}
		t.exemplars[bucket] = exemplar{o.Trace, o.Total, o.At}
	}
	if o.Cached {
		t.hit.add(cmp.Or(o.Lookup, o.Stages.Run))
		t.hitDecode += o.Stages.Decode
		t.hitEncode += o.Stages.Encode
		return
	}
	t.run += uint64(o.Rows)
	t.queue.observe(o.Stages.Queue)
	t.compute.observe(o.Stages.Run)
	if o.Lookup > 0 {
		t.miss.add(o.Lookup)
	}
	if o.BatchRows > o.Rows {
		t.together++
	}
}

func (t *totals) count(code fairlead.Code, reason string, n uint64) {
	if len(t.outcomes) == 0 {
		t.outcomes = append(t.outcomes, outcome{})
	}
	if len(t.outcomes) >= maxOutcomes && t.outcome(code, reason) == nil {
		reason = "other"
	}
	at := t.outcome(code, reason)
	if at == nil {
		t.outcomes = append(t.outcomes, outcome{code: code, reason: reason})
		at = &t.outcomes[len(t.outcomes)-1]
	}
	at.n += n
}

func (t *totals) outcome(code fairlead.Code, reason string) *outcome {
	i := slices.IndexFunc(t.outcomes, func(o outcome) bool { return o.code == code && o.reason == reason })
	if i < 0 {
		return nil
	}
	return &t.outcomes[i]
}

func (t *totals) observeRun(rows int, took time.Duration) {
	rows = max(rows, 0)
	t.runs[sizeBucket(rows)]++
	t.batch(uint64(rows)).add(took)
}

// maxBatches is how many sizes are told apart exactly; others are counted as the next power of two.
const maxBatches = 256

func (t *totals) batch(rows uint64) *Total {
	i, ok := slices.BinarySearchFunc(t.batches, rows, func(b Batch, rows uint64) int { return cmp.Compare(b.Rows, rows) })
	if !ok && len(t.batches) >= maxBatches && rows&(rows-1) != 0 {
		return t.batch(1 << bits.Len64(rows))
	}
	if !ok {
		t.batches = slices.Insert(t.batches, i, Batch{Rows: rows})
	}
	return &t.batches[i].Run
}

// add adds another's counts.
func (t *totals) add(o *totals) {
	if o.last.After(t.last) {
		t.last = o.last
	}
	t.rows += o.rows
	t.run += o.run
	t.together += o.together
	for _, c := range o.outcomes {
		t.count(c.code, c.reason, c.n)
	}
	t.decode.add(&o.decode)
	t.queue.add(&o.queue)
	t.compute.add(&o.compute)
	t.encode.add(&o.encode)
	t.whole.add(&o.whole)
	t.fail = t.fail.plus(o.fail)
	t.hit = t.hit.plus(o.hit)
	t.miss = t.miss.plus(o.miss)
	t.hitDecode += o.hitDecode
	t.hitEncode += o.hitEncode
	for i, n := range o.runs {
		t.runs[i] += n
	}
	for _, b := range o.batches {
		at := t.batch(b.Rows)
		*at = at.plus(b.Run)
	}
	if o.exemplars != nil {
		if t.exemplars == nil {
			t.exemplars = new([buckets]exemplar)
		}
		for i, e := range o.exemplars {
			if e.at.After(t.exemplars[i].at) {
				t.exemplars[i] = e
			}
		}
	}
}

// bounds are the upper ends of the latency buckets, in nanoseconds: 1 µs to 10 s, three to the decade. What is longer is
// counted in one more bucket.
var bounds = [...]int64{1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6, 2.5e6, 5e6, 1e7, 2.5e7, 5e7, 1e8, 2.5e8, 5e8,
	1e9, 2.5e9, 5e9, 1e10}

const buckets = len(bounds) + 1

// first is, by the length of a number in bits, the lowest bucket that such a number can be in.
var first = func() (f [65]uint8) {
	for n := range f {
		low := int64(0)
		if n > 0 {
			low = 1 << min(n-1, 62)
		}
		i, _ := slices.BinarySearch(bounds[:], low)
		f[n] = uint8(i)
	}
	return f
}()

// histogram counts durations in the buckets of bounds.
type histogram struct {
	n   [buckets]uint64
	sum time.Duration
}

// observe counts d and gives its bucket. Upper ends belong to their bucket.
func (h *histogram) observe(d time.Duration) int {
	d = max(d, 0)
	i := int(first[bits.Len64(uint64(d))])
	for i < len(bounds) && int64(d) > bounds[i] {
		i++
	}
	h.n[i]++
	h.sum += d
	return i
}

func (h *histogram) add(o *histogram) {
	for i, n := range o.n {
		h.n[i] += n
	}
	h.sum += o.sum
}

func (h *histogram) count() (n uint64) {
	for _, c := range h.n {
		n += c
	}
	return n
}

// sizes is the number of batch size buckets: powers of two to 4096, and one for more.
const sizes = 14

// sizeBucket is the bucket of a batch: rows up to 1, 2, 4 …
func sizeBucket(rows int) int { return min(bits.Len64(uint64(max(rows, 1)-1)), sizes-1) }
