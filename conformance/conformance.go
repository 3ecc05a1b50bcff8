// Package conformance checks a server against the Open Inference Protocol v2: REST and gRPC, and the extensions that the
// server says it has. It knows nothing of any server: point it at one and read the report.
//
// Where the server has the model_repository extension with upload of files, the suite brings tiny identity models of
// every datatype, and takes them away at the end. Elsewhere it uses a model that is there, and skips what needs to know
// the answer.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Options say what is checked.
type Options struct {
	URL     string        // of the server's REST face, "http://127.0.0.1:8080"
	GRPC    string        // "127.0.0.1:8081"; empty: gRPC is skipped
	Model   string        // used where the suite cannot bring its own; empty: the first one that the server lists
	Only    []string      // groups; empty: all
	Timeout time.Duration // of one request; 0: 10 s
	HTTP    *http.Client  // nil: one of its own
}

// Level says how binding a rule is.
type Level string

// Levels. A deviation that widely used servers share, or that the text leaves open, is advice.
const (
	Must   Level = "must"
	Advice Level = "advice"
)

// Verdict of a check.
type Verdict string

// Verdicts.
const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
	Skip Verdict = "skip"
)

// Result is what one check found.
type Result struct {
	Group    string  `json:"group"`
	Name     string  `json:"name"`
	Rule     string  `json:"rule"` // document and section
	Level    Level   `json:"level"`
	Verdict  Verdict `json:"verdict"`
	Expected string  `json:"expected,omitempty"`
	Came     string  `json:"came,omitempty"`
	Reason   string  `json:"reason,omitempty"` // of a skip
	Millis   float64 `json:"ms"`
}

// Report is the outcome of a run.
type Report struct {
	URL        string   `json:"url"`
	GRPC       string   `json:"grpc,omitempty"`
	Server     string   `json:"server"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
	Models     string   `json:"models"` // which ones were used, and why
	Passed     int      `json:"passed"`
	Failed     int      `json:"failed"`
	Advice     int      `json:"advice"` // checks of that level that failed
	Skipped    int      `json:"skipped"`
	Results    []Result `json:"results"`
}

// check is one rule as a function. It returns nil, a *mismatch, a *skip, or an error of the transport, which is a failure.
type check struct {
	group, name, rule string
	level             Level
	extension         string // skipped where the server does not list it
	run               func(ctx context.Context, p *probe) error
}

type mismatch struct{ expected, came string }

func (m *mismatch) Error() string { return "expected " + m.expected + "; came " + m.came }

type skip struct{ reason string }

func (s *skip) Error() string { return "skipped: " + s.reason }

func skipf(format string, args ...any) error { return &skip{fmt.Sprintf(format, args...)} }

// want is nil if ok, else a mismatch.
func want(ok bool, expected, came string, args ...any) error {
	if ok {
		return nil
	}
	return &mismatch{expected, fmt.Sprintf(came, args...)}
}

// Groups of checks, in the order they run.
func Groups() []string {
	var names []string
	for _, c := range checks() {
		if !slices.Contains(names, c.group) {
			names = append(names, c.group)
		}
	}
	return names
}

// Count is the number of checks.
func Count() int { return len(checks()) }

func checks() []check {
	return slices.Concat(healthChecks(), metadataChecks(), inferChecks(), datatypeChecks(), dataChecks(), errorChecks(), binaryChecks(),
		transportChecks(), versionChecks(), extensionChecks(), repositoryChecks(), grpcChecks())
}

// Run checks a server. The error is a *fairlead.Error if the options are wrong or nothing answers there at all; what the
// server does wrong is in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return Report{}, fairlead.Invalid("%q is not the address of a server", o.URL).Hintf("write for example http://127.0.0.1:8080")
	}
	for _, g := range o.Only {
		if !slices.Contains(Groups(), g) {
			return Report{}, fairlead.Invalid("there is no group of checks %q", g).Hintf("the groups are %s", strings.Join(Groups(), ", "))
		}
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	p := newProbe(o)
	defer p.close()
	if err := p.meet(ctx); err != nil {
		return Report{}, err
	}
	p.bringModels(ctx)
	// What was brought is taken away even if ctx has ended.
	defer p.takeModelsAway(context.WithoutCancel(ctx))
	r := Report{URL: p.base, GRPC: o.GRPC, Server: p.server, Version: p.version, Extensions: p.extensions, Models: p.story}
	for _, c := range checks() {
		if len(o.Only) > 0 && !slices.Contains(o.Only, c.group) {
			continue
		}
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		r.add(p.try(ctx, c))
	}
	return r, nil
}

func (r *Report) add(result Result) {
	r.Results = append(r.Results, result)
	switch {
	case result.Verdict == Pass:
		r.Passed++
	case result.Verdict == Skip:
		r.Skipped++
	case result.Level == Advice:
		r.Advice++
	default:
		r.Failed++
	}
}

func (p *probe) try(ctx context.Context, c check) Result {
	result := Result{Group: c.group, Name: c.name, Rule: c.rule, Level: c.level, Verdict: Pass}
	if result.Level == "" {
		result.Level = Must
	}
	if c.extension != "" && !slices.Contains(p.extensions, c.extension) {
		result.Verdict, result.Reason = Skip, "the server does not list the extension "+c.extension
		return result
	}
	begun := time.Now()
	err := c.run(ctx, p)
	result.Millis = float64(time.Since(begun).Microseconds()) / 1000
	var m *mismatch
	var s *skip
	switch {
	case err == nil:
	case errors.As(err, &s):
		result.Verdict, result.Reason = Skip, s.reason
	case errors.As(err, &m):
		result.Verdict, result.Expected, result.Came = Fail, m.expected, m.came
	default:
		result.Verdict, result.Expected, result.Came = Fail, "an answer", err.Error()
	}
	return result
}
