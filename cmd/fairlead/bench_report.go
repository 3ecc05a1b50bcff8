package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/internal/loadgen"
)

// benchReport is the answer of `fairlead bench`; its JSON is what programs read.
type benchReport struct {
	Server    string     `json:"server"`
	Model     string     `json:"model"`
	Version   string     `json:"version,omitempty"`
	Platform  string     `json:"platform"`
	Transport string     `json:"transport"`
	Input     string     `json:"input"`
	Rows      int        `json:"rows"`
	Bytes     int        `json:"request_bytes"`
	Deadline  float64    `json:"deadline_ms,omitempty"`
	Capacity  float64    `json:"capacity,omitempty"` // requests/s, of the closed loops before an open one
	Runs      []benchRun `json:"runs"`
}

// benchRun is one load and what came of it.
type benchRun struct {
	Loop        string           `json:"loop"` // closed or open
	Connections int              `json:"connections"`
	Offered     float64          `json:"offered_per_second,omitempty"`
	Seconds     float64          `json:"seconds"`
	Requests    int64            `json:"requests"`
	Failed      int64            `json:"failed"`
	Failures    map[string]int64 `json:"failures"`
	Reconnects  int64            `json:"reconnects"`
	Throughput  float64          `json:"requests_per_second"`
	Goodput     float64          `json:"in_deadline_per_second"`
	Latency     benchPercentiles `json:"latency_ms"`
	Lag         benchPercentiles `json:"sending_lag_ms"`
	Server      *benchServer     `json:"server,omitempty"` // absent where the server has no statistics extension
}

