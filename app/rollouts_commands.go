package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

// somebody is who gives a command without a name.
const somebody = "somebody"

// StartRollout implements admin.Rollouts. It loads the version, stores the rollout and enters the first stage, where no
// person and no freeze window stands in the way.
func (c *rollouts) StartRollout(ctx context.Context, name fairlead.Name, in api.RolloutStart) (api.Rollout, error) {
	if err := c.begin(name); err != nil {
		return api.Rollout{}, err
	}
	defer c.begun(name)
	rec, err := c.prepare(ctx, name, in)
	if err != nil {
		return api.Rollout{}, err
	}
	if err := c.deployer.hold(ctx, name, rec.versions()...); err != nil {
		return api.Rollout{}, err
	}
	r := newRunning(rec, 0)
	state, decisions := rollout.Start(rec.Policy, c.now().UTC(), rec.By, rec.Why)
	r.rec.State, r.rec.Unfiled = state, decisions
	r.rec.Last = decisions[len(decisions)-1].Text
	if err = c.claim(ctx, name, r.id); err == nil {
		err = c.save(ctx, r, r.rec)
	}
	if err != nil {
		c.deployer.release(name)
		return api.Rollout{}, err
	}
	r = c.adopt(r)
	c.log.Info("rollout: "+r.rec.Last, "deployment", name, "version", rec.To, "by", rec.By)
	// It is stored: what fails from here on is done by the next step.
	if err := errors.Join(c.step(context.WithoutCancel(ctx), r), c.forget(context.WithoutCancel(ctx), name)); err != nil {
		c.log.Error("rollout", "deployment", name, "id", r.id, "err", err)
	}
	return c.describe(r), nil
}

// begin refuses a second rollout of a deployment.
func (c *rollouts) begin(name fairlead.Name) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.starting[name] {
		e := fairlead.Errorf(fairlead.CodeConflict, "a rollout of %s is being started by somebody else", name)
		e.Reason = "rollout_running"
		return e
	}
	if rs := c.all[name]; len(rs) > 0 {
		r := rs[len(rs)-1]
		r.mu.Lock()
		rec := r.rec
		r.mu.Unlock()
		if !rec.Settled {
			e := fairlead.Errorf(fairlead.CodeConflict, "%s of %s is under way, at %s since %s",
				what(&rec), name, rec.State.StageName(rec.Policy), rec.State.Started.UTC().Format("2006-01-02 15:04")).
				Hintf("a deployment has one at a time: `fairlead rollout status %s` shows it, `fairlead rollout abort %s` ends it", name, name)
			e.Reason = "rollout_running"
			return e
		}
	}
	c.starting[name] = true
	return nil
}

// what a record is, in words.
func what(rec *rolloutRecord) string {
	if rec.To != 0 {
		return fmt.Sprintf("a rollout of version %d", rec.To)
	}
	return "a " + strings.Replace(string(rec.Policy.Kind), "experiment", "running experiment", 1)
}

func (c *rollouts) begun(name fairlead.Name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.starting, name)
}

