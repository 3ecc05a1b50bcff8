package app

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/check"
	"github.com/fairlead-ml/fairlead/ship/reference"
)

// tester tests versions on this machine, with the engine that would serve them.
type tester struct {
	load   func(ctx context.Context, onnx []byte, threads int, golden *bundle.Golden) (engine.Session, string, error)
	memory func() int64 // bytes in use by models
	host   bundle.Host
	now    func() time.Time
}

// candidate is a version, or what may become one.
type candidate struct {
	report  api.TestReport // who it is
	sig     fairlead.Signature
	file    *bundle.File
	suite   check.Suite // nil: that of file
	graph   []byte
	size    int64 // of the whole bundle
	golden  *bundle.Golden
	refName string // of the evaluation set
	ref     []byte
}

// evaluationSets are the files that are taken for the evaluation set before the reference: a bundle keeps them however
// large they are.
var evaluationSets = []string{"evaluation.parquet", "evaluation.csv"}

// candidateOf is a sealed version: its selected variant.
func candidateOf(b *bundle.Bundle, subject string) (*candidate, error) {
	golden, err := b.Golden()
	if err != nil {
		return nil, err
	}
	c := &candidate{
		report: api.TestReport{Subject: subject, Model: string(b.File.Name), Digest: string(b.Digest), Variant: b.Variant().Name},
		sig:    b.Signature, file: b.File, graph: b.Model(), size: b.Size(), golden: golden,
	}
	c.refName, c.ref = b.Reference()
	for _, name := range evaluationSets {
		if content := b.Attached(name); content != nil {
			c.refName, c.ref = name, content
			break
		}
	}
	if c.ref == nil && b.Profile() != nil {
		c.report.Warnings = append(c.report.Warnings, fmt.Sprintf(
			"the version keeps only the profile of its reference, which was larger than %s: tests on rows are skipped. Put a smaller evaluation.parquet beside it, and list it under files", check.Bytes(bundle.MaxKeptReference)))
	}
	return c, nil
}

// rows reads the evaluation set; nil without one.
func (c *candidate) rows() (*fairlead.Table, error) {
	if len(c.ref) == 0 {
		return nil, nil
	}
	return reference.Read(c.refName, c.ref, bundle.TextColumns(c.sig)...)
}

// other finds the version that a test compares with; nil, nil: there is none.
type other func(ctx context.Context, version string) (*candidate, error)

// kindsOf reads names of kinds of tests.
func kindsOf(names []string) ([]check.Kind, error) {
	var kinds []check.Kind
	for _, n := range names {
		if !slices.Contains(check.Kinds(), check.Kind(n)) {
			return nil, fairlead.Invalid("there is no kind of tests %q", n).Hintf("there are %s", strings.Trim(fmt.Sprint(check.Kinds()), "[]"))
		}
		kinds = append(kinds, check.Kind(n))
	}
	return kinds, nil
}

// test loads a version and asks its tests. begin, if not nil, is called before each.
func (t *tester) test(ctx context.Context, c *candidate, find other, in api.TestRequest, begin func(name string, at, of int)) (api.TestReport, error) {
	report := c.report
	o := check.Options{Now: t.now, Begin: begin}
	var err error
	if o.Skip, err = kindsOf(in.Skip); err != nil {
		return report, err
	}
	if o.Only, err = kindsOf(in.Only); err != nil {
		return report, err
	}
	suite := c.suite
	if suite == nil {
		if suite, err = check.Parse(c.file.Tests); err != nil {
			return report, err
		}
	}
	if report.Builtin = len(suite) == 0; report.Builtin {
		suite = check.Builtin()
	}
	if err := suite.Fits(c.sig); err != nil {
		return report, err
	}
	rows, err := c.rows()
	if err != nil {
		return report, err
	}
	before := t.memory()
	session, ran, err := t.load(ctx, c.graph, 1, c.golden)
	if err != nil {
		return report, err
	}
	defer func() { _ = session.Close() }() // nothing was asked of it that could be lost
	others := &others{tester: t, find: find, against: in.Against}
	defer others.close()
	subject := check.Subject{
		Signature: c.sig, Model: session, Rows: rows, Golden: c.golden, ModelBytes: int64(len(c.graph)), BundleBytes: c.size,
		Memory: max(0, t.memory()-before), Other: others.get,
	}
	report.Host, report.Engine, report.Began = hostText(t.host), ran, t.now().UTC()
	result, err := check.Run(ctx, suite, subject, o)
	if err != nil {
		return report, err
	}
	fill(&report, &result)
	return report, nil
}

// others loads the versions to compare with, each once.
type others struct {
	tester  *tester
	find    other
	against string
	open    []engine.Session
}

func (o *others) get(ctx context.Context, version string) (*check.Other, error) {
	if o.find == nil {
		return nil, nil
	}
	if o.against != "" {
		version = o.against
	}
	c, err := o.find(ctx, version)
	if c == nil || err != nil {
		return nil, err
	}
	session, _, err := o.tester.load(ctx, c.graph, 1, c.golden)
	if err != nil {
		return nil, about(version, err)
	}
	o.open = append(o.open, session)
	return &check.Other{Signature: c.sig, Model: session}, nil
}

func (o *others) close() {
	for _, s := range o.open {
		_ = s.Close()
	}
}

