package accesslog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/accesslog"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	otel "go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var received = time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC)

func finished() *serve.Finished {
	return &serve.Finished{
		ID: "r1", Protocol: "http/oip", Deployment: "flights", Client: "10.0.0.7", Target: &route.Target{Deployment: "flights", Version: 3},
		Received: received, Rows: 2, BatchRows: 5,
		Stages: fairlead.Anatomy{Decode: 8 * time.Microsecond, Queue: 10 * time.Microsecond, Run: 40 * time.Microsecond, Encode: 4321},
	}
}

func start(t testing.TB, o accesslog.Options) *accesslog.Log {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return received.Add(100 * time.Microsecond) }
	}
	l, err := accesslog.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func stop(t testing.TB, l *accesslog.Log) {
	t.Helper()
	if err := l.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestLines shows the lines that there can be.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	l := start(t, accesslog.Options{Out: &out, Sample: 1})
	traced := otel.ContextWithRemoteSpanContext(t.Context(), otel.NewSpanContext(otel.SpanContextConfig{
		TraceID: otel.TraceID{0x4b, 0xf9, 15: 1}, SpanID: otel.SpanID{1}}))
	l.Observe(traced, finished())
	cached := finished()
	cached.Cached, cached.BatchRows, cached.Stages.Queue, cached.Stages.Run = true, 0, 0, 300
	l.Observe(t.Context(), cached)
	refused := finished()
	refused.Err = &fairlead.Error{Code: fairlead.CodeExhausted, Message: "500 requests wait", Hint: "send fewer", Reason: "queue_full"}
	l.Observe(t.Context(), refused)
	l.Observe(t.Context(), &serve.Finished{ID: "r2\n\"", Protocol: "grpc/oip", Deployment: "nothing", Received: received, Err: errors.New("a bug")})
	stop(t, l)
	want := `{"time":"2001-09-09T01:46:40.0001Z","level":"INFO","msg":"request","id":"r1","protocol":"http/oip","deployment":"flights","client":"10.0.0.7","version":3,"code":"ok","rows":2,"batch_rows":5,"cached":false,"total_us":100,"decode_us":8,"queue_us":10,"run_us":40,"encode_us":4.3,"trace_id":"4bf90000000000000000000000000001"}
{"time":"2001-09-09T01:46:40.0001Z","level":"INFO","msg":"request","id":"r1","protocol":"http/oip","deployment":"flights","client":"10.0.0.7","version":3,"code":"ok","rows":2,"batch_rows":0,"cached":true,"total_us":100,"decode_us":8,"queue_us":0,"run_us":0.3,"encode_us":4.3}
{"time":"2001-09-09T01:46:40.0001Z","level":"WARN","msg":"request","id":"r1","protocol":"http/oip","deployment":"flights","client":"10.0.0.7","version":3,"code":"exhausted","reason":"queue_full","error":"500 requests wait (send fewer)","rows":2,"batch_rows":5,"cached":false,"total_us":100,"decode_us":8,"queue_us":10,"run_us":40,"encode_us":4.3}
{"time":"2001-09-09T01:46:40.0001Z","level":"WARN","msg":"request","id":"r2\n\"","protocol":"grpc/oip","deployment":"nothing","client":"","code":"internal","error":"a bug","rows":0,"batch_rows":0,"cached":false,"total_us":100,"decode_us":0,"queue_us":0,"run_us":0,"encode_us":0}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	l.Observe(t.Context(), finished()) // too late
	if s := l.Stats(); s != (accesslog.Stats{Lines: 4, Dropped: 1}) {
		t.Errorf("%+v", s)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(l)
	if f, err := r.Gather(); err != nil || len(f) != 3 {
		t.Errorf("%d metrics, %v", len(f), err)
	}
}

// TestSampling: a quarter of the successes, everything slow, everything that failed.
func TestSampling(t *testing.T) {
	var out bytes.Buffer
	now, asked := received, 0
	l := start(t, accesslog.Options{Out: &out, Sample: 0.25, Slow: time.Second, Now: func() time.Time { return now },
		Rand: func() float64 { asked++; return float64(asked%8) / 8 }})
	observe := func(id string, took time.Duration, err error) {
		for range 8 {
			f := finished()
			f.ID, f.Err = id, err
			now = received.Add(took)
			l.Observe(t.Context(), f)
		}
	}
	observe("quick", 999*time.Millisecond, nil)
	observe("slow", time.Second, nil)
	observe("wrong", 0, fairlead.Invalid("no"))
	stop(t, l)
	got := map[string]int{}
	for line := range strings.Lines(out.String()) {
		var fields struct{ ID string }
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		got[fields.ID]++
	}
	if diff := cmp.Diff(map[string]int{"quick": 2, "slow": 8, "wrong": 8}, got); diff != "" {
		t.Error(diff)
	}
}

// blocked is a disk that takes nothing until it is let go.
type blocked struct {
	gate chan struct{}
	bytes.Buffer
}

func (b *blocked) Write(p []byte) (int, error) { <-b.gate; return b.Buffer.Write(p) }

// TestSlowDisk: requests go on while nothing can be written, and every line is written or counted as dropped.
func TestSlowDisk(t *testing.T) {
	out := &blocked{gate: make(chan struct{})}
	l := start(t, accesslog.Options{Out: out, Sample: 1, Queue: 100})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				l.Observe(t.Context(), finished())
			}
		})
	}
	wg.Wait() // would hang if Observe blocked
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := l.Stop(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stopped though the disk hangs: %v", err)
	}
	close(out.gate)
	stop(t, l)
	s := l.Stats()
	if lines := strings.Count(out.String(), "\n"); uint64(lines) != s.Lines || s.Lines+s.Dropped != 8000 || s.Dropped < 1000 || s.Lines < 100 {
		t.Errorf("%d lines written, %+v", lines, s)
	}
}

// broken is a disk that is full for a while.
type broken struct {
	failures int
	bytes.Buffer
}

func (b *broken) Write(p []byte) (int, error) {
	if b.failures > 0 {
		b.failures--
		return 0, errors.New("no space left")
	}
	return b.Buffer.Write(p)
}

func TestFullDisk(t *testing.T) {
	out := &broken{failures: 1}
	l := start(t, accesslog.Options{Out: out, Sample: 1})
	l.Observe(t.Context(), finished())
	for range 1000 {
		if l.Stats().Failed == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	l.Observe(t.Context(), finished())
	stop(t, l)
	if s := l.Stats(); s.Failed != 1 || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%+v, written %q", s, out.String())
	}
}

func TestBadSample(t *testing.T) {
	for _, sample := range []float64{-0.1, 1.1, math.NaN()} {
		if _, err := accesslog.New(accesslog.Options{Sample: sample}); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%v: %v", sample, err)
		}
	}
}

type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkObserve(b *testing.B) {
	for name, sample := range map[string]float64{"logged": 1, "not": 0} {
		b.Run(name, func(b *testing.B) {
			l := start(b, accesslog.Options{Out: nowhere{}, Sample: sample})
			f := finished()
			b.ReportAllocs()
			for b.Loop() {
				l.Observe(b.Context(), f)
			}
			b.StopTimer()
			stop(b, l)
		})
	}
}

// TestCanaryErrorsAreLogged: the client got the live version's answer, so the log is where its operator sees why.
func TestCanaryErrorsAreLogged(t *testing.T) {
	var out bytes.Buffer
	l, err := accesslog.New(accesslog.Options{Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	l.Observe(t.Context(), &serve.Finished{ID: "quiet", Role: fairlead.RoleLive})
	l.Observe(t.Context(), &serve.Finished{ID: "loud", Role: fairlead.RoleLive, Instead: errors.New("the version panicked: a bug")})
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"id":"loud"`, `"level":"WARN"`, `"role":"live"`, `"canary_error":"the version panicked: a bug"`, `"code":"ok"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s lacks %s", out.String(), want)
		}
	}
	if strings.Contains(out.String(), "quiet") {
		t.Errorf("a request without an error is logged: %s", out.String())
	}
}
