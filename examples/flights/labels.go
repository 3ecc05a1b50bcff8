package flights

import (
	"container/heap"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// label is the outcome of one flight, due at the minute it lands.
type label struct {
	row   int64
	due   int64
	value string
}

// landings holds the labels of flights in the air, the next one to land first.
type landings []label

func (h landings) Len() int { return len(h) }
func (h landings) Less(i, j int) bool {
	return h[i].due < h[j].due || h[i].due == h[j].due && h[i].row < h[j].row
}
func (h landings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *landings) Push(x any)   { *h = append(*h, x.(label)) }
func (h *landings) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	*h = (*h)[:last]
	return l
}

func (h *landings) add(labels []label) {
	for _, l := range labels {
		heap.Push(h, l)
	}
}

// landed takes the labels due before minute.
func (h *landings) landed(minute int64) []label {
	var out []label
	for len(*h) > 0 && (*h)[0].due < minute {
		out = append(out, heap.Pop(h).(label))
	}
	return out
}

const (
	outboxLabels = 20_000                 // waiting at most; then the replay waits
	labelBatch   = 5_000                  // of one request at most
	labelPause   = 100 * time.Millisecond // after a request that was not full, so that the next carries more
)

// outbox sends labels until the server says that they are on disk. It holds at most outboxLabels (and what one add
// brought); a full outbox makes add wait and drops nothing.
type outbox struct {
	client *client
	clock  Clock
	log    *slog.Logger

	sent   atomic.Int64 // acknowledged
	errors atomic.Int64

	mu      sync.Mutex
	waiting []label
	closed  bool
	filled  chan struct{} // something to send, or closed
	drained chan struct{} // something was sent
}

func newOutbox(c *client, clock Clock, log *slog.Logger) *outbox {
	return &outbox{client: c, clock: clock, log: log, filled: make(chan struct{}, 1), drained: make(chan struct{}, 1)}
}

// add hands labels over. It waits while the outbox is full. One goroutine adds.
func (o *outbox) add(ctx context.Context, labels []label) error {
	if len(labels) == 0 {
		return nil
	}
	for {
		o.mu.Lock()
		if len(o.waiting) < outboxLabels {
			o.waiting = append(o.waiting, labels...)
			o.mu.Unlock()
			signal(o.filled)
			return nil
		}
		o.mu.Unlock()
		select {
		case <-o.drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close says that nothing more will be added; run returns when the rest is sent.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	signal(o.filled)
}

// run sends until the outbox is closed and empty or ctx ends. A refusal that will not pass is returned.
func (o *outbox) run(ctx context.Context) error {
	var body []byte
	for {
		batch, closed := o.next()
		switch {
		case len(batch) > 0:
		case closed:
			return nil
		default:
			select {
			case <-o.filled:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		body = appendLabels(body[:0], batch)
		if err := o.deliver(ctx, body); err != nil {
			return err
		}
		o.sent.Add(int64(len(batch)))
		o.taken(len(batch))
		if len(batch) == labelBatch {
			continue
		}
		if err := o.clock.Sleep(ctx, labelPause); err != nil {
			return err
		}
	}
}

// deliver repeats one request until it is acknowledged: a label sent twice says the same twice.
func (o *outbox) deliver(ctx context.Context, body []byte) error {
	var wait backoff
	for {
		err := o.client.label(ctx, body)
		if err == nil || !passing(err) {
			return err
		}
		o.errors.Add(1)
		o.log.Debug("labels not acknowledged, sending them again", "err", err)
		if err := o.clock.Sleep(ctx, wait.next(err)); err != nil {
			return err
		}
	}
}

// next is what to send now. It stays in the outbox until taken.
func (o *outbox) next() (batch []label, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(o.waiting), labelBatch)
	return o.waiting[:n:n], o.closed
}

func (o *outbox) taken(n int) {
	o.mu.Lock()
	o.waiting = append(o.waiting[:0:0], o.waiting[n:]...)
	o.mu.Unlock()
	signal(o.drained)
}

func (o *outbox) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting)
}

// signal wakes the one goroutine that waits for c, now or next time.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
