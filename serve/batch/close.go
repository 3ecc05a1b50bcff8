package batch

import (
	"context"
	"slices"
)

// Close refuses further requests with "draining" and waits until those that wait or run are answered, or ctx ends; its
// error is ctx's. Requests of a model so quick that they never wait are not waited for: the session's Close does that.
// Close the queue before its session.
func (q *Queue) Close(ctx context.Context) error {
	e := q.executor
	e.mu.Lock()
	if !q.closed {
		q.closed = true
		q.quick.Store(0)
		e.closing = append(e.closing, q)
		e.settle()
	}
	e.mu.Unlock()
	select {
	case <-q.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close refuses further requests of every queue with "draining" and waits until those that wait or run are answered and
// every goroutine of the executor has ended, or ctx ends; its error is ctx's.
func (e *Executor) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed.Store(true)
	e.settle()
	e.mu.Unlock()
	select {
	case <-e.idle:
		e.runs.Wait() // they have nothing left to do but answer
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle tells who waits in Close. The caller holds mu.
func (e *Executor) settle() {
	e.closing = slices.DeleteFunc(e.closing, func(q *Queue) bool {
		if q.queue.length > 0 || q.queue.inflight > 0 {
			return false
		}
		close(q.idle)
		return true
	})
	if e.closed.Load() && !e.settled && e.core.busy == 0 && len(e.core.active) == 0 {
		e.settled = true
		close(e.idle)
		if e.timer != nil {
			e.timer.Stop()
		}
	}
}
