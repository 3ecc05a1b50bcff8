package httpd

import (
	"log/slog"
	"net/http"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/protocol"
)

// metadata names the server and what it has beyond the protocol's core.
func (h *Handler) metadata(w http.ResponseWriter, _ *http.Request) error {
	extensions := append([]string{"binary_tensor_data"}, protocol.Extensions(h.repository.From != nil)...)
	writeJSON(w, http.StatusOK, map[string]any{"name": "fairlead", "version": h.o.Version,
		"extensions": append(extensions, "instances", "openapi")})
	return nil
}

func (h *Handler) live(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]bool{"live": true})
	return nil
}

// ready is 503 while the server starts or drains; a model that is not ready does not count.
func (h *Handler) ready(w http.ResponseWriter, _ *http.Request) error {
	if h.o.Ready != nil {
		if err := h.o.Ready(); err != nil {
			w.Header().Set("Retry-After", "1")
			writeJSON(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "error": err.Error(),
				"code": fairlead.CodeUnavailable})
			return nil
		}
	}
	writeJSON(w, http.StatusOK, map[string]bool{"ready": true})
	return nil
}

func (h *Handler) list(w http.ResponseWriter, _ *http.Request) error {
	names := h.server.Table().Names()
	if names == nil {
		names = []string{}
	}
	writeJSON(w, http.StatusOK, map[string]any{"models": names})
	return nil
}

func (h *Handler) model(w http.ResponseWriter, name, version string) error {
	table := h.server.Table()
	t, err := table.Lookup(name, version)
	if err != nil {
		return err
	}
	d, err := table.Deployment(name)
	if err != nil {
		return err
	}
	var versions []string
	for _, other := range d.Targets() {
		versions = append(versions, other.Version.String())
	}
	writeJSON(w, http.StatusOK, struct {
		Name     string           `json:"name"`
		Versions []string         `json:"versions"`
		Platform string           `json:"platform"`
		Inputs   []tensorMetadata `json:"inputs"`
		Outputs  []tensorMetadata `json:"outputs"`
	}{name, versions, protocol.Platform, describe(t.Signature.Inputs), describe(t.Signature.Outputs)})
	return nil
}

func (h *Handler) modelReady(w http.ResponseWriter, name, version string) error {
	_, err := h.server.Table().Lookup(name, version)
	switch fairlead.CodeOf(err) {
	case "":
		writeJSON(w, http.StatusOK, map[string]any{"name": name, "ready": true})
	case fairlead.CodeUnavailable:
		w.Header().Set("Retry-After", "1")
		writeJSON(w, http.StatusServiceUnavailable, map[string]any{"name": name, "ready": false, "error": err.Error(),
			"code": fairlead.CodeUnavailable})
	default:
		return err
	}
	return nil
}

// tensorMetadata is a tensor as the protocol describes it.
type tensorMetadata struct {
	Name     string            `json:"name"`
	Datatype fairlead.DataType `json:"datatype"`
	Shape    []int64           `json:"shape"` // the row dimension included
}

func describe(specs []fairlead.TensorSpec) []tensorMetadata {
	ts := make([]tensorMetadata, len(specs))
	for i, s := range specs {
		ts[i] = tensorMetadata{Name: s.Name, Datatype: s.Type, Shape: protocol.Shape(s)}
	}
	return ts
}

// logging says what is logged; it cannot be changed.
func (h *Handler) logging(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost {
		return protocol.Unsupported(protocol.Logging)
	}
	return h.get(w, r, func(w http.ResponseWriter, r *http.Request) error {
		logs := func(l slog.Level) bool { return h.o.Log.Enabled(r.Context(), l) }
		verbose := 0
		if logs(slog.LevelDebug) {
			verbose = 1
		}
		writeJSON(w, http.StatusOK, map[string]any{"log_file": "", "log_info": logs(slog.LevelInfo),
			"log_warning": logs(slog.LevelWarn), "log_error": logs(slog.LevelError), "log_verbose_level": verbose,
			"log_format": "default"})
		return nil
	})
}
