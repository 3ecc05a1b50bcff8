package app

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	walker "github.com/fairlead-ml/fairlead/serve/engine/tree"
)

// A forest is walked by our own engine, and its report says so; any other graph, and a forest to which ONNX Runtime gives
// other answers, stays with ONNX Runtime.
func TestTreesLoadFastest(t *testing.T) {
	a := open(t, t.TempDir())
	a.deployer.trees = true
	d := a.deployer
	if _, err := a.Push(t.Context(), "forest", false, testModel(t, "forest"), api.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	report := d.Report("forest", 1)
	if !slices.ContainsFunc(report, func(l string) bool { return strings.HasPrefix(l, "engine: ") }) {
		t.Errorf("the report does not name the engine: %q", report)
	}
	if err := d.reload(t.Context(), "forest"); err != nil {
		t.Fatal(err)
	}
	if again := d.Report("forest", 1); len(again) != len(report) {
		t.Errorf("after a reload the report is %q, before %q", again, report)
	}

	load := func(model string) (engine.Session, string) {
		t.Helper()
		s, said, err := d.loadFastest(t.Context(), testModel(t, model), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s, said
	}
	s, said := load("forest")
	if _, ours := s.(*walker.Model); ours != strings.HasPrefix(said, "engine: own tree walker, 20 trees, ") {
		t.Errorf("%T, but the report says %q", s, said)
	}
	if s, said := load("identity_fp32"); said != "" {
		t.Errorf("%T for no trees: %q", s, said)
	}
	ort := d.load
	d.load = func(onnx []byte, threads int) (engine.Session, error) {
		s, err := ort(onnx, threads)
		if err != nil {
			return nil, err
		}
		sig := s.Signature()
		_ = s.Close()
		return fake.New(sig, wrong), nil
	}
	if s, said := load("forest"); !strings.HasPrefix(said, "engine: ONNX Runtime, for our tree walker does not give its answers") {
		t.Errorf("%T although the answers differ: %q", s, said)
	}
	d.load = ort
	d.trees = false
	if s, said := load("forest"); said != "" {
		t.Errorf("%T although it is switched off: %q", s, said)
	}
}

// wrong is a model that calls everything class 0 and gives no class a score.
func wrong(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
	n := in[0].Shape[0]
	return []fairlead.Tensor{
		{Name: "label", Type: fairlead.Int64, Shape: []int64{n}, Data: make([]int64, n)},
		{Name: "probabilities", Type: fairlead.FP32, Shape: []int64{n, 3}, Data: make([]float32, 3*n)},
	}, nil
}
