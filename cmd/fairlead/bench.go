package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/internal/loadgen"
)

// benchFlags are what `fairlead bench` was asked for.
type benchFlags struct {
	version, input, grpc, rate, concurrency string
	duration, warmup, deadline, timeout     time.Duration
	rows, connections                       int
	count                                   int64
	seed                                    uint64
	binary                                  bool
}

func benchCommand() *cobra.Command {
	var t talk
	var f benchFlags
	cmd := t.command(&cobra.Command{
		Use:   "bench MODEL",
		Short: "Measure a model's throughput and latency, on any server of the Open Inference Protocol",
		Long: `Measure a model's throughput and latency, on any server of the Open Inference Protocol (fairlead, Triton, MLServer, KServe).

Closed loop (default): so many connections, each sends its next request when it has its answer.
Open loop (--rate): requests arrive at random times at that mean rate, whatever the server does. Latency counts from
the moment a request should have been sent, so a server that stalls is charged for everything it held up.
--rate 2x measures the capacity first, then offers twice as much.`,
		Example: `  fairlead bench flights
  fairlead bench flights --concurrency 1,8,64 --rows 32 --binary
  fairlead bench flights --rate 2x --deadline 50ms
  fairlead bench resnet --server http://127.0.0.1:8000 --grpc=127.0.0.1:8001`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := t.out.check(); err != nil {
				return err
			}
			b, err := f.open(cmd.Context(), t.server, args[0])
			if err != nil {
				return err
			}
			defer b.close()
			report, err := b.measure(cmd.Context())
			if err != nil {
				return err
			}
			if err := report.write(cmd.OutOrStdout(), &t.out); err != nil {
				return err
			}
			return report.verdict()
		},
	}, true)
	f.register(cmd)
	return cmd
}

func (f *benchFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.concurrency, "concurrency", "1,2,4,8", "connections of the closed loop, one run for each number")
	flags.StringVar(&f.rate, "rate", "", "open loop: requests/s, or a multiple of the measured capacity such as 2x")
	flags.IntVar(&f.connections, "connections", 256, "open loop: connections at most")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "of each run")
	flags.DurationVar(&f.warmup, "warmup", time.Second, "before each run, not counted")
	flags.Int64Var(&f.count, "count", 0, "end a run after so many requests")
	flags.DurationVar(&f.deadline, "deadline", 0, "an answer later than this is not counted as good; fairlead servers are told of it")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second, "a request without an answer for this long has failed")
	flags.IntVar(&f.rows, "rows", 1, "rows of each request")
	flags.BoolVar(&f.binary, "binary", false, "send and ask for binary tensors instead of JSON")
	flags.StringVar(&f.grpc, "grpc", "", "use gRPC, at this address (default: the server's host, port 8081)")
	flags.Lookup("grpc").NoOptDefVal = "default"
	flags.StringVar(&f.input, "input", "", "file with the request's JSON body (default: the model's example, or made values that fit)")
	flags.StringVar(&f.version, "model-version", "", "version or alias (default: the live one)")
	flags.Uint64Var(&f.seed, "seed", 1, "of made values and of the arrivals")
}

// parse reads the flags that are lists or have units.
func (f *benchFlags) parse() (connections []int, rate, multiple float64, err error) {
	for part := range strings.SplitSeq(f.concurrency, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > 100_000 {
			return nil, 0, 0, fairlead.Invalid("--concurrency %q is not a list of numbers from 1", f.concurrency).Hintf("write for example --concurrency 1,2,4,8")
		}
		connections = append(connections, n)
	}
	if f.rate != "" {
		number, times := strings.CutSuffix(f.rate, "x")
		value, err := strconv.ParseFloat(number, 64)
		if err != nil || !(value > 0) || value > 1e7 {
			return nil, 0, 0, fairlead.Invalid("--rate %q is neither a rate nor a multiple", f.rate).Hintf("write for example --rate 1000 (requests/s) or --rate 2x (twice the capacity)")
		}
		if rate = value; times {
			rate, multiple = 0, value
		}
	}
	switch {
	case f.rows < 1:
		err = fairlead.Invalid("--rows %d: a request has one row or more", f.rows)
	case f.binary && f.grpc != "":
		err = fairlead.Invalid("--binary and --grpc exclude each other").Hintf("gRPC always sends binary tensors; leave --binary away")
	case f.connections < 1:
		err = fairlead.Invalid("--connections %d: one or more are needed", f.connections)
	case f.duration <= 0 && f.count <= 0:
		err = fairlead.Invalid("--duration %s has no end", f.duration).Hintf("write for example --duration 10s")
	}
	return connections, rate, multiple, err
}

