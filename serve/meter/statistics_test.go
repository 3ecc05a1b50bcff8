package meter_test

import (
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/google/go-cmp/cmp"
)

// TestStatistics: two requests in one run, one out of the cache, one that failed.
func TestStatistics(t *testing.T) {
	m := meter.New()
	stages := fairlead.Anatomy{Decode: 10, Queue: 20, Run: 300, Encode: 4}
	m.ObserveRun("d", 7, 5, 300)
	m.Observe(meter.Observation{Deployment: "d", Version: 7, At: start, Rows: 2, BatchRows: 5, Total: 340, Stages: stages, Lookup: 6})
	m.Observe(meter.Observation{Deployment: "d", Version: 7, At: start, Rows: 3, BatchRows: 5, Total: 350, Stages: stages, Lookup: 8})
	m.Observe(meter.Observation{Deployment: "d", Version: 7, At: start.Add(time.Second), Rows: 3, Cached: true, Total: 19, Lookup: 5,
		Stages: fairlead.Anatomy{Decode: 10, Run: 5, Encode: 4}})
	m.Observe(meter.Observation{Deployment: "d", Version: 7, At: start.Add(2 * time.Second), Code: fairlead.CodeInvalid, Total: 11})
	m.ObserveRun("d", 8, 1, 100)
	m.ObserveRun("d", 8, 32, 900)
	m.ObserveRun("d", 8, 1, 120)
	m.Observe(meter.Observation{Deployment: "d", At: start, Code: fairlead.CodeUnavailable}) // not loaded yet
	want := []meter.Statistics{
		{Deployment: "d", Version: 8, Runs: 3, Batches: []meter.Batch{{1, meter.Total{2, 220}}, {32, meter.Total{1, 900}}}},
		{
			Deployment: "d", Version: 7, Last: start.Add(2 * time.Second), Rows: 5, Runs: 1,
			Success: meter.Total{3, 709}, Fail: meter.Total{1, 11},
			Decode: meter.Total{2, 20}, Queue: meter.Total{2, 40}, Run: meter.Total{2, 600}, Encode: meter.Total{2, 8},
			CacheHit: meter.Total{1, 5}, CacheMiss: meter.Total{2, 14},
			Batches: []meter.Batch{{5, meter.Total{1, 300}}},
		},
	}
	if diff := cmp.Diff(want, m.Statistics("d")); diff != "" {
		t.Error(diff)
	}
	if s := m.Statistics("nothing"); s != nil {
		t.Errorf("a deployment without traffic: %+v", s)
	}
}

// TestManyBatchSizes: beyond 256 sizes the counts stay, the sizes become coarse.
func TestManyBatchSizes(t *testing.T) {
	m := meter.New()
	for rows := range 5000 {
		m.ObserveRun("d", 1, rows+1, time.Microsecond)
	}
	s := m.Statistics("d")[0]
	var runs uint64
	for i, b := range s.Batches {
		runs += b.Run.Count
		if i > 0 && b.Rows <= s.Batches[i-1].Rows {
			t.Errorf("%d rows after %d", b.Rows, s.Batches[i-1].Rows)
		}
	}
	if s.Runs != 5000 || runs != 5000 || len(s.Batches) > 300 || s.Batches[len(s.Batches)-1].Rows != 8192 {
		t.Errorf("%d runs, %d sizes up to %d rows", runs, len(s.Batches), s.Batches[len(s.Batches)-1].Rows)
	}
}

// TestLateReader: percentiles of a second are right though its histograms have been reused since.
func TestLateReader(t *testing.T) {
	m := meter.New()
	for s := range 30 {
		if s == 5 || s > 8 && s < 20 { // pauses shorter and longer than the histograms' ring
			continue
		}
		for range 10 {
			m.Observe(meter.Observation{Deployment: "d", At: start.Add(time.Duration(s) * time.Second), Rows: 1, Total: time.Duration(s+1) * time.Millisecond})
		}
	}
	for s, p := range m.History("d", start.Add(30*time.Second), 120) {
		if s == 5 || s > 8 && s < 20 {
			if p.Measured || p.Requests != 0 {
				t.Errorf("second %d: %+v, want nothing", s, p)
			}
			continue
		}
		if !p.Measured || p.Requests != 10 || !near(p.P50, time.Duration(s+1)*time.Millisecond) {
			t.Errorf("second %d: %+v", s, p)
		}
	}
}
