package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/codec"
)

// Options of a Handler.
type Options struct {
	// Inference answers /v1/models and /v2: httpd.Handler.
	Inference http.Handler
	// Next answers every path that is not the contract's; nil: 404.
	Next http.Handler
	// Model is the deployment that predictions go to. It may change while the server runs; "" is a server without one.
	Model   func() string
	Ready   func() error // nil, or why the server takes no requests; a nil func is always ready
	MaxBody int64        // bytes of a request's body; 0: 64 MiB
	Loader  Loader       // for SageMaker's multi-model contract; nil: 501
	Log     *slog.Logger // nil: nothing is logged
}

// Loader loads and unloads models by the folder or file that they lie in. Its errors are *fairlead.Error; CodeExhausted
// means that there is no room for a model now and may be when others have gone.
type Loader interface {
	// LoadPath makes the model at path, an .onnx file or the folder of a fairlead.yaml, answer under name. It returns when
	// it does.
	LoadPath(ctx context.Context, name, path string) error
	// Unload takes it out of service when its requests under way are answered, and gives its memory back.
	Unload(ctx context.Context, name string) error
}

// Handler keeps a platform's contract. It may be used by many goroutines at once.
type Handler struct {
	c      Contract
	o      Options
	models models
}

// New makes a Handler.
func New(c Contract, o Options) *Handler {
	if o.MaxBody == 0 {
		o.MaxBody = 64 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Model == nil {
		o.Model = func() string { return c.Model }
	}
	return &Handler{c: c, o: o, models: models{loaded: map[string]*model{}}}
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	var err error
	switch {
	case path == h.c.Predict:
		err = h.only(r, http.MethodPost)
		if err == nil {
			err = h.predict(w, r)
		}
	case path == h.c.Readiness:
		err = h.only(r, http.MethodGet)
		if err == nil {
			h.ready(w, r)
		}
	case h.c.Liveness != "" && path == h.c.Liveness:
		err = h.only(r, http.MethodGet)
		if err == nil {
			w.WriteHeader(http.StatusOK)
		}
	case h.c.MultiModel && (path == "/models" || strings.HasPrefix(path, "/models/")):
		err = h.multiModel(w, r)
	case h.o.Next != nil:
		h.o.Next.ServeHTTP(w, r)
	default:
		err = fairlead.NotFound("there is nothing at %.200s", path).
			Hintf("predictions: POST %s; health: GET %s", h.c.Predict, h.c.Readiness)
	}
	if err != nil {
		h.fail(w, r, err)
	}
}

// wrongMethod is a path asked with a method that it does not take.
type wrongMethod struct{ path, came, allowed string }

func (e *wrongMethod) Error() string {
	return e.path + " takes " + e.allowed + ", but " + e.came + " came"
}

func (h *Handler) only(r *http.Request, method string) error {
	if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
		return nil
	}
	return &wrongMethod{r.URL.Path, r.Method, method}
}

// ready is 200 with an empty body when the server takes requests and its model answers. With many models that come and go
// none is needed.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	if h.o.Ready != nil {
		if err := h.o.Ready(); err != nil {
			h.fail(w, r, fairlead.Errorf(fairlead.CodeUnavailable, "the server is not ready: %v", err))
			return
		}
	}
	if h.c.MultiModel {
		w.WriteHeader(http.StatusOK)
		return
	}
	name := h.o.Model()
	if name == "" {
		h.fail(w, r, noModel())
		return
	}
	answer := &kept{}
	h.o.Inference.ServeHTTP(answer, inner(r, http.MethodGet, "/v2/models/"+url.PathEscape(name)+"/ready", nil))
	if answer.status != http.StatusOK {
		h.fail(w, r, fairlead.Errorf(fairlead.CodeUnavailable, "the model %s is not ready: %s", name, answer.reason()))
		return
	}
	w.WriteHeader(http.StatusOK)
}

func noModel() error {
	return fairlead.Errorf(fairlead.CodeUnavailable, "there is no model to predict with").
		Hintf("put one into the model's folder, or name one of several by FAIRLEAD_MODEL")
}

// predict hands a prediction to the model that it is for.
func (h *Handler) predict(w http.ResponseWriter, r *http.Request) error {
	if h.c.Platform == Vertex {
		if to := r.Header.Get("X-Vertex-Ai-Triton-Redirect"); to != "" {
			return h.redirect(w, r, to)
		}
	}
	if h.c.MultiModel {
		return fairlead.NotFound("this server has many models, and %s does not say which", h.c.Predict).
			Hintf("POST /models/NAME/invoke")
	}
	name := h.o.Model()
	if name == "" {
		return noModel()
	}
	return h.invoke(w, r, name)
}

