package httpd_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/httpd"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// flights adds up the features; it has two outputs.
func flights() *route.Target {
	sig := fairlead.Signature{
		Task: fairlead.TaskBinary,
		Inputs: []fairlead.TensorSpec{
			{Name: "features", Type: fairlead.FP32, Shape: []int64{-1, 3}, Features: []string{"hour", "weekday", "distance"}},
			{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
		},
		Outputs: []fairlead.TensorSpec{
			{Name: "sum", Type: fairlead.FP32, Shape: []int64{-1, 1}},
			{Name: "where", Type: fairlead.Bytes, Shape: []int64{-1}},
		},
	}
	session := fake.New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		x, origin := in[0].Data.([]float32), in[1].Data.([]string)
		sum, where := make([]float32, len(origin)), make([]string, len(origin))
		for i := range origin {
			sum[i], where[i] = x[3*i]+x[3*i+1]+x[3*i+2], "from "+origin[i]
		}
		n := int64(len(origin))
		return []fairlead.Tensor{
			{Name: "sum", Type: fairlead.FP32, Shape: []int64{n, 1}, Data: sum},
			{Name: "where", Type: fairlead.Bytes, Shape: []int64{n}, Data: where},
		}, nil
	})
	return &route.Target{Model: "flights", Version: 3, Signature: sig, Session: session}
}

// scores has the same three probabilities for every row, and classes.
func scores() *route.Target {
	sig := fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}}},
		Outputs: []fairlead.TensorSpec{{Name: "p", Type: fairlead.FP32, Shape: []int64{-1, 3}, Classes: []string{"setosa", "versicolor", "virginica"}}},
	}
	session := fake.New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		p := fairlead.Tensor{Name: "p", Type: fairlead.FP32, Shape: []int64{int64(in[0].Rows()), 3}}
		var data []float32
		for range in[0].Rows() {
			data = append(data, 0.25, 0.5, 0.25)
		}
		p.Data = data
		return []fairlead.Tensor{p}, nil
	})
	return &route.Target{Model: "scores", Version: 1, Signature: sig, Session: session,
		Settings: route.Settings{MaxBatch: 16, Batching: "rows are computed alike alone and together", CacheTTL: time.Second, Memory: 1 << 20}}
}

// raw has one input of any length, which it gives back.
func raw() *route.Target {
	sig := fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.Int16, Shape: []int64{1, -1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.Int16, Shape: []int64{1, -1}}},
	}
	session := fake.New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		y := in[0]
		y.Name = "y"
		return []fairlead.Tensor{y}, nil
	})
	return &route.Target{Model: "raw", Version: 1, Signature: sig, Session: session}
}

// misbehaving is a model with one input and one output that does as f says.
func misbehaving(f fake.Func) *route.Target {
	echo := fake.Echo(2)
	return &route.Target{Model: "bad", Version: 1, Signature: echo.Signature(), Session: fake.New(echo.Signature(), f)}
}

// shelf is a repository of one model that is there and one that does not fit into memory.
type shelf struct{}

func (shelf) Index(context.Context) ([]serve.ModelState, error) {
	return []serve.ModelState{{Name: "flights", Version: "3", State: serve.StateReady},
		{Name: "huge", Version: "1", State: serve.StateUnavailable, Reason: "it does not fit"}}, nil
}

func (shelf) Load(_ context.Context, name string, o serve.LoadOptions) error {
	switch {
	case name == "huge":
		err := fairlead.Errorf(fairlead.CodeExhausted, "huge takes 9 GB, but 2 GB are free").Hintf("unload another model")
		err.Reason = "no_memory"
		return err
	case name != "flights":
		return fairlead.NotFound("the registry has no model %q", name)
	case o.Files != nil && string(o.Files["1/model.onnx"]) != "ONNX", o.Config != "" && o.Config != "{}":
		return fairlead.Invalid("the files are %q, the configuration is %q", o.Files, o.Config)
	}
	return nil
}

func (shelf) Unload(_ context.Context, name string) error {
	if name != "flights" {
		return fairlead.NotFound("no model %q is loaded", name)
	}
	return nil
}

type recorder struct{ got []*fairlead.Prediction }

func (r *recorder) Record(p *fairlead.Prediction) { r.got = append(r.got, p) }

