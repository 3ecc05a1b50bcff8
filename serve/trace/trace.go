// Package trace sends finished requests as OpenTelemetry traces: one span for the request, one under it for each stage. They are
// made when the request is over, from the times that were measured anyway, so a request that is not sampled costs next to nothing.
// A caller's trace goes on here (FromHeader). Nothing is sent anywhere unless an endpoint is given.
package trace

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"
)

// Options say where traces go and which.
type Options struct {
	Endpoint string            // URL of an OTLP collector, "http://localhost:4318"; "": nothing is traced
	Protocol string            // "" or "http/protobuf", the only one
	Headers  map[string]string // sent along, for a collector that wants a key
	// Ratio is the share of requests that are traced among those whose caller does not trace. Where it does, it decides.
	Ratio   float64
	Service string // name of this service; "": "fairlead"
	Version string // of this service

	Queue int              // spans waiting to be sent at most; 0: 4096. More are dropped, and show in Stats
	Every time.Duration    // how often they are sent; 0: five seconds
	Now   func() time.Time // nil: time.Now
	Rand  func() float64   // in [0,1), decides with Ratio; nil: math/rand/v2
	Log   *slog.Logger     // told when a collector refuses; nil: nobody is
}

// Tracer is a serve.Observer. The nil Tracer traces nothing.
type Tracer struct {
	ratio    float64
	rand     func() float64
	now      func() time.Time
	provider *sdk.TracerProvider
	tracer   otel.Tracer
	exporter *counting
	ended    atomic.Uint64
}

var _ serve.Beginner = (*Tracer)(nil)

// New starts a Tracer, nil where o has no endpoint. It does not connect yet: a collector that is not there loses spans, not
// requests. Stop ends it. Errors are CodeInvalid.
func New(ctx context.Context, o Options) (*Tracer, error) {
	if o.Endpoint == "" {
		return nil, nil
	}
	endpoint, err := o.check()
	if err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithHeaders(o.Headers))
	if err != nil {
		return nil, fairlead.Invalid("traces cannot be sent to %s", o.Endpoint).Cause(err)
	}
	// What the environment says (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) wins.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", o.Service), attribute.String("service.version", o.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fairlead.Invalid("OTEL_RESOURCE_ATTRIBUTES cannot be read").Cause(err)
	}
	t := &Tracer{ratio: o.Ratio, rand: o.Rand, now: o.Now, exporter: &counting{SpanExporter: exporter, log: o.Log}}
	if t.rand == nil {
		t.rand = rand.Float64
	}
	if t.now == nil {
		t.now = time.Now
	}
	t.provider = sdk.NewTracerProvider(sdk.WithSampler(sdk.AlwaysSample()), sdk.WithIDGenerator(ids{}), sdk.WithResource(about),
		sdk.WithBatcher(t.exporter, sdk.WithMaxQueueSize(o.Queue), sdk.WithBatchTimeout(o.Every)))
	t.tracer = t.provider.Tracer("github.com/fairlead-ml/fairlead/serve")
	return t, nil
}

// Stop sends what is left, and ends.
func (t *Tracer) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// header reads a caller's trace from text that came with a request.
type header func(string) string

func (h header) Get(key string) string { return h(key) }
func (h header) Set(string, string)    {}
func (h header) Keys() []string        { return nil }

// FromHeader gives ctx the trace that the caller of a request is in, as its W3C headers traceparent and tracestate say it.
// get gives a header's value, "" where there is none: (http.Header).Get, or a look into gRPC's metadata. What cannot be
// read counts as absent.
func FromHeader(ctx context.Context, get func(string) string) context.Context {
	if get("traceparent") == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, header(get))
}

