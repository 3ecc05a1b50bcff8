package meter_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/prometheus/client_golang/prometheus"
)

var start = time.Unix(1_000_000_000, 0).UTC()

func near(a, b time.Duration) bool { return a > b*98/100 && a < b*102/100 }

func TestLiveAndHistory(t *testing.T) {
	m := meter.New()
	for s := range 5 {
		for i := 1; i <= 100; i++ {
			m.Observe(meter.Observation{Deployment: "flights", At: start.Add(time.Duration(s)*time.Second + time.Millisecond),
				Rows: 2, Total: time.Duration(i) * time.Millisecond})
		}
		m.Observe(meter.Observation{Deployment: "flights", At: start.Add(time.Duration(s) * time.Second),
			Code: fairlead.CodeInvalid})
	}
	now := start.Add(5 * time.Second)
	l := m.Live("flights", now)
	if l.Requests != 50.5 || l.Rows != 100 || l.Errors != 0.5 || !l.Measured ||
		!near(l.P50, 50*time.Millisecond) || !near(l.P95, 95*time.Millisecond) || !near(l.P99, 99*time.Millisecond) {
		t.Errorf("live: %+v", l)
	}
	h := m.History("flights", now.Add(2*time.Second), 120)
	if len(h) != 7 || h[0].Time != start || h[4].Rows != 200 || h[4].Requests != 101 || h[4].Errors != 1 || !h[4].Measured ||
		!near(h[4].P50, 50*time.Millisecond) || !near(h[0].P99, 99*time.Millisecond) || h[5].Measured || h[6].Rows != 0 {
		t.Errorf("history: %+v", h)
	}
	if l := m.Live("flights", now.Add(10*time.Second)); l.Measured || l.Requests != 0 {
		t.Errorf("after ten quiet seconds: %+v", l)
	}
	if h := m.History("flights", now.Add(500*time.Second), 999); len(h) != 120 || h[0].Rows != 0 {
		t.Errorf("after minutes: %d points, first %+v", len(h), h[0])
	}
	if l := m.Live("nothing", now); l != (meter.Live{}) || m.History("nothing", now, 10) != nil {
		t.Errorf("a deployment without traffic: %+v", l)
	}
}

// TestRingWraps lets more than two rings of seconds pass.
func TestRingWraps(t *testing.T) {
	m := meter.New()
	for s := range 300 {
		m.Observe(meter.Observation{Deployment: "d", At: start.Add(time.Duration(s) * time.Second), Rows: s + 1,
			Total: time.Duration(s+1) * time.Millisecond})
	}
	h := m.History("d", start.Add(300*time.Second), 120)
	if len(h) != 120 {
		t.Fatalf("%d points", len(h))
	}
	for i, p := range h {
		if want := 181 + i; p.Rows != uint64(want) || !near(p.P50, time.Duration(want)*time.Millisecond) {
			t.Fatalf("point %d: %+v, want %d rows", i, p, want)
		}
	}
	if l := m.Live("d", start.Add(300*time.Second)); !near(l.P50, 295*time.Millisecond) || !near(l.P99, 300*time.Millisecond) {
		t.Errorf("live: %+v", l)
	}
}

func TestConcurrent(t *testing.T) {
	m := meter.New()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				m.Observe(meter.Observation{Deployment: "d", At: start.Add(time.Duration(i+g) * time.Millisecond), Rows: 1, Total: time.Millisecond})
				if i%100 == 0 {
					m.Live("d", start)
					m.History("d", start, 10)
				}
			}
		})
	}
	wg.Wait()
	var rows uint64
	for _, p := range m.History("d", start.Add(10*time.Second), 120) {
		rows += p.Rows
	}
	if rows != 8000 {
		t.Errorf("%d rows, want 8000", rows)
	}
}

func TestPrometheus(t *testing.T) {
	m := meter.New()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m)
	m.Observe(meter.Observation{Deployment: "flights", At: start, Rows: 3, Total: time.Millisecond,
		Stages: fairlead.Anatomy{Run: time.Millisecond}})
	m.Observe(meter.Observation{Deployment: "flights", At: start, Code: fairlead.CodeInvalid})
	m.Observe(meter.Observation{At: start, Code: fairlead.CodeNotFound})
	want := []string{
		`fairlead_request_duration_seconds{flights} 1`,
		`fairlead_requests_total{invalid,flights} 1`,
		`fairlead_requests_total{not_found,} 1`,
		`fairlead_requests_total{ok,flights} 1`,
		`fairlead_rows_total{flights} 3`,
		`fairlead_stage_duration_seconds{flights,decode} 1`,
		`fairlead_stage_duration_seconds{flights,encode} 1`,
		`fairlead_stage_duration_seconds{flights,queue} 1`,
		`fairlead_stage_duration_seconds{flights,run} 1`,
	}
	if got := gather(t, r); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	m.Forget("flights")
	if got := gather(t, r); !slices.Equal(got, want[2:3]) {
		t.Errorf("after Forget: %q", got)
	}
}

// gather lists the metrics: the values of the labels, and the value or the number of observations.
func gather(t *testing.T, r *prometheus.Registry) []string {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := ""
			for i, l := range m.GetLabel() {
				if i > 0 {
					labels += ","
				}
				labels += l.GetValue()
			}
			lines = append(lines, fmt.Sprintf("%s{%s} %v", f.GetName(), labels,
				m.GetCounter().GetValue()+float64(m.GetHistogram().GetSampleCount())))
		}
	}
	slices.Sort(lines)
	return lines
}

func BenchmarkObserve(b *testing.B) {
	m := meter.New()
	o := meter.Observation{Deployment: "d", At: start, Rows: 1, Total: time.Millisecond}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Observe(o)
		}
	})
}
