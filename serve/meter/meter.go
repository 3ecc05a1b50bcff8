// Package meter counts what passes through the server, per deployment: live rates and latency percentiles for people
// (Live, History) and counters and stage histograms for Prometheus (prometheus.go). Time is an argument.
package meter

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/fairlead-ml/fairlead"
)

const (
	seconds = 120 // of history
	window  = 10  // seconds of a live percentile

	// Latencies are kept in microseconds with two significant digits.
	shortest, longest, digits = 1, int64(time.Minute / time.Microsecond), 2
)

// Observation is one finished request.
type Observation struct {
	Deployment fairlead.Name // "" where the request named none that exists
	At         time.Time     // when it finished, wall clock
	Rows       int
	Code       fairlead.Code // "" for success
	Stages     fairlead.Anatomy
	Total      time.Duration // from arrival to the answer being ready
}

// Meter holds the meters of all deployments. It may be used by many goroutines at once.
type Meter struct {
	gauges     sync.Map // fairlead.Name → *gauge
	prometheus *instruments
}

// New makes an empty meter.
func New() *Meter { return &Meter{prometheus: newInstruments()} }

// Observe counts one request.
func (m *Meter) Observe(o Observation) {
	m.prometheus.observe(o)
	if o.Deployment == "" {
		return
	}
	g, ok := m.gauges.Load(o.Deployment)
	if !ok {
		g, _ = m.gauges.LoadOrStore(o.Deployment, &gauge{})
	}
	g.(*gauge).observe(o)
}

// Forget drops a deployment that is gone.
func (m *Meter) Forget(name fairlead.Name) {
	m.gauges.Delete(name)
	m.prometheus.forget(name)
}

// Live is the state of a deployment's traffic over the last ten whole seconds.
type Live struct {
	Requests, Rows, Errors float64 // per second
	P50, P95, P99          time.Duration
	Measured               bool // false: no successful request in the window, and the percentiles mean nothing
}

// Point is one second.
type Point struct {
	Time                   time.Time // its start
	Requests, Rows, Errors uint64
	P50, P99               time.Duration
	Measured               bool
}

// Live reads the ten seconds before the present one.
func (m *Meter) Live(name fairlead.Name, now time.Time) Live {
	g, ok := m.gauges.Load(name)
	if !ok {
		return Live{}
	}
	return g.(*gauge).live(now.Unix())
}

// History reads up to the last n whole seconds, at most 120, oldest first, seconds without traffic included. It starts at
// the deployment's first second with traffic.
func (m *Meter) History(name fairlead.Name, now time.Time, n int) []Point {
	g, ok := m.gauges.Load(name)
	if !ok {
		return nil
	}
	return g.(*gauge).history(now.Unix(), min(n, seconds))
}

// gauge is the ring of one deployment's seconds.
type gauge struct {
	mu      sync.Mutex
	ring    [seconds + 1]second
	latency [window + 1]*hdrhistogram.Histogram // of second s at s mod its length
	first   int64                               // second of the first request
	present int64                               // latest second with a request
}

type second struct {
	at                     int64 // unix
	requests, rows, errors uint64
	p50, p99               int64 // microseconds; set when the second is over
	measured               bool
}

func (g *gauge) observe(o Observation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := o.At.Unix()
	if now < g.present {
		now = g.present // clocks of goroutines differ by a hair around a second's end
	}
	if g.first == 0 {
		g.first = now
	}
	if now > g.present {
		g.settle(g.present)
		g.present = now
		g.ring[now%int64(len(g.ring))] = second{at: now}
		h := &g.latency[now%int64(len(g.latency))]
		if *h == nil {
			*h = hdrhistogram.New(shortest, longest, digits)
		}
		(*h).Reset()
	}
	s := &g.ring[now%int64(len(g.ring))]
	s.requests++
	s.rows += uint64(o.Rows)
	if o.Code != "" {
		s.errors++
		return
	}
	micros := min(max(int64(o.Total/time.Microsecond), shortest), longest)
	_ = g.latency[now%int64(len(g.latency))].RecordValue(micros) // in range, so it cannot fail
}

// settle computes the percentiles of a second from its histogram, while that exists.
func (g *gauge) settle(at int64) {
	s := &g.ring[at%int64(len(g.ring))]
	h := g.latency[at%int64(len(g.latency))]
	if s.at != at || h == nil || h.TotalCount() == 0 {
		return
	}
	s.p50, s.p99, s.measured = h.ValueAtQuantile(50), h.ValueAtQuantile(99), true
}

func (g *gauge) live(now int64) Live {
	g.mu.Lock()
	defer g.mu.Unlock()
	var l Live
	all := hdrhistogram.New(shortest, longest, digits)
	for at := now - window; at < now; at++ {
		s := &g.ring[at%int64(len(g.ring))]
		if s.at != at {
			continue
		}
		l.Requests += float64(s.requests) / window
		l.Rows += float64(s.rows) / window
		l.Errors += float64(s.errors) / window
		// A second's histogram is overwritten a window later, unless no request came since.
		if h := g.latency[at%int64(len(g.latency))]; h != nil && at > g.present-int64(len(g.latency)) {
			all.Merge(h)
		}
	}
	if all.TotalCount() > 0 {
		l.Measured = true
		l.P50, l.P95, l.P99 = micros(all.ValueAtQuantile(50)), micros(all.ValueAtQuantile(95)), micros(all.ValueAtQuantile(99))
	}
	return l
}

func (g *gauge) history(now int64, n int) []Point {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.present < now {
		g.settle(g.present)
	}
	start := max(now-int64(n), g.first)
	var points []Point
	for at := start; at < now; at++ {
		p := Point{Time: time.Unix(at, 0).UTC()}
		if s := g.ring[at%int64(len(g.ring))]; s.at == at {
			p.Requests, p.Rows, p.Errors = s.requests, s.rows, s.errors
			p.P50, p.P99, p.Measured = micros(s.p50), micros(s.p99), s.measured
		}
		points = append(points, p)
	}
	return points
}

func micros(v int64) time.Duration { return time.Duration(v) * time.Microsecond }

// Statistics are totals since the server started, of one version of one deployment.
type Statistics struct {
	Deployment fairlead.Name
	Version    fairlead.Version
	Last       time.Time // the last request's end
	Rows       uint64    // answered by a run, so without those out of the cache
	Runs       uint64    // of the model; fewer than requests where they were run together
	Success    Total     // requests, arrival to answer
	Fail       Total
	Decode     Total // the stages, of successful requests that were run
	Queue      Total
	Run        Total
	Encode     Total
	CacheHit   Total   // looking up and answering
	CacheMiss  Total   // looking up and inserting
	Batches    []Batch // by size, ascending
}

// Total is a count and the time that went.
type Total struct {
	Count uint64
	Time  time.Duration
}

// Batch is the runs of one number of rows.
type Batch struct {
	Rows uint64
	Run  Total
}

// Statistics reads the totals of a deployment's versions, newest first.
func (m *Meter) Statistics(name fairlead.Name) []Statistics { return nil }
