package trace

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// check fills in what is left open and gives the collector's address.
func (o *Options) check() (string, error) {
	if o.Protocol != "" && o.Protocol != "http/protobuf" {
		return "", fairlead.Invalid("traces cannot be sent by %q", o.Protocol).
			Hintf("use http/protobuf, which collectors take on port 4318")
	}
	if !(o.Ratio >= 0 && o.Ratio <= 1) {
		return "", fairlead.Invalid("the share of requests to trace is %v", o.Ratio).Hintf("give a number from 0 to 1")
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fairlead.Invalid("%q is not the address of a collector", o.Endpoint).
			Hintf("write a URL like http://localhost:4318")
	}
	if !strings.HasSuffix(u.Path, tracesPath) {
		u = u.JoinPath(tracesPath)
	}
	if o.Service == "" {
		o.Service = "fairlead"
	}
	if o.Queue <= 0 {
		o.Queue = 4096
	}
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	return u.String(), nil
}

const tracesPath = "/v1/traces"

// Environment is the endpoint and protocol that OpenTelemetry's environment variables say, read by get; "" where they say
// none, or that tracing is off.
func Environment(get func(string) string) (endpoint, protocol string) {
	if strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") || get("OTEL_TRACES_EXPORTER") == "none" {
		return "", ""
	}
	first := func(names ...string) string {
		for _, n := range names {
			if v := get(n); v != "" {
				return v
			}
		}
		return ""
	}
	return first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
		first("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
}

// counting is an exporter that counts what it sends, and tells of failures at most once a minute.
type counting struct {
	sdk.SpanExporter
	log          *slog.Logger
	sent, failed atomic.Uint64
	told         time.Time // used by the one goroutine that exports
}

// ExportSpans never fails: who could act on that is told here.
func (c *counting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		c.sent.Add(uint64(len(spans)))
		return nil
	}
	failed := c.failed.Add(uint64(len(spans)))
	if now := time.Now(); c.log != nil && now.Sub(c.told) > time.Minute {
		c.told = now
		c.log.Warn("traces could not be sent", "err", err, "spans lost", failed)
	}
	return nil
}
