package batch

import (
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// core decides who runs when. It is a state machine without a clock, locks or goroutines: now is the time since the
// executor was made. testdata holds transcripts of its decisions.
//
// Between queues it is fair: each has a virtual time, which its runs advance by what they cost, and the one that is
// furthest behind goes next (start-time fair queueing, Goyal et al., SIGCOMM'96). Within a queue the order is priority,
// then deadline, but nobody is overtaken any more who has waited for the aging bound.
type core struct {
	slots    int // runs at once; a run of several threads takes several
	busy     int
	patience time.Duration // what counts as the deadline of a request that has none
	aging    time.Duration
	running  []*run
	active   []*queue // those where requests wait
	floor    time.Duration
	seq      uint64
	free     []*run // to be used again
}

// run is one call of the model.
type run struct {
	queue    *queue
	members  []*ticket // nil: of one request that never waited
	rows     int
	started  time.Duration
	expected time.Duration

	// The goroutines' part.
	live   int    // members that still wait
	cancel func() // ends it when nobody does
}

// begin starts a run for a request that finds a core idle and nobody waiting for one; nil where it has to be admitted.
func (c *core) begin(q *queue, rows int, now time.Duration) *run {
	if c.busy+q.weight > c.slots || q.delay > 0 && q.limit > 1 || c.choose(now) != nil {
		return nil
	}
	return c.start(q, rows, now)
}

func (c *core) start(q *queue, rows int, now time.Duration) *run {
	var r *run
	if n := len(c.free); n > 0 {
		r, c.free = c.free[n-1], c.free[:n-1]
	} else {
		r = &run{}
	}
	*r = run{queue: q, rows: rows, started: now, expected: q.cost.of(rows)}
	c.busy += q.weight
	c.running = append(c.running, r)
	q.inflight++
	q.lag = max(q.lag, c.floor)
	c.floor = q.lag
	q.lag += r.expected * time.Duration(q.weight)
	return r
}

// finish ends a run that took so long. learn says whether the model got to its end, so that the time means something; a
// run that was broken off says at least that it takes longer.
func (c *core) finish(r *run, took time.Duration, learn bool) {
	q := r.queue
	c.busy -= q.weight
	q.inflight--
	i := slices.Index(c.running, r)
	last := len(c.running) - 1
	c.running[i], c.running[last] = c.running[last], nil // a run holds its requests
	c.running = c.running[:last]
	q.lag += (took - r.expected) * time.Duration(q.weight)
	q.count.Runs++
	if learn || took > r.expected {
		q.observe(r.rows, took)
	}
	if r.members == nil {
		*r = run{} // it must not keep a model that is unloaded
		c.free = append(c.free, r)
	}
}

// admit lets a request wait, or refuses it: the queue is full, or by all that is known its answer would come too late.
func (c *core) admit(t *ticket, now time.Duration) error {
	q := t.queue
	t.arrived, t.due, t.seq = now, now+c.patience, c.seq+1
	if t.deadline != never {
		t.due = t.deadline
	}
	if q.length >= q.most {
		q.count.Full++
		return refused(fairlead.CodeExhausted, "queue_full", c.work(q, q.backlog(), now),
			"%s is busy: %d requests are waiting already", q.name, q.length)
	}
	if t.deadline != never {
		if finish, idle := c.predict(t, now); !idle && finish > t.deadline {
			q.count.Predicted++
			q.pressed = now
			late := finish - t.deadline
			return refused(fairlead.CodeExhausted, "deadline_predicted", late,
				"the answer would come about %v after the deadline: %d requests are waiting for %s", late.Round(time.Microsecond), q.length, q.name)
		}
	}
	c.push(t)
	return nil
}

// push makes t wait.
func (c *core) push(t *ticket) {
	q := t.queue
	if q.length == 0 {
		q.lag = max(q.lag, c.floor)
		c.active = append(c.active, q)
	}
	c.seq++
	t.seq = c.seq
	q.push(t)
}

// remove takes out a request that waits no longer.
func (c *core) remove(t *ticket) {
	q := t.queue
	q.remove(t)
	c.rest(q)
}

func (c *core) rest(q *queue) {
	if q.length == 0 {
		c.active = slices.DeleteFunc(c.active, func(a *queue) bool { return a == q })
	}
}

// predict is when t's answer would be ready if it were admitted now. idle: a core would take it at once, for those that
// wait, if any, are set to wait for others; then it is never refused, so that a cost that was learnt wrong is learnt anew.
func (c *core) predict(t *ticket, now time.Duration) (finish time.Duration, idle bool) {
	q := t.queue
	if c.busy+q.weight <= c.slots && c.choose(now) == nil {
		return 0, true
	}
	requests, rows := q.ahead(t)
	before, own := q.time(requests, rows), q.cost.of(t.rows)
	if limit := q.limit; limit > 1 && t.rows < limit && !t.alone {
		before = time.Duration(rows/limit) * q.cost.of(limit)
		own = q.cost.of(min(limit, rows%limit+t.rows))
	}
	return now + c.work(q, before, now) + own + q.cost.residual(), false
}

// work is the time until the cores are through with what runs, with so much of q's queue, and with what the other queues
// get done meanwhile: a fair share each.
func (c *core) work(q *queue, before, now time.Duration) time.Duration {
	before *= time.Duration(q.weight)
	sum := before
	for _, other := range c.active {
		if other != q {
			sum += min(other.backlog()*time.Duration(other.weight), before)
		}
	}
	for _, r := range c.running {
		sum += max(0, r.started+r.expected-now) * time.Duration(r.queue.weight)
	}
	return sum / time.Duration(c.slots)
}

// next starts the next run, nil if there is none to start now. It also gives the requests that were dropped because they
// cannot be answered in time any more.
func (c *core) next(now time.Duration) (r *run, dropped []*ticket) {
	for {
		q := c.choose(now)
		if q == nil || c.busy+q.weight > c.slots {
			return nil, dropped
		}
		// Who is alone takes nothing from others by a run that may be too late, and tells what a run takes.
		only := c.busy == 0 && q.length == 1 && !c.othersReady(q, now)
		members, rows, late := q.take(now, c.aging, only)
		c.rest(q)
		q.count.Dropped += uint64(len(late))
		dropped = append(dropped, late...)
		if len(members) > 0 {
			r = c.start(q, rows, now)
			r.members, r.live = members, len(members)
			for _, t := range members {
				t.run = r
			}
			return r, dropped
		}
	}
}

func (c *core) othersReady(q *queue, now time.Duration) bool {
	return slices.ContainsFunc(c.active, func(o *queue) bool { return o != q && o.ready(now) <= now })
}

// choose is the queue that is furthest behind among those that are ready. If it needs more cores than are free, the
// others wait with it.
func (c *core) choose(now time.Duration) *queue {
	var best *queue
	for _, q := range c.active {
		if (best == nil || q.lag < best.lag) && q.ready(now) <= now {
			best = q
		}
	}
	return best
}

// wake is when next has to be asked again even if nothing happens, never if not: queues that are ready now wait for a run
// to finish, others for their time.
func (c *core) wake(now time.Duration) time.Duration {
	at := never
	for _, q := range c.active {
		if ready := q.ready(now); ready > now && c.busy+q.weight <= c.slots {
			at = min(at, ready)
		}
	}
	return at
}

// refused is the error of a request that is not even tried. retry is a guess at when it makes sense.
func refused(code fairlead.Code, reason string, retry time.Duration, format string, args ...any) error {
	e := fairlead.Errorf(code, format, args...).Hintf("try again shortly, and send fewer at once")
	e.Reason, e.Retry = reason, max(retry, time.Millisecond)
	return e
}