// prepare checks everything that can be wrong with a rollout before anything is loaded.
func (c *rollouts) prepare(ctx context.Context, name fairlead.Name, in api.RolloutStart) (rolloutRecord, error) {
	dep := c.deployer.get(name)
	if dep == nil {
		return rolloutRecord{}, c.deployer.unknown(name)
	}
	if dep.Unloaded || dep.failed != nil {
		why := "it was unloaded"
		if dep.failed != nil {
			why = dep.failed.Error()
		}
		return rolloutRecord{}, fairlead.Errorf(fairlead.CodeConflict, "%s has no live version to compare with: %s", name, why).
			Hintf("put a version live first: `fairlead push` without --rollout does")
	}
	policy, err := c.policyFor(dep, in.Policy)
	if err != nil {
		return rolloutRecord{}, err
	}
	ref, sig, err := c.deployer.Reference(ctx, name, dep.Live)
	if err != nil {
		return rolloutRecord{}, err
	}
	if err := checkMetrics(policy, sig.Task); err != nil {
		return rolloutRecord{}, err
	}
	rec := rolloutRecord{
		ID: c.newID(), Deployment: name, Model: dep.Model, From: dep.Live, Policy: policy,
		Edges: scoreEdges(ref, sig), By: cmp.Or(in.By, somebody), Why: in.Why,
	}
	if policy.Kind == rollout.KindRollout {
		entry, err := c.deployer.registry.Resolve(ctx, dep.Model, in.Version)
		if err != nil {
			return rolloutRecord{}, err
		}
		if rec.To = entry.Version; rec.To == dep.Live {
			return rolloutRecord{}, fairlead.Errorf(fairlead.CodeConflict, "version %d of %s is live already: there is nothing to roll out", rec.To, name).
				Hintf("`fairlead models` lists the versions")
		}
	} else if !slices.ContainsFunc(policy.Arms, func(a rollout.ArmWeight) bool { return a.Version == dep.Live }) {
		return rolloutRecord{}, fairlead.Invalid("the live version of %s, %d, is none of the policy's arms", name, dep.Live).
			Hintf("name it with its share: the requests of the other arms fall back on it")
	}
	for _, v := range rec.versions() {
		if err := c.fits(ctx, dep, sig, v, in.Force); err != nil {
			return rolloutRecord{}, err
		}
		if c.passes == nil || v == dep.Live {
			continue
		}
		if err := c.passes(ctx, dep.Model, v); err != nil {
			return rolloutRecord{}, err
		}
	}
	if c.measured != nil {
		if rec.After, err = c.measured.Place(ctx, name); err != nil {
			return rolloutRecord{}, err
		}
	}
	return rec, nil
}

// fits refuses a version that breaks the clients of the live one.
func (c *rollouts) fits(ctx context.Context, dep *deployment, live fairlead.Signature, v fairlead.Version, force bool) error {
	known, err := c.deployer.describe(ctx, dep.Name, dep.Model, v)
	if err != nil || force {
		return err
	}
	said := fmt.Sprintf("%s@%d does not fit clients of %s@%d, which is live", dep.Model, v, dep.Model, dep.Live)
	return bundle.Breaking(said, bundle.Compatible(live, known.sig))
}

// policyFor is what a request says, else the deployment's own policy, else the default.
func (c *rollouts) policyFor(dep *deployment, said string) (rollout.Policy, error) {
	p := rollout.Default()
	switch {
	case said != "":
		var err error
		if p, err = rollout.Parse([]byte(said)); err != nil {
			return p, err
		}
	case dep != nil && dep.Policy != nil:
		p = *dep.Policy
	}
	if _, err := time.LoadLocation(p.Zone); err != nil {
		return p, fairlead.Invalid("the policy's time zone %q is not known", p.Zone).Hintf("a name such as Europe/Berlin; absent: UTC")
	}
	return p, nil
}

// CommandRollout implements admin.Rollouts.
func (c *rollouts) CommandRollout(ctx context.Context, name fairlead.Name, do string, in api.RolloutCommand) (api.Rollout, error) {
	r := c.latest(name)
	if r == nil {
		return api.Rollout{}, c.none(name)
	}
	if err := c.command(ctx, r, rollout.Do(do), in); err != nil {
		return api.Rollout{}, err
	}
	return c.describe(r), nil
}

// takeBack parts no traffic to the new version from now on: a step may hold the lock while it waits for the disk, and the way
// back does not wait. release, called with the lock held, says whether it stays so.
func (c *rollouts) takeBack(r *running) (release func(stays bool)) {
	if r.settled.Load() {
		return func(bool) {}
	}
	r.ending.Add(1)
	if c.deployer.parted(r.name) != nil {
		c.deployer.part(r.name, nil)
	}
	return func(stays bool) {
		if r.ending.Add(-1) == 0 && !stays {
			c.act(r) // what a refused command took away comes back
		}
	}
}

