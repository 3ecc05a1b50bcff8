package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/accesslog"
	"github.com/fairlead-ml/fairlead/serve/cache"
	"github.com/fairlead-ml/fairlead/serve/limit"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/fairlead-ml/fairlead/serve/trace"
)

// startServing makes what every prediction passes: limits, cache, executor, and those who look on.
func (a *App) startServing(ctx context.Context) error {
	options := serve.Options{Router: a.router, Meter: a.meter}
	if a.config.Record != RecordNone {
		options.Recorder = a.recorder
	}
	if a.config.CacheMB > 0 {
		a.cache = cache.New(cache.Options{Bytes: int64(a.config.CacheMB) << 20})
		options.Cache = a.cache
	}
	var err error
	if len(a.config.Limits.Clients)+len(a.config.Limits.Models) > 0 {
		if options.Limiter, err = limit.New(a.config.Limits, time.Now); err != nil {
			return err
		}
	}
	if err := a.startTracing(ctx, &options); err != nil {
		return err
	}
	if err := a.startAccessLog(&options); err != nil {
		return err
	}
	a.core = serve.New(options)
	return nil
}

func (a *App) startTracing(ctx context.Context, options *serve.Options) error {
	endpoint, protocol := trace.Environment(os.Getenv)
	if a.config.OTLP != "" {
		endpoint = a.config.OTLP
	}
	var err error
	a.tracer, err = trace.New(ctx, trace.Options{
		Endpoint: endpoint, Protocol: protocol, Ratio: a.config.TraceRatio, Version: a.config.Version, Log: a.log,
	})
	if a.tracer != nil {
		options.Observers = append(options.Observers, a.tracer)
	}
	return err
}

func (a *App) startAccessLog(options *serve.Options) error {
	if a.config.AccessLog == "" {
		return nil
	}
	out := io.WriteCloser(os.Stdout)
	if a.config.AccessLog != "-" {
		file, err := os.OpenFile(a.config.AccessLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("open the access log: %w", err)
		}
		out, a.accessFile = file, file
	}
	var err error
	a.access, err = accesslog.New(accesslog.Options{Out: out, Sample: a.config.AccessSample, Slow: a.config.Slow})
	if err == nil {
		options.Observers = append(options.Observers, a.access)
	}
	return err
}

// stopServing refuses new predictions, waits for those under way, and writes what the onlookers hold.
func (a *App) stopServing(ctx context.Context) error {
	errs := []error{a.core.Close(ctx)}
	if a.cache != nil {
		errs = append(errs, a.cache.Stop(ctx))
	}
	if a.tracer != nil {
		errs = append(errs, a.tracer.Stop(ctx))
	}
	if a.access != nil {
		errs = append(errs, a.access.Stop(ctx))
	}
	if a.accessFile != nil {
		errs = append(errs, a.accessFile.Close())
	}
	return errors.Join(errs...)
}

// traced is the context of an HTTP request with the trace that its caller is in; nil where nothing is traced.
func (a *App) traced() func(*http.Request) context.Context {
	if a.tracer == nil {
		return nil
	}
	return func(r *http.Request) context.Context { return trace.FromHeader(r.Context(), r.Header.Get) }
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// mean is in microseconds; 0 where nothing was counted.
func mean(t meter.Total) float64 {
	if t.Count == 0 {
		return 0
	}
	return micros(t.Time) / float64(t.Count)
}

// serving says how the live version of a deployment is run; nil while it is not loaded.
func (a *App) serving(dep deployment) *api.Serving {
	for _, q := range a.core.Queues() {
		if q.Deployment != dep.Name || q.Version != dep.Live {
			continue
		}
		s := &api.Serving{
			MaxBatch: q.BatchLimit, Batching: q.Reason, Fixed: micros(q.Cost.Fixed), PerRow: micros(q.Cost.PerRow),
			Runs: q.Counts.Runs, Waiting: q.Waiting, Report: a.deployer.Report(dep.Name, dep.Live),
			Refused: q.Counts.Full + q.Counts.Predicted + q.Counts.Dropped + q.Counts.Expired,
		}
		if t, err := a.router.Load().Lookup(string(dep.Name), ""); err == nil {
			s.Threads, s.Memory, s.CacheTTL = max(1, t.Settings.Threads), t.Settings.Memory, t.Settings.CacheTTL.Seconds()
		}
		for _, total := range a.meter.Statistics(dep.Name) {
			if total.Version == dep.Live {
				s.Requests, s.Hits = total.Success.Count, total.CacheHit.Count
				s.Decode, s.Queue, s.Run, s.Encode = mean(total.Decode), mean(total.Queue), mean(total.Run), mean(total.Encode)
			}
		}
		return s
	}
	return nil
}
