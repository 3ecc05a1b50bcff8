package meter

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/fairlead-ml/fairlead"
)

const (
	history = 120 // seconds
	window  = 10  // seconds of a live percentile

	// Latencies are kept in microseconds with two significant digits.
	shortest, longest, digits = 1, int64(time.Minute / time.Microsecond), 2
)

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
	d := m.find(name)
	if d == nil {
		return Live{}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flush()
	return d.live(now.Unix())
}

// History reads up to the last n whole seconds, at most 120, oldest first, seconds without traffic included. It starts at
// the deployment's first second with traffic.
func (m *Meter) History(name fairlead.Name, now time.Time, n int) []Point {
	d := m.find(name)
	if d == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flush()
	return d.history(now.Unix(), min(n, history))
}

// seconds is the ring of one deployment's last seconds. A deployment's lock guards it.
type seconds struct {
	ring    [history + 1]second
	latency [window + 1]*hdrhistogram.Histogram // of second s at s mod its length
	first   int64                               // second of the first request
	present int64                               // latest second with a request
}

type counts struct{ requests, rows, errors uint64 }

type second struct {
	at int64 // unix
	counts
	p50, p99 int64 // microseconds; set when its histogram makes room
	measured bool
}

// begin starts the second now, which is later than the present one.
func (g *seconds) begin(now int64) {
	if g.first == 0 {
		g.first = now
	}
	// Histograms that the ring's turn passes over are the last chance to know their seconds' percentiles.
	for at := max(g.present-window, 1); at <= min(g.present, now-window-1); at++ {
		s := &g.ring[at%int64(len(g.ring))]
		if s.at == at && !s.measured {
			s.p50, s.p99, s.measured = g.percentiles(at)
		}
	}
	g.present = now
	g.ring[now%int64(len(g.ring))] = second{at: now}
	h := &g.latency[now%int64(len(g.latency))]
	if *h == nil {
		*h = hdrhistogram.New(shortest, longest, digits)
	}
	(*h).Reset()
}

// add adds to the present second.
func (g *seconds) add(c counts, latency *hdrhistogram.Histogram) {
	s := &g.ring[g.present%int64(len(g.ring))]
	s.requests += c.requests
	s.rows += c.rows
	s.errors += c.errors
	g.latency[g.present%int64(len(g.latency))].Merge(latency)
}

// histogram is that of a second with traffic, nil where it made room for a later one.
func (g *seconds) histogram(at int64) *hdrhistogram.Histogram {
	if at <= g.present-int64(len(g.latency)) || g.ring[at%int64(len(g.ring))].at != at {
		return nil
	}
	return g.latency[at%int64(len(g.latency))]
}

func (g *seconds) percentiles(at int64) (p50, p99 int64, measured bool) {
	h := g.histogram(at)
	if h == nil || h.TotalCount() == 0 {
		return 0, 0, false
	}
	return h.ValueAtQuantile(50), h.ValueAtQuantile(99), true
}

func (g *seconds) live(now int64) Live {
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
		if h := g.histogram(at); h != nil {
			all.Merge(h)
		}
	}
	if all.TotalCount() > 0 {
		l.Measured = true
		l.P50, l.P95, l.P99 = micros(all.ValueAtQuantile(50)), micros(all.ValueAtQuantile(95)), micros(all.ValueAtQuantile(99))
	}
	return l
}

func (g *seconds) history(now int64, n int) []Point {
	start := max(now-int64(n), g.first)
	var points []Point
	for at := start; at < now; at++ {
		p := Point{Time: time.Unix(at, 0).UTC()}
		if s := g.ring[at%int64(len(g.ring))]; s.at == at {
			p.Requests, p.Rows, p.Errors = s.requests, s.rows, s.errors
			p50, p99, measured := s.p50, s.p99, s.measured
			if !measured {
				p50, p99, measured = g.percentiles(at)
			}
			p.P50, p.P99, p.Measured = micros(p50), micros(p99), measured
		}
		points = append(points, p)
	}
	return points
}

func micros(v int64) time.Duration { return time.Duration(v) * time.Microsecond }
