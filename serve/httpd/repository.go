package httpd

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// modelState is one version in the repository's index.
type modelState struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	State   string `json:"state"`
	Reason  string `json:"reason,omitempty"`
}

// index lists the models of the repository.
func (h *Handler) index(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Ready bool `json:"ready"`
	}
	if err := h.readJSON(w, r, &body, h.o.MaxBody, `{"ready":true}`); err != nil {
		return err
	}
	states, err := h.repository.Index(r.Context(), body.Ready)
	if err != nil {
		return err
	}
	list := make([]modelState, len(states))
	for i, s := range states {
		list[i] = modelState{Name: s.Name, Version: s.Version, State: s.State, Reason: s.Reason}
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}

// load makes a model ready, of the files in the body if there are some.
func (h *Handler) load(w http.ResponseWriter, r *http.Request, name string) error {
	parameters, err := h.parameters(w, r, h.o.MaxUpload, `{"parameters":{"config":"{}","file:1/model.onnx":"<base64>"}}`)
	if err != nil {
		return err
	}
	for key, value := range parameters {
		if text, ok := value.(string); ok && strings.HasPrefix(key, "file:") {
			data, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return fairlead.Invalid("parameter %.80q is not base64", key).Hintf("send the file's bytes in standard base64").Cause(err)
			}
			parameters[key] = data
		}
	}
	if err := h.repository.Load(r.Context(), name, parameters); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}

// unload takes a model out of service.
func (h *Handler) unload(w http.ResponseWriter, r *http.Request, name string) error {
	parameters, err := h.parameters(w, r, h.o.MaxBody, `{"parameters":{"unload_dependents":false}}`)
	if err != nil {
		return err
	}
	if err := h.repository.Unload(r.Context(), name, parameters); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}

func (h *Handler) parameters(w http.ResponseWriter, r *http.Request, limit int64, example string) (map[string]any, error) {
	var body struct {
		Parameters map[string]any `json:"parameters"`
	}
	err := h.readJSON(w, r, &body, limit, example)
	return body.Parameters, err
}

// readJSON reads a body, which may be empty. A server without a repository does not read it.
func (h *Handler) readJSON(w http.ResponseWriter, r *http.Request, v any, limit int64, example string) error {
	if h.repository.From == nil {
		return nil
	}
	b, err := h.readBody(w, r, nil, 0, limit)
	if err != nil || len(bytes.TrimSpace(b)) == 0 {
		return err
	}
	err = json.Unmarshal(b, v)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong) && wrong.Field != "":
		return fairlead.Invalid("the body's %q is a %s; expected a %s", wrong.Field, wrong.Value, wrong.Type).
			Hintf("for example %s", example)
	case errors.As(err, &wrong):
		return fairlead.Invalid("the body is a JSON %s; expected an object", wrong.Value).Hintf("for example %s, or no body", example)
	case err != nil:
		return fairlead.Invalid("the body is not JSON: %v", err).Hintf("for example %s, or no body", example)
	}
	return nil
}
