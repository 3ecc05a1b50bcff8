package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// What only one of the servers on a log may do, one of them leads: steps of rollouts, trimming of the log, alerts. It holds
// a lease, a key that it writes again and again by compare-and-set. Nobody compares clocks: a server takes the lease over
// when it has seen the key unchanged for leaseFor by its own clock, and the holder believes in it only for the shorter
// holdFor since it began to write it last. What a leader writes is itself compare-and-set, so that one that was paused in
// the middle of a step finds its write outrun by its successor's.
const (
	renewEvery = 2 * time.Second
	holdFor    = 6 * time.Second
	leaseFor   = 9 * time.Second
	leaseKey   = "lead"
)

// lease is the value of leaseKey.
type lease struct {
	Server string `json:"server"` // empty: it was given back
	Term   uint64 `json:"term"`   // counts the changes of hands
}

// leader takes part in the choice.
type leader struct {
	kv     keyValue
	id     string
	now    func() time.Time // with a monotonic clock
	gained func(context.Context)
	log    *slog.Logger

	mu       sync.Mutex
	until    time.Time // it leads until then
	revision uint64    // of the lease that it wrote last
	term     uint64    // of it
	seen     uint64    // revision of the lease when it was last looked at
	since    time.Time // when that was first seen
}

// leads says whether this server may do what only one may.
func (l *leader) leads() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now().Before(l.until)
}

// run takes part until ctx ends, then gives the lease back, so that a clean stop leaves no pause.
func (l *leader) run(ctx context.Context) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		if err := l.step(ctx); err != nil && ctx.Err() == nil {
			l.log.Debug("lease not renewed", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.giveBack(context.WithoutCancel(ctx))
			return
		}
	}
}

// step renews the lease, or takes it where nobody has it.
func (l *leader) step(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, holdFor-renewEvery)
	defer cancel()
	began := l.now()
	raw, revision, err := l.kv.Get(ctx, leaseKey)
	if err != nil {
		return err
	}
	var held lease
	if raw != nil {
		if err := json.Unmarshal(raw, &held); err != nil {
			return err
		}
	}
	l.mu.Lock()
	if revision != l.seen || l.since.IsZero() {
		l.seen, l.since = revision, l.now()
	}
	mine := held.Server == l.id // also that of this server's last life: it has ended
	free := held.Server == "" || l.now().Sub(l.since) >= leaseFor
	had := l.now().Before(l.until)
	if !mine {
		l.until = time.Time{}
	}
	l.mu.Unlock()
	if !mine && !free {
		return nil
	}
	next := lease{Server: l.id, Term: held.Term}
	if !mine {
		next.Term++
	}
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	written, err := l.kv.Put(ctx, leaseKey, value, revision)
	if err != nil {
		if fairlead.CodeOf(err) == fairlead.CodeConflict {
			l.drop()
		}
		return err
	}
	l.mu.Lock()
	l.revision, l.term, l.seen, l.since = written, next.Term, written, l.now()
	l.until = began.Add(holdFor)
	l.mu.Unlock()
	if !had {
		l.log.Info("this server leads: it steps rollouts and keeps the alerts", "term", next.Term)
		if l.gained != nil {
			l.gained(ctx)
		}
	}
	return nil
}

func (l *leader) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
}

func (l *leader) giveBack(ctx context.Context) {
	l.mu.Lock()
	had, revision := l.now().Before(l.until), l.revision
	value, err := json.Marshal(lease{Term: l.term})
	l.until = time.Time{}
	l.mu.Unlock()
	if !had || err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := l.kv.Put(ctx, leaseKey, value, revision); err != nil {
		l.log.Debug("lease not given back", "err", err)
	}
}
