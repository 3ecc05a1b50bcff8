package cache

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// counts are those of one pool.
type counts struct {
	hits, misses, shared, refused atomic.Uint64
	evicted, expired              atomic.Uint64
	entries, bytes                atomic.Int64
}

func (c *counts) added(a *answer) {
	c.entries.Add(1)
	c.bytes.Add(a.bytes)
}

func (c *counts) removed(a *answer, cause otter.DeletionCause) {
	c.entries.Add(-1)
	c.bytes.Add(-a.bytes)
	switch cause {
	case otter.CauseOverflow:
		c.evicted.Add(1)
	case otter.CauseExpiration:
		c.expired.Add(1)
	}
}

// carry takes over what another has counted, but not what it holds.
func (c *counts) carry(o *counts) {
	c.hits.Store(o.hits.Load())
	c.misses.Store(o.misses.Load())
	c.shared.Store(o.shared.Load())
	c.refused.Store(o.refused.Load())
	c.evicted.Store(o.evicted.Load())
	c.expired.Store(o.expired.Load())
}

// Stats are what a model's cache did and holds.
type Stats struct {
	Hits    uint64 // answered out of the cache
	Shared  uint64 // answered by the run of an equal request
	Misses  uint64 // ran
	Refused uint64 // not looked up, for the model is cheaper than the cache
	Evicted uint64 // answers that made room for others
	Expired uint64 // answers that reached their TTL
	Entries int64
	Bytes   int64
}

// Stats reads the counts by model.
func (c *Cache) Stats() map[string]Stats {
	all := map[string]Stats{}
	for key, m := range *c.models.Load() {
		n, s := &m.counts, all[key.name]
		all[key.name] = Stats{
			Hits: s.Hits + n.hits.Load(), Shared: s.Shared + n.shared.Load(), Misses: s.Misses + n.misses.Load(),
			Refused: s.Refused + n.refused.Load(), Evicted: s.Evicted + n.evicted.Load(), Expired: s.Expired + n.expired.Load(),
			Entries: s.Entries + n.entries.Load(), Bytes: s.Bytes + n.bytes.Load(),
		}
	}
	return all
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("fairlead_cache_"+name, help, append([]string{"deployment"}, labels...), nil)
}

// What the cache gives Prometheus. Hits and misses are the meter's, by version.
var (
	sharedDesc  = desc("shared_total", "Requests answered by the run of an equal request that was under way.")
	refusedDesc = desc("refused_total", "Requests that were not looked up, because the model is cheaper than the cache.")
	evictedDesc = desc("evictions_total", "Answers removed, by cause: size (others needed the room) or ttl (their time was over).", "cause")
	entriesDesc = desc("entries", "Answers held.")
	bytesDesc   = desc("bytes", "Memory of the answers held.")
)

// Describe makes the cache a prometheus.Collector.
func (c *Cache) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sharedDesc, refusedDesc, evictedDesc, entriesDesc, bytesDesc} {
		ch <- d
	}
}

// Collect makes the cache a prometheus.Collector.
func (c *Cache) Collect(ch chan<- prometheus.Metric) {
	all := c.Stats()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s := all[name]
		metric := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, kind, v, append([]string{name}, labels...)...)
		}
		metric(sharedDesc, prometheus.CounterValue, float64(s.Shared))
		metric(refusedDesc, prometheus.CounterValue, float64(s.Refused))
		metric(evictedDesc, prometheus.CounterValue, float64(s.Evicted), "size")
		metric(evictedDesc, prometheus.CounterValue, float64(s.Expired), "ttl")
		metric(entriesDesc, prometheus.GaugeValue, float64(s.Entries))
		metric(bytesDesc, prometheus.GaugeValue, float64(s.Bytes))
	}
}
