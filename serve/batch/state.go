package batch

import (
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead/serve/route"
)

// Counts are totals since the queue was made.
type Counts struct {
	Runs       uint64 // of the model
	Full       uint64 // refused because the queue was full
	Predicted  uint64 // refused on arrival because the answer would come too late
	Dropped    uint64 // dropped when a core came free because it was too late by then
	Expired    uint64 // the deadline passed while they waited or ran with others
	Canceled   uint64 // the caller left while they waited or ran with others
	Rerun      uint64 // run alone after a run together failed
	Mismatched uint64 // runs whose outputs could not be divided, which ended batching
}

// State is a queue at one moment.
type State struct {
	Waiting    int           // requests
	Rows       int           // of those
	Running    int           // runs of this model
	Wait       time.Duration // predicted for a request that comes now
	Cost       route.Cost    // learnt; zero while unknown
	Table      bool          // the cost by size is measured, for no line fits it
	MaxBatch   int           // rows that may be run together
	BatchLimit int           // rows that are worth it at present
	Reason     string        // why, for people
	Quick      bool          // single rows never wait: their run is shorter than a hand-over
	Counts     Counts
}

// State reads the queue.
func (q *Queue) State() State {
	e := q.executor
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &q.queue.cost
	s := State{
		Waiting: q.queue.length, Rows: q.queue.rows, Running: q.queue.inflight, Table: c.table,
		MaxBatch: q.queue.largest, BatchLimit: q.queue.limit, Quick: q.quick.Load() > 0, Counts: q.queue.count,
	}
	if c.learnt || c.runs > 0 {
		s.Cost = route.Cost{Fixed: time.Duration(c.a), PerRow: time.Duration(c.c), Residual: c.residual()}
	}
	if e.core.busy >= e.core.slots || len(e.core.active) > 0 {
		s.Wait = e.core.work(&q.queue, q.queue.backlog(), e.now().Sub(e.start))
	}
	s.Counts.Runs += q.direct.Load()
	s.Reason = q.explain()
	return s
}

// Cost is what a run of so many rows takes, as learnt; 0 while unknown.
func (q *Queue) Cost(rows int) time.Duration {
	q.executor.mu.Lock()
	defer q.executor.mu.Unlock()
	return q.queue.cost.of(rows)
}

// explain says why batches are as large as they are.
func (q *Queue) explain() string {
	c := &q.queue.cost
	switch {
	case q.queue.largest <= 1 && q.reason != "":
		return q.reason
	case q.queue.largest <= 1:
		return "requests of this model are never run together"
	case q.quick.Load() > 0:
		return fmt.Sprintf("a run takes about %v, less than handing a request over: none waits for others", c.of(1))
	case !c.learnt:
		return "the cost of a run is not known yet"
	}
	gain := float64(q.queue.largest) * float64(c.of(1)) / max(float64(c.of(q.queue.largest)), 1)
	if q.queue.limit == 1 {
		return fmt.Sprintf("%d rows together gain only %.2f times: requests do not wait for each other", q.queue.largest, gain)
	}
	return fmt.Sprintf("%d rows together gain %.1f times; %d give most of that", q.queue.largest, gain, q.queue.limit)
}
