package batch

import (
	"container/heap"
	"math"
	"time"
)

// never is later than any deadline.
const never = time.Duration(math.MaxInt64)

// ordinary is the priority of a request that gives none: 1 is more urgent, 3 and up are less.
const ordinary = 2

// queue is what waits for one model.
type queue struct {
	name     string
	weight   int           // cores that a run keeps busy
	largest  int           // rows that may be run together
	limit    int           // rows that are worth it, at most largest
	most     int           // requests that may wait
	delay    time.Duration // how long a request waits for others beside an idle core
	cost     cost
	lag      time.Duration // virtual time, see core
	inflight int

	pressed time.Duration // when a request was last refused or dropped for its deadline; 0: never

	length, rows   int
	lanes          map[string]*lane
	oldest, newest *ticket // by arrival
	lastLevel      int     // of the least urgent since the queue was empty
	lastDue        time.Duration
	turns          uint64
	count          Counts
}

// ticket is one request that waits.
type ticket struct {
	queue    *queue
	rows     int
	shape    string // what requests must have in common to be run together; "" where alone
	alone    bool   // never with others
	priority int
	deadline time.Duration
	arrived  time.Duration
	due      time.Duration // the deadline, or what counts for it
	seq      uint64
	run      *run // nil while it waits

	lane       *lane
	index      int // in the lane
	prev, next *ticket

	// The goroutines' part.
	owner    *Queue
	request  Request
	wake     chan struct{} // has room for one; sent to once, when the ticket is answered or has a run of its own
	gone     bool          // the caller left; the run goes on for the others
	answered bool
	answer   Answer
	err      error
}

// lane is the requests that may be run together, most urgent first.
type lane struct {
	heap []*ticket
	rows int
}

func (l *lane) Len() int           { return len(l.heap) }
func (l *lane) Less(i, j int) bool { return l.heap[i].before(l.heap[j]) }
func (l *lane) Swap(i, j int) {
	l.heap[i], l.heap[j] = l.heap[j], l.heap[i]
	l.heap[i].index, l.heap[j].index = i, j
}

// Push implements heap.Interface.
func (l *lane) Push(x any) {
	t := x.(*ticket)
	t.index = len(l.heap)
	l.heap = append(l.heap, t)
}

// Pop implements heap.Interface.
func (l *lane) Pop() any {
	t := l.heap[len(l.heap)-1]
	l.heap[len(l.heap)-1] = nil
	l.heap = l.heap[:len(l.heap)-1]
	return t
}

// before says who is more urgent.
func (t *ticket) before(o *ticket) bool {
	if t.level() == o.level() && t.due == o.due {
		return t.seq < o.seq
	}
	return t.goesBefore(o.level(), o.due)
}

func (t *ticket) goesBefore(level int, due time.Duration) bool {
	if t.level() != level {
		return t.level() < level
	}
	return t.due < due
}

// setAlone keeps t from being run with others, in a lane of those.
func (t *ticket) setAlone() { t.shape, t.alone = "", true }

func (t *ticket) level() int {
	if t.priority < 1 {
		return ordinary
	}
	return t.priority
}

func (q *queue) push(t *ticket) {
	l := q.lanes[t.shape]
	if l == nil {
		l = &lane{}
		q.lanes[t.shape] = l
	}
	t.lane = l
	heap.Push(l, t)
	l.rows += t.rows
	if q.length == 0 || !t.goesBefore(q.lastLevel, q.lastDue) {
		q.lastLevel, q.lastDue = t.level(), t.due
	}
	q.length++
	q.rows += t.rows
	t.prev, t.next = q.newest, nil
	if q.newest == nil {
		q.oldest = t
	} else {
		q.newest.next = t
	}
	q.newest = t
}

