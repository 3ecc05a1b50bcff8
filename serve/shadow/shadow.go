// Package shadow runs copies of answered requests by another version, beside the way of the answers, and compares what
// comes out. A copy waits in a bounded queue of its version; when that is full the oldest is dropped and counted. Copies
// have cores of their own count: they take none from the executor that answers clients wait for.
package shadow

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/serve/tally"
)

// Options say what a Pool may use.
type Options struct {
	Runs    int           // at once, of all shadows together; 0: a quarter of GOMAXPROCS and two at least
	Each    int           // at once, of one shadow; 0: half of Runs
	Queue   int           // copies waiting for one shadow at most; 0: 256
	Bytes   int64         // of those copies at most; 0: 64 MiB
	Timeout time.Duration // of one run; 0: 10 s
	Now     func() time.Time

	// Run computes all outputs of a version. nil: by its session.
	Run func(ctx context.Context, t *route.Target, c *Copy) ([]fairlead.Tensor, error)
	// Record, if not nil, gets the shadow's predictions, with the ids of the live ones and RoleShadow.
	Record func(*fairlead.Prediction)
}

// Copy is a request that the live version has answered. Nobody changes its tensors any more.
type Copy struct {
	Split    *route.Split // in whose PairTally it counts
	Live     *route.Target
	ID       string
	Rows     []fairlead.RowMeta // with ids
	Received time.Time
	Inputs   []fairlead.Tensor
	Outputs  []fairlead.Tensor // all of the live version's
	Failed   bool              // the live version could not answer: Outputs is nil
	Took     time.Duration     // the live version's run; 0: out of the cache
	Bytes    int64             // about what it keeps in memory
}

// Pool runs the copies of all shadows. It starts goroutines while there are copies, and none else.
type Pool struct {
	o       Options
	slots   chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	mu      sync.Mutex // orders workers.Add before workers.Wait
	closed  bool
	workers sync.WaitGroup
}

// New makes a Pool.
func New(o Options) *Pool {
	if o.Runs <= 0 {
		o.Runs = max(2, runtime.GOMAXPROCS(0)/4)
	}
	if o.Each <= 0 {
		o.Each = max(1, o.Runs/2)
	}
	if o.Queue <= 0 {
		o.Queue = 256
	}
	if o.Bytes <= 0 {
		o.Bytes = 64 << 20
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Run == nil {
		o.Run = func(ctx context.Context, t *route.Target, c *Copy) ([]fairlead.Tensor, error) {
			return t.Session.Run(ctx, c.Inputs, nil)
		}
	}
	p := &Pool{o: o, slots: make(chan struct{}, o.Runs)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Close drops and counts the copies that wait, breaks off those under way and waits for them, or for ctx, whose error it
// then gives.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.workers.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// start starts a worker of l, false after Close.
func (p *Pool) start(l *Lane) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.workers.Go(l.work)
	return true
}

// Lane is the queue of one shadow. It may be used by many goroutines at once.
type Lane struct {
	pool   *Pool
	target *route.Target
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	waiting []Copy // oldest first
	bytes   int64  // of waiting
	running int    // workers
	closed  bool
	idle    chan struct{} // closed when no worker runs any more after Close
}

// Lane makes the queue of a version.
func (p *Pool) Lane(t *route.Target) *Lane {
	l := &Lane{pool: p, target: t, idle: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(p.ctx)
	return l
}

// Offer takes a copy. It never blocks: where there is no room, the oldest copies make it.
func (l *Lane) Offer(c Copy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || c.Bytes > l.pool.o.Bytes {
		c.Split.Pairs().Drop(1)
		return
	}
	l.waiting = append(l.waiting, c)
	l.bytes += c.Bytes
	for len(l.waiting) > l.pool.o.Queue || l.bytes > l.pool.o.Bytes {
		l.take().Split.Pairs().Drop(1)
	}
	if l.running < min(l.pool.o.Each, len(l.waiting)) {
		if !l.pool.start(l) {
			l.drop()
			return
		}
		l.running++
	}
}

// take is the oldest copy. The caller holds mu.
func (l *Lane) take() Copy {
	c := l.waiting[0]
	l.waiting[0] = Copy{}
	l.waiting = l.waiting[1:]
	l.bytes -= c.Bytes
	return c
}

// drop drops and counts all that wait. The caller holds mu.
func (l *Lane) drop() {
	for len(l.waiting) > 0 {
		l.take().Split.Pairs().Drop(1)
	}
}

// Close drops and counts the copies that wait, breaks off those under way and waits for them, or for ctx, whose error it
// then gives. Copies offered later are dropped.
func (l *Lane) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		l.drop()
		l.cancel()
		if l.running == 0 {
			close(l.idle)
		}
	}
	l.mu.Unlock()
	select {
	case <-l.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Waiting is the number of copies that wait.
func (l *Lane) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// work runs copies until none waits.
func (l *Lane) work() {
	for {
		held := true
		select {
		case l.pool.slots <- struct{}{}:
		case <-l.ctx.Done():
			held = false
		}
		c, ok := l.next()
		if ok {
			l.run(&c)
		}
		if held {
			<-l.pool.slots
		}
		if !ok {
			return
		}
	}
}

// next is the next copy, false where the worker's time is over.
func (l *Lane) next() (Copy, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		l.drop()
	}
	if len(l.waiting) > 0 {
		return l.take(), true
	}
	l.waiting = nil // its array has been walked through
	if l.running--; l.running == 0 && l.closed {
		close(l.idle)
	}
	return Copy{}, false
}

// run computes and compares one copy.
func (l *Lane) run(c *Copy) {
	pairs := c.Split.Pairs()
	pair := tally.Pair{Rows: c.Rows, Inputs: c.Inputs, Live: c.Outputs, LiveFailed: c.Failed, LiveTook: c.Took}
	if pair.Foreign = !c.Live.SameInputs(l.target); pair.Foreign {
		pairs.Compare(&pair)
		return
	}
	started := l.pool.o.Now()
	out, err := l.compute(c)
	pair.Shadow, pair.ShadowFailed, pair.ShadowTook = out, err != nil, l.pool.o.Now().Sub(started)
	if l.ctx.Err() != nil && err != nil || errors.Is(err, engine.ErrClosed) {
		pairs.Drop(1) // it was broken off, which says nothing of the version
		return
	}
	pairs.Compare(&pair)
	if err == nil && l.pool.o.Record != nil {
		l.pool.o.Record(&fairlead.Prediction{
			ID: c.ID, Deployment: l.target.Deployment, Model: l.target.Model, Version: l.target.Version, Digest: l.target.Digest,
			Variant: l.target.Variant, Role: fairlead.RoleShadow, Received: c.Received, Rows: c.Rows, Inputs: c.Inputs, Outputs: out,
			Latency: fairlead.Anatomy{Run: pair.ShadowTook}, Disagrees: pair.Disagrees,
		})
	}
}

// compute is one run. A model that panics fails.
func (l *Lane) compute(c *Copy) (out []fairlead.Tensor, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.pool.o.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the shadow panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return l.pool.o.Run(ctx, l.target, c)
}
