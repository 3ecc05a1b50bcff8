package tree

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/fairlead-ml/fairlead"
)

// feed is how the graph's input comes to the trees.
type feed struct {
	spec  fairlead.TensorSpec
	width int64 // of a row; -1: any
}

// output is what one output of the graph carries.
type output struct {
	spec    fairlead.TensorSpec
	labels  bool  // the class labels; else the scores
	flat    bool  // scores of one column, as a list
	columns []int // the scores in the order of a ZipMap's keys; nil: as they come
	words   bool  // the labels are text
}

// recognised is a graph that is a tree ensemble.
type recognised struct {
	trees   *node
	input   feed
	outputs []output

	zipped [][]string // keys of each ZipMap
}

// What a name of the graph stands for.
type meaning int

const (
	meansInput meaning = iota + 1
	meansLabels
	meansScores
	meansFlatScores // of one column, as a list
	meansMaps
)

// symbol is a value of the graph.
type symbol struct {
	meaning meaning
	element int64    // of the input
	keys    []string // of maps, in the order of the scores' columns
	numbers []int64  // the same as numbers
}

// recognise finds the trees of a model, and says why not if there is more to it.
func recognise(m *model) (*recognised, string) {
	g := &m.graph
	switch {
	case m.unknown != "":
		return nil, m.unknown
	case g.external:
		return nil, "it has sparse initializers"
	case len(g.inputs) != 1:
		return nil, fmt.Sprintf("it has %d inputs", len(g.inputs))
	case len(g.outputs) == 0:
		return nil, "it has no outputs"
	}
	in := g.inputs[0]
	types := map[int64]fairlead.DataType{typeFloat: fairlead.FP32, typeDouble: fairlead.FP64, typeInt64: fairlead.Int64, typeInt32: fairlead.Int32}
	if !in.isTensor || types[in.element] == "" || len(in.shape) != 2 {
		return nil, fmt.Sprintf("its input %q is not a table of numbers", in.name)
	}
	if rows, width := in.shape[0], in.shape[1]; rows == 0 || rows > mostRows || width > mostFeatures || rows*width > mostFeatures {
		return nil, fmt.Sprintf("its input %q has shape %s", in.name, fairlead.ShapeString(in.shape))
	}
	if _, ok := g.consts[in.name]; ok {
		return nil, fmt.Sprintf("its input %q has a default", in.name)
	}
	r := &recognised{input: feed{fairlead.TensorSpec{Name: in.name, Type: types[in.element], Shape: in.shape}, in.shape[1]}}
	known := map[string]symbol{in.name: {meaning: meansInput, element: in.element}}
	for i := range g.nodes {
		if why := r.follow(g, &g.nodes[i], known); why != "" {
			return nil, why
		}
	}
	if r.trees == nil {
		return nil, "it has no tree ensemble"
	}
	for i := range g.outputs {
		if why := r.addOutput(&g.outputs[i], known); why != "" {
			return nil, why
		}
	}
	return r, ""
}

// follow says what the outputs of a node are.
func (r *recognised) follow(g *graph, n *node, known map[string]symbol) string {
	no := fmt.Sprintf("it has a node %s", n.op)
	if len(n.in) == 0 || len(n.out) == 0 {
		return no
	}
	for _, name := range n.out {
		if _, ok := known[name]; ok || name == "" {
			return fmt.Sprintf("it gives the name %q twice", name)
		}
	}
	s, ok := known[n.in[0]]
	if !ok {
		return no
	}
	switch {
	case n.domain == "ai.onnx.ml" && (n.op == "TreeEnsembleClassifier" || n.op == "TreeEnsembleRegressor"):
		return r.followTrees(n, s, known)
	case n.domain == "ai.onnx.ml" && n.op == "ZipMap" && s.meaning == meansScores && len(n.in) == 1:
		keys, numbers := n.attributes["classlabels_strings"].texts, n.attributes["classlabels_int64s"].ints
		if (len(keys) == 0) == (len(numbers) == 0) {
			return no + " without keys"
		}
		s = symbol{meaning: meansMaps, keys: keys, numbers: numbers}
	case n.domain != "" && n.domain != "ai.onnx", len(n.out) != 1:
		return no
	default:
		if s = n.trivial(g, s); s.meaning == 0 {
			return no
		}
	}
	known[n.out[0]] = s
	return ""
}

func (r *recognised) followTrees(n *node, s symbol, known map[string]symbol) string {
	switch {
	case r.trees != nil:
		return "it has several tree ensembles"
	case len(n.in) != 1 || s.meaning != meansInput:
		return "its trees do not read the input"
	case s.element != typeFloat:
		return "its trees do not read float32"
	}
	r.trees = n
	if n.op == "TreeEnsembleRegressor" {
		known[n.out[0]] = symbol{meaning: meansScores}
		return ""
	}
	if len(n.out) != 2 {
		return "its classifier does not give labels and scores"
	}
	known[n.out[0]], known[n.out[1]] = symbol{meaning: meansLabels}, symbol{meaning: meansScores}
	return ""
}

