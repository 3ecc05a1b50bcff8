// Package httpd serves predictions over HTTP: the Open Inference Protocol v2 under /v2 and TensorFlow Serving's REST API
// under /v1.
//
// Of the protocol's extensions there are binary tensor data, classification, schedule policy, statistics, model
// configuration and, where Options name a repository, the model repository. GET /v2/models/NAME/openapi.json describes
// one model.
//
// A request's metadata come in headers (Fairlead-Request-Id, -Event-Time, -Entity-Key, -Tags, -Deadline), in the body's
// "parameters", which win over headers, or per row in the body's "rows", which win over both. Every answer to an
// inference carries Fairlead-Prediction-Id, the request id; every error is an ErrorBody.
package httpd

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/protocol"
)

// What holds where Options do not say.
const (
	DefaultMaxBody      = 64 << 20
	DefaultMaxUpload    = 1 << 30
	DefaultCompressFrom = 8 << 10
)

// Options of a handler.
type Options struct {
	MaxBody   int64        // bytes of a request's body after decompression; 0: DefaultMaxBody
	MaxUpload int64        // bytes of a body that loads a model and may carry its files; 0: DefaultMaxUpload
	Version   string       // of the server, for GET /v2
	Ready     func() error // nil, or why the server as a whole is not ready yet
	Log       *slog.Logger // what clients must not see: causes of internal errors, panics

	// Repository loads and unloads models for clients; nil: they may not.
	Repository serve.Repository

	// CompressFrom is the size of the smallest answer to an inference that is compressed for a client that accepts it;
	// 0: DefaultCompressFrom, negative: none. On a fast network compressing takes longer than it saves.
	CompressFrom int

	// ClientHeader names the header whose value says who asks, for limits per client: of several values the last one,
	// which the nearest proxy wrote. It must be one that clients cannot choose themselves, and no secret. "": the
	// client is its address.
	ClientHeader string

	// Context, if not nil, makes the context that an inference runs under, of its request's. Tracing goes in here.
	Context func(*http.Request) context.Context
}

// Handler answers everything under /v2 and /v1/models. It may be used by many goroutines at once.
type Handler struct {
	server     *serve.Server
	repository protocol.Repository
	o          Options
}

// New makes a Handler.
func New(server *serve.Server, o Options) *Handler {
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.MaxUpload == 0 {
		o.MaxUpload = DefaultMaxUpload
	}
	if o.CompressFrom == 0 {
		o.CompressFrom = DefaultCompressFrom
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Context == nil {
		o.Context = (*http.Request).Context
	}
	o.ClientHeader = http.CanonicalHeaderKey(o.ClientHeader)
	return &Handler{server: server, repository: protocol.Repository{From: o.Repository}, o: o}
}

// ServeHTTP answers one request. A panic is logged and answered with 500.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := answers.Get().(*answer)
	a.ResponseWriter, a.begun = w, false
	defer func() {
		if v := recover(); v != nil {
			h.panicked(a, r, v)
		}
		a.ResponseWriter = nil
		answers.Put(a)
	}()
	if err := h.route(a, r); err != nil {
		h.fail(a, r, err)
	}
}

func (h *Handler) panicked(a *answer, r *http.Request, v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	h.o.Log.Error("a request made the server panic", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if a.begun {
		panic(http.ErrAbortHandler) // too late for an error: break the connection off
	}
	h.fail(a, r, fairlead.Errorf(fairlead.CodeInternal, "the server failed on this request").
		Hintf("the server's log says more"))
}

// answer remembers whether the header has gone out.
type answer struct {
	http.ResponseWriter
	begun bool
}

var answers = sync.Pool{New: func() any { return new(answer) }}

func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController see the writer.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
