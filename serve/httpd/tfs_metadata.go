package httpd

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/codec"
	"github.com/fairlead-ml/fairlead/serve/route"
)

type tfsVersion struct {
	Version string    `json:"version"`
	State   string    `json:"state"`
	Status  tfsStatus `json:"status"`
}

type tfsStatus struct {
	Code    string `json:"error_code"`
	Message string `json:"error_message"`
}

// status lists a model's versions, or one: those that are loaded, those that the repository says are on their way, and of
// the others the one asked for. A model without any has one line that says why, under version 0.
func (h *Handler) status(w http.ResponseWriter, r *http.Request, p tfsPath) error {
	table := h.server.Table()
	d, err := table.Deployment(p.name)
	if err != nil {
		return err
	}
	wanted := ""
	if p.version != "" {
		wanted = tfsNumber(d, p.version)
	}
	list := []tfsVersion{}
	for _, t := range d.Targets() {
		if v := t.Version.String(); wanted == "" || v == wanted {
			list = append(list, tfsVersion{Version: v, State: "AVAILABLE", Status: tfsStatus{Code: "OK"}})
		}
	}
	if h.o.Repository != nil {
		index, err := h.o.Repository.Index(r.Context())
		if err != nil {
			return err
		}
		list = tfsAdd(list, p.name, wanted, index)
	}
	if len(list) == 0 && wanted != "" {
		_, err := table.Lookup(p.name, p.version)
		return err
	}
	if len(list) == 0 {
		v := tfsVersion{Version: "0", State: "LOADING", Status: tfsStatus{Code: "OK"}}
		if d.Reason != "" && d.Reason != "loading" {
			v.State, v.Status = "END", tfsStatus{Code: "UNAVAILABLE", Message: d.Reason}
		}
		list = append(list, v)
	}
	writeJSON(w, http.StatusOK, map[string]any{"model_version_status": list})
	return nil
}

// tfsNumber is the number that an alias or a version as it was written stands for.
func tfsNumber(d *route.Deployment, version string) string {
	if v, ok := d.Aliases[version]; ok {
		return v.String()
	}
	if v, err := fairlead.ParseVersion(version); err == nil {
		return v.String()
	}
	return version
}

// tfsAdd adds the versions of a model that are not loaded.
func tfsAdd(list []tfsVersion, name, wanted string, index []serve.ModelState) []tfsVersion {
	for _, s := range index {
		state := tfsVersion{Version: s.Version, Status: tfsStatus{Code: "OK"}}
		switch s.State {
		case serve.StateLoading:
			state.State = "LOADING"
		case serve.StateUnloading:
			state.State = "UNLOADING"
		case serve.StateUnavailable:
			if state.State = "END"; s.Reason != "" {
				state.Status = tfsStatus{Code: "UNAVAILABLE", Message: s.Reason}
			}
			if wanted == "" {
				continue
			}
		}
		known := slices.ContainsFunc(list, func(v tfsVersion) bool { return v.Version == s.Version })
		if s.Name == name && state.State != "" && !known && (wanted == "" || wanted == s.Version) {
			list = append(list, state)
		}
	}
	return list
}

type (
	tfsModelMetadata struct {
		Spec     tfsModelSpec `json:"model_spec"`
		Metadata struct {
			Def struct {
				Def map[string]tfsSignature `json:"signature_def"`
			} `json:"signature_def"`
		} `json:"metadata"`
	}
	tfsModelSpec struct {
		Name      string `json:"name"`
		Signature string `json:"signature_name"`
		Version   string `json:"version"`
	}
	tfsSignature struct {
		Inputs  map[string]tfsTensor `json:"inputs"`
		Outputs map[string]tfsTensor `json:"outputs"`
		Method  string               `json:"method_name"`
	}
	tfsTensor struct {
		Type  string   `json:"dtype"`
		Shape tfsShape `json:"tensor_shape"`
		Name  string   `json:"name"`
	}
	tfsShape struct {
		Dim     []tfsDim `json:"dim"`
		Unknown bool     `json:"unknown_rank"`
	}
	tfsDim struct {
		Size string `json:"size"`
		Name string `json:"name"`
	}
)

// tfsMetadata describes a model as TensorFlow Serving does, with one signature for each call that it can answer.
func (h *Handler) tfsMetadata(w http.ResponseWriter, _ *http.Request, p tfsPath) error {
	t, err := h.server.Table().Lookup(p.name, p.version)
	if err != nil {
		return err
	}
	sig := &t.Signature
	m := tfsModelMetadata{Spec: tfsModelSpec{Name: p.name, Version: t.Version.String()}}
	signature := tfsSignature{Inputs: tfsTensors(sig.Inputs), Outputs: tfsTensors(sig.Outputs), Method: "tensorflow/serving/predict"}
	m.Metadata.Def.Def = map[string]tfsSignature{codec.ServingDefault: signature}
	if codec.CanClassify(sig) {
		signature.Method = "tensorflow/serving/classify"
		m.Metadata.Def.Def["classification"] = signature
	}
	if codec.CanRegress(sig) {
		signature.Method = "tensorflow/serving/regress"
		m.Metadata.Def.Def["regression"] = signature
	}
	writeJSON(w, http.StatusOK, m)
	return nil
}

func tfsTensors(specs []fairlead.TensorSpec) map[string]tfsTensor {
	tensors := map[string]tfsTensor{}
	for _, spec := range specs {
		t := tfsTensor{Type: tfsType(spec.Type), Name: spec.Name + ":0", Shape: tfsShape{Dim: []tfsDim{}, Unknown: spec.Shape == nil}}
		for _, d := range spec.Shape {
			t.Shape.Dim = append(t.Shape.Dim, tfsDim{Size: fmt.Sprint(d)})
		}
		tensors[spec.Name] = t
	}
	return tensors
}

// tfsType is a type in TensorFlow's words.
func tfsType(t fairlead.DataType) string {
	switch t {
	case fairlead.FP16:
		return "DT_HALF"
	case fairlead.BF16:
		return "DT_BFLOAT16"
	case fairlead.FP32:
		return "DT_FLOAT"
	case fairlead.FP64:
		return "DT_DOUBLE"
	case fairlead.Bytes:
		return "DT_STRING"
	}
	return "DT_" + string(t) // BOOL, INT8 … UINT64 are called the same
}
