// Package probe finds out, while a model is loaded and before anybody asks it anything, how it is to be served: it warms
// the session up, holds its answers against golden vectors, tests whether rows that are run together get the answers that
// they get alone, measures what runs of 1 to 64 rows cost, and tries more threads where one row takes long. The decisions
// are functions of what was measured; the clock is an argument.
package probe

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// Options say what is loaded and what is known of it.
type Options struct {
	Load   func(threads int) (engine.Session, error) // called once, and again for each number of threads that is tried
	Golden *Golden                                   // nil: none
	Known  *route.Settings                           // measured before on the same content: warm up and check golden vectors only

	MaxBatch  int            // rows of one run, as the author wants it; 0: as measured
	MaxDelay  *time.Duration // nil: requests never wait for others beside an idle core
	CacheTTL  time.Duration
	CacheSize int64         // bytes of answers of its own; 0: it shares
	Cores     int           // threads of one run at most; 0: 1
	Budget    time.Duration // computing time that measuring may take; 0: 500 ms. The self-test comes on top

	Now    func() time.Time
	Rest   func(ctx context.Context, ran time.Duration) // called between runs with how long the model has run since; nil: no rest
	Memory func() int64                                 // bytes in use by models; nil: unknown
}

// Golden are calls with the answers that they must give.
type Golden struct {
	Absolute, Relative float64 // a floating-point answer may be off by Absolute + Relative·|expected|
	Cases              []Case
}

// Case is one call.
type Case struct{ Inputs, Outputs []fairlead.Tensor }

// Result is how to serve the model.
type Result struct {
	Session  engine.Session // belongs to the caller
	Settings route.Settings
	Report   []string // for people, a line per finding
}

// Thresholds. They are stated in the reports.
const (
	largestProbe  = 64 // rows of the largest run that is measured
	defaultBudget = 500 * time.Millisecond
	warmRuns      = 3
	drawnRuns     = 8                // of a case, to see whether the model draws its answers
	restAfter     = time.Millisecond // runs shorter than that rest together
)

// prober is one probing.
type prober struct {
	Options
	ctx     context.Context
	session engine.Session
	rows    *rows
	ran     time.Duration // since the last rest
	one     time.Duration // that a run of one row takes
	tested  int           // rows of the largest batch of the self-test
	result  Result
}

// Run loads and probes a model. Errors are those of Load, of the context, and CodeInvalid where the model does not give
// its golden answers; whatever else is found out makes the settings careful and stands in the report.
func Run(ctx context.Context, o Options) (*Result, error) {
	p := &prober{Options: o, ctx: ctx}
	if p.Budget == 0 {
		p.Budget = defaultBudget
	}
	threads, before := 1, p.memory()
	if o.Known != nil {
		threads = max(1, o.Known.Threads)
	}
	var err error
	if p.session, err = o.Load(threads); err != nil {
		return nil, err
	}
	if err := p.probe(threads); err != nil {
		_ = p.session.Close()
		return nil, err
	}
	p.result.Session = p.session
	p.result.Settings.Memory = max(0, p.memory()-before)
	if m := p.result.Settings.Memory; m > 0 {
		p.report("memory: loading it took %.1f MB", float64(m)/1e6)
	}
	return &p.result, nil
}

func (p *prober) probe(threads int) error {
	set := &p.result.Settings
	*set = route.Settings{MaxBatch: 1, CacheTTL: p.CacheTTL, CacheSize: p.CacheSize, Threads: threads}
	if p.MaxDelay != nil {
		set.MaxDelay = *p.MaxDelay
	}
	sig := p.session.Signature()
	p.rows = findRows(&sig, p.Golden)
	if p.Known != nil {
		known := *p.Known
		known.CacheTTL, known.CacheSize, known.MaxDelay = set.CacheTTL, set.CacheSize, set.MaxDelay
		*set = known
		if err := p.warmUp(); err != nil {
			return err
		}
		return p.checkGolden()
	}
	if err := p.warmUp(); err != nil {
		return err
	}
	if err := p.checkGolden(); err != nil {
		return err
	}
	if p.rows.unfit != "" {
		set.Batching = "off: the model could not be probed: " + p.rows.unfit
		p.report("batching: %s", set.Batching)
		return p.ctx.Err()
	}
	if err := p.chooseThreads(); err != nil {
		return err
	}
	off, err := p.selfTest()
	if err != nil {
		return err
	}
	return p.measure(off)
}

// warmUp runs the first rows: the first run of a session takes up to five times as long as the next. A model that gives up
// on values that were made up for it is left alone.
func (p *prober) warmUp() error {
	if p.rows.unfit != "" {
		return nil
	}
	var took [warmRuns]time.Duration
	for i := range took {
		_, d, err := p.run(p.rows.batch(0))
		if err != nil {
			if p.ctx.Err() != nil {
				return err
			}
			if p.rows.synthetic && p.rows.another() {
				return p.warmUp()
			}
			p.rows.unfit = fmt.Sprintf("it fails on %s: %v", p.rows.source(), err)
			return nil
		}
		took[i] = d
	}
	p.report("warm-up: the first run took %s, the third %s, with %s", short(took[0]), short(took[warmRuns-1]), p.rows.source())
	return nil
}

// run times one run, then rests.
func (p *prober) run(in []fairlead.Tensor) ([]fairlead.Tensor, time.Duration, error) {
	return p.runOn(p.session, in)
}

func (p *prober) runOn(s engine.Session, in []fairlead.Tensor) ([]fairlead.Tensor, time.Duration, error) {
	start := p.Now()
	out, err := s.Run(p.ctx, in, nil)
	took := p.Now().Sub(start)
	if p.ran += took; p.Rest != nil && p.ran >= restAfter {
		p.Rest(p.ctx, p.ran)
		p.ran = 0
	}
	return out, took, err
}

func (p *prober) report(format string, args ...any) {
	p.result.Report = append(p.result.Report, fmt.Sprintf(format, args...))
}

func (p *prober) memory() int64 {
	if p.Memory == nil {
		return 0
	}
	return p.Memory()
}

// short is a duration with three digits.
func short(d time.Duration) string {
	unit := time.Duration(1)
	for unit*1000 <= d {
		unit *= 10
	}
	return d.Round(unit).String()
}
