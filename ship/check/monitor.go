package check

import (
	"context"
	"slices"
)

// Monitor is a test that can go on asking when the version is live. At the gate it asks the evaluation set; Judge asks any
// Source, and a window of served predictions whose labels have come is one.
type Monitor struct {
	Test Test

	// Labels says that it is about rows with labels; without, served predictions are enough.
	Labels bool

	// Columns are those that the rows must have besides the label: what they are selected, grouped and drawn together by.
	// They are features, tags or times, ascending.
	Columns []string

	// Beside is the version whose answers to the same rows are needed as well, as a shadow gives them; empty: none.
	Beside string
}

// Monitors lists the tests of a suite that can be asked of live windows: metrics, overall and by segment, and that answers
// are finite. The others ask the model for answers that no client asked for, or are about the machine.
func (s Suite) Monitors() []Monitor {
	var out []Monitor
	for _, t := range s {
		switch t.Kind {
		case KindFinite:
			out = append(out, Monitor{Test: t})
		case KindMetric:
			out = append(out, Monitor{Test: t, Labels: true, Columns: t.Metric.columns(), Beside: t.Metric.OtherThan})
		}
	}
	return out
}

// Judge asks the test of the rows that a source gives. A result that cannot tell is TooFew or Skipped: between two windows
// that is no change. Errors are the source's.
func (m Monitor) Judge(ctx context.Context, from Source) (Result, error) {
	var r Result
	var err error
	if m.Test.Kind == KindMetric {
		r, err = Judge(ctx, m.Test.Metric, from)
	} else {
		r, err = allFinite(ctx, from)
	}
	r.Name, r.Kind, r.Why = m.Test.Name, m.Test.Kind, m.Test.Why
	return r, err
}

// columns are those that the metric's rows are selected, grouped and drawn together by.
func (m *Metric) columns() []string {
	var out []string
	for _, c := range m.Where {
		out = append(out, c.Column)
	}
	for _, g := range m.By {
		out = append(out, g.Column)
	}
	if m.Cluster != "" {
		out = append(out, m.Cluster)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
