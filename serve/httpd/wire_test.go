package httpd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/httpd"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// vectors gives back rows of any number of floats.
func vectors(t testing.TB, so serve.Options, o httpd.Options) http.Handler {
	t.Helper()
	sig := fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, -1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1, -1}}},
	}
	session := fake.New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		y := in[0]
		y.Name = "y"
		return []fairlead.Tensor{y}, nil
	})
	table, err := route.NewTable([]route.Deployment{{Name: "vectors",
		Live: &route.Target{Model: "vectors", Version: 1, Signature: sig, Session: session}}})
	if err != nil {
		t.Fatal(err)
	}
	so.Router = &route.Router{}
	so.Router.Swap(table)
	return httpd.New(serve.New(so), o)
}

// binaryRequest sends one row whose values are all v, in binary form both ways.
func binaryRequest(n int, v float32) *http.Request {
	head := fmt.Sprintf(`{"id":"r-%v","inputs":[{"name":"x","datatype":"FP32","shape":[1,%d],"parameters":{"binary_data_size":%d}}],`+
		`"parameters":{"binary_data_output":true}}`, v, n, 4*n)
	body := []byte(head)
	for range n {
		body = binary.LittleEndian.AppendUint32(body, math.Float32bits(v))
	}
	r := httptest.NewRequest("POST", "/v2/models/vectors/infer", bytes.NewReader(body))
	r.Header.Set("Inference-Header-Content-Length", strconv.Itoa(len(head)))
	return r
}

type keeper struct {
	mu  sync.Mutex
	got []*fairlead.Prediction
}

func (k *keeper) Record(p *fairlead.Prediction) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.got = append(k.got, p)
}

