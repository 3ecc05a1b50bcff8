package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

const pipelineExamples = "../examples/pipelines"

// openPrograms is open for a server that may start programs. stop ends it.
func openPrograms(t *testing.T, data string, processes bool) (a *App, stop func()) {
	t.Helper()
	c := Defaults()
	c.Data, c.HTTP, c.GRPC, c.Library, c.Version, c.Processes = data, "127.0.0.1:0", "", library(t), "test", processes
	c.LossWindow, c.MaxLag = 100*time.Millisecond, 0
	a, err := Start(t.Context(), c, slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	once := sync.OnceFunc(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	t.Cleanup(once)
	return a, once
}

// pushExample pushes a folder of examples/pipelines.
func pushExample(t *testing.T, a *App, name string, edit func(pipelineFiles)) (api.PipelinePush, error) {
	t.Helper()
	files := pipelineFiles{}
	folder := os.DirFS(filepath.Join(pipelineExamples, name))
	err := fs.WalkDir(folder, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, path)
		files[path] = pipelineFile{content: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// On a busy machine every time limit is reached once: the tests have others than the example.
	def := files["pipeline.yaml"].content
	def = bytes.Replace(def, []byte("time: 1s"), []byte("time: 60s"), 1)
	files["pipeline.yaml"] = pipelineFile{content: bytes.Replace(def, []byte("within: 50ms"), []byte("within: 60s"), 1)}
	if edit != nil {
		edit(files)
	}
	body, _, err := files.packed()
	if err != nil {
		t.Fatal(err)
	}
	return a.pipelines.PushPipeline(t.Context(), body, false)
}

func pushModel(t *testing.T, a *App, name, file string) {
	t.Helper()
	onnx, err := os.ReadFile(filepath.Join(pipelineExamples, "models", file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Push(t.Context(), fairlead.Name(name), false, onnx, api.PushOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
}

func askHTTP(t *testing.T, a *App, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+a.Address()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// sounds are the scores of texts.
func sounds(t *testing.T, a *App, pipeline string, texts ...string) []float64 {
	t.Helper()
	data, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	status, body := askHTTP(t, a, "POST", "/v2/models/"+pipeline+"/infer",
		fmt.Sprintf(`{"inputs":[{"name":"text","datatype":"BYTES","shape":[%d,1],"data":%s}],"outputs":[{"name":"score"}]}`, len(texts), data))
	var answer struct {
		Outputs []struct{ Data []float64 }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || len(answer.Outputs) != 1 {
		t.Fatalf("%d %s", status, body)
	}
	return answer.Outputs[0].Data
}

func near(t *testing.T, got []float64, want ...float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range got {
		if math.Abs(got[i]-want[i]) > 1e-6 {
			t.Errorf("row %d: %v, want %v", i, got[i], want[i])
		}
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// What the example's models say of two texts, by the weights in make.py.
const (
	brief = "good, good"                                               // short: 2·2
	wordy = "it was great and perfect, though slow, and I would again" // short: 3; long: 3 + 3 − 1 + 0.5 + 0.1
)

// TestThePipelineExample pushes the example and calls it as every face does, through a restart and a swap of one of its
// models.
func TestThePipelineExample(t *testing.T) {
	data := t.TempDir()
	a, stop := openPrograms(t, data, false)
	if _, err := pushExample(t, a, "reviews", nil); fairlead.CodeOf(err) != fairlead.CodeNotFound || !strings.Contains(err.Error(), "step short: no model or deployment is called") {
		t.Errorf("without its models: %v", err)
	}
	pushModel(t, a, "reviews-short", "reviews-short.onnx")
	pushModel(t, a, "reviews-long", "reviews-long.onnx")
	pushed, err := pushExample(t, a, "reviews", nil)
	if err != nil || pushed.Version != 1 || pushed.Existing || len(pushed.Steps) != 5 {
		t.Fatalf("%+v, %v", pushed, err)
	}
	if again, err := pushExample(t, a, "reviews", nil); err != nil || !again.Existing || again.Version != 1 {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	long, both := sigmoid(5.6), (sigmoid(3)+3*sigmoid(5.6))/4
	near(t, sounds(t, a, "reviews", brief, wordy), sigmoid(4), both)
	for path, want := range map[string]string{
		"/v2/models/reviews":                  `"inputs":[{"name":"text","datatype":"BYTES","shape":[-1,1]`,
		"/v2/models/reviews/versions/1/ready": "",
		"/v2/models/reviews/openapi.json":     `"text"`,
		"/v1/models/reviews":                  "AVAILABLE",
		"/v1/models/reviews/metadata":         "DT_STRING",
		"/api/v1/pipelines/reviews":           `"name":"words","kind":"transform","runs":"transform hash.wasm"`,
		"/metrics":                            `fairlead_pipeline_step_runs_total{pipeline="reviews",step="words"} 1`,
	} {
		if status, body := askHTTP(t, a, "GET", path, ""); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := askHTTP(t, a, "POST", "/v1/models/reviews:predict", `{"instances":[{"text":["`+brief+`"]}]}`); status != http.StatusOK || !strings.Contains(body, "0.98") {
		t.Errorf("%d %s", status, body)
	}
	// Metadata of the request choose, too.
	status, body := askHTTP(t, a, "POST", "/v2/models/reviews/infer",
		`{"parameters":{"tags":"trial=yes"},"inputs":[{"name":"text","datatype":"BYTES","shape":[1,1],"data":["`+wordy+`"]}]}`)
	if want := fmt.Sprintf("%.4f", long); status != http.StatusOK || !strings.Contains(body, want) {
		t.Errorf("%d %s, want %s", status, body, want)
	}
	// A model cannot take the pipeline's name, nor the other way round.
	if _, err := a.Push(t.Context(), "reviews", false, testModel(t, "tree"), api.PushOptions{}); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("%v", err)
	}
	rename := func(to string) func(pipelineFiles) {
		return func(f pipelineFiles) {
			f["pipeline.yaml"] = pipelineFile{content: bytes.Replace(f["pipeline.yaml"].content, []byte("name: reviews\n"), []byte("name: "+to+"\n"), 1)}
		}
	}
	if _, err := pushExample(t, a, "reviews", rename("reviews-short")); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("%v", err)
	}

	stop()
	a, _ = openPrograms(t, data, false)
	near(t, sounds(t, a, "reviews", brief, wordy), sigmoid(4), both)
	// A new version of a step's model is followed at once.
	pushModel(t, a, "reviews-short", "reviews-long.onnx")
	near(t, sounds(t, a, "reviews", brief), sigmoid(4.1))

	// A second version, and back.
	second, err := pushExample(t, a, "reviews", func(f pipelineFiles) {
		f["pipeline.yaml"] = pipelineFile{content: bytes.Replace(f["pipeline.yaml"].content, []byte("< 40"), []byte("< 4000"), 1)}
	})
	if err != nil || second.Version != 2 {
		t.Fatalf("%+v, %v", second, err)
	}
	near(t, sounds(t, a, "reviews", wordy), long)
	if back, err := a.Rollback(t.Context(), "reviews"); err != nil || back.From != 2 || back.To != 1 {
		t.Errorf("%+v, %v", back, err)
	}
	near(t, sounds(t, a, "reviews", wordy), long) // both models are the long one now
	if status, body := askHTTP(t, a, "DELETE", "/api/v1/pipelines/reviews", ""); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := askHTTP(t, a, "GET", "/v2/models/reviews", ""); status != http.StatusNotFound {
		t.Errorf("a deleted pipeline answers %d", status)
	}
	if left, _ := filepath.Glob(filepath.Join(data, "pipelines", "*.tar")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestAProgramInAPipeline pushes the example with a Python program, whose second step is the other pipeline.
func TestAProgramInAPipeline(t *testing.T) {
	data := t.TempDir()
	a, stop := openPrograms(t, data, false)
	pushModel(t, a, "reviews-short", "reviews-short.onnx")
	pushModel(t, a, "reviews-long", "reviews-long.onnx")
	if _, err := pushExample(t, a, "reviews", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := pushExample(t, a, "cleaned", nil); fairlead.CodeOf(err) != fairlead.CodeUnsupported || !strings.Contains(err.Error(), "--processes") {
		t.Errorf("a server that starts no programs: %v", err)
	}
	stop()
	a, stop = openPrograms(t, data, true)
	if _, err := pushExample(t, a, "cleaned", nil); err != nil {
		t.Fatal(err)
	}
	near(t, sounds(t, a, "reviews-cleaned", "<p>ｇｏｏｄ,&nbsp;good</p>"), sigmoid(4))
	// A circle over both is refused, and so is taking away what another one asks.
	_, err := pushExample(t, a, "reviews", func(f pipelineFiles) {
		f["pipeline.yaml"] = pipelineFile{content: bytes.Replace(f["pipeline.yaml"].content, []byte("model: reviews-long"), []byte("model: reviews-cleaned"), 1)}
	})
	if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), "asks reviews again") {
		t.Errorf("%v", err)
	}
	if _, err := a.pipelines.DeletePipeline(t.Context(), "reviews"); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("%v", err)
	}
	stop()
	a, _ = openPrograms(t, data, true) // both come back, whichever is loaded first
	near(t, sounds(t, a, "reviews-cleaned", "<p>ｇｏｏｄ,&nbsp;good</p>"), sigmoid(4))
	if left, _ := filepath.Glob(filepath.Join(data, "pipelines", "run", "*")); len(left) != 1 {
		t.Errorf("folders of programs: %v", left)
	}
}

// TestNobodyFailsWhileAStepsModelIsPushed pushes versions of a step's model while the pipeline is asked.
func TestNobodyFailsWhileAStepsModelIsPushed(t *testing.T) {
	a, _ := openPrograms(t, t.TempDir(), false)
	pushModel(t, a, "reviews-short", "reviews-short.onnx")
	pushModel(t, a, "reviews-long", "reviews-long.onnx")
	if _, err := pushExample(t, a, "reviews", nil); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var answers atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				status, body := askHTTP(t, a, "POST", "/v2/models/reviews/infer", `{"inputs":[{"name":"text","datatype":"BYTES","shape":[2,1],"data":["`+brief+`","`+wordy+`"]}]}`)
				if status != http.StatusOK {
					t.Errorf("%d %s", status, body)
					return
				}
				answers.Add(1)
			}
		})
	}
	for i := range 6 {
		pushModel(t, a, "reviews-short", []string{"reviews-long.onnx", "reviews-short.onnx"}[i%2])
	}
	stop.Store(true)
	wg.Wait()
	if answers.Load() < 10 {
		t.Errorf("only %d answers", answers.Load())
	}
}

func TestFoldersThatAreNoPipelines(t *testing.T) {
	pack := func(name, content string) []byte {
		body, _, err := pipelineFiles{name: {content: []byte(content)}}.packed()
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	for name, test := range map[string]struct {
		body []byte
		want string
	}{
		"nothing":   {nil, "has no pipeline.yaml"},
		"garbage":   {bytes.Repeat([]byte("x"), 2000), "not a complete tar"},
		"elsewhere": {pack("../pipeline.yaml", "name: p"), `"../pipeline.yaml", which is not a file in its folder`},
		"absolute":  {pack("/etc/pipeline.yaml", "name: p"), "not a file in its folder"},
		"too much":  {pack("pipeline.yaml", strings.Repeat("#", 5000)), "more than 4000 bytes"},
		"cut":       {pack("pipeline.yaml", "name: p")[:514], "not a complete tar"},
	} {
		if _, err := readPipelineTar(test.body, 4000); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	files, err := readPipelineTar(pack("folder/pipeline.yaml", "name: p"), 4000)
	if err != nil || string(files["pipeline.yaml"].content) != "name: p" {
		t.Errorf("a folder in the tar: %v, %v", files, err)
	}
}
