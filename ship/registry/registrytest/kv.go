// Package registrytest holds the conformance suite of model registries, and the key-value store it runs on.
package registrytest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/fairlead-ml/fairlead"
)

// KV is a key-value store in memory with compare-and-set, safe for concurrent use. Its zero value is empty.
type KV struct {
	mu       sync.Mutex
	values   map[string][]byte
	revs     map[string]uint64
	last     uint64
	Conflict int   // how many Puts were refused
	Fail     error // if set, what Put answers, without storing anything

	FailKey   string // if set, Put of this key answers ErrPowerCut, without storing anything
	FailAfter int    // if set, that many Puts from now, and every one after it, answer ErrPowerCut
}

// ErrPowerCut is what a Put answers that was told to fail.
var ErrPowerCut = errors.New("power cut")

// Get is the value and its revision; nil, 0, nil for an absent key.
func (k *KV) Get(_ context.Context, key string) ([]byte, uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.values[key]), k.revs[key], nil
}

// Put stores value if revision is the key's, else it answers CodeConflict.
func (k *KV) Put(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.Fail != nil {
		return 0, k.Fail
	}
	if k.FailKey != "" && key == k.FailKey {
		return 0, ErrPowerCut
	}
	if k.FailAfter > 0 {
		if k.FailAfter == 1 {
			return 0, ErrPowerCut
		}
		k.FailAfter--
	}
	if k.revs[key] != revision {
		k.Conflict++
		return 0, fairlead.Errorf(fairlead.CodeConflict, "key %s is at revision %d, not %d", key, k.revs[key], revision)
	}
	if k.values == nil {
		k.values, k.revs = map[string][]byte{}, map[string]uint64{}
	}
	k.last++
	k.values[key], k.revs[key] = slices.Clone(value), k.last
	return k.last, nil
}

// Keys lists the keys.
func (k *KV) Keys(context.Context) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.values)), nil
}