// TestBodiesStayApart: buffers are used again, but no answer and no recorded prediction ever holds the values of another
// request, whether its inputs were copied out of the body or share its memory.
func TestBodiesStayApart(t *testing.T) {
	var k keeper
	h := vectors(t, serve.Options{Recorder: &k}, httpd.Options{})
	var wg sync.WaitGroup
	for caller := range 4 {
		wg.Go(func() {
			for i := range 50 {
				n, v := []int{3, 20_000, 300_000}[i%3], float32(1000*caller+i)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, binaryRequest(n, v))
				head, err := strconv.Atoi(w.Header().Get("Inference-Header-Content-Length"))
				if w.Code != 200 || err != nil || w.Body.Len() != head+4*n {
					t.Errorf("%d floats: %d, %d bytes, %v", n, w.Code, w.Body.Len(), err)
					return
				}
				for at := head; at < w.Body.Len(); at += 4 {
					if got := math.Float32frombits(binary.LittleEndian.Uint32(w.Body.Bytes()[at:])); got != v {
						t.Errorf("%v came back as %v", v, got)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for _, p := range k.got {
		for _, v := range p.Inputs[0].Data.([]float32) {
			if p.ID != fmt.Sprintf("r-%v", v) {
				t.Fatalf("%s was recorded with %v", p.ID, v)
			}
		}
	}
	if len(k.got) != 200 {
		t.Errorf("%d predictions recorded", len(k.got))
	}
}

// TestContinue: a client that waits for "100 Continue" gets it where its body is wanted, and its error at once where not.
func TestContinue(t *testing.T) {
	ts := httptest.NewServer(vectors(t, serve.Options{}, httpd.Options{}))
	defer ts.Close()
	const body = `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[7]}]}`
	for model, want := range map[string]string{"vectors": "HTTP/1.1 100 Continue", "nobody": "HTTP/1.1 404 Not Found"} {
		conn, err := net.Dial("tcp", ts.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /v2/models/%s/infer HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", model, len(body))
		r := bufio.NewReader(conn)
		if line, err := r.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
			t.Errorf("%s: %q %v", model, line, err)
		}
		if model == "vectors" {
			_, _ = r.ReadString('\n') // the empty line
			_, _ = io.WriteString(conn, body)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != 200 || resp.ContentLength <= 0 {
				t.Fatal(resp, err)
			}
		}
		conn.Close()
	}
}

// TestLengthIsKnown: answers of every size have a Content-Length, so that clients can keep their connection without
// chunks.
func TestLengthIsKnown(t *testing.T) {
	ts := httptest.NewServer(vectors(t, serve.Options{}, httpd.Options{}))
	defer ts.Close()
	for _, n := range []int{1, 100, 400, 450, 500, 5000} {
		r := binaryRequest(n, 1)
		r.URL.Scheme, r.URL.Host, r.RequestURI = "http", ts.Listener.Addr().String(), ""
		r.Header.Set("Accept-Encoding", "identity")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.ContentLength != int64(len(got)) || resp.TransferEncoding != nil || len(got) < 4*n {
			t.Errorf("%d floats: Content-Length %d, %v, %d bytes came", n, resp.ContentLength, resp.TransferEncoding, len(got))
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

type traceKey struct{}

// watcher notes what observers are told.
type watcher struct{ got []string }

func (w *watcher) Observe(ctx context.Context, f *serve.Finished) {
	w.got = append(w.got, fmt.Sprint(f.Protocol, " ", f.Deployment, " ", ctx.Value(traceKey{}), " ", fairlead.CodeOf(f.Err)))
}

// TestObserved: observers see every request, also one that failed before its model was asked, under the context that the
// option made of it.
func TestObserved(t *testing.T) {
	var seen watcher
	h := vectors(t, serve.Options{Observers: []serve.Observer{&seen}}, httpd.Options{MaxBody: 1000, Context: func(r *http.Request) context.Context {
		return context.WithValue(r.Context(), traceKey{}, r.Header.Get("traceparent"))
	}})
	for path, body := range map[string]string{
		"/v2/models/vectors/infer": `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[7]}]}`,
	} {
		for _, b := range []string{body, "{", strings.Repeat(" ", 1001)} {
			r := httptest.NewRequest("POST", path, strings.NewReader(b))
			r.Header.Set("traceparent", "00-1234")
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	want := []string{"http/oip vectors 00-1234 ", "http/oip vectors 00-1234 invalid", "http/oip vectors 00-1234 too_large"}
	if diff := cmp.Diff(want, seen.got); diff != "" {
		t.Error(diff)
	}
}

// TestNoRepository: without a repository nothing is loaded, and the server does not say that it could.
func TestNoRepository(t *testing.T) {
	h := vectors(t, serve.Options{}, httpd.Options{})
	for _, path := range []string{"/v2/repository/index", "/v2/repository/models/vectors/load", "/v2/repository/models/vectors/unload"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader("not even JSON")))
		var e httpd.ErrorBody
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != 501 || e.Hint == "" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v2", nil))
	if strings.Contains(w.Body.String(), "model_repository") {
		t.Errorf("GET /v2: %s", w.Body)
	}
}

// TestOpenAPI compares a model's document with testdata/openapi.json.
func TestOpenAPI(t *testing.T) {
	ts := newServer(t, nil)
	w := httptest.NewRecorder()
	ts.Config.Handler.ServeHTTP(w, httptest.NewRequest("GET", "/v2/models/flights/openapi.json", nil))
	var got bytes.Buffer
	if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	const path = "testdata/openapi.json"
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the document changed; if that is right, run go test -update\n%s", diff)
	}
	// Its examples are requests that the model answers.
	var document struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Examples map[string]struct{ Value json.RawMessage }
				}
			}
		}
	}
	if err := json.Unmarshal(want, &document); err != nil {
		t.Fatal(err)
	}
	examples := document.Paths["/v2/models/flights/infer"]["post"].RequestBody.Content["application/json"].Examples
	for name, example := range examples {
		w := httptest.NewRecorder()
		ts.Config.Handler.ServeHTTP(w, httptest.NewRequest("POST", "/v2/models/flights/infer", bytes.NewReader(example.Value)))
		if w.Code != 200 {
			t.Errorf("example %s: %d %s", name, w.Code, w.Body)
		}
	}
	if len(examples) != 2 {
		t.Errorf("%d examples", len(examples))
	}
}

// FuzzHandler: whatever comes, the answer is one of the statuses of the protocol, an error has an error body, and nothing
// panics.
func FuzzHandler(f *testing.F) {
	f.Add("POST", "/v2/models/vectors/infer", iris, "", "", "gzip")
	f.Add("POST", "/v2/models/vectors/infer", "\x00\x00\x80?\x00\x00\x00@", "0", "", "deflate;q=0.5")
	f.Add("POST", "/v2/models/vectors/infer", `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"parameters":{"binary_data_size":4}}]}abcd`, "93", "", "")
	f.Add("POST", "/v2/models/vectors/versions/1/infer", `{"instances":[[1,2]]}`, "", "identity", "*")
	f.Add("POST", "/v2/models/vectors/infer", "\x78\x9c\x01\x02\x00\xfd\xff{}", "", "deflate", "")
	f.Add("POST", "/v2/repository/models/a/load", `{"parameters":{"file:a":"AA=="}}`, "", "", "")
	f.Add("GET", "/v2/models/vectors/openapi.json", "", "", "", "")
	f.Add("GET", "/v2/systemsharedmemory", "", "", "gzip", "")
	h := vectors(f, serve.Options{}, httpd.Options{MaxBody: 10_000, MaxUpload: 10_000, CompressFrom: 10, Repository: shelf{}})
	f.Fuzz(func(t *testing.T, method, path, body, header, encoding, accept string) {
		r, err := http.NewRequest(method, "http://x/", strings.NewReader(body))
		if err != nil {
			return
		}
		r.URL.Path = path
		for name, value := range map[string]string{"Inference-Header-Content-Length": header, "Content-Encoding": encoding, "Accept-Encoding": accept} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code < 400 {
			return
		}
		var e httpd.ErrorBody
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == "" || e.Code == "" || w.Code == 500 || w.Code == 0 {
			t.Fatalf("%s %s: %d %s %v", method, path, w.Code, w.Body, err)
		}
	})
}
