package conformance

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/conformance/wire"
)

// fake is a small server of the protocol that answers with its inputs. Broken says which rules it breaks.
type fake struct {
	broken string
	loaded map[string]bool
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, value := f.answer(r)
	if b, ok := value.(*wire.Response); ok {
		f.writeInfer(w, r, b)
		return
	}
	body, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func refusal(format string, args ...any) map[string]string {
	return map[string]string{"error": fmt.Sprintf(format, args...)}
}

func (f *fake) answer(r *http.Request) (int, any) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2"), "/")[1:]
	switch {
	case r.URL.Path == "/v2" && f.broken == "extensions":
		return 200, map[string]any{"name": "fake", "version": "1"}
	case r.URL.Path == "/v2":
		return 200, map[string]any{"name": "fake", "version": "1", "extensions": []string{"model_repository", "binary_tensor_data"}}
	case r.URL.Path == "/v2/health/live" && f.broken == "live":
		return 503, map[string]any{"live": false}
	case parts[0] == "health":
		return 200, map[string]any{parts[1]: true}
	case parts[0] == "repository":
		return f.repository(r, parts[1:])
	case parts[0] != "models":
		return 404, refusal("nothing at %s", r.URL.Path)
	}
	name := parts[1]
	if !f.loaded[name] {
		if f.broken == "404" {
			return 500, refusal("no model %s", name)
		}
		return 404, refusal("no model %s", name)
	}
	rest := parts[2:]
	if len(rest) > 1 && rest[0] == "versions" {
		if rest[1] != "1" && f.broken != "versions" {
			return 404, refusal("no version %s", rest[1])
		}
		rest = rest[2:]
	}
	switch {
	case len(rest) == 0:
		return 200, f.metadata(name)
	case rest[0] == "ready":
		return 200, map[string]any{"name": name, "ready": true}
	case r.Method != http.MethodPost:
		return 405, refusal("POST")
	}
	return f.infer(r, name)
}

