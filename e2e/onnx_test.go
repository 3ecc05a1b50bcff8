package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/fairlead-ml/fairlead/conformance/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// onnxData is where onnxdata.sh leaves ONNX's published test cases.
const onnxData = "../.cache/onnx-testdata"

// random are the cases whose answers are drawn: only their types and shapes can be compared.
var random = []string{"test_training_dropout", "test_randomnormal", "test_randomuniform", "test_multinomial", "test_bernoulli"}

// disputed are the cases where ONNX Runtime itself, asked without a server, refuses the published inputs or gives another
// answer than was published. A served answer that becomes the published one shows up in the golden file.
var disputed = map[string]string{
	"test_castlike_BFLOAT16_to_FLOAT":                    "the published input \"like\" has another shape than the graph says",
	"test_castlike_BFLOAT16_to_FLOAT_expanded":           "the published input \"like\" has another shape than the graph says",
	"test_castlike_FLOAT_to_BFLOAT16":                    "the published input \"like\" has another shape than the graph says",
	"test_castlike_FLOAT_to_BFLOAT16_expanded":           "the published input \"like\" has another shape than the graph says",
	"test_cast_FLOAT_to_STRING":                          "ONNX Runtime writes eight digits where the shortest form has seven",
	"test_castlike_FLOAT_to_STRING":                      "ONNX Runtime writes eight digits where the shortest form has seven",
	"test_castlike_FLOAT_to_STRING_expanded":             "ONNX Runtime writes eight digits where the shortest form has seven",
	"test_maxunpool_export_with_output_shape":            "ONNX Runtime, asked directly, answers so as well",
	"test_resize_downsample_scales_cubic_align_corners":  "ONNX Runtime, asked directly, answers so as well",
	"test_resize_downsample_scales_linear_align_corners": "ONNX Runtime, asked directly, answers so as well",
}

// TestPublishedONNXCases pushes every model of ONNX's published test data to one server, asks each over HTTP for its
// published inputs, as JSON and as binary tensors, and compares with the published outputs. The cases that give no
// answer are in testdata/onnx_cases.golden with the reason; a change there is a regression or a gain.
func TestPublishedONNXCases(t *testing.T) {
	if _, err := os.Stat(filepath.Join(onnxData, "node")); err != nil {
		t.Skip("no ONNX test data: run e2e/onnxdata.sh, which takes Debian's libonnx-testdata")
	}
	folders := caseFolders(t)
	p := start(t, t.TempDir(), freePort(t), "serve", "--record", "none", "--log", "warn")
	s := &onnxServer{p: p, extensions: p.extensions()}
	for _, name := range []string{"binary_tensor_data", "model_repository"} {
		if !slices.Contains(s.extensions, name) {
			t.Errorf("GET /v2 does not list the extension %s, only %v", name, s.extensions)
		}
	}
	verdicts := make([]string, len(folders))
	var workers sync.WaitGroup
	next := make(chan int)
	for range 2 {
		workers.Go(func() {
			for i := range next {
				verdicts[i] = s.try(folders[i], i)
			}
		})
	}
	for i := range folders {
		next <- i
	}
	close(next)
	workers.Wait()
	compareVerdicts(t, folders, verdicts)
}

func caseFolders(t *testing.T) []string {
	var folders []string
	err := filepath.WalkDir(onnxData, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "model.onnx" {
			folders = append(folders, filepath.Dir(path))
		}
		return err
	})
	if err != nil || len(folders) < 1000 {
		t.Fatalf("%d cases in %s, %v: remove it and run e2e/onnxdata.sh", len(folders), onnxData, err)
	}
	slices.Sort(folders)
	return folders
}

