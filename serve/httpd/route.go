package httpd

import (
	"net/http"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/protocol"
)

// methodError is a path that exists, asked with a wrong method.
type methodError struct{ allowed string }

func (e *methodError) Error() string { return "wrong method" }

// get answers a path that takes GET and HEAD.
func (h *Handler) get(w http.ResponseWriter, r *http.Request, f func(http.ResponseWriter, *http.Request) error) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return &methodError{allowed: "GET"}
	}
	return f(w, r)
}

// post answers a path that takes POST.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, f func(http.ResponseWriter, *http.Request) error) error {
	if r.Method != http.MethodPost {
		return &methodError{allowed: "POST"}
	}
	return f(w, r)
}

func unknownPath(r *http.Request) error {
	return fairlead.NotFound("there is nothing at %s", r.URL.Path).
		Hintf("predictions: POST /v2/models/NAME/infer; what exists: GET /v2/models")
}

// route finds who answers a path.
func (h *Handler) route(w http.ResponseWriter, r *http.Request) error {
	if name, version, ok := inferPath(r.URL.Path); ok && r.Method == http.MethodPost {
		return h.predict(w, r, name, version, oip)
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if strings.EqualFold(parts[0], "v1") {
		return h.tfs(w, r, parts[1:])
	}
	if parts[0] != "v2" {
		return unknownPath(r)
	}
	if parts = parts[1:]; len(parts) == 0 {
		return h.get(w, r, h.metadata)
	}
	switch parts[0] {
	case "health":
		return h.health(w, r, parts[1:])
	case "models":
		return h.models(w, r, parts[1:])
	case "repository":
		return h.repositoryPath(w, r, parts[1:])
	case "systemsharedmemory", "cudasharedmemory":
		return h.sharedMemory(w, r, parts[1:])
	case "trace":
		return protocol.Unsupported(protocol.Tracing)
	case "logging":
		return h.logging(w, r)
	}
	return unknownPath(r)
}

// inferPath reads /v2/models/NAME[/versions/V]/infer, the path that most requests have, without allocating.
func inferPath(path string) (name, version string, ok bool) {
	path, ok = strings.CutPrefix(path, "/v2/models/")
	if !ok {
		return "", "", false
	}
	if path, ok = strings.CutSuffix(path, "/infer"); !ok {
		return "", "", false
	}
	name, rest, more := strings.Cut(path, "/")
	if more {
		if version, ok = strings.CutPrefix(rest, "versions/"); !ok || version == "" || strings.Contains(version, "/") {
			return "", "", false
		}
	}
	return name, version, name != ""
}

func (h *Handler) health(w http.ResponseWriter, r *http.Request, parts []string) error {
	switch strings.Join(parts, "/") {
	case "live":
		return h.get(w, r, h.live)
	case "ready":
		return h.get(w, r, h.ready)
	}
	return unknownPath(r)
}

// models routes what follows /v2/models.
func (h *Handler) models(w http.ResponseWriter, r *http.Request, parts []string) error {
	switch {
	case len(parts) == 0:
		return h.get(w, r, h.list)
	case len(parts) == 1 && parts[0] == "stats":
		return h.get(w, r, func(w http.ResponseWriter, _ *http.Request) error { return h.statistics(w, "", "") })
	}
	name, version, parts := parts[0], "", parts[1:]
	if len(parts) >= 2 && parts[0] == "versions" {
		version, parts = parts[1], parts[2:]
	}
	about := func(f func(w http.ResponseWriter, name, version string) error) error {
		return h.get(w, r, func(w http.ResponseWriter, _ *http.Request) error { return f(w, name, version) })
	}
	switch strings.Join(parts, "/") {
	case "":
		return about(h.model)
	case "ready":
		return about(h.modelReady)
	case "config":
		return about(h.config)
	case "stats":
		return about(h.statistics)
	case "openapi.json":
		return about(h.openAPI)
	case "infer":
		return h.post(w, r, func(w http.ResponseWriter, r *http.Request) error { return h.predict(w, r, name, version, oip) })
	case "generate", "generate_stream":
		return protocol.Unsupported("the extension generate")
	case "trace/setting":
		return protocol.Unsupported(protocol.Tracing)
	}
	return unknownPath(r)
}

// repositoryPath routes what follows /v2/repository. There is one repository, whatever a client calls it.
func (h *Handler) repositoryPath(w http.ResponseWriter, r *http.Request, parts []string) error {
	if len(parts) > 1 && parts[0] != "models" {
		parts = parts[1:]
	}
	switch {
	case len(parts) == 1 && parts[0] == "index":
		return h.post(w, r, h.index)
	case len(parts) == 3 && parts[0] == "models" && parts[2] == "load":
		return h.post(w, r, func(w http.ResponseWriter, r *http.Request) error { return h.load(w, r, parts[1]) })
	case len(parts) == 3 && parts[0] == "models" && parts[2] == "unload":
		return h.post(w, r, func(w http.ResponseWriter, r *http.Request) error { return h.unload(w, r, parts[1]) })
	}
	return unknownPath(r)
}

// sharedMemory says that there are no regions, and registers none.
func (h *Handler) sharedMemory(w http.ResponseWriter, r *http.Request, parts []string) error {
	if len(parts) > 0 && parts[len(parts)-1] == "status" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		writeJSON(w, http.StatusOK, []struct{}{})
		return nil
	}
	return protocol.Unsupported(protocol.SharedMemory)
}
