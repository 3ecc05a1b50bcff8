package trace_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/serve/trace"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	otel "go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	wire "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is an OTLP collector.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	status   int
	requests []*http.Request
	spans    []*wire.Span
	resource []*common.KeyValue
}

func listen(t *testing.T) *receiver {
	r := &receiver{status: 200}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var body io.Reader = req.Body
		if req.Header.Get("Content-Encoding") == "gzip" {
			var err error
			if body, err = gzip.NewReader(body); err != nil {
				t.Error(err)
			}
		}
		b, err := io.ReadAll(body)
		var export collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(b, &export)
		}
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests = append(r.requests, req)
		w.WriteHeader(r.status)
		if r.status != 200 {
			return
		}
		for _, rs := range export.ResourceSpans {
			r.resource = rs.Resource.Attributes
			for _, ss := range rs.ScopeSpans {
				r.spans = append(r.spans, ss.Spans...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// text is the spans as a tree, times from the start of the first.
func (r *receiver) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.spans, func(a, b *wire.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	var b strings.Builder
	var print func(parent, indent string)
	known := map[string]bool{}
	for _, s := range r.spans {
		known[string(s.SpanId)] = true
	}
	print = func(parent, indent string) {
		for _, s := range r.spans {
			p := string(s.ParentSpanId)
			if p != parent && !(parent == "" && !known[p]) {
				continue
			}
			start := r.spans[0].StartTimeUnixNano
			fmt.Fprintf(&b, "%s%s %v..%v", indent, s.Name, time.Duration(s.StartTimeUnixNano-start), time.Duration(s.EndTimeUnixNano-start))
			if s.Kind == wire.Span_SPAN_KIND_SERVER {
				b.WriteString(" server")
			}
			if p != "" && parent == "" {
				fmt.Fprintf(&b, " caller %x/%x", s.TraceId, s.ParentSpanId)
			}
			if s.Status.GetCode() != 0 {
				fmt.Fprintf(&b, " %v %q", s.Status.Code, s.Status.Message)
			}
			b.WriteString("\n")
			for _, a := range s.Attributes {
				fmt.Fprintf(&b, "%s  %s = %s\n", indent, a.Key, value(a.Value))
			}
			print(string(s.SpanId), indent+"  ")
		}
	}
	print("", "")
	return b.String()
}

func value(v *common.AnyValue) string {
	switch v := v.Value.(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	}
	return fmt.Sprint(v)
}

var received = time.Unix(1_000_000_000, 0)

func finished() *serve.Finished {
	return &serve.Finished{
		ID: "r1", Protocol: "http/oip", Deployment: "flights", Target: &route.Target{Deployment: "flights", Version: 3},
		Received: received, Rows: 2, BatchRows: 5,
		Stages: fairlead.Anatomy{Decode: 8 * time.Microsecond, Queue: 10 * time.Microsecond, Run: 40 * time.Microsecond, Encode: 4 * time.Microsecond},
	}
}

func start(t *testing.T, o trace.Options) *trace.Tracer {
	t.Helper()
	o.Now = func() time.Time { return received.Add(100 * time.Microsecond) }
	tr, err := trace.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func stop(t *testing.T, tr *trace.Tracer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := tr.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// TestSpans: a request within a caller's trace, as the collector sees it after Stop.
func TestSpans(t *testing.T) {
	r := listen(t)
	tr := start(t, trace.Options{Endpoint: r.URL, Headers: map[string]string{"x-key": "secret"}, Version: "1.2"})
	asked := httptest.NewRequest("POST", "/v2/models/flights/infer", nil)
	asked.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	tr.Handler(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		tr.Observe(req.Context(), finished())
	})).ServeHTTP(httptest.NewRecorder(), asked)
	stop(t, tr)
	want := `predict flights 0s..100µs server caller 4bf92f3577b34da6a3ce929d0e0e4736/00f067aa0ba902b7
  fairlead.request.id = r1
  fairlead.protocol = http/oip
  fairlead.deployment = flights
  fairlead.rows = 2
  fairlead.batch.rows = 5
  fairlead.cached = false
  fairlead.version = 3
  decode 38µs..46µs
  queue 46µs..56µs
  run 56µs..96µs
  encode 96µs..100µs
`
	if diff := cmp.Diff(want, r.text()); diff != "" {
		t.Error(diff)
	}
	req := r.requests[0]
	if req.URL.Path != "/v1/traces" || req.Header.Get("x-key") != "secret" || req.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("sent to %s with %v", req.URL, req.Header)
	}
	about := map[string]string{}
	for _, a := range r.resource {
		about[a.Key] = value(a.Value)
	}
	if about["service.name"] != "fairlead" || about["service.version"] != "1.2" {
		t.Errorf("resource %v", about)
	}
	if s := tr.Stats(); s != (trace.Stats{Ended: 5, Sent: 5}) {
		t.Errorf("%+v", s)
	}
}

func TestErrors(t *testing.T) {
	for _, x := range []struct {
		err  error
		want string
	}{
		{fairlead.Invalid("bad shape"), "  fairlead.code = invalid\n"},
		{&fairlead.Error{Code: fairlead.CodeExhausted, Message: "busy", Reason: "queue_full"}, "  fairlead.code = exhausted\n  fairlead.reason = queue_full\n"},
		{fairlead.Errorf(fairlead.CodeDeadline, "too late"), "  fairlead.code = deadline\n"},
		{errors.New("a bug"), "  fairlead.code = internal\n"},
	} {
		r := listen(t)
		tr := start(t, trace.Options{Endpoint: r.URL, Ratio: 1})
		f := finished()
		f.Err, f.Target, f.Stages, f.Received = x.err, nil, fairlead.Anatomy{}, time.Time{}
		tr.Observe(t.Context(), f)
		stop(t, tr)
		first := "predict 0s..0s server\n"
		if c := fairlead.CodeOf(x.err); c == fairlead.CodeDeadline || c == fairlead.CodeInternal {
			first = fmt.Sprintf("predict 0s..0s server STATUS_CODE_ERROR %q\n", x.err)
		}
		if got := r.text(); !strings.HasPrefix(got, first) || !strings.HasSuffix(got, x.want) || strings.Contains(got, "version") {
			t.Errorf("%v: %s", x.err, got)
		}
	}
}

// TestSampling: the caller decides; where it does not trace, chance does.
func TestSampling(t *testing.T) {
	caller := func(flags string) context.Context {
		return trace.FromHeader(t.Context(), func(k string) string {
			if k == "traceparent" {
				return "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-" + flags
			}
			return ""
		})
	}
	r := listen(t)
	next := 0.0
	tr := start(t, trace.Options{Endpoint: r.URL, Ratio: 0.25, Rand: func() float64 { next += 0.1; return next - 0.05 }})
	var got []uint64
	observe := func(ctx context.Context, n int) {
		before := tr.Stats().Ended
		for range n {
			tr.Observe(ctx, finished())
		}
		got = append(got, (tr.Stats().Ended-before)/5)
	}
	observe(caller("00"), 3)
	observe(caller("01"), 3)
	observe(caller("zz"), 0) // unreadable: as if absent
	observe(t.Context(), 10) // 0.05, 0.15 … 0.95
	if want := []uint64{0, 3, 0, 2}; !slices.Equal(got, want) {
		t.Errorf("traced %v, want %v", got, want)
	}
	if otel.SpanContextFromContext(caller("zz")).IsValid() {
		t.Error("a bad traceparent was read")
	}
	if n := testing.AllocsPerRun(100, func() { tr.Observe(caller00, finished0) }); n != 0 {
		t.Errorf("a request that is not traced allocates %v times", n)
	}
	stop(t, tr)
}

var (
	finished0 = finished()
	caller00  = otel.ContextWithRemoteSpanContext(context.Background(), otel.NewSpanContext(otel.SpanContextConfig{TraceID: otel.TraceID{1}, SpanID: otel.SpanID{1}}))
)

// TestOff: without an endpoint there is no tracer, and it costs nothing.
func TestOff(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1") // the library reads it; New goes by Options alone
	tr, err := trace.New(t.Context(), trace.Options{Ratio: 1})
	if tr != nil || err != nil {
		t.Fatalf("%v %v", tr, err)
	}
	ctx, none := t.Context(), func(string) string { return "" }
	if n := testing.AllocsPerRun(100, func() { tr.Observe(FromNothing(ctx, none), finished0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if h := http.NotFoundHandler(); fmt.Sprintf("%p", tr.Handler(h)) != fmt.Sprintf("%p", h) {
		t.Error("a handler is wrapped for nothing")
	}
	stop(t, tr)
	if tr.Stats() != (trace.Stats{}) {
		t.Error(tr.Stats())
	}
}

func FromNothing(ctx context.Context, get func(string) string) context.Context {
	return trace.FromHeader(ctx, get)
}

// TestCollectorRefuses: what cannot be sent is counted and told, and Stop does not hang.
func TestCollectorRefuses(t *testing.T) {
	r := listen(t)
	r.status = http.StatusBadRequest
	var log strings.Builder
	tr := start(t, trace.Options{Endpoint: r.URL + "/prefix", Ratio: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	tr.Observe(t.Context(), finished())
	stop(t, tr)
	if s := tr.Stats(); s != (trace.Stats{Ended: 5, Failed: 5}) || r.requests[0].URL.Path != "/prefix/v1/traces" {
		t.Errorf("%+v at %s", s, r.requests[0].URL)
	}
	if !strings.Contains(log.String(), "traces could not be sent") {
		t.Errorf("log: %s", &log)
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(tr)
	if f, err := reg.Gather(); err != nil || len(f) != 3 {
		t.Errorf("%d metrics, %v", len(f), err)
	}
}

func TestBadOptions(t *testing.T) {
	for want, o := range map[string]trace.Options{
		`"localhost:4318" is not the address`: {Endpoint: "localhost:4318"},
		`"ftp://x" is not the address`:        {Endpoint: "ftp://x"},
		`"http://" is not the address`:        {Endpoint: "http://"},
		`cannot be sent by "grpc"`:            {Endpoint: "http://x", Protocol: "grpc"},
		`share of requests to trace is 2`:     {Endpoint: "http://x", Ratio: 2},
		`share of requests to trace is -1`:    {Endpoint: "http://x", Ratio: -1},
	} {
		if _, err := trace.New(t.Context(), o); fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, x := range []struct {
		env                map[string]string
		endpoint, protocol string
	}{
		{nil, "", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, "http://a", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/v1/traces", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://b/v1/traces", "grpc"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "True"}, "", ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "none"}, "", ""},
	} {
		if e, p := trace.Environment(func(k string) string { return x.env[k] }); e != x.endpoint || p != x.protocol {
			t.Errorf("%v: %q %q", x.env, e, p)
		}
	}
}

func FuzzFromHeader(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=1")
	f.Add("ff-0-0-", ",,,=")
	f.Fuzz(func(t *testing.T, parent, state string) {
		ctx := trace.FromHeader(t.Context(), func(k string) string {
			if k == "traceparent" {
				return parent
			}
			return state
		})
		if c := otel.SpanContextFromContext(ctx); c.IsValid() && !strings.Contains(strings.ToLower(parent), c.TraceID().String()) {
			t.Errorf("%q gives %s", parent, c.TraceID())
		}
	})
}

func BenchmarkObserve(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer srv.Close()
	for _, ratio := range []float64{0, 1} {
		b.Run(fmt.Sprintf("ratio=%v", ratio), func(b *testing.B) {
			tr, err := trace.New(b.Context(), trace.Options{Endpoint: srv.URL, Ratio: ratio})
			if err != nil {
				b.Fatal(err)
			}
			f := finished()
			b.ReportAllocs()
			for b.Loop() {
				tr.Observe(b.Context(), f)
			}
			b.StopTimer()
			if err := tr.Stop(context.Background()); err != nil {
				b.Error(err)
			}
		})
	}
}
