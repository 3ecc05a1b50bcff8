package loadgen_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/internal/loadgen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func target(t *testing.T, address string, timeout time.Duration, bodies ...string) *loadgen.HTTP {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	var requests []loadgen.Request
	for _, b := range bodies {
		requests = append(requests, loadgen.NewRequest(u, "/v2/models/m/infer", []byte(b), "Content-Type", "application/json"))
	}
	h, err := loadgen.NewHTTP(u, requests, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func run(t *testing.T, h *loadgen.HTTP, l loadgen.Load) *loadgen.Result {
	t.Helper()
	r, err := loadgen.Run(t.Context(), h.Dial, l, loadgen.SystemClock())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func serve(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// Every answer is read to its end, whatever way it is framed: a byte too many or too few would spoil the next one.
func TestAnswersAreReadToTheirEnd(t *testing.T) {
	large := strings.Repeat("x", 100_000)
	var requests, wrong atomic.Int64
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/json" || r.URL.Path != "/v2/models/m/infer" {
			wrong.Add(1)
		}
		if s := string(body); s != "one" && s != large {
			wrong.Add(1)
		}
		switch requests.Add(1) % 6 {
		case 0:
			fmt.Fprint(w, `{"outputs":[]}`)
		case 1:
			fmt.Fprint(w, large) // larger than the buffer: chunked by net/http
		case 2:
			w.Header().Set("Content-Length", "100000")
			fmt.Fprint(w, large)
		case 3:
			for range 20 {
				fmt.Fprint(w, "piece of a chunked answer")
				w.(http.Flusher).Flush()
			}
		case 4:
			w.Header().Set("Connection", "close")
			fmt.Fprint(w, "the last of this connection")
		case 5:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	r := run(t, target(t, address, 5*time.Second, "one", large), loadgen.Load{Connections: 3, Count: 600})
	if r.Requests != 600 || r.Successes != 600 || len(r.Failures) > 0 || wrong.Load() > 0 {
		t.Errorf("%d requests, %d successes, failures %v, %d wrong at the server; want 600 of 600", r.Requests, r.Successes, r.Failures, wrong.Load())
	}
	if requests.Load() != 600 {
		t.Errorf("the server saw %d requests, want 600", requests.Load())
	}
	if p := r.Latency; p.P50 <= 0 || p.P50 > p.P90 || p.P90 > p.P99 || p.P99 > p.P999 || p.P999 > p.Max {
		t.Errorf("percentiles are not in order: %+v", p)
	}
	if r.Throughput() <= 0 || r.Elapsed <= 0 {
		t.Errorf("throughput %g in %s", r.Throughput(), r.Elapsed)
	}
}

func TestErrorsAreCountedByWhatTheySay(t *testing.T) {
	var n atomic.Int64
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"error":"no","reason":"queue_full"}`)
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, "<html>")
		default:
			fmt.Fprint(w, "{}")
		}
	})
	r := run(t, target(t, address, time.Second, "x"), loadgen.Load{Connections: 1, Count: 400})
	if r.Failures["429 queue_full"] != 100 || r.Failures["500"] != 100 || r.Successes != 200 || r.Failed() != 200 {
		t.Errorf("failures %v, successes %d; want 100 and 100, 200", r.Failures, r.Successes)
	}
}

// A server that drops connections fails the requests it had and no others.
func TestDroppedConnections(t *testing.T) {
	var n, dropped atomic.Int64
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if n.Add(1)%5 == 0 {
			dropped.Add(1)
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				c.Close()
			}
			return
		}
		fmt.Fprint(w, "{}")
	})
	r := run(t, target(t, address, time.Second, "x"), loadgen.Load{Connections: 2, Count: 100})
	if r.Failed() != dropped.Load() || r.Requests != 100 || dropped.Load() == 0 {
		t.Errorf("%d failed (%v) of %d, the server dropped %d", r.Failed(), r.Failures, r.Requests, dropped.Load())
	}
	for failure := range r.Failures {
		if failure != "connection closed" && failure != "connection reset" {
			t.Errorf("failure %q", failure)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + l.Addr().String()
	l.Close()
	r := run(t, target(t, address, time.Second, "x"), loadgen.Load{Connections: 2, Count: 6})
	if r.Failures["connection refused"] != 6 {
		t.Errorf("failures %v, want 6 refused", r.Failures)
	}
}

func TestASlowServerTimesOut(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
	})
	began := time.Now()
	r := run(t, target(t, address, 50*time.Millisecond, "x"), loadgen.Load{Connections: 2, Duration: 20 * time.Millisecond})
	if r.Failures["timeout"] != 2 || r.Successes != 0 {
		t.Errorf("failures %v, successes %d; want a timeout on each connection", r.Failures, r.Successes)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("took %s: the timeout was not kept", took)
	}
}

// A run ends with its context, although the server never answers.
func TestCancel(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := loadgen.Run(ctx, target(t, address, time.Hour, "x").Dial, loadgen.Load{Connections: 4, Rate: 1000, Duration: time.Hour}, loadgen.SystemClock())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
}

// The server learns what is left of the deadline.
func TestDeadlineHeader(t *testing.T) {
	got := make(chan string, 1)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case got <- r.Header.Get(loadgen.DeadlineHeader):
		default:
		}
	})
	run(t, target(t, address, time.Second, "x"), loadgen.Load{Connections: 1, Count: 1, Deadline: 50 * time.Millisecond})
	header := <-got
	if d, err := time.ParseDuration(header); err != nil || d != 50*time.Millisecond {
		t.Errorf("header %q, want a duration of 50ms: %v", header, err)
	}
	run(t, target(t, address, time.Second, "x"), loadgen.Load{Connections: 1, Count: 1})
	if header := <-got; header != "" {
		t.Errorf("header %q without a deadline", header)
	}
}

// garbled answers each connection's first request with those bytes and closes it.
func garbled(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
			}
			_, _ = io.WriteString(c, answer)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

func TestGarbledAnswers(t *testing.T) {
	const bad = "answer is not HTTP/1.1"
	for answer, want := range map[string]string{
		"":                              "connection closed",
		"HTTP/1.1 200 OK\r\nContent-Le": "connection closed",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc":                                       "connection closed",
		"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n":                                         bad,
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n":                       bad,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":                           bad,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabXY\r\n":                    bad,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n":                      "connection closed",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n":                                                   bad,
		"SSH-2.0-OpenSSH\r\n\r\n":                                                               bad,
		"HTTP/1.1 xyz\r\n\r\n":                                                                  bad,
		"HTTP/1.1 200 " + strings.Repeat("x", 20<<10):                                           bad,
		"HTTP/1.1 200 OK\r\n\r\nuntil it closes":                                                "",
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab":                                        "",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":             "",
		"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n2;x=y\r\nab\r\n0\r\na: b\r\n\r\n": "",
	} {
		r := run(t, target(t, garbled(t, answer), time.Second, "x"), loadgen.Load{Connections: 1, Count: 1})
		var got string
		for failure := range r.Failures {
			got = failure
		}
		if got != want {
			t.Errorf("%.60q: failure %q, want %q", answer, got, want)
		}
	}
}

func TestLoadsThatMakeNoSense(t *testing.T) {
	for _, l := range []loadgen.Load{
		{}, {Connections: 1}, {Connections: -1, Count: 1}, {Connections: 1, Count: 1, Rate: -1}, {Connections: 1, Count: 1, Deadline: -1},
	} {
		if _, err := loadgen.Run(t.Context(), nil, l, loadgen.SystemClock()); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%+v: error %v, want one that says what is wrong", l, err)
		}
	}
}

// The arrivals of a seed are the same every time, their gaps exponential: mean and standard deviation are 1/rate.
func TestArrivals(t *testing.T) {
	const n, rate, seed = 100_000, 500.0, 7
	a, again := loadgen.NewArrivals(rate, seed), loadgen.NewArrivals(rate, seed)
	var last time.Duration
	var sum, squares float64
	for range n {
		at := a.Next()
		if at != again.Next() || at < last {
			t.Fatalf("seed %d: arrival %s after %s differs or goes back", seed, at, last)
		}
		gap := (at - last).Seconds()
		sum, squares, last = sum+gap, squares+gap*gap, at
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	for name, got := range map[string]float64{"mean": mean, "standard deviation": deviation} {
		if math.Abs(got*rate-1) > 0.02 { // 6 standard errors
			t.Errorf("seed %d: %s of the gaps is %g, want %g", seed, name, got, 1/rate)
		}
	}
}

// bubbleClock is the time of a synctest bubble.
type bubbleClock struct{ zero time.Time }

func (c bubbleClock) Now() time.Duration { return time.Since(c.zero) }
func (c bubbleClock) Sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// stalling answers at once, but stands still from one moment to another.
type stalling struct {
	zero     time.Time
	from, to time.Duration
}

func (s stalling) Call(context.Context, time.Duration) loadgen.Outcome {
	if now := time.Since(s.zero); now >= s.from && now < s.to {
		time.Sleep(s.to - now)
	}
	return loadgen.Outcome{OK: true}
}
func (s stalling) Close() error { return nil }

// A server that stalls for one of ten seconds is charged for every request that should have been sent meanwhile in open
// loop: a tenth of them waited, half a second on average. In closed loop only one request saw it.
func TestNoCoordinatedOmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zero := time.Now()
		dial := func(int) (loadgen.Caller, error) { return stalling{zero, 4 * time.Second, 5 * time.Second}, nil }
		l := loadgen.Load{Connections: 1, Rate: 1000, Duration: 10 * time.Second, Deadline: 2 * time.Second, Seed: 3}
		r, err := loadgen.Run(t.Context(), dial, l, bubbleClock{zero})
		if err != nil {
			t.Fatal(err)
		}
		if n := float64(r.Requests); math.Abs(n-10_000) > 500 || r.Failed() != 0 || r.InTime != r.Successes {
			t.Errorf("%d requests, %d failed, %d in time; want about 10,000, none, all", r.Requests, r.Failed(), r.InTime)
		}
		if p := r.Latency; p.P50 > 10*time.Millisecond || p.P99 < 850*time.Millisecond || p.Max > 1010*time.Millisecond ||
			p.Mean < 40*time.Millisecond || p.Mean > 60*time.Millisecond {
			t.Errorf("latency %+v; want a tenth of them to have waited up to a second", p)
		}
	})
}

// Requests whose deadline passes before a connection is free are given up, as their clients would have done.
func TestOverloadGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zero := time.Now()
		dial := func(int) (loadgen.Caller, error) { return steady(10 * time.Millisecond), nil }
		l := loadgen.Load{Connections: 2, Rate: 400, Warmup: time.Second, Duration: 10 * time.Second, Deadline: 50 * time.Millisecond, Seed: 5}
		r, err := loadgen.Run(t.Context(), dial, l, bubbleClock{zero})
		if err != nil {
			t.Fatal(err)
		}
		// Two connections of 100/s each answer 200 of the 400; those sent last in their deadline come too late.
		if got := r.Throughput(); math.Abs(got-200) > 10 {
			t.Errorf("throughput %g, want 200", got)
		}
		if r.Failures[loadgen.Unsent]+r.Successes != r.Requests || r.Failures[loadgen.Unsent] < 1500 {
			t.Errorf("%d requests, %d successes, failures %v", r.Requests, r.Successes, r.Failures)
		}
		if r.InTime >= r.Successes || r.InTime == 0 {
			t.Errorf("%d of %d in time; want some, not all", r.InTime, r.Successes)
		}
		if r.Latency.Max > 60*time.Millisecond {
			t.Errorf("latency up to %s, but a request is given up after 50ms", r.Latency.Max)
		}
	})
}

// steady answers after that time.
type steady time.Duration

func (s steady) Call(context.Context, time.Duration) loadgen.Outcome {
	time.Sleep(time.Duration(s))
	return loadgen.Outcome{OK: true}
}
func (s steady) Close() error { return nil }

// A closed loop counts what ends in its time and nothing of the warm-up.
func TestClosedLoopCountsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zero := time.Now()
		dial := func(int) (loadgen.Caller, error) { return steady(10 * time.Millisecond), nil }
		r, err := loadgen.Run(t.Context(), dial, loadgen.Load{Connections: 4, Warmup: time.Second, Duration: 2 * time.Second}, bubbleClock{zero})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Throughput(); math.Abs(got-400) > 2 || r.Elapsed != 2*time.Second || r.Latency.P50.Round(time.Millisecond) != 10*time.Millisecond {
			t.Errorf("throughput %g in %s at %s; want 400 in 2s at 10ms", got, r.Elapsed, r.Latency.P50)
		}
	})
}
