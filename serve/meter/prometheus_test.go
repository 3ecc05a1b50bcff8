package meter_test

import (
	"flag"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// scrape is what Prometheus reads.
func scrape(t *testing.T, m *meter.Meter, accept string) string {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m)
	req := httptest.NewRequest("GET", "/metrics", nil)
	req.Header.Set("Accept", accept)
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true, ErrorHandling: promhttp.HTTPErrorOnError}).ServeHTTP(rec, req)
	if rec.Code != 200 {
		t.Fatal(rec.Body.String())
	}
	if want := accept[:strings.IndexByte(accept, ';')]; !strings.HasPrefix(rec.Header().Get("Content-Type"), want) {
		t.Fatalf("content type %q, asked for %q", rec.Header().Get("Content-Type"), accept)
	}
	return rec.Body.String()
}

const (
	openMetrics = "application/openmetrics-text; version=1.0.0"
	text        = "text/plain; version=0.0.4"
)

// TestOpenMetrics shows a small day of a server: two versions, a batch, the cache, errors with reasons, a traced request.
func TestOpenMetrics(t *testing.T) {
	m := meter.New()
	m.ObserveRun("flights", 3, 5, 40*time.Microsecond)
	for _, rows := range []int{2, 3} {
		m.Observe(meter.Observation{Deployment: "flights", Version: 3, At: start, Rows: rows, BatchRows: 5, Lookup: 400,
			Total: 62 * time.Microsecond, Stages: fairlead.Anatomy{Decode: 8 * time.Microsecond, Queue: 10 * time.Microsecond,
				Run: 40 * time.Microsecond, Encode: 4 * time.Microsecond}})
	}
	m.Observe(meter.Observation{Deployment: "flights", Version: 3, At: start, Rows: 2, Cached: true, Lookup: 900,
		Total: 11 * time.Microsecond, Stages: fairlead.Anatomy{Decode: 8 * time.Microsecond, Encode: 2 * time.Microsecond}})
	m.ObserveRun("flights", 4, 1, 20*time.Second)
	m.Observe(meter.Observation{Deployment: "flights", Version: 4, At: start, Rows: 1, BatchRows: 1, Total: 20 * time.Second,
		Stages: fairlead.Anatomy{Run: 20 * time.Second}, Trace: "4bf92f3577b34da6a3ce929d0e0e4736"})
	m.Observe(meter.Observation{Deployment: "flights", Version: 4, At: start, Code: fairlead.CodeExhausted, Reason: "queue_full"})
	m.Observe(meter.Observation{Deployment: "flights", Version: 4, At: start, Code: fairlead.CodeInvalid})
	m.Observe(meter.Observation{At: start, Code: fairlead.CodeNotFound})

	got := scrape(t, m, openMetrics)
	const golden = "testdata/openmetrics.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
	problems, err := promlint.New(strings.NewReader(scrape(t, m, text))).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v %v", problems, err)
	}
	m.Forget("flights")
	if got := scrape(t, m, text); strings.Contains(got, "flights") || !strings.Contains(got, "_unknown") {
		t.Errorf("after Forget: %s", got)
	}
}

// TestSeriesAreBounded: whatever clients and pushes do, the number of series stays small, and sums never go back.
func TestSeriesAreBounded(t *testing.T) {
	m := meter.New()
	for v := range 200 {
		for i := range 3 {
			m.Observe(meter.Observation{Deployment: "d", Version: fairlead.Version(v + 1), At: start.Add(time.Duration(v) * time.Minute), Rows: 1})
			m.Observe(meter.Observation{Deployment: "d", Version: fairlead.Version(v + 1), At: start.Add(time.Duration(v) * time.Minute),
				Code: fairlead.CodeInvalid, Reason: strings.Repeat("x", i*200+v+1)})
		}
		m.ObserveRun("d", fairlead.Version(v+1), v, time.Microsecond)
	}
	page := scrape(t, m, text)
	var oks, errs float64
	versions, series := map[string]bool{}, strings.Count(page, "fairlead_requests_total{")
	for line := range strings.Lines(page) {
		if labels, value, ok := strings.Cut(line, "} "); ok && strings.HasPrefix(line, "fairlead_requests_total") {
			_, version, _ := strings.Cut(labels, `version="`)
			version, _, _ = strings.Cut(version, `"`)
			versions[version] = true
			if strings.Contains(labels, `code="ok"`) {
				oks += number(t, value)
			} else {
				errs += number(t, value)
			}
		}
	}
	if len(versions) != 5 || !versions["older"] || !versions["200"] || !versions["197"] || series > 70 {
		t.Errorf("%d series of the versions %v", series, versions)
	}
	if oks != 600 || errs != 600 {
		t.Errorf("%v answers and %v errors, want 600 of each", oks, errs)
	}
	if s := m.Statistics("d"); len(s) != 4 || s[0].Version != 200 || s[0].Runs != 1 || s[0].Fail.Count != 3 {
		t.Errorf("statistics: %+v", s)
	}
}

// TestCountersOnlyGrow reads while many goroutines count and versions retire: no sum ever goes back, none is lost.
func TestCountersOnlyGrow(t *testing.T) {
	const writers, each = 8, 4000
	m := meter.New()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				v := fairlead.Version(1 + i/500 + w%2) // neighbours in time use neighbouring versions
				m.Observe(meter.Observation{Deployment: "d", Version: v, At: start.Add(time.Duration(i) * time.Millisecond), Rows: 1})
				m.ObserveRun("d", v, 1, time.Microsecond)
			}
		})
	}
	total := func() float64 {
		var sum float64
		for line := range strings.Lines(scrape(t, m, text)) {
			if strings.HasPrefix(line, "fairlead_requests_total{") || strings.HasPrefix(line, "fairlead_batch_rows_count{") {
				sum += number(t, line[strings.LastIndexByte(line, ' ')+1:])
			}
		}
		return sum
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	last, reads := 0.0, 0
	for running := true; running; reads++ {
		select {
		case <-done:
			running = false
		default:
		}
		now := total()
		if now < last {
			t.Fatalf("%v after %v", now, last)
		}
		last = now
	}
	if last != 2*writers*each {
		t.Errorf("%v counted in the end, want %d", last, 2*writers*each)
	}
	t.Logf("%d reads", reads)
}

func TestBuckets(t *testing.T) {
	m := meter.New()
	for _, d := range []time.Duration{-1, 0, 1, 1000, 1001, 2500, 2501, 9_999_999_999, 10_000_000_000, 10_000_000_001, time.Hour} {
		m.Observe(meter.Observation{Deployment: "d", Version: 1, At: start, Total: d})
	}
	page := scrape(t, m, text)
	for _, want := range []string{`le="1e-06"} 4`, `le="2.5e-06"} 6`, `le="5e-06"} 7`, `le="5"} 7`, `le="10"} 9`, `le="+Inf"} 11`} {
		if !strings.Contains(page, `fairlead_request_duration_seconds_bucket{deployment="d",version="1",`+want) {
			t.Errorf("no bucket %s in\n%s", want, page)
		}
	}
	for _, rows := range []int{-1, 0, 1, 2, 3, 4, 5, 4096, 4097} {
		m.ObserveRun("d", 1, rows, 0)
	}
	page = scrape(t, m, text)
	for _, want := range []string{`le="1"} 3`, `le="2"} 4`, `le="4"} 6`, `le="8"} 7`, `le="4096"} 8`, `le="+Inf"} 9`} {
		if !strings.Contains(page, `fairlead_batch_rows_bucket{deployment="d",version="1",`+want) {
			t.Errorf("no bucket %s in\n%s", want, page)
		}
	}
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
