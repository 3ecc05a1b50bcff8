package flights

import (
	"context"
	"errors"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Clock is wall time. Sleep returns ctx's error if ctx ends first.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// WallClock is the computer's clock.
type WallClock struct{}

// Now is the time.
func (WallClock) Now() time.Time { return time.Now() }

// Sleep waits for d, or until ctx ends.
func (WallClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pace says when event time is due in wall time: perDay of wall time for a day of events. A stream that falls behind by
// more than slack is not hurried afterwards: it goes on at the same pace from where it is.
type pace struct {
	perDay time.Duration
	wall   time.Time
	event  int64
}

const slack = time.Second

func (p *pace) start(now time.Time, event int64) { p.wall, p.event = now, event }

// wait is how long to sleep until event is due, 0 if it is late or there is no pace.
func (p *pace) wait(now time.Time, event int64) time.Duration {
	if p.perDay <= 0 {
		return 0
	}
	due := p.wall.Add(time.Duration(float64(event-p.event) / (24 * 60) * float64(p.perDay)))
	if now.Sub(due) > slack {
		p.start(now, event)
	}
	return max(due.Sub(now), 0)
}

// backoff doubles from 50 ms to 5 s; a server that says when to come back is believed.
type backoff struct{ last time.Duration }

func (b *backoff) next(err error) time.Duration {
	b.last = min(max(2*b.last, 50*time.Millisecond), 5*time.Second)
	var e *fairlead.Error
	if errors.As(err, &e) && e.Retry > 0 {
		return min(e.Retry, 30*time.Second)
	}
	return b.last
}
