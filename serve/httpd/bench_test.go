package httpd_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/httpd"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// iris is a request of one row to a model of four features, as a client of such a model sends it.
const iris = `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}`

// irisHandler answers with a label and three probabilities, without computing anything.
func irisHandler(b *testing.B) http.Handler {
	b.Helper()
	sig := fairlead.Signature{
		Inputs: []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 4}}},
		Outputs: []fairlead.TensorSpec{{Name: "label", Type: fairlead.Int64, Shape: []int64{-1}},
			{Name: "probabilities", Type: fairlead.FP32, Shape: []int64{-1, 3}}},
	}
	session := fake.New(sig, func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) {
		return []fairlead.Tensor{
			{Name: "label", Type: fairlead.Int64, Shape: []int64{1}, Data: []int64{0}},
			{Name: "probabilities", Type: fairlead.FP32, Shape: []int64{1, 3}, Data: []float32{0.97, 0.02, 0.01}}}, nil
	})
	table, err := route.NewTable([]route.Deployment{{Name: "iris",
		Live: &route.Target{Model: "iris", Version: 1, Signature: sig, Session: session}}})
	if err != nil {
		b.Fatal(err)
	}
	var router route.Router
	router.Swap(table)
	return httpd.New(serve.New(serve.Options{Router: &router}), httpd.Options{})
}

// echoHandler is the limit: it reads the body and writes one of the size that the real one has.
func echoHandler(size int) http.Handler {
	answer := bytes.Repeat([]byte("x"), size)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer)
	})
}

// sink is a ResponseWriter that keeps nothing.
type sink struct {
	header http.Header
	status int
	n      int
}

func (s *sink) Header() http.Header  { return s.header }
func (s *sink) WriteHeader(code int) { s.status = code }
func (s *sink) Write(b []byte) (int, error) {
	s.n += len(b)
	return len(b), nil
}

// request gives the same request again and again.
func request(body string) (r *http.Request, again func()) {
	reader := bytes.NewReader([]byte(body))
	r = httptest.NewRequest("POST", "/v2/models/iris/infer", nil)
	r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
	return r, func() { reader.Reset([]byte(body)) }
}

func answerSize(b *testing.B, h http.Handler) int {
	b.Helper()
	r, _ := request(iris)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatal(w.Body)
	}
	return w.Body.Len()
}

// BenchmarkDirect calls the handlers without a socket.
func BenchmarkDirect(b *testing.B) {
	real := irisHandler(b)
	for name, h := range map[string]http.Handler{"infer": real, "echo": echoHandler(answerSize(b, real))} {
		b.Run(name, func(b *testing.B) {
			r, again := request(iris)
			w := &sink{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				again()
				h.ServeHTTP(w, r)
			}
		})
	}
}

// BenchmarkSocket sends requests over one connection of the loopback interface, without a client library. Compare infer
// with echo: the difference is what this server adds to net/http.
func BenchmarkSocket(b *testing.B) {
	real := irisHandler(b)
	for name, h := range map[string]http.Handler{"infer": real, "echo": echoHandler(answerSize(b, real))} {
		b.Run(name, func(b *testing.B) {
			ts := httptest.NewServer(h)
			defer ts.Close()
			conn, err := net.Dial("tcp", ts.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			send := []byte("POST /v2/models/iris/infer HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(len(iris)) + "\r\n\r\n" + iris)
			got := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(send); err != nil {
					b.Fatal(err)
				}
				n, err := conn.Read(got) // header and body go out in one write
				if err != nil || !bytes.HasPrefix(got, []byte("HTTP/1.1 200")) {
					b.Fatal(n, err, string(got[:n]))
				}
			}
		})
	}
}
