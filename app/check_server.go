package app

import (
	"context"
	"fmt"
	"path"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
)

// RequireTests is the key require_tests of the configuration file: which models go live only when they pass the tests in
// their bundle. The zero value asks for none.
type RequireTests struct {
	Models []string `yaml:"models" json:"models"` // names, * stands for any characters
	Skip   []string `yaml:"skip" json:"skip"`     // kinds of tests that are not asked, for example latency
}

// check says what is wrong with the configuration.
func (r RequireTests) check() error {
	for _, m := range r.Models {
		if _, err := path.Match(m, ""); err != nil {
			return fairlead.Invalid("require_tests: %q is not a pattern of names", m).Hintf("write names, with * for any characters")
		}
	}
	_, err := kindsOf(r.Skip)
	return err
}

// asks says whether versions of a model must pass their tests.
func (r RequireTests) asks(model fairlead.Name) bool {
	for _, m := range r.Models {
		if ok, err := path.Match(m, string(model)); err == nil && ok {
			return true
		}
	}
	return false
}

// turns lets one after the other do something. The zero value is free.
type turns struct {
	once sync.Once
	free chan struct{}
}

// take waits until nobody else is at it; the answer gives the turn back. The error is the context's.
func (t *turns) take(ctx context.Context) (done func(), err error) {
	t.once.Do(func() { t.free = make(chan struct{}, 1) })
	select {
	case t.free <- struct{}{}:
		return func() { <-t.free }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tester tests with the engine that serves.
func (a *App) tester() *tester {
	return &tester{load: a.deployer.loadFastest, memory: a.runtime.Memory, host: a.deployer.host, now: time.Now}
}

// Test implements admin.Testing: it loads the version once more, beside what serves. Tests run one after the other: each
// takes a core and the memory of a model, and latency is measured.
func (a *App) Test(ctx context.Context, name fairlead.Name, version string, in api.TestRequest) (api.TestReport, error) {
	e, c, err := a.candidate(ctx, name, version, in.Variant)
	if err != nil {
		return api.TestReport{}, err
	}
	done, err := a.testing.take(ctx)
	if err != nil {
		return api.TestReport{}, err
	}
	defer done()
	return a.tester().test(ctx, c, a.otherThan(name, e.Digest), in, nil)
}

// Verify implements admin.Testing.
func (a *App) Verify(ctx context.Context, name fairlead.Name, version, variant string) (api.Verification, error) {
	_, c, err := a.candidate(ctx, name, version, variant)
	if err != nil {
		return api.Verification{}, err
	}
	done, err := a.testing.take(ctx)
	if err != nil {
		return api.Verification{}, err
	}
	defer done()
	return a.tester().verify(ctx, c)
}

// candidate opens a version of the registry.
func (a *App) candidate(ctx context.Context, name fairlead.Name, version, variant string) (registry.Entry, *candidate, error) {
	e, err := a.registry.Resolve(ctx, name, version)
	if err != nil {
		return e, nil, err
	}
	b, err := a.registry.OpenFor(ctx, e.Digest, variant, a.deployer.host)
	if err != nil {
		return e, nil, err
	}
	c, err := candidateOf(b, fmt.Sprintf("%s@%d", e.Model, e.Version))
	if err != nil {
		return e, nil, err
	}
	c.report.Model, c.report.Version, c.size = string(e.Model), int(e.Version), e.Size
	return e, c, nil
}

// otherThan finds versions to compare with: an alias, a number or a digest of the model, or live, what its deployment
// serves. A version that is not there, or is the tested one, is none.
func (a *App) otherThan(name fairlead.Name, tested fairlead.Digest) other {
	return func(ctx context.Context, version string) (*candidate, error) {
		e, err := a.compared(ctx, name, version)
		if err != nil || e.Digest == "" || e.Digest == tested {
			return nil, err
		}
		_, c, err := a.candidate(ctx, name, e.Version.String(), "")
		return c, err
	}
}

// compared resolves what not_worse_than says; the zero Entry is none.
func (a *App) compared(ctx context.Context, name fairlead.Name, version string) (registry.Entry, error) {
	if version == "live" {
		v, err := a.deployer.Live(name)
		if err != nil {
			return registry.Entry{}, nil
		}
		version = v.String()
	}
	e, err := a.registry.Resolve(ctx, name, version)
	if fairlead.CodeOf(err) == fairlead.CodeNotFound {
		return registry.Entry{}, nil
	}
	return e, err
}

// passes tests a bundle that is about to be stored, where its model or whoever pushes it asks for that. The error is
// CodeConflict with the reason "tests_failed" and names the tests; nothing is stored then.
func (a *App) passes(ctx context.Context, name fairlead.Name, b *bundle.Bundle, asked bool) error {
	required := a.config.RequireTests.asks(name)
	if !asked && !required {
		return nil
	}
	if required && len(b.File.Tests) == 0 {
		return a.testless(string(name))
	}
	at, err := bundle.Choose(b.Variants, "", a.deployer.host)
	if err != nil {
		return err
	}
	selected, err := b.Select(at)
	if err != nil {
		return err
	}
	c, err := candidateOf(selected, "the new version of "+string(name))
	if err != nil {
		return err
	}
	return a.gate(ctx, name, c)
}

// PassesTests is the gate before a version that is stored already goes live: at the start of a rollout, at a deployment. It
// asks only where require_tests does. What passed once is not asked again in this process, as long as it is compared with
// the same versions.
func (a *App) PassesTests(ctx context.Context, name fairlead.Name, v fairlead.Version) error {
	if !a.config.RequireTests.asks(name) {
		return nil
	}
	e, err := a.registry.Resolve(ctx, name, v.String())
	if err != nil {
		return err
	}
	if _, ok := a.tested.Load(a.testedKey(ctx, name, e.Digest)); ok {
		return nil
	}
	_, c, err := a.candidate(ctx, name, v.String(), "")
	if err != nil {
		return err
	}
	if len(c.file.Tests) == 0 {
		return a.testless(c.report.Subject)
	}
	return a.gate(ctx, name, c)
}

func (a *App) testless(subject string) error {
	e := fairlead.Errorf(fairlead.CodeConflict, "%s has no tests, and this server takes it into service only with tests that pass (require_tests)", subject).
		Hintf("add tests to %s: tests: [{metric: auroc, at_least: 0.7}]", bundle.FileName)
	e.Reason = "tests_missing"
	return e
}

func (a *App) gate(ctx context.Context, name fairlead.Name, c *candidate) error {
	done, err := a.testing.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	digest := fairlead.Digest(c.report.Digest)
	report, err := a.tester().test(ctx, c, a.otherThan(name, digest), api.TestRequest{Skip: a.config.RequireTests.Skip}, nil)
	if err != nil {
		return err
	}
	a.log.Info("tested", "version", report.Subject, "ok", report.OK, "passed", report.Passed, "failed", report.Failed, "too few", report.TooFew, "skipped", report.Skipped)
	if err := testsFailed(report); err != nil {
		return err
	}
	a.tested.Store(a.testedKey(ctx, name, digest), true)
	return nil
}

// testedKey names a version together with what it may have been compared with.
func (a *App) testedKey(ctx context.Context, name fairlead.Name, d fairlead.Digest) string {
	key := string(d)
	m, err := a.registry.Model(ctx, name)
	if err == nil {
		key += fmt.Sprint(m.Aliases)
	}
	live, _ := a.deployer.Live(name)
	return fmt.Sprint(key, live)
}
