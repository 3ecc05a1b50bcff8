package loadgen

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// run is one run. Times are those of its clock.
type run struct {
	load            Load
	clock           Clock
	start, from, to time.Duration // warm-up from start to from; counted from there to to
	taken           atomic.Int64  // counted requests begun
	rec             *recorder
}

// take says whether one more request may be counted.
func (r *run) take() bool {
	return r.load.Count == 0 || r.taken.Add(1) <= r.load.Count
}

func (r *run) closed(ctx context.Context, callers []Caller) {
	var workers sync.WaitGroup
	for i, c := range callers {
		workers.Go(func() { r.loop(ctx, i, c) })
	}
	workers.Wait()
}

// loop is one connection of a closed loop.
func (r *run) loop(ctx context.Context, i int, c Caller) {
	began := r.clock.Now()
	for ctx.Err() == nil && began < r.to {
		warm := began < r.from
		if !warm && !r.take() {
			return
		}
		o := c.Call(ctx, r.load.Deadline)
		ended := r.clock.Now()
		switch {
		case ctx.Err() != nil:
			return
		case ended < r.from || r.load.Count > 0 && warm: // a count counts what it began
		case ended > r.to && o.OK: // its neighbours at the other edge were counted
		default:
			r.rec.add(i, sample{intended: began, sent: began, ended: ended}, o)
		}
		if o.NoAnswer {
			r.clock.Sleep(ctx, pause)
			ended = r.clock.Now()
		}
		began = ended
	}
}

// open sends at the times of a Poisson process. The arrivals that find every connection busy wait for one, and their
// latency runs.
func (r *run) open(ctx context.Context, callers []Caller) {
	due := make(chan time.Duration, 1<<12)
	var workers sync.WaitGroup
	for i, c := range callers {
		workers.Go(func() {
			for at := range due {
				r.arrive(ctx, i, c, at)
			}
		})
	}
	r.schedule(ctx, due)
	close(due)
	workers.Wait()
}

// schedule hands out each arrival when its time has come.
func (r *run) schedule(ctx context.Context, due chan<- time.Duration) {
	arrivals := NewArrivals(r.load.Rate, r.load.Seed)
	for {
		at := r.start + arrivals.Next()
		if at >= r.to || at >= r.from && !r.take() {
			return
		}
		if wait := at - r.clock.Now(); wait > 0 {
			r.clock.Sleep(ctx, wait)
		}
		select {
		case due <- at:
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) arrive(ctx context.Context, i int, c Caller, at time.Duration) {
	if ctx.Err() != nil {
		return
	}
	sent := r.clock.Now()
	budget := time.Duration(0)
	if r.load.Deadline > 0 {
		if budget = at + r.load.Deadline - sent; budget <= 0 {
			if at >= r.from {
				r.rec.unsent(i, sample{intended: at, sent: sent})
			}
			return
		}
	}
	o := c.Call(ctx, budget)
	if at >= r.from && ctx.Err() == nil {
		r.rec.add(i, sample{intended: at, sent: sent, ended: r.clock.Now()}, o)
	}
}

// Arrivals is a Poisson process: the gaps between arrivals are exponential and independent.
type Arrivals struct {
	rate   float64
	chance *rand.Rand
	at     float64 // seconds
}

// NewArrivals makes the process of that mean rate per second; a seed gives the same arrivals every time.
func NewArrivals(rate float64, seed uint64) *Arrivals {
	return &Arrivals{rate: rate, chance: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
}

// Next is the time of the next arrival since the start.
func (a *Arrivals) Next() time.Duration {
	a.at += a.chance.ExpFloat64() / a.rate
	return time.Duration(a.at * float64(time.Second))
}
