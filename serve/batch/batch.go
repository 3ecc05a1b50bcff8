// Package batch decides when and with whom a request is computed. One Executor holds the cores; every loaded model has a
// Queue of it.
//
// A request that finds a core idle is computed at once, in its caller's goroutine. While all cores are busy, requests
// wait, and those of the same shape that are there when a core comes free are computed together (batch while busy), as
// many as the model's learnt cost L(b) = a + c·b says are worth it. A model that gains nothing runs them one by one, and
// one whose run is shorter than a hand-over to another goroutine never waits at all. Requests with a deadline are refused
// on arrival when they would be answered too late, and dropped when a core comes free and it is too late by then.
//
// Why not a fixed delay, as elsewhere: beside an idle core it only adds latency, and beside busy ones the wait comes by
// itself. It is there as a setting (route.Settings.MaxDelay).
package batch

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// handOver is about what it costs to wake another goroutine on a busy machine. Models that are quicker run beside the
// executor: the Go scheduler bounds them, for a call into C this short keeps its thread.
const handOver = 10 * time.Microsecond

// Options say what an Executor is made of. The zero Options are sensible.
type Options struct {
	Slots    int           // runs at once; 0: GOMAXPROCS, which follows the container's CPU limit
	Waiting  int           // requests that may wait for one model; 0: 1024. route.Settings.MaxQueue goes before it
	Patience time.Duration // a request without deadline is as urgent as one with this much time left; 0: 1 s
	Aging    time.Duration // who waited so long goes first, whatever the others' priority; 0: 2 s
	Now      func() time.Time
}

// Executor shares the cores between models. It may be used by many goroutines at once.
type Executor struct {
	now     func() time.Time
	start   time.Time
	waiting int

	mu    sync.Mutex
	core  core
	timer *time.Timer   // asks for the next run when a delay has passed; nil before the first
	due   time.Duration // when it does; never while it is not set
	runs  sync.WaitGroup

	closed  atomic.Bool // set under mu
	settled bool
	closing []*Queue
	idle    chan struct{} // closed when nothing waits or runs any more after Close
}

// New makes an Executor. It starts no goroutine until requests are computed together.
func New(o Options) *Executor {
	e := &Executor{now: o.Now, waiting: o.Waiting, due: never, idle: make(chan struct{})}
	e.core = core{slots: o.Slots, patience: o.Patience, aging: o.Aging}
	if e.now == nil {
		e.now = time.Now
	}
	e.start = e.now()
	if e.waiting == 0 {
		e.waiting = 1024
	}
	if e.core.slots == 0 {
		e.core.slots = runtime.GOMAXPROCS(0)
	}
	if e.core.patience == 0 {
		e.core.patience = time.Second
	}
	if e.core.aging == 0 {
		e.core.aging = 2 * time.Second
	}
	return e
}

// Queue is where the requests of one loaded model wait for a core.
type Queue struct {
	executor *Executor
	session  engine.Session
	spec     fairlead.Signature

	quick  atomic.Int64 // requests of up to so many rows never wait
	direct atomic.Uint64

	// Under executor.mu.
	queue  queue
	reason string // why batches are as large as they are
	closed bool
	idle   chan struct{} // closed when nothing waits or runs any more after Close
}

// Queue makes the queue of a model. name is for people.
func (e *Executor) Queue(name string, session engine.Session, s route.Settings) *Queue {
	q := &Queue{executor: e, session: session, spec: session.Signature(), reason: s.Batching, idle: make(chan struct{})}
	q.queue = queue{
		name: name, weight: min(max(1, s.Threads), e.core.slots), largest: max(1, s.MaxBatch), most: s.MaxQueue,
		delay: s.MaxDelay, lanes: map[string]*lane{},
	}
	if q.queue.most == 0 {
		q.queue.most = e.waiting
	}
	if why := unbatchable(&q.spec); why != "" && q.queue.largest > 1 {
		q.queue.largest, q.reason = 1, why
	}
	q.queue.cost.seed(s.Cost, q.queue.largest)
	q.queue.limit = q.queue.cost.limit(q.queue.largest)
	q.learnt()
	return q
}

