package cloud_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/cloud"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/httpd"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/google/go-cmp/cmp"
)

// flights adds up two features.
func flights() *route.Target {
	sig := fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"hour", "distance"}}},
		Outputs: []fairlead.TensorSpec{{Name: "sum", Type: fairlead.FP32, Shape: []int64{-1}, Role: fairlead.RoleValue}},
	}
	session := fake.New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		x := in[0].Data.([]float32)
		sum := make([]float32, len(x)/2)
		for i := range sum {
			sum[i] = x[2*i] + x[2*i+1]
		}
		return []fairlead.Tensor{{Name: "sum", Type: fairlead.FP32, Shape: []int64{int64(len(sum))}, Data: sum}}, nil
	})
	return &route.Target{Model: "flights", Version: 3, Signature: sig, Session: session}
}

// repository puts models into a routing table. There is room for two.
type repository struct {
	router *route.Router
	mu     sync.Mutex
	loaded map[string]string
}

func (l *repository) LoadPath(_ context.Context, name, path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case strings.Contains(path, "disk"):
		return errors.New("secret: read /dev/sda: input/output error")
	case len(l.loaded) == 2:
		return fairlead.Errorf(fairlead.CodeExhausted, "there is no memory for another model").Hintf("unload one")
	}
	l.loaded[name] = path
	return l.swap()
}

func (l *repository) Unload(_ context.Context, name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.loaded, name)
	return l.swap()
}

func (l *repository) swap() error {
	var deployments []route.Deployment
	for name := range l.loaded {
		deployments = append(deployments, route.Deployment{Name: fairlead.Name(name), Live: flights()})
	}
	table, err := route.NewTable(deployments)
	if err == nil {
		l.router.Swap(table)
	}
	return err
}

// stack is a server as app builds it: the contract's handler before everything else.
type stack struct {
	*httptest.Server
	router     route.Router
	repository *repository
	model      string
	unready    error
}

func newStack(t testing.TB, c cloud.Contract) *stack {
	t.Helper()
	s := &stack{model: "flights"}
	s.repository = &repository{router: &s.router, loaded: map[string]string{}}
	if !c.MultiModel {
		s.repository.loaded["flights"] = "/opt/ml/model/model.onnx"
	}
	if err := s.repository.swap(); err != nil {
		t.Fatal(err)
	}
	server := serve.New(serve.Options{Router: &s.router, NewID: func() string { return "made" },
		Now: func() time.Time { return time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC) }})
	next := http.NewServeMux()
	inference := httpd.New(server, httpd.Options{Version: "1.2.3"})
	next.Handle("/v1/", inference)
	next.Handle("/v2/", inference)
	next.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fairlead_requests_total 7\n") })
	s.Server = httptest.NewServer(cloud.New(c, cloud.Options{
		Inference: inference, Next: next, Loader: s.repository, MaxBody: 2000,
		Model: func() string { return s.model }, Ready: func() error { return s.unready },
	}))
	t.Cleanup(s.Close)
	return s
}

func contract(t testing.TB, platform, variables string) cloud.Contract {
	t.Helper()
	c, found, err := cloud.Detect(platform, cloud.Surroundings{Env: env(variables)})
	if err != nil || !found {
		t.Fatal(found, err)
	}
	return c
}

// TestTranscripts plays testdata/*.txt: what each platform sends to its container, and the answers. `go test -update`
// rewrites the answers. A block "! word" changes the server: "not ready", "no model", "ready".
func TestTranscripts(t *testing.T) {
	models := t.TempDir()
	for _, name := range []string{"a1", "b2", "c3", "disk", "Opaque_Name"} {
		write(t, filepath.Join(models, name, "model", "model.onnx"))
	}
	write(t, filepath.Join(models, "two", "model", "a.onnx"))
	write(t, filepath.Join(models, "two", "model", "b.onnx"))
	outside := t.TempDir()
	write(t, filepath.Join(outside, "model.onnx"))
	if err := os.Symlink(outside, filepath.Join(models, "link")); err != nil {
		t.Fatal(err)
	}
	many := contract(t, "", "SAGEMAKER_MULTI_MODEL=true")
	many.ModelsRoot = models
	for name, c := range map[string]cloud.Contract{
		"sagemaker": contract(t, "sagemaker", ""),
		"vertex":    contract(t, "", "AIP_HTTP_PORT=8080 AIP_HEALTH_ROUTE=/v1/endpoints/7 AIP_PREDICT_ROUTE=/v1/endpoints/7:predict"),
		"azure":     contract(t, "azure", ""),
		"multi":     many,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, c)
			path := "testdata/" + name + ".txt"
			old, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var blocks []string
			for block := range strings.SplitSeq(strings.TrimRight(string(old), "\n"), "\n\n") {
				switch {
				case strings.HasPrefix(block, "! "):
					s.set(strings.TrimPrefix(block, "! "))
				case !strings.HasPrefix(block, "#"):
					block = s.play(t, block, strings.NewReplacer("<models>", models, "<outside>", outside))
				}
				blocks = append(blocks, block)
			}
			got := strings.ReplaceAll(strings.ReplaceAll(strings.Join(blocks, "\n\n")+"\n", models, "<models>"), outside, "<outside>")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(old), got); diff != "" {
				t.Errorf("the answers changed; if that is right, run go test -update\n%s", diff)
			}
		})
	}
	http.DefaultClient.CloseIdleConnections()
}

