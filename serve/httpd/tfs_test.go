package httpd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/httpd"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/google/go-cmp/cmp"
)

// tfsModel is a model that computes f.
func tfsModel(name string, version fairlead.Version, sig fairlead.Signature, f fake.Func) *route.Target {
	return &route.Target{Model: fairlead.Name(name), Version: version, Signature: sig, Session: fake.New(sig, f)}
}

func fp32(name string, data []float32, shape ...int64) fairlead.Tensor {
	return fairlead.Tensor{Name: name, Type: fairlead.FP32, Shape: shape, Data: data}
}

// halfPlusThree is the toy model of TensorFlow Serving's documentation.
func halfPlusThree() *route.Target {
	sig := fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1}, Role: fairlead.RoleValue}},
	}
	return tfsModel("half_plus_three", 123, sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		y := make([]float32, in[0].Len())
		for i, x := range in[0].Data.([]float32) {
			y[i] = x/2 + 3
		}
		return []fairlead.Tensor{fp32("y", y, int64(len(y)))}, nil
	})
}

// garden, called iris, has a score per class and a label; its features have names, and one of its inputs is text.
func garden() *route.Target {
	sig := fairlead.Signature{
		Task: fairlead.TaskMulticlass,
		Inputs: []fairlead.TensorSpec{
			{Name: "leaf", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"length", "width"}},
			{Name: "garden", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
		},
		Outputs: []fairlead.TensorSpec{
			{Name: "label", Type: fairlead.Int64, Shape: []int64{-1}, Role: fairlead.RoleLabel},
			{Name: "probabilities", Type: fairlead.FP32, Shape: []int64{-1, 2}, Role: fairlead.RoleScore, Classes: []string{"setosa", "virginica"}},
		},
	}
	return tfsModel("iris", 2, sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		x := in[0].Data.([]float32)
		n := len(x) / 2
		label, p := make([]int64, n), make([]float32, 2*n)
		for i := range n {
			p[2*i], p[2*i+1] = x[2*i]/10, x[2*i+1]/10
			if p[2*i+1] > p[2*i] {
				label[i] = 1
			}
		}
		return []fairlead.Tensor{{Name: "label", Type: fairlead.Int64, Shape: []int64{int64(n)}, Data: label}, fp32("probabilities", p, int64(n), 2)}, nil
	})
}

// lateness has one score, the probability of its second class.
func lateness() *route.Target {
	sig := fairlead.Signature{
		Task:   fairlead.TaskBinary,
		Inputs: []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 1}}},
		Outputs: []fairlead.TensorSpec{{Name: "score", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleScore,
			Classes: []string{"in time", "late"}}},
	}
	return tfsModel("late", 1, sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		return []fairlead.Tensor{fp32("score", in[0].Data.([]float32), in[0].Shape...)}, nil
	})
}

// words gives its text back twice: once as text and once as bytes.
func words() *route.Target {
	sig := fairlead.Signature{
		Inputs: []fairlead.TensorSpec{{Name: "text", Type: fairlead.Bytes, Shape: []int64{-1}}},
		Outputs: []fairlead.TensorSpec{
			{Name: "text", Type: fairlead.Bytes, Shape: []int64{-1}}, {Name: "image_bytes", Type: fairlead.Bytes, Shape: []int64{-1}},
		},
	}
	return tfsModel("words", 1, sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		a, b := in[0], in[0]
		a.Name, b.Name = "text", "image_bytes"
		return []fairlead.Tensor{a, b}, nil
	})
}

// summary has an output per row, a mean of them all, and an image without rows.
func summary() *route.Target {
	sig := fairlead.Signature{
		Inputs: []fairlead.TensorSpec{{Name: "image", Type: fairlead.FP32, Shape: []int64{-1, -1, 2}}},
		Outputs: []fairlead.TensorSpec{
			{Name: "same", Type: fairlead.FP32, Shape: []int64{-1, -1, 2}}, {Name: "mean", Type: fairlead.FP64, Shape: []int64{1}},
		},
	}
	return tfsModel("summary", 1, sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		same, sum := in[0], 0.0
		for _, v := range same.Data.([]float32) {
			sum += float64(v)
		}
		same.Name = "same"
		return []fairlead.Tensor{same, {Name: "mean", Type: fairlead.FP64, Shape: []int64{1}, Data: []float64{sum / float64(same.Len())}}}, nil
	})
}

