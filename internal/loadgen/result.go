package loadgen

import (
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Unsent is the failure of an open loop's request whose deadline had passed before a connection was free.
const Unsent = "not sent: no connection was free before the deadline"

// sample is one request's times.
type sample struct{ intended, sent, ended time.Duration }

// recorder counts requests. Connections share few parts, so that many of them do not cost many histograms.
type recorder struct {
	deadline time.Duration
	parts    []*part
}

type part struct {
	mu         sync.Mutex
	latency    *hdrhistogram.Histogram // of the successful
	lag        *hdrhistogram.Histogram // from intended to sent, of all
	inTime     int64
	failures   map[string]int64
	reconnects int64
	first      time.Duration
	last       time.Duration
	_          [64]byte // of another cache line
}

func newRecorder(l Load) *recorder {
	r := &recorder{deadline: l.Deadline}
	for range min(l.Connections, runtime.GOMAXPROCS(0)) {
		r.parts = append(r.parts, &part{latency: newHistogram(), lag: newHistogram(), failures: map[string]int64{}, first: forever})
	}
	return r
}

// newHistogram counts nanoseconds from 1 µs to 1000 s in steps of 0.1 %.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1000, 1000*time.Second.Nanoseconds(), 3)
}

func (r *recorder) add(connection int, s sample, o Outcome) {
	p := r.parts[connection%len(r.parts)]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.span(s.sent, s.ended)
	p.reconnects += int64(o.Reconnects)
	record(p.lag, s.sent-s.intended)
	if !o.OK {
		p.failures[o.Failure]++
		return
	}
	record(p.latency, s.ended-s.intended)
	if r.deadline == 0 || s.ended-s.intended <= r.deadline {
		p.inTime++
	}
}

func (r *recorder) unsent(connection int, s sample) {
	p := r.parts[connection%len(r.parts)]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.span(s.sent, s.sent)
	record(p.lag, s.sent-s.intended)
	p.failures[Unsent]++
}

func (p *part) span(sent, ended time.Duration) {
	p.first, p.last = min(p.first, sent), max(p.last, ended)
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Nanoseconds(), 0), h.HighestTrackableValue())) // in range, so it cannot fail
}

// Result is what a run measured, after its warm-up.
type Result struct {
	Load       Load
	Elapsed    time.Duration    // that the counted requests took together
	Requests   int64            // successful and failed
	Successes  int64            // answered well, in time or not
	InTime     int64            // answered well within the deadline
	Failures   map[string]int64 // the others, by what went wrong
	Reconnects int64            // connections that the server had closed while they were idle, made anew
	Latency    Percentiles      // of the successful, from the intended time
	Lag        Percentiles      // from the intended time to the sending: the generator's own lateness and the wait for a free connection
}

// Throughput is successful requests per second.
func (r *Result) Throughput() float64 { return perSecond(r.Successes, r.Elapsed) }

// Goodput is requests per second answered well within the deadline.
func (r *Result) Goodput() float64 { return perSecond(r.InTime, r.Elapsed) }

// Failed is the number of requests that failed.
func (r *Result) Failed() int64 { return r.Requests - r.Successes }

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// Percentiles are durations; all zero if there were no values. They are exact to 0.1 %.
type Percentiles struct {
	Mean, P50, P90, P99, P999, Max time.Duration
}

func (r *recorder) result(l Load, from, to time.Duration) *Result {
	out := &Result{Load: l, Failures: map[string]int64{}}
	latency, lag := newHistogram(), newHistogram()
	first, last := forever, time.Duration(0)
	for _, p := range r.parts {
		latency.Merge(p.latency)
		lag.Merge(p.lag)
		out.InTime += p.inTime
		out.Reconnects += p.reconnects
		for failure, n := range p.failures {
			out.Failures[failure] += n
			out.Requests += n
		}
		first, last = min(first, p.first), max(last, p.last)
	}
	out.Successes = latency.TotalCount()
	out.Requests += out.Successes
	out.Latency, out.Lag = percentiles(latency), percentiles(lag)
	// A run that a count ended took from its first request to its last answer.
	if out.Elapsed = to - from; l.Count > 0 && last < to {
		out.Elapsed = max(last-max(first, from), 0)
	}
	return out
}

func percentiles(h *hdrhistogram.Histogram) Percentiles {
	if h.TotalCount() == 0 {
		return Percentiles{}
	}
	at := func(p float64) time.Duration { return time.Duration(min(h.ValueAtPercentile(p), h.Max())) }
	return Percentiles{Mean: time.Duration(math.Round(h.Mean())), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: time.Duration(h.Max())}
}