// bench is one call of the command, ready to send.
type bench struct {
	flags       benchFlags
	connections []int
	rate        float64 // open loop
	multiple    float64 // of the capacity
	server      *loadgen.Server
	dial        loadgen.Dialer
	report      benchReport
	closers     []func() error
}

func (b *bench) close() {
	for _, c := range b.closers {
		_ = c() // the measuring is over
	}
}

// open asks the server for the model and tries one request.
func (f *benchFlags) open(ctx context.Context, address, model string) (*bench, error) {
	b := &bench{flags: *f}
	var err error
	if b.connections, b.rate, b.multiple, err = f.parse(); err != nil {
		return nil, err
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fairlead.Invalid("%q is not a server address", address).Hintf("write for example http://127.0.0.1:8080")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	b.closers = append(b.closers, func() error { transport.CloseIdleConnections(); return nil })
	b.server = &loadgen.Server{URL: u, HTTP: &http.Client{Timeout: f.timeout, Transport: transport}}
	meta, err := b.server.Model(ctx, model, f.version)
	if err != nil {
		return nil, err
	}
	b.report = benchReport{Server: u.String(), Model: model, Version: f.version, Platform: meta.Platform, Rows: f.rows, Deadline: f.deadline.Seconds() * 1000}
	if err := b.prepare(ctx, &meta); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// measure offers the loads in turn.
func (b *bench) measure(ctx context.Context) (*benchReport, error) {
	if b.rate == 0 && b.multiple == 0 {
		for _, n := range b.connections {
			if _, err := b.once(ctx, loadgen.Load{Connections: n, Duration: b.flags.duration, Count: b.flags.count}); err != nil {
				return nil, err
			}
		}
		return &b.report, nil
	}
	rate := b.rate
	if b.multiple > 0 {
		for _, n := range b.connections {
			r, err := b.once(ctx, loadgen.Load{Connections: n, Duration: max(b.flags.duration/4, time.Second)})
			if err != nil {
				return nil, err
			}
			b.report.Capacity = max(b.report.Capacity, r.Throughput())
		}
		if b.report.Capacity == 0 {
			return &b.report, nil // verdict says why
		}
		rate = b.multiple * b.report.Capacity
	}
	_, err := b.once(ctx, loadgen.Load{Connections: b.flags.connections, Rate: rate, Duration: b.flags.duration, Count: b.flags.count})
	return &b.report, err
}

func (b *bench) once(ctx context.Context, l loadgen.Load) (*loadgen.Result, error) {
	l.Warmup, l.Deadline, l.Seed = b.flags.warmup, b.flags.deadline, b.flags.seed
	before, statsErr := b.server.Anatomy(ctx, b.report.Model, b.flags.version)
	stop := progress(l)
	r, err := loadgen.Run(ctx, b.dial, l, loadgen.SystemClock())
	stop()
	if err != nil {
		return nil, err
	}
	run := newBenchRun(r)
	if statsErr == nil {
		if after, err := b.server.Anatomy(ctx, b.report.Model, b.flags.version); err == nil {
			run.Server = newBenchServer(after.Since(before))
		}
	}
	b.report.Runs = append(b.report.Runs, run)
	return r, nil
}

// progress shows a bar while a run goes on, on a terminal only. The returned function ends it.
func progress(l loadgen.Load) (stop func()) {
	total := l.Warmup + l.Duration
	if !term.IsTerminal(int(os.Stderr.Fd())) || total < time.Second {
		return func() {}
	}
	what := fmt.Sprintf("%d connections", l.Connections)
	if l.Rate > 0 {
		what = fmt.Sprintf("%.0f requests/s", l.Rate)
	}
	bar := progressbar.NewOptions64(total.Milliseconds(), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(what),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		began, tick := time.Now(), time.NewTicker(200*time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				_ = bar.Finish()
				return
			case <-tick.C:
				_ = bar.Set64(min(time.Since(began), total-time.Millisecond).Milliseconds())
			}
		}
	}()
	return func() { close(quit); <-done }
}