func newTFSServer(t testing.TB) http.Handler {
	t.Helper()
	old := halfPlusThree()
	old.Version = 122
	var rank fairlead.Signature
	rank.Inputs = []fairlead.TensorSpec{{Name: "any", Type: fairlead.FP16}}
	rank.Outputs = []fairlead.TensorSpec{{Name: "one", Type: fairlead.BF16, Shape: []int64{}}}
	table, err := route.NewTable([]route.Deployment{
		{Name: "half_plus_three", Live: halfPlusThree(), Others: []*route.Target{old}, Aliases: map[string]fairlead.Version{"stable": 122, "gone": 99}},
		{Name: "iris", Live: garden()},
		{Name: "late", Live: lateness()},
		{Name: "words", Live: words()},
		{Name: "summary", Live: summary()},
		{Name: "rankless", Live: tfsModel("rankless", 1, rank, nil)},
		{Name: "loading"},
		{Name: "broken", Reason: "the model file is damaged"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var router route.Router
	router.Swap(table)
	server := serve.New(serve.Options{
		Router: &router, NewID: func() string { return "made" },
		Now: func() time.Time { return time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC) },
	})
	return httpd.New(server, httpd.Options{Version: "1.2.3", Repository: states{
		{Name: "half_plus_three", Version: "124", State: serve.StateLoading},
		{Name: "half_plus_three", Version: "123", State: serve.StateReady},
		{Name: "half_plus_three", Version: "121", State: serve.StateUnloading},
		{Name: "half_plus_three", Version: "120", State: serve.StateUnavailable},
		{Name: "half_plus_three", Version: "119", State: serve.StateUnavailable, Reason: "the model file is damaged"},
		{Name: "iris", Version: "9", State: serve.StateLoading},
	}})
}

// states is a repository that can only be listed.
type states []serve.ModelState

func (s states) Index(context.Context) ([]serve.ModelState, error) { return s, nil }
func (s states) Load(context.Context, string, serve.LoadOptions) error {
	return errors.New("read only")
}
func (s states) Unload(context.Context, string) error { return errors.New("read only") }

// TestTFSTranscript plays testdata/tfs.txt: requests and the answers they get, in the form of testdata/transcript.txt.
func TestTFSTranscript(t *testing.T) {
	const path = "testdata/tfs.txt"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	handler := newTFSServer(t)
	var blocks []string
	for block := range strings.SplitSeq(strings.TrimRight(string(old), "\n"), "\n\n") {
		if !strings.HasPrefix(block, "#") {
			block = playTFS(t, handler, block)
		}
		blocks = append(blocks, block)
	}
	got := strings.Join(blocks, "\n\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(old), got); diff != "" {
		t.Errorf("the answers changed; if that is right, run go test -update\n%s", diff)
	}
}

func playTFS(t *testing.T, handler http.Handler, block string) string {
	var kept, body []string
	header := http.Header{}
	for i, line := range strings.Split(block, "\n") {
		if strings.HasPrefix(line, "< ") || strings.HasPrefix(line, "  ") {
			break
		}
		kept = append(kept, line)
		if b, ok := strings.CutPrefix(line, "> "); ok {
			body = append(body, b)
		} else if k, v, ok := strings.Cut(line, ": "); ok && i > 0 {
			header.Set(k, v)
		}
	}
	method, path, _ := strings.Cut(kept[0], " ")
	r := httptest.NewRequest(method, path, strings.NewReader(strings.Join(body, "\n")))
	r.Header = header
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	resp := w.Result()
	answer, _ := io.ReadAll(resp.Body)
	line := fmt.Sprintf("< %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
		line += " " + ct
	}
	kept = append(kept, line)
	if resp.StatusCode >= 400 {
		var e struct{ Error string }
		if err := json.Unmarshal(answer, &e); err != nil || e.Error == "" {
			t.Errorf("%s: the answer is no error: %s", kept[0], answer)
		}
	}
	for line := range strings.Lines(string(answer)) {
		kept = append(kept, "  "+strings.TrimRight(line, "\n"))
	}
	return strings.Join(kept, "\n")
}
