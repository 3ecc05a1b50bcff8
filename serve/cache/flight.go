package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// flight is a run that one or more requests wait for.
type flight struct {
	key     Key
	waiters int // guarded by Cache.mu
	ctx     context.Context
	cancel  context.CancelFunc
	limited bool          // the request that started it had a deadline
	late    atomic.Bool   // and it passed, which ended the run
	done    chan struct{} // closed when what follows is set
	out     []fairlead.Tensor
	err     error
	panic   any
}

// join makes the caller wait for the run for key; if there is none, the caller leads a new one. It gives an answer instead
// if one came in the meantime.
func (c *Cache) join(ctx context.Context, key Key, m *model) (f *flight, leads bool, a *answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[key]; f != nil {
		f.waiters++
		return f, false, nil
	}
	// A run that ended since the caller looked has put its answer in before it left the flights.
	if a, ok := m.answers.GetIfPresent(key); ok {
		return nil, false, a
	}
	shared := shared{Context: context.WithoutCancel(ctx)}
	shared.deadline, shared.limited = ctx.Deadline()
	f = &flight{key: key, waiters: 1, limited: shared.limited, done: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(shared)
	c.flights[key] = f
	return f, true, nil
}

// brief is the cost below which a run is made in the goroutine of the request that leads it: another one costs as much as
// a small model. Who leads cannot go away then while others wait, so if it is its deadline that passes, the run ends and
// the others start again.
const brief = time.Millisecond

func (c *Cache) lead(ctx context.Context, f *flight, m *model, e Entry, run func(context.Context) ([]fairlead.Tensor, error)) ([]fairlead.Tensor, error) {
	if e.Cost == 0 || e.Cost >= brief {
		c.running.Go(func() { c.fly(f, m, e.TTL, run) })
		return c.wait(ctx, f)
	}
	stop := context.AfterFunc(ctx, func() { c.leave(f, errors.Is(ctx.Err(), context.DeadlineExceeded)) })
	defer stop()
	c.fly(f, m, e.TTL, run)
	out, err := f.result()
	if err != nil && ctx.Err() != nil {
		err = engine.ContextError(ctx)
	}
	return out, err
}

// shared is the context of a run: it says the deadline that its first request has, for whoever plans by it, and does not
// end by itself when that has passed.
type shared struct {
	context.Context
	deadline time.Time
	limited  bool
}

func (s shared) Deadline() (time.Time, bool) { return s.deadline, s.limited }

// errEnded is what waiters get if run ends its goroutine.
var errEnded = fairlead.Errorf(fairlead.CodeInternal, "the run ended without an answer")

func (c *Cache) fly(f *flight, m *model, ttl time.Duration, run func(context.Context) ([]fairlead.Tensor, error)) {
	f.err = errEnded
	defer func() {
		if p := recover(); p != nil {
			f.panic = fmt.Sprintf("%v\n\n%s", p, debug.Stack())
		}
		f.cancel()
		c.land(f)
		close(f.done)
	}()
	f.out, f.err = run(f.ctx)
	if f.err == nil {
		f.out = c.keep(f.key, m, ttl, f.out)
	}
}

// land takes a flight out, so that who comes now starts a new one.
func (c *Cache) land(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[f.key] == f {
		delete(c.flights, f.key)
	}
}

// wait gives the answer of a flight, or leaves it when ctx ends.
func (c *Cache) wait(ctx context.Context, f *flight) ([]fairlead.Tensor, error) {
	select {
	case <-f.done:
		return f.result()
	case <-ctx.Done():
		c.leave(f, false)
		return nil, engine.ContextError(ctx)
	}
}

func (f *flight) result() ([]fairlead.Tensor, error) {
	if f.panic != nil {
		panic(f.panic)
	}
	return f.out, f.err
}

// leave stops waiting. The run ends with the last one, or at once if the one that leads it is late.
func (c *Cache) leave(f *flight, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiters--
	if f.waiters > 0 && !late {
		return
	}
	f.late.Store(late)
	f.cancel()
	if c.flights[f.key] == f { // who comes now must not join a run that is being ended
		delete(c.flights, f.key)
	}
}

// ownError says whether a run's error concerns only the request that started it.
func (f *flight) ownError(err error) bool {
	if !f.limited {
		return false
	}
	var e *fairlead.Error
	return f.late.Load() || fairlead.CodeOf(err) == fairlead.CodeDeadline ||
		errors.As(err, &e) && strings.HasPrefix(e.Reason, "deadline_")
}
