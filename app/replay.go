package app

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/watch/realised"
	"github.com/fairlead-ml/fairlead/watch/replay"
)

const (
	replaySample = 100_000
	replayBatch  = 256
)

// Replay implements admin.Replay: it loads the version beside what serves, runs recorded inputs through it in small batches,
// and rests between them while processors are short. One runs at a time.
func (a *App) Replay(ctx context.Context, name fairlead.Name, in api.ReplayRequest, progress func(done, total int)) (api.ReplayReport, error) {
	if !a.replaying.CompareAndSwap(false, true) {
		e := fairlead.Errorf(fairlead.CodeExhausted, "another replay is running on this server").Hintf("wait until it is done")
		e.Reason, e.Retry = "replay_running", 10*time.Second
		return api.ReplayReport{}, e
	}
	defer a.replaying.Store(false)
	began := time.Now()
	r, err := a.openReplay(ctx, name, in)
	if err != nil {
		return api.ReplayReport{}, err
	}
	defer func() { _ = r.session.Close() }() // nothing was asked of it that could be lost
	done, total := 0, 0
	err = a.store.Recorded(ctx, r.recording, func(rows int) { total = rows }, func(b *evalstore.RecordedBatch) error {
		for from := 0; from < len(b.ID); from += r.batch {
			to := min(from+r.batch, len(b.ID))
			worked := time.Now()
			if err := r.run(ctx, b, from, to); err != nil {
				return err
			}
			if done += to - from; progress != nil {
				progress(done, max(total, done))
			}
			a.pace.Rest(ctx, time.Since(worked), 0)
		}
		return ctx.Err()
	})
	if err != nil {
		return api.ReplayReport{}, err
	}
	return r.report(time.Since(began)), nil
}

// replayRun is one replay under way.
type replayRun struct {
	app       *App
	model     fairlead.Name
	sig       fairlead.Signature
	session   engine.Session
	engine    string
	against   string
	batch     int
	recording evalstore.Recording
	inputs    int // how many of recording.Fields are the version's inputs; they come first
	classes   []int
	segments  []int
	needed    map[string]bool
	redacted  map[int]bool // by recorded version

	pairs    *replay.Comparison
	versions map[string]int
	skipped  api.ReplaySkipped
	latency  []float64 // microseconds of recorded requests
	spent    time.Duration
	ran      int
}

func (a *App) openReplay(ctx context.Context, name fairlead.Name, in api.ReplayRequest) (*replayRun, error) {
	dep := a.deployer.get(name)
	switch {
	case dep == nil && a.pipelines.get(name) != nil:
		return nil, fairlead.Errorf(fairlead.CodeUnsupported, "%s is a pipeline, whose steps are not recorded apart", name).
			Hintf("replay the deployment of one of its models")
	case dep == nil:
		return nil, fairlead.NotFound("there is no deployment %q", name)
	}
	r := &replayRun{
		app: a, model: dep.Model, needed: map[string]bool{}, redacted: map[int]bool{}, versions: map[string]int{},
		recording: evalstore.Recording{Deployment: name, From: in.From, To: in.To, Sample: cmp.Or(in.Sample, replaySample)},
	}
	if err := r.span(ctx); err != nil {
		return nil, err
	}
	e, c, err := a.candidate(ctx, dep.Model, in.Against, "")
	if err != nil {
		return nil, err
	}
	r.sig, r.against = c.sig, fmt.Sprintf("%s@%d", e.Model, e.Version)
	if err := r.plan(ctx); err != nil {
		return nil, err
	}
	if r.session, r.engine, err = a.deployer.loadFastest(ctx, c.graph, 1, c.golden); err != nil {
		return nil, err
	}
	threshold := math.NaN()
	if r.sig.Task == fairlead.TaskBinary {
		threshold = realised.Threshold
	}
	r.pairs = replay.New(replay.Options{Threshold: threshold})
	return r, nil
}

