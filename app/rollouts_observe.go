package app

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/ship/rollout"
	"github.com/fairlead-ml/fairlead/watch/profile"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// observe gathers what a rollout's step looks at. The caller holds r.mu, so that the tallies are those of the stage that
// the state is in.
func (c *rollouts) observe(r *running) rollout.Observation {
	split, again := c.deployer.counted(r.name)
	o := rollout.Observation{Now: c.now(), Epoch: fmt.Sprintf("%s/%d", c.epoch, again), Chance: c.chance}
	if zone, err := time.LoadLocation(r.rec.Policy.Zone); err == nil {
		o.Zone = zone
	}
	failed := c.deployer.heldFailed(r.name)
	if err := failed[r.rec.To]; err != nil {
		o.Unavailable = err.Error()
	}
	var tallies map[string]*fairlead.Tally
	if c.peers != nil {
		o.Epoch = "all servers"
		if split := c.deployer.parted(r.name); split != nil {
			sum := c.peers.sum(r.name, split.id)
			tallies, o.Pairs = sum.Arms, sum.Pairs
		}
	} else if split != nil {
		tallies, o.Pairs = split.Tallies(), split.PairTally()
	}
	o.Live, o.Canary = tallies[route.LiveArm], tallies[string(fairlead.RoleCanary)]
	m := r.outcomes.Load()
	if m == nil {
		m = &measured{}
	}
	if r.rec.To != 0 {
		for _, name := range m.names {
			o.Outcomes = append(o.Outcomes, rollout.Outcome{
				Metric: name, Live: m.byVersion[r.rec.From].outcomes[name], Canary: m.byVersion[r.rec.To].outcomes[name],
			})
		}
		return o
	}
	for _, a := range r.rec.Policy.Arms {
		v := m.byVersion[a.Version]
		arm := rollout.ArmOutcome{Version: a.Version, Requests: v.requests, Outcomes: v.outcomes, Tally: tallies["arm-"+a.Version.String()]}
		if arm.Live = a.Version == r.rec.From; arm.Live {
			arm.Tally = o.Live
		}
		if err := failed[a.Version]; err != nil {
			arm.Unavailable = err.Error()
		}
		o.Arms = append(o.Arms, arm)
	}
	return o
}

// outcomeSource reads what came of the predictions of a deployment that were stored after a place, by version.
type outcomeSource interface {
	// Place is the newest row that is stored.
	Place(ctx context.Context, name fairlead.Name) (int64, error)
	Since(ctx context.Context, name fairlead.Name, q outcomeQuestion) (map[fairlead.Version]versionOutcomes, error)
}

// outcomeQuestion is what to measure.
type outcomeQuestion struct {
	after   int64     // the place
	now     time.Time // for the windows of the events
	task    fairlead.Task
	classes []string
	events  []evalstore.EventQuestion
}

// versionOutcomes is one version's requests and what came of them, by the names of outcomeNames and of events.
type versionOutcomes struct {
	requests uint64
	outcomes map[string]rollout.Moments
}

// measured is what outcomeSource said last.
type measured struct {
	at        time.Time
	names     []string
	byVersion map[fairlead.Version]versionOutcomes
}

// measureEvery is how often labels and events are read while a rollout runs: they are late anyway, and it costs a query.
const measureEvery = 10 * time.Second

// measure reads the outcomes where the policy asks for them and the last reading is old.
func (c *rollouts) measure(ctx context.Context, r *running) {
	r.mu.Lock()
	rec := r.rec
	r.mu.Unlock()
	wanted := len(rec.Policy.Metrics) > 0 || rec.Policy.Kind != rollout.KindRollout
	if m := r.outcomes.Load(); c.measured == nil || !wanted || rec.State.Phase.Over() || m != nil && c.now().Sub(m.at) < measureEvery {
		return
	}
	at := c.now()
	_, sig, err := c.deployer.Reference(ctx, r.name, rec.From)
	if err == nil {
		var classes []string
		if score, ok := sig.Score(); ok {
			classes = sig.Output(score.Tensor).Classes
		}
		q := outcomeQuestion{after: rec.After, now: at, task: sig.Task, classes: classes, events: policyEvents(rec.Policy)}
		var found map[fairlead.Version]versionOutcomes
		if found, err = c.measured.Since(ctx, r.name, q); err == nil {
			names := outcomeNames(sig.Task)
			for _, e := range q.events {
				names = append(names, e.Name)
			}
			r.outcomes.Store(&measured{at: at, names: names, byVersion: found})
			return
		}
	}
	if ctx.Err() == nil {
		c.log.Warn("outcomes not read", "deployment", r.name, "err", err)
	}
	stale := measured{at: at}
	if m := r.outcomes.Load(); m != nil {
		stale.names, stale.byVersion = m.names, m.byVersion
	}
	r.outcomes.Store(&stale)
}

// outcomeNames lists the metrics that a policy may name for a task. "label" is the label itself as a number, the positive
// class being 1, which a bandit may follow as it may a business event.
func outcomeNames(task fairlead.Task) []string {
	switch task {
	case fairlead.TaskBinary:
		return []string{"accuracy", "brier", "label"}
	case fairlead.TaskMulticlass:
		return []string{"accuracy", "label"}
	case fairlead.TaskRegression:
		return []string{"absolute_error", "squared_error", "label"}
	}
	return []string{"label"}
}

