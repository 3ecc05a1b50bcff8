package bundle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Merge joins what the graph says about a model with what its author says. The notes tell what was guessed, and how
// to say it instead; file may be nil. An error is CodeInvalid: the file names an input or output that the graph does
// not have, counts of features or classes do not fit the graph's widths, names clash, or the task lacks an output it
// needs.
func Merge(graph fairlead.Signature, file *File) (fairlead.Signature, []string, error) {
	if file == nil {
		file = NewFile("")
	}
	m := &merger{sig: fairlead.Signature{
		Task:     file.Task,
		Inputs:   cloneSpecs(graph.Inputs),
		Outputs:  cloneSpecs(graph.Outputs),
		Label:    fairlead.LabelSpec(file.Label),
		Segments: slices.Clone(file.Segments),
	}}
	if m.sig.Task == "" {
		m.sig.Task = fairlead.TaskNone
		m.note("task: not given, taken as none; realised metrics need task: binary, multiclass or regression in %s", FileName)
	}
	for _, step := range []func(*File) error{m.inputs, m.outputs, m.task, m.names} {
		if err := step(file); err != nil {
			return fairlead.Signature{}, nil, err
		}
	}
	return m.sig, m.notes, nil
}

type merger struct {
	sig   fairlead.Signature
	notes []string
}

func (m *merger) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

func cloneSpecs(specs []fairlead.TensorSpec) []fairlead.TensorSpec {
	out := slices.Clone(specs)
	for i := range out {
		out[i].Shape, out[i].Features, out[i].Classes = slices.Clone(out[i].Shape), slices.Clone(out[i].Features), slices.Clone(out[i].Classes)
	}
	return out
}

func specNames(specs []fairlead.TensorSpec) []string {
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	return names
}

func unknownTensor(kind, name string, specs []fairlead.TensorSpec) error {
	names := specNames(specs)
	return fairlead.Invalid("%s names the %s %q, which the graph does not have%s", FileName, kind, name, didYouMean(name, names)).
		Hintf("the graph's %ss are %s", kind, list(names))
}

func (m *merger) inputs(file *File) error {
	for _, in := range file.Inputs {
		spec := m.sig.Input(in.Name)
		if spec == nil {
			return unknownTensor("input", in.Name, m.sig.Inputs)
		}
		if len(in.Features) == 0 {
			continue
		}
		switch w := spec.Width(); {
		case w == len(in.Features):
		case w < 0 && len(spec.Shape) == 2:
			spec.Shape[1] = int64(len(in.Features))
			m.note("input %s: the graph leaves its width open, taken as %d from its features", in.Name, len(in.Features))
		default:
			return fairlead.Invalid("input %q has %d features in %s, but the graph's shape %s takes %s values a row", in.Name,
				len(in.Features), FileName, fairlead.ShapeString(spec.Shape), width(w)).
				Hintf("list one name for each column, in the graph's order")
		}
		spec.Features = slices.Clone(in.Features)
	}
	return nil
}

func width(w int) string {
	if w < 0 {
		return "a variable number of"
	}
	return fmt.Sprint(w)
}

func (m *merger) outputs(file *File) error {
	for _, out := range file.Outputs {
		spec := m.sig.Output(out.Name)
		if spec == nil {
			return unknownTensor("output", out.Name, m.sig.Outputs)
		}
		if out.Role != "" {
			spec.Role = out.Role
		}
		spec.Classes = slices.Clone(out.Classes)
	}
	for i := range m.sig.Outputs {
		m.guessRole(&m.sig.Outputs[i])
	}
	for i := range m.sig.Outputs {
		if err := m.checkClasses(&m.sig.Outputs[i]); err != nil {
			return err
		}
	}
	return nil
}

// guessRole goes by the names that the usual exporters give: skl2onnx and onnxmltools write label and probabilities,
// or output_label and output_probability.
func (m *merger) guessRole(spec *fairlead.TensorSpec) {
	if spec.Role != "" {
		return
	}
	switch name := strings.ToLower(spec.Name); {
	case isFloat(spec.Type) && slices.Contains([]string{"probability", "probabilities", "score", "scores", "output_probability"}, name):
		spec.Role = fairlead.RoleScore
	case (spec.Type == fairlead.Int64 || spec.Type == fairlead.Bytes) && slices.Contains([]string{"label", "output_label"}, name):
		spec.Role = fairlead.RoleLabel
	default:
		return
	}
	m.note("output %s: taken as the %s by its name; give its role in %s to say otherwise", spec.Name, spec.Role, FileName)
}

func isFloat(t fairlead.DataType) bool {
	switch t {
	case fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64:
		return true
	}
	return false
}

