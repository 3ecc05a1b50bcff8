package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// memoryLog is an event log that can refuse.
type memoryLog struct {
	mu     sync.Mutex
	refuse func(s eventlog.Stream, attempt int) error // nil: takes everything
	tries  int
	data   map[eventlog.Stream][][]byte
}

func (l *memoryLog) Append(ctx context.Context, s eventlog.Stream, _ string, data []byte) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tries++
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if l.refuse != nil {
		if err := l.refuse(s, l.tries); err != nil {
			return 0, err
		}
	}
	if l.data == nil {
		l.data = map[eventlog.Stream][][]byte{}
	}
	l.data[s] = append(l.data[s], data)
	return uint64(len(l.data[s])), nil
}

// ids lists the rows that were written, in order.
func (l *memoryLog) ids(t *testing.T) []string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for _, data := range l.data[eventlog.Predictions] {
		rows, err := eventlog.DecodePredictions(data)
		if err != nil {
			t.Fatal(err)
		}
		if rows.N > flushRows {
			t.Errorf("a message of %d rows", rows.N)
		}
		ids = append(ids, rows.ID...)
	}
	return ids
}

// counted is how many rows the counts that were written know, of rows and of those that are stored without.
func (l *memoryLog) counted(t *testing.T) (n int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []eventlog.ProfileDelta
	for _, data := range l.data[eventlog.Profiles] {
		deltas, err := eventlog.DecodeProfiles(data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, deltas...)
	}
	for _, data := range l.data[eventlog.Predictions] {
		rows, err := eventlog.DecodePredictions(data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rows.Counts...)
	}
	for _, d := range all {
		c, err := profile.ParseCounts(&profile.Layout{}, d.Counts)
		if err != nil {
			t.Fatal(err)
		}
		n += int(c.N)
	}
	return n
}

// oneVersion knows version 1 of the deployment d: x in, y out.
type oneVersion struct{}

func (oneVersion) Info(name fairlead.Name, v fairlead.Version) (fairlead.Signature, *profile.Layout, bool) {
	if name != "d" || v != 1 {
		return fairlead.Signature{}, nil, false
	}
	return fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1, 1}}},
	}, nil, true
}

func prediction(id string, rows int) *fairlead.Prediction {
	p := &fairlead.Prediction{ID: id, Deployment: "d", Model: "d", Version: 1, Role: fairlead.RoleLive, Received: time.Unix(0, 0).UTC()}
	x, y := make([]float32, rows), make([]float32, rows)
	for i := range rows {
		x[i], y[i] = float32(i), float32(-i)
		p.Rows = append(p.Rows, fairlead.RowMeta{ID: fairlead.RowID(id, i, rows), Time: time.Unix(0, 0).UTC()})
	}
	shape := []int64{int64(rows), 1}
	p.Inputs = []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: shape, Data: x}}
	p.Outputs = []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: shape, Data: y}}
	return p
}