// compareVerdicts writes the cases without the expected answer as a golden file: counts first, then each with its reason.
func compareVerdicts(t *testing.T, folders, verdicts []string) {
	counts := map[string]int{}
	var lines []string
	for i, v := range verdicts {
		class, _, _ := strings.Cut(v, ":")
		counts[class]++
		if v != "passed" {
			name, _ := filepath.Rel(onnxData, folders[i])
			lines = append(lines, filepath.ToSlash(name)+"  "+v)
		}
	}
	classes := make([]string, 0, len(counts))
	for class, n := range counts {
		classes = append(classes, fmt.Sprintf("%5d %s", n, class))
	}
	slices.SortFunc(classes, func(a, b string) int { return strings.Compare(b, a) })
	got := strings.Join(classes, "\n") + "\n\n" + strings.Join(lines, "\n") + "\n"
	t.Logf("%d cases:\n%s", len(folders), strings.Join(classes, "\n"))
	if counts["wrong"] > 0 || counts["failed"] > 0 {
		for _, l := range lines {
			if strings.Contains(l, "  wrong") || strings.Contains(l, "  failed") {
				t.Error(l)
			}
		}
	}
	golden := filepath.Join("testdata", "onnx_cases.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	before := strings.Split(string(want), "\n")
	for _, l := range lines {
		if !slices.Contains(before, l) {
			t.Errorf("new: %s", l)
		}
	}
	for _, l := range before {
		if !strings.Contains(got, l+"\n") {
			t.Errorf("gone: %s", l)
		}
	}
	t.Error("testdata/onnx_cases.golden does not agree: -update rewrites it")
}

type onnxServer struct {
	p          *process
	extensions []string
}

func (p *process) extensions() []string {
	p.t.Helper()
	resp, err := http.Get(p.base + "/v2")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var about struct{ Extensions []string }
	if err := json.NewDecoder(resp.Body).Decode(&about); err != nil {
		p.t.Fatal(err)
	}
	return about.Extensions
}

// try runs one case: "passed", or a class, a colon and the reason.
func (s *onnxServer) try(folder string, i int) string {
	model, err := os.ReadFile(filepath.Join(folder, "model.onnx"))
	if err != nil {
		return "failed: " + err.Error()
	}
	inputs, outputs, err := readGraph(model)
	if err != nil {
		return "failed: " + err.Error()
	}
	name := fmt.Sprintf("onnx-%04d", i)
	if err := s.load(name, model, i); err != nil {
		return refusal(err.Error())
	}
	defer s.unload(name)
	sets, err := filepath.Glob(filepath.Join(folder, "test_data_set_*"))
	if err != nil || len(sets) == 0 {
		return "failed: no data set"
	}
	for _, set := range sets {
		in, why := readValues(set, "input", inputs)
		if why != "" {
			return why
		}
		want, why := readValues(set, "output", outputs)
		if why != "" {
			return why
		}
		if verdict := s.compare(name, filepath.Base(folder), in, want); verdict != "passed" {
			return verdict
		}
	}
	return "passed"
}

// refusal names the class of a refused model.
func refusal(text string) string {
	for _, c := range []struct{ class, sign string }{
		{"optional value", "an optional value"}, {"sequence as input", "is a sequence"}, {"no kernel in ONNX Runtime", "Could not find an implementation"},
		{"refused by ONNX Runtime", "ONNX Runtime"},
	} {
		if strings.Contains(text, c.sign) {
			return c.class + ": " + oneLine(text)
		}
	}
	return "failed: load: " + oneLine(text)
}

// readValues reads input_0.pb … or output_0.pb …, or says why they are no tensors of the protocol.
func readValues(set, which string, graph []value) ([]wire.Tensor, string) {
	var ts []wire.Tensor
	for i, v := range graph {
		message, err := os.ReadFile(filepath.Join(set, fmt.Sprintf("%s_%d.pb", which, i)))
		if errors.Is(err, fs.ErrNotExist) && which == "input" {
			continue // one that may be left out
		}
		if err != nil {
			return nil, "failed: " + err.Error()
		}
		if v.kind != "tensor" {
			return nil, fmt.Sprintf("not in the protocol: %s %s is a %s", which, v.name, v.kind)
		}
		t, err := readTensor(message)
		if err != nil {
			return nil, fmt.Sprintf("not in the protocol: %s %s: %v", which, v.name, err)
		}
		t.Name = v.name
		if v.datatype == "BF16" && t.Datatype == "UINT16" {
			t.Datatype = "BF16" // the published files hold the bits
		}
		ts = append(ts, t)
	}
	return ts, ""
}

func (s *onnxServer) compare(name, folder string, in, want []wire.Tensor) string {
	requests := []wire.Request{{Inputs: in, Nested: len(name)%2 == 0}}
	if slices.Contains(s.extensions, "binary_tensor_data") {
		all := make([]bool, len(in))
		for i := range all {
			all[i] = true
		}
		requests = append(requests, wire.Request{Inputs: in, Binary: all, Parameters: map[string]any{"binary_data_output": true}})
	}
	for i, r := range requests {
		form := []string{"JSON", "binary"}[i]
		body, header, err := r.Body()
		if err != nil {
			continue // bytes that are no text go as binary only
		}
		answer, err := s.infer(name, body, header)
		if err != nil {
			return dispute(folder, "failed: "+form+": "+oneLine(err.Error()))
		}
		for _, w := range want {
			got, ok := answer.Output(w.Name)
			if !ok {
				return fmt.Sprintf("wrong: %s: no output %q", form, w.Name)
			}
			if slices.ContainsFunc(random, func(prefix string) bool { return strings.HasPrefix(folder, prefix) }) {
				got.Raw = w.Raw
			}
			if d := differ(got, w); d != "" {
				return dispute(folder, fmt.Sprintf("wrong: %s: %s: %s", form, w.Name, oneLine(d)))
			}
		}
	}
	return "passed"
}

// dispute is the verdict, or the known reason for it.
func dispute(folder, verdict string) string {
	if why, ok := disputed[folder]; ok {
		return "disputed: " + why
	}
	return verdict
}

func (s *onnxServer) infer(name string, body []byte, header string) (*wire.Response, error) {
	req, err := http.NewRequest(http.MethodPost, s.p.base+"/v2/models/"+name+"/infer", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if header != "" {
		req.Header.Set(wire.HeaderLength, header)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%d %s", resp.StatusCode, out)
	}
	return wire.ReadResponse(out, resp.Header.Get(wire.HeaderLength))
}

// load pushes the model, or uploads it over the repository extension for every third case.
func (s *onnxServer) load(name string, model []byte, i int) error {
	if i%3 != 0 || !slices.Contains(s.extensions, "model_repository") {
		_, err := s.p.client.Push(s.p.t.Context(), name, "", "application/octet-stream", bytes.NewReader(model))
		return err
	}
	body, err := json.Marshal(map[string]any{"parameters": map[string]string{
		"config": `{"name":"` + name + `","backend":"onnxruntime"}`, "file:1/model.onnx": base64.StdEncoding.EncodeToString(model)}})
	if err != nil {
		return err
	}
	status, out := post(s.p.t, s.p.base+"/v2/repository/models/"+name+"/load", "application/json", bytes.NewReader(body))
	if status != http.StatusOK {
		var refusal struct{ Error string }
		_ = json.Unmarshal([]byte(out), &refusal)
		return errors.New(refusal.Error)
	}
	return nil
}

func (s *onnxServer) unload(name string) {
	if !slices.Contains(s.extensions, "model_repository") {
		return
	}
	if status, out := post(s.p.t, s.p.base+"/v2/repository/models/"+name+"/unload", "application/json", strings.NewReader("{}")); status != http.StatusOK {
		s.p.t.Errorf("unload %s: %d %s", name, status, out)
	}
}

// oneLine is at most 160 bytes of s on one line.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 160)]
}