// Request is one call of a model.
type Request struct {
	Inputs   []fairlead.Tensor // fit the model's signature; not changed, but read even after Run where ctx ended it
	Outputs  []string          // nil: all
	Rows     int
	Priority int // 1 is the most urgent, larger numbers less so; 0 counts as 2
}

// Answer is what came of it.
type Answer struct {
	// Outputs belong to the caller like those of engine.Session.Run, but callers whose requests were computed together
	// may share one memory: nobody may change them. A caller's part is copied where it would keep more than four times
	// its size from being freed.
	Outputs []fairlead.Tensor
	Rows    int           // of the run, those of other requests included; 0: nothing ran
	Took    time.Duration // of the run
	First   bool          // of all who share the run, only one is first; it may count the run
}

// Run computes r: at once, or when its turn comes, alone or together with others. Errors are those of
// engine.Session.Run, and CodeExhausted with the reason "queue_full" or "deadline_predicted", CodeDeadline with
// "deadline_expired", and CodeUnavailable with "draining", which wraps engine.ErrClosed, on a closed queue. The deadline
// is ctx's. When everybody whose request is in a run has left, the run is broken off.
func (q *Queue) Run(ctx context.Context, r Request) (Answer, error) {
	if int64(r.Rows) <= q.quick.Load() && !q.executor.closed.Load() {
		return q.beside(ctx, r)
	}
	if ctx.Err() != nil {
		return Answer{}, contextError(ctx)
	}
	e := q.executor
	now := e.now()
	e.mu.Lock()
	if q.closed || e.closed.Load() {
		e.mu.Unlock()
		return Answer{}, draining()
	}
	if run := e.core.begin(&q.queue, r.Rows, now.Sub(e.start)); run != nil {
		e.mu.Unlock()
		return q.alone(ctx, r, run, now)
	}
	t := q.ticket(ctx, r)
	if err := e.core.admit(t, now.Sub(e.start)); err != nil {
		e.mu.Unlock()
		return Answer{}, err
	}
	e.dispatch(now)
	e.mu.Unlock()
	return q.wait(ctx, t)
}

func (q *Queue) ticket(ctx context.Context, r Request) *ticket {
	t := &ticket{queue: &q.queue, rows: r.Rows, request: r, priority: r.Priority, deadline: never, wake: make(chan struct{}, 1)}
	t.owner = q
	if d, ok := ctx.Deadline(); ok {
		t.deadline = d.Sub(q.executor.start)
	}
	if shape, ok := shapeOf(&q.spec, r); ok && q.queue.largest > 1 {
		t.shape = shape
	} else {
		t.setAlone()
	}
	return t
}

// beside runs a request of a quick model without a place in the executor. Now and then it looks at the time.
func (q *Queue) beside(ctx context.Context, r Request) (Answer, error) {
	started := q.executor.now()
	out, err := q.session.Run(ctx, r.Inputs, r.Outputs)
	took := q.executor.now().Sub(started)
	if n := q.direct.Add(1); n%64 == 0 || took > 2*handOver {
		q.executor.mu.Lock()
		if err == nil {
			q.queue.observe(r.Rows, took)
			q.learnt()
		}
		q.executor.mu.Unlock()
	}
	return Answer{Outputs: out, Rows: r.Rows, Took: took, First: true}, err
}

// learnt brings quick up to date.
func (q *Queue) learnt() {
	rows := 0
	if !q.closed && !q.executor.closed.Load() {
		rows = q.queue.cost.under(handOver)
	}
	if int64(rows) != q.quick.Load() {
		q.quick.Store(int64(rows))
	}
}

