// Package tally counts what the arms of a split answer, and compares a shadow's answers with the live ones. Counting is
// atomic additions; what is read is a plain fairlead.Tally or fairlead.PairTally.
package tally

import (
	"math"
	"slices"
	"strconv"

	"github.com/fairlead-ml/fairlead"
)

// Gauge reads from a request's tensors what is counted: score, predicted class, segments. It does not change.
type Gauge struct {
	score    *fairlead.Field // nil: none
	label    string          // the output with the predicted class; "": none
	classes  []string        // names of the classes; may be nil
	columns  string          // the output with a score per class; "": none
	divided  bool            // a single score of two classes, divided at 0.5
	edges    []float64
	segments []fairlead.Field
}

// NewGauge makes the gauge of a signature. edges are the inner edges of the score's bins, ascending, JointBins-1 at most;
// nil: those that DefaultEdges gives. The error is CodeInvalid.
func NewGauge(sig *fairlead.Signature, edges []float64) (*Gauge, error) {
	g := &Gauge{edges: slices.Clone(edges)}
	fields := sig.Fields()
	if f, ok := sig.Score(); ok {
		g.score = &f
	}
	for i := range sig.Outputs {
		out := &sig.Outputs[i]
		switch {
		case out.Role == fairlead.RoleLabel && g.label == "":
			g.label = out.Name
			g.classes = cmpOr(g.classes, out.Classes)
		case out.Role == fairlead.RoleScore && g.score != nil && g.score.Tensor == out.Name:
			g.classes = cmpOr(out.Classes, g.classes)
			if out.Width() > 1 {
				g.columns = out.Name
			} else {
				g.divided = sig.Task != fairlead.TaskRegression
			}
		}
	}
	for _, name := range sig.Segments {
		i := slices.IndexFunc(fields, func(f fairlead.Field) bool { return !f.Output && f.Name == name })
		if i >= 0 {
			g.segments = append(g.segments, fields[i])
		}
	}
	if g.score == nil {
		g.edges = nil
		return g, nil
	}
	if g.edges == nil {
		g.edges = DefaultEdges(g.score.Role)
	}
	if len(g.edges) >= fairlead.JointBins {
		return nil, fairlead.Invalid("the scores have %d bins", len(g.edges)+1).Hintf("at most %d", fairlead.JointBins)
	}
	for i, e := range g.edges {
		if math.IsNaN(e) || math.IsInf(e, 0) || i > 0 && e <= g.edges[i-1] {
			return nil, fairlead.Invalid("the edges of the scores' bins are %v", g.edges).Hintf("finite numbers, each above the one before")
		}
	}
	return g, nil
}

func cmpOr(a, b []string) []string {
	if a != nil {
		return a
	}
	return b
}

// DefaultEdges are the inner edges of bins for an output of that role: 32 equal bins of [0,1] for a score; for a value,
// powers of ten from 0.01 to 1e5 with their halves by logarithm, in both directions.
func DefaultEdges(role fairlead.OutputRole) []float64 {
	edges := make([]float64, 0, fairlead.JointBins-1)
	if role == fairlead.RoleScore {
		for i := 1; i < fairlead.JointBins; i++ {
			edges = append(edges, float64(i)/fairlead.JointBins)
		}
		return edges
	}
	const each = (fairlead.JointBins - 2) / 2
	for i := each - 1; i >= 0; i-- {
		edges = append(edges, -math.Pow(10, float64(i)/2-2))
	}
	edges = append(edges, 0)
	for i := range each {
		edges = append(edges, math.Pow(10, float64(i)/2-2))
	}
	return edges
}

// Edges are the inner edges of the score's bins, nil where the model has no score.
func (g *Gauge) Edges() []float64 { return g.edges }

// Score is the score of a row: that of the positive class, the value of a regression, the score of the first class of
// many. It is false where the outputs have none; it may be no number.
func (g *Gauge) Score(outputs []fairlead.Tensor, row int) (float64, bool) {
	if g.score == nil {
		return 0, false
	}
	return element(outputs, g.score.Tensor, row, g.score.Index)
}