// policyEvents lists the business events of a policy: every metric that is no label's.
func policyEvents(p rollout.Policy) []evalstore.EventQuestion {
	var asked []evalstore.EventQuestion
	add := func(name string, window rollout.Duration) {
		known := slices.ContainsFunc(asked, func(q evalstore.EventQuestion) bool { return q.Name == name })
		if !known && !slices.Contains(fairlead.LabelMetrics(), name) {
			asked = append(asked, evalstore.EventQuestion{Name: name, Window: time.Duration(window)})
		}
	}
	if p.Bandit != nil {
		add(p.Bandit.Event, p.Bandit.Window)
	}
	for _, m := range p.Metrics {
		add(m.Name, m.Window)
	}
	return asked
}

// checkMetrics refuses a policy whose metrics nothing will ever measure. A name that is no label's metric is a business
// event's, unless it is nearly one: then it was mistyped.
func checkMetrics(p rollout.Policy, task fairlead.Task) error {
	known := outcomeNames(task)
	windows := map[string]rollout.Duration{}
	check := func(name string, window rollout.Duration) error {
		if before, again := windows[name]; again && before != window {
			return fairlead.Invalid("the policy gives %s two windows, %s and %s", name, time.Duration(before), time.Duration(window))
		}
		windows[name] = window
		switch {
		case slices.Contains(known, name) && window != 0:
			return fairlead.Invalid("the policy gives the metric %s of labels a window", name).
				Hintf("a window belongs to a business event: it says when a prediction without one counts as 0")
		case slices.Contains(known, name):
			return nil
		case slices.Contains(fairlead.LabelMetrics(), name):
			return fairlead.Invalid("the policy's metric %q cannot be measured on a model whose task is %s", name, cmp.Or(task, fairlead.TaskNone)).
				Hintf("known are %s, and business events", strings.Join(known, ", "))
		}
		for _, k := range known {
			if fairlead.Edits(name, k, 2) < 2 {
				return fairlead.Invalid("the policy's metric %q is not known", name).Hintf("did you mean %s? A business event needs a name that differs more", k)
			}
		}
		return fairlead.CheckEventName(name)
	}
	for _, m := range p.Metrics {
		if err := check(m.Name, m.Window); err != nil {
			return err
		}
	}
	if p.Bandit != nil {
		return check(p.Bandit.Event, p.Bandit.Window)
	}
	return nil
}

// labelGroup is predictions of one version with the same label and the same decision.
type labelGroup struct {
	version          fairlead.Version
	label, predicted string
	scored           bool // it has finite scores
	above            bool // of the threshold
	n                uint64
	s1, s2, s3, s4   float64 // sums of powers of the score
}

// outcomesOf turns groups into moments by version.
func outcomesOf(task fairlead.Task, classes []string, groups []labelGroup) map[fairlead.Version]versionOutcomes {
	all := map[fairlead.Version]versionOutcomes{}
	for _, g := range groups {
		v, ok := all[g.version]
		if !ok {
			v.outcomes = map[string]rollout.Moments{}
			all[g.version] = v
		}
		add := func(name string, n uint64, sum, squares float64) {
			m := v.outcomes[name]
			v.outcomes[name] = rollout.Moments{N: m.N + n, Sum: m.Sum + sum, SumSquares: m.SumSquares + squares}
		}
		n := float64(g.n)
		if task != fairlead.TaskBinary {
			if task == fairlead.TaskMulticlass && g.predicted != "" {
				right := n * one(g.label == g.predicted)
				add("accuracy", g.n, right, right)
			}
			continue
		}
		positive, known := realised.Positive(g.label, classes)
		if !known {
			continue
		}
		y := one(positive)
		add("label", g.n, n*y, n*y)
		decision, decided := g.above, g.scored
		if p, known := realised.Positive(g.predicted, classes); known && g.predicted != "" {
			decision, decided = p, true
		}
		if decided {
			right := n * one(decision == positive)
			add("accuracy", g.n, right, right)
		}
		if g.scored { // Σ(s−y)² and Σ(s−y)⁴, where y is 0 or 1
			add("brier", g.n, g.s2-2*y*g.s1+n*y, g.s4-4*y*g.s3+6*y*g.s2-4*y*g.s1+n*y)
		}
	}
	return all
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// scoreEdges divides the scores of the reference finely: each of its bins, which are equally full, in three. nil where the
// reference says nothing about the score: equal bins are used then.
func scoreEdges(ref *profile.Reference, sig fairlead.Signature) []float64 {
	score, ok := sig.Score()
	if !ok || ref == nil {
		return nil
	}
	for i, col := range ref.Layout.Columns {
		if !col.Output || col.Name != score.Name {
			continue
		}
		var edges []float64
		add := func(x float64) {
			if !math.IsNaN(x) && !math.IsInf(x, 0) && (len(edges) == 0 || x > edges[len(edges)-1]) {
				edges = append(edges, x)
			}
		}
		for _, bin := range ref.Layout.Bins(i) {
			if bin.Kind == "range" {
				for part := range 3 {
					add(bin.Low + (bin.High-bin.Low)*float64(part)/3)
				}
			}
		}
		if len(edges) < 8 { // few values: equal bins tell more
			return nil
		}
		return edges[:min(len(edges), fairlead.JointBins-1)]
	}
	return nil
}

// jsonable is x as JSON can say it: it has no infinities, and no NaN.
func jsonable(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return 0
	case math.IsInf(x, 0):
		return math.Copysign(math.MaxFloat64, x)
	}
	return x
}
