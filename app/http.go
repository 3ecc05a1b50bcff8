package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/admin"
	"github.com/fairlead-ml/fairlead/serve/httpd"
	"github.com/fairlead-ml/fairlead/web"
)

func (a *App) startHTTP(context.Context) error {
	var err error
	if a.listener, err = net.Listen("tcp", a.config.HTTP); err != nil {
		return fmt.Errorf("listen on %s: %w", a.config.HTTP, err)
	}
	a.server = &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Minute, // of a whole request: a pushed model is large, a client that drips is not waited for
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("http: %w", err))
		}
	}()
	return nil
}

// stopHTTP lets requests in flight finish; Serve's goroutine ends with it. A client that holds its connection longer
// than a quarter of the stop's time is cut off: the rest belongs to the rows that are not on disk yet.
func (a *App) stopHTTP(ctx context.Context) error {
	polite, cancel := context.WithTimeout(ctx, a.config.StopWithin/4)
	defer cancel()
	err := a.server.Shutdown(polite)
	if errors.Is(err, context.DeadlineExceeded) {
		a.log.Warn("requests cut off at stop")
		return a.server.Close()
	}
	return err
}

// handler is every HTTP face on one address.
func (a *App) handler() http.Handler {
	mux := http.NewServeMux()
	inference := httpd.New(a.core, httpd.Options{
		Version: a.config.Version, MaxBody: a.config.MaxBody, MaxUpload: a.config.MaxUpload, Ready: a.readiness, Log: a.log,
		Repository: newRepository(a), ClientHeader: a.config.ClientHeader, Context: a.traced(),
	})
	mux.Handle("/v2", inference)
	mux.Handle("/v2/", inference)
	mux.Handle("/v1/", inference)
	mux.Handle("/V1/", inference) // TensorFlow Serving's paths know no case
	admin.New(mux, admin.Options{
		Version: a.config.Version, Log: a.log, Now: time.Now, Names: a.deployer.Names, Live: a.deployer.Live, Status: a.status,
		Models: a, Aliases: a, Versions: a, Upkeep: a, Transfer: a, Signing: a, Testing: a, Deployments: a, Desired: a, Rollouts: a.rollouts, History: a.rollouts, Labels: a, Backfill: a, Events: a, Findings: findings{a.store}, Watermark: a.watermark, References: a.deployer, Alerts: a, Incidents: a, Silences: a, Receivers: a, SQL: a, Rows: a, Export: a, Segments: a, Cube: a, Replay: a,
		MaxUpload: a.config.MaxUpload, Pipelines: a.pipelines,
	})
	mux.HandleFunc("GET /healthz", a.health)
	mux.Handle("GET /metrics", a.metrics())
	mux.Handle("/", web.Handler())
	return a.clouded(inference, direct(inference, mux))
}

// direct sends the requests that most are past the mux. Paths that the mux would clean up are its own.
func direct(inference, mux http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if r.Method == http.MethodPost && strings.HasPrefix(path, "/v2/models/") && strings.HasSuffix(path, "/infer") &&
			!strings.Contains(path, "//") && !strings.Contains(path, "/.") {
			inference.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// readiness is nil, or why the server takes no requests.
func (a *App) readiness() error {
	if a.ready.Load() {
		return nil
	}
	return fairlead.Errorf(fairlead.CodeUnavailable, "the server is starting or stopping")
}

// health answers 200 while the server takes requests and 503 while it starts or stops; ?live=1 asks only whether the
// process answers.
func (a *App) health(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	ready := a.ready.Load()
	if !ready && r.URL.Query().Get("live") == "" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]bool{"live": true, "ready": ready})
}

// metrics is the Prometheus face, OpenMetrics when the scraper asks for it.
func (a *App) metrics() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), a.meter)
	if a.cache != nil {
		reg.MustRegister(a.cache)
	}
	reg.MustRegister(a.pipelines, alertGauges{a}, a.notifier)
	if a.tracer != nil {
		reg.MustRegister(a.tracer)
	}
	if a.access != nil {
		reg.MustRegister(a.access)
	}
	counter := func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "fairlead", Name: name, Help: help}, value))
	}
	counter("rows_recorded_total", "Rows handed to the recorder.", func() float64 { return float64(a.recorder.recorded.Load()) })
	counter("rows_dropped_total", "Rows answered but neither counted nor stored: the recorder's queue was full or the log refused them.",
		func() float64 { return float64(a.recorder.dropped.Load()) })
	counter("rows_sampled_out_total", "Rows answered and counted, but not chosen to be stored (record: {sample: …}).",
		func() float64 { return float64(a.recorder.sampled.Load()) })
	counter("business_events_total", "Business events acknowledged: they are on disk.", func() float64 { return float64(a.eventsStored.Load()) })
	counter("rows_expired_total", "Stored rows dropped because they were beyond what --keep-rows or --keep-rows-mb keeps.",
		func() float64 { return float64(a.rowsExpired.Load()) })
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "fairlead", Name: "rows_pending", Help: "Rows answered and not yet on disk; a crash loses them.",
	}, func() float64 { return float64(a.recorder.pending.Load()) }))
	if a.shared() {
		reg.MustRegister(a.sharedMetrics()...)
	}
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true})
}