// span fills in the times that were not given.
func (r *replayRun) span(ctx context.Context) error {
	q := &r.recording
	stats, err := r.app.store.Stats(ctx, q.Deployment)
	if err != nil {
		return err
	}
	if stats.Rows == 0 {
		return fairlead.Errorf(fairlead.CodeConflict, "%s has no recorded rows", q.Deployment).Hintf("log.rows of its bundle says which share is recorded")
	}
	if q.To.IsZero() {
		q.To = stats.To.Add(time.Microsecond)
	}
	if q.From.IsZero() {
		q.From = q.To.Add(-24 * time.Hour)
	}
	if !q.From.Before(q.To) {
		return fairlead.Invalid("from %s is not before to %s", q.From.Format(time.RFC3339), q.To.Format(time.RFC3339))
	}
	return nil
}

// plan says which recorded columns are read, or that some the version needs were never recorded.
func (r *replayRun) plan(ctx context.Context) error {
	q := &r.recording
	r.batch = replayBatch
	for _, in := range r.sig.Inputs {
		if len(in.Shape) > 0 && in.Shape[0] > 1 {
			return fairlead.Errorf(fairlead.CodeUnsupported, "%s takes batches of exactly %d rows", r.against, in.Shape[0])
		}
		if len(in.Shape) > 0 && in.Shape[0] == 1 {
			r.batch = 1
		}
		switch w := in.Width(); {
		case len(in.Features) > 0:
			for _, f := range in.Features {
				q.Fields = append(q.Fields, evalstore.RecordedField{Name: f})
			}
		case w >= 1:
			q.Fields = append(q.Fields, evalstore.RecordedField{Name: in.Name})
		default:
			return fairlead.Errorf(fairlead.CodeUnsupported, "%s has the input %s of free shape, whose rows are not recorded with theirs", r.against, in.Name)
		}
		if !replayable(in.Type) {
			return fairlead.Errorf(fairlead.CodeUnsupported, "%s has the input %s of type %s, which cannot be replayed", r.against, in.Name, in.Type)
		}
	}
	r.inputs = len(q.Fields)
	missing, err := r.app.store.MissingFields(ctx, q.Deployment, q.Fields)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		names := make([]string, len(missing))
		for i, f := range missing {
			names[i] = f.Name
		}
		e := fairlead.Errorf(fairlead.CodeConflict, "%s needs %s, which no recorded row of %s holds", r.against, strings.Join(names, ", "), q.Deployment).
			Hintf("only inputs that a recorded version had can be replayed")
		e.Reason = "fields_missing"
		return e
	}
	for _, f := range q.Fields {
		r.needed[f.Name] = true
	}
	if _, ok := labelField(&r.sig); !ok && r.sig.Task == fairlead.TaskMulticlass {
		for _, f := range r.sig.Fields() {
			if f.Output && f.Role == fairlead.RoleScore {
				r.classes = append(r.classes, len(q.Fields))
				q.Fields = append(q.Fields, evalstore.RecordedField{Name: f.Name, Output: true})
			}
		}
	}
	for _, s := range r.sig.Segments {
		if i := slices.Index(q.Fields, evalstore.RecordedField{Name: s}); i >= 0 {
			r.segments = append(r.segments, i)
		}
	}
	return nil
}

func labelField(sig *fairlead.Signature) (fairlead.Field, bool) {
	for _, f := range sig.Fields() {
		if f.Output && f.Role == fairlead.RoleLabel {
			return f, true
		}
	}
	return fairlead.Field{}, false
}

// isRedacted says whether a recorded version did not store an input that is needed as it came.
func (r *replayRun) isRedacted(ctx context.Context, v int) bool {
	known, ok := r.redacted[v]
	if !ok {
		if _, c, err := r.app.candidate(ctx, r.model, fairlead.Version(v).String(), ""); err == nil { //nolint:gosec // versions are small
			known = slices.ContainsFunc(c.file.Redactions(), func(hidden bundle.RedactFile) bool { return r.needed[hidden.Name] })
		}
		r.redacted[v] = known
	}
	return known
}