// trivial is what a node that computes nothing makes of s; without a meaning if it does more.
func (n *node) trivial(g *graph, s symbol) symbol {
	table := s.meaning == meansInput || s.meaning == meansScores
	switch n.op {
	case "Identity":
		if s.meaning != meansMaps {
			return s
		}
	case "Cast":
		to := n.attributes["to"].number
		switch {
		case s.meaning == meansInput && (to == typeFloat || to == s.element):
			return symbol{meaning: meansInput, element: to}
		case s.meaning == meansScores && to == typeFloat, s.meaning == meansFlatScores && to == typeFloat:
			return s
		case s.meaning == meansLabels && (to == typeInt64 || to == typeString):
			return symbol{meaning: meansLabels, element: to} // addOutput compares it with the labels' own type
		}
	case "Flatten":
		axis, given := n.attributes["axis"]
		if table && (!given || axis.number == 1) {
			return s
		}
	case "Mul": // LightGBM's export multiplies by one
		if len(n.in) == 2 && s.meaning == meansScores {
			if one, ok := g.consts[n.in[1]]; ok && !one.odd && len(one.dims) == 0 && len(one.floats) == 1 && one.floats[0] == 1 {
				return s
			}
		}
	case "Reshape":
		if len(n.in) != 2 || n.attributes["allowzero"].number != 0 {
			return symbol{}
		}
		to, ok := g.consts[n.in[1]]
		if ok && !to.odd && slices.Equal(to.ints, []int64{-1}) {
			switch s.meaning {
			case meansLabels, meansFlatScores:
				return s
			case meansScores: // fits checks that it is one column
				return symbol{meaning: meansFlatScores}
			}
		}
	}
	return symbol{}
}

func (r *recognised) addOutput(v *value, known map[string]symbol) string {
	s := known[v.name]
	o := output{spec: fairlead.TensorSpec{Name: v.name, Shape: v.shape}}
	strange := fmt.Sprintf("its output %q is of another type than the trees give", v.name)
	switch s.meaning {
	case meansLabels:
		o.labels, o.words = true, v.element == typeString
		o.spec.Type = fairlead.Int64
		if o.words {
			o.spec.Type = fairlead.Bytes
		}
		if !v.isTensor || !o.words && v.element != typeInt64 || s.element != 0 && s.element != v.element {
			return strange
		}
	case meansScores, meansFlatScores:
		o.spec.Type, o.flat = fairlead.FP32, s.meaning == meansFlatScores
		if !v.isTensor || v.element != typeFloat {
			return strange
		}
	case meansMaps:
		if !v.isMaps || v.element != typeFloat || v.key == typeString == (s.keys == nil) {
			return strange
		}
		keys, columns := sortKeys(s.keys, s.numbers)
		r.zipped = append(r.zipped, keys)
		o.columns = columns
		o.spec.Type, o.spec.Shape, o.spec.Classes = fairlead.FP32, []int64{-1, int64(len(keys))}, keys
	default:
		return fmt.Sprintf("its output %q is not made by the trees", v.name)
	}
	r.outputs = append(r.outputs, o)
	return ""
}

// sortKeys gives the names of a ZipMap's keys the way the maps iterate, texts by bytes and numbers by value, and the
// column of the scores that each has.
func sortKeys(texts []string, numbers []int64) (keys []string, columns []int) {
	columns = make([]int, max(len(texts), len(numbers)))
	for i := range columns {
		columns[i] = i
	}
	if len(texts) > 0 {
		slices.SortFunc(columns, func(a, b int) int { return cmp.Compare(texts[a], texts[b]) })
		for _, c := range columns {
			keys = append(keys, texts[c])
		}
		return keys, columns
	}
	slices.SortFunc(columns, func(a, b int) int { return cmp.Compare(numbers[a], numbers[b]) })
	for _, c := range columns {
		keys = append(keys, strconv.FormatInt(numbers[c], 10))
	}
	return keys, columns
}

// fits says why the ensemble does not go with the nodes around it, "" if it does.
func (r *recognised) fits(a *ensemble) string {
	for _, keys := range r.zipped {
		if len(keys) != a.targets || len(slices.Compact(slices.Clone(keys))) != len(keys) {
			return "its ZipMap has other keys than the trees have classes"
		}
	}
	for _, o := range r.outputs {
		if o.flat && a.targets != 1 {
			return "it takes its scores apart"
		}
		if o.labels && o.words != (len(a.words) > 0) {
			return fmt.Sprintf("its output %q is of another type than the trees give", o.spec.Name)
		}
	}
	if r.input.width >= 0 && r.input.width < int64(a.features) {
		return fmt.Sprintf("its trees read %d columns, but its input has %d", a.features, r.input.width)
	}
	return ""
}

func (r *recognised) signature() fairlead.Signature {
	sig := fairlead.Signature{Task: fairlead.TaskNone, Inputs: []fairlead.TensorSpec{r.input.spec}}
	for _, o := range r.outputs {
		sig.Outputs = append(sig.Outputs, o.spec)
	}
	return sig
}
