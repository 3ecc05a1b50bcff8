// Package gbdt is a small gradient-boosted tree learner on histograms, for the monitor's own questions: which of two windows does
// a row come from (domain classifier, density ratios), and how large is a model's error likely to be? Columns are numeric,
// missing values (NaN) go wherever they lower the loss; a column of categories is a column of their codes. It follows the
// published method of LightGBM (Ke et al. 2017): leaf-wise growth, second-order gains, at most 255 bins a column.
package gbdt

import (
	"fmt"
	"math"
)

// Loss is what a model minimises.
type Loss int

// The losses: Logistic is for labels 0 and 1, and predicts probabilities; Squared is for any number.
const (
	Logistic Loss = iota
	Squared
)

// Options of a fit. The zero value takes the defaults, which are LightGBM's but for the number of bins.
type Options struct {
	Trees    int     // 100
	Leaves   int     // of each tree at most; 31
	Rate     float64 // of learning; 0.1
	LeafRows int     // rows in a leaf, at least; 20
	Lambda   float64 // L2 penalty of a leaf's value
	Bins     int     // of a column, at most 255; 63
}

func (o Options) withDefaults() Options {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.Trees, 100)
	set(&o.Leaves, 31)
	set(&o.LeafRows, 20)
	set(&o.Bins, 63)
	o.Bins = min(o.Bins, 255)
	if !(o.Rate > 0) {
		o.Rate = 0.1
	}
	return o
}

// Model is a fitted sum of trees.
type Model struct {
	Loss  Loss    `json:"loss"`
	Start float64 `json:"start"` // before the first tree
	Trees []Tree  `json:"trees"`
}

// Tree is a list of nodes, the root first. Node i is a leaf where Column is −1.
type Tree struct {
	Nodes []Node `json:"nodes"`
}

// Node sends a row to Left where its value is at most Threshold, or missing and MissingLeft.
type Node struct {
	Column      int     `json:"column"`
	Threshold   float64 `json:"threshold"`
	MissingLeft bool    `json:"missing_left"`
	Left        int     `json:"left"`
	Right       int     `json:"right"`
	Value       float64 `json:"value"` // of a leaf
}

// Predict is the probability of a positive (Logistic) or the value (Squared) for one row, one value a column.
func (m *Model) Predict(row []float64) float64 {
	sum := m.Start
	for i := range m.Trees {
		sum += m.Trees[i].value(row)
	}
	if m.Loss == Logistic {
		return logistic(sum)
	}
	return sum
}

func (t *Tree) value(row []float64) float64 {
	n := &t.Nodes[0]
	for n.Column >= 0 {
		v := clamp(row[n.Column])
		if v <= n.Threshold || v != v && n.MissingLeft {
			n = &t.Nodes[n.Left]
		} else {
			n = &t.Nodes[n.Right]
		}
	}
	return n.Value
}

// Fit learns from columns[c][row]; target and, where not nil, weight have one element a row. The same input gives the same model. The error
// says what is wrong with the input.
func Fit(columns [][]float64, target, weight []float64, loss Loss, o Options) (*Model, error) {
	o = o.withDefaults()
	if err := check(columns, target, weight, loss); err != nil {
		return nil, err
	}
	f := newFitter(columns, target, weight, loss, o)
	m := &Model{Loss: loss, Start: f.start()}
	for i := range f.score {
		f.score[i] = m.Start
	}
	for range o.Trees {
		tree, ok := f.grow()
		if !ok {
			break // no split lowers the loss any more
		}
		m.Trees = append(m.Trees, tree)
	}
	return m, nil
}

func check(columns [][]float64, target, weight []float64, loss Loss) error {
	if len(columns) == 0 || len(target) == 0 {
		return fmt.Errorf("a fit needs columns and rows; there are %d and %d", len(columns), len(target))
	}
	for c, v := range columns {
		if len(v) != len(target) {
			return fmt.Errorf("column %d has %d rows, the target %d", c, len(v), len(target))
		}
	}
	if weight != nil && len(weight) != len(target) {
		return fmt.Errorf("there are %d weights for %d rows", len(weight), len(target))
	}
	total := 0.0
	for i, y := range target {
		if math.IsNaN(y) || math.IsInf(y, 0) || loss == Logistic && (y < 0 || y > 1) {
			return fmt.Errorf("the target of row %d is %v; a number is wanted, from 0 to 1 for the logistic loss", i, y)
		}
		w := 1.0
		if weight != nil {
			w = weight[i]
		}
		if !(w >= 0) || math.IsInf(w, 0) {
			return fmt.Errorf("the weight of row %d is %v; a number of at least 0 is wanted", i, w)
		}
		total += w
	}
	if total == 0 {
		return fmt.Errorf("no row has a weight")
	}
	return nil
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// clamp makes an infinite value the largest finite one, so that thresholds are finite and can be stored.
func clamp(v float64) float64 {
	if v != v {
		return v
	}
	return math.Max(-math.MaxFloat64, math.Min(math.MaxFloat64, v))
}