// checkClasses holds the number of class names against the width of a score, and names the classes 0, 1, … where the
// task has classes and the file does not say what they are called.
func (m *merger) checkClasses(spec *fairlead.TensorSpec) error {
	if spec.Role == fairlead.RoleScore && !isFloat(spec.Type) {
		return fairlead.Invalid("output %q has role score but type %s; a score is a floating-point number", spec.Name, spec.Type).
			Hintf("a class index or name has role label")
	}
	w, n := spec.Width(), len(spec.Classes)
	if spec.Role != fairlead.RoleScore {
		return nil
	}
	if w < 0 && n > 0 && len(spec.Shape) == 2 {
		spec.Shape[1], w = int64(n), n
		m.note("output %s: the graph leaves its width open, taken as %d from its classes", spec.Name, n)
	}
	if n > 0 && n != w && (w != 1 || n != 2) {
		return fairlead.Invalid("output %q has %d classes in %s (%s), but the graph's shape %s gives %s scores a row", spec.Name, n, FileName,
			list(spec.Classes), fairlead.ShapeString(spec.Shape), width(w)).
			Hintf("name one class for each column; a single score may have two, the positive class last")
	}
	switch {
	case m.sig.Task == fairlead.TaskBinary && n == 0:
		n = 2
	case m.sig.Task == fairlead.TaskMulticlass && n == 0 && w > 1:
		n = w
	default:
		return nil
	}
	for i := range n {
		spec.Classes = append(spec.Classes, fmt.Sprint(i))
	}
	m.note("output %s: classes not given, taken as %s", spec.Name, list(spec.Classes))
	return nil
}

// task checks that the outputs are there which the task's metrics need.
func (m *merger) task(*File) error {
	role := func(r fairlead.OutputRole) *fairlead.TensorSpec {
		i := slices.IndexFunc(m.sig.Outputs, func(s fairlead.TensorSpec) bool { return s.Role == r })
		if i < 0 {
			return nil
		}
		return &m.sig.Outputs[i]
	}
	missing := func(what string) error {
		return fairlead.Invalid("task %s needs an output with role %s; the graph's outputs are %s", m.sig.Task, what, list(specNames(m.sig.Outputs))).
			Hintf("say which one it is in %s: outputs: [{name: %s, role: %s}]", FileName, firstName(m.sig.Outputs), strings.Fields(what)[0])
	}
	score := role(fairlead.RoleScore)
	switch m.sig.Task {
	case fairlead.TaskBinary:
		if score == nil && role(fairlead.RoleLabel) == nil {
			return missing("score or label")
		}
		if score != nil && len(score.Classes) != 2 {
			return fairlead.Invalid("task binary has two classes, output %q has %d (%s)", score.Name, len(score.Classes), list(score.Classes)).
				Hintf("use task: multiclass for more")
		}
		if score != nil && score.Width() != 1 && score.Width() != 2 {
			return fairlead.Invalid("task binary needs a score of one or two columns, output %q has shape %s", score.Name, fairlead.ShapeString(score.Shape))
		}
	case fairlead.TaskMulticlass:
		if score == nil && role(fairlead.RoleLabel) == nil {
			return missing("score or label")
		}
	case fairlead.TaskRegression:
		if role(fairlead.RoleValue) != nil {
			return nil
		}
		var single []*fairlead.TensorSpec
		for i := range m.sig.Outputs {
			if s := &m.sig.Outputs[i]; s.Role == "" && isFloat(s.Type) && s.Width() == 1 {
				single = append(single, s)
			}
		}
		if len(single) != 1 {
			return missing("value")
		}
		single[0].Role = fairlead.RoleValue
		m.note("output %s: taken as the value, being the only single number", single[0].Name)
	}
	if score == nil && m.sig.Task != fairlead.TaskNone && m.sig.Task != fairlead.TaskRegression {
		m.note("no output has role score: AUROC, log loss and Brier score cannot be computed")
	}
	return nil
}

func firstName(specs []fairlead.TensorSpec) string {
	if len(specs) == 0 {
		return "…"
	}
	return specs[0].Name
}

// names checks that every column of the tables made of this signature has a name of its own, and that the names in
// the file mean something.
func (m *merger) names(file *File) error {
	owner := map[string]string{}
	var features []string
	for _, f := range m.sig.Fields() {
		is := "a feature of input " + f.Tensor
		if f.Output {
			is = "output " + f.Tensor
		} else {
			features = append(features, f.Name)
		}
		if other, taken := owner[f.Name]; taken {
			return fairlead.Invalid("%q is both %s and %s", f.Name, other, is).
				Hintf("every column needs a name of its own; rename the feature in %s", FileName)
		}
		owner[f.Name] = is
	}
	for _, s := range m.sig.Segments {
		if !slices.Contains(features, s) {
			return fairlead.Invalid("segment %q is not a feature%s", s, didYouMean(s, features)).Hintf("features are %s", list(features))
		}
	}
	label := m.sig.Label.Name
	if slices.Contains(features, label) {
		return fairlead.Invalid("label %q is also a feature", label).Hintf("the truth cannot be an input: rename one of them")
	}
	if label == "" && m.sig.Task != fairlead.TaskNone {
		m.note("label: not given; metrics on the reference need label: {name: …} in %s", FileName)
	}
	for _, r := range file.Redactions() {
		wide := slices.ContainsFunc(m.sig.Inputs, func(s fairlead.TensorSpec) bool { return s.Name == r.Name })
		if !slices.Contains(features, r.Name) && !wide {
			from := "record.redact"
			if slices.Contains(file.Log.Redact, r.Name) {
				from = "log.redact"
			}
			m.note("%s: %q is not a feature, taken as a tag%s", from, r.Name, didYouMean(r.Name, features))
		}
	}
	return nil
}
