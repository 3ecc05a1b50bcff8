// Package httpd serves predictions over HTTP: the Open Inference Protocol v2 under /v2 and TensorFlow Serving's REST
// predict and status under /v1.
//
// A request's metadata come in headers (Fairlead-Request-Id, -Event-Time, -Entity-Key, -Tags, -Deadline), in the body's
// "parameters", which win over headers, or per row in the body's "rows", which win over both. Every answer to an
// inference carries Fairlead-Prediction-Id, the request id; every error is an ErrorBody.
package httpd

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
)

// DefaultMaxBody is the largest body accepted where Options do not say.
const DefaultMaxBody = 64 << 20

// Options of a handler.
type Options struct {
	MaxBody int64        // bytes of a request's body after decompression; 0: DefaultMaxBody
	Version string       // of the server, for GET /v2
	Ready   func() error // nil, or why the server as a whole is not ready yet
	Log     *slog.Logger // what clients must not see: causes of internal errors, panics
}

// Handler answers everything under /v2 and /v1/models. It may be used by many goroutines at once.
type Handler struct {
	server *serve.Server
	o      Options
}

// New makes a Handler.
func New(server *serve.Server, o Options) *Handler {
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{server: server, o: o}
}

// ServeHTTP answers one request. A panic is logged and answered with 500.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := &answer{ResponseWriter: w}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler {
			panic(v)
		}
		h.o.Log.Error("a request made the server panic", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
		if a.begun {
			panic(http.ErrAbortHandler) // too late for an error: break the connection off
		}
		h.fail(a, r, fairlead.Errorf(fairlead.CodeInternal, "the server failed on this request").
			Hintf("the server's log says more"))
	}()
	if err := h.route(a, r); err != nil {
		h.fail(a, r, err)
	}
}

// answer remembers whether the header has gone out.
type answer struct {
	http.ResponseWriter
	begun bool
}

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

// route finds who answers a path.
func (h *Handler) route(w http.ResponseWriter, r *http.Request) error {
	path := strings.Trim(r.URL.Path, "/")
	parts := strings.Split(path, "/")
	if strings.EqualFold(parts[0], "v1") {
		return h.tfs(w, r, parts[1:])
	}
	if parts[0] != "v2" {
		return unknownPath(r)
	}
	switch parts = parts[1:]; {
	case len(parts) == 0:
		return h.get(w, r, h.metadata)
	case len(parts) == 2 && parts[0] == "health" && parts[1] == "live":
		return h.get(w, r, h.live)
	case len(parts) == 2 && parts[0] == "health" && parts[1] == "ready":
		return h.get(w, r, h.ready)
	case parts[0] != "models":
		return unknownPath(r)
	case len(parts) == 1:
		return h.get(w, r, h.models)
	}
	name, version, parts := parts[1], "", parts[2:]
	if len(parts) >= 2 && parts[0] == "versions" {
		version, parts = parts[1], parts[2:]
	}
	switch {
	case len(parts) == 0:
		return h.get(w, r, func(w http.ResponseWriter, _ *http.Request) error { return h.model(w, name, version) })
	case len(parts) == 1 && parts[0] == "ready":
		return h.get(w, r, func(w http.ResponseWriter, _ *http.Request) error { return h.modelReady(w, name, version) })
	case len(parts) == 1 && parts[0] == "infer":
		if r.Method != http.MethodPost {
			return &methodError{allowed: "POST"}
		}
		return h.infer(w, r, name, version)
	}
	return unknownPath(r)
}

func (h *Handler) get(w http.ResponseWriter, r *http.Request, f func(http.ResponseWriter, *http.Request) error) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &methodError{allowed: "GET"}
	}
	return f(w, r)
}

func unknownPath(r *http.Request) error {
	return fairlead.NotFound("there is nothing at %s", r.URL.Path).
		Hintf("predictions: POST /v2/models/NAME/infer; what exists: GET /v2/models")
}
