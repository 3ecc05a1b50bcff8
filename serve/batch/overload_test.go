package batch

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// world is a virtual machine: a clock, runs that end at their time, and a Poisson stream of requests.
type world struct {
	r       *rand.Rand
	slots   int
	fixed   time.Duration // of a run
	perRow  time.Duration
	noise   float64 // sigma of the logarithm
	budget  time.Duration
	rate    float64 // requests per second
	length  time.Duration
	largest int
}

// took is the true time of a run.
func (w *world) took(rows int) time.Duration {
	d := float64(w.fixed) + float64(w.perRow)*float64(rows)
	return time.Duration(d * math.Exp(w.noise*w.r.NormFloat64()-w.noise*w.noise/2))
}

// capacity is what the cores answer per second when every batch is full.
func (w *world) capacity(rows int) float64 {
	return float64(w.slots*rows) / (w.fixed + time.Duration(rows)*w.perRow).Seconds()
}

func (w *world) gap() time.Duration {
	return time.Duration(w.r.ExpFloat64() / w.rate * float64(time.Second))
}

// ours lets the executor's core decide; it gives the requests answered before their deadline, per second.
func (w *world) ours() (goodput float64, q *queue) {
	c := core{slots: w.slots, patience: time.Second, aging: 2 * time.Second}
	q = &queue{name: "m", weight: 1, largest: w.largest, most: 1024, lanes: map[string]*lane{}}
	q.limit = q.cost.limit(w.largest)
	type event struct {
		at, took time.Duration
		run      *run
		deadline time.Duration // of a run without members
	}
	var ends []event
	good := 0
	start := func(now time.Duration, r *run, deadline time.Duration) {
		took := w.took(r.rows)
		ends = append(ends, event{now + took, took, r, deadline})
	}
	for now := w.gap(); now < w.length; {
		// The next thing to happen: the end of a run or an arrival.
		for {
			first := -1
			for i := range ends {
				if ends[i].at <= now && (first < 0 || ends[i].at < ends[first].at) {
					first = i
				}
			}
			if first < 0 {
				break
			}
			e := ends[first]
			ends = append(ends[:first], ends[first+1:]...)
			for _, t := range e.run.members {
				if e.at <= t.deadline {
					good++
				}
			}
			if e.run.members == nil && e.at <= e.deadline {
				good++
			}
			c.finish(e.run, e.took, true)
			for {
				r, _ := c.next(e.at)
				if r == nil {
					break
				}
				start(e.at, r, 0)
			}
		}
		if r := c.begin(q, 1, now); r != nil {
			start(now, r, now+w.budget)
		} else if c.admit(&ticket{queue: q, rows: 1, shape: "s", deadline: now + w.budget}, now) == nil {
			for r, _ := c.next(now); r != nil; r, _ = c.next(now) {
				start(now, r, 0)
			}
		}
		now += w.gap()
	}
	return float64(good) / w.length.Seconds(), q
}

// fifo is a server with batches of the same size but without admission and deadlines: first come, first served.
func (w *world) fifo(limit int) (goodput float64) {
	free := make([]time.Duration, w.slots)
	var arrivals []time.Duration
	for now := w.gap(); now < w.length; now += w.gap() {
		arrivals = append(arrivals, now)
	}
	good := 0
	for i := 0; i < len(arrivals); {
		slot := 0
		for s := range free {
			if free[s] < free[slot] {
				slot = s
			}
		}
		begin := max(free[slot], arrivals[i])
		n := 0
		for i+n < len(arrivals) && n < limit && arrivals[i+n] <= begin {
			n++
		}
		free[slot] = begin + w.took(n)
		for k := range n {
			if at := free[slot]; at < w.length && at <= arrivals[i+k]+w.budget {
				good++
			}
		}
		i += n
	}
	return float64(good) / w.length.Seconds()
}

// TestOverload sends twice what the cores can answer, on a virtual clock: almost all that they can answer they answer in
// time. The same load on a first-come-first-served queue without admission leaves next to nothing in time.
func TestOverload(t *testing.T) {
	const seed = 7
	for name, w := range map[string]world{
		"trees, one core":         {slots: 1, perRow: 200 * time.Microsecond, budget: 5 * time.Millisecond, largest: 1},
		"trees, two cores":        {slots: 2, fixed: time.Microsecond, perRow: 100 * time.Microsecond, budget: 20 * time.Millisecond, largest: 64},
		"dense, one core":         {slots: 1, fixed: 83 * time.Microsecond, perRow: 20 * time.Microsecond, budget: 10 * time.Millisecond, largest: 32},
		"dense, two cores":        {slots: 2, fixed: 83 * time.Microsecond, perRow: 20 * time.Microsecond, budget: 10 * time.Millisecond, largest: 64},
		"dense, noisy":            {slots: 2, fixed: 83 * time.Microsecond, perRow: 20 * time.Microsecond, noise: 0.2, budget: 20 * time.Millisecond, largest: 64},
		"convolutions, two cores": {slots: 2, fixed: time.Millisecond, perRow: 10 * time.Millisecond, noise: 0.05, budget: 100 * time.Millisecond, largest: 16},
	} {
		t.Run(name, func(t *testing.T) {
			w.r = rand.New(rand.NewPCG(seed, 1))
			var profile cost
			profile.a, profile.c, profile.learnt = float64(w.fixed), float64(w.perRow), true
			limit := profile.limit(w.largest)
			capacity := w.capacity(limit)
			w.rate = 2 * capacity
			w.length = min(20*time.Second, time.Duration(100_000/w.rate*float64(time.Second)))
			ours, q := w.ours()
			fifo := w.fifo(limit)
			t.Logf("seed %d: capacity %.0f/s at batches of %d; 2x offered: in time %.3f of capacity, first come first served %.3f; "+
				"learnt %v + %v a row, limit %d, residual %v; %+v", seed, capacity, limit, ours/capacity, fifo/capacity,
				time.Duration(q.cost.a), time.Duration(q.cost.c), q.limit, q.cost.residual(), q.count)
			if ours < 0.9*capacity {
				t.Errorf("goodput is %.3f of the capacity, want at least 0.9", ours/capacity)
			}
			if fifo > 0.1*capacity {
				t.Errorf("first come first served gives %.3f of the capacity: the load is no overload", fifo/capacity)
			}
		})
	}
}