// newServer has the models flights, echo (one row at a time), slow, panics, fails and two that are not ready.
func newServer(t testing.TB, rec serve.Recorder) *httptest.Server {
	t.Helper()
	echo := fake.Echo(2)
	one := echo.Signature()
	one.Inputs = []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{1, 2}}}
	table, err := route.NewTable([]route.Deployment{
		{Name: "flights", Live: flights(), Others: []*route.Target{{Model: "flights", Version: 2, Signature: one, Session: echo}},
			Aliases: map[string]fairlead.Version{"old": 2}},
		{Name: "echo", Live: &route.Target{Model: "echo", Version: 1, Signature: echo.Signature(), Session: echo}},
		{Name: "single", Live: &route.Target{Model: "echo", Version: 1, Signature: one, Session: echo}},
		{Name: "slow", Live: misbehaving(func(ctx context.Context, _ []fairlead.Tensor) ([]fairlead.Tensor, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})},
		{Name: "panics", Live: misbehaving(func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) {
			panic("a bug")
		})},
		{Name: "fails", Live: misbehaving(func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) {
			return nil, errors.New("secret: disk full at /srv/models")
		})},
		{Name: "crowded", Live: misbehaving(func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) {
			err := fairlead.Errorf(fairlead.CodeExhausted, "17 requests wait already").Hintf("send fewer at once")
			err.Reason, err.Retry = "queue_full", 1500*time.Millisecond
			return nil, err
		})},
		{Name: "scores", Live: scores()},
		{Name: "raw", Live: raw()},
		{Name: "loading"},
		{Name: "broken", Reason: "the model file is damaged"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var router route.Router
	router.Swap(table)
	id := 0
	server := serve.New(serve.Options{
		Router: &router, Recorder: rec,
		Now:   func() time.Time { return time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC) },
		NewID: func() string { id++; return fmt.Sprintf("made-%d", id) },
	})
	ts := httptest.NewServer(httpd.New(server, httpd.Options{MaxBody: 2000, Version: "1.2.3", CompressFrom: 300, Repository: shelf{}}))
	t.Cleanup(ts.Close)
	return ts
}

// TestTranscript plays testdata/transcript.txt: requests and the answers they get. `go test -update` rewrites the answers.
// A request is "METHOD /path", header lines, and the body after "> ", or quoted after ">q ". Bodies of
// application/octet-stream are shown quoted, compressed ones as they were before.
func TestTranscript(t *testing.T) {
	const path = "testdata/transcript.txt"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(string(old), "\n"), "\n\n") {
		if strings.HasPrefix(block, "#") {
			out.WriteString(block + "\n\n")
			continue
		}
		out.WriteString(play(t, block) + "\n\n")
	}
	got := strings.TrimRight(out.String(), "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(old), got); diff != "" {
		t.Errorf("the answers changed; if that is right, run go test -update\n%s", diff)
	}
}

// play sends one request to a new server and appends the answer.
func play(t *testing.T, block string) string {
	ts := newServer(t, nil)
	var request []string
	var body io.Reader
	lines := strings.Split(block, "\n")
	method, path, _ := strings.Cut(lines[0], " ")
	header := http.Header{}
	for _, line := range lines {
		if strings.HasPrefix(line, "< ") || strings.HasPrefix(line, "  ") {
			break
		}
		request = append(request, line)
		if k, v, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, ">") && len(request) > 1 {
			header.Set(k, v)
		}
		if quoted, ok := strings.CutPrefix(line, ">q "); ok {
			b, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			body = strings.NewReader(b)
		}
		if b, ok := strings.CutPrefix(line, "> "); ok {
			b = strings.ReplaceAll(b, "<3000 blanks>", strings.Repeat(" ", 3000))
			switch {
			case b == "<3000 bytes, gzipped>":
				body = zipped(strings.Repeat("[", 3000))
			case header.Get("Transfer-Encoding") == "chunked":
				body = io.MultiReader(strings.NewReader(b)) // a reader of unknown length
			case header.Get("Content-Encoding") == "gzip" && !strings.HasPrefix(b, "not"):
				body = zipped(b)
			case header.Get("Content-Encoding") == "deflate":
				body = deflated(b)
			default:
				body = strings.NewReader(b)
			}
		}
	}
	r, err := http.NewRequest(method, ts.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	transport := &http.Transport{DisableCompression: true} // only what the transcript asks for
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s: %v", lines[0], err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(unzipped(t, resp))
	if err != nil {
		t.Fatal(err)
	}
	request = append(request, "< "+resp.Status)
	var keep []string
	for k := range resp.Header {
		if k != "Date" && k != "Content-Length" && k != "Content-Type" {
			keep = append(keep, k)
		}
	}
	sort.Strings(keep)
	for _, k := range keep {
		request = append(request, "< "+k+": "+resp.Header.Get(k))
	}
	switch ct := resp.Header.Get("Content-Type"); ct {
	case "application/json":
	case "application/octet-stream":
		answer = strconv.AppendQuote(nil, string(answer))
	default:
		t.Errorf("%s: Content-Type %q", lines[0], ct)
	}
	if resp.StatusCode >= 400 {
		var e httpd.ErrorBody
		if err := json.Unmarshal(answer, &e); err != nil || e.Error == "" || e.Code == "" {
			t.Errorf("%s: the answer is no error body: %s", lines[0], answer)
		}
	}
	for line := range strings.Lines(string(answer)) {
		request = append(request, "  "+strings.TrimRight(line, "\n"))
	}
	return strings.Join(request, "\n")
}

func deflated(s string) io.Reader {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return &b
}