type benchPercentiles struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// benchServer is the server's own account of a run, warm-up included: means per request in milliseconds.
type benchServer struct {
	Requests   int64   `json:"requests"`
	Runs       int64   `json:"runs"`
	RowsPerRun float64 `json:"rows_per_run"`
	CacheHits  int64   `json:"cache_hits"`
	Queue      float64 `json:"queue_ms"`
	Input      float64 `json:"input_ms"`
	Infer      float64 `json:"infer_ms"`
	Output     float64 `json:"output_ms"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func newBenchRun(r *loadgen.Result) benchRun {
	percentiles := func(p loadgen.Percentiles) benchPercentiles {
		return benchPercentiles{milliseconds(p.Mean), milliseconds(p.P50), milliseconds(p.P90), milliseconds(p.P99), milliseconds(p.P999), milliseconds(p.Max)}
	}
	loop := "closed"
	if r.Load.Rate > 0 {
		loop = "open"
	}
	return benchRun{
		Loop: loop, Connections: r.Load.Connections, Offered: r.Load.Rate, Seconds: r.Elapsed.Seconds(), Requests: r.Requests,
		Failed: r.Failed(), Failures: r.Failures, Reconnects: r.Reconnects, Throughput: r.Throughput(), Goodput: r.Goodput(),
		Latency: percentiles(r.Latency), Lag: percentiles(r.Lag),
	}
}

func newBenchServer(a loadgen.Anatomy) *benchServer {
	return &benchServer{
		Requests: a.Successes, Runs: a.Runs, RowsPerRun: a.RowsPerRun(), CacheHits: a.CacheHits,
		Queue: milliseconds(loadgen.Mean(a.Queue, a.QueueCount)), Input: milliseconds(loadgen.Mean(a.Input, a.InputCount)),
		Infer: milliseconds(loadgen.Mean(a.Infer, a.InferCount)), Output: milliseconds(loadgen.Mean(a.Output, a.OutputCount)),
	}
}

// verdict is an error if nothing was answered: a table of zeros must not look like a measurement.
func (r *benchReport) verdict() error {
	for _, run := range r.Runs {
		if run.Failed < run.Requests {
			return nil
		}
	}
	if len(r.Runs) > 0 && r.Runs[0].Requests > 0 {
		return fairlead.Errorf(fairlead.CodeUnavailable, "no request succeeded: %s", failures(r.Runs[0].Failures)).
			Hintf("the first request, before the load, was answered: look at the server's log, or offer less")
	}
	return fairlead.Errorf(fairlead.CodeDeadline, "no request ended in the time of a run").Hintf("use a longer --duration")
}

// write prints the report as a table or as JSON.
func (r *benchReport) write(w io.Writer, out *printer) error {
	if out.format == "json" {
		return out.print(w, r, "", nil)
	}
	fmt.Fprintf(w, "%s on %s: %s, %s of %s, %d bytes\n\n", r.Model, r.Server, r.Transport, r.rows(), r.Input, r.Bytes)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	goodput := ""
	if r.Deadline > 0 {
		goodput = "IN TIME/S\t"
	}
	fmt.Fprintf(tw, "LOOP\tCONNECTIONS\tOFFERED/S\tANSWERED/S\t%sP50 MS\tP90\tP99\tP99.9\tMAX\tFAILED\t\n", goodput)
	for _, run := range r.Runs {
		offered := "-"
		if run.Offered > 0 {
			offered = fmt.Sprintf("%.0f", run.Offered)
		}
		if r.Deadline > 0 {
			goodput = perSecond(run.Goodput) + "\t"
		}
		l := run.Latency
		fmt.Fprintf(tw, "%s\t%d\t%s\t%s\t%s%s\t%s\t%s\t%s\t%s\t%d\t\n", run.Loop, run.Connections, offered, perSecond(run.Throughput), goodput,
			number(l.P50), number(l.P90), number(l.P99), number(l.P999), number(l.Max), run.Failed)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	r.notes(w)
	return r.anatomy(w)
}

func (r *benchReport) rows() string {
	if r.Rows == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", r.Rows)
}

func perSecond(x float64) string {
	if x >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	return number(x)
}

// notes say what a row of the table cannot.
func (r *benchReport) notes(w io.Writer) {
	if r.Capacity > 0 {
		fmt.Fprintf(w, "\ncapacity, closed loop: %s requests/s", perSecond(r.Capacity))
		if last := r.Runs[len(r.Runs)-1]; last.Loop == "open" {
			fmt.Fprintf(w, "; the open loop kept %.0f %% of it", 100*last.Goodput/r.Capacity)
			if r.Deadline > 0 {
				fmt.Fprintf(w, " within %gms", r.Deadline)
			}
		}
		fmt.Fprintln(w)
	}
	for _, run := range r.Runs {
		name := fmt.Sprintf("%d connections", run.Connections)
		if run.Loop == "open" {
			name = fmt.Sprintf("%.0f offered/s", run.Offered)
		}
		if run.Failed > 0 {
			fmt.Fprintf(w, "failed at %s: %s\n", name, failures(run.Failures))
		}
		if run.Reconnects > 0 {
			fmt.Fprintf(w, "at %s the server closed %d idle connections\n", name, run.Reconnects)
		}
	}
}

func failures(by map[string]int64) string {
	keys := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b)) })
	parts := make([]string, len(keys))
	for i, key := range keys {
		parts[i] = fmt.Sprintf("%d × %s", by[key], key)
	}
	return strings.Join(parts, ", ")
}

// anatomy prints the server's own account.
func (r *benchReport) anatomy(w io.Writer) error {
	if !slices.ContainsFunc(r.Runs, func(run benchRun) bool { return run.Server != nil }) {
		fmt.Fprintf(w, "\nThe server has no statistics extension (GET /v2/models/%s/stats): its own times are not known.\n", r.Model)
		return nil
	}
	fmt.Fprint(w, "\nThe server's own account, means per request (the rest of the latency is network, HTTP and waiting for a core):\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "LOOP\tCONNECTIONS\tREQUESTS\tRUNS\tROWS/RUN\tQUEUE MS\tINPUT MS\tINFER MS\tOUTPUT MS\tCACHE HITS\t\n")
	for _, run := range r.Runs {
		if s := run.Server; s != nil {
			fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%d\t\n", run.Loop, run.Connections, s.Requests, s.Runs,
				number(s.RowsPerRun), number(s.Queue), number(s.Input), number(s.Infer), number(s.Output), s.CacheHits)
		}
	}
	return tw.Flush()
}
