package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/internal/loadgen"
)

// measured is one run of one side.
type measured struct {
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms,omitempty"`
	P99       float64 `json:"p99_ms,omitempty"`
	Failed    int64   `json:"failed,omitempty"`
}

// contestant is a side that runs and can be measured.
type contestant struct {
	bench       *bench
	pair        *pair
	side        side
	server      *server // nil for the ORT loop
	process     *process
	port        int
	dial        loadgen.Dialer
	connections int
	deadline    time.Duration
}

// awake lets the contestant's processes run, or holds them while another is measured.
func (c *contestant) awake(yes bool) {
	if c.process == nil || c.server.restless {
		return
	}
	s := syscall.SIGCONT
	if !yes {
		s = syscall.SIGSTOP
	}
	c.process.signal(s)
}

// begin starts the side's server, unless it is the running one of the pair's other side.
func (b *bench) begin(ctx context.Context, p *pair, s side, port int, other *contestant) (*contestant, error) {
	c := &contestant{bench: b, pair: p, side: s, port: port}
	if p.deadline != "" {
		c.deadline, _ = time.ParseDuration(p.deadline)
	}
	if s.server == ortLoop {
		c.connections = b.cores
		return c, nil
	}
	var err error
	if c.server, err = serverOf(s.server); err != nil {
		return nil, err
	}
	if other != nil && other.side.server == s.server {
		c.process, c.port = other.process, other.port
	} else {
		folder := filepath.Join(b.cache, "run", s.server)
		if err := os.RemoveAll(folder); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		if c.process, err = c.server.start(b, p.model, folder, port); err != nil {
			return nil, err
		}
	}
	if err := c.prepare(ctx); err != nil {
		c.process.stop()
		return nil, err
	}
	return c, nil
}

