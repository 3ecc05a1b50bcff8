package bundle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Break is one way in which a client of the old signature fails, or is misled, by the new one.
type Break struct {
	Kind    BreakKind `json:"kind"`
	Tensor  string    `json:"tensor"` // input or output; of the old signature where it is there
	Message string    `json:"message"`
}

// BreakKind classifies breaks for programs.
type BreakKind string

// Kinds of breaks.
const (
	BreakRemoved  BreakKind = "removed"
	BreakRenamed  BreakKind = "renamed"
	BreakRequired BreakKind = "required" // a new input, which old clients do not send
	BreakType     BreakKind = "type"
	BreakShape    BreakKind = "shape"
	BreakFeatures BreakKind = "features"
	BreakClasses  BreakKind = "classes"
	BreakRole     BreakKind = "role"
	BreakTask     BreakKind = "task"
)

// Compatible lists what breaks for clients of old when new answers them, in order of old's inputs, then outputs; nil:
// nothing does. A client may send what old takes, and must be able to read what new gives: an input may become more
// general and an output more definite, not the other way round. New outputs, and names for what had none, break nothing.
func Compatible(old, new fairlead.Signature) []Break {
	c := &comparison{}
	if old.Task != "" && old.Task != fairlead.TaskNone && new.Task != old.Task {
		c.add(BreakTask, "", "the task was %s, now it is %s", old.Task, new.Task)
	}
	c.presence("input", old.Inputs, new.Inputs)
	for _, was := range old.Inputs {
		if is := new.Input(was.Name); is != nil {
			c.input(was, *is)
		}
	}
	c.presence("output", old.Outputs, new.Outputs)
	for _, was := range old.Outputs {
		if is := new.Output(was.Name); is != nil {
			c.output(was, *is)
		}
	}
	return c.breaks
}

// Breaking is the error that refuses a version for what it breaks, naming all of it; nil for no breaks. what says
// which change was asked for: "flights@4 does not fit clients of flights@3".
func Breaking(what string, breaks []Break) error {
	if len(breaks) == 0 {
		return nil
	}
	lines := make([]string, len(breaks))
	for i, b := range breaks {
		lines[i] = b.Message
	}
	e := fairlead.Errorf(fairlead.CodeConflict, "%s: %s", what, strings.Join(lines, "; ")).
		Hintf("clients have to change first; --force (force=true) does it all the same, another model name leaves the old one to them")
	e.Reason = "breaking_change"
	return e
}

type comparison struct{ breaks []Break }

func (c *comparison) add(kind BreakKind, tensor, format string, args ...any) {
	c.breaks = append(c.breaks, Break{kind, tensor, fmt.Sprintf(format, args...)})
}

// presence finds what is gone, what has another name, and inputs that nobody sends yet.
func (c *comparison) presence(noun string, old, new []fairlead.TensorSpec) {
	has := func(specs []fairlead.TensorSpec, name string) bool {
		return slices.ContainsFunc(specs, func(s fairlead.TensorSpec) bool { return s.Name == name })
	}
	var renamed []string
	for _, was := range old {
		if has(new, was.Name) {
			continue
		}
		// One that is new, and otherwise the same, is most likely the old one under another name.
		i := slices.IndexFunc(new, func(s fairlead.TensorSpec) bool {
			return !has(old, s.Name) && !slices.Contains(renamed, s.Name) && s.Type == was.Type && slices.Equal(s.Shape, was.Shape)
		})
		if i < 0 {
			c.add(BreakRemoved, was.Name, "%s %q (%s %s) is gone", noun, was.Name, was.Type, fairlead.ShapeString(was.Shape))
			continue
		}
		renamed = append(renamed, new[i].Name)
		c.add(BreakRenamed, was.Name, "%s %q is gone; %q looks like it under another name", noun, was.Name, new[i].Name)
	}
	if noun != "input" {
		return
	}
	for _, is := range new {
		if !has(old, is.Name) && !slices.Contains(renamed, is.Name) {
			c.add(BreakRequired, is.Name, "input %q (%s %s) is new, and clients do not send it", is.Name, is.Type, fairlead.ShapeString(is.Shape))
		}
	}
}

