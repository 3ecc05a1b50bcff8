package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Lease says that somebody outside this server needs a version until a point in time: a device, a job, a replica.
type Lease struct {
	Holder  string           `json:"holder"` // who, for example "device/pump-17/a"; a holder has one lease
	Model   fairlead.Name    `json:"model"`
	Version fairlead.Version `json:"version"`
	Expires time.Time        `json:"expires"`
}

// Use is a version that must not be removed, and who needs it, in words: "deployment flights".
type Use struct {
	Model   fairlead.Name
	Version fairlead.Version
	By      string
}

// users are asked what is in use beside aliases and leases.
type users struct {
	mu  sync.Mutex
	ask []func(context.Context) ([]Use, error)
}

// UsedBy adds somebody who is asked, before a version is removed, which ones are needed. While one of them fails to answer
// nothing is removed.
func (r *Registry) UsedBy(ask func(context.Context) ([]Use, error)) {
	r.users.mu.Lock()
	defer r.users.mu.Unlock()
	r.users.ask = append(r.users.ask, ask)
}

// uses lists what is in use by leases and by those who are asked.
func (r *Registry) uses(ctx context.Context, now time.Time) ([]Use, error) {
	r.users.mu.Lock()
	ask := slices.Clone(r.users.ask)
	r.users.mu.Unlock()
	var all []Use
	for _, f := range ask {
		uses, err := f(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask what is in use: %w", err)
		}
		all = append(all, uses...)
	}
	leases, err := r.Leases(ctx, now)
	if err != nil {
		return nil, err
	}
	for _, l := range leases {
		all = append(all, Use{l.Model, l.Version, fmt.Sprintf("%s, until %s", l.Holder, l.Expires.UTC().Format("2006-01-02 15:04"))})
	}
	return all, nil
}

// leaseShards spreads leases over records, so that many holders seldom meet.
const leaseShards = 64

func leaseKey(holder string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(holder))
	return fmt.Sprintf("leases/%02x", h.Sum32()%leaseShards)
}

// Lease takes or renews the lease of a holder; one on another version is given up by it. The error is CodeNotFound for a
// version that there is not, or not any more.
func (r *Registry) Lease(ctx context.Context, l Lease, now time.Time) error {
	if l.Holder == "" || !l.Expires.After(now) {
		return fairlead.Invalid("a lease needs a holder and a time to come at which it ends, got %q and %s", l.Holder, l.Expires)
	}
	if _, err := r.Resolve(ctx, l.Model, l.Version.String()); err != nil {
		return err
	}
	var before *Lease
	err := r.updateLeases(ctx, l.Holder, now, func(leases map[string]Lease) {
		if old, ok := leases[l.Holder]; ok {
			before = &old
		}
		leases[l.Holder] = l
	})
	if err != nil {
		return err
	}
	// A removal that has begun looks for leases after it has said so in the record. Either it sees this one, or this sees
	// the removal, and stops it; or it is too late.
	err = r.update(ctx, l.Model, func(m *Model) error {
		if _, err := m.at(l.Version); err != nil {
			return err
		}
		if m.Versions[l.Version-1].Removing.IsZero() {
			return errUnchanged
		}
		m.Versions[l.Version-1].Removing = time.Time{}
		return nil
	})
	if err != nil {
		undo := r.updateLeases(context.WithoutCancel(ctx), l.Holder, now, func(leases map[string]Lease) {
			delete(leases, l.Holder)
			if before != nil {
				leases[l.Holder] = *before
			}
		})
		return joined(err, undo)
	}
	return nil
}

// Release gives a holder's lease back; without one it does nothing.
func (r *Registry) Release(ctx context.Context, holder string, now time.Time) error {
	return r.updateLeases(ctx, holder, now, func(leases map[string]Lease) { delete(leases, holder) })
}

// Leases lists the leases that have not ended, by holder.
func (r *Registry) Leases(ctx context.Context, now time.Time) ([]Lease, error) {
	keys, err := r.kv.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	all := []Lease{}
	for _, k := range keys {
		if !strings.HasPrefix(k, "leases/") {
			continue
		}
		leases, _, err := r.loadLeases(ctx, k)
		if err != nil {
			return nil, err
		}
		for _, l := range leases {
			if l.Expires.After(now) {
				all = append(all, l)
			}
		}
	}
	slices.SortFunc(all, func(a, b Lease) int { return cmp.Compare(a.Holder, b.Holder) })
	return all, nil
}

func (r *Registry) loadLeases(ctx context.Context, key string) (map[string]Lease, uint64, error) {
	value, revision, err := r.kv.Get(ctx, key)
	if err != nil {
		return nil, 0, fmt.Errorf("record %s: %w", key, err)
	}
	leases := map[string]Lease{}
	if value == nil {
		return leases, revision, nil
	}
	if err := json.Unmarshal(value, &leases); err != nil {
		return nil, 0, fmt.Errorf("record %s: %w", key, err)
	}
	return leases, revision, nil
}

// updateLeases changes the record that a holder's lease is in, and forgets those that have ended.
func (r *Registry) updateLeases(ctx context.Context, holder string, now time.Time, change func(map[string]Lease)) error {
	key := leaseKey(holder)
	return r.retry(ctx, key, func() error {
		leases, revision, err := r.loadLeases(ctx, key)
		if err != nil {
			return err
		}
		for h, l := range leases {
			if !l.Expires.After(now) {
				delete(leases, h)
			}
		}
		change(leases)
		value, err := json.Marshal(leases)
		if err != nil {
			return err
		}
		_, err = r.kv.Put(ctx, key, value, revision)
		return err
	})
}