// invoke hands a prediction to a deployment, in the dialect that its body or its Content-Type speaks.
func (h *Handler) invoke(w http.ResponseWriter, r *http.Request, name string) error {
	predict, infer := "/v1/models/"+url.PathEscape(name)+":predict", "/v2/models/"+url.PathEscape(name)+"/infer"
	t, err := parseContentType(r.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return err
	case t.csv:
		h.forward(w, r, predict, r.Body)
		return nil
	case t.binary != "":
		r = r.Clone(r.Context())
		r.Header.Set("Inference-Header-Content-Length", t.length)
		r.Header.Set("Content-Type", "application/octet-stream")
		h.forward(&relabelled{ResponseWriter: w, vendor: t.binary}, r, infer, r.Body)
		return nil
	case r.Header.Get("Inference-Header-Content-Length") != "": // a platform that lets it through
		h.forward(w, r, infer, r.Body)
		return nil
	case r.Header.Get("Content-Encoding") != "": // not worth unpacking twice
		if h.c.Platform == Vertex {
			infer = predict
		}
		h.forward(w, r, infer, r.Body)
		return nil
	}
	body, err := h.read(w, r)
	if err != nil {
		return err
	}
	to := infer
	switch form := codec.FormOf(body); {
	case form == codec.FormColumns, form == codec.FormUnknown, form == codec.FormRows && h.plainRows(r):
		to = predict
	}
	if vendor := h.vendor(); vendor != "" {
		w = &relabelled{ResponseWriter: w, vendor: vendor}
	}
	h.forward(w, r, to, bytes.NewReader(body))
	return nil
}

// plainRows says whether rows are to be answered with "predictions" and nothing else: Vertex AI reads the answer itself,
// and CSV has no place for more.
func (h *Handler) plainRows(r *http.Request) bool {
	return h.c.Platform == Vertex || strings.Contains(r.Header.Get("Accept"), "text/csv")
}

// believed is how many bytes memory is reserved for because a header says that they will come.
const believed = 1 << 20

func (h *Handler) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body bytes.Buffer
	if n := r.ContentLength; n > 0 {
		body.Grow(int(min(n, believed)) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, h.o.MaxBody)); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, fairlead.Errorf(fairlead.CodeTooLarge, "the body is larger than this server takes: at most %d bytes", h.o.MaxBody).
				Hintf("send fewer rows per request, or raise the server's body limit")
		}
		return nil, fairlead.Invalid("the body ended too early").Cause(err)
	}
	return body.Bytes(), nil
}

// forward lets the inference handler answer at another path.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, path string, body io.Reader) {
	to := inner(r, http.MethodPost, path, body)
	to.Header.Del("X-Vertex-Ai-Triton-Redirect")
	if id := r.Header.Get("X-Amzn-SageMaker-Inference-Id"); id != "" && to.Header.Get("Fairlead-Request-Id") == "" {
		to.Header.Set("Fairlead-Request-Id", id)
	}
	h.o.Inference.ServeHTTP(w, to)
}

// inner is a request like r to another path.
func inner(r *http.Request, method, path string, body io.Reader) *http.Request {
	to := r.Clone(r.Context())
	to.Method = method
	to.URL = &url.URL{Path: path, RawQuery: r.URL.RawQuery}
	if unescaped, err := url.PathUnescape(path); err == nil && unescaped != path {
		to.URL.Path, to.URL.RawPath = unescaped, path
	}
	to.RequestURI = path
	switch b := body.(type) {
	case nil:
		to.Body, to.ContentLength = http.NoBody, 0
		to.TransferEncoding = nil
	case *bytes.Reader:
		to.Body, to.ContentLength = io.NopCloser(b), int64(b.Len())
		to.TransferEncoding = nil
	}
	return to
}

// statuses of errors: SageMaker takes 507 for "no room", which only loading a model can say.
var statuses = map[fairlead.Code]int{
	fairlead.CodeInvalid: 400, fairlead.CodeNotFound: 404, fairlead.CodeConflict: 409, fairlead.CodeTooLarge: 413,
	fairlead.CodeExhausted: 507, fairlead.CodeCanceled: 499, fairlead.CodeUnsupported: 501, fairlead.CodeUnavailable: 503,
	fairlead.CodeDeadline: 504, fairlead.CodeInternal: 500,
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	body := struct {
		Error  string `json:"error"`
		Code   string `json:"code"`
		Reason string `json:"reason,omitempty"`
		Hint   string `json:"hint,omitempty"`
	}{Error: "the server failed on this request", Code: string(fairlead.CodeOf(err)), Hint: "the server's log says more"}
	status := statuses[fairlead.CodeOf(err)]
	var method *wrongMethod
	var e *fairlead.Error
	switch {
	case errors.As(err, &method):
		w.Header().Set("Allow", method.allowed)
		status, body.Error, body.Code, body.Hint = http.StatusMethodNotAllowed, method.Error(), "method_not_allowed", ""
	case errors.As(err, &e):
		body.Error, body.Reason, body.Hint = e.Message, e.Reason, e.Hint
	}
	if status == http.StatusInternalServerError {
		h.o.Log.Error("a request failed", "path", r.URL.Path, "error", err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // a client that went away
}