// verify runs the golden vectors of a version with the engine that would serve it.
func (t *tester) verify(ctx context.Context, c *candidate) (api.Verification, error) {
	if c.golden == nil || len(c.golden.Cases) == 0 {
		return api.Verification{}, fairlead.Errorf(fairlead.CodeConflict, "%s has no golden vectors: there is nothing to hold this host against", c.report.Subject).
			Hintf("a push makes them: verify the pushed version, or put a %s into the folder", bundle.GoldenFile)
	}
	session, ran, err := t.load(ctx, c.graph, 1, c.golden)
	if err != nil {
		return api.Verification{}, err
	}
	defer func() { _ = session.Close() }()
	all, err := check.Replay(ctx, c.golden, session)
	if err != nil {
		return api.Verification{}, err
	}
	out := verification(c, t.host, all)
	out.Engine = ran
	return out, nil
}

// verification is what a replay of golden vectors found.
func verification(c *candidate, host bundle.Host, all []check.Difference) api.Verification {
	out := api.Verification{
		Subject: c.report.Subject, Digest: c.report.Digest, Variant: c.report.Variant, Host: hostText(host), OK: true,
		Absolute: c.golden.Absolute, Relative: c.golden.Relative, Cases: len(c.golden.Cases), Outputs: []api.VerifiedOutput{},
	}
	for _, d := range all {
		out.OK = out.OK && d.Agrees()
		out.Outputs = append(out.Outputs, api.VerifiedOutput{
			Case: d.Case, Output: d.Output, OK: d.Agrees(), Elements: d.Elements, Beyond: d.Beyond, Largest: finitePointer(d.Largest), Share: finitePointer(d.Share),
			Element: d.At, Expected: d.Expected, Got: d.Got, Problem: d.Problem,
		})
	}
	return out
}

// fill writes the results into a report.
func fill(report *api.TestReport, r *check.Report) {
	report.Rows, report.Seconds, report.Results = r.Rows, r.Took.Seconds(), make([]api.TestResult, len(r.Results))
	report.Passed, report.TooFew, report.Skipped = r.Count(check.Passed), r.Count(check.TooFew), r.Count(check.Skipped)
	report.Failed = len(r.Failed())
	report.OK = report.Failed == 0
	for i, x := range r.Results {
		report.Results[i] = resultOf(x)
	}
}

func resultOf(x check.Result) api.TestResult {
	out := api.TestResult{
		Name: x.Name, Kind: string(x.Kind), Why: x.Why, Verdict: string(x.Verdict), Fails: x.Fails, Text: x.Text, Value: x.Value, Low: x.Low, High: x.High,
		Bound: x.Bound, N: x.N, Seconds: x.Took.Seconds(),
	}
	for _, g := range x.Groups {
		out.Groups = append(out.Groups, api.TestGroup{Name: g.Name, Verdict: string(g.Verdict), Value: g.Value, Low: g.Low, High: g.High, N: g.N})
	}
	for _, w := range x.Worst {
		out.Worst = append(out.Worst, api.TestRow{Row: w.Row, Group: w.Group, Inputs: w.Inputs, Text: w.Text, By: finitePointer(w.By)})
	}
	return out
}

func finitePointer(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) || x == math.MaxFloat64 {
		return nil
	}
	return &x
}

// hostText is a host for people: what decides how numbers come out.
func hostText(h bundle.Host) string {
	s := h.OS + "/" + h.Arch
	if len(h.ISA) > 0 {
		s += " (" + strings.Join(h.ISA, " ") + ")"
	}
	if h.Runtime != "" {
		s += ", ONNX Runtime " + h.Runtime
	}
	return s
}

// testsFailed is the error that refuses a version for its tests, naming those that failed; nil if none did.
func testsFailed(r api.TestReport) error {
	if r.OK {
		return nil
	}
	var lines []string
	for _, x := range r.Results {
		if x.Fails {
			lines = append(lines, fmt.Sprintf("%q: %s", x.Name, x.Text))
		}
	}
	e := fairlead.Errorf(fairlead.CodeConflict, "%s fails %d of its %d tests: %s", r.Subject, r.Failed, len(r.Results), strings.Join(lines, "; ")).
		Hintf("`fairlead test` shows the rows behind each; correct the model, or the tests in %s", bundle.FileName)
	e.Reason = "tests_failed"
	return e
}

// describesTests refuses a bundle whose tests cannot be read or do not fit its model.
func describesTests(f *bundle.File, sig fairlead.Signature) error {
	suite, err := check.Parse(f.Tests)
	if err != nil {
		return err
	}
	return suite.Fits(sig)
}

// hostRefuses is the error of a host that does not give a version's golden answers.
func hostRefuses(v api.Verification) error {
	if v.OK {
		return nil
	}
	bad := 0
	first := ""
	for _, o := range v.Outputs {
		if o.OK {
			continue
		}
		if bad++; first == "" {
			if first = o.Problem; first == "" {
				first = fmt.Sprintf("element %d: expected %s, got %s", o.Element, o.Expected, o.Got)
			}
			first = fmt.Sprintf("case %d, output %q: %s", o.Case, o.Output, first)
		}
	}
	e := fairlead.Errorf(fairlead.CodeConflict, "this host does not compute as %s was recorded: %d of %d outputs differ by more than %g + %g·|expected| (%s)",
		v.Subject, bad, len(v.Outputs), v.Absolute, v.Relative, first).
		Hintf("it must not serve the version: its processor or its runtime computes otherwise (%s). If the difference is harmless, widen the tolerance and push again", v.Host)
	e.Reason = "golden_mismatch"
	return e
}
