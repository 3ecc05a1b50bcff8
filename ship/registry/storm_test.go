package registry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
)

// storm is the state of the randomised test: what must be true of the registry whatever happened.
type storm struct {
	t      *testing.T
	random *rand.Rand
	dir    string
	kv     *registrytest.KV
	r      *registry.Registry
	uses   map[string]registry.Use // deployments
	clock  time.Time
	did    map[string]int
}

func (s *storm) reopen() {
	s.r = open(s.t, s.dir, s.kv)
	s.r.UsedBy(func(context.Context) ([]registry.Use, error) { return slices.Collect(maps.Values(s.uses)), nil })
}

// Pushes, aliases, leases, deployments, removals, retention, collections and crashes in any order, and a thousand times:
// what is needed is never taken, and what is not needed goes in the end.
func TestStorm(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if testing.Short() {
		seed = 1
	}
	t.Log("seed", seed)
	for round := range 4 {
		s := &storm{t: t, random: rand.New(rand.NewPCG(seed, uint64(round))), dir: t.TempDir(), kv: &registrytest.KV{}, uses: map[string]registry.Use{}, clock: now, did: map[string]int{}}
		s.reopen()
		for range 100 {
			s.step()
			if t.Failed() {
				t.Fatalf("seed %d, round %d, after %v", seed, round, s.did)
			}
		}
		// In the end nothing is in use but by aliases, deployments and leases, and everything else can go.
		s.kv.Fail, s.kv.FailAfter = nil, 0
		if _, err := s.r.Collect(t.Context(), 0, time.Now().Add(time.Hour), false); err != nil {
			t.Fatal(err)
		}
		s.check()
		s.nothingLeft()
		if s.did["collected blobs"] == 0 || s.did["crashes"] == 0 || s.did["removed"] == 0 || s.did["in use"] == 0 {
			t.Logf("round %d did only %v", round, s.did)
		}
	}
}

func (s *storm) step() {
	ctx := s.t.Context()
	s.clock = s.clock.Add(time.Duration(s.random.IntN(3600)) * time.Second)
	model := fairlead.Name([]string{"a", "b"}[s.random.IntN(2)])
	if s.random.IntN(10) == 0 { // a power cut at one of the next writes of the records
		s.kv.FailAfter, s.kv.Fail = 1+s.random.IntN(3), nil
	}
	var err error
	switch s.random.IntN(9) {
	case 0, 1, 2:
		_, _, err = s.r.Add(ctx, model, registrytest.Bundle(s.t, model, s.random.IntN(12)), s.clock, []string{"", "", "beta"}[s.random.IntN(3)])
	case 3:
		if e, ok := s.some(model); ok {
			_, err = s.r.Point(ctx, model, registry.Pointing{Alias: []string{"champion", "beta"}[s.random.IntN(2)], To: e.Version * fairlead.Version(s.random.IntN(2)), At: s.clock})
		}
	case 4:
		if e, ok := s.some(model); ok {
			l := registry.Lease{Holder: fmt.Sprint("device/", s.random.IntN(3)), Model: model, Version: e.Version, Expires: s.clock.Add(3 * time.Hour)}
			err = s.r.Lease(ctx, l, s.clock)
		}
	case 5:
		if e, ok := s.some(model); ok {
			s.uses[string(model)] = registry.Use{Model: model, Version: e.Version, By: "deployment"}
		}
	case 6:
		if e, ok := s.some(model); ok {
			_, err = s.r.Remove(ctx, model, e.Version, "storm", s.clock)
			s.count("removed", err)
		}
	case 7:
		var gone []registry.Entry
		gone, err = s.r.Retain(ctx, registry.Policy{Keep: 2, MaxAge: time.Hour}, "storm", s.clock, false)
		s.did["retained"] += len(gone)
	case 8:
		var got registry.Collected
		got, err = s.r.Collect(ctx, 0, time.Now().Add(time.Hour), false)
		s.did["collected blobs"] += got.Blobs
	}
	if code := fairlead.CodeOf(err); code != "" && code != fairlead.CodeConflict && code != fairlead.CodeNotFound && !errors.Is(err, registrytest.ErrPowerCut) {
		s.t.Errorf("%v", err)
	}
	if errors.Is(err, registrytest.ErrPowerCut) { // the machine comes up again
		s.did["crashes"]++
		s.kv.FailAfter = 0
		s.reopen()
		if err := s.r.Reindex(ctx); err != nil {
			s.t.Error(err)
		}
	}
	s.check()
}

func (s *storm) count(what string, err error) {
	switch fairlead.CodeOf(err) {
	case "":
		s.did[what]++
	case fairlead.CodeConflict:
		s.did["in use"]++
	}
}

