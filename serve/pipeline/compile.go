package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// Models answers the steps that are models; *serve.Server is one.
type Models interface {
	Predict(ctx context.Context, req serve.Request) (*serve.Response, error)
}

// Options are what a pipeline is made with.
type Options struct {
	Models Models
	// Signature is what a model takes and gives now. Errors are *fairlead.Error.
	Signature func(Model) (fairlead.Signature, error)
	// Open starts a transform or a process. The pipeline closes the session.
	Open func(ctx context.Context, s *Step) (engine.Session, error)
	Now  func() time.Time
	Log  func(msg string, args ...any) // told of panics; nil: nobody is
}

// node is a step that has been checked.
type node struct {
	*Step
	index    int
	sig      fairlead.Signature // Inputs: of what is run; Outputs: of the step
	sources  []source           // of sig.Inputs
	run      runner             // what computes it; nil for a switch, and for an ensemble that is computed here
	used     []string           // outputs that others take, in the signature's order
	fallback *node
	alone    bool // only switches use it: it is run for the rows that chose it
	cases    []branch
	members  []source // of an ensemble
	counts   counts
}

// source is where a tensor comes from: a step's output or, where node is nil, the request.
type source struct {
	node   *node
	tensor string
}

// branch is one case of a switch.
type branch struct {
	when  *condition // nil: what is left
	facts []source   // of when.vars
	use   *node
}

// compiler checks a definition.
type compiler struct {
	def     *Definition
	options Options
	nodes   map[string]*node
	sorted  []*node
	opened  []engine.Session
	inputs  []fairlead.TensorSpec // of the request, as far as known
	sources map[string]string     // who says so, for messages
}

// New checks a definition, starts its transforms and processes, and gives the pipeline. The errors are CodeInvalid where
// the definition is to blame: they name the step, what it takes or gives, and what would fit.
func New(ctx context.Context, def *Definition, o Options) (p *Pipeline, err error) {
	c := &compiler{def: def, options: o, nodes: map[string]*node{}, sources: map[string]string{}}
	defer func() {
		if err == nil {
			return
		}
		if failed := c.close(); failed != nil {
			err = fmt.Errorf("%w; %w", err, failed)
		}
	}()
	conditions, err := c.conditions()
	if err != nil {
		return nil, err
	}
	steps, err := order(def, conditions)
	if err != nil {
		return nil, err
	}
	c.inputs = slices.Clone(def.Inputs)
	for _, s := range steps {
		n := &node{Step: s, index: len(c.sorted)}
		if err := c.describe(ctx, n); err != nil {
			return nil, inStep(s.Name, err)
		}
		c.nodes[s.Name] = n
		c.sorted = append(c.sorted, n)
	}
	return c.finish()
}