// run compares rows from … to of a batch.
func (r *replayRun) run(ctx context.Context, b *evalstore.RecordedBatch, from, to int) error {
	var rows []int
	for i := from; i < to; i++ {
		switch {
		case r.isRedacted(ctx, b.Version[i]):
			r.skipped.Redacted++
		case slices.ContainsFunc(b.Values[:r.inputs], func(c []any) bool { return c[i] == nil }):
			r.skipped.Incomplete++
		default:
			rows = append(rows, i)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	inputs, err := replayInputs(&r.sig, b.Values, rows)
	if err != nil {
		return err
	}
	began := time.Now()
	outputs, err := r.session.Run(ctx, inputs, nil)
	if ctx.Err() != nil {
		return engine.ContextError(ctx)
	}
	if err != nil {
		r.skipped.Failed += len(rows)
		if r.ran == 0 && r.skipped.Failed > 10*replayBatch {
			return fmt.Errorf("%s answers no recorded row: %w", r.against, err)
		}
		return nil
	}
	r.spent += time.Since(began)
	r.ran += len(rows)
	for n, i := range rows {
		r.versions[fmt.Sprint(b.Version[i])]++
		if len(r.latency) < 1_000_000 {
			r.latency = append(r.latency, float64(b.Latency[i])/float64(time.Microsecond))
		}
		r.pairs.Add(r.pair(b, i, outputs, n))
	}
	return nil
}

func (r *replayRun) report(took time.Duration) api.ReplayReport {
	q, found := r.recording, r.pairs.Report()
	out := api.ReplayReport{
		Deployment: string(q.Deployment), Against: r.against, From: q.From.UTC(), To: q.To.UTC(), Rows: r.ran, Skipped: r.skipped,
		Versions: r.versions, Flips: found.Tally.Flips, Invalid: found.Tally.Invalid, Scored: found.Tally.Scored,
		Mean: finitePointer(found.Distance.Mean), Spearman: finitePointer(found.Spearman), PSI: finitePointer(found.Drift.PSI),
		PSIFloor: finitePointer(found.Drift.PSIFloor), KS: finitePointer(found.Drift.KS), KSFloor: finitePointer(found.Drift.KSFloor),
		Difference: []api.ReplayLevel{}, Segments: []api.ReplaySegment{}, Examples: []api.ReplayExample{}, Engine: r.engine,
		Run: float64(r.spent.Microseconds()) / float64(max(r.ran, 1)), Seconds: took.Seconds(),
	}
	if len(r.latency) > 0 {
		slices.Sort(r.latency)
		out.Recorded = finitePointer(r.latency[len(r.latency)/2])
	}
	if r.ran > 0 && r.decides() {
		rate := float64(out.Flips) / float64(r.ran)
		out.FlipRate = &rate
		out.FlipLow, out.FlipHigh = wilson(out.Flips, uint64(r.ran))
	}
	if found.Tally.Scored > 0 {
		for i, level := range found.Distance.Levels {
			out.Difference = append(out.Difference, api.ReplayLevel{Level: level, Signed: found.Distance.Signed[i], Absolute: found.Distance.Absolute[i]})
		}
	}
	for name, s := range found.Tally.Segments {
		x := api.ReplaySegment{Name: name, Rows: s.Pairs, Flips: s.Flips, Mean: finitePointer(s.SumDifference / float64(s.Scored))}
		x.Low, x.High = wilson(s.Flips, s.Pairs)
		out.Segments = append(out.Segments, x)
	}
	slices.SortFunc(out.Segments, func(a, b api.ReplaySegment) int {
		return cmp.Or(cmp.Compare(b.Flips, a.Flips), cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Name, b.Name))
	})
	for _, e := range found.Tally.Examples {
		out.Examples = append(out.Examples, api.ReplayExample{
			ID: e.ID, Recorded: e.Live, Replayed: e.Shadow, RecordedClass: e.LiveClass, ReplayedClass: e.ShadowClass, Segment: e.Segment, Invalid: e.Invalid,
		})
	}
	out.Versions = maps.Clone(r.versions)
	return out
}

// decides says whether the version's answers are decisions, or have a threshold that makes them.
func (r *replayRun) decides() bool {
	_, labels := labelField(&r.sig)
	return labels || len(r.classes) > 0 || r.sig.Task == fairlead.TaskBinary
}

// wilson is the 95 % score interval of a share; nil without rows.
func wilson(k, n uint64) (low, high *float64) {
	m := realised.Share(k, n)
	return finitePointer(m.Low), finitePointer(m.High)
}
