package app

import (
	"context"
	"errors"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// split says how a deployment's traffic is parted while a rollout runs. What is routed because of it begins to count when
// it is first routed.
type split struct {
	id     string // for people: the rollout and its stage
	salt   string
	shadow fairlead.Version // gets copies; 0: none
	arms   []armShare       // beside the live version, which gets the rest
	edges  []float64        // inner edges of the score's bins; nil: equal ones

	// Guarded by the deployer's mu.
	routed *route.Split
	again  int // how often something of this rollout had to be made again: a version that was loaded again is another target
}

// armShare is the part of the traffic that one version beside the live one gets.
type armShare struct {
	name    string
	version fairlead.Version
	share   float64
}

// parting gives a deployment's route its split, unless a version of it is not loaded: then the live one answers
// everything. The caller holds mu.
func (d *deployer) parting(r *route.Deployment) {
	rolling := d.rolling[r.Name]
	if rolling == nil || rolling.split == nil || d.isolated.Load() {
		return
	}
	s := rolling.split
	if r.Live == nil { // in the bake the version that went live by evidence goes on, though the old one does not load any more
		if dep := d.deployments[r.Name]; dep.failed != nil && len(s.arms) == 1 && s.arms[0].share >= 1 {
			if known := d.versions[versionKey{r.Name, s.arms[0].version}]; known != nil {
				r.Live = known.target
			}
		}
		return
	}
	o := route.SplitOptions{ID: s.id, Salt: s.salt, Signature: r.Live.Signature, Edges: s.edges}
	target := func(v fairlead.Version) *route.Target {
		if known := d.versions[versionKey{r.Name, v}]; known != nil {
			return known.target
		}
		return nil
	}
	if s.shadow != 0 {
		if o.Shadow = target(s.shadow); o.Shadow == nil {
			return
		}
	}
	for _, a := range s.arms {
		t := target(a.version)
		if t == nil {
			return
		}
		o.Arms = append(o.Arms, route.Arm{Name: a.name, Weight: a.share, Target: t})
	}
	if s.routed == nil || s.routed.Shadow() != o.Shadow || !slices.Equal(s.routed.Arms(), o.Arms) {
		routed, err := route.NewSplit(o)
		if err != nil {
			d.log.Error("traffic not parted", "deployment", r.Name, "rollout", s.id, "err", err)
			return
		}
		if s.routed != nil {
			s.again++
		}
		s.routed = routed
	}
	r.Split = s.routed
}

// counted is what a deployment's split counts, nil where nothing was routed, and how often counting began anew.
func (d *deployer) counted(name fairlead.Name) (*route.Split, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.rolling[name]; r != nil && r.split != nil {
		return r.split.routed, r.split.again
	}
	return nil, 0
}

// rolling is what a rollout has of a deployment: versions that stay loaded for it, and how the traffic is parted.
type rolling struct {
	held   []fairlead.Version
	failed error // why one of them is not loaded
	split  *split
	again  int // as of the last split, while there is none
}

// hold loads versions for a rollout and keeps them loaded until release. On an error nothing is held.
func (d *deployer) hold(ctx context.Context, name fairlead.Name, versions ...fairlead.Version) error {
	d.change.Lock()
	defer d.change.Unlock()
	dep := d.get(name)
	if dep == nil {
		return d.unknown(name)
	}
	for _, v := range versions {
		if err := d.ensure(ctx, dep, v); err != nil {
			d.publish(d.retire(name, d.kept(dep)))
			return err
		}
	}
	d.mu.Lock()
	d.rolling[name] = &rolling{held: versions}
	d.mu.Unlock()
	d.publish(nil)
	return nil
}

// holdAgain loads what a rollout holds, after a restart and after a deployment was loaded again. What fails is remembered
// for the rollout. The caller holds change.
func (d *deployer) holdAgain(ctx context.Context, dep *deployment) {
	d.mu.Lock()
	r := d.rolling[dep.Name]
	d.mu.Unlock()
	if r == nil || dep.Unloaded {
		return
	}
	var errs []error
	for _, v := range r.held {
		if v != dep.Live {
			errs = append(errs, d.ensure(ctx, dep, v))
		}
	}
	err := errors.Join(errs...)
	if err != nil {
		d.log.Error("a rollout's version does not load", "deployment", dep.Name, "err", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rolling[dep.Name] == r {
		next := *r
		next.failed = err
		d.rolling[dep.Name] = &next
	}
}

// part swaps how a deployment's traffic is parted; nil sends all of it to the live version. It waits for no model that is
// being loaded: a rollback is in a hurry.
func (d *deployer) part(name fairlead.Name, s *split) {
	d.mu.Lock()
	if r := d.rolling[name]; r != nil {
		next := *r
		switch {
		case s != nil && r.split != nil:
			s.again = r.split.again
		case s != nil:
			s.again = r.again
		case r.split != nil: // what comes after this counts anew
			next.again = r.split.again + 1
		}
		next.split = s
		d.rolling[name] = &next
	}
	d.mu.Unlock()
	d.swap(false)
}

// parted is how a deployment's traffic is parted now; nil: not at all.
func (d *deployer) parted(name fairlead.Name) *split {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.rolling[name]; r != nil {
		return r.split
	}
	return nil
}

// heldFailed is why a version that a rollout holds cannot answer, by version; nil if all can.
func (d *deployer) heldFailed(name fairlead.Name) map[fairlead.Version]error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rolling[name]
	if r == nil || r.failed == nil {
		return nil
	}
	failed := map[fairlead.Version]error{}
	for _, v := range r.held {
		if !d.answers(name, v) {
			failed[v] = r.failed
		}
	}
	return failed
}

// resting says that a deployment is unloaded, or is being loaded again: a rollout of it waits, whatever its evidence says.
func (d *deployer) resting(name fairlead.Name) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, dep := d.rolling[name], d.deployments[name]
	if r == nil || dep == nil {
		return false
	}
	return dep.Unloaded || r.failed == nil && slices.ContainsFunc(r.held, func(v fairlead.Version) bool { return !d.answers(name, v) })
}

// answers says whether a version is loaded. The caller holds mu.
func (d *deployer) answers(name fairlead.Name, v fairlead.Version) bool {
	known := d.versions[versionKey{name, v}]
	return known != nil && known.target != nil
}

// release ends what a rollout holds. What is not needed any more is unloaded now, or by the next change of the deployment
// where another one is under way.
func (d *deployer) release(name fairlead.Name) {
	d.mu.Lock()
	delete(d.rolling, name)
	d.mu.Unlock()
	d.swap(false)
	if !d.change.TryLock() {
		return
	}
	defer d.change.Unlock()
	if dep := d.get(name); dep != nil {
		d.publish(d.retire(name, d.kept(dep)))
	}
}

// kept are the versions of a deployment that stay loaded.
func (d *deployer) kept(dep *deployment) []fairlead.Version {
	keep := dep.warm()
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.rolling[dep.Name]; r != nil && !dep.Unloaded {
		keep = append(slices.Clone(keep), r.held...)
	}
	return keep
}

// busy refuses a change of the live version that would pull the rug from under a rollout.
func (d *deployer) busy(name fairlead.Name, what string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.rolling[name]
	if r == nil {
		return nil
	}
	e := fairlead.Errorf(fairlead.CodeConflict, "%s, because a rollout of version %d is under way", what, r.held[len(r.held)-1]).
		Hintf("`fairlead rollout status %s` shows where it stands; `fairlead rollout abort %s` ends it", name, name)
	e.Reason = "rollout_running"
	return e
}

// tryLive ends a rollout in favour of its version: what it held becomes the live version. It does nothing, and says so,
// while another change is under way.
func (d *deployer) tryLive(ctx context.Context, name, model fairlead.Name, v fairlead.Version) (bool, error) {
	if !d.change.TryLock() {
		return false, nil
	}
	defer d.change.Unlock()
	return true, d.goLive(ctx, name, model, v)
}
