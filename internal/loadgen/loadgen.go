// Package loadgen offers load to a server and measures what comes back: closed loop (so many connections, each sends
// when it has its answer) or open loop (arrivals at a rate, whatever the server does).
//
// In open loop a request's latency counts from the moment it should have been sent, so a server that stalls is charged
// for the requests that could not be sent meanwhile: no coordinated omission. Time, chance and the connection are
// arguments; SystemClock and HTTP are the real ones.
package loadgen

import (
	"context"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Caller is one connection. One goroutine calls at a time.
type Caller interface {
	// Call sends one request and waits for its whole answer. budget is what is left of the request's deadline, 0 for
	// none.
	Call(ctx context.Context, budget time.Duration) Outcome

	// Close ends the connection, and a Call that is waiting on it, from whatever goroutine. A second Close does nothing.
	Close() error
}

// Dialer makes the i-th connection of a run. It need not touch the network: a Caller may connect at its first Call.
type Dialer func(i int) (Caller, error)

// Outcome is how one request went.
type Outcome struct {
	OK         bool
	Failure    string // what went wrong, short enough to count by: "429 queue_full", "timeout", "connection closed"
	NoAnswer   bool   // nothing came back: the connection is gone
	Reconnects int    // connections that the server had closed while they were idle
}

// Load says what to offer.
type Load struct {
	Connections int           // at most so many requests at once
	Rate        float64       // mean arrivals per second, Poisson; 0: closed loop
	Warmup      time.Duration // offered first and not counted
	Duration    time.Duration // counted
	Count       int64         // stop after so many counted requests; 0: Duration alone ends the run
	Deadline    time.Duration // an answer later than this is worth nothing; 0: none
	Seed        uint64        // of the arrivals
}

func (l Load) check() error {
	switch {
	case l.Connections < 1:
		return fairlead.Invalid("%d connections offer no load", l.Connections).Hintf("use one or more")
	case l.Rate < 0:
		return fairlead.Invalid("a rate of %g requests/s cannot be offered", l.Rate).Hintf("use a positive number, for example 1000")
	case l.Duration <= 0 && l.Count <= 0:
		return fairlead.Invalid("the run has no end").Hintf("give it a duration such as 10s, or a number of requests")
	case l.Warmup < 0 || l.Deadline < 0 || l.Count < 0 || l.Duration < 0:
		return fairlead.Invalid("warm-up %s, duration %s, deadline %s and count %d must not be negative", l.Warmup, l.Duration, l.Deadline, l.Count)
	}
	return nil
}

// Run offers the load and returns what was measured. An error is a load that makes no sense, a connection that cannot
// be made ready, or ctx's end; a server that fails gives a Result that says so. Every goroutine it started has ended
// when it returns.
func Run(ctx context.Context, dial Dialer, l Load, clock Clock) (*Result, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	callers := make([]Caller, 0, l.Connections)
	closeAll := func() {
		for _, c := range callers {
			_ = c.Close() // nobody waits for its answers any more
		}
	}
	defer closeAll()
	for i := range l.Connections {
		c, err := dial(i)
		if err != nil {
			return nil, err
		}
		callers = append(callers, c)
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(interrupted); closeAll() })
	defer func() {
		if !stop() {
			<-interrupted
		}
	}()
	r := &run{load: l, clock: clock, start: clock.Now(), rec: newRecorder(l)}
	r.from = r.start + l.Warmup
	r.to = r.from + l.Duration
	if l.Duration == 0 {
		r.to = forever
	}
	if l.Rate > 0 {
		r.open(ctx, callers)
	} else {
		r.closed(ctx, callers)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return r.rec.result(l, r.from, r.to), nil
}

const forever = time.Duration(1 << 62)

// pause keeps a connection that gets no answer from spinning.
const pause = 10 * time.Millisecond