func (c *compiler) close() error {
	var errs []error
	for _, s := range c.opened {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// conditions lists the steps that each switch's conditions name.
func (c *compiler) conditions() (map[string][]string, error) {
	names := map[string]bool{}
	for i := range c.def.Steps {
		names[c.def.Steps[i].Name] = true
	}
	found := map[string][]string{}
	for i := range c.def.Steps {
		s := &c.def.Steps[i]
		if s.Switch == nil {
			continue
		}
		for k, when := range s.Switch.Cases {
			if when.When == "" {
				continue
			}
			steps, err := mentions(when.When, names)
			if err != nil {
				return nil, inStep(s.Name, prefixed(fmt.Sprintf("case %d", k+1), err))
			}
			found[s.Name] = append(found[s.Name], steps...)
		}
	}
	return found, nil
}

// describe finds out what a step takes and gives, and where that comes from.
func (c *compiler) describe(ctx context.Context, n *node) (err error) {
	n.fallback = c.nodes[n.Fallback]
	switch n.Kind {
	case KindModel:
		n.sig, err = c.model(n, *n.Model)
	case KindTransform, KindProcess:
		var session engine.Session
		if session, err = c.options.Open(ctx, n.Step); err == nil {
			c.opened = append(c.opened, session)
			n.sig, n.run = session.Signature(), sessionRunner{session}
		}
	case KindEnsemble:
		err = c.ensemble(n)
	case KindSwitch:
		err = c.choice(n)
	}
	if err != nil {
		return err
	}
	if n.Kind != KindEnsemble && n.Kind != KindSwitch {
		if err := c.connect(n); err != nil {
			return err
		}
	}
	return c.backed(n)
}

func (c *compiler) model(n *node, m Model) (fairlead.Signature, error) {
	sig, err := c.options.Signature(m)
	if err != nil {
		return sig, err
	}
	if len(sig.Outputs) == 0 {
		return sig, fairlead.Errorf(fairlead.CodeInternal, "model %s gives nothing", m)
	}
	n.run = modelRunner{c.options.Models, m}
	return sig, nil
}

// connect finds the source of each input.
func (c *compiler) connect(n *node) error {
	for _, in := range n.Inputs {
		if n.sig.Input(in.Name) == nil {
			return fairlead.Invalid("%s has no input %q", what(n.Step), in.Name).Hintf("%s", among(in.Name, "input", namesOf(n.sig.Inputs)))
		}
	}
	for i := range n.sig.Inputs {
		spec := &n.sig.Inputs[i]
		from := Ref{Tensor: spec.Name}
		if n.Inputs != nil {
			at := slices.IndexFunc(n.Inputs, func(in Input) bool { return in.Name == spec.Name })
			if at < 0 {
				return fairlead.Invalid("input %q %s %s of %s is missing", spec.Name, spec.Type, fairlead.ShapeString(spec.Shape), what(n.Step)).
					Hintf("say where it comes from, for example inputs: {%s: %s}", spec.Name, "step.output")
			}
			from = n.Inputs[at].From
		}
		src, err := c.give(from, spec)
		if err != nil {
			return prefixed(fmt.Sprintf("input %q", spec.Name), err)
		}
		n.sources = append(n.sources, src)
	}
	return nil
}

func what(s *Step) string {
	switch s.Kind {
	case KindModel:
		return "model " + s.Model.String()
	case KindTransform:
		return "transform " + s.Transform.Module
	case KindProcess:
		return "process " + s.Process.Command[0]
	case KindEnsemble:
		if s.Ensemble.Model != nil {
			return "model " + s.Ensemble.Model.String()
		}
	}
	return "the " + string(s.Kind)
}

func namesOf(specs []fairlead.TensorSpec) []string {
	names := make([]string, len(specs))
	for i := range specs {
		names[i] = specs[i].Name
	}
	return names
}

// find is the tensor of a step that a reference means.
func (c *compiler) find(from Ref) (source, *fairlead.TensorSpec, error) {
	n := c.nodes[from.Step]
	if n == nil { // the order says that it is there, so a step that is not is the parser's mistake
		return source{}, nil, fairlead.Errorf(fairlead.CodeInternal, "step %s is not there", from.Step)
	}
	if from.Tensor == "" {
		if len(n.sig.Outputs) != 1 {
			return source{}, nil, fairlead.Invalid("step %s has %d outputs", from.Step, len(n.sig.Outputs)).
				Hintf("name one: %s", strings.Join(namesOf(n.sig.Outputs), ", "))
		}
		return source{n, n.sig.Outputs[0].Name}, &n.sig.Outputs[0], nil
	}
	spec := n.sig.Output(from.Tensor)
	if spec == nil {
		return source{}, nil, fairlead.Invalid("step %s has no output %q", from.Step, from.Tensor).
			Hintf("%s", among(from.Tensor, "output", namesOf(n.sig.Outputs)))
	}
	return source{n, spec.Name}, spec, nil
}

// give connects a reference with the input that takes it, and checks that it fits. A tensor of the request becomes what
// the input takes.
func (c *compiler) give(from Ref, spec *fairlead.TensorSpec) (source, error) {
	if from.Step == "" {
		return source{tensor: from.Tensor}, c.request(from.Tensor, spec)
	}
	src, given, err := c.find(from)
	if err != nil {
		return src, err
	}
	if given.Type != spec.Type {
		return src, fairlead.Invalid("it takes %s, but %s is %s", spec.Type, from, given.Type).
			Hintf("a step between the two has to convert it: a model (Cast) or a transform")
	}
	if !fits(given.Shape, spec.Shape) {
		return src, fairlead.Invalid("it takes shape %s, but %s has shape %s", fairlead.ShapeString(spec.Shape), from, fairlead.ShapeString(given.Shape)).
			Hintf("? is any size; the first dimension is the row")
	}
	return src, nil
}

// request lets the pipeline take a tensor as spec says, too.
func (c *compiler) request(name string, spec *fairlead.TensorSpec) error {
	at := slices.IndexFunc(c.inputs, func(s fairlead.TensorSpec) bool { return s.Name == name })
	if at < 0 {
		if len(c.def.Inputs) > 0 {
			return fairlead.Invalid("the pipeline has no input %q", name).Hintf("%s", among(name, "input", namesOf(c.inputs)))
		}
		taken := *spec
		taken.Name, taken.Role = name, ""
		c.inputs = append(c.inputs, taken)
		c.sources[name] = "an earlier step"
		return nil
	}
	have := &c.inputs[at]
	says := c.sources[name]
	if says == "" {
		says = "inputs: of the pipeline"
	}
	if have.Type != spec.Type {
		return fairlead.Invalid("it takes %s, but %s says that %s.%s is %s", spec.Type, says, requestName, name, have.Type).
			Hintf("let the request have two tensors, or convert one of them in a step")
	}
	shape, ok := unify(have.Shape, spec.Shape)
	if !ok {
		if !fits(have.Shape, spec.Shape) {
			return fairlead.Invalid("it takes shape %s, but %s says that %s.%s has shape %s", fairlead.ShapeString(spec.Shape), says,
				requestName, name, fairlead.ShapeString(have.Shape)).Hintf("? is any size; the first dimension is the row")
		}
		shape = have.Shape
	}
	have.Shape = shape
	if have.Features == nil && len(have.Shape) == len(spec.Shape) {
		have.Features = spec.Features
	}
	return nil
}
