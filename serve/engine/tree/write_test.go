package tree_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"

	"google.golang.org/protobuf/encoding/protowire"
)

// Ensembles that no library exports are written here, field by field of ONNX's protobuf.

type message []byte

func (m *message) number(field protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) bytes(field protowire.Number, b []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), b)
}

func (m *message) text(field protowire.Number, s string) { m.bytes(field, []byte(s)) }

// ensemble is a TreeEnsembleClassifier or TreeEnsembleRegressor to be written.
type ensemble struct {
	classifier bool
	width      int
	trees      int

	treeIDs, nodeIDs, trueIDs, falseIDs, features, missing []int64
	values                                                 []float32
	modes                                                  []string
	weightTrees, weightNodes, weightTargets                []int64
	weights                                                []float32

	targets              int64
	words                []string
	numbers              []int64
	base                 []float32
	transform, aggregate string
}

func attribute(name string, value any) (a message) {
	a.text(1, name)
	switch v := value.(type) {
	case int64:
		a.number(3, v)
		a.number(20, 2)
	case string:
		a.text(4, v)
		a.number(20, 3)
	case []float32:
		var b []byte
		for _, f := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
		}
		a.bytes(7, b)
		a.number(20, 6)
	case []int64:
		for _, i := range v {
			a.number(8, i)
		}
		a.number(20, 7)
	case []string:
		for _, s := range v {
			a.text(9, s)
		}
		a.number(20, 8)
	}
	return a
}

// valueInfo has a free first dimension before dims.
func valueInfo(name string, element int64, dims ...int64) (v message) {
	var first, shape, tensor, kind message
	first.text(2, "n")
	shape.bytes(1, first)
	for _, d := range dims {
		var dim message
		dim.number(1, d)
		shape.bytes(1, dim)
	}
	tensor.number(1, element)
	tensor.bytes(2, shape)
	kind.bytes(1, tensor)
	v.text(1, name)
	v.bytes(2, kind)
	return v
}

func opset(domain string, version int64) (m message) {
	m.text(1, domain)
	m.number(2, version)
	return m
}

// onnx writes the ensemble as a model of one node.
func (e *ensemble) onnx() []byte {
	kind, prefix, targets := "TreeEnsembleRegressor", "target", e.targets
	var n, g, m message
	n.text(1, "x")
	if e.classifier {
		kind, prefix, targets = "TreeEnsembleClassifier", "class", int64(max(len(e.words), len(e.numbers)))
		n.text(2, "label")
	}
	n.text(2, "scores")
	n.text(4, kind)
	n.text(7, "ai.onnx.ml")
	for _, a := range []struct {
		name  string
		value any
	}{
		{"nodes_treeids", e.treeIDs}, {"nodes_nodeids", e.nodeIDs}, {"nodes_truenodeids", e.trueIDs}, {"nodes_falsenodeids", e.falseIDs},
		{"nodes_featureids", e.features}, {"nodes_missing_value_tracks_true", e.missing}, {"nodes_values", e.values}, {"nodes_modes", e.modes},
		{prefix + "_treeids", e.weightTrees}, {prefix + "_nodeids", e.weightNodes}, {prefix + "_ids", e.weightTargets},
		{prefix + "_weights", e.weights}, {"base_values", e.base},
	} {
		n.bytes(5, attribute(a.name, a.value))
	}
	if e.transform != "" {
		n.bytes(5, attribute("post_transform", e.transform))
	}
	switch {
	case !e.classifier:
		n.bytes(5, attribute("n_targets", e.targets))
		n.bytes(5, attribute("aggregate_function", e.aggregate))
	case e.words != nil:
		n.bytes(5, attribute("classlabels_strings", e.words))
	default:
		n.bytes(5, attribute("classlabels_int64s", e.numbers))
	}
	g.bytes(1, n)
	g.text(2, "g")
	g.bytes(11, valueInfo("x", 1, int64(e.width)))
	if e.classifier {
		element := int64(7)
		if e.words != nil {
			element = 8
		}
		g.bytes(12, valueInfo("label", element))
	}
	g.bytes(12, valueInfo("scores", 1, targets))
	m.number(1, 8)
	m.bytes(7, g)
	m.bytes(8, opset("", 17))
	m.bytes(8, opset("ai.onnx.ml", 3))
	return m
}

