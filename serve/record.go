package serve

import (
	"cmp"
	"context"
	"errors"

	"go.opentelemetry.io/otel/trace"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/meter"
)

// count meters the request. The trace that its caller samples is an example of it.
func (c *call) count(ctx context.Context) {
	o := meter.Observation{
		At: c.last, Rows: c.rows, Code: fairlead.CodeOf(c.err), Stages: c.resp.Latency, Total: c.last.Sub(c.req.Received),
		BatchRows: c.resp.BatchRows, Cached: c.resp.Cached, Lookup: c.lookup,
	}
	if c.target != nil {
		o.Deployment, o.Version = c.target.Deployment, c.target.Version
	}
	var e *fairlead.Error
	if c.err != nil && errors.As(c.err, &e) {
		o.Reason = e.Reason
	}
	if len(c.observers) > 0 {
		if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
			o.Trace = span.TraceID().String()
		}
	}
	c.meter.Observe(o)
}

// prediction is an answered request for the recorder.
func (c *call) prediction() *fairlead.Prediction {
	return &fairlead.Prediction{
		ID: c.resp.ID, Deployment: c.target.Deployment, Model: c.target.Model, Version: c.target.Version,
		Digest: c.target.Digest, Variant: c.target.Variant, Role: cmp.Or(c.resp.Role, c.target.Role), Received: c.req.Received,
		Rows: c.resp.Rows, Inputs: byRow(c.in.Tensors, c.rows), Outputs: byRow(c.outputs, c.rows), Latency: c.resp.Latency,
		Cached: c.resp.Cached,
	}
}

// recordDurably waits until the rows are on disk where the version asks for that.
func (c *call) recordDurably(ctx context.Context) error {
	d, ok := c.recorder.(DurableRecorder)
	if !ok || !c.target.Settings.Durable || c.rows == 0 || c.in.Unrecorded {
		return nil
	}
	if c.in.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.req.Received.Add(c.in.Deadline))
		defer cancel()
	}
	c.recorded = true // after an error, too: the client is told that it may be stored
	err := d.RecordDurable(ctx, c.prediction())
	c.last = c.now()
	return err
}

// byRow keeps the tensors that have one entry per row of the request; a scalar, for example, has none.
func byRow(ts []fairlead.Tensor, rows int) []fairlead.Tensor {
	fits := func(t *fairlead.Tensor) bool { return len(t.Shape) > 0 && t.Rows() == rows }
	for i := range ts {
		if fits(&ts[i]) {
			continue
		}
		kept := append(make([]fairlead.Tensor, 0, len(ts)), ts[:i]...)
		for _, t := range ts[i+1:] {
			if fits(&t) {
				kept = append(kept, t)
			}
		}
		return kept
	}
	return ts // they are not changed by anybody
}

// observe shows the request to the observers.
func (c *call) observe(ctx context.Context) {
	if c.under != nil {
		ctx = c.under
	}
	f := &Finished{
		ID: cmp.Or(c.resp.ID, c.in.ID, c.req.Input.ID), Protocol: c.req.Protocol, Deployment: c.req.Deployment, Version: c.req.Version, Client: c.req.Client, Target: c.target,
		Received: c.req.Received, Stages: c.resp.Latency, Rows: c.rows, BatchRows: c.resp.BatchRows,
		Cached: c.resp.Cached, Role: c.resp.Role, Composite: c.under != nil, Err: c.err,
	}
	if c.part != nil {
		f.Instead = c.part.failed
	}
	for _, o := range c.observers {
		o.Observe(ctx, f)
	}
}
