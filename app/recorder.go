package app

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/eventlog/keep"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

const (
	// maxPendingRows bounds what waits for the recorder: at 200 bytes a row, some 50 MB.
	maxPendingRows = 250_000
	// flushRows starts a batch early, so that one message stays near a megabyte.
	flushRows = 20_000
	// chunkBytes bounds one message's rows before compression, well under what the event log takes.
	chunkBytes = 6 << 20
	// drainWithin is how long a stop tries to write what is left.
	drainWithin = 20 * time.Second
	// maxWaiting bounds the predictions that wait to be gathered.
	maxWaiting = 16_384
)

// recorder takes finished predictions off the request path: it counts every row into per-minute profiles and writes the
// rows in batches to the event log. Record never blocks; what does not fit is dropped and counted. Stop writes the rest.
type recorder struct {
	log      appender
	versions versionInfo
	slog     *slog.Logger
	chunk    int           // bytes of one message's rows before compression
	every    time.Duration // at most this much is lost by a crash, plus one write

	// What waits is a list and no channel: nobody is woken for a single row.
	mu      sync.Mutex
	waiting []waiting
	rows    int           // of them
	bytes   int64         // of them
	urgent  bool          // somebody waits until they are on disk
	closed  bool          // nobody takes them any more
	full    chan struct{} // a batch is together, or so many predictions that the list must be taken

	pending  atomic.Int64 // rows that wait or are in the batch
	held     atomic.Int64 // bytes of them
	recorded atomic.Uint64
	dropped  atomic.Uint64
	sampled  atomic.Uint64 // rows that the policy chose not to store

	policies policyInfo              // nil: keep.Default for all
	chance   func(id string) float64 // of a row
}

// waiting is a prediction on its way to the recorder. done, if not nil, hears when it is on disk or why not.
type waiting struct {
	p     *fairlead.Prediction
	bytes int64
	done  chan<- error
}

// appender is the event log as the recorder needs it.
type appender interface {
	Append(ctx context.Context, s eventlog.Stream, msgID string, data []byte) (uint64, error)
}

// versionInfo knows what a deployed version's rows look like. The layout is nil when it has no reference.
type versionInfo interface {
	Info(name fairlead.Name, v fairlead.Version) (fairlead.Signature, *profile.Layout, bool)
}

func newRecorder(log appender, versions versionInfo, every time.Duration, l *slog.Logger) *recorder {
	return &recorder{
		log: log, versions: versions, every: every, slog: l, chunk: chunkBytes,
		full: make(chan struct{}, 1), chance: keep.Chance(0),
	}
}

// Record implements serve.Recorder.
func (r *recorder) Record(p *fairlead.Prediction) { r.put(waiting{p: p, bytes: bytesOf(p)}) }

func (r *recorder) put(w waiting) {
	rows := len(w.p.Rows)
	// What is too large for the bound by itself goes in alone.
	held := r.held.Add(w.bytes)
	if r.pending.Add(int64(rows)) > maxPendingRows || held > maxPendingBytes && held > w.bytes {
		r.refuse(w)
		return
	}
	r.mu.Lock()
	taken := !r.closed && len(r.waiting) < maxWaiting
	if taken {
		r.waiting = append(r.waiting, w)
		r.rows += rows
		r.bytes += w.bytes
		r.urgent = r.urgent || w.done != nil
	}
	full := r.urgent || r.rows >= flushRows || r.bytes >= flushBytes || len(r.waiting) >= maxWaiting/2
	r.mu.Unlock()
	if !taken {
		r.refuse(w)
		return
	}
	r.recorded.Add(uint64(rows))
	if full {
		select {
		case r.full <- struct{}{}:
		default: // it has been told already
		}
	}
}

// refuse drops a prediction that there is no room for.
func (r *recorder) refuse(w waiting) {
	r.held.Add(-w.bytes)
	r.drop(len(w.p.Rows))
	if w.done != nil {
		w.done <- errQueueFull
	}
}

// take gives what waits, and whether somebody waits for it; used is memory to be used again. last is the end of taking:
// Record drops from then on.
func (r *recorder) take(used []waiting, last bool) (all []waiting, urgent bool) {
	clear(used)
	r.mu.Lock()
	defer r.mu.Unlock()
	all, urgent = r.waiting, r.urgent
	r.waiting, r.rows, r.bytes, r.urgent, r.closed = used[:0], 0, 0, false, last
	return all, urgent
}

// drop counts rows that were pending and will not be written.
func (r *recorder) drop(rows int) {
	r.pending.Add(-int64(rows))
	r.dropped.Add(uint64(rows))
}

type versionKey struct {
	name    fairlead.Name
	version fairlead.Version
}

// batch is what is gathered between two writes.
type batch struct {
	rows  int
	bytes int64
	parts []*part
	last  *part // where the last prediction went: most are of the version of the one before
}

// part is a batch's predictions of one version.
type part struct {
	versionKey
	preds  []*fairlead.Prediction
	sig    fairlead.Signature
	fields []fairlead.Field // of sig
	layout *profile.Layout
	known  bool
	policy *keep.Policy
	done   []chan<- error // of those who wait
	err    error          // rows of it are not on disk
}