var allModes = []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"}

// plant adds a tree of up to so many leaves.
func (e *ensemble) plant(rng *rand.Rand, leaves int, modes []string, missing float64, classes func(leaf int) []int64) {
	id := int64(e.trees)
	e.trees++
	first := len(e.nodeIDs)
	node := func() int64 {
		i := int64(len(e.nodeIDs) - first)
		e.treeIDs, e.nodeIDs = append(e.treeIDs, id), append(e.nodeIDs, i)
		e.trueIDs, e.falseIDs, e.features = append(e.trueIDs, 0), append(e.falseIDs, 0), append(e.features, 0)
		e.missing, e.values, e.modes = append(e.missing, 0), append(e.values, 0), append(e.modes, "LEAF")
		return i
	}
	open := []int64{node()}
	for len(open) < leaves {
		k := rng.IntN(len(open))
		at := first + int(open[k])
		yes, no := node(), node()
		if rng.IntN(2) == 0 {
			yes, no = no, yes
		}
		e.trueIDs[at], e.falseIDs[at] = yes, no
		e.features[at], e.modes[at] = int64(rng.IntN(e.width)), modes[rng.IntN(len(modes))]
		e.values[at] = float32(rng.NormFloat64())
		switch rng.IntN(6) {
		case 0:
			e.values[at] = float32(rng.IntN(14) - 1)
		case 1:
			e.values[at] = strange[1+rng.IntN(len(strange)-1)]
		}
		if rng.Float64() < missing {
			e.missing[at] = 1
		}
		open[k] = yes
		open = append(open, no)
	}
	for i, leaf := range open {
		for _, class := range classes(i) {
			e.weightTrees, e.weightNodes, e.weightTargets = append(e.weightTrees, id), append(e.weightNodes, leaf), append(e.weightTargets, class)
			e.weights = append(e.weights, float32(rng.NormFloat64()))
		}
	}
}

// randomEnsemble is any that the two operators allow.
func randomEnsemble(rng *rand.Rand) *ensemble {
	e := &ensemble{
		classifier: rng.IntN(2) == 0, width: 1 + rng.IntN(6), targets: int64(1 + rng.IntN(4)),
		transform: []string{"", "NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"}[rng.IntN(6)],
		aggregate: []string{"SUM", "AVERAGE", "MIN", "MAX"}[rng.IntN(4)],
	}
	if e.classifier {
		e.targets = max(2, e.targets)
		for i := range e.targets {
			if e.numbers = append(e.numbers, i); rng.IntN(2) == 0 {
				e.words = append(e.words, fmt.Sprint("class ", i))
			}
		}
		if len(e.words) != len(e.numbers) {
			e.words = nil
		} else {
			e.numbers = nil
		}
	}
	modes, missing := []string{allModes[rng.IntN(6)]}, []float64{0, 0, 0.4, 1}[rng.IntN(4)]
	if rng.IntN(2) == 0 {
		modes = allModes
	}
	only := rng.Int64N(e.targets)
	pattern := rng.IntN(4)
	leaves := []int{1, 2, 8, 40}[rng.IntN(4)]
	for t := range 1 + rng.IntN(20) {
		e.plant(rng, 1+rng.IntN(leaves), modes, missing, func(int) []int64 {
			switch pattern {
			case 0: // one column, as of two classes
				return []int64{only}
			case 1: // one class per tree, as boosting has it
				return []int64{int64(t) % e.targets}
			case 2: // some of the classes, some of them twice
				some := make([]int64, 1+rng.IntN(3))
				for i := range some {
					some[i] = rng.Int64N(e.targets)
				}
				return some
			}
			all := make([]int64, e.targets)
			for i := range all {
				all[i] = int64(i)
			}
			return all
		})
	}
	if rng.IntN(3) == 0 { // as a forest's votes
		for i, w := range e.weights {
			e.weights[i] = float32(math.Abs(float64(w))) / float32(2*e.trees)
		}
	}
	switch rng.IntN(3) {
	case 0:
		for range e.targets {
			e.base = append(e.base, float32(rng.NormFloat64()))
		}
	case 1:
		if e.targets == 2 && e.classifier {
			e.base = []float32{float32(rng.NormFloat64())}
		}
	}
	return e
}