func (c *rollouts) command(ctx context.Context, r *running, do rollout.Do, in api.RolloutCommand) error {
	release, done := func(bool) {}, false
	if do == rollout.DoAbort {
		release = c.takeBack(r)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { release(done) }()
	now := c.now().UTC()
	err := c.insist(ctx, r, func() error {
		next, decisions, err := rollout.Apply(r.rec.Policy, r.rec.State, c.observe(r), rollout.Command{
			Do: do, Who: cmp.Or(in.By, somebody), Why: in.Why, Time: now,
		})
		if err != nil {
			return err
		}
		return c.take(ctx, r, next, decisions)
	})
	done = err == nil
	if done && r.unsaved {
		e := fairlead.Errorf(fairlead.CodeUnavailable, "%s is rolled back, and that could not be stored: a server that started now would go on with the rollout", r.name).
			Hintf("the disk is full or slow, or the event log cannot be reached; it is tried again every second until it is stored")
		e.Reason = "not_stored"
		return e
	}
	return err
}

// none says that there is no rollout.
func (c *rollouts) none(name fairlead.Name) error {
	if c.deployer.get(name) == nil {
		return c.deployer.unknown(name)
	}
	return fairlead.NotFound("%s has had no rollout", name).Hintf("start one: `fairlead rollout start %s VERSION`", name)
}

// rollback ends a rollout under way in favour of the version that was live before; false if there is none.
func (c *rollouts) rollback(ctx context.Context, name fairlead.Name, by string) (api.RollbackAnswer, bool, error) {
	r := c.latest(name)
	if r == nil || r.settled.Load() {
		return api.RollbackAnswer{}, false, nil
	}
	release, done := c.takeBack(r), false
	r.mu.Lock()
	rec := r.rec
	if rec.State.Phase.Over() { // what is left to do decides what "before" means
		defer r.mu.Unlock()
		release(false)
		return api.RollbackAnswer{}, false, c.settle(ctx, r)
	}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		release(done)
	}()
	if err := c.command(ctx, r, rollout.DoAbort, api.RolloutCommand{By: by, Why: "rollback"}); err != nil {
		return api.RollbackAnswer{}, false, err
	}
	done = true
	return api.RollbackAnswer{Deployment: string(name), From: int(rec.To), To: int(rec.From)}, true, nil
}

// planRuns is how many rollouts a plan simulates.
const planRuns = 200

// PlanRollout implements admin.Rollouts.
func (c *rollouts) PlanRollout(_ context.Context, name fairlead.Name, in api.RolloutPlanRequest) (api.RolloutPlan, error) {
	dep := c.deployer.get(name)
	if dep == nil {
		return api.RolloutPlan{}, c.deployer.unknown(name)
	}
	policy, err := c.policyFor(dep, in.Policy)
	if err != nil {
		return api.RolloutPlan{}, err
	}
	load := c.load(name)
	if in.Traffic.RequestsPerSecond > 0 {
		load.RequestsPerMinute = 60 * in.Traffic.RequestsPerSecond
	}
	if in.Traffic.ErrorRate > 0 {
		load.ErrorRate = in.Traffic.ErrorRate
	}
	if load.RequestsPerMinute == 0 {
		return api.RolloutPlan{}, fairlead.Errorf(fairlead.CodeConflict, "%s has no traffic now that a plan could be made for", name).
			Hintf("say what there will be: `fairlead rollout plan %s --rate 50` for 50 requests per second", name)
	}
	// A plan is the same each time it is asked for.
	forecast, err := rollout.Plan(policy, load, planRuns, rand.New(rand.NewPCG(1, 1)).Float64)
	if err != nil {
		return api.RolloutPlan{}, err
	}
	raw, err := json.Marshal(forecast)
	return api.RolloutPlan{
		Deployment: string(name), Plan: raw, Text: forecast.Text(),
		Traffic: api.RolloutTraffic{RequestsPerSecond: load.RequestsPerMinute / 60, ErrorRate: load.ErrorRate},
	}, err
}