func write(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("onnx"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *stack) set(word string) {
	s.unready, s.model = nil, "flights"
	switch word {
	case "not ready":
		s.unready = errors.New("the models are being loaded")
	case "no model":
		s.model = ""
	case "model gone":
		s.model = "gone"
	}
}

func (s *stack) play(t *testing.T, block string, names *strings.Replacer) string {
	t.Helper()
	var kept, body []string
	header := http.Header{}
	for i, line := range strings.Split(block, "\n") {
		if strings.HasPrefix(line, "< ") || strings.HasPrefix(line, "  ") {
			break
		}
		kept = append(kept, line)
		if b, ok := strings.CutPrefix(line, "> "); ok {
			body = append(body, strings.ReplaceAll(b, "<3000 blanks>", strings.Repeat(" ", 3000)))
		} else if k, v, ok := strings.Cut(line, ": "); ok && i > 0 {
			header.Set(k, v)
		}
	}
	method, path, _ := strings.Cut(kept[0], " ")
	r, err := http.NewRequest(method, s.URL+path, strings.NewReader(names.Replace(strings.Join(body, "\n"))))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	line := "< " + resp.Status
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" && len(answer) > 0 {
		line += " " + ct
	}
	kept = append(kept, line)
	if resp.StatusCode >= 400 {
		var e struct{ Error, Code string }
		if err := json.Unmarshal(answer, &e); err != nil || e.Error == "" || e.Code == "" {
			t.Errorf("%s: the answer is no error: %s", kept[0], answer)
		}
	}
	for line := range strings.Lines(string(answer)) {
		kept = append(kept, "  "+strings.TrimRight(line, "\n"))
	}
	return strings.Join(kept, "\n")
}

