// Package cache keeps answers of models, so that a request equal to an earlier one is answered without a run, and lets equal
// requests that come at the same time share one run.
//
// An answer can only be given to a request to the same bundle with the same inputs, since both are in the key: after a
// swap of versions the old answers are unreachable at once and fall out as others come. Whether keeping answers pays is a
// question of cost: a small tree ensemble is faster than any cache (Worth). Eviction is otter's adaptive W-TinyLFU.
//
// The tensors that the cache gives out are shared by everybody who asked the same: nobody may change them.
package cache

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/maypok86/otter/v2"
)

// DefaultBytes is the memory of a cache nobody sized.
const DefaultBytes = 256 << 20

// Options say what a Cache is like.
type Options struct {
	Bytes int64            // of all models without a budget of their own; 0: DefaultBytes
	Now   func() time.Time // nil: time.Now, and a goroutine that removes expired answers every second
}

// Cache holds answers. It may be used by many goroutines at once; Stop ends it.
type Cache struct {
	now    func() time.Time
	common *otter.Cache[Key, *answer]
	models atomic.Pointer[map[pool]*model]

	mu      sync.Mutex // adds models, and guards the flights
	flights map[Key]*flight
	running sync.WaitGroup
}

// pool names where the answers of a model are kept. Versions of one deployment may have different budgets.
type pool struct {
	name   string
	budget int64
}

// maxPools of one name have a budget of their own: two versions stay loaded, and a third while it takes their place. The one
// made first makes room.
const maxPools = 3

// model is what the cache knows of one pool.
type model struct {
	made    int                        // one after the other
	answers *otter.Cache[Key, *answer] // its own where it has a budget, else the common one
	counts  counts
}

// answer is all outputs of one run.
type answer struct {
	of      *model
	outputs []fairlead.Tensor
	ttl     time.Duration
	bytes   int64
}

// New makes an empty cache.
func New(o Options) *Cache {
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	c := &Cache{now: o.Now, flights: map[Key]*flight{}}
	c.common = c.answers(o.Bytes)
	c.models.Store(&map[pool]*model{})
	return c
}

func (c *Cache) answers(bytes int64) *otter.Cache[Key, *answer] {
	options := &otter.Options[Key, *answer]{
		MaximumWeight: uint64(bytes),
		Weigher:       func(_ Key, a *answer) uint32 { return uint32(a.bytes) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[Key, *answer]) time.Duration {
			return e.Value.ttl
		}),
		OnAtomicDeletion: func(e otter.DeletionEvent[Key, *answer]) { e.Value.of.counts.removed(e.Value, e.Cause) },
	}
	if c.now != nil {
		options.Clock = clock{c.now}
	}
	return otter.Must(options)
}

// clock is a clock without ticks: expired answers are not given out, and leave as others come.
type clock struct{ now func() time.Time }

func (c clock) NowNano() int64                      { return c.now().UnixNano() }
func (c clock) Tick(time.Duration) <-chan time.Time { return nil }