// unzipped is the body as it was before the server compressed it.
func unzipped(t *testing.T, resp *http.Response) (plain io.Reader) {
	t.Helper()
	var err error
	switch resp.Header.Get("Content-Encoding") {
	case "gzip":
		plain, err = gzip.NewReader(resp.Body)
	case "deflate":
		plain, err = zlib.NewReader(resp.Body)
	default:
		return resp.Body
	}
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func zipped(s string) io.Reader {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return &b
}

// endless is a body of spaces that counts what was read of it.
type endless struct{ read, size int }

func (e *endless) Read(b []byte) (int, error) {
	if e.read >= e.size {
		return 0, io.EOF
	}
	n := min(len(b), e.size-e.read)
	for i := range b[:n] {
		b[i] = ' '
	}
	e.read += n
	return n, nil
}

// TestLargeBody shows that a body over the limit is refused without being read, and the server stays up.
func TestLargeBody(t *testing.T) {
	ts := newServer(t, nil)
	for _, known := range []bool{true, false} {
		body := &endless{size: 100 << 20}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/v2/models/echo/infer", body)
		r.ContentLength = -1
		if known {
			r.ContentLength = int64(body.size)
		}
		ts.Config.Handler.ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), "2,000 bytes") {
			t.Errorf("length known %v: %d %s", known, w.Code, w.Body)
		}
		if body.read > 10_000 {
			t.Errorf("length known %v: %d bytes were read", known, body.read)
		}
	}
	resp, err := http.Post(ts.URL+"/v2/models/echo/infer", "", &endless{size: 100 << 20})
	if err == nil { // the client may also see a broken connection
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("over a socket: %s", resp.Status)
		}
	}
	resp, err = http.Get(ts.URL + "/v2/health/live")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

func TestRecorded(t *testing.T) {
	var rec recorder
	ts := newServer(t, &rec)
	r, _ := http.NewRequest("POST", ts.URL+"/v2/models/flights/infer", strings.NewReader(
		`{"parameters":{"tags":"desk=3","entity_key":"N9"},"outputs":[{"name":"where"}],
		"rows":[{"id":"a","time":"2001-02-01T00:00:00Z"},{}],
		"instances":[{"hour":1,"weekday":2,"distance":3,"origin":"ATL"},{"hour":4,"weekday":5,"distance":6,"origin":"ORD"}]}`))
	r.Header.Set("Fairlead-Request-Id", "req")
	r.Header.Set("Fairlead-Event-Time", "2001-01-01T00:00:00Z")
	r.Header.Set("Fairlead-Tags", "desk=1")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if want := `{"predictions":["from ATL","from ORD"],"ids":["a","req.1"],"id":"req","model_name":"flights","model_version":"3"}`; string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if id := resp.Header.Get("Fairlead-Prediction-Id"); id != "req" {
		t.Errorf("Fairlead-Prediction-Id is %q", id)
	}
	now := time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)
	tags := map[string]string{"desk": "3"}
	want := &fairlead.Prediction{
		ID: "req", Deployment: "flights", Model: "flights", Version: 3, Received: now,
		Rows: []fairlead.RowMeta{
			{ID: "a", Time: time.Date(2001, 2, 1, 0, 0, 0, 0, time.UTC), Key: "N9", Tags: tags},
			{ID: "req.1", Time: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), Key: "N9", Tags: tags},
		},
		Inputs: []fairlead.Tensor{
			{Name: "features", Type: "FP32", Shape: []int64{2, 3}, Data: []float32{1, 2, 3, 4, 5, 6}},
			{Name: "origin", Type: "BYTES", Shape: []int64{2, 1}, Data: []string{"ATL", "ORD"}},
		},
		Outputs: []fairlead.Tensor{
			{Name: "sum", Type: "FP32", Shape: []int64{2, 1}, Data: []float32{6, 15}},
			{Name: "where", Type: "BYTES", Shape: []int64{2}, Data: []string{"from ATL", "from ORD"}},
		},
	}
	if len(rec.got) != 1 {
		t.Fatalf("%d predictions recorded", len(rec.got))
	}
	if diff := cmp.Diff(want, rec.got[0]); diff != "" {
		t.Error(diff)
	}
}

// TestClientGone: a request whose client goes away ends, and is not recorded.
func TestClientGone(t *testing.T) {
	var rec recorder
	ts := newServer(t, &rec)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "POST", ts.URL+"/v2/models/slow/infer", strings.NewReader(`{"instances":[[1,2]]}`))
	if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
		resp.Body.Close()
		t.Error("a slow model answered")
	}
	ts.Close() // waits for the handler
	if len(rec.got) != 0 {
		t.Error("a failed prediction was recorded")
	}
}

func BenchmarkInfer(b *testing.B) {
	ts := newServer(b, nil)
	body := `{"instances":[{"hour":1,"weekday":2,"distance":733.5,"origin":"ATL"}]}`
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		ts.Config.Handler.ServeHTTP(w, httptest.NewRequest("POST", "/v2/models/flights/infer", strings.NewReader(body)))
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