func (q *queue) remove(t *ticket) {
	heap.Remove(t.lane, t.index)
	t.lane.rows -= t.rows
	if t.lane.Len() == 0 {
		delete(q.lanes, t.shape)
	}
	q.length--
	q.rows -= t.rows
	if t.prev == nil {
		q.oldest = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		q.newest = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.lane, t.prev, t.next = nil, nil, nil
}

// ahead counts what goes before t: exactly where that is all or little, else by a sample of each lane.
func (q *queue) ahead(t *ticket) (requests, rows int) {
	if q.length == 0 || !t.goesBefore(q.lastLevel, q.lastDue) {
		return q.length, q.rows
	}
	for _, l := range q.lanes {
		step := 1 + l.Len()/256
		for i := 0; i < l.Len(); i += step {
			if o := l.heap[i]; !t.before(o) {
				requests += step
				rows += step * o.rows
			}
		}
	}
	return min(requests, q.length), min(rows, q.rows)
}

// time is what so many waiting requests and rows will take.
func (q *queue) time(requests, rows int) time.Duration {
	if requests == 0 {
		return 0
	}
	if q.limit > 1 {
		full, rest := rows/q.limit, rows%q.limit
		d := time.Duration(full) * q.cost.of(q.limit)
		if rest > 0 {
			d += q.cost.of(rest)
		}
		return d
	}
	return time.Duration(requests) * q.cost.of(rows/requests)
}

func (q *queue) backlog() time.Duration { return q.time(q.length, q.rows) }

// ready is when the queue wants a core: at once, unless its requests are set to wait for others and may.
func (q *queue) ready(now time.Duration) time.Duration {
	if q.delay == 0 || q.limit <= 1 {
		return now
	}
	at := q.oldest.arrived + q.delay
	for _, l := range q.lanes {
		if l.rows >= q.limit || l.heap[0].alone {
			return now
		}
		// Half of the time that a deadline leaves may be waited, for timers are late and costs are guesses. Only the most
		// urgent is looked at: those under it have later deadlines, or a priority that makes them wait.
		if t := l.heap[0]; t.deadline != never {
			spare := t.deadline - t.arrived - q.cost.of(l.rows) - q.cost.residual()
			at = min(at, t.arrived+max(0, spare/2))
		}
	}
	return at
}

// take forms the next batch. late are those that cannot be answered in time any more, and those that are given up for the
// others. only says that there are no others, which spares a request whose deadline has not passed yet.
func (q *queue) take(now, aging time.Duration, only bool) (members []*ticket, rows int, late []*ticket) {
	q.turns++
	first := q.first(now, aging)
	lane, end := first.lane, first.deadline
	q.remove(first)
	if only && now < first.deadline {
		return []*ticket{first}, first.rows, nil
	}
	if q.tooLate(first, now) || q.holdsUp(first, lane, now) {
		q.pressed = now
		return nil, 0, []*ticket{first}
	}
	members, rows = append(members, first), first.rows
	limit := q.limit
	if limit == 1 && q.largest > 1 && q.turns%512 == 0 {
		limit = 2 // now and then two together, so that the proportions stay known
	}
	for !first.alone && lane.Len() > 0 && rows < limit {
		t := lane.heap[0]
		if q.tooLate(t, now) {
			q.remove(t)
			late = append(late, t)
			continue
		}
		together := rows + t.rows
		if together > limit || now+q.cost.of(together)+q.cost.residual() > min(end, t.deadline) {
			break
		}
		q.remove(t)
		members, rows, end = append(members, t), together, min(end, t.deadline)
	}
	if len(late) > 0 {
		q.pressed = now
	}
	return members, rows, late
}

// holdsUp says whether a request must be given up for the others: while more comes than can be answered, a batch kept
// small by one member's deadline costs more answers than that one, and the next batches would be as small (Nexus, SOSP'19,
// §6.3). What the newest request's deadline allows is the measure. Urgent requests are not given up.
func (q *queue) holdsUp(t *ticket, l *lane, now time.Duration) bool {
	if q.pressed == 0 || now-q.pressed > 8*q.cost.of(q.limit) || t.deadline == never || t.alone || t.level() < ordinary {
		return false
	}
	most := min(q.limit, t.rows+l.rows)
	if q.newest == nil || most <= t.rows {
		return false
	}
	rate := func(deadline time.Duration) float64 {
		rows := max(t.rows, q.cost.fits(deadline-now-q.cost.residual(), most))
		return float64(rows) / max(float64(q.cost.of(rows)), 1)
	}
	return rate(t.deadline) < share*rate(q.newest.deadline)
}

// first is who goes next: the oldest where it has waited for the aging bound, else the most urgent; among lanes, a full
// one before one that only may go.
func (q *queue) first(now, aging time.Duration) *ticket {
	if now-q.oldest.arrived >= aging {
		return q.oldest
	}
	var best *ticket
	waits := q.delay > 0 && q.limit > 1 && now-q.oldest.arrived < q.delay
	full := false
	for _, l := range q.lanes {
		t, isFull := l.heap[0], waits && l.rows >= q.limit
		if best == nil || isFull && !full || isFull == full && t.before(best) {
			best, full = t, isFull
		}
	}
	return best
}

func (q *queue) tooLate(t *ticket, now time.Duration) bool {
	return t.deadline != never && now+q.cost.of(t.rows) > t.deadline
}

// observe learns from a run and sees from time to time whether batches should be larger or smaller.
func (q *queue) observe(rows int, took time.Duration) {
	q.cost.observe(rows, took)
	if n := q.cost.runs; n < 64 || n%16 == 0 {
		q.limit = q.cost.limit(q.largest)
	}
}

// batchingOff ends batching for good.
func (q *queue) batchingOff() { q.largest, q.limit = 1, 1 }
