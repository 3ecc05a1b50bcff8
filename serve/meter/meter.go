// Package meter counts what passes through the server, per deployment and version: live rates and latency percentiles for
// people (Live, History), totals for the statistics extension (Statistics), and counters and histograms for Prometheus.
// Time is an argument.
//
// Counting must not show in the latency of a small model, so every deployment is split into shards, one per processor as
// far as possible: an observation takes the lock of one shard, which nobody else wants, and adds to plain memory. Readers
// add the shards up.
package meter

import (
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Observation is one finished request.
type Observation struct {
	Deployment fairlead.Name    // "" where the request named none that exists
	Version    fairlead.Version // who answered; 0 where nobody could be found
	At         time.Time        // when it finished, wall clock
	Rows       int
	BatchRows  int           // rows of the run that it was part of, its own included; 0 where nothing ran
	Cached     bool          // answered without a run of its own: out of the cache, or by the run of an equal request
	Lookup     time.Duration // what the cache took, run excluded; 0 where the model has no cache
	Code       fairlead.Code // "" for success
	Reason     string        // of the error, where programs may act on it; one of few
	Stages     fairlead.Anatomy
	Total      time.Duration // from arrival to the answer being ready
	Trace      string        // id of its trace if that is recorded; shown beside its latency as an exemplar
}

// maxShards bounds what a deployment takes on a machine with many processors.
const maxShards = 16

// Meter holds the meters of all deployments. It may be used by many goroutines at once.
type Meter struct {
	deployments atomic.Pointer[map[fairlead.Name]*deployment] // copied to add one: a sync.Map costs three times as much to read
	adding      sync.Mutex
	unknown     *deployment
	shards      int
	tokens      sync.Pool // *token
	next        atomic.Uint32
}

// token is the right to a shard's cache line rather than to the shard: a sync.Pool hands the same token to the same
// processor again and again, and a shard met by two is only slower.
type token struct{ shard int }

// New makes an empty meter.
func New() *Meter {
	m := &Meter{shards: min(runtime.GOMAXPROCS(0), maxShards)}
	m.tokens.New = func() any { return &token{int(m.next.Add(1)) % m.shards} }
	m.deployments.Store(&map[fairlead.Name]*deployment{})
	m.unknown = newDeployment(m.shards)
	return m
}

// Observe counts one request.
func (m *Meter) Observe(o Observation) {
	d := m.unknown
	if o.Deployment != "" {
		d = m.deployment(o.Deployment)
	}
	t := m.tokens.Get().(*token)
	d.observe(&o, t.shard)
	m.tokens.Put(t)
}

// ObserveRun counts one run of a model over rows, which may belong to several requests.
func (m *Meter) ObserveRun(name fairlead.Name, v fairlead.Version, rows int, took time.Duration) {
	t := m.tokens.Get().(*token)
	m.deployment(name).observeRun(v, rows, took, t.shard)
	m.tokens.Put(t)
}

func (m *Meter) deployment(name fairlead.Name) *deployment {
	if d := m.find(name); d != nil {
		return d
	}
	m.change(func(all map[fairlead.Name]*deployment) {
		if all[name] == nil {
			all[name] = newDeployment(m.shards)
		}
	})
	return m.deployment(name)
}

// find gives nil where there was no traffic.
func (m *Meter) find(name fairlead.Name) *deployment { return (*m.deployments.Load())[name] }

// Forget drops a deployment that is gone.
func (m *Meter) Forget(name fairlead.Name) {
	m.change(func(all map[fairlead.Name]*deployment) { delete(all, name) })
}

func (m *Meter) change(edit func(map[fairlead.Name]*deployment)) {
	m.adding.Lock()
	defer m.adding.Unlock()
	all := maps.Clone(*m.deployments.Load())
	edit(all)
	m.deployments.Store(&all)
}
