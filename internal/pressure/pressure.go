// Package pressure lets background work give way to what somebody waits for: while the machine's processors are
// contended it takes a small share of the time, as long as what it leaves for later is not too old.
package pressure

import (
	"sync"
	"time"
)

// Reading is what the system says about its processors at one moment, as counters that only grow.
type Reading struct {
	At time.Time
	// Waiting is the time in which some task that could run had no processor, as Linux's pressure stall information
	// counts it: for the process's control group where it has a count of its own, else for the machine.
	Waiting     time.Duration
	WaitingRead bool // false where the system does not say
	// Idle and Total are the machine's processors' time in any one unit; Total is 0 where the system does not say.
	Idle, Total uint64
	Throttled   time.Duration // time in which the control group had used up its quota
}

const (
	// waitingShare is the share of the time in which somebody waits from which on processors are contended. A server
	// at saturation shows 0.9 and more; one that is half busy, with a background task of one thread, less than 0.3.
	waitingShare = 0.5
	// idleShare and throttledShare say the same where waiting is not known.
	idleShare      = 0.1
	throttledShare = 0.05
)

// Contended says whether processors were short between two readings. Where the system says nothing they never are.
func Contended(from, to Reading) bool {
	elapsed := to.At.Sub(from.At)
	if elapsed <= 0 {
		return false
	}
	if share(to.Throttled-from.Throttled, elapsed) >= throttledShare {
		return true
	}
	if from.WaitingRead && to.WaitingRead {
		return share(to.Waiting-from.Waiting, elapsed) >= waitingShare
	}
	if from.Total == 0 || to.Total <= from.Total || to.Idle < from.Idle {
		return false
	}
	return float64(to.Idle-from.Idle)/float64(to.Total-from.Total) < idleShare
}

func share(part, whole time.Duration) float64 { return float64(part) / float64(whole) }

// Rest is how long to do nothing after having worked so long: with contended processors a twentieth of the time is
// for background work. What waits meanwhile is now lag old and shall not get older than maxLag.
func Rest(worked, lag, maxLag time.Duration, contended bool) time.Duration {
	if !contended {
		return 0
	}
	return max(0, min(20*worked, maxLag-lag))
}

// window is the least time between two readings that are compared.
const window = 500 * time.Millisecond

// Gauge remembers the last verdict. It reads when it is asked, at most every half second; many may ask at once.
type Gauge struct {
	read func() Reading

	mu        sync.Mutex
	last      Reading
	contended bool
}

// NewGauge asks read for readings, the first one at once.
func NewGauge(read func() Reading) *Gauge {
	return &Gauge{read: read, last: read()}
}

// Contended says whether processors were short lately.
func (g *Gauge) Contended(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.last.At) >= window {
		to := g.read()
		g.contended = Contended(g.last, to)
		g.last = to
	}
	return g.contended
}