func (f *fake) repository(r *http.Request, parts []string) (int, any) {
	if parts[0] == "index" {
		list := []any{}
		for name, ready := range f.loaded {
			if ready || f.broken != "index" {
				list = append(list, map[string]any{"name": name, "version": "1", "state": map[bool]string{true: "READY", false: "UNAVAILABLE"}[ready]})
			}
		}
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "true") {
			list = slices.DeleteFunc(list, func(v any) bool { return v.(map[string]any)["state"] != "READY" })
		}
		return 200, list
	}
	name := parts[1]
	if parts[2] == "unload" {
		f.loaded[name] = f.broken == "unload"
		return 200, map[string]any{}
	}
	var body struct {
		Parameters map[string]string `json:"parameters"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return 400, refusal("%v", err)
	}
	model, err := base64.StdEncoding.DecodeString(body.Parameters["file:1/model.onnx"])
	if err != nil || len(model) < 20 {
		return 400, refusal("no model")
	}
	f.loaded[name] = true
	return 200, map[string]any{}
}

func (f *fake) tensors(name string) (inputs, outputs []map[string]any) {
	tensor := func(name, datatype string, n int) map[string]any {
		return map[string]any{"name": name, "datatype": datatype, "shape": []int{-1, n}}
	}
	kind := strings.ToUpper(strings.TrimPrefix(name, prefix))
	if kind == "PAIR" {
		return []map[string]any{tensor("a", "FP32", 2), tensor("b", "INT32", 2)}, []map[string]any{tensor("a_out", "FP32", 2), tensor("b_out", "INT32", 2)}
	}
	return []map[string]any{tensor("x", kind, 4)}, []map[string]any{tensor("y", kind, 4)}
}

func (f *fake) metadata(name string) any {
	inputs, outputs := f.tensors(name)
	if f.broken == "metadata" {
		inputs[0]["shape"] = []string{"n", "4"}
	}
	return map[string]any{"name": name, "versions": []string{"1"}, "platform": "onnx_onnxv1", "inputs": inputs, "outputs": outputs}
}

func (f *fake) infer(r *http.Request, name string) (int, any) {
	bad := 400
	if f.broken == "500" {
		bad = 500
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		body, err = unpack(r.Header.Get("Content-Encoding"), body)
	}
	if e := r.Header.Get("Content-Encoding"); err != nil || e != "" && e != "gzip" && e != "deflate" {
		return 415, refusal("coding %s: %v", e, err)
	}
	q, err := f.question(r, name, body)
	if f.broken == "error" && err != nil {
		return 400, map[string]string{"detail": err.Error()}
	}
	if err != nil {
		return bad, refusal("%v", err)
	}
	return 200, q
}

// question reads and checks a request as its own answer: inputs become outputs.
func (f *fake) question(r *http.Request, name string, body []byte) (*wire.Response, error) {
	inputs, outputs := f.tensors(name)
	var q *wire.Response
	var err error
	if r.Header.Get(wire.HeaderLength) == "0" {
		in := wire.Tensor{Name: "x", Datatype: "FP32", Shape: []int64{int64(len(body)) / 16, 4}, Raw: body}
		q = &wire.Response{Object: map[string]any{"parameters": map[string]any{"binary_data_output": true}}, Outputs: []wire.Tensor{in}, Binary: []bool{true}}
	} else if q, err = wire.ReadRequest(body, r.Header.Get(wire.HeaderLength)); err != nil {
		return nil, err
	}
	if len(q.Outputs) != len(inputs) && f.broken != "missing" {
		return nil, fmt.Errorf("%d inputs, expected %d", len(q.Outputs), len(inputs))
	}
	seen := map[string]bool{}
	for i, t := range q.Outputs {
		at := slices.IndexFunc(inputs, func(in map[string]any) bool { return in["name"] == t.Name })
		if at < 0 || seen[t.Name] {
			return nil, fmt.Errorf("input %q", t.Name)
		}
		seen[t.Name] = true
		if t.Datatype != inputs[at]["datatype"] && f.broken != "datatype" || len(t.Shape) != 2 || t.Shape[0] < 0 || t.Shape[1] != int64(inputs[at]["shape"].([]int)[1]) {
			return nil, fmt.Errorf("input %q is %s %v", t.Name, t.Datatype, t.Shape)
		}
		q.Outputs[i].Name = outputs[at]["name"].(string)
		if t.Name == "b" {
			q.Outputs[i].Raw = negated(t.Raw)
		}
	}
	return q, f.choose(q)
}

func negated(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i += 4 {
		v := -int32(raw[i]) | -int32(raw[i+1])<<8
		if raw[i] == 0xff {
			v = 1
		}
		out = append(out, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return out
}

// choose keeps the outputs that were asked for, in that order, and says which go as binary.
func (f *fake) choose(q *wire.Response) error {
	parameters, _ := q.Object["parameters"].(map[string]any)
	all, _ := parameters["binary_data_output"].(bool)
	q.Binary = make([]bool, len(q.Outputs))
	for i := range q.Binary {
		q.Binary[i] = all
	}
	asked, _ := q.Object["outputs"].([]any)
	if len(asked) == 0 || f.broken == "outputs" {
		return nil
	}
	var chosen []wire.Tensor
	var binary []bool
	for _, a := range asked {
		m, _ := a.(map[string]any)
		name, _ := m["name"].(string)
		t, ok := q.Output(name)
		if !ok || slices.ContainsFunc(chosen, func(c wire.Tensor) bool { return c.Name == name }) {
			return fmt.Errorf("output %q", name)
		}
		own := all
		if p, ok := m["parameters"].(map[string]any); ok {
			if b, ok := p["binary_data"].(bool); ok {
				own = b
			}
		}
		chosen, binary = append(chosen, t), append(binary, own)
	}
	q.Outputs, q.Binary = chosen, binary
	return nil
}

func (f *fake) writeInfer(w http.ResponseWriter, r *http.Request, q *wire.Response) {
	if f.broken == "values" && len(q.Outputs[0].Raw) > 0 {
		q.Outputs[0].Raw = slices.Clone(q.Outputs[0].Raw)
		q.Outputs[0].Raw[0] ^= 1
	}
	id, _ := q.Object["id"].(string)
	if f.broken == "id" {
		id = ""
	}
	body, length, err := wire.Request{ID: id, Inputs: q.Outputs, Binary: q.Binary}.Body()
	if err != nil {
		panic(err)
	}
	name := strings.Split(r.URL.Path, "/")[3]
	body = bytes.Replace(body, []byte(`"inputs":`), []byte(`"model_name":"`+name+`","outputs":`), 1)
	w.Header().Set("Content-Type", "application/json")
	if length != "" {
		n := len(body) - len(slices.Concat(rawOf(q)...))
		if f.broken == "header" {
			n--
		}
		w.Header().Set(wire.HeaderLength, fmt.Sprint(n))
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	_, _ = w.Write(body)
}

func rawOf(q *wire.Response) (blobs [][]byte) {
	for i, t := range q.Outputs {
		if q.Binary[i] {
			blobs = append(blobs, t.Raw)
		}
	}
	return blobs
}

func report(t *testing.T, broken string, groups ...string) Report {
	t.Helper()
	server := httptest.NewServer(&fake{broken: broken, loaded: map[string]bool{}})
	defer server.Close()
	r, err := Run(t.Context(), Options{URL: server.URL, Only: groups})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func failures(r Report) []string {
	var names []string
	for _, c := range r.Results {
		if c.Verdict == Fail {
			names = append(names, c.Group+": "+c.Name)
		}
	}
	return names
}

func TestASoundServerPasses(t *testing.T) {
	r := report(t, "")
	for _, c := range r.Results {
		if c.Verdict == Fail {
			t.Errorf("%s: %s: expected %s; came %s", c.Group, c.Name, c.Expected, c.Came)
		}
	}
	if r.Passed < 100 || r.Models != "the suite's own, uploaded" {
		t.Errorf("%d passed with %s", r.Passed, r.Models)
	}
	if r.Passed+r.Failed+r.Advice+r.Skipped != len(r.Results) || len(r.Results) != Count() {
		t.Errorf("%d results of %d checks", len(r.Results), Count())
	}
}

// TestBrokenServersFail breaks one rule at a time: the checks that are there for it say so.
func TestBrokenServersFail(t *testing.T) {
	for broken, expected := range map[string][]string{
		"live":       {"health: live"},
		"extensions": {"metadata: server"},
		"metadata":   {"metadata: tensors", "metadata: of a known model"},
		"404":        {"metadata: unknown model", "errors: unknown model"},
		"500":        {"errors: empty body", "errors: not JSON", "errors: too few elements", "errors: an integer out of range", "binary: bytes left over"},
		"error":      {"errors: not JSON", "errors: another datatype", "binary: header no number"},
		"id":         {`infer: id "42" comes back`, "infer: each caller gets its own answer"},
		"values":     {"infer: the identity's answer", "datatypes: FP32 as JSON", "data: nested", "binary: FP32 both ways", "binary: raw request", "repository: unload takes it away, load brings it back"},
		"outputs":    {"errors: an unknown output", "infer: outputs in the order asked", "binary: JSON in, binary out by binary_data"},
		"missing":    {"errors: an input missing"},
		"datatype":   {"errors: another datatype"},
		"versions":   {"versions: an unknown number", "versions: a version in words"},
		"header":     {"binary: headers of a binary answer", "binary: INT8 both ways"},
		"unload":     {"repository: unload takes it away, load brings it back"},
	} {
		t.Run(broken, func(t *testing.T) {
			var groups []string
			for _, name := range expected {
				group, _, _ := strings.Cut(name, ": ")
				groups = append(groups, group)
			}
			r := report(t, broken, groups...)
			got := failures(r)
			for _, name := range expected {
				if !slices.Contains(got, name) {
					t.Errorf("%q passed; failed are %q", name, got)
				}
			}
			if r.Failed == 0 {
				t.Error("the report counts no failure")
			}
		})
	}
}

func TestWithoutUploads(t *testing.T) {
	f := &fake{loaded: map[string]bool{prefix + "int32": true}, broken: "extensions"}
	server := httptest.NewServer(f)
	defer server.Close()
	r, err := Run(t.Context(), Options{URL: server.URL, Model: prefix + "int32", Only: []string{"infer", "errors", "versions"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := failures(r); len(got) > 0 {
		t.Errorf("failed: %q", got)
	}
	if r.Passed < 15 || r.Skipped == 0 || !strings.Contains(r.Models, "of the server") {
		t.Errorf("%d passed, %d skipped, with %s", r.Passed, r.Skipped, r.Models)
	}
	for _, c := range r.Results {
		if c.Verdict == Skip && c.Reason == "" {
			t.Errorf("%s skipped without a reason", c.Name)
		}
	}
}

func TestModelsAreTakenAway(t *testing.T) {
	f := &fake{loaded: map[string]bool{}}
	server := httptest.NewServer(f)
	defer server.Close()
	if _, err := Run(t.Context(), Options{URL: server.URL, Only: []string{"health"}}); err != nil {
		t.Fatal(err)
	}
	if len(f.loaded) == 0 {
		t.Error("nothing was brought")
	}
	for name, ready := range f.loaded {
		if ready {
			t.Errorf("%s was left", name)
		}
	}
}

func TestWrongOptionsAndNoServer(t *testing.T) {
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	defer elsewhere.Close()
	for _, c := range []struct {
		o    Options
		code fairlead.Code
		says string
	}{
		{Options{URL: "ftp://x"}, fairlead.CodeInvalid, "not the address"},
		{Options{URL: "http://127.0.0.1:1", Only: []string{"loud"}}, fairlead.CodeInvalid, `no group of checks "loud"`},
		{Options{URL: "http://127.0.0.1:1"}, fairlead.CodeUnavailable, "no server answers"},
		{Options{URL: elsewhere.URL}, fairlead.CodeUnsupported, "is not the metadata"},
	} {
		_, err := Run(context.Background(), c.o)
		var e *fairlead.Error
		if !errors.As(err, &e) || e.Code != c.code || !strings.Contains(e.Message, c.says) || e.Hint == "" {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}
