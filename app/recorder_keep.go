package app

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog/keep"
	"github.com/fairlead-ml/fairlead/serve/cache"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// policyInfo knows what of a version's rows is stored; nil: as keep.Default says.
type policyInfo interface {
	Policy(name fairlead.Name, v fairlead.Version) *keep.Policy
}

// Policy implements policyInfo for the recorder.
func (d *deployer) Policy(name fairlead.Name, v fairlead.Version) *keep.Policy {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.versions[versionKey{name, v}]; known != nil {
		return known.keep
	}
	return nil
}

// policyOf is what a bundle says of its rows.
func policyOf(f *bundle.File, key []byte) *keep.Policy {
	p := keep.Default()
	if f == nil {
		return p
	}
	p.Sample, p.Key = f.SampleShare(), key
	if f.Record.Slow > 0 {
		p.Slow = f.Record.Slow
	}
	if f.Record.Values != nil {
		p.Values = *f.Record.Values
	}
	for _, r := range f.Redactions() {
		p.Redact = append(p.Redact, keep.Rule{Name: r.Name, Action: keep.Action(r.Action), Bytes: r.Bytes})
	}
	return p
}

// kept are the rows of predictions of the part that its policy has stored, and how many they are.
func (p *part) kept(preds []*fairlead.Prediction, chance func(id string) float64) (out []*fairlead.Prediction, rows int) {
	if p.policy.Sample >= 1 {
		return preds, rowsIn(preds)
	}
	for _, pred := range preds {
		var outside []bool
		if len(p.layout.Columns) > 0 {
			outside = p.layout.Outside(pred)
		}
		tail := func(i int) bool { return outside != nil && outside[i] || pred.Disagrees != nil && pred.Disagrees[i] }
		if q := p.policy.Rows(pred, tail, chance); q != nil {
			out = append(out, q)
			rows += len(q.Rows)
		}
	}
	return out, rows
}

// width gives how many values of a tensor one row stores.
func (p *part) width(t *fairlead.Tensor) int {
	w := t.Width()
	if p.policy.Values > 0 && w > p.policy.Values && !slices.ContainsFunc(p.fields, func(f fairlead.Field) bool { return f.Tensor == t.Name }) {
		return 8 // a summary
	}
	return w
}

// bytesOf is about what a waiting prediction takes in memory.
func bytesOf(p *fairlead.Prediction) int64 {
	return cache.Size(p.Inputs) + cache.Size(p.Outputs) + 200*int64(len(p.Rows))
}

// durableWithin is how long an answer waits for its rows to be on disk where the request has no deadline.
const durableWithin = 5 * time.Second

// ReasonNotRecorded is the Reason of an error that says: a deployment answers only what is on disk, and this is not.
const ReasonNotRecorded = "not_recorded"

// RecordDurable implements serve.DurableRecorder: it returns when the rows are on disk. All that came while the batch before
// was being written share one write. After an error the rows may be stored all the same.
func (r *recorder) RecordDurable(ctx context.Context, p *fairlead.Prediction) error {
	ctx, cancel := context.WithTimeout(ctx, durableWithin)
	defer cancel()
	done := make(chan error, 1)
	r.put(waiting{p: p, bytes: bytesOf(p), done: done})
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
		if errors.Is(err, context.Canceled) {
			return fairlead.Errorf(fairlead.CodeCanceled, "the client left before the prediction was on disk").Cause(err)
		}
	}
	if err == nil {
		return nil
	}
	e := fairlead.Errorf(fairlead.CodeUnavailable, "the prediction was computed but is not on disk yet").
		Hintf("this deployment answers only what is recorded (record: {durable: true}); the server's log and rows_pending say why it waits").Cause(err)
	e.Reason, e.Retry = ReasonNotRecorded, time.Second
	return e
}

var errQueueFull = errors.New("the recorder's queue is full")

// settle tells those who wait for a batch.
func (b *batch) settle() {
	for _, p := range b.parts {
		for _, done := range p.done {
			done <- p.err // has room for it
		}
	}
}

const (
	// maxPendingBytes bounds the values of waiting predictions. With a batch being written the recorder holds no more than it.
	maxPendingBytes = 256 << 20
	// flushBytes starts a batch early.
	flushBytes = 16 << 20
)

// seedChance makes the chance by which rows are chosen, from the server's own.
func seedChance(chance func() float64) func(id string) float64 {
	return keep.Chance(math.Float64bits(chance()))
}