// prepare makes the requests and waits until the server answers them.
func (c *contestant) prepare(ctx context.Context) error {
	requests, bodies, headers, err := c.requests()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	loaded := c.server.loaded == nil
	for {
		if !loaded {
			err = c.server.loaded(ctx, c.bench, c.pair.model, c.port)
			loaded = err == nil
		}
		if loaded {
			var answer []byte
			if answer, err = c.try(ctx, bodies[0], headers[0]); err == nil {
				if c.server.name == "fairlead" { // what echo answers
					return c.ready(requests, os.WriteFile(filepath.Join(c.bench.cache, "answer"), answer, 0o644))
				}
				return c.ready(requests, nil)
			}
		}
		if c.process.ended() {
			return fmt.Errorf("%s ended: %s", c.server.name, c.process.tail())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w: %s", c.server.name, err, c.process.tail())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (c *contestant) ready(requests []loadgen.Request, err error) error {
	if err != nil {
		return err
	}
	target, err := loadgen.NewHTTP(address(c.port), requests, 20*time.Second)
	if err == nil {
		c.dial = target.Dial
	}
	return err
}

func (c *contestant) path() string {
	p := c.server.infer
	if c.binary() {
		p = c.server.binary
	}
	if c.server.infer == "/infer" {
		return p
	}
	return fmt.Sprintf(p, c.pair.model)
}

func (c *contestant) binary() bool {
	return c.side.form == asBinary || c.side.form == openLoop && c.pair.b.form == asBinary
}

func (c *contestant) try(ctx context.Context, body []byte, headers []string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address(c.port).String()+c.path(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s: %s", resp.Status, answer[:min(len(answer), 300)])
	}
	return answer, err
}

// requests are the same rows for every server, in the form that it takes.
func (c *contestant) requests() (requests []loadgen.Request, bodies [][]byte, headers [][]string, err error) {
	tensors, err := c.bench.rows(c.pair.model)
	if err != nil {
		return nil, nil, nil, err
	}
	u := &url.URL{Scheme: "http", Host: host(c.port)}
	for _, t := range tensors {
		in := []fairlead.Tensor{t}
		var body []byte
		header := []string{"Content-Type", "application/json"}
		switch {
		case c.server.bare:
			values := t.Data.([]float32)
			body, err = json.Marshal(map[string]any{"inputs": [][]float32{values}})
		case c.binary():
			var length int
			body, length, err = loadgen.BinaryBody(in)
			header = []string{"Content-Type", "application/octet-stream", "Inference-Header-Content-Length", strconv.Itoa(length)}
		default:
			body, err = loadgen.JSONBody(in)
		}
		if err != nil {
			return nil, nil, nil, err
		}
		requests = append(requests, loadgen.NewRequest(u, c.path(), body, header...))
		bodies, headers = append(bodies, body), append(headers, header)
	}
	return requests, bodies, headers, nil
}

var shapes = map[string][]int64{"mlp": {1, 784}, "mobilenet": {1, 3, 224, 224}}

// rows are single-row inputs: real ones for the tables, seeded ones for the dense nets.
func (b *bench) rows(model string) ([]fairlead.Tensor, error) {
	var tensors []fairlead.Tensor
	if shape := shapes[model]; shape != nil {
		m := loadgen.Model{Inputs: []loadgen.Spec{{Name: "input", Datatype: fairlead.FP32, Shape: shape}}}
		chance := rand.New(rand.NewPCG(1, 1))
		for range 8 {
			in, err := loadgen.MakeInputs(&m, 1, chance)
			if err != nil {
				return nil, err
			}
			tensors = append(tensors, in...)
		}
		return tensors, nil
	}
	raw, err := os.ReadFile(b.model(model, ".rows.json"))
	if err != nil {
		return nil, err
	}
	var rows [][]float32
	if err := json.Unmarshal(raw, &rows); err != nil {
		return nil, err
	}
	for _, row := range rows {
		tensors = append(tensors, fairlead.Tensor{Name: "input", Type: fairlead.FP32, Shape: []int64{1, int64(len(row))}, Data: row})
	}
	return tensors, nil
}

// calibrate finds the number of connections that suits the side.
func (c *contestant) calibrate(ctx context.Context) error {
	if c.side.server == ortLoop {
		return nil
	}
	best := -1.0
	for _, n := range c.pair.connections {
		c.connections = n
		m, err := c.closed(ctx, n, time.Second)
		if err != nil {
			return err
		}
		if m.PerSecond > best*1.02 { // more connections must pay
			best, c.connections = m.PerSecond, n
		}
	}
	return nil
}

// measure runs the side once. before is what the pair's other side gave in this round; an open loop offers twice that.
func (c *contestant) measure(ctx context.Context, before float64) (measured, error) {
	duration := c.bench.duration
	switch {
	case c.side.server == ortLoop:
		return c.loop(ctx, duration)
	case c.side.form == openLoop:
		return c.load(ctx, loadgen.Load{Connections: 256, Rate: 2 * before, Warmup: duration / 5, Duration: duration, Deadline: c.deadline, Seed: 1})
	case c.side.form == asGRPC:
		return c.grpc(ctx, c.connections, duration)
	}
	return c.closed(ctx, c.connections, duration)
}

func (c *contestant) closed(ctx context.Context, connections int, duration time.Duration) (measured, error) {
	if c.side.form == asGRPC {
		return c.grpc(ctx, connections, duration)
	}
	return c.load(ctx, loadgen.Load{Connections: connections, Warmup: duration / 5, Duration: duration})
}

func (c *contestant) load(ctx context.Context, l loadgen.Load) (measured, error) {
	r, err := loadgen.Run(ctx, c.dial, l, loadgen.SystemClock())
	if err != nil {
		return measured{}, err
	}
	if r.Successes == 0 {
		return measured{}, fmt.Errorf("%s answered nothing: %v", c.server.name, r.Failures)
	}
	return measured{PerSecond: r.Goodput(), P50: float64(r.Latency.P50) / 1e6, P99: float64(r.Latency.P99) / 1e6, Failed: r.Failed()}, nil
}

// grpc runs our own command: the client's gRPC is not the generator's.
func (c *contestant) grpc(ctx context.Context, connections int, duration time.Duration) (measured, error) {
	out, err := output(ctx, nil, filepath.Join(c.bench.cache, "fairlead"), "bench", c.pair.model, "--server", address(c.port).String(),
		"--grpc="+host(c.port+1), "--concurrency", strconv.Itoa(connections), "--duration", duration.String(), "--warmup", (duration / 5).String(), "-o", "json")
	if err != nil {
		return measured{}, err
	}
	var report struct {
		Runs []struct {
			PerSecond float64 `json:"requests_per_second"`
			Failed    int64   `json:"failed"`
			Latency   struct {
				P50 float64 `json:"p50"`
				P99 float64 `json:"p99"`
			} `json:"latency_ms"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(out, &report); err != nil || len(report.Runs) != 1 {
		return measured{}, fmt.Errorf("fairlead bench printed %.200s: %w", out, err)
	}
	run := report.Runs[0]
	return measured{PerSecond: run.PerSecond, P50: run.Latency.P50, P99: run.Latency.P99, Failed: run.Failed}, nil
}

func (c *contestant) loop(ctx context.Context, duration time.Duration) (measured, error) {
	out, err := output(ctx, nil, filepath.Join(c.bench.cache, "ortloop"), c.bench.library, c.bench.model(c.pair.model, ".onnx"), strconv.Itoa(c.connections), duration.String())
	if err != nil {
		return measured{}, err
	}
	var answer map[string]float64
	if err := json.Unmarshal(out, &answer); err != nil {
		return measured{}, err
	}
	return measured{PerSecond: answer["runs_per_second"]}, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