// part gives the version's part, a new one if it has none yet.
func (r *recorder) part(b *batch, key versionKey) *part {
	if b.last != nil && b.last.versionKey == key {
		return b.last
	}
	i := slices.IndexFunc(b.parts, func(p *part) bool { return p.versionKey == key })
	if i < 0 {
		i = len(b.parts)
		p := &part{versionKey: key}
		p.sig, p.layout, p.known = r.versions.Info(key.name, key.version)
		if p.layout == nil {
			p.layout = &profile.Layout{} // counts rows only
		}
		p.fields = p.sig.Fields()
		if r.policies != nil {
			p.policy = r.policies.Policy(key.name, key.version)
		}
		if p.policy == nil {
			p.policy = keep.Default()
		}
		b.parts = append(b.parts, p)
	}
	b.last = b.parts[i]
	return b.last
}

// Run gathers and writes until ctx ends, then drains the queue. It is the owner of the batch.
func (r *recorder) Run(ctx context.Context) {
	// The end of ctx must not cut off a write that is under way: writing ends some time later.
	write, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drainWithin, cancel) })
	defer stop()
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	b := &batch{}
	var all []waiting
	var urgent bool
	for {
		select {
		case <-r.full:
			all, urgent = r.take(all, false)
			if b = r.gather(write, b, all); urgent {
				b = r.flush(write, b)
			}
		case <-tick.C:
			all, _ = r.take(all, false)
			b = r.flush(write, r.gather(write, b, all))
		case <-ctx.Done(): // the servers have stopped
			all, _ = r.take(nil, true)
			r.flush(write, r.gather(write, b, all))
			return
		}
	}
}

// gather adds predictions to the batch, which it writes and replaces whenever it is full.
func (r *recorder) gather(ctx context.Context, b *batch, all []waiting) *batch {
	for _, w := range all {
		part := r.part(b, versionKey{w.p.Deployment, w.p.Version})
		part.preds = append(part.preds, w.p)
		if w.done != nil {
			part.done = append(part.done, w.done)
		}
		b.bytes += w.bytes
		if b.rows += len(w.p.Rows); b.rows >= flushRows || b.bytes >= flushBytes {
			b = r.flush(ctx, b)
		}
	}
	return b
}

// flush writes the batch and returns a fresh one. It tries until the log takes it or ctx ends: meanwhile the queue
// fills up and Record counts what it drops.
func (r *recorder) flush(ctx context.Context, b *batch) *batch {
	if b.rows == 0 {
		return b
	}
	for _, m := range r.encode(b) {
		if err := r.append(ctx, m); err != nil {
			r.slog.Error("rows not recorded", "stream", m.stream, "rows", m.rows, "err", err)
			r.drop(m.rows + m.sampled)
			if m.rows > 0 {
				m.part.err = err
			}
			continue
		}
		r.pending.Add(-int64(m.rows + m.sampled))
		r.sampled.Add(uint64(m.sampled))
	}
	r.held.Add(-b.bytes)
	b.settle()
	return &batch{}
}

// append tries until the log takes the message, says that it never will, or ctx ends.
func (r *recorder) append(ctx context.Context, m message) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		_, err := r.log.Append(ctx, m.stream, m.id, m.data)
		if err == nil {
			return nil
		}
		if code := fairlead.CodeOf(err); code == fairlead.CodeTooLarge || code == fairlead.CodeInvalid || ctx.Err() != nil {
			return err
		}
		r.slog.Warn("event log refuses rows; trying again", "stream", m.stream, "wait", wait, "err", err)
		if pause(ctx, wait) != nil {
			return err
		}
	}
}

// chunks cuts predictions into lists of at most flushRows rows and about limit bytes each; a larger prediction is cut by
// rows.
func chunks(all []*fairlead.Prediction, limit int, width func(*fairlead.Tensor) int) [][]*fairlead.Prediction {
	var out [][]*fairlead.Prediction
	rows, size := flushRows, 0 // full, so that the first prediction opens a list
	for _, p := range all {
		perRow := rowBytes(p, width)
		step := max(1, min(flushRows, limit/perRow))
		for from := 0; from < len(p.Rows); from += step {
			part := rowsOf(p, from, min(from+step, len(p.Rows)))
			n := len(part.Rows)
			if rows+n > flushRows || size+n*perRow > limit {
				out, rows, size = append(out, nil), 0, 0
			}
			out[len(out)-1] = append(out[len(out)-1], part)
			rows, size = rows+n, size+n*perRow
		}
	}
	return out
}

// rowBytes estimates the size of one row before compression.
func rowBytes(p *fairlead.Prediction, width func(*fairlead.Tensor) int) int {
	size := 100 // ids, times, key
	for _, tensors := range [][]fairlead.Tensor{p.Inputs, p.Outputs} {
		for i := range tensors {
			w := width(&tensors[i])
			size += 8 * w
			if s, ok := tensors[i].Data.([]string); ok && len(s) > 0 {
				size += len(s[0]) * w
			}
		}
	}
	return size
}

func rowsOf(p *fairlead.Prediction, from, to int) *fairlead.Prediction {
	if from == 0 && to == len(p.Rows) {
		return p
	}
	part := *p
	part.Rows = p.Rows[from:to]
	if p.Probability != nil {
		part.Probability = p.Probability[from:to]
	}
	if p.Disagrees != nil {
		part.Disagrees = p.Disagrees[from:to]
	}
	part.Inputs, part.Outputs = slice(p.Inputs, from, to), slice(p.Outputs, from, to)
	return &part
}

func slice(all []fairlead.Tensor, from, to int) []fairlead.Tensor {
	out := make([]fairlead.Tensor, len(all))
	for i := range all {
		out[i] = all[i].Slice(from, to)
	}
	return out
}
