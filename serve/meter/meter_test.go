package meter_test

import (
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/meter"
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

func BenchmarkObserve(b *testing.B) {
	o := meter.Observation{Deployment: "d", Version: 3, At: start, Rows: 1, BatchRows: 1, Total: 40 * time.Microsecond,
		Stages: fairlead.Anatomy{Decode: 8 * time.Microsecond, Queue: 300, Run: 20 * time.Microsecond, Encode: 6 * time.Microsecond}}
	b.Run("serial", func(b *testing.B) {
		m := meter.New()
		b.ReportAllocs()
		for b.Loop() {
			m.Observe(o)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		m := meter.New()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				m.Observe(o)
			}
		})
	})
	b.Run("run", func(b *testing.B) {
		m := meter.New()
		b.ReportAllocs()
		for b.Loop() {
			m.ObserveRun("d", 3, 1, 20*time.Microsecond)
		}
	})
}
