package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		defer func() { _ = os.RemoveAll(natsDir) }() // "" removes nothing
		binary = os.Getenv("FAIRLEAD_BIN")
		if binary == "" {
			dir, err := os.MkdirTemp("", "fairlead-e2e")
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			defer os.RemoveAll(dir)
			binary = filepath.Join(dir, "fairlead")
			build := exec.Command("go", "build", "-o", binary, "../cmd/fairlead")
			if out, err := build.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// library is the ONNX Runtime that `make runtime` fetched.
func library(t testing.TB) string {
	if path := os.Getenv("FAIRLEAD_ORT_LIBRARY"); path != "" {
		return path
	}
	found, _ := filepath.Glob("../bin/libonnxruntime.*")
	if len(found) == 0 {
		t.Fatal("no ONNX Runtime library in bin/: run `make runtime`")
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a running binary.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	base   string
	client *client.Client
	output *output
	done   chan error
}

type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// freePort asks the system for one.
func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs `fairlead ARGS --data data --http address`, without gRPC unless ARGS ask for it, and waits until it is ready.
// It is killed when the test ends.
func start(t testing.TB, data, address string, args ...string) *process {
	t.Helper()
	return startUnder(t, nil, data, address, args...)
}

// startUnder is start under another command, such as ip netns exec.
func startUnder(t testing.TB, wrap []string, data, address string, args ...string) *process {
	t.Helper()
	c, err := client.New(address)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, base: "http://" + address, client: c, output: &output{}, done: make(chan error, 1)}
	if !slices.Contains(args, "--grpc") {
		args = append(args, "--grpc", "")
	}
	// Tests wait for rows to be stored, on machines that are busy with other tests.
	line := slices.Concat(wrap, []string{binary}, args, []string{"--data", data, "--http", address, "--max-lag", "0"})
	p.cmd = exec.Command(line[0], line[1:]...)
	p.cmd.Env = append(os.Environ(), "FAIRLEAD_ORT_LIBRARY="+library(t))
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	p.waitFor(60*time.Second, "ready", func() bool {
		resp, err := http.Get(p.base + "/healthz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

func (p *process) waitFor(limit time.Duration, what string, ok func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("not %s after %s; the process wrote:\n%s", what, limit, tail(p.output.String()))
		}
	}
}

// kill ends the process as a crash does.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		p.t.Fatal(err)
	}
	<-p.done
}

// stop ends it cleanly and fails the test if it does not exit with 0.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case err := <-p.done:
		if err != nil {
			p.t.Fatalf("a clean stop exits with 0, got %v:\n%s", err, tail(p.output.String()))
		}
	case <-time.After(60 * time.Second):
		p.t.Fatalf("did not stop within a minute:\n%s", tail(p.output.String()))
	}
}

// sql asks for one row.
func (p *process) sql(query string) []any {
	p.t.Helper()
	answer, err := p.client.SQL(context.Background(), query, 1)
	if err != nil {
		p.t.Fatalf("%s: %v", query, err)
	}
	if len(answer.Rows) != 1 {
		p.t.Fatalf("%s: %d rows", query, len(answer.Rows))
	}
	return answer.Rows[0]
}

func (p *process) number(query string) int {
	p.t.Helper()
	x, ok := p.sql(query)[0].(float64)
	if !ok {
		p.t.Fatalf("%s: not a number: %v", query, p.sql(query)[0])
	}
	return int(x)
}

// settled waits until the evaluation store has taken everything.
func (p *process) settled() api.Status {
	p.t.Helper()
	var s api.Status
	calm := 0
	p.waitFor(60*time.Second, "settled", func() bool {
		next, err := p.client.Status(context.Background())
		if err != nil {
			return false
		}
		if next.Stored == s.Stored && next.Labels == s.Labels && next.Lag == 0 {
			calm++
		} else {
			calm = 0
		}
		s = next
		return calm >= 15 // longer than the loss window
	})
	return s
}

// run executes the CLI against the server and gives what it printed.
func (p *process) run(args ...string) (string, error) {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "FAIRLEAD_SERVER="+p.base)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func post(t testing.TB, url, contentType string, body io.Reader) (int, string) {
	t.Helper()
	resp, err := http.Post(url, contentType, body)
	if err != nil {
		t.Fatalf("POST %s: %v", url, err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(out)
}

func tail(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}
