package tree_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/enginetest"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
	"github.com/fairlead-ml/fairlead/serve/engine/tree"
)

// runtime opens ONNX Runtime, which the trees are held against.
func runtime(t testing.TB) *ort.Runtime {
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

func load(t testing.TB, rt *ort.Runtime, onnx []byte) *ort.Session {
	t.Helper()
	s, err := rt.Load(onnx, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	onnx, err := os.ReadFile(filepath.Join("testdata", name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return onnx
}

func open(t testing.TB, onnx []byte) *tree.Model {
	t.Helper()
	m, why, err := tree.Open(onnx)
	if err != nil || why != "" {
		t.Fatalf("not opened: %s, %v", why, err)
	}
	return m
}

// exported are the models of testdata/make.py, and why they are not walked here; "" where they are.
var exported = map[string]string{
	"forest2": "", "forest3": "", "forest3_words": "", "forest3_zipmap": "", "forest3_words_zipmap": "", "extra3": "", "tree3": "",
	"boosting2": "", "boosting3": "", "forest_value": "", "forest_values": "", "tree_value": "", "boosting_value": "",
	"lightgbm2": "", "lightgbm2_zipmap": "", "lightgbm3": "", "lightgbm3_words": "", "lightgbm_value": "", "lightgbm_category": "",
	"forest3_columns":  "it has a node Slice",
	"forest2_double":   "its trees do not read float32",
	"lightgbm_split":   "it has a node Cast",
	"lightgbm_forest2": "it has a node ArrayFeatureExtractor",
}

// columns are the special values of each column: the thresholds that are asked of it.
func specials(m *tree.Model, width int) [][]float32 {
	all := make([][]float32, width)
	for f, ts := range tree.Thresholds(m) {
		if f < width {
			all[f] = ts
		}
	}
	return all
}

var strange = []float32{
	float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), 1e-45, -1e-45, 1e-40,
	math.MaxFloat32, -math.MaxFloat32,
}

// table makes rows of plain values, of thresholds and their neighbours, and of strange ones.
func table(rng *rand.Rand, rows, width int, special [][]float32) []float32 {
	x := make([]float32, rows*width)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * 2)
		ts := special[i%width]
		switch rng.IntN(8) {
		case 0, 1, 2:
			if len(ts) > 0 {
				x[i] = ts[rng.IntN(len(ts))]
			}
		case 3:
			if len(ts) > 0 {
				x[i] = math.Nextafter32(ts[rng.IntN(len(ts))], strange[1+rng.IntN(2)])
			}
		case 4:
			x[i] = strange[rng.IntN(len(strange))]
		case 5:
			x[i] = float32(rng.IntN(14) - 1) // categories
		}
	}
	return x
}

// differences says how far two answers are apart: other labels, and the scores' largest distance in units of the last
// place. Where a score is not finite, both must be.
func differences(got, want []fairlead.Tensor) (ulps int64, err error) {
	if len(got) != len(want) {
		return 0, fmt.Errorf("%d outputs, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := &got[i], &want[i]
		if g.Name != w.Name || g.Type != w.Type || !reflect.DeepEqual(g.Shape, w.Shape) || g.Len() != w.Len() {
			return 0, fmt.Errorf("output is %s %s %v, want %s %s %v", g.Name, g.Type, g.Shape, w.Name, w.Type, w.Shape)
		}
		scores, ok := g.Data.([]float32)
		if !ok {
			if !reflect.DeepEqual(g.Data, w.Data) {
				return 0, fmt.Errorf("output %s is %v, want %v", g.Name, g.Data, w.Data)
			}
			continue
		}
		for j, v := range scores {
			d := distance(v, w.Data.([]float32)[j])
			if ulps = max(ulps, d); d > 1<<20 {
				return d, fmt.Errorf("output %s, value %d is %v, want %v", g.Name, j, v, w.Data.([]float32)[j])
			}
		}
	}
	return ulps, nil
}

// distance counts the floats between two; 0 and -0 are one, NaN is NaN. Next to 0 it counts in steps of 1e-10 at least,
// because 1-p of a p next to 1 has lost the digits that p differs in.
func distance(a, b float32) int64 {
	if a == b || a != a && b != b {
		return 0
	}
	if math.Abs(float64(a)-float64(b)) <= 2e-7 && math.Abs(float64(a)) < 1 {
		return 1
	}
	key := func(v float32) int64 {
		bits := int64(int32(math.Float32bits(v)))
		if bits < 0 {
			return math.MinInt32 - bits
		}
		return bits
	}
	d := key(a) - key(b)
	return max(d, -d)
}

// compare runs rows through both and gives the largest distance of a score.
func compare(t *testing.T, ours, theirs engine.Session, rng *rand.Rand, rows int, special [][]float32) int64 {
	t.Helper()
	in := ours.Signature().Inputs[0]
	width := len(special)
	var worst int64
	for rows > 0 {
		n := []int{1, 2, 7, 8, 9, 64, 65, 300}[rng.IntN(8)]
		x := table(rng, n, width, special)
		tensors := []fairlead.Tensor{{Name: in.Name, Type: in.Type, Shape: []int64{int64(n), int64(width)}, Data: x}}
		got, err := ours.Run(t.Context(), tensors, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := theirs.Run(t.Context(), tensors, nil)
		if err != nil {
			t.Fatal(err)
		}
		ulps, err := differences(got, want)
		if err != nil {
			t.Fatalf("%d rows: %v", n, err)
		}
		worst, rows = max(worst, ulps), rows-n
	}
	return worst
}

// A model that was exported by a library gives the answers of ONNX Runtime, under the same names and types.
func TestExportedModels(t *testing.T) {
	rt := runtime(t)
	const seed, rows = 11, 15_000
	for name, refused := range exported {
		t.Run(name, func(t *testing.T) {
			onnx := file(t, name)
			if refused != "" {
				if _, why, err := tree.Open(onnx); why != refused || err != nil {
					t.Fatalf("refused with %q, %v; want %q", why, err, refused)
				}
				return
			}
			ours, theirs := open(t, onnx), load(t, rt, onnx)
			if got, want := ours.Signature(), theirs.Signature(); !reflect.DeepEqual(got, want) {
				t.Fatalf("signature %+v, ONNX Runtime's is %+v", got, want)
			}
			width := ours.Signature().Inputs[0].Width()
			worst := compare(t, ours, theirs, rand.New(rand.NewPCG(seed, 0)), rows, specials(ours, width))
			t.Logf("%d trees, seed %d, %d rows: scores within %d units in the last place", ours.Trees(), seed, rows, worst)
			if worst > 4 {
				t.Errorf("seed %d: scores are %d units in the last place off", seed, worst)
			}
		})
	}
}

func TestConformance(t *testing.T) {
	rt := runtime(t)
	var suite enginetest.Suite
	for name, refused := range exported {
		if refused != "" {
			continue
		}
		onnx := file(t, name)
		theirs := load(t, rt, onnx)
		in := theirs.Signature().Inputs[0]
		x := make([]float32, 3*in.Width())
		for i := range x {
			x[i] = float32(i%7) - 3
		}
		g := enginetest.Golden{
			Name: name, Tolerance: 1e-6,
			Open: func(t *testing.T) engine.Session { return open(t, onnx) },
			In:   []fairlead.Tensor{{Name: in.Name, Type: in.Type, Shape: []int64{3, int64(in.Width())}, Data: x}},
		}
		var err error
		if g.Want, err = theirs.Run(t.Context(), g.In, nil); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "lightgbm") && strings.Contains(name, "2") || strings.Contains(name, "3") && strings.HasPrefix(name, "lightgbm") {
			g.In, g.Want = oneRow(g.In, g.Want)
		}
		if name == "forest_values" {
			continue // the file says one value per row, and gives three
		}
		suite.Goldens = append(suite.Goldens, g)
	}
	enginetest.Run(t, suite)
}

// oneRow is for models that say they give one label, whatever the rows.
func oneRow(in, out []fairlead.Tensor) ([]fairlead.Tensor, []fairlead.Tensor) {
	cut := func(ts []fairlead.Tensor) (cut []fairlead.Tensor) {
		for i := range ts {
			cut = append(cut, ts[i].Slice(0, 1))
		}
		return cut
	}
	return cut(in), cut(out)
}

// Ensembles of every kind that the operators allow give ONNX Runtime's answers, or are refused.
func TestRandomEnsembles(t *testing.T) {
	rt := runtime(t)
	const graphs, rows = 3000, 400
	opened, refused := 0, map[string]int{}
	var worst int64
	for seed := range uint64(graphs) {
		rng := rand.New(rand.NewPCG(seed, 1))
		e := randomEnsemble(rng)
		onnx := e.onnx()
		ours, why, err := tree.Open(onnx)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if why != "" {
			refused[why]++
			continue
		}
		opened++
		what := fmt.Sprintf("seed %d: classifier %t, %d targets, %d trees, base %v, %s %s", seed, e.classifier, e.targets, e.trees, e.base, e.transform, e.aggregate)
		t.Run(what, func(t *testing.T) {
			theirs, err := rt.Load(onnx, ort.Options{})
			if err != nil {
				t.Fatalf("ONNX Runtime refuses it: %v", err)
			}
			defer func() { _ = theirs.Close() }()
			if got, want := ours.Signature(), theirs.Signature(); !reflect.DeepEqual(got, want) {
				t.Fatalf("signature %+v, ONNX Runtime's is %+v", got, want)
			}
			ulps := compare(t, ours, theirs, rng, rows, specials(ours, e.width))
			worst = max(worst, ulps)
		})
	}
	t.Logf("%d ensembles opened, scores within %d units in the last place; refused: %v", opened, worst, refused)
	if worst > 4 {
		t.Errorf("scores are %d units in the last place off", worst)
	}
	if opened < graphs/2 {
		t.Errorf("only %d of %d ensembles were opened", opened, graphs)
	}
}

// Before a model serves it is held against ONNX Runtime's session of the same file; another model is told apart.
func TestAgainst(t *testing.T) {
	rt := runtime(t)
	for name, refused := range exported {
		if refused != "" {
			continue
		}
		v, err := open(t, file(t, name)).Against(t.Context(), load(t, rt, file(t, name)), nil, time.Now)
		if err != nil || v.Difference != "" || v.Rows < 256 || v.Faster <= 0 {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	for _, c := range []struct{ ours, theirs, want string }{
		{"forest2", "boosting2", "differs in value"},
		{"forest2", "forest3", "the signature is"},
		{"forest_value", "boosting_value", `output "variable" differs in value`},
	} {
		v, err := open(t, file(t, c.ours)).Against(t.Context(), load(t, rt, file(t, c.theirs)), nil, time.Now)
		if err != nil || !strings.Contains(v.Difference, c.want) {
			t.Errorf("%s against %s: %+v, %v; want %q", c.ours, c.theirs, v, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, file(t, "tree3")).Against(ctx, load(t, rt, file(t, "tree3")), nil, time.Now); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}
