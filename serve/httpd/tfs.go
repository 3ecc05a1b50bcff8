package httpd

import (
	"net/http"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/codec"
)

// tensorFlow is TensorFlow Serving's row form.
var tensorFlow = dialect{
	decode: codec.DecodeRows,
	encode: func(dst []byte, _ *codec.Request, a *codec.Answer) ([]byte, error) {
		dst, err := codec.AppendRows(append(dst, '{'), a)
		return append(dst, '}'), err
	},
}

// tfs routes /v1/models/NAME[/versions/V|/labels/L][:predict].
func (h *Handler) tfs(w http.ResponseWriter, r *http.Request, parts []string) error {
	if len(parts) < 2 || !strings.EqualFold(parts[0], "models") {
		return unknownPath(r)
	}
	last, verb, hasVerb := strings.Cut(parts[len(parts)-1], ":")
	parts[len(parts)-1] = last
	name, version := parts[1], ""
	switch {
	case len(parts) == 4 && (strings.EqualFold(parts[2], "versions") || strings.EqualFold(parts[2], "labels")):
		version = parts[3]
	case len(parts) != 2:
		return unknownPath(r)
	}
	if name == "" {
		return fairlead.Invalid("Missing model name in request.")
	}
	switch {
	case !hasVerb:
		return h.get(w, r, func(w http.ResponseWriter, _ *http.Request) error { return h.status(w, name, version) })
	case r.Method != http.MethodPost:
		return &methodError{allowed: "POST"}
	case strings.EqualFold(verb, "predict"):
		return h.predict(w, r, name, version, tensorFlow)
	case strings.EqualFold(verb, "classify"), strings.EqualFold(verb, "regress"):
		return fairlead.Errorf(fairlead.CodeUnsupported, ":%s is not supported", strings.ToLower(verb)).Hintf("use :predict")
	}
	return unknownPath(r)
}

type tfsVersion struct {
	Version string    `json:"version"`
	State   string    `json:"state"`
	Status  tfsStatus `json:"status"`
}

type tfsStatus struct {
	Code    string `json:"error_code"`
	Message string `json:"error_message"`
}

// status lists the loaded versions, or one.
func (h *Handler) status(w http.ResponseWriter, name, version string) error {
	table := h.server.Table()
	d, err := table.Deployment(name)
	if err != nil {
		return err
	}
	targets := d.Targets()
	if version != "" {
		t, err := table.Lookup(name, version)
		if err != nil {
			return err
		}
		targets = append(targets[:0], t)
	}
	list := []tfsVersion{}
	for _, t := range targets {
		list = append(list, tfsVersion{Version: t.Version.String(), State: "AVAILABLE", Status: tfsStatus{Code: "OK"}})
	}
	writeJSON(w, http.StatusOK, map[string]any{"model_version_status": list})
	return nil
}
