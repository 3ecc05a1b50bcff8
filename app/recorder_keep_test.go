package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/eventlog/keep"
)

// policyOfAll is one for all versions.
type policyOfAll keep.Policy

func (p *policyOfAll) Policy(fairlead.Name, fairlead.Version) *keep.Policy { return (*keep.Policy)(p) }

// Of a tenth of the rows that are stored, the counters know all that were answered, and so do the profiles.
func TestRecorderSamples(t *testing.T) {
	log := &memoryLog{}
	r, stop := runRecorder(log, time.Hour)
	r.policies = &policyOfAll{Sample: 0.1, Slow: keep.DefaultSlow}
	r.chance = keep.Chance(3)
	for i := range 100 {
		r.Record(prediction(fmt.Sprint("p", i), 20))
	}
	slow := prediction("slow", 2)
	slow.Latency.Run = keep.DefaultSlow
	shadow := prediction("shadow", 2)
	shadow.Role, shadow.Disagrees = fairlead.RoleShadow, []bool{false, true}
	r.Record(slow)
	r.Record(shadow)
	stop()
	ids := strings.Join(log.ids(t), " ")
	n := len(strings.Fields(ids))
	if n < 150 || n > 260 {
		t.Errorf("%d of 2004 rows are stored", n)
	}
	for _, id := range []string{"slow.0", "slow.1", "shadow.1"} {
		if !strings.Contains(ids, id) {
			t.Errorf("%s is of the tail and not stored", id)
		}
	}
	expect(t, r, 2004, 0, 0)
	if got := int(r.sampled.Load()); got != 2004-n {
		t.Errorf("%d rows sampled out, %d stored", got, n)
	}
	if counted := log.counted(t); counted != 2004 {
		t.Errorf("the profiles count %d rows", counted)
	}
}

// What a sample leaves out altogether is counted all the same, and lost with its counts.
func TestRecorderCountsWhatNoRowIsStoredOf(t *testing.T) {
	log := &memoryLog{refuse: func(_ eventlog.Stream, n int) error {
		if n == 2 {
			return fairlead.Invalid("never")
		}
		return nil
	}}
	r, stop := runRecorder(log, time.Hour)
	r.policies = &policyOfAll{Sample: 1e-9}
	for range 2 {
		if err := r.RecordDurable(t.Context(), prediction("p", 7)); err != nil {
			t.Error(err)
		}
	}
	stop()
	if len(log.data[eventlog.Predictions]) != 0 || log.counted(t) != 7 || r.sampled.Load() != 7 {
		t.Errorf("%d messages of rows, %d rows counted, %d sampled out", len(log.data[eventlog.Predictions]), log.counted(t), r.sampled.Load())
	}
	expect(t, r, 14, 7, 0)
}

// Rows of very many minutes have more counts than a message takes: it becomes several, each with the counts of its rows.
func TestRecorderCutsByCounts(t *testing.T) {
	const rows = 5000
	p := prediction("p", rows)
	for i := range p.Rows {
		p.Rows[i].Time = time.Unix(int64(i)*60, 0).UTC()
	}
	p.Disagrees = make([]bool, rows)
	p.Disagrees[rows-1] = true
	log := &memoryLog{}
	r, stop := runRecorder(log, time.Hour)
	r.chunk = 8 << 10
	r.policies = &policyOfAll{Sample: 0.5}
	r.Record(prediction("q", 3))
	r.Record(p)
	stop()
	ids := log.ids(t)
	if n := len(ids); n < rows*2/5 || n > rows*3/5 || ids[n-1] != p.Rows[rows-1].ID {
		t.Errorf("%d of %d rows are stored, the last is %s", n, rows, ids[n-1])
	}
	for _, data := range log.data[eventlog.Predictions] {
		m, err := eventlog.DecodePredictions(data)
		if err != nil {
			t.Fatal(err)
		}
		minutes := map[time.Time]bool{}
		for _, d := range m.Counts {
			minutes[d.Minute] = true
		}
		for i, at := range m.EventTime {
			if !minutes[at] {
				t.Fatalf("row %s is not in the counts of its message", m.ID[i])
			}
		}
		if len(data) > 4*r.chunk {
			t.Errorf("a message of %d bytes", len(data))
		}
	}
	if n := len(log.data[eventlog.Predictions]); n < 10 || log.counted(t) != rows+3 {
		t.Errorf("%d messages, %d rows counted", n, log.counted(t))
	}
	expect(t, r, rows+3, 0, 0)
}

// Those who wait share a write, and hear of it when it is done.
func TestRecorderAcknowledgesWhatIsWritten(t *testing.T) {
	log := &memoryLog{}
	r, stop := runRecorder(log, time.Hour) // nothing is written by time
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			id := fmt.Sprint("p", i)
			if err := r.RecordDurable(t.Context(), prediction(id, 1)); err != nil {
				t.Error(err)
			}
			if !strings.Contains(strings.Join(log.ids(t), " ")+" ", id+" ") {
				t.Errorf("%s is acknowledged and not written", id)
			}
		})
	}
	all.Wait()
	stop()
	expect(t, r, 50, 0, 0)
	if r.held.Load() != 0 {
		t.Errorf("%d bytes are said to wait", r.held.Load())
	}
}

func TestRecorderDoesNotAcknowledgeWhatIsNotWritten(t *testing.T) {
	log := &memoryLog{refuse: func(eventlog.Stream, int) error { return errors.New("disk full") }}
	r, stop := runRecorder(log, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := r.RecordDurable(ctx, prediction("p", 1))
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code != fairlead.CodeUnavailable || e.Reason != ReasonNotRecorded || e.Retry == 0 {
		t.Errorf("got %v", err)
	}
	log.mu.Lock()
	log.refuse = func(eventlog.Stream, int) error { return fairlead.Invalid("never") }
	log.mu.Unlock()
	stop()
	if err := r.RecordDurable(t.Context(), prediction("late", 1)); fairlead.CodeOf(err) != fairlead.CodeUnavailable {
		t.Errorf("a stopped recorder says %v", err)
	}
}

// Pictures that wait for a slow log are bounded in bytes, not only in rows.
func TestRecorderBoundsBytes(t *testing.T) {
	block := make(chan struct{})
	log := &memoryLog{refuse: func(eventlog.Stream, int) error { <-block; return nil }}
	r, stop := runRecorder(log, time.Hour)
	picture := func(i int) *fairlead.Prediction {
		p := prediction(fmt.Sprint("p", i), 1)
		p.Inputs[0].Shape, p.Inputs[0].Data = []int64{1, 1 << 20}, shared
		return p
	}
	const n = 100 // of 4 MiB
	for i := range n {
		r.Record(picture(i))
	}
	if held := r.held.Load(); held > maxPendingBytes {
		t.Errorf("%d bytes wait", held)
	}
	dropped := int(r.dropped.Load())
	if dropped < n-maxPendingBytes/(4<<20) {
		t.Errorf("%d of %d pictures are dropped", dropped, n)
	}
	close(block)
	stop()
	expect(t, r, n-dropped, dropped, 0)
	if r.held.Load() != 0 {
		t.Errorf("%d bytes are said to wait", r.held.Load())
	}
}

var shared = make([]float32, 1<<20)
