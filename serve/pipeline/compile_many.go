package pipeline

import (
	"fmt"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// ensemble checks the members of an ensemble and says what it gives.
func (c *compiler) ensemble(n *node) error {
	e := n.Ensemble
	specs := make([]*fairlead.TensorSpec, len(e.Of))
	for i, r := range e.Of {
		src, spec, err := c.member(r)
		if err != nil {
			return err
		}
		specs[i], n.members = spec, append(n.members, src)
	}
	if e.By == ByStacked {
		return c.stacked(n, specs)
	}
	first := *specs[0]
	for i, s := range specs[1:] {
		if s.Type != first.Type {
			return fairlead.Invalid("%s is %s and %s is %s", e.Of[0], first.Type, e.Of[i+1], s.Type).Hintf("the members of an ensemble are of one type")
		}
		shape, ok := unify(first.Shape, s.Shape)
		if !ok {
			return fairlead.Invalid("%s has shape %s and %s has %s", e.Of[0], fairlead.ShapeString(first.Shape), e.Of[i+1], fairlead.ShapeString(s.Shape)).
				Hintf("the members of an ensemble are of one shape")
		}
		first.Shape = shape
	}
	switch isFloat := first.Type == fairlead.FP32 || first.Type == fairlead.FP64; {
	case !isFloat && e.By != ByVote:
		return fairlead.Invalid("%s is %s, which has no mean", e.Of[0], first.Type).Hintf("a mean is of FP32 or FP64; classes are voted on: by: vote")
	case e.By == ByVote && (isFloat || first.Type == fairlead.FP16 || first.Type == fairlead.BF16):
		return fairlead.Invalid("%s is %s: no two votes would be equal", e.Of[0], first.Type).Hintf("vote on the predicted class, or use by: mean")
	}
	if e.Output != "" {
		first.Name = e.Output
	}
	n.sig = fairlead.Signature{Outputs: []fairlead.TensorSpec{first}}
	if m := n.members[0].node; m != nil {
		n.sig.Task, n.sig.Label = m.sig.Task, m.sig.Label
	}
	return nil
}

// member is a tensor that an ensemble or a condition takes as it is. One of the request has to be known by now.
func (c *compiler) member(r Ref) (source, *fairlead.TensorSpec, error) {
	if r.Step != "" {
		return c.find(r)
	}
	at := slices.IndexFunc(c.inputs, func(s fairlead.TensorSpec) bool { return s.Name == r.Tensor })
	if at < 0 {
		return source{}, nil, fairlead.Invalid("nothing says what type %s has", r).
			Hintf("declare it: inputs: [{name: %s, datatype: FP32, shape: [-1]}]", r.Tensor)
	}
	spec := c.inputs[at]
	return source{tensor: r.Tensor}, &spec, nil
}

// stacked feeds the members side by side to a model.
func (c *compiler) stacked(n *node, specs []*fairlead.TensorSpec) (err error) {
	if n.sig, err = c.model(n, *n.Ensemble.Model); err != nil {
		return err
	}
	if len(n.sig.Inputs) != 1 {
		return fairlead.Invalid("model %s has %d inputs", n.Ensemble.Model, len(n.sig.Inputs)).Hintf("a stacker has one, of as many columns as the members have together")
	}
	in := n.sig.Inputs[0]
	width := 0
	for i, s := range specs {
		switch {
		case s.Type != in.Type:
			return fairlead.Invalid("model %s takes %s, but %s is %s", n.Ensemble.Model, in.Type, n.Ensemble.Of[i], s.Type)
		case s.Shape == nil || len(s.Shape) > 2 || len(s.Shape) == 0 || s.Width() < 0:
			return fairlead.Invalid("%s has shape %s, which is not rows of a known number of columns", n.Ensemble.Of[i], fairlead.ShapeString(s.Shape)).
				Hintf("what is stacked has shape [?] or [?,n]")
		}
		width += s.Width()
	}
	if !fits([]int64{-1, int64(width)}, in.Shape) {
		return fairlead.Invalid("model %s takes shape %s, but the members have %d columns together", n.Ensemble.Model, fairlead.ShapeString(in.Shape), width)
	}
	return nil
}

// choice finds what a switch gives: the outputs that all its cases have.
func (c *compiler) choice(n *node) error {
	for _, cs := range n.Switch.Cases {
		use := c.nodes[cs.Use]
		n.cases = append(n.cases, branch{use: use})
		if len(n.cases) == 1 {
			n.sig = fairlead.Signature{Task: use.sig.Task, Label: use.sig.Label, Outputs: slices.Clone(use.sig.Outputs)}
			continue
		}
		var err error
		if n.sig.Outputs, err = common(n.sig.Outputs, n.Switch.Cases[0].Use, use); err != nil {
			return err
		}
	}
	return nil
}

// common are the outputs of the cases so far that use has, too.
func common(outputs []fairlead.TensorSpec, first string, use *node) ([]fairlead.TensorSpec, error) {
	var kept []fairlead.TensorSpec
	for _, o := range outputs {
		other := use.sig.Output(o.Name)
		if other == nil {
			continue
		}
		shape, ok := unify(o.Shape, other.Shape)
		if !ok || other.Type != o.Type {
			return nil, fairlead.Invalid("output %q is %s %s in step %s and %s %s in step %s", o.Name, o.Type, fairlead.ShapeString(o.Shape), first,
				other.Type, fairlead.ShapeString(other.Shape), use.Name).Hintf("the cases of a switch answer with the same types and shapes")
		}
		o.Shape = shape
		kept = append(kept, o)
	}
	if len(kept) == 0 {
		return nil, fairlead.Invalid("steps %s and %s have no output in common", first, use.Name).
			Hintf("the cases of a switch answer under the same names; an ensemble or a transform can rename")
	}
	return kept, nil
}

// backed checks that the fallback can stand in for every output. It is called before it is known which are used, so an
// output that the fallback lacks is taken from the step's signature.
func (c *compiler) backed(n *node) error {
	if n.fallback == nil {
		return nil
	}
	kept, err := common(n.sig.Outputs, n.Name, n.fallback)
	if err != nil {
		return prefixed("fallback "+n.Fallback, err)
	}
	n.sig.Outputs = kept
	return nil
}

// finish compiles the conditions, now that all types are known, and puts the pipeline together.
func (c *compiler) finish() (*Pipeline, error) {
	p := &Pipeline{def: c.def, options: c.options, nodes: c.sorted, sessions: c.opened}
	for _, o := range c.def.Outputs {
		if o.From.Step == "" {
			return nil, inOutput(o.Name, fairlead.Invalid("it is a tensor of the request").Hintf("an output comes from a step"))
		}
		src, spec, err := c.find(o.From)
		if err != nil {
			return nil, inOutput(o.Name, err)
		}
		given := *spec
		given.Name = o.Name
		if o.Role != "" {
			given.Role = o.Role
		}
		if o.Classes != nil {
			given.Classes = o.Classes
		}
		p.outputs = append(p.outputs, src)
		p.sig.Outputs = append(p.sig.Outputs, given)
	}
	for _, n := range c.sorted {
		if err := c.decide(n); err != nil {
			return nil, inStep(n.Name, err)
		}
	}
	if len(c.inputs) == 0 {
		return nil, fairlead.Invalid("no step takes anything of the request")
	}
	p.sig.Inputs, p.sig.Task, p.sig.Label = c.inputs, c.def.Task, c.def.Label
	if first := p.outputs[0].node; first != nil && p.sig.Task == "" {
		p.sig.Task = first.sig.Task
		if p.sig.Label.Name == "" {
			p.sig.Label = first.sig.Label
		}
	}
	if p.sig.Task == "" {
		p.sig.Task = fairlead.TaskNone
	}
	p.mark()
	return p, nil
}

// decide compiles the conditions of a switch.
func (c *compiler) decide(n *node) error {
	if n.Kind != KindSwitch {
		return nil
	}
	var tensors []named
	for _, in := range c.inputs {
		tensors = append(tensors, named{Ref{Tensor: in.Name}, in})
	}
	for _, o := range c.sorted {
		if o.index < n.index { // what it may depend on: names of others would make a circle
			for _, spec := range o.sig.Outputs {
				tensors = append(tensors, named{Ref{o.Name, spec.Name}, spec})
			}
		}
	}
	for i := range n.cases {
		text := n.Switch.Cases[i].When
		if text == "" {
			continue
		}
		when, err := compileCondition(text, tensors, n.Switch.PerRequest)
		if err != nil {
			return prefixed(fmt.Sprintf("case %d", i+1), err)
		}
		n.cases[i].when = when
		for _, r := range when.refs() {
			n.cases[i].facts = append(n.cases[i].facts, source{c.nodes[r.Step], r.Tensor})
		}
	}
	return nil
}

// mark finds which outputs of which steps are used, and which steps only switches use.
func (p *Pipeline) mark() {
	used := make([]map[string]bool, len(p.nodes))
	for i := range used {
		used[i] = map[string]bool{}
	}
	shared := make([]bool, len(p.nodes))
	take := func(s source) {
		if s.node != nil {
			used[s.node.index][s.tensor], shared[s.node.index] = true, true
		}
	}
	for _, o := range p.outputs {
		take(o)
	}
	for _, n := range slices.Backward(p.nodes) { // who takes comes before who gives
		for _, s := range slices.Concat(n.sources, n.members) {
			take(s)
		}
		for _, spec := range n.sig.Outputs {
			if !used[n.index][spec.Name] {
				continue
			}
			n.used = append(n.used, spec.Name)
			if n.fallback != nil {
				take(source{n.fallback, spec.Name})
			}
			for _, b := range n.cases {
				used[b.use.index][spec.Name] = true
			}
		}
		for _, b := range n.cases {
			for _, f := range b.facts {
				take(f)
			}
		}
	}
	for _, n := range p.nodes {
		n.alone = !shared[n.index] && n.run != nil && n.Kind != KindEnsemble
	}
}