// Stop ends the cache's goroutines and waits for the runs under way, which nobody waits for any more, or for ctx.
func (c *Cache) Stop(ctx context.Context) error {
	c.common.StopAllGoroutines()
	for _, m := range *c.models.Load() {
		m.answers.StopAllGoroutines()
	}
	done := make(chan struct{})
	go func() { c.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Entry says how an answer is kept.
type Entry struct {
	Model  string        // whose answer it is, for budgets and counts
	TTL    time.Duration // how long it may be given; 0: this model's answers are not kept
	Cost   time.Duration // of the run, as predicted; 0: unknown, taken as worth keeping
	Budget int64         // bytes that this model's answers may take, beside those of the others; 0: a part of the common ones
}

// Do gives the answer for key: out of the cache, from a run for an equal request that is under way, or by calling run. hit
// is true in the first two cases. run is called in a goroutine of its own, with a context that holds the values and the
// deadline of ctx but ends only when nobody waits for its answer any more: it must not touch what belongs to the request
// other than its inputs, which have to stay valid until it returns, even if that is after Do. Where the model has no TTL
// or is too cheap to be kept, Do calls run itself, with ctx, and that is all.
//
// The error is run's, or of code deadline or canceled when ctx ends first. Errors are not kept. One that came from the
// deadline of the request that started the run is not given to others: they run again. A panic of run is a panic of
// every Do that waits for it.
func (c *Cache) Do(ctx context.Context, key Key, e Entry, run func(context.Context) ([]fairlead.Tensor, error)) (out []fairlead.Tensor, hit bool, err error) {
	m := c.model(e)
	if !m.admit(e, 0) {
		out, err = run(ctx)
		return out, false, err
	}
	for {
		if a, ok := m.answers.GetIfPresent(key); ok {
			m.counts.hits.Add(1)
			return a.outputs, true, nil
		}
		f, leads, a := c.join(ctx, key, m)
		if a != nil {
			m.counts.hits.Add(1)
			return a.outputs, true, nil
		}
		if leads {
			m.counts.misses.Add(1)
			out, err = c.lead(ctx, f, m, e, run)
			return out, false, err
		}
		out, err = c.wait(ctx, f)
		if err == nil {
			m.counts.shared.Add(1)
			return out, true, nil
		}
		if ctx.Err() != nil || !f.ownError(err) {
			return nil, false, err
		}
	}
}

// Admit says whether an answer to a request with that many bytes of inputs is looked up and kept, and counts where it is
// not because the model is too cheap. Ask before KeyOf.
func (c *Cache) Admit(e Entry, bytes int64) bool { return e.TTL > 0 && c.model(e).admit(e, bytes) }

func (m *model) admit(e Entry, bytes int64) bool {
	if e.TTL <= 0 {
		return false
	}
	if e.Cost > 0 && !Worth(e.Cost, bytes) {
		m.counts.refused.Add(1)
		return false
	}
	return true
}

// What a request pays that finds nothing: hashing its inputs, two looks, a place among the flights, copying the answer in
// and making room. Measured on a 2-core AMD EPYC VM by BenchmarkMiss, and rounded up. A hit is less than a fifth of it
// (BenchmarkHit), so a model that is just worth it breaks even where about half of the requests are repeated.
const (
	missCost    = 5 * time.Microsecond
	missPerByte = time.Nanosecond
)

// Worth says whether a run of that cost is more than the cache's own work on a miss, for a request with so many bytes of
// inputs.
func Worth(cost time.Duration, bytes int64) bool {
	return cost > missCost+time.Duration(bytes)*missPerByte
}

// keep puts an answer in, as a copy: rows of a batch share memory with rows of strangers.
func (c *Cache) keep(key Key, m *model, ttl time.Duration, outputs []fairlead.Tensor) []fairlead.Tensor {
	a := &answer{of: m, outputs: clone(outputs), ttl: ttl}
	if a.bytes = Size(a.outputs) + overhead; a.bytes > math.MaxUint32 {
		return outputs
	}
	m.counts.added(a)
	m.answers.Set(key, a)
	return a.outputs
}

// overhead is what an answer takes beside its data: key, node of the cache, headers.
const overhead = 256

// model finds or adds the pool of an entry.
func (c *Cache) model(e Entry) *model {
	key := pool{e.Model, max(0, e.Budget)}
	if m := (*c.models.Load())[key]; m != nil {
		return m
	}
	var m *model
	c.change(func(all map[pool]*model) {
		if m = all[key]; m != nil {
			return
		}
		m = &model{answers: c.common}
		if key.budget > 0 {
			m.answers = c.answers(key.budget)
			c.makeRoom(all, m, key.name)
		}
		all[key] = m
	})
	return m
}

// makeRoom drops the oldest pool of a name that has as many as it may, and lets m count on from there.
func (c *Cache) makeRoom(all map[pool]*model, m *model, name string) {
	var oldest pool
	pools := 0
	for key, other := range all {
		if key.name != name || key.budget == 0 {
			continue
		}
		pools++
		m.made = max(m.made, other.made+1)
		if oldest.name == "" || other.made < all[oldest].made {
			oldest = key
		}
	}
	if pools >= maxPools {
		m.counts.carry(&all[oldest].counts)
		c.drop(all[oldest])
		delete(all, oldest)
	}
}

// Forget drops the counts of a model that is gone, and its answers if it had a budget of its own. Others fall out by age.
func (c *Cache) Forget(name string) {
	c.change(func(all map[pool]*model) {
		for key, m := range all {
			if key.name == name {
				c.drop(m)
				delete(all, key)
			}
		}
	})
}

func (c *Cache) drop(m *model) {
	if m.answers != c.common {
		m.answers.StopAllGoroutines()
		m.answers.InvalidateAll()
	}
}

func (c *Cache) change(edit func(map[pool]*model)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(*c.models.Load())
	edit(all)
	c.models.Store(&all)
}

func clone(ts []fairlead.Tensor) []fairlead.Tensor {
	out := slices.Clone(ts)
	for i := range out {
		out[i].Shape = slices.Clone(out[i].Shape)
		out[i].Data = cloneData(out[i].Data)
	}
	return out
}

func cloneData(data any) any {
	switch d := data.(type) {
	case []bool:
		return slices.Clone(d)
	case []int8:
		return slices.Clone(d)
	case []int16:
		return slices.Clone(d)
	case []int32:
		return slices.Clone(d)
	case []int64:
		return slices.Clone(d)
	case []uint8:
		return slices.Clone(d)
	case []uint16:
		return slices.Clone(d)
	case []uint32:
		return slices.Clone(d)
	case []uint64:
		return slices.Clone(d)
	case []float32:
		return slices.Clone(d)
	case []float64:
		return slices.Clone(d)
	case []string:
		out := make([]string, len(d))
		for i, s := range d {
			out[i] = strings.Clone(s)
		}
		return out
	}
	return data
}
