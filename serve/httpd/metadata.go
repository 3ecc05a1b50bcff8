package httpd

import (
	"net/http"

	"github.com/fairlead-ml/fairlead"
)

func (h *Handler) metadata(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]any{"name": "fairlead", "version": h.o.Version, "extensions": []string{"instances"}})
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

func (h *Handler) models(w http.ResponseWriter, _ *http.Request) error {
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
	}{name, versions, "onnx_onnxv1", describe(t.Signature.Inputs), describe(t.Signature.Outputs)})
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
