// Package accesslog writes a line of JSON for finished requests: all that failed or that a canary could not answer, all
// that were slow, and a share of the others. Lines are written by a goroutine of their own; when it cannot follow, lines are dropped and counted, for a disk
// must not slow a prediction.
package accesslog

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/prometheus/client_golang/prometheus"
	otel "go.opentelemetry.io/otel/trace"
)

// Options say what is logged and where.
type Options struct {
	Out    io.Writer        // takes whole lines, one or more at a time
	Sample float64          // share of successful requests that are logged; those in error, a canary's error included, or slow always are
	Slow   time.Duration    // what is called slow; 0: nothing is
	Queue  int              // lines waiting to be written at most; 0: 4096. More are dropped
	Now    func() time.Time // nil: time.Now
	Rand   func() float64   // in [0,1), decides with Sample; nil: math/rand/v2
}

// Log is a serve.Observer.
type Log struct {
	options Options
	queue   chan entry
	quit    chan struct{}
	done    chan struct{}
	stopped atomic.Bool

	out                    *bufio.Writer
	json                   slog.Handler
	lines, dropped, failed atomic.Uint64
}

var _ serve.Observer = (*Log)(nil)

// entry is what a line says. It is a copy: the request is not kept.
type entry struct {
	serve.Finished
	version fairlead.Version
	at      time.Time
	trace   otel.TraceID
}

// New starts a Log; Stop ends it. The error is CodeInvalid.
func New(o Options) (*Log, error) {
	if !(o.Sample >= 0 && o.Sample <= 1) {
		return nil, fairlead.Invalid("the share of requests to log is %v", o.Sample).Hintf("give a number from 0 to 1")
	}
	if o.Queue <= 0 {
		o.Queue = 4096
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	l := &Log{options: o, queue: make(chan entry, o.Queue), quit: make(chan struct{}), done: make(chan struct{})}
	l.out = bufio.NewWriterSize(o.Out, 64<<10)
	l.json = slog.NewJSONHandler(l.out, nil)
	go l.write()
	return l, nil
}

// Stop writes what is left, and ends. Requests observed later are dropped.
func (l *Log) Stop(ctx context.Context) error {
	if !l.stopped.Swap(true) {
		close(l.quit)
	}
	select {
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Observe logs a finished request if it is to be. It never blocks.
func (l *Log) Observe(ctx context.Context, f *serve.Finished) {
	now := l.options.Now()
	slow := l.options.Slow > 0 && now.Sub(f.Received) >= l.options.Slow
	if f.Err == nil && f.Instead == nil && !slow && l.options.Rand() >= l.options.Sample {
		return
	}
	e := entry{Finished: *f, at: now, trace: otel.SpanContextFromContext(ctx).TraceID()}
	if f.Target != nil {
		e.version = f.Target.Version
		e.Target = nil // a version that is unloaded must not wait for its log lines
	}
	if l.stopped.Load() {
		l.dropped.Add(1)
		return
	}
	select {
	case l.queue <- e:
	default:
		l.dropped.Add(1)
	}
}

func (l *Log) write() {
	defer close(l.done)
	for {
		select {
		case e := <-l.queue:
			l.line(&e)
			if len(l.queue) == 0 {
				l.flush()
			}
		case <-l.quit:
			for len(l.queue) > 0 {
				e := <-l.queue
				l.line(&e)
			}
			l.flush()
			return
		}
	}
}

// flush hands lines over as soon as no more wait. A writer that failed once is tried again.
func (l *Log) flush() {
	if err := l.out.Flush(); err != nil {
		l.failed.Add(1)
		l.out.Reset(l.options.Out)
	}
}

func (l *Log) line(e *entry) {
	level := slog.LevelInfo
	if e.Err != nil || e.Instead != nil {
		level = slog.LevelWarn
	}
	r := slog.NewRecord(e.at, level, "request", 0)
	r.AddAttrs(slog.String("id", e.ID), slog.String("protocol", e.Protocol), slog.String("deployment", e.Deployment),
		slog.String("client", e.Client))
	if e.version > 0 {
		r.AddAttrs(slog.Int("version", int(e.version)))
	}
	if e.Role != "" {
		r.AddAttrs(slog.String("role", string(e.Role)))
	}
	if e.Instead != nil {
		r.AddAttrs(slog.String("canary_error", e.Instead.Error()))
	}
	code := "ok"
	if e.Err != nil {
		code = string(fairlead.CodeOf(e.Err))
	}
	r.AddAttrs(slog.String("code", code))
	if e.Err != nil {
		if known := (*fairlead.Error)(nil); errors.As(e.Err, &known) && known.Reason != "" {
			r.AddAttrs(slog.String("reason", known.Reason))
		}
		r.AddAttrs(slog.String("error", e.Err.Error()))
	}
	r.AddAttrs(slog.Int("rows", e.Rows), slog.Int("batch_rows", e.BatchRows), slog.Bool("cached", e.Cached),
		slog.Float64("total_us", us(e.at.Sub(e.Received))), slog.Float64("decode_us", us(e.Stages.Decode)),
		slog.Float64("queue_us", us(e.Stages.Queue)), slog.Float64("run_us", us(e.Stages.Run)),
		slog.Float64("encode_us", us(e.Stages.Encode)))
	if e.trace.IsValid() {
		r.AddAttrs(slog.String("trace_id", e.trace.String()))
	}
	l.lines.Add(1)
	_ = l.json.Handle(context.Background(), r) // the buffer keeps its error until flush
}

// us is a duration in microseconds, to a tenth.
func us(d time.Duration) float64 { return float64(d.Round(100*time.Nanosecond)) / 1e3 }

// Stats are lines since the start.
type Stats struct {
	Lines   uint64 // made
	Dropped uint64 // because too many waited
	Failed  uint64 // writes of one or more lines
}

// Stats reads the counts.
func (l *Log) Stats() Stats { return Stats{l.lines.Load(), l.dropped.Load(), l.failed.Load()} }

// What the log gives Prometheus.
var (
	linesDesc   = prometheus.NewDesc("fairlead_access_log_lines_total", "Lines of the access log.", nil, nil)
	droppedDesc = prometheus.NewDesc("fairlead_access_log_dropped_total", "Lines of the access log that were dropped because too many waited to be written.", nil, nil)
	failedDesc  = prometheus.NewDesc("fairlead_access_log_write_errors_total", "Writes of the access log that failed; each lost one or more lines.", nil, nil)
)

// Describe makes the log a prometheus.Collector.
func (l *Log) Describe(ch chan<- *prometheus.Desc) {
	ch <- linesDesc
	ch <- droppedDesc
	ch <- failedDesc
}

// Collect makes the log a prometheus.Collector.
func (l *Log) Collect(ch chan<- prometheus.Metric) {
	s := l.Stats()
	ch <- prometheus.MustNewConstMetric(linesDesc, prometheus.CounterValue, float64(s.Lines))
	ch <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(s.Dropped))
	ch <- prometheus.MustNewConstMetric(failedDesc, prometheus.CounterValue, float64(s.Failed))
}
