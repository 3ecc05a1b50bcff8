package pipeline

import (
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

func (n *stepNode) step(steps map[string]bool) (Step, error) {
	s := Step{Name: n.Name, Within: n.Within, Fallback: n.Fallback}
	if n.Within < 0 {
		return s, fairlead.Invalid("within is %v", n.Within).Hintf("give a positive time, for example 20ms")
	}
	if n.Fallback != "" {
		if !steps[n.Fallback] {
			return s, unknownStep(n.Fallback, steps)
		}
		if n.Fallback == n.Name {
			return s, fairlead.Invalid("it is its own fallback")
		}
	}
	for i, name := range n.Inputs.names {
		from, err := ref(n.Inputs.values[i].Value, steps)
		if err != nil {
			return s, err
		}
		for _, in := range s.Inputs {
			if in.Name == name {
				return s, fairlead.Invalid("input %q is given twice", name)
			}
		}
		s.Inputs = append(s.Inputs, Input{name, from})
	}
	if err := n.kind(&s, steps); err != nil {
		return s, err
	}
	if (s.Kind == KindEnsemble || s.Kind == KindSwitch) && len(s.Inputs) > 0 {
		return s, fairlead.Invalid("a step of kind %s has no inputs of its own", s.Kind).Hintf("an ensemble says what it is made of under of:, a switch under cases:")
	}
	return s, nil
}

func (n *stepNode) kind(s *Step, steps map[string]bool) error {
	var kinds []Kind
	for _, k := range []struct {
		is   bool
		kind Kind
	}{
		{n.Model != "", KindModel}, {n.Transform != nil, KindTransform}, {n.Process != nil, KindProcess},
		{n.Ensemble != nil, KindEnsemble}, {n.Switch != nil, KindSwitch},
	} {
		if k.is {
			kinds = append(kinds, k.kind)
		}
	}
	if len(kinds) != 1 {
		return fairlead.Invalid("it says %d of model, transform, process, ensemble and switch", len(kinds)).Hintf("a step is exactly one of them")
	}
	s.Kind = kinds[0]
	var err error
	switch s.Kind {
	case KindModel:
		var m Model
		m, err = ParseModel(n.Model)
		s.Model = &m
	case KindTransform:
		s.Transform, err = n.Transform.transform()
	case KindProcess:
		s.Process, err = n.Process.process()
	case KindEnsemble:
		s.Ensemble, err = n.Ensemble.ensemble(steps)
	case KindSwitch:
		s.Switch, err = n.Switch.choice(steps)
	}
	return err
}

func (n *transformNode) transform() (*Transform, error) {
	t := &Transform{Module: n.Module, Time: n.Time}
	if n.Module == "" || path.IsAbs(n.Module) || path.Clean(n.Module) != n.Module || strings.HasPrefix(n.Module, "..") {
		return nil, fairlead.Invalid("module is %q", n.Module).Hintf("give the path of a .wasm file in the pipeline's folder")
	}
	if n.Time < 0 {
		return nil, fairlead.Invalid("time is %v", n.Time).Hintf("give a positive time, for example 100ms")
	}
	var err error
	if t.Memory, err = parseBytes(n.Memory); err != nil {
		return nil, err
	}
	if t.Signature.Inputs, err = specs("transform.inputs", n.Inputs); err != nil {
		return nil, err
	}
	if t.Signature.Outputs, err = specs("transform.outputs", n.Outputs); err != nil {
		return nil, err
	}
	if len(n.Inputs) == 0 || len(n.Outputs) == 0 {
		return nil, fairlead.Invalid("the transform does not say what it takes and gives").
			Hintf("list them: inputs: [{name: text, datatype: BYTES, shape: [-1]}], and outputs: in the same way")
	}
	return t, nil
}

// parseBytes reads 64KiB, 16MiB, 1GiB or a plain number; "" is 0.
func parseBytes(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	number, unit := s, int64(1)
	for _, u := range []struct {
		name string
		size int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = strings.TrimSpace(n), u.size
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt32 || n*unit > 4<<30 {
		return 0, fairlead.Invalid("%q is not a size of memory", s).Hintf("write for example 16MiB; at most 4GiB")
	}
	return n * unit, nil
}

func (n *processNode) process() (*Process, error) {
	if len(n.Command) == 0 || n.Command[0] == "" {
		return nil, fairlead.Invalid("the process has no command").Hintf("for example command: [python3, serve.py]")
	}
	if n.Start < 0 || n.Stop < 0 || n.Concurrency < 0 {
		return nil, fairlead.Invalid("start, stop and concurrency of a process are not negative")
	}
	switch n.Listen {
	case "", "socket", "port":
	default:
		return nil, fairlead.Invalid("listen is %q", n.Listen).Hintf("a process listens on a socket (the default) or a port")
	}
	return &Process{Command: n.Command, Model: n.Model, Port: n.Listen == "port", Start: n.Start, Stop: n.Stop, Concurrency: n.Concurrency}, nil
}

func (n *ensembleNode) ensemble(steps map[string]bool) (*Ensemble, error) {
	e := &Ensemble{By: n.By, Weights: n.Weights, Output: n.Output}
	for _, s := range n.Of {
		r, err := ref(s, steps)
		if err != nil {
			return nil, err
		}
		e.Of = append(e.Of, r)
	}
	if len(e.Of) < 2 {
		return nil, fairlead.Invalid("the ensemble is of %d tensors", len(e.Of)).Hintf("list at least two under of:, for example of: [a.score, b.score]")
	}
	if n.Model != "" {
		m, err := ParseModel(n.Model)
		if err != nil {
			return nil, err
		}
		e.Model = &m
	}
	return e, e.check()
}

func (e *Ensemble) check() error {
	sum := 0.0
	for _, w := range e.Weights {
		if !(w >= 0) || math.IsInf(w, 0) {
			return fairlead.Invalid("the weight %v is not a number of at least 0", w)
		}
		sum += w
	}
	weighs := e.By == ByWeighted || e.By == ByVote && e.Weights != nil
	switch {
	case e.By != ByMean && e.By != ByWeighted && e.By != ByVote && e.By != ByStacked:
		return fairlead.Invalid("the ensemble is by %q", e.By).Hintf("use mean, weighted, vote or stacked")
	case weighs && len(e.Weights) != len(e.Of):
		return fairlead.Invalid("there are %d weights for %d tensors", len(e.Weights), len(e.Of)).Hintf("give one weight for each of them")
	case weighs && !(sum > 0):
		return fairlead.Invalid("the weights are all 0")
	case !weighs && e.Weights != nil:
		return fairlead.Invalid("an ensemble by %s has no weights", e.By).Hintf("write by: weighted")
	case e.By == ByStacked && (e.Model == nil || e.Output != ""):
		return fairlead.Invalid("a stacked ensemble names the model that makes one answer of all, and keeps that model's outputs").
			Hintf("write model: my-stacker, and no output")
	case e.By != ByStacked && e.Model != nil:
		return fairlead.Invalid("an ensemble by %s has no model", e.By).Hintf("write by: stacked")
	}
	return nil
}

func (n *switchNode) choice(steps map[string]bool) (*Switch, error) {
	s := &Switch{PerRequest: n.By == "request"}
	if n.By != "" && n.By != "row" && n.By != "request" {
		return nil, fairlead.Invalid("the switch is by %q", n.By).Hintf("use row (the default) or request")
	}
	if len(n.Cases) < 2 {
		return nil, fairlead.Invalid("the switch has %d cases", len(n.Cases)).Hintf("it has at least two, the last one without a condition")
	}
	for i, c := range n.Cases {
		last := i == len(n.Cases)-1
		switch {
		case !steps[c.Use]:
			return nil, unknownStep(c.Use, steps)
		case c.When == "" && !last:
			return nil, fairlead.Invalid("case %d has no condition, so those behind it are never used", i+1).Hintf("only the last case is without when:")
		case c.When != "" && last:
			return nil, fairlead.Invalid("the last case has a condition, so a row may have none").Hintf("leave the when: of the last case away: it takes what is left")
		}
		s.Cases = append(s.Cases, Case(c))
	}
	return s, nil
}

func specs(where string, nodes []specNode) ([]fairlead.TensorSpec, error) {
	var out []fairlead.TensorSpec
	for _, n := range nodes {
		role, err := parseRole(n.Role)
		if err != nil {
			return nil, err
		}
		spec := fairlead.TensorSpec{
			Name: n.Name, Type: fairlead.DataType(n.Datatype), Shape: n.Shape, Features: n.Features, Role: role, Classes: n.Classes,
		}
		if n.Name == "" {
			return nil, fairlead.Invalid("a tensor of %s has no name", where)
		}
		if fairlead.MakeData(spec.Type, 0) == nil {
			return nil, fairlead.Invalid("%s: the datatype of %q is %q", where, n.Name, n.Datatype).
				Hintf("use BOOL, INT8 … INT64, UINT8 … UINT64, FP16, BF16, FP32, FP64 or BYTES")
		}
		for _, d := range n.Shape {
			if d < -1 || d > 1<<31 {
				return nil, fairlead.Invalid("%s: the shape of %q has the dimension %d", where, n.Name, d).Hintf("-1 is any size")
			}
		}
		if w := spec.Width(); len(n.Features) > 0 && w != len(n.Features) {
			return nil, fairlead.Invalid("%s: %q has %d features and shape %s", where, n.Name, len(n.Features), fairlead.ShapeString(n.Shape))
		}
		for _, o := range out {
			if o.Name == n.Name {
				return nil, fairlead.Invalid("%s has %q twice", where, n.Name)
			}
		}
		out = append(out, spec)
	}
	return out, nil
}

func parseRole(s string) (fairlead.OutputRole, error) {
	switch r := fairlead.OutputRole(s); r {
	case "", fairlead.RoleScore, fairlead.RoleLabel, fairlead.RoleEmbedding, fairlead.RoleValue:
		return r, nil
	}
	return "", fairlead.Invalid("role %q is not known", s).Hintf("use score, label, embedding or value")
}
