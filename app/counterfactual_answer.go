package app

import (
	"cmp"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/watch/estimate"
	"github.com/fairlead-ml/fairlead/watch/explain"
	"github.com/fairlead-ml/fairlead/watch/profile"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// mostClasses are named.
const mostClasses = 10

// answerOf is a row of a model's outputs. The class of a binary task is one of its two names, whatever the model writes.
func answerOf(sig *fairlead.Signature, outputs []fairlead.Tensor, n int) explain.Answer {
	a := explain.Answer{Score: math.NaN()}
	if f, ok := sig.Score(); ok && sig.Task != fairlead.TaskMulticlass {
		a.Score = outputNumber(outputs, f, n)
	}
	label, labelled := labelField(sig)
	if labelled {
		a.Class = outputText(outputs, label, n)
	}
	switch sig.Task {
	case fairlead.TaskBinary:
		positive, known := a.Score >= realised.Threshold, !math.IsNaN(a.Score)
		if labelled {
			positive, known = realised.Positive(a.Class, sig.Classes())
		}
		if a.Class = ""; known {
			a.Class = binaryNames(sig)[0]
			if positive {
				a.Class = binaryNames(sig)[1]
			}
		}
	case fairlead.TaskMulticlass:
		if labelled {
			break
		}
		best := math.Inf(-1)
		for _, f := range sig.Fields() {
			if x := outputNumber(outputs, f, n); f.Output && f.Role == fairlead.RoleScore && x > best {
				best, a.Class = x, f.Name
			}
		}
	}
	return a
}

// binaryNames are the negative and the positive class.
func binaryNames(sig *fairlead.Signature) [2]string {
	if c := sig.Classes(); len(c) == 2 {
		return [2]string{c[0], c[1]}
	}
	return [2]string{"negative", "positive"}
}

// scale says what the answers mean.
func (c *counterfactual) scale(pairs []explain.Pair) explain.Scale {
	var s explain.Scale
	switch c.run.sig.Task {
	case fairlead.TaskBinary:
		names := binaryNames(&c.run.sig)
		s.Classes, s.Positive = names[:], names[1]
		s.Right = c.calibrated(pairs)
	case fairlead.TaskMulticlass:
		count := map[string]int{}
		for _, p := range pairs {
			count[p.Now.Class]++
			count[p.Back.Class]++
		}
		delete(count, "")
		for class := range count {
			s.Classes = append(s.Classes, class)
		}
		slices.SortFunc(s.Classes, func(a, b string) int {
			return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
		})
		s.Classes = s.Classes[:min(len(s.Classes), mostClasses)]
	}
	return s
}

// calibrated is the share of positives at a score: as the reference's labels have it, or the score itself if all are probabilities.
func (c *counterfactual) calibrated(pairs []explain.Pair) func(float64) float64 {
	if t := c.ref.Truth; t != nil {
		x, y, weight := make([]float64, len(t.Rows)), make([]float64, len(t.Rows)), make([]float64, len(t.Rows))
		for j, n := range t.Rows {
			x[j], y[j], weight[j] = float64(j), float64(t.Positive[j])/float64(max(n, 1)), float64(n)
		}
		if fit := estimate.FitIsotonic(x, y, weight); len(fit.X) > 0 && c.ref.Layout.Columns[t.Column].Kind == profile.Numeric {
			return func(score float64) float64 { return fit.At(float64(c.ref.Layout.Slot(t.Column, score))) }
		}
	}
	for _, p := range pairs {
		if !(p.Now.Score >= 0 && p.Now.Score <= 1) {
			return nil
		}
	}
	return func(score float64) float64 { return score }
}

func (c *counterfactual) answered() *api.Counterfactual {
	m := c.impact
	out := &api.Counterfactual{Says: m.Says(), Reason: m.Reason, Clear: m.Clear, Classes: []api.ClassPutBack{}}
	if m.Reason != "" {
		return out
	}
	out.Version, out.Rows, out.Replaced, out.Method, out.Compared = int(c.version), m.Rows, c.replaced, c.method, c.compared
	difference := func(d *explain.Difference) *api.PutBack {
		if d == nil {
			return nil
		}
		return &api.PutBack{Now: d.Now, Back: d.Back, Change: estimateOf(d.Change)}
	}
	out.Score, out.Accuracy = difference(m.Score), difference(m.Accuracy)
	if m.Flips != nil {
		flips := estimateOf(*m.Flips)
		out.Flips, out.Chance = &flips, finitePointer(m.Chance)
	}
	for i := range m.Classes {
		out.Classes = append(out.Classes, api.ClassPutBack{Class: m.Classes[i].Class, PutBack: *difference(&m.Classes[i].Difference)})
	}
	if m.Fault != nil {
		out.Fault = &api.AccuracyIfFault{Lost: estimateOf(*m.Fault)}
	}
	return out
}
