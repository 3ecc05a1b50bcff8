package loadgen

import (
	"context"
	"time"
)

// Clock is the time of a run.
type Clock interface {
	Now() time.Duration // since some moment that stays the same
	Sleep(ctx context.Context, d time.Duration)
}

// SystemClock makes the real clock. Its sleeps end within some 60 µs on Linux.
func SystemClock() Clock { return systemClock{time.Now()} }

type systemClock struct{ zero time.Time }

func (c systemClock) Now() time.Duration { return time.Since(c.zero) }

// Go's timers end up to a millisecond late in an idle process: they take the long part, the kernel the rest.
func (c systemClock) Sleep(ctx context.Context, d time.Duration) {
	end := c.Now() + d
	if coarse := d - 2*time.Millisecond; coarse > 0 {
		t := time.NewTimer(coarse)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
	}
	if rest := end - c.Now(); rest > 0 {
		shortSleep(rest)
	}
}
