package serve

import (
	"context"
	"errors"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/batch"
	"github.com/fairlead-ml/fairlead/serve/cache"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/serve/shadow"
)

// reroutes bounds how many versions may replace each other while one request waits.
const reroutes = 100

// run gets the outputs: out of the cache, or by a run, for which it may wait. A version that was unloaded in between hands
// over to its successor.
func (c *call) run(ctx context.Context) error {
	if c.in.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.req.Received.Add(c.in.Deadline))
		defer cancel()
	}
	w, err := c.compute(ctx)
	for range reroutes {
		if !errors.Is(err, engine.ErrClosed) || !c.reroute() {
			break
		}
		if err = c.refit(); err == nil {
			w, err = c.compute(ctx)
		}
	}
	took := c.lap()
	c.resp.BatchRows, c.resp.Latency.Run = w.Rows, w.Took
	c.resp.Latency.Queue = max(0, took-w.Took-c.lookup)
	if err != nil {
		return c.explain(err)
	}
	c.outputs = w.Outputs
	return c.choose()
}

// compute is one try at it.
func (c *call) compute(ctx context.Context) (batch.Answer, error) {
	if session, ok := c.target.Session.(Composite); ok {
		return c.compose(ctx, session)
	}
	place := c.place(c.target)
	request := batch.Request{Inputs: c.in.Tensors, Outputs: c.in.Outputs, Rows: max(1, c.rows), Priority: c.in.Priority}
	if c.wanted() {
		request.Outputs = nil // what nobody asked for is watched, too
	}
	entry := place.entry(c)
	if entry.TTL == 0 || !c.cache.Admit(entry, cache.Size(c.in.Tensors)) {
		return c.ask(ctx, c.target, place.queue, request)
	}
	return c.cached(ctx, place, entry, request)
}

// ask computes in the target's queue.
func (s *Server) ask(ctx context.Context, t *route.Target, q *batch.Queue, r batch.Request) (batch.Answer, error) {
	a, err := q.Run(ctx, r)
	if a.First && err == nil {
		s.meter.ObserveRun(t.Deployment, t.Version, a.Rows, a.Took)
	}
	return a, err
}

// cached asks the cache before the queue.
func (c *call) cached(ctx context.Context, p *place, e cache.Entry, request batch.Request) (batch.Answer, error) {
	request.Outputs = nil
	started := c.now()
	// The run may go on when the cache has given up waiting for it, so it touches nothing of the call.
	s, target, ran := c.Server, c.target, &ran{}
	out, hit, err := c.cache.Do(ctx, cache.KeyOf(p.key, c.in.Tensors), e, func(ctx context.Context) ([]fairlead.Tensor, error) {
		began := s.now()
		a, err := s.ask(ctx, target, p.queue, request)
		ran.answer, ran.took = a, s.now().Sub(began)
		return a.Outputs, err
	})
	c.lookup = c.now().Sub(started)
	c.resp.Cached = hit && err == nil
	var a batch.Answer
	if !hit && ctx.Err() == nil { // else the run may not be over
		a = ran.answer
		c.lookup -= ran.took
	}
	a.Outputs = out
	return a, err
}

// ran is what a run leaves for the request that caused it.
type ran struct {
	answer batch.Answer
	took   time.Duration
}

// place is what the server keeps of a target as long as that lives.
type place struct {
	queue *batch.Queue
	lane  *shadow.Lane    // of copies
	key   fairlead.Digest // of the bundle and the variant
	name  string
}

func (s *Server) place(t *route.Target) *place {
	return t.Attach(func() any {
		return &place{
			queue: s.executor.Queue(string(t.Deployment), t.Session, t.Settings),
			lane:  s.shadows.Lane(t),
			key:   t.Digest + fairlead.Digest("/"+t.Variant), name: string(t.Deployment),
		}
	}).(*place)
}

// entry says how an answer is kept; without a TTL it is not.
func (p *place) entry(c *call) cache.Entry {
	if c.cache == nil || c.target.Settings.CacheTTL == 0 || c.target.Digest == "" {
		return cache.Entry{}
	}
	return cache.Entry{Model: p.name, TTL: c.target.Settings.CacheTTL, Budget: c.target.Settings.CacheSize, Cost: p.queue.Cost(c.rows)}
}
