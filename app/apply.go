package app

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

// desired is a checked request for a deployment.
type desired struct {
	name, model fairlead.Name
	version     fairlead.Version // 0: as it is
	policy      *rollout.Policy  // where setPolicy; nil: the default
	setPolicy   bool
}

// Apply implements admin.Desired. Applying the same again changes nothing; a version that a rollout under way leads to is
// on its way, and is no difference.
func (a *App) Apply(ctx context.Context, name fairlead.Name, in api.DeploymentRequest) (api.DeploymentAnswer, error) {
	dep := a.deployer.get(name)
	want, err := a.desired(ctx, dep, name, in)
	if err != nil {
		return api.DeploymentAnswer{}, err
	}
	answer := api.DeploymentAnswer{Deployment: string(name), Changes: a.changes(dep, want, in.Rollout)}
	if in.DryRun || len(answer.Changes) == 0 {
		return answer, nil
	}
	for _, c := range answer.Changes {
		switch {
		case c.Field == "policy":
			err = a.deployer.setPolicy(ctx, name, want.policy)
		case dep != nil && in.Rollout && dep.failed == nil && !dep.Unloaded:
			_, err = a.rollouts.StartRollout(ctx, name, api.RolloutStart{Version: want.version.String(), Force: in.Force, By: in.By})
		default:
			if err = a.PassesTests(ctx, want.model, want.version); err == nil {
				err = a.deployer.deployAs(ctx, name, want.model, want.version)
			}
		}
		if err != nil {
			return api.DeploymentAnswer{}, err
		}
	}
	answer.Applied = true
	return answer, nil
}

func (a *App) desired(ctx context.Context, dep *deployment, name fairlead.Name, in api.DeploymentRequest) (desired, error) {
	want := desired{name: name, model: name}
	if in.Model != "" {
		model, err := fairlead.ParseName(in.Model)
		if err != nil {
			return want, err
		}
		want.model = model
	} else if dep != nil {
		want.model = dep.Model
	}
	if dep != nil && dep.Model != want.model {
		return want, fairlead.Errorf(fairlead.CodeConflict, "the deployment %s serves the model %s, not %s", name, dep.Model, want.model).
			Hintf("a deployment keeps its model: choose another name for the deployment")
	}
	if dep == nil || in.Version != "" { // a new one without a version: the champion, or the newest
		entry, err := a.registry.Resolve(ctx, want.model, in.Version)
		if err != nil {
			return want, err
		}
		want.version = entry.Version
	}
	if dep != nil && want.version != 0 && want.version != dep.Live && !in.Force {
		if err := a.fitsLive(ctx, dep, want.version); err != nil {
			return want, err
		}
	}
	if want.setPolicy = in.Policy != ""; want.setPolicy && in.Policy != "default" {
		p, err := a.rollouts.policyFor(dep, in.Policy)
		if err != nil {
			return want, err
		}
		if !reflect.DeepEqual(p, rollout.Default()) {
			want.policy = &p
		}
	}
	return want, nil
}

// fitsLive refuses a version that breaks the clients of the live one, where that can still be read.
func (a *App) fitsLive(ctx context.Context, dep *deployment, v fairlead.Version) error {
	_, live, err := a.deployer.Reference(ctx, dep.Name, dep.Live)
	if err != nil {
		return nil
	}
	known, err := a.deployer.describe(ctx, dep.Name, dep.Model, v)
	if err != nil {
		return err
	}
	said := fmt.Sprintf("%s@%d does not fit clients of %s@%d, which is live", dep.Model, v, dep.Model, dep.Live)
	return bundle.Breaking(said, bundle.Compatible(live, known.sig))
}

// changes lists what is not as it should be: first the policy, for the rollout that may follow.
func (a *App) changes(dep *deployment, want desired, gently bool) []api.DeploymentChange {
	changes := []api.DeploymentChange{}
	if dep == nil {
		changes = append(changes, api.DeploymentChange{Field: "deployment", From: "", To: fmt.Sprintf("%s@%d", want.model, want.version), How: "at once: it is new"})
		if want.policy != nil {
			changes = append(changes, api.DeploymentChange{Field: "policy", From: policyText(nil), To: policyText(want.policy)})
		}
		return changes
	}
	if want.setPolicy && !samePolicy(dep.Policy, want.policy) {
		changes = append(changes, api.DeploymentChange{Field: "policy", From: policyText(dep.Policy), To: policyText(want.policy)})
	}
	under := a.rollouts.standing(dep.Name)
	switch {
	case want.version == 0:
	case under != nil && under.To == int(want.version): // on its way
	case want.version == dep.Live && dep.failed == nil && !dep.Unloaded:
	default:
		c := api.DeploymentChange{Field: "version", From: dep.Live.String(), To: want.version.String(), How: "at once"}
		if gently {
			c.How = "by a rollout"
		}
		if under != nil {
			c.How = fmt.Sprintf("not while a rollout of version %d is under way", under.To)
		}
		changes = append(changes, c)
	}
	return changes
}

// samePolicy compares what is stored: times lose their location on the way.
func samePolicy(a, b *rollout.Policy) bool { return policyText(a) == policyText(b) }

// policyText is a policy as indented JSON, which is YAML as well.
func policyText(p *rollout.Policy) string {
	if p == nil {
		return "default"
	}
	raw, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(raw))
}

// setPolicy gives a deployment a policy of its own; nil: the default.
func (d *deployer) setPolicy(ctx context.Context, name fairlead.Name, p *rollout.Policy) error {
	d.change.Lock()
	defer d.change.Unlock()
	dep := d.get(name)
	if dep == nil {
		return d.unknown(name)
	}
	next := *dep
	next.Policy = p
	return d.commit(ctx, dep, &next)
}