// TestBinary sends tensors in binary form with the length of the JSON in the Content-Type, as SageMaker and Vertex AI make
// Triton's clients do, and wants the answer in the same form.
func TestBinary(t *testing.T) {
	head := `{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","parameters":{"binary_data_size":16}}],` +
		`"outputs":[{"name":"sum","parameters":{"binary_data":true}}]}`
	var blob []byte
	for _, v := range []float32{1, 2, 3, 4} {
		blob = binary.LittleEndian.AppendUint32(blob, math.Float32bits(v))
	}
	for _, test := range []struct{ platform, path, mime, redirect string }{
		{"sagemaker", "/invocations", "application/vnd.sagemaker-triton.binary+json", ""},
		{"vertex", "/predict", "application/vnd.vertex-ai-triton.binary+json", ""},
		{"vertex", "/predict", "application/vnd.vertex-ai-triton.binary+json", "v2/models/flights/infer"},
	} {
		s := newStack(t, contract(t, test.platform, ""))
		r, _ := http.NewRequest("POST", s.URL+test.path, strings.NewReader(head+string(blob)))
		r.Header.Set("Content-Type", fmt.Sprintf("%s;json-header-size=%d", test.mime, len(head)))
		if test.redirect != "" {
			r.Header.Set("X-Vertex-Ai-Triton-Redirect", test.redirect)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var length int
		if _, err := fmt.Sscanf(strings.TrimPrefix(resp.Header.Get("Content-Type"), test.mime), ";json-header-size=%d", &length); err != nil {
			t.Fatalf("%s: %s, Content-Type %q: %s", test.platform, resp.Status, resp.Header.Get("Content-Type"), body)
		}
		if len(body) != length+8 || math.Float32frombits(binary.LittleEndian.Uint32(body[length:])) != 3 ||
			math.Float32frombits(binary.LittleEndian.Uint32(body[length+4:])) != 7 {
			t.Errorf("%s: %d bytes, %d of them JSON: %q", test.platform, len(body), length, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestManyModelsAtOnce: SageMaker loads, calls and unloads from many connections; each load is answered 200, 409 or 507 and
// at the end nothing is left.
func TestManyModelsAtOnce(t *testing.T) {
	c := contract(t, "", "SAGEMAKER_MULTI_MODEL=true")
	c.ModelsRoot = t.TempDir()
	write(t, filepath.Join(c.ModelsRoot, "m", "model.onnx"))
	s := newStack(t, c)
	call := func(method, path, body string) int {
		r, _ := http.NewRequest(method, s.URL+path, strings.NewReader(body))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.StatusCode
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 25 {
				name := fmt.Sprintf("m%d", (worker+i)%4)
				status := call("POST", "/models", fmt.Sprintf(`{"model_name":%q,"url":%q}`, name, filepath.Join(c.ModelsRoot, "m")))
				if status != 200 && status != 409 && status != 507 {
					t.Errorf("load: %d", status)
				}
				if status := call("POST", "/models/"+name+"/invoke", `{"instances":[[1,2]]}`); status != 200 && status != 404 {
					t.Errorf("invoke: %d", status)
				}
				if status := call("DELETE", "/models/"+name, ""); status != 200 && status != 404 && status != 409 {
					t.Errorf("unload: %d", status)
				}
			}
		})
	}
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()
	if len(s.repository.loaded) != 0 {
		t.Errorf("left loaded: %v", s.repository.loaded)
	}
}

// TestLoad loads what lies in the model folder at start.
func TestLoad(t *testing.T) {
	for _, test := range []struct{ files, model, want, loaded string }{
		{"m/model.onnx", "", "m", "m"},
		{"m/3/model.onnx", "", "m", "m"},
		{"m/model.onnx", "iris", "iris", "iris"},
		{"m/a/1/model.onnx m/b/1/model.onnx", "", "", "a b"},
		{"m/a/1/model.onnx m/b/1/model.onnx", "b", "b", "a b"},
		{"m/a/1/model.onnx m/b/1/model.onnx", "c", "error: the default model is to be c, but in DIR there are a, b", "a b"},
		{"n/model.onnx", "", "error: the model is to lie in the folder DIR, which is not there (put the model there, or set FAIRLEAD_MODEL_DIR to its folder)", ""},
		{"m/notes.txt", "", "error: there is no model in the model's folder; there is notes.txt (expected an .onnx file, a folder with fairlead.yaml, or NAME/1/model.onnx)", ""},
	} {
		dir := t.TempDir()
		for file := range strings.FieldsSeq(test.files) {
			write(t, filepath.Join(dir, file))
		}
		var router route.Router
		l := &repository{router: &router, loaded: map[string]string{}}
		c := cloud.Contract{ModelDir: filepath.Join(dir, "m"), Model: test.model}
		got, err := c.Load(t.Context(), l)
		if err != nil {
			got = "error: " + strings.ReplaceAll(err.Error(), c.ModelDir, "DIR")
		}
		var loaded []string
		for _, name := range router.Load().Names() {
			loaded = append(loaded, name)
			if _, err := os.Stat(l.loaded[name]); err != nil {
				t.Error(err)
			}
		}
		if got != test.want || strings.Join(loaded, " ") != test.loaded {
			t.Errorf("%s, model %q:\n got %s, loaded %v\nwant %s, loaded %s", test.files, test.model, got, loaded, test.want, test.loaded)
		}
	}
}

// TestOverflow: what the server says when it is full reaches the platform as it is, Azure's scaling looks for the 429.
func TestOverflow(t *testing.T) {
	full := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, `{"error":"the server is busy","code":"exhausted","reason":"queue_full"}`)
	})
	for _, platform := range []string{"azure", "sagemaker", "vertex"} {
		c := contract(t, platform, "")
		h := cloud.New(c, cloud.Options{Inference: full, Model: func() string { return "flights" }})
		for _, contentType := range []string{"application/json", "text/csv", "application/vnd.sagemaker-triton.binary+json;json-header-size=2"} {
			r := httptest.NewRequest("POST", c.Predict, strings.NewReader(`{}`))
			r.Header.Set("Content-Type", contentType)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 429 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "queue_full") ||
				w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s, %s: %d %v %s", platform, contentType, w.Code, w.Header(), w.Body)
			}
		}
	}
}
