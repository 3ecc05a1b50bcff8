// Package limit refuses requests beyond what a client or a model is allowed: so many per second (a token bucket, for bursts)
// and so many at a time. Nothing waits here. Time is an argument.
package limit

import (
	"math"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"golang.org/x/time/rate"
)

// Config says who may do how much. The zero Config limits nobody.
type Config struct {
	Clients []Rule // the first one that matches a client's name holds for it; each client has its own bucket
	Models  []Rule // the same for the deployments that requests name
	// Tracked is how many clients and how many deployments are remembered; 0: 10,000. Beyond that the one unseen for
	// longest is forgotten, and starts with a full bucket when it comes back.
	Tracked int
}

// Rule limits those whose name it matches.
type Rule struct {
	Match       string  // a name, or a pattern: "team-*"; "*" is everybody, also a client without a name
	Rate        float64 // requests per second; 0: any number
	Burst       int     // requests that may come at once; 0: those of one second, at least 1
	Concurrency int     // requests under way at a time; 0: any number
}

func (r Rule) unlimited() bool { return r.Rate == 0 && r.Concurrency == 0 }

// check says what is wrong with a rule. The errors are CodeInvalid.
func (r Rule) check() error {
	switch _, err := path.Match(r.Match, ""); {
	case err != nil || r.Match == "":
		return fairlead.Invalid("the limit's pattern %q cannot be read", r.Match).
			Hintf(`write a name, or a pattern like "team-*"; "*" is everybody`)
	case r.Rate < 0 || math.IsNaN(r.Rate) || math.IsInf(r.Rate, 0):
		return fairlead.Invalid("the limit of %q has a rate of %v", r.Match, r.Rate).Hintf("give requests per second, or 0 for any number")
	case r.Burst < 0 || r.Concurrency < 0:
		return fairlead.Invalid("the limit of %q has a negative burst or concurrency", r.Match).Hintf("0 is any number")
	}
	return nil
}

// Limiter counts requests under way. It may be used by many goroutines at once.
type Limiter struct {
	now func() time.Time
	on  atomic.Bool

	mu      sync.Mutex
	clients table
	models  table
}

// New makes a Limiter. The error is CodeInvalid and says which rule is wrong.
func New(c Config, now func() time.Time) (*Limiter, error) {
	l := &Limiter{now: now, clients: newTable("client"), models: newTable("model")}
	return l, l.Set(c)
}

// Set changes the limits. Requests under way stay counted where they were, and buckets keep what they hold. The error is
// CodeInvalid, and the limits stay as they were.
func (l *Limiter) Set(c Config) error {
	for _, r := range slices.Concat(c.Clients, c.Models) {
		if err := r.check(); err != nil {
			return err
		}
	}
	if c.Tracked <= 0 {
		c.Tracked = 10_000
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.clients.set(slices.Clone(c.Clients), c.Tracked, now)
	l.models.set(slices.Clone(c.Models), c.Tracked, now)
	l.on.Store(len(c.Clients)+len(c.Models) > 0)
	return nil
}

var nothing = func() {}

// Acquire lets a request of a client to a deployment begin; release ends it, and may be called again without effect. The
// error is CodeExhausted, with the reason client_concurrency, client_rate, model_concurrency or model_rate, and for a rate
// with the time when the next token comes. A refused request takes no token.
func (l *Limiter) Acquire(client, deployment string) (release func(), err error) {
	if !l.on.Load() {
		return nothing, nil
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	c, m := l.clients.find(client, now), l.models.find(deployment, now)
	if err := c.refuse(now); err != nil {
		return nil, err
	}
	if err := m.refuse(now); err != nil {
		return nil, err
	}
	c, m = c.begin(now), m.begin(now)
	if c == nil && m == nil {
		return nothing, nil
	}
	ended := false
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !ended {
			ended = true
			c.end()
			m.end()
		}
	}, nil
}

// account is what is known of one client or deployment. A nil one is not limited.
type account struct {
	kind, name string
	rule       Rule
	bucket     *rate.Limiter // nil: no limit of the rate
	underWay   int
}

func (a *account) apply(r Rule, now time.Time) {
	a.rule = r
	burst := r.Burst
	if burst == 0 {
		burst = max(1, int(math.Ceil(min(r.Rate, math.MaxInt32))))
	}
	switch {
	case r.Rate == 0:
		a.bucket = nil
	case a.bucket == nil:
		a.bucket = rate.NewLimiter(rate.Limit(r.Rate), burst)
	default:
		a.bucket.SetLimitAt(now, rate.Limit(r.Rate))
		a.bucket.SetBurstAt(now, burst)
	}
}

// refuse is nil where one more request may begin.
func (a *account) refuse(now time.Time) error {
	if a == nil {
		return nil
	}
	if a.rule.Concurrency > 0 && a.underWay >= a.rule.Concurrency {
		err := fairlead.Errorf(fairlead.CodeExhausted, "%s has %d requests under way, as many as it may", a, a.underWay).
			Hintf("wait for one of them to end")
		err.Reason, err.Retry = a.kind+"_concurrency", time.Second
		return err
	}
	if a.bucket == nil {
		return nil
	}
	tokens := a.bucket.TokensAt(now)
	if tokens >= 1 {
		return nil
	}
	wait := time.Duration(math.Ceil((1 - tokens) / a.rule.Rate * 1e9))
	err := fairlead.Errorf(fairlead.CodeExhausted, "%s may have %g requests per second, and had them", a, a.rule.Rate).
		Hintf("the next one may come in %v", max(wait.Round(time.Millisecond), time.Millisecond))
	err.Reason, err.Retry = a.kind+"_rate", wait
	return err
}

func (a *account) String() string {
	if a.name == "" {
		return "the " + a.kind + " without a name"
	}
	return "the " + a.kind + " " + a.name
}

// begin takes a token, and a place, which end gives back. It gives nil where no place was taken.
func (a *account) begin(now time.Time) *account {
	if a == nil {
		return nil
	}
	if a.bucket != nil {
		a.bucket.AllowN(now, 1)
	}
	if a.rule.Concurrency == 0 {
		return nil
	}
	a.underWay++
	return a
}

func (a *account) end() {
	if a != nil {
		a.underWay--
	}
}
