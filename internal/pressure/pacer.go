package pressure

import (
	"context"
	"sync"
	"time"
)

// Pacer makes the loops of one process give way. Lag is what is paid for it: what the loops follow is up to maxLag
// behind while processors are contended. With a maxLag of 0 nothing ever rests.
type Pacer struct {
	gauge  *Gauge
	maxLag time.Duration
	busy   func(now time.Time) bool

	once  sync.Once
	hurry chan struct{}
}

// NewPacer makes a pacer that never lets lag grow beyond maxLag. busy says whether there is anything to give way to; it is asked
// at most twice a second, and only while processors are contended. nil: there always is.
func NewPacer(gauge *Gauge, maxLag time.Duration, busy func(now time.Time) bool) *Pacer {
	if busy == nil {
		busy = func(time.Time) bool { return true }
	}
	return &Pacer{gauge: gauge, maxLag: maxLag, busy: busy, hurry: make(chan struct{})}
}

// Hurry ends all rests, those to come too: a process that stops wants its background work done.
func (p *Pacer) Hurry() { p.once.Do(func() { close(p.hurry) }) }

// Rest waits after work of that length, given the age of what it took. It returns early when processors are free
// again, when ctx ends, and when there is a hurry.
func (p *Pacer) Rest(ctx context.Context, worked, lag time.Duration) {
	for began := time.Now(); ; {
		now := time.Now()
		rested := now.Sub(began)
		left := min(Rest(worked, lag, p.maxLag, p.gauge.Contended(now) && p.busy(now))-rested, window)
		if left <= 0 {
			return
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-p.hurry:
		}
		t.Stop()
		if ctx.Err() != nil || p.hurried() {
			return
		}
	}
}

func (p *Pacer) hurried() bool {
	select {
	case <-p.hurry:
		return true
	default:
		return false
	}
}
