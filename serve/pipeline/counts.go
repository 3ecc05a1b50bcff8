package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// counts are what happened to a step since the pipeline was made.
type counts struct {
	runs, failed, late, fallbacks, rows atomic.Uint64
	nanos                               atomic.Int64
}

func (c *counts) add(took time.Duration, rows int, err error) {
	c.runs.Add(1)
	c.rows.Add(uint64(rows))
	c.nanos.Add(int64(took))
	switch fairlead.CodeOf(err) {
	case "":
	case fairlead.CodeCanceled: // the client went away
	case fairlead.CodeDeadline:
		c.late.Add(1)
	default:
		c.failed.Add(1)
	}
}

// StepState is a step and what happened to it.
type StepState struct {
	Name     string
	Kind     Kind
	What     string   // what it runs: a model, a module, a command, or how it decides
	Needs    []string // steps
	Within   time.Duration
	Fallback string
	Inputs   []fairlead.TensorSpec
	Outputs  []fairlead.TensorSpec

	Runs, Rows uint64
	Failed     uint64 // runs that gave an error
	Late       uint64 // runs that were not ready in time
	Fallbacks  uint64 // runs that the fallback answered for
	Time       time.Duration
}

// State lists the steps, each after those that it needs.
func (p *Pipeline) State() []StepState {
	states := make([]StepState, len(p.nodes))
	for i, n := range p.nodes {
		states[i] = StepState{
			Name: n.Name, Kind: n.Kind, What: what(n.Step), Within: n.Within, Fallback: n.Fallback,
			Inputs: n.sig.Inputs, Outputs: n.sig.Outputs, Needs: p.needs(n),
			Runs: n.counts.runs.Load(), Rows: n.counts.rows.Load(), Failed: n.counts.failed.Load(), Late: n.counts.late.Load(),
			Fallbacks: n.counts.fallbacks.Load(), Time: time.Duration(n.counts.nanos.Load()),
		}
	}
	return states
}

// needs are the steps whose outputs a node may take.
func (p *Pipeline) needs(n *node) []string {
	conditions := map[string][]string{}
	for _, b := range n.cases {
		for _, f := range b.facts {
			if f.node != nil {
				conditions[n.Name] = append(conditions[n.Name], f.node.Name)
			}
		}
	}
	return n.Step.needs(conditions)
}

// Models lists the models that the pipeline asks.
func (d *Definition) Models() []Model {
	var models []Model
	for i := range d.Steps {
		s := &d.Steps[i]
		if s.Model != nil {
			models = append(models, *s.Model)
		}
		if s.Ensemble != nil && s.Ensemble.Model != nil {
			models = append(models, *s.Ensemble.Model)
		}
	}
	return models
}