func (s *storm) some(model fairlead.Name) (registry.Entry, bool) {
	m, err := s.r.Model(s.t.Context(), model)
	if err != nil {
		return registry.Entry{}, false
	}
	kept := m.Kept()
	return kept[s.random.IntN(len(kept))], true
}

// check opens everything that somebody may need.
func (s *storm) check() {
	ctx := s.t.Context()
	models, err := s.r.List(ctx)
	if err != nil {
		s.t.Error(err)
	}
	for _, m := range models {
		for i, e := range m.Versions {
			if e.Version != fairlead.Version(i+1) {
				s.t.Errorf("version %d at place %d", e.Version, i)
			}
			if !e.Kept() {
				continue
			}
			if _, err := s.r.Open(ctx, e.Digest); err != nil {
				s.t.Errorf("%s@%d: %v", e.Model, e.Version, err)
			}
		}
		for alias, v := range m.Aliases {
			if _, err := s.r.Resolve(ctx, m.Name, alias); err != nil {
				s.t.Errorf("alias %s at %d: %v", alias, v, err)
			}
		}
	}
	for _, u := range s.uses {
		if _, err := s.r.Resolve(ctx, u.Model, u.Version.String()); err != nil {
			s.t.Errorf("deployed: %v", err)
		}
	}
	leases, err := s.r.Leases(ctx, s.clock)
	if err != nil {
		s.t.Error(err)
	}
	for _, l := range leases {
		if _, err := s.r.Resolve(ctx, l.Model, l.Version.String()); err != nil {
			s.t.Errorf("leased by %s: %v", l.Holder, err)
		}
	}
}

// nothingLeft checks that every blob on disk belongs to a version.
func (s *storm) nothingLeft() {
	needed := map[string]bool{}
	models, err := s.r.List(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range models {
		for _, e := range m.Kept() {
			b, err := s.r.Open(s.t.Context(), e.Digest)
			if err != nil {
				s.t.Fatal(err)
			}
			needed[blobPath(s.dir, e.Digest)] = true
			for d := range b.Blobs {
				needed[blobPath(s.dir, d)] = true
			}
		}
	}
	for _, f := range files(s.t, filepath.Join(s.dir, "blobs")) {
		if !needed[f] {
			s.t.Errorf("%s is left, and nobody needs it", f)
		}
	}
	sound(s.t, s.r)
}

// The same at once: writers, and collections without any grace period between them. No version that was pushed loses a
// blob.
func TestCollectWhilePushing(t *testing.T) {
	dir, kv := t.TempDir(), &registrytest.KV{}
	r := open(t, dir, kv)
	stop := make(chan struct{})
	var collectors, writers sync.WaitGroup
	collectors.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := r.Collect(t.Context(), 0, time.Now().Add(time.Hour), false); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for w := range 4 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(w)))
			for range 25 {
				name := fairlead.Name([]string{"a", "b"}[random.IntN(2)])
				b := registrytest.Bundle(t, "shared", random.IntN(6)) // the same blobs come and go
				e, _, err := r.Add(t.Context(), name, b, now, "")
				if err != nil {
					t.Error(err)
					return
				}
				if err := r.Verify(t.Context(), e); err != nil {
					if _, gone := r.Resolve(t.Context(), name, e.Version.String()); fairlead.CodeOf(gone) != fairlead.CodeNotFound {
						t.Errorf("pushed, and a blob is gone: %v", err)
					}
				}
				if _, err := r.Remove(t.Context(), name, e.Version, "", now.Add(time.Duration(random.IntN(1e9)))); err != nil &&
					fairlead.CodeOf(err) != fairlead.CodeConflict && fairlead.CodeOf(err) != fairlead.CodeNotFound {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	collectors.Wait()
	sound(t, r)
}

// A removal and a lease at the same moment: either the version is removed, or the lease holds, never both.
func TestLeaseAgainstRemove(t *testing.T) {
	r := open(t, t.TempDir(), &registrytest.KV{})
	leased, removed := 0, 0
	for i := range 60 {
		e, _, err := r.Add(t.Context(), "m", registrytest.Bundle(t, "m", i), now, "")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var lease, remove error
		wg.Go(func() {
			lease = r.Lease(t.Context(), registry.Lease{Holder: "device", Model: "m", Version: e.Version, Expires: now.Add(time.Hour)}, now)
		})
		wg.Go(func() { _, remove = r.Remove(t.Context(), "m", e.Version, "", now) })
		wg.Wait()
		if lease == nil && remove == nil {
			t.Fatalf("version %d was leased and removed", e.Version)
		}
		if lease == nil {
			leased++
		}
		if remove == nil {
			removed++
		}
		if err := r.Release(t.Context(), "device", now); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d leased, %d removed", leased, removed)
	if leased+removed == 0 {
		t.Error("neither ever works")
	}
}