func (c *comparison) input(was, is fairlead.TensorSpec) {
	c.datatype("input", was, is)
	// What the new graph leaves open takes whatever was sent.
	if !covers(is.Shape, was.Shape) {
		c.add(BreakShape, was.Name, "input %q took shape %s, now it takes %s", was.Name, fairlead.ShapeString(was.Shape), fairlead.ShapeString(is.Shape))
	}
	c.features(was, is)
}

func (c *comparison) output(was, is fairlead.TensorSpec) {
	c.datatype("output", was, is)
	old := slices.Clone(was.Shape)
	if len(old) > 0 && len(is.Shape) > 0 && is.Shape[0] < 0 {
		old[0] = -1 // there are as many rows as were sent
	}
	if !covers(old, is.Shape) {
		c.add(BreakShape, was.Name, "output %q had shape %s, now it has %s", was.Name, fairlead.ShapeString(was.Shape), fairlead.ShapeString(is.Shape))
	}
	if was.Role != "" && is.Role != was.Role {
		c.add(BreakRole, was.Name, "output %q was the %s, now it is %s", was.Name, was.Role, roleName(is.Role))
	}
	c.classes(was, is)
}

func roleName(r fairlead.OutputRole) string {
	if r == "" {
		return "without a role"
	}
	return "the " + string(r)
}

func (c *comparison) datatype(noun string, was, is fairlead.TensorSpec) {
	if was.Type != is.Type {
		c.add(BreakType, was.Name, "%s %q was %s, now it is %s", noun, was.Name, was.Type, is.Type)
	}
}

// covers says whether every shape that narrow stands for is one of wide's.
func covers(wide, narrow []int64) bool {
	if len(wide) != len(narrow) {
		return false
	}
	for i := range wide {
		if wide[i] >= 0 && wide[i] != narrow[i] {
			return false
		}
	}
	return true
}

// features compares the names of an input's columns. Tensors are sent by position: the same names in another order are
// the worst of breaks, for nothing fails.
func (c *comparison) features(was, is fairlead.TensorSpec) {
	if len(was.Features) == 0 || slices.Equal(was.Features, is.Features) {
		return
	}
	if gone, came := less(was.Features, is.Features), less(is.Features, was.Features); len(gone)+len(came) > 0 {
		c.add(BreakFeatures, was.Name, "input %q: %s", was.Name, strings.Join(notEmpty("gone: ", gone, "new: ", came), "; "))
		return
	}
	c.add(BreakFeatures, was.Name, "input %q has its features in another order: %s", was.Name, firstMove(was.Features, is.Features))
}

// classes compares the names of a score's columns.
func (c *comparison) classes(was, is fairlead.TensorSpec) {
	if len(was.Classes) == 0 || slices.Equal(was.Classes, is.Classes) {
		return
	}
	if gone, came := less(was.Classes, is.Classes), less(is.Classes, was.Classes); len(gone)+len(came) > 0 {
		c.add(BreakClasses, was.Name, "output %q has other classes: %s", was.Name, strings.Join(notEmpty("gone: ", gone, "new: ", came), "; "))
		return
	}
	c.add(BreakClasses, was.Name, "output %q has its classes in another order: %s", was.Name, firstMove(was.Classes, is.Classes))
}

func firstMove(was, is []string) string {
	for i := range was {
		if i >= len(is) || was[i] != is[i] {
			return fmt.Sprintf("%q was column %d, now it is column %d", was[i], i, slices.Index(is, was[i]))
		}
	}
	return "" // not reached: equal lists are no break
}

func less(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

func notEmpty(wordA string, a []string, wordB string, b []string) []string {
	var out []string
	if len(a) > 0 {
		out = append(out, wordA+list(a))
	}
	if len(b) > 0 {
		out = append(out, wordB+list(b))
	}
	return out
}
