package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
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
	waiting []*fairlead.Prediction
	rows    int           // of them
	closed  bool          // nobody takes them any more
	full    chan struct{} // a batch is together, or so many predictions that the list must be taken

	pending  atomic.Int64 // rows that wait or are in the batch
	recorded atomic.Uint64
	dropped  atomic.Uint64
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
		full: make(chan struct{}, 1),
	}
}

// Record implements serve.Recorder.
func (r *recorder) Record(p *fairlead.Prediction) {
	rows := len(p.Rows)
	if r.pending.Add(int64(rows)) > maxPendingRows {
		r.drop(rows)
		return
	}
	r.mu.Lock()
	taken := !r.closed && len(r.waiting) < maxWaiting
	if taken {
		r.waiting = append(r.waiting, p)
		r.rows += rows
	}
	full := r.rows >= flushRows || len(r.waiting) >= maxWaiting/2
	r.mu.Unlock()
	if !taken {
		r.drop(rows)
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

// take gives what waits; used is memory to be used again. last is the end of taking: Record drops from then on.
func (r *recorder) take(used []*fairlead.Prediction, last bool) []*fairlead.Prediction {
	clear(used)
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.waiting
	r.waiting, r.rows, r.closed = used[:0], 0, last
	return all
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
	parts []*part
	last  *part // where the last prediction went: most are of the version of the one before
}

// part is a batch's predictions of one version.
type part struct {
	versionKey
	preds  []*fairlead.Prediction
	sig    fairlead.Signature
	layout *profile.Layout
	known  bool
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
	var all []*fairlead.Prediction
	for {
		select {
		case <-r.full:
			all = r.take(all, false)
			b = r.gather(write, b, all)
		case <-tick.C:
			all = r.take(all, false)
			b = r.flush(write, r.gather(write, b, all))
		case <-ctx.Done(): // the servers have stopped
			r.flush(write, r.gather(write, b, r.take(nil, true)))
			return
		}
	}
}

// gather adds predictions to the batch, which it writes and replaces whenever it is full.
func (r *recorder) gather(ctx context.Context, b *batch, all []*fairlead.Prediction) *batch {
	for _, p := range all {
		part := r.part(b, versionKey{p.Deployment, p.Version})
		part.preds = append(part.preds, p)
		if b.rows += len(p.Rows); b.rows >= flushRows {
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
			r.drop(m.rows)
			continue
		}
		r.pending.Add(-int64(m.rows))
	}
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

type message struct {
	stream eventlog.Stream
	id     string // makes a repeated append of the same message harmless
	data   []byte
	rows   int // that are lost if the message is; 0 for profiles
}

// encode makes the batch's messages. Rows that cannot be encoded never will be: it says so and drops them.
func (r *recorder) encode(b *batch) []message {
	var out []message
	profiles := profile.NewCollector()
	for _, part := range b.parts {
		if part.known {
			for rest := part.preds; len(rest) > 0; {
				var joined *fairlead.Prediction
				joined, rest = join(rest)
				profiles.Add(part.layout, joined)
			}
		}
		for _, chunk := range chunks(part.preds, r.chunk) {
			rows := 0
			for _, p := range chunk {
				rows += len(p.Rows)
			}
			err := errors.New("the version is not known")
			var data []byte
			if part.known {
				data, err = eventlog.EncodePredictions(chunk, &part.sig)
			}
			if err != nil {
				r.slog.Error("rows not recorded", "deployment", part.name, "version", part.version, "rows", rows, "err", err)
				r.drop(rows)
				continue
			}
			out = append(out, message{eventlog.Predictions, messageID(), data, rows})
		}
	}
	if deltas := profiles.Drain(); len(deltas) > 0 {
		var wire []eventlog.ProfileDelta
		size := 0
		for _, d := range deltas {
			counts, err := d.Counts.MarshalBinary()
			if err != nil {
				r.slog.Error("counts not recorded", "deployment", d.Deployment, "version", d.Version, "minute", d.Minute, "err", err)
				continue
			}
			// A backfill spreads over many minutes: a message holds what the log takes.
			if size += len(counts); size > r.chunk && len(wire) > 0 {
				out = append(out, message{eventlog.Profiles, messageID(), eventlog.EncodeProfiles(wire), 0})
				wire, size = nil, len(counts)
			}
			wire = append(wire, eventlog.ProfileDelta{Deployment: d.Deployment, Version: d.Version, Role: d.Role, Minute: d.Minute, Counts: counts})
		}
		if len(wire) > 0 {
			out = append(out, message{eventlog.Profiles, messageID(), eventlog.EncodeProfiles(wire), 0})
		}
	}
	return out
}

// chunks cuts predictions into lists of at most flushRows rows and about limit bytes each; a larger prediction is cut by
// rows.
func chunks(all []*fairlead.Prediction, limit int) [][]*fairlead.Prediction {
	var out [][]*fairlead.Prediction
	rows, size := flushRows, 0 // full, so that the first prediction opens a list
	for _, p := range all {
		perRow := rowBytes(p)
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
func rowBytes(p *fairlead.Prediction) int {
	size := 100 // ids, times, key
	for _, tensors := range [][]fairlead.Tensor{p.Inputs, p.Outputs} {
		for i := range tensors {
			size += 8 * tensors[i].Width()
			if s, ok := tensors[i].Data.([]string); ok && len(s) > 0 {
				size += len(s[0]) * tensors[i].Width()
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
