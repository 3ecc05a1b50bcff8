package tree_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine/tree"
)

// stump is one tree of two inner nodes and three leaves.
func stump() *ensemble {
	return &ensemble{
		width: 2, trees: 1, targets: 1, aggregate: "SUM",
		treeIDs: make([]int64, 5), nodeIDs: []int64{0, 1, 2, 3, 4}, trueIDs: []int64{1, 3, 0, 0, 0}, falseIDs: []int64{2, 4, 0, 0, 0},
		features: []int64{0, 1, 0, 0, 0}, missing: make([]int64, 5), values: []float32{1, 2, 0, 0, 0},
		modes:       []string{"BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"},
		weightTrees: make([]int64, 3), weightNodes: []int64{2, 3, 4}, weightTargets: make([]int64, 3), weights: []float32{1, 2, 3},
	}
}

// A file that contradicts itself is an error or somebody else's, never a loop or a read beyond the end.
func TestHostileModels(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		change func(e *ensemble)
		want   string
	}{
		"nothing":            {func(*ensemble) {}, ""},
		"a cycle":            {func(e *ensemble) { e.trueIDs[1] = 0 }, "leads back to itself"},
		"its own child":      {func(e *ensemble) { e.falseIDs[1] = 1 }, "leads back to itself"},
		"a child too far":    {func(e *ensemble) { e.falseIDs[1] = 5 }, "has the child 5, which is not there"},
		"a child below":      {func(e *ensemble) { e.trueIDs[1] = -1 }, "has the child -1, which is not there"},
		"a child very far":   {func(e *ensemble) { e.trueIDs[1] = 1 << 62 }, "which is not there"},
		"unreachable":        {func(e *ensemble) { e.trueIDs[1] = 4 }, "nothing leads to"},
		"an id twice":        {func(e *ensemble) { e.nodeIDs[3] = 4 }, "not numbered one by one"},
		"an id far away":     {func(e *ensemble) { e.nodeIDs[3] = 1 << 60 }, "not numbered one by one"},
		"a tree in parts":    {func(e *ensemble) { e.treeIDs[2] = 1 }, ""},
		"lists too short":    {func(e *ensemble) { e.features = e.features[:3] }, "its lists of nodes differ in length"},
		"weights too short":  {func(e *ensemble) { e.weights = e.weights[:2] }, "its lists of weights differ in length"},
		"no weights":         {func(e *ensemble) { e.weights, e.weightTrees, e.weightNodes, e.weightTargets = nil, nil, nil, nil }, "weights"},
		"a leaf without":     {func(e *ensemble) { e.weightNodes[0] = 3 }, "a leaf has no weight"},
		"a weight elsewhere": {func(e *ensemble) { e.weightTrees[0] = 9 }, "a leaf has no weight"},
		"no targets":         {func(e *ensemble) { e.targets = 0 }, "it has 0 targets or classes"},
		"many targets":       {func(e *ensemble) { e.targets = 1 << 40 }, "it has 0 targets or classes"},
		"a target too far":   {func(e *ensemble) { e.weightTargets[1] = 1 }, "votes for target 1 of 1"},
		"a target below":     {func(e *ensemble) { e.weightTargets[1] = -1 }, "votes for target -1 of 1"},
		"a column too far":   {func(e *ensemble) { e.features[1] = 2 }, "its trees read 3 columns, but its input has 2"},
		"a column below":     {func(e *ensemble) { e.features[1] = -1 }, "its trees read column -1"},
		"a column very far":  {func(e *ensemble) { e.features[1] = 1 << 50 }, "its trees read column 1125899906842624"},
		"no threshold":       {func(e *ensemble) { e.values[1] = nan }, "a threshold is not a number"},
		"a weight of NaN":    {func(e *ensemble) { e.weights[1] = nan }, "a weight is not a number"},
		"an unknown mode":    {func(e *ensemble) { e.modes[1] = "BRANCH_MEMBER" }, `it has nodes of mode "BRANCH_MEMBER"`},
		"an unknown sum":     {func(e *ensemble) { e.aggregate = "MEDIAN" }, `its aggregate_function is "MEDIAN"`},
		"PROBIT":             {func(e *ensemble) { e.transform = "PROBIT" }, `its post_transform is "PROBIT"`},
		"two base values":    {func(e *ensemble) { e.base = []float32{1, 2} }, "it has 2 base values"},
	} {
		t.Run(name, func(t *testing.T) {
			e := stump()
			c.change(e)
			m, why, err := tree.Open(e.onnx())
			if m != nil {
				if c.want != "" {
					t.Fatalf("opened, want %q", c.want)
				}
				return
			}
			if err != nil {
				if why = err.Error(); fairlead.CodeOf(err) != fairlead.CodeInvalid {
					t.Errorf("code %s, want invalid", fairlead.CodeOf(err))
				}
			}
			if c.want == "" && name == "nothing" || !strings.Contains(why, c.want) {
				t.Errorf("%q, want %q", why, c.want)
			}
		})
	}
}

func TestNoModel(t *testing.T) {
	good := stump().onnx()
	for name, onnx := range map[string][]byte{
		"empty": nil, "text": []byte("hello, world"), "cut": good[:len(good)/2], "zeros": make([]byte, 100), "ones": bytes.Repeat([]byte{255}, 100),
	} {
		if m, _, err := tree.Open(onnx); m != nil || fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%s: %v, %v, want an error of code invalid", name, m, err)
		}
	}
}

// Whatever the bytes are, opening them ends, and a model that opens answers.
func FuzzOpen(f *testing.F) {
	f.Add(stump().onnx())
	rng := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		f.Add(randomEnsemble(rng).onnx())
	}
	for _, name := range []string{"lightgbm_category", "lightgbm3_words", "tree_value", "forest3_columns"} {
		onnx, err := os.ReadFile("testdata/" + name + ".onnx")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(onnx)
	}
	f.Fuzz(func(t *testing.T, onnx []byte) {
		m, why, err := tree.Open(onnx)
		if (m != nil) == (why != "" || err != nil) {
			t.Fatalf("%v, %q, %v", m, why, err)
		}
		if m == nil {
			return
		}
		in := m.Signature().Inputs[0]
		rows, width := max(in.Shape[0], 9), in.Shape[1]
		if width < 0 {
			width = 16
		}
		if rows*width > 1<<20 || in.Type != fairlead.FP32 {
			return
		}
		x := make([]float32, rows*width)
		for i := range x {
			x[i] = strange[i%len(strange)]
		}
		_, err = m.Run(context.Background(), []fairlead.Tensor{{Name: in.Name, Type: in.Type, Shape: []int64{rows, width}, Data: x}}, nil)
		if err != nil && fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Fatal(err)
		}
	})
}
