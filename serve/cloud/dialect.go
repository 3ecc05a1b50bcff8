package cloud

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// The types under which binary tensors travel where a platform takes away the header that says how long their JSON is.
const (
	sageMakerBinary = "application/vnd.sagemaker-triton.binary+json"
	vertexBinary    = "application/vnd.vertex-ai-triton.binary+json"
)

// vendor is the type of a platform's binary answers, "" where headers get through.
func (h *Handler) vendor() string {
	switch h.c.Platform {
	case Vertex:
		return vertexBinary
	case SageMaker:
		return sageMakerBinary
	}
	return ""
}

// contentType is what a request's Content-Type says.
type contentType struct {
	csv    bool
	binary string // one of the types above
	length string // of the JSON before the binary data
}

// parseContentType reads a Content-Type. One that is not known is taken for JSON: clients send many for it.
func parseContentType(s string) (t contentType, err error) {
	if s == "" {
		return t, nil
	}
	media, params, err := mime.ParseMediaType(s)
	if err != nil && media == "" {
		return t, nil
	}
	switch media {
	case "text/csv":
		t.csv = true
	case sageMakerBinary, vertexBinary:
		length := params["json-header-size"]
		if _, err := strconv.ParseUint(length, 10, 31); err != nil {
			return t, fairlead.Invalid("the Content-Type is %.200q, and its json-header-size is no number of bytes", s).
				Hintf("write %s;json-header-size=N, where N bytes of JSON come before the binary data", media)
		}
		t.binary, t.length = media, length
	}
	return t, nil
}

// relabelled puts the length of an answer's JSON into its Content-Type, where the answer has binary data.
type relabelled struct {
	http.ResponseWriter
	vendor string
	begun  bool
}

func (w *relabelled) WriteHeader(status int) {
	if !w.begun {
		w.begun = true
		if n := w.Header().Get("Inference-Header-Content-Length"); n != "" {
			w.Header().Set("Content-Type", w.vendor+";json-header-size="+n)
			w.Header().Del("Inference-Header-Content-Length")
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *relabelled) Write(b []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController see the writer.
func (w *relabelled) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// redirect answers a request to the predict route at the path that its header names, under /v2 or /metrics. Everything
// comes as POST; paths that take GET get GET.
func (h *Handler) redirect(w http.ResponseWriter, r *http.Request, to string) error {
	clean := path.Clean("/" + strings.TrimPrefix(to, "/"))
	switch {
	case clean == "/metrics" && h.o.Next != nil:
		next := inner(r, http.MethodGet, clean, nil)
		next.Header.Del("X-Vertex-Ai-Triton-Redirect")
		h.o.Next.ServeHTTP(w, next)
		return nil
	case strings.ContainsAny(clean, "?#%") || clean != "/v2" && !strings.HasPrefix(clean, "/v2/"):
		return fairlead.Invalid("X-Vertex-Ai-Triton-Redirect is %.200q; it may lead to paths under v2/ and to metrics", to)
	}
	_, action := path.Split(clean)
	takesPost := action == "infer" || strings.HasPrefix(clean, "/v2/repository/") || strings.HasSuffix(clean, "/setting") || clean == "/v2/logging"
	if !takesPost {
		next := inner(r, http.MethodGet, clean, nil)
		next.Header.Del("X-Vertex-Ai-Triton-Redirect")
		h.o.Inference.ServeHTTP(w, next)
		return nil
	}
	t, err := parseContentType(r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if t.binary != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Inference-Header-Content-Length", t.length)
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	h.forward(&relabelled{ResponseWriter: w, vendor: vertexBinary}, r, clean, r.Body)
	return nil
}

// kept is an answer for the server itself.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header {
	if k.header == nil {
		k.header = http.Header{}
	}
	return k.header
}

func (k *kept) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

func (k *kept) Write(b []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(b)
}

// reason is the error in an answer.
func (k *kept) reason() string {
	var e struct{ Error string }
	if json.Unmarshal(k.body.Bytes(), &e) != nil || e.Error == "" {
		return "it answered " + strconv.Itoa(k.status)
	}
	return e.Error
}