func element(ts []fairlead.Tensor, name string, row, index int) (float64, bool) {
	t := fairlead.Find(ts, name)
	if t == nil || index >= t.Width() || row >= t.Rows() {
		return 0, false
	}
	return t.Float(row*t.Width() + index)
}

// class is what a model says a row is: the number of the class, or its text where the model gives one.
type class struct {
	number int // -1: unknown
	text   string
}

// noClass is the class of an answer that has none.
var noClass = class{number: -1}

// classOf is the predicted class of a row: the label where the model gives one, else the class with the largest score, else
// whether the single score is 0.5 or more.
func (g *Gauge) classOf(outputs []fairlead.Tensor, row int) class {
	switch {
	case g.label != "":
		t := fairlead.Find(outputs, g.label)
		if t == nil || t.Width() != 1 || row >= t.Rows() {
			return noClass
		}
		if texts, ok := t.Data.([]string); ok {
			return class{slices.Index(g.classes, texts[row]), texts[row]}
		}
		v, ok := t.Float(row)
		if !ok || math.IsNaN(v) {
			return noClass
		}
		if v >= 0 && v < 1<<31 && v == math.Trunc(v) {
			return class{number: int(v)}
		}
		return class{-1, strconv.FormatFloat(v, 'g', -1, 64)}
	case g.columns != "":
		return class{number: g.largest(outputs, row)}
	case g.divided:
		v, ok := g.Score(outputs, row)
		if !ok || math.IsNaN(v) {
			return noClass
		}
		if v >= 0.5 {
			return class{number: 1}
		}
		return class{number: 0}
	}
	return noClass
}

// largest is the column with the largest score, the first of equals; -1 for none.
func (g *Gauge) largest(outputs []fairlead.Tensor, row int) int {
	t := fairlead.Find(outputs, g.columns)
	if t == nil || row >= t.Rows() {
		return -1
	}
	w, best, at := t.Width(), math.Inf(-1), -1
	for i := range w {
		if v, ok := t.Float(row*w + i); ok && (v > best || at < 0 && v == best) {
			best, at = v, i
		}
	}
	return at
}

// name is how people call a class.
func (g *Gauge) name(c class) string {
	switch {
	case c.text != "":
		return c.text
	case c.number < 0:
		return ""
	case c.number < len(g.classes):
		return g.classes[c.number]
	}
	return strconv.Itoa(c.number)
}

// counted is the number of the classes that are counted, 0 where there are none.
func (g *Gauge) counted() int {
	if g.label == "" && g.columns == "" && !g.divided {
		return 0
	}
	return fairlead.MaxClasses
}

// maxScanned is how many elements of one answer are looked at for what is no number.
const maxScanned = 1 << 16

// finite says whether all of a row's outputs are numbers, of all rows for row -1.
func finite(outputs []fairlead.Tensor, row int) bool {
	for i := range outputs {
		t := &outputs[i]
		from, to := 0, t.Len()
		if row >= 0 {
			if row >= t.Rows() {
				continue
			}
			from, to = row*t.Width(), (row+1)*t.Width()
		}
		if to = min(to, from+maxScanned, t.Len()); !finiteData(t, from, to) {
			return false
		}
	}
	return true
}

func finiteData(t *fairlead.Tensor, from, to int) bool {
	switch d := t.Data.(type) {
	case []float32:
		for _, v := range d[from:to] {
			if v-v != 0 { // NaN and the infinities
				return false
			}
		}
	case []float64:
		for _, v := range d[from:to] {
			if v-v != 0 {
				return false
			}
		}
	case []uint16:
		if t.Type == fairlead.Uint16 {
			return true
		}
		for _, v := range d[from:to] {
			if f := fairlead.HalfToFloat(v, t.Type); f-f != 0 {
				return false
			}
		}
	}
	return true
}
