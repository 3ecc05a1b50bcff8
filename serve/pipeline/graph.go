package pipeline

import (
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// reserved names mean something in references or in CEL.
var reserved = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`request meta rows true false null in as break const continue else for function if import let
		loop package namespace return var void while int uint double bool string bytes list map type dyn size duration timestamp`) {
		m[w] = true
	}
	return m
}()

// refs are the tensors that a step takes, those of its conditions left out.
func (s *Step) refs() []Ref {
	var refs []Ref
	for _, in := range s.Inputs {
		refs = append(refs, in.From)
	}
	if s.Ensemble != nil {
		refs = append(refs, s.Ensemble.Of...)
	}
	return refs
}

// needs are the steps that a step may need: its inputs', its fallback, its cases and those of their conditions.
func (s *Step) needs(conditions map[string][]string) []string {
	var names []string
	for _, r := range s.refs() {
		names = append(names, r.Step)
	}
	names = append(names, s.Fallback)
	if s.Switch != nil {
		for _, c := range s.Switch.Cases {
			names = append(names, c.Use)
		}
	}
	names = append(names, conditions[s.Name]...)
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}

// order sorts the steps so that each comes after what it needs. Errors are CodeInvalid: a cycle, or steps that nothing
// uses.
func order(d *Definition, conditions map[string][]string) ([]*Step, error) {
	steps := make(map[string]*Step, len(d.Steps))
	for i := range d.Steps {
		steps[d.Steps[i].Name] = &d.Steps[i]
	}
	var sorted []*Step
	done := map[string]bool{}
	var path []string
	var visit func(name string) error
	visit = func(name string) error {
		if done[name] {
			return nil
		}
		if at := slices.Index(path, name); at >= 0 {
			circle := append(slices.Clone(path[at:]), name)
			slices.Reverse(circle)
			return fairlead.Invalid("the steps go in a circle: %s", strings.Join(circle, " → ")).
				Hintf("a step can only use what is computed without it")
		}
		path = append(path, name)
		for _, n := range steps[name].needs(conditions) {
			if err := visit(n); err != nil {
				return err
			}
		}
		path = path[:len(path)-1]
		done[name] = true
		sorted = append(sorted, steps[name])
		return nil
	}
	for i := range d.Steps { // every one, so that a circle beside the way is found, too
		if err := visit(d.Steps[i].Name); err != nil {
			return nil, err
		}
	}
	return sorted, unused(d, steps, conditions)
}

func unused(d *Definition, steps map[string]*Step, conditions map[string][]string) error {
	used := map[string]bool{}
	var mark func(name string)
	mark = func(name string) {
		if name == "" || used[name] {
			return
		}
		used[name] = true
		for _, n := range steps[name].needs(conditions) {
			mark(n)
		}
	}
	for _, o := range d.Outputs {
		mark(o.From.Step)
	}
	for i := range d.Steps {
		if name := d.Steps[i].Name; !used[name] {
			return fairlead.Invalid("nothing uses step %s", name).Hintf("name one of its outputs under outputs: or as the input of another step, or take it out")
		}
	}
	return nil
}
