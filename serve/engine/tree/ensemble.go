package tree

import (
	"fmt"
	"slices"
)

// mode is how a node decides.
type mode uint8

const (
	leaf mode = iota
	lessOrEqual
	less
	greaterOrEqual
	greater
	equal
	notEqual
)

var modes = map[string]mode{
	"LEAF": leaf, "BRANCH_LEQ": lessOrEqual, "BRANCH_LT": less, "BRANCH_GTE": greaterOrEqual, "BRANCH_GT": greater,
	"BRANCH_EQ": equal, "BRANCH_NEQ": notEqual,
}

// Post transforms and aggregate functions.
type (
	transform int
	aggregate int
)

const (
	none transform = iota
	logistic
	softmax
	softmaxZero
)

const (
	sum aggregate = iota
	average
	minimum
	maximum
)

var (
	transforms = map[string]transform{
		"": none, "NONE": none, "LOGISTIC": logistic, "SOFTMAX": softmax, "SOFTMAX_ZERO": softmaxZero,
	}
	aggregates = map[string]aggregate{"": sum, "SUM": sum, "AVERAGE": average, "MIN": minimum, "MAX": maximum}
)

// ensemble is a TreeEnsembleClassifier or TreeEnsembleRegressor as the file has it: one entry per node, and one per
// weight of a leaf.
type ensemble struct {
	treeIDs, nodeIDs, trueIDs, falseIDs, featureIDs []int64
	thresholds                                      []float32
	modes                                           []mode
	missingTrue                                     []int64 // may be shorter

	weightTrees, weightNodes, weightTargets []int64
	weights                                 []float32

	base       []float32
	targets    int // or classes
	features   int // that the trees read: the largest + 1
	transform  transform
	aggregate  aggregate
	classifier bool
	words      []string // class labels; one of both
	numbers    []int64
}

// Limits of what is taken on: a larger ensemble is ONNX Runtime's.
const (
	mostTargets  = 1 << 16
	mostFeatures = 1 << 18
	mostRows     = 1 << 12 // of a fixed batch
)

// readEnsemble takes the attributes of the node, and says why not if they are none that this package knows.
func readEnsemble(n *node) (*ensemble, string) {
	e := &ensemble{classifier: n.op == "TreeEnsembleClassifier"}
	at := n.attributes
	for name, a := range at {
		if a.foreign {
			return nil, fmt.Sprintf("its attribute %s is not of float32", name)
		}
	}
	e.treeIDs, e.nodeIDs, e.featureIDs = at["nodes_treeids"].ints, at["nodes_nodeids"].ints, at["nodes_featureids"].ints
	e.trueIDs, e.falseIDs = at["nodes_truenodeids"].ints, at["nodes_falsenodeids"].ints
	e.thresholds, e.missingTrue = at["nodes_values"].floats, at["nodes_missing_value_tracks_true"].ints
	e.base = at["base_values"].floats
	if e.classifier {
		e.weightTrees, e.weightNodes, e.weightTargets = at["class_treeids"].ints, at["class_nodeids"].ints, at["class_ids"].ints
		e.weights = at["class_weights"].floats
		e.words, e.numbers = at["classlabels_strings"].texts, at["classlabels_int64s"].ints
		if (len(e.words) == 0) == (len(e.numbers) == 0) {
			return nil, "its classifier has no labels, or two kinds"
		}
		e.targets = max(len(e.words), len(e.numbers))
	} else {
		e.weightTrees, e.weightNodes, e.weightTargets = at["target_treeids"].ints, at["target_nodeids"].ints, at["target_ids"].ints
		e.weights = at["target_weights"].floats
		if n := at["n_targets"].number; n > 0 && n <= mostTargets {
			e.targets = int(n)
		}
	}
	return e, e.readRest(at)
}

func (e *ensemble) readRest(at map[string]attribute) string {
	var ok bool
	// PROBIT is not among the transforms: next to 1/2 ONNX Runtime's approximation has three digits, all of them noise of its
	// own compiler, and no exporter writes it.
	if e.transform, ok = transforms[at["post_transform"].text]; !ok {
		return fmt.Sprintf("its post_transform is %q", at["post_transform"].text)
	}
	if e.aggregate, ok = aggregates[at["aggregate_function"].text]; !ok {
		return fmt.Sprintf("its aggregate_function is %q", at["aggregate_function"].text)
	}
	if e.classifier {
		e.aggregate = sum // ONNX Runtime's classifier knows no other
	}
	for _, text := range at["nodes_modes"].texts {
		m, ok := modes[text]
		if !ok {
			return fmt.Sprintf("it has nodes of mode %q", text)
		}
		e.modes = append(e.modes, m)
	}
	n, w := len(e.modes), len(e.weights)
	for _, l := range []int{len(e.treeIDs), len(e.nodeIDs), len(e.featureIDs), len(e.trueIDs), len(e.falseIDs), len(e.thresholds)} {
		if l != n || n == 0 {
			return "its lists of nodes differ in length"
		}
	}
	if len(e.weightTrees) != w || len(e.weightNodes) != w || len(e.weightTargets) != w || w == 0 {
		return "its lists of weights differ in length"
	}
	if e.targets < 1 || e.targets > mostTargets || e.classifier && e.targets < 2 {
		return fmt.Sprintf("it has %d targets or classes", e.targets)
	}
	return e.checkValues()
}

func (e *ensemble) checkValues() string {
	for i, f := range e.featureIDs {
		if f < 0 || f >= mostFeatures {
			return fmt.Sprintf("its trees read column %d", f)
		}
		e.features = max(e.features, int(f)+1) // of leaves too, as ONNX Runtime counts
		if e.modes[i] != leaf && e.thresholds[i] != e.thresholds[i] {
			return "a threshold is not a number"
		}
	}
	for i, t := range e.weightTargets {
		if t < 0 || t >= int64(e.targets) {
			return fmt.Sprintf("a leaf votes for target %d of %d", t, e.targets)
		}
		if e.weights[i] != e.weights[i] {
			return "a weight is not a number"
		}
	}
	if n := len(e.base); n != 0 && n != e.targets && !(e.classifier && e.targets == 2 && n == 1) {
		return fmt.Sprintf("it has %d base values", n)
	}
	return ""
}

// oneColumn says whether a classifier of two classes has weights for one of them only, and whether all are positive.
func (e *ensemble) oneColumn() (one, positive bool) {
	other := slices.ContainsFunc(e.weightTargets, func(t int64) bool { return t != e.weightTargets[0] })
	negative := slices.ContainsFunc(e.weights, func(w float32) bool { return w < 0 })
	return e.classifier && e.targets == 2 && !other, !negative
}