// runRecorder starts one; the returned function stops it and waits.
func runRecorder(log appender, every time.Duration) (*recorder, func()) {
	r := newRecorder(log, oneVersion{}, every, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	return r, func() { cancel(); running.Wait() }
}

func expect(t *testing.T, r *recorder, recorded, dropped, pending int) {
	t.Helper()
	if got := [3]int{int(r.recorded.Load()), int(r.dropped.Load()), int(r.pending.Load())}; got != [3]int{recorded, dropped, pending} {
		t.Errorf("recorded, dropped, pending are %v, want %v", got, [3]int{recorded, dropped, pending})
	}
}

func TestRecorderFlushesOnStop(t *testing.T) {
	log := &memoryLog{}
	r, stop := runRecorder(log, time.Hour)
	for i := range 100 {
		r.Record(prediction(fmt.Sprint("p", i), 3))
	}
	stop()
	if ids := log.ids(t); len(ids) != 300 || ids[0] != "p0.0" || ids[299] != "p99.2" {
		t.Errorf("%d rows written", len(ids))
	}
	if n := len(log.data[eventlog.Predictions]); n != 1 {
		t.Errorf("%d messages for one batch", n)
	}
	if n := len(log.data[eventlog.Profiles]); n != 0 || log.counted(t) != 300 {
		t.Errorf("%d messages of counts alone, %d rows counted", n, log.counted(t))
	}
	expect(t, r, 300, 0, 0)
	r.Record(prediction("late", 2)) // nobody will write it
	expect(t, r, 300, 2, 0)
}

func TestRecorderFlushesByTime(t *testing.T) {
	log := &memoryLog{}
	r, stop := runRecorder(log, 10*time.Millisecond)
	defer stop()
	r.Record(prediction("p", 1))
	wait(t, "the row", func() bool { return r.pending.Load() == 0 })
	if ids := log.ids(t); len(ids) != 1 {
		t.Errorf("rows %v", ids)
	}
}

// A log that fails for a while gets every row in the end, once.
func TestRecorderTriesAgain(t *testing.T) {
	log := &memoryLog{refuse: func(_ eventlog.Stream, n int) error {
		if n <= 2 {
			return errors.New("disk full")
		}
		return nil
	}}
	r, stop := runRecorder(log, 5*time.Millisecond)
	r.Record(prediction("p", 2))
	wait(t, "the rows", func() bool { return r.pending.Load() == 0 })
	stop()
	if ids := log.ids(t); len(ids) != 2 {
		t.Errorf("rows %v", ids)
	}
	expect(t, r, 2, 0, 0)
}

// A stop while a write is under way or being tried again loses nothing that the log takes in time.
func TestRecorderStopsInTheMiddleOfAWrite(t *testing.T) {
	failing := make(chan struct{})
	log := &memoryLog{refuse: func(_ eventlog.Stream, n int) error {
		if n == 1 {
			close(failing)
			return errors.New("not now")
		}
		return nil
	}}
	r, stop := runRecorder(log, 5*time.Millisecond)
	r.Record(prediction("p", 2))
	<-failing
	stop()
	if ids := log.ids(t); len(ids) != 2 {
		t.Errorf("rows %v", ids)
	}
	expect(t, r, 2, 0, 0)
}

// While the log refuses, the queue fills up; what it cannot hold is counted, nothing blocks, the rest is written.
func TestRecorderCountsWhatItDrops(t *testing.T) {
	var open sync.WaitGroup
	open.Add(1)
	log := &memoryLog{refuse: func(eventlog.Stream, int) error { open.Wait(); return nil }}
	r, stop := runRecorder(log, time.Millisecond)
	const each = 10_000
	for i := range 2 * maxPendingRows / each {
		r.Record(prediction(fmt.Sprint("p", i), each))
	}
	if dropped := r.dropped.Load(); dropped != maxPendingRows {
		t.Errorf("%d rows dropped of %d with room for %d", dropped, 2*maxPendingRows, maxPendingRows)
	}
	open.Done()
	stop()
	if n := len(log.ids(t)); n != maxPendingRows || log.counted(t) != n {
		t.Errorf("%d rows written, %d counted", n, log.counted(t))
	}
	expect(t, r, maxPendingRows, maxPendingRows, 0)
}

// One message that the log never takes costs its rows only, and their counts go with them.
func TestRecorderTooLarge(t *testing.T) {
	log := &memoryLog{refuse: func(_ eventlog.Stream, n int) error {
		if n == 1 {
			return fairlead.Errorf(fairlead.CodeTooLarge, "too large")
		}
		return nil
	}}
	r, stop := runRecorder(log, time.Hour)
	r.Record(prediction("p", flushRows+5))
	stop()
	if n := len(log.ids(t)); n != 5 || log.counted(t) != 5 {
		t.Errorf("%d rows written, %d counted", n, log.counted(t))
	}
	expect(t, r, flushRows+5, flushRows, 0)
}

// A version that nobody knows costs its own rows, not those beside it.
func TestRecorderUnknownVersion(t *testing.T) {
	log := &memoryLog{}
	r, stop := runRecorder(log, time.Hour)
	stranger := prediction("s", 4)
	stranger.Version = 9
	r.Record(stranger)
	r.Record(prediction("p", 3))
	stop()
	if ids := log.ids(t); len(ids) != 3 {
		t.Errorf("rows %v", ids)
	}
	expect(t, r, 7, 4, 0)
}

// Chunks hold every row once and in order, within the limits of rows and of bytes.
func TestChunks(t *testing.T) {
	wide := prediction("wide", 40)
	wide.Inputs[0] = fairlead.Tensor{Name: "x", Type: fairlead.Bytes, Shape: []int64{40, 1}, Data: strings.Split(strings.Repeat(strings.Repeat("w", 1<<20)+" ", 40), " ")[:40]}
	for name, all := range map[string][]*fairlead.Prediction{
		"none":      nil,
		"small":     {prediction("a", 1), prediction("b", 2)},
		"exact":     {prediction("a", flushRows), prediction("b", 1)},
		"large":     {prediction("a", 3), prediction("b", 2*flushRows+7), prediction("c", 1)},
		"wide":      {prediction("a", 10), wide, prediction("c", 10)},
		"empty too": {prediction("a", 0), prediction("b", 2)},
	} {
		t.Run(name, func(t *testing.T) {
			var want, got []string
			for _, p := range all {
				for _, row := range p.Rows {
					want = append(want, row.ID)
				}
			}
			for _, chunk := range chunks(all, chunkBytes, (*fairlead.Tensor).Width) {
				rows, size := 0, 0
				for _, p := range chunk {
					for i, row := range p.Rows {
						got = append(got, row.ID)
						if x, ok := p.Inputs[0].Float(i); ok && fairlead.RowID(p.ID, int(x), 2) != row.ID && len(row.ID) > 1 {
							t.Fatalf("row %s has the input %g of another", row.ID, x)
						}
					}
					rows, size = rows+len(p.Rows), size+len(p.Rows)*rowBytes(p, (*fairlead.Tensor).Width)
				}
				if rows > flushRows || size > chunkBytes {
					t.Errorf("a chunk of %d rows and %d bytes", rows, size)
				}
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%d rows come out of %d, or in another order", len(got), len(want))
			}
		})
	}
}
