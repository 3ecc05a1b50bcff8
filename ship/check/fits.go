package check

import (
	"errors"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Builtin are the tests of a version whose author wrote none: those that need no numbers.
func Builtin() Suite {
	s := Suite{{Kind: KindGolden}, {Kind: KindFinite}, {Kind: KindBatch}, {Kind: KindDeterministic}, {Kind: KindMissing}, {Kind: KindUnseen}}
	for i := range s {
		if s[i].Kind != KindGolden {
			s[i].reader() // makes the part with its defaults
		}
		s[i].Name = s[i].says()
	}
	return s
}

// Fits says whether a suite is about a model of that signature: features, classes and metrics that it has. It is asked when
// a version is pushed, so that a slip is found there and not at the gate. What only the evaluation set knows, columns to
// group by, shows when the tests run. The error is CodeInvalid and lists everything.
func (s Suite) Fits(sig fairlead.Signature) error {
	var problems []string
	var hint string
	for i := range s {
		var e *fairlead.Error
		if err := s[i].fits(&sig); errors.As(err, &e) {
			problems = append(problems, "test "+`"`+s[i].Name+`": `+e.Message)
			if hint == "" {
				hint = e.Hint
			}
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fairlead.Invalid("the tests do not fit the model: %s", strings.Join(problems, "; ")).Hintf("%s", hint)
}

func (t *Test) fits(sig *fairlead.Signature) error {
	m := model{sig: *sig}
	e := evaluation{Subject: Subject{Signature: *sig}, model: m}
	known := func(features []string) error {
		for _, f := range features {
			if _, ok := m.field(f); !ok {
				return fairlead.Invalid("the model has no feature %q%s", f, didYouMean(f, m.features())).Hintf("its features are %s", strings.Join(m.features(), ", "))
			}
		}
		return nil
	}
	switch t.Kind {
	case KindMetric:
		return t.Metric.fits(sig)
	case KindInvariance, KindDirection:
		b := t.Behaviour
		if err := known(b.Features); err != nil {
			return err
		}
		for _, f := range b.Features {
			if field, _ := m.field(f); !b.Change.fits(field.Type) {
				return fairlead.Invalid("%s is %s: %s cannot change it", f, field.Type, b.Change)
			}
		}
		_, err := e.column(b.Class, t.Kind == KindDirection)
		return err
	case KindExample:
		x := t.Example
		if _, err := m.row(x.Given); err != nil {
			return err
		}
		if classes := sig.Classes(); x.Class != "" && len(classes) > 0 && !slices.Contains(classes, x.Class) {
			return fairlead.Invalid("there is no class %q%s", x.Class, didYouMean(x.Class, classes)).Hintf("the classes are %s", strings.Join(classes, ", "))
		}
		_, err := e.column(x.Of, x.Value != nil || x.AtLeast != nil || x.AtMost != nil)
		return err
	case KindMissing, KindUnseen:
		return known(t.Robustness.Features)
	}
	return nil
}

func (m *Metric) fits(sig *fairlead.Signature) error {
	if of := MetricsOf(sig.Task); !slices.Contains(of, m.Metric) {
		if len(of) == 0 {
			return fairlead.Invalid("a model of task %s has no metrics", sig.Task).Hintf("say what it does: task: binary, multiclass or regression")
		}
		return fairlead.Invalid("a model of task %s has no %s", sig.Task, m.Metric).Hintf("it has %s", strings.Join(of, ", "))
	}
	if sig.Label.Name == "" {
		return fairlead.Invalid("it needs labels, and the bundle names none").Hintf("name the column of the truth: label: {name: late}")
	}
	if m.Class == "" {
		return nil
	}
	classes := sig.Classes()
	if !slices.Contains(classes, m.Class) {
		return fairlead.Invalid("there is no class %q%s", m.Class, didYouMean(m.Class, classes)).Hintf("the classes are %s", strings.Join(classes, ", "))
	}
	if sig.Task == fairlead.TaskBinary && m.Class != classes[len(classes)-1] {
		return fairlead.Invalid("the positive class is %s", classes[len(classes)-1]).Hintf("leave the class out")
	}
	return nil
}

// fits says whether a change can be made to values of a type.
func (c Change) fits(t fairlead.DataType) bool {
	text := t == fairlead.Bytes
	switch c.How {
	case ChangeAdd, ChangeMultiply, ChangeNoise:
		return !text
	case ChangeTypo:
		return text
	case ChangeMissing:
		return text || floating(t)
	case ChangeSet:
		_, isText := c.To.(string)
		return text || !isText
	}
	return true
}