// alone computes one request in its caller's goroutine, which has a run.
func (q *Queue) alone(ctx context.Context, r Request, run *run, started time.Time) (Answer, error) {
	e := q.executor
	end := started
	learn, returned := false, false
	defer func() {
		if !returned {
			end = e.now() // the model panicked
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.finish(q, run, end.Sub(started), learn)
		e.dispatch(end)
	}()
	out, err := q.session.Run(ctx, r.Inputs, r.Outputs)
	returned, learn = true, err == nil
	end = e.now()
	return Answer{Outputs: out, Rows: r.Rows, Took: end.Sub(started), First: true}, err
}

// finish gives a run's core back.
func (e *Executor) finish(q *Queue, r *run, took time.Duration, learn bool) {
	e.core.finish(r, took, learn)
	q.learnt()
}

// wait is for the turn of t, for its answer from another goroutine, or for the end of ctx.
func (q *Queue) wait(ctx context.Context, t *ticket) (Answer, error) {
	select {
	case <-t.wake:
	case <-ctx.Done():
		if q.executor.leave(t, ctx) {
			return Answer{}, contextError(ctx)
		}
		<-t.wake
	}
	if t.answered {
		return t.answer, t.err
	}
	return q.alone(ctx, t.request, t.run, q.executor.now())
}

// leave takes back a request; false if its turn has come or its answer is there.
func (e *Executor) leave(t *ticket, ctx context.Context) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case t.answered || t.run != nil && len(t.run.members) == 1:
		return false
	case t.run == nil:
		e.core.remove(t)
		e.dispatch(e.now())
	default:
		t.gone = true
		if t.run.live--; t.run.live == 0 {
			t.run.cancel()
		}
	}
	if ctx.Err() == context.DeadlineExceeded {
		t.queue.count.Expired++
	} else {
		t.queue.count.Canceled++
	}
	return true
}

// dispatch starts what can start. The caller holds mu.
func (e *Executor) dispatch(now time.Time) {
	at := now.Sub(e.start)
	for {
		r, dropped := e.core.next(at)
		for _, t := range dropped {
			t.reply(Answer{}, refused(fairlead.CodeExhausted, "deadline_predicted", 0,
				"%s cannot answer before the deadline any more", t.queue.name))
		}
		if r == nil {
			break
		}
		t := r.members[0]
		if len(r.members) == 1 {
			t.wake <- struct{}{} // there is room: nobody else wakes a ticket that has a run of its own
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		r.cancel = cancel
		e.runs.Go(func() { t.owner.together(ctx, r) })
	}
	e.arm(at)
	e.settle()
}

// arm sets the timer for requests that wait for others beside an idle core.
func (e *Executor) arm(now time.Duration) {
	if len(e.core.active) == 0 {
		return
	}
	at := e.core.wake(now)
	if at == never || at == e.due {
		return
	}
	if e.timer != nil {
		e.timer.Stop()
	}
	e.due = at
	e.timer = time.AfterFunc(at-now, func() { e.tick(at) })
}

// tick is called when the timer says that it is at. The executor's clock may say otherwise, and would have requests wait
// on for a time that has passed.
func (e *Executor) tick(at time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.due == at {
		e.due = never
	}
	e.dispatch(e.start.Add(max(at, e.now().Sub(e.start))))
}

// reply gives a waiting caller its answer. The caller holds mu.
func (t *ticket) reply(a Answer, err error) {
	if t.gone {
		return
	}
	t.answer, t.err, t.answered = a, err, true
	t.wake <- struct{}{}
}

func contextError(ctx context.Context) error {
	err := engine.ContextError(ctx)
	if e, ok := err.(*fairlead.Error); ok && e.Code == fairlead.CodeDeadline {
		e.Reason = "deadline_expired"
	}
	return err
}

func draining() error {
	err := engine.Closed()
	if e, ok := err.(*fairlead.Error); ok {
		e.Reason, e.Retry = "draining", time.Second
	}
	return err
}
