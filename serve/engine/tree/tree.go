// Package tree runs ONNX models that are tree ensembles, in Go: a random forest or boosted trees, as scikit-learn and
// LightGBM export them, with nothing around the trees but nodes that change names, types and containers. Any other graph
// is not for this package: Open says so, and ONNX Runtime runs it.
//
// It computes what ONNX Runtime computes on one thread, in its order: thresholds are compared in float32, the leaves of
// the trees are added in float32 in the order of the file. Scores without a post transform are the same bits; those with
// exp or log may differ in the last ones, because the C library's rounding of those functions is not Go's.
//
// It is faster because a node is eight bytes, a step is a comparison without a branch, and eight trees (or eight rows in
// one tree) are walked at a time, so that the processor waits for eight nodes at once instead of for one after the other.
package tree

import (
	"context"
	"sync"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// Model is one loaded tree ensemble; it implements engine.Session.
type Model struct {
	sig     fairlead.Signature
	forest  *forest
	input   feed
	outputs []output // in the signature's order

	scratch sync.Pool // of *scratch
	inUse   sync.RWMutex
	closed  bool
}

// Open reads an ONNX model. ok is false for a valid model that is not an ensemble of trees that this package computes
// exactly as ONNX Runtime does, and why says what stands in the way. An error of CodeInvalid is for bytes that are no
// ONNX model, and for trees that contradict themselves: a cycle, a child that is not there.
func Open(onnx []byte) (m *Model, why string, err error) {
	model, err := decode(onnx)
	if err != nil {
		return nil, "", err
	}
	g, why := recognise(model)
	if why != "" {
		return nil, why, nil
	}
	a, why := readEnsemble(g.trees)
	if why != "" {
		return nil, why, nil
	}
	if why := g.fits(a); why != "" {
		return nil, why, nil
	}
	f, why, err := build(a)
	if why != "" || err != nil {
		return nil, why, err
	}
	return &Model{sig: g.signature(), forest: f, input: g.input, outputs: g.outputs}, "", nil
}

// Trees is how many trees the model has.
func (m *Model) Trees() int { return len(m.forest.roots) }

// Signature is the graph's own.
func (m *Model) Signature() fairlead.Signature { return m.sig }

// rowsAtOnce is how many rows are computed between two looks at the context, and how many leaves are kept.
const rowsAtOnce = 64

// Run computes the named outputs, all of them for nil. When ctx ends, the computation stops after at most 64 rows.
func (m *Model) Run(ctx context.Context, in []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error) {
	if ctx.Err() != nil {
		return nil, engine.ContextError(ctx)
	}
	if err := engine.Check(&m.sig, in); err != nil {
		return nil, err
	}
	if err := engine.CheckOutputs(&m.sig, outputs); err != nil {
		return nil, err
	}
	m.inUse.RLock()
	defer m.inUse.RUnlock()
	if m.closed {
		return nil, engine.Closed()
	}
	x := &in[0]
	if w := x.Width(); w < m.forest.features {
		return nil, fairlead.Invalid("the trees read %d columns, but a row of input %q has %d", m.forest.features, x.Name, w)
	}
	s, _ := m.scratch.Get().(*scratch)
	if s == nil {
		s = m.forest.newScratch()
	}
	defer m.scratch.Put(s)
	rows := x.Rows()
	r := result{labels: make([]int32, rows), scores: make([]float32, rows*m.forest.targets)}
	for from := 0; from < rows; from += rowsAtOnce {
		if from > 0 && ctx.Err() != nil {
			return nil, engine.ContextError(ctx)
		}
		m.forest.compute(s, m.input, x, from, min(from+rowsAtOnce, rows), &r)
	}
	return m.answers(&r, rows, outputs), nil
}

// Close waits for the runs in flight.
func (m *Model) Close() error {
	m.inUse.Lock()
	defer m.inUse.Unlock()
	m.closed = true
	return nil
}

// result is what the trees say of each row.
type result struct {
	labels []int32   // indices of class labels; unused in regression
	scores []float32 // a row of targets each
	given  bool      // scores are in an answer
}

func (m *Model) answers(r *result, rows int, names []string) []fairlead.Tensor {
	n := len(m.outputs)
	if names != nil {
		n = len(names)
	}
	answers := make([]fairlead.Tensor, n)
	for i := range answers {
		out := &m.outputs[i]
		if names != nil {
			for j := range m.outputs {
				if m.outputs[j].spec.Name == names[i] {
					out = &m.outputs[j]
				}
			}
		}
		answers[i] = out.tensor(r, rows, m.forest)
	}
	return answers
}

// tensor is one output of the graph.
func (o *output) tensor(r *result, rows int, f *forest) fairlead.Tensor {
	t := fairlead.Tensor{Name: o.spec.Name, Type: o.spec.Type, Shape: []int64{int64(rows)}}
	switch {
	case o.labels && f.words != nil:
		d := make([]string, rows)
		for i, label := range r.labels {
			d[i] = f.words[label]
		}
		t.Data = d
	case o.labels:
		d := make([]int64, rows)
		for i, label := range r.labels {
			d[i] = f.numbers[label]
		}
		t.Data = d
	default:
		if !o.flat {
			t.Shape = append(t.Shape, int64(f.targets))
		}
		d := r.scores
		if o.columns != nil || r.given { // answers do not share memory
			d = make([]float32, len(r.scores))
			o.order(d, r.scores, f.targets)
		}
		r.given = r.given || o.columns == nil
		t.Data = d
	}
	return t
}

// order copies scores with their columns in the order of a ZipMap's keys.
func (o *output) order(to, from []float32, width int) {
	if o.columns == nil {
		copy(to, from)
		return
	}
	for row := 0; row < len(from); row += width {
		for i, column := range o.columns {
			to[row+i] = from[row+column]
		}
	}
}