// Handler puts the caller's trace into the context of HTTP requests.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx := FromHeader(r.Context(), r.Header.Get); ctx != r.Context() {
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// Observe traces a finished request if it is to be.
func (t *Tracer) Observe(ctx context.Context, f *serve.Finished) {
	if t == nil {
		return
	}
	if caller := otel.SpanContextFromContext(ctx); caller.IsValid() && !caller.IsSampled() {
		return
	} else if !caller.IsValid() && t.rand() >= t.ratio {
		return
	}
	made := ctx
	if p := planned(ctx); f.Composite && p != nil {
		ctx = otel.ContextWithSpanContext(ctx, p.caller)
		made = context.WithValue(ctx, takeKey{}, p)
	}
	end := t.now()
	start := f.Received
	if first := end.Add(-f.Stages.Total()); start.After(first) || start.IsZero() {
		start = first
	}
	name := "predict"
	if f.Target != nil {
		name += " " + string(f.Target.Deployment)
	}
	_, span := t.tracer.Start(made, name, otel.WithTimestamp(start), otel.WithSpanKind(otel.SpanKindServer),
		otel.WithAttributes(attributes(f)...))
	ctx = otel.ContextWithSpan(ctx, span)
	// The stages follow each other up to the end; what is left before the first is the reading of the request.
	at := end.Add(-f.Stages.Total())
	for _, s := range [...]struct {
		name string
		took time.Duration
	}{{"decode", f.Stages.Decode}, {"queue", f.Stages.Queue}, {"run", f.Stages.Run}, {"encode", f.Stages.Encode}} {
		if s.took > 0 {
			_, child := t.tracer.Start(ctx, s.name, otel.WithTimestamp(at))
			at = at.Add(s.took)
			child.End(otel.WithTimestamp(at))
			t.ended.Add(1)
		}
	}
	switch fairlead.CodeOf(f.Err) {
	case fairlead.CodeInternal, fairlead.CodeUnavailable, fairlead.CodeDeadline: // the client did nothing wrong
		span.SetStatus(codes.Error, f.Err.Error())
	}
	span.End(otel.WithTimestamp(end))
	t.ended.Add(1)
}

func attributes(f *serve.Finished) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("fairlead.request.id", f.ID), attribute.String("fairlead.protocol", f.Protocol),
		attribute.String("fairlead.deployment", f.Deployment), attribute.Int("fairlead.rows", f.Rows),
		attribute.Int("fairlead.batch.rows", f.BatchRows), attribute.Bool("fairlead.cached", f.Cached),
	}
	if f.Target != nil {
		all = append(all, attribute.Int("fairlead.version", int(f.Target.Version)))
	}
	if f.Err != nil {
		all = append(all, attribute.String("fairlead.code", string(fairlead.CodeOf(f.Err))))
		if e := (*fairlead.Error)(nil); errors.As(f.Err, &e) && e.Reason != "" {
			all = append(all, attribute.String("fairlead.reason", e.Reason))
		}
	}
	return all
}

// Stats are spans since the start. Those ended and neither sent nor failed wait, or were dropped because too many waited.
type Stats struct{ Ended, Sent, Failed uint64 }

// Stats reads the counts.
func (t *Tracer) Stats() Stats {
	if t == nil {
		return Stats{}
	}
	return Stats{Ended: t.ended.Load(), Sent: t.exporter.sent.Load(), Failed: t.exporter.failed.Load()}
}

// What the tracer gives Prometheus.
var (
	endedDesc  = prometheus.NewDesc("fairlead_trace_spans_total", "Spans made. Those neither sent nor failed wait, or were dropped.", nil, nil)
	sentDesc   = prometheus.NewDesc("fairlead_trace_spans_sent_total", "Spans that the collector took.", nil, nil)
	failedDesc = prometheus.NewDesc("fairlead_trace_spans_failed_total", "Spans that the collector did not take.", nil, nil)
)

// Describe makes the tracer a prometheus.Collector.
func (t *Tracer) Describe(ch chan<- *prometheus.Desc) {
	ch <- endedDesc
	ch <- sentDesc
	ch <- failedDesc
}

// Collect makes the tracer a prometheus.Collector.
func (t *Tracer) Collect(ch chan<- prometheus.Metric) {
	s := t.Stats()
	ch <- prometheus.MustNewConstMetric(endedDesc, prometheus.CounterValue, float64(s.Ended))
	ch <- prometheus.MustNewConstMetric(sentDesc, prometheus.CounterValue, float64(s.Sent))
	ch <- prometheus.MustNewConstMetric(failedDesc, prometheus.CounterValue, float64(s.Failed))
}
