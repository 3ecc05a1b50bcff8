package trace

import (
	"context"
	"crypto/rand"

	otel "go.opentelemetry.io/otel/trace"
)

// plan is the span of a request that asks others: its ids are known before it is made, so that theirs can be under it.
type plan struct {
	caller otel.SpanContext // may be invalid: nobody called
	span   otel.SpanContext
}

type planKey struct{}

// Begin implements serve.Beginner: it decides whether the request is traced and, if so, under which span those are that it
// asks. Where it is not traced, they are not either.
func (t *Tracer) Begin(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	p := &plan{caller: otel.SpanContextFromContext(ctx)}
	sampled := p.caller.IsSampled()
	config := otel.SpanContextConfig{TraceID: p.caller.TraceID(), SpanID: newSpanID(), TraceState: p.caller.TraceState()}
	if !p.caller.IsValid() {
		_, _ = rand.Read(config.TraceID[:]) // it does not fail
		sampled = t.rand() < t.ratio
	}
	config.TraceFlags = otel.TraceFlags(0).WithSampled(sampled)
	p.span = otel.NewSpanContext(config)
	return otel.ContextWithSpanContext(context.WithValue(ctx, planKey{}, p), p.span)
}

func newSpanID() (id otel.SpanID) {
	_, _ = rand.Read(id[:])
	return id
}

// planned is the plan of a request that asked others, under the context that Begin gave.
func planned(ctx context.Context) *plan {
	p, _ := ctx.Value(planKey{}).(*plan)
	return p
}

type takeKey struct{}

// ids makes the ids of spans: random ones, and those planned before.
type ids struct{}

// NewIDs implements sdk.IDGenerator, for a span without a parent.
func (ids) NewIDs(ctx context.Context) (otel.TraceID, otel.SpanID) {
	if p, ok := ctx.Value(takeKey{}).(*plan); ok {
		return p.span.TraceID(), p.span.SpanID()
	}
	var id otel.TraceID
	_, _ = rand.Read(id[:])
	return id, newSpanID()
}

// NewSpanID implements sdk.IDGenerator.
func (ids) NewSpanID(ctx context.Context, _ otel.TraceID) otel.SpanID {
	if p, ok := ctx.Value(takeKey{}).(*plan); ok {
		return p.span.SpanID()
	}
	return newSpanID()
}
