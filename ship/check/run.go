package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Subject is the version that is tested, loaded.
type Subject struct {
	Signature fairlead.Signature
	Model     Runner
	Rows      *fairlead.Table // the evaluation set; nil: there is none
	Golden    *bundle.Golden  // nil: there are none

	ModelBytes, BundleBytes int64
	Memory                  int64 // of the loaded model; 0: not known

	// Other gives another version by the name in not_worse_than; nil: there is none, or it is this one. What it returns is
	// asked until Run returns. A nil Other knows no versions.
	Other func(ctx context.Context, version string) (*Other, error)
}

// Other is a version to compare with.
type Other struct {
	Signature fairlead.Signature
	Model     Runner
}

// Options of a run.
type Options struct {
	Now   func() time.Time
	Skip  []Kind                        // these are not asked
	Only  []Kind                        // nil: all kinds are
	Begin func(name string, at, of int) // called before each test, at from 0; nil: nobody looks
}

// NotAsked is the text of a result that Options leave out.
const NotAsked = "not asked for"

// Run asks all tests of a suite, in order. The error is that of the context or of what the machine could not do; a model
// that fails, fails tests.
func Run(ctx context.Context, suite Suite, subject Subject, o Options) (Report, error) {
	began := o.Now()
	e := newEvaluation(subject)
	report := Report{}
	if subject.Rows != nil {
		report.Rows = subject.Rows.Rows
	}
	for i := range suite {
		t := &suite[i]
		if o.Begin != nil {
			o.Begin(t.Name, i, len(suite))
		}
		at := o.Now()
		r, err := e.test(ctx, t, o)
		if err == nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		if err != nil {
			return report, fmt.Errorf("test %q: %w", t.Name, err)
		}
		r.Name, r.Kind, r.Why, r.Took = t.Name, t.Kind, t.Why, o.Now().Sub(at)
		report.Results = append(report.Results, r)
	}
	report.Took = o.Now().Sub(began)
	return report, nil
}

// evaluation is a subject with its answers to the evaluation set, asked for once.
type evaluation struct {
	Subject
	model   model
	samples map[string]*Sample
	failed  map[string]error
}

func newEvaluation(s Subject) *evaluation {
	return &evaluation{Subject: s, model: model{sig: s.Signature, run: s.Model}, samples: map[string]*Sample{}, failed: map[string]error{}}
}

// Sample implements Source on the evaluation set.
func (e *evaluation) Sample(ctx context.Context, version string) (*Sample, error) {
	if e.Rows == nil {
		return nil, nil
	}
	s, asked := e.samples[version]
	if asked {
		return s, e.failed[version]
	}
	s, err := e.sample(ctx, version)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	e.samples[version], e.failed[version] = s, err
	return s, err
}

func (e *evaluation) sample(ctx context.Context, version string) (*Sample, error) {
	m := e.model
	if version != "" {
		if e.Other == nil {
			return nil, nil
		}
		other, err := e.Other(ctx, version)
		if other == nil || err != nil {
			return nil, err
		}
		m = model{sig: other.Signature, run: other.Model}
	}
	a, err := m.answer(ctx, e.Rows, batchRows)
	if err != nil {
		var known *fairlead.Error
		if version != "" && errors.As(err, &known) {
			return nil, fairlead.Errorf(known.Code, "%s cannot be asked about this evaluation set: %s", version, known.Message).Hintf("%s", known.Hint)
		}
		return nil, err
	}
	return &Sample{
		Task: m.sig.Task, Classes: m.sig.Classes(), Rows: e.Rows, Label: e.Signature.Label.Name, Shown: e.model.features(), Answers: a,
	}, nil
}

func (e *evaluation) test(ctx context.Context, t *Test, o Options) (Result, error) {
	if slices.Contains(o.Skip, t.Kind) || len(o.Only) > 0 && !slices.Contains(o.Only, t.Kind) {
		return skipped(NotAsked)
	}
	var r Result
	var err error
	switch t.Kind {
	case KindMetric:
		r, err = Judge(ctx, t.Metric, e)
	case KindInvariance, KindDirection:
		r, err = e.behaviour(ctx, t)
	case KindExample:
		r, err = e.example(ctx, t.Example)
	case KindLatency:
		r, err = e.latency(ctx, t.Latency, o.Now)
	case KindSize:
		r, err = e.size(t.Size)
	case KindBatch:
		r, err = e.batch(ctx, t.Robustness)
	case KindDeterministic:
		r, err = e.deterministic(ctx, t.Robustness)
	case KindFinite:
		r, err = allFinite(ctx, e)
	case KindMissing:
		r, err = e.missing(ctx, t.Robustness)
	case KindUnseen:
		r, err = e.unseen(ctx, t.Robustness)
	case KindGolden:
		r, err = e.golden(ctx, t.Golden)
	default:
		return r, fmt.Errorf("there is no kind %q", t.Kind)
	}
	var known *fairlead.Error
	if err != nil && ctx.Err() == nil && errors.As(err, &known) && known.Code == fairlead.CodeInvalid {
		return wrong(err)
	}
	return r, err
}

func skipped(format string, args ...any) (Result, error) {
	return Result{Verdict: Skipped, Text: fmt.Sprintf(format, args...)}, nil
}

// verdictOf makes a result of how many of n broke the test, and how many may.
func verdictOf(broken, n int, allowed float64) Result {
	r := Result{Verdict: Passed, N: n}
	if float64(broken) > allowed*float64(n) {
		r.Verdict, r.Fails = Failed, true
	}
	return r
}

// noRows is the result of a test that needs rows where there are none.
func noRows() (Result, error) {
	return skipped("there is no evaluation set: give the bundle a reference")
}

// some are up to n rows that fulfil the conditions, drawn without replacement.
func (e *evaluation) some(where []Condition, n int, seed uint64) (*fairlead.Table, []int, error) {
	in, err := matches(e.Rows, where)
	if err != nil {
		return nil, nil, err
	}
	c := chance{seed}
	var at []int
	for _, i := range c.permutation(e.Rows.Rows) {
		if len(at) == n {
			break
		}
		if in == nil || in[i] {
			at = append(at, i)
		}
	}
	slices.Sort(at)
	if len(at) == 0 {
		return nil, nil, fairlead.Invalid("no row of the evaluation set fulfils the conditions%s", among(where))
	}
	return gather(e.Rows, at), at, nil
}
