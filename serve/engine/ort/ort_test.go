package ort_test

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/enginetest"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB) *ort.Runtime {
	t.Helper()
	library := os.Getenv("FAIRLEAD_ORT_LIBRARY")
	if library == "" {
		library = "../../../bin/libonnxruntime.so.1"
	}
	if _, err := os.Stat(library); err != nil {
		t.Skipf("no ONNX Runtime library: set FAIRLEAD_ORT_LIBRARY or run make (%v)", err)
	}
	rt, err := ort.Open(library)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return rt
}

func load(t testing.TB, rt *ort.Runtime, name string) *ort.Session {
	t.Helper()
	s, err := rt.Load(model(t, name), ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// model is the bytes of one of the models in testdata.
func model(t testing.TB, name string) []byte {
	t.Helper()
	onnx, err := os.ReadFile(filepath.Join("testdata", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return onnx
}

func tensor(name string, t fairlead.DataType, data any, shape ...int64) fairlead.Tensor {
	return fairlead.Tensor{Name: name, Type: t, Shape: shape, Data: data}
}

func TestConformance(t *testing.T) {
	rt := open(t)
	var goldens []enginetest.Golden
	golden := func(model string, in, want []fairlead.Tensor) {
		goldens = append(goldens, enginetest.Golden{
			Name: model, In: in, Want: want,
			Open: func(t *testing.T) engine.Session { return load(t, rt, model) },
		})
	}
	for name, x := range map[string]fairlead.Tensor{
		"bool":   tensor("x", fairlead.Bool, []bool{true, false, false, true}, 2, 2),
		"int8":   tensor("x", fairlead.Int8, []int8{-128, 127, 0, 1}, 2, 2),
		"int16":  tensor("x", fairlead.Int16, []int16{-32768, 32767, 0, 1}, 2, 2),
		"int32":  tensor("x", fairlead.Int32, []int32{math.MinInt32, math.MaxInt32, 0, 1}, 2, 2),
		"int64":  tensor("x", fairlead.Int64, []int64{math.MinInt64, math.MaxInt64, 0, 1}, 2, 2),
		"uint8":  tensor("x", fairlead.Uint8, []uint8{0, 255, 1, 2}, 2, 2),
		"uint16": tensor("x", fairlead.Uint16, []uint16{0, 65535, 1, 2}, 2, 2),
		"uint32": tensor("x", fairlead.Uint32, []uint32{0, math.MaxUint32, 1, 2}, 2, 2),
		"uint64": tensor("x", fairlead.Uint64, []uint64{0, math.MaxUint64, 1, 2}, 2, 2),
		"fp16":   tensor("x", fairlead.FP16, []uint16{0x3c00, 0xc000, 0x7c00, 0x0001}, 2, 2),
		"bf16":   tensor("x", fairlead.BF16, []uint16{0x3f80, 0xc000, 0x7f80, 0x0001}, 2, 2),
		"fp32":   tensor("x", fairlead.FP32, []float32{1.5, float32(math.NaN()), float32(math.Inf(-1)), 1e-45}, 2, 2),
		"fp64":   tensor("x", fairlead.FP64, []float64{1.5, math.NaN(), math.Inf(1), 5e-324}, 2, 2),
		"bytes":  tensor("x", fairlead.Bytes, []string{"", "a\x00b", "Ålborg", "\xff"}, 2, 2),
	} {
		y := x
		y.Name = "y"
		golden("identity_"+name, []fairlead.Tensor{x}, []fairlead.Tensor{y})
	}
	golden("strings",
		[]fairlead.Tensor{tensor("city", fairlead.Bytes, []string{"ORD", "ÅLB", "nowhere"}, 3, 1)},
		[]fairlead.Tensor{tensor("code", fairlead.Int64, []int64{2, 3, -1}, 3, 1)})
	golden("batch1",
		[]fairlead.Tensor{tensor("x", fairlead.FP32, []float32{1, 2, 3}, 1, 3)},
		[]fairlead.Tensor{tensor("y", fairlead.FP32, []float32{2, 4, 6}, 1, 3)})
	golden("two_inputs",
		[]fairlead.Tensor{
			tensor("a", fairlead.FP32, []float32{1, 2}, 1, 2),
			tensor("b", fairlead.FP32, []float32{10, 20}, 1, 2),
		},
		[]fairlead.Tensor{
			tensor("sum", fairlead.FP32, []float32{11, 22}, 1, 2),
			tensor("difference", fairlead.FP32, []float32{-9, -18}, 1, 2),
		})
	golden("sequence",
		[]fairlead.Tensor{tensor("x", fairlead.FP32, []float32{1, 2, 3}, 3)},
		[]fairlead.Tensor{tensor("s", fairlead.FP32, []float32{1, 2, 3}, 1, 3)})
	golden("sequence_rows",
		[]fairlead.Tensor{tensor("x", fairlead.FP32, []float32{1, 2, 3, 4}, 2, 2)},
		[]fairlead.Tensor{tensor("s", fairlead.FP32, []float32{1, 2, 3, 4}, 2, 1, 2)})
	golden("scalar",
		[]fairlead.Tensor{tensor("x", fairlead.FP32, []float32{1, 2, 6}, 3)},
		[]fairlead.Tensor{tensor("mean", fairlead.FP32, []float32{3})})
	rows := []fairlead.Tensor{tensor("X", fairlead.FP32, []float32{0, 0, 1, 0, 2, 1}, 3, 2)}
	scores := []float32{1, 0, 0, 0, 1, 0, 0, 0, 1}
	golden("tree", rows, []fairlead.Tensor{
		tensor("label", fairlead.Int64, []int64{0, 1, 5}, 3),
		tensor("probabilities", fairlead.FP32, scores, 3, 3),
	})
	golden("tree_zipmap", rows, []fairlead.Tensor{
		tensor("output_label", fairlead.Int64, []int64{0, 1, 5}, 3),
		tensor("output_probability", fairlead.FP32, scores, 3, 3),
	})
	golden("tree_zipmap_words", rows, []fairlead.Tensor{
		tensor("output_label", fairlead.Bytes, []string{"setosa", "late", "on time"}, 3),
		tensor("output_probability", fairlead.FP32, []float32{0, 0, 1, 1, 0, 0, 0, 1, 0}, 3, 3), // late, on time, setosa
	})
	for i := range goldens {
		if goldens[i].Name == "scalar" {
			goldens[i].Want[0].Shape = []int64{}
		}
	}
	enginetest.Run(t, enginetest.Suite{Goldens: goldens, Slow: &enginetest.Golden{
		Open: func(t *testing.T) engine.Session { return load(t, rt, "loop") },
		In: []fairlead.Tensor{
			tensor("x", fairlead.FP32, []float32{0}, 1),
			tensor("trips", fairlead.Int64, []int64{1 << 40}, 1),
		},
	}})
}

func TestZipMapClasses(t *testing.T) {
	rt := open(t)
	for model, want := range map[string]string{"tree_zipmap": "0 1 5", "tree_zipmap_words": "late on time setosa"} {
		sig := load(t, rt, model).Signature()
		out := sig.Outputs[1]
		if got := strings.Join(out.Classes, " "); got != want || fairlead.ShapeString(out.Shape) != "[?,3]" {
			t.Errorf("%s: classes %q of shape %v, want %q", model, got, out.Shape, want)
		}
	}
}

func TestRefusedModels(t *testing.T) {
	rt := open(t)
	good := model(t, "tree")
	for name, c := range map[string]struct {
		onnx []byte
		want string // of the message and of the hint
		hint string
	}{
		"empty":          {nil, "the model is empty", "the bytes of an .onnx file"},
		"text":           {[]byte("PK this is no model"), "protobuf parsing failed", "onnx.checker.check_model"},
		"truncated":      {good[:len(good)/2], "protobuf parsing failed", "onnx.checker.check_model"},
		"ir":             {model(t, "refused_ir"), "IR version", "set model.ir_version"},
		"opset":          {model(t, "refused_opset"), "opset", "export it with an older opset"},
		"operator":       {model(t, "refused_operator"), "Frobnicate", "express it with standard ones"},
		"domain":         {model(t, "refused_domain"), "com.example", "libraries of custom operators are not loaded"},
		"kernel":         {model(t, "refused_kernel"), "LRN", "a Cast to float32"},
		"external":       {model(t, "refused_external"), `weights "w" of the model are in another file`, "save_as_external_data=False"},
		"types":          {model(t, "refused_types"), "Type Error", "full_check=True"},
		"optional":       {model(t, "refused_optional"), `output "y" of the model is an optional value`, "OptionalGetElement"},
		"sequence input": {model(t, "refused_sequence_input"), `input "x" of the model is a sequence`, "SplitToSequence"},
		"float8":         {model(t, "refused_float8"), `output "y" of the model has element type float8e4m3fn`, "add a Cast"},
	} {
		_, err := rt.Load(c.onnx, ort.Options{})
		var e *fairlead.Error
		if !errors.As(err, &e) || e.Code != fairlead.CodeInvalid || !strings.Contains(e.Message, c.want) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %v, want an invalid error with %q and the hint %q", name, err, c.want, c.hint)
			continue
		}
		t.Logf("%s: %v", name, err)
		if strings.Contains(err.Error(), ".cc") || strings.Contains(err.Error(), "\n") || len(err.Error()) > 700 {
			t.Errorf("%s: the message is not for people: %v", name, err)
		}
	}
}

// A sequence of tensors is served as one tensor where its members have one shape.
func TestRaggedSequence(t *testing.T) {
	s := load(t, open(t), "sequence_ragged")
	run := func(b ...float32) ([]fairlead.Tensor, error) {
		return s.Run(t.Context(), []fairlead.Tensor{
			tensor("a", fairlead.FP32, []float32{1, 2}, 2), tensor("b", fairlead.FP32, b, int64(len(b))),
		}, nil)
	}
	out, err := run(3, 4)
	if err != nil {
		t.Fatal(err)
	}
	if diff := enginetest.Diff(out, []fairlead.Tensor{tensor("s", fairlead.FP32, []float32{1, 2, 3, 4}, 2, 2)}, 0); diff != "" {
		t.Error(diff)
	}
	_, err = run(3)
	if fairlead.CodeOf(err) != fairlead.CodeUnsupported || !strings.Contains(err.Error(), `output "s" is a sequence whose members have different shapes: [2], then [1]`) {
		t.Errorf("a ragged sequence: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	_, err := ort.Open("testdata/make.py")
	if fairlead.CodeOf(err) != fairlead.CodeUnavailable || !strings.Contains(err.Error(), "make.py") {
		t.Errorf("opening a file that is no library: %v", err)
	}
}

func TestCloseWithSessions(t *testing.T) {
	rt := open(t)
	s := load(t, rt, "tree")
	if err := rt.Close(); err == nil {
		t.Error("Close with an open session gave no error")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestNoSocket shows that loading and running opens no socket: telemetry is off before the library starts.
func TestNoSocket(t *testing.T) {
	before := sockets(t)
	rt := open(t)
	s := load(t, rt, "tree")
	for range 100 {
		in := []fairlead.Tensor{tensor("X", fairlead.FP32, []float32{0, 0}, 1, 2)}
		if _, err := s.Run(context.Background(), in, nil); err != nil {
			t.Fatal(err)
		}
	}
	for link := range sockets(t) {
		if !before[link] {
			t.Errorf("the process has opened %s", link)
		}
	}
	if os.Getenv("ORT_DISABLE_TELEMETRY") != "1" {
		t.Error("ORT_DISABLE_TELEMETRY is not 1")
	}
}

func sockets(t *testing.T) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	links := map[string]bool{}
	for _, e := range entries {
		if link, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(link, "socket:") {
			links[link] = true
		}
	}
	return links
}
