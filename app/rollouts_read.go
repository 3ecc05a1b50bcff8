package app

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

// This file answers the control API's questions about rollouts.

// describe is a rollout as the control API shows it.
func (c *rollouts) describe(r *running) api.Rollout {
	r.mu.Lock()
	rec := r.rec
	r.mu.Unlock()
	a := api.Rollout{
		ID: rec.ID, Deployment: string(rec.Deployment), Model: string(rec.Model), Kind: string(rec.Policy.Kind),
		From: int(rec.From), To: int(rec.To), Phase: string(rec.State.Phase), Stage: rec.State.StageName(rec.Policy),
		Started: rec.State.Started, StartedBy: rec.By, Why: rec.Why, Entered: rec.State.Entered, Ended: rec.Ended,
		Paused: rec.State.Paused != nil, Waiting: rec.State.Held, Says: rec.Last, Decisions: rec.State.Sequence,
	}
	for _, s := range rec.Policy.Stages {
		a.Stages = append(a.Stages, s.Traffic.String())
	}
	t := rec.State.Traffic(rec.Policy)
	a.Shadow, a.Canary = t.Shadow, float64(t.Canary)
	for _, arm := range rec.State.Arms {
		a.Arms = append(a.Arms, api.RolloutArm{Version: int(arm.Version), Share: float64(arm.Traffic)})
	}
	a.Policy, _ = json.Marshal(rec.Policy) // it was read from JSON
	if rec.State.Phase.Over() {
		return a
	}
	r.mu.Lock()
	o := c.observe(r)
	r.mu.Unlock()
	if text := rollout.Waits(rec.Policy, rec.State, o); text != "" {
		a.Says = text
	}
	if o.Live != nil {
		a.Requests.Live = o.Live.Total().Requests
	}
	if o.Canary != nil {
		a.Requests.Canary = o.Canary.Total().Requests
	}
	if o.Pairs != nil {
		a.Requests.Pairs = o.Pairs.Requests
	}
	return a
}

// Rollout implements admin.Rollouts.
func (c *rollouts) Rollout(_ context.Context, name fairlead.Name) (api.Rollout, error) {
	r := c.latest(name)
	if r == nil {
		return api.Rollout{}, c.none(name)
	}
	return c.describe(r), nil
}

// Rollouts implements admin.Rollouts.
func (c *rollouts) Rollouts(_ context.Context, name fairlead.Name) ([]api.Rollout, error) {
	c.mu.Lock()
	rs := slices.Clone(c.all[name])
	c.mu.Unlock()
	out := []api.Rollout{}
	for _, r := range slices.Backward(rs) {
		out = append(out, c.describe(r))
	}
	return out, nil
}

// Explain implements admin.Rollouts.
func (c *rollouts) Explain(ctx context.Context, name fairlead.Name, id string) (api.RolloutExplanation, error) {
	r := c.latest(name)
	if id != "" {
		c.mu.Lock()
		i := slices.IndexFunc(c.all[name], func(r *running) bool { return r.id == id })
		if i >= 0 {
			r = c.all[name][i]
		}
		c.mu.Unlock()
		if i < 0 {
			return api.RolloutExplanation{}, fairlead.NotFound("%s has no rollout %.40q", name, id).
				Hintf("GET /api/v1/deployments/%s/rollouts lists them", name)
		}
	}
	if r == nil {
		return api.RolloutExplanation{}, c.none(name)
	}
	history, err := c.history(ctx, r)
	if err != nil {
		return api.RolloutExplanation{}, err
	}
	e := api.RolloutExplanation{
		Rollout: c.describe(r), History: []api.RolloutDecision{}, Now: []api.RolloutEvidence{}, Text: rollout.Explain(history),
	}
	for _, d := range history {
		e.History = append(e.History, api.RolloutDecision{
			Sequence: d.Sequence, Time: d.Time, Action: string(d.Action), Reason: d.Reason, Stage: d.Stage, Next: d.Next,
			Text: d.Text, Actor: d.Actor, Why: d.Why, Evidence: evidenceOf(d.Evidence),
		})
	}
	r.mu.Lock()
	rec := r.rec
	var now []rollout.Evidence
	switch {
	case rec.State.Phase.Over():
	case rec.Policy.Kind == rollout.KindRollout:
		now = rollout.Judge(rec.Policy, rec.State, c.observe(r))
	default:
		now = rollout.Report(rec.Policy, c.observe(r))
	}
	r.mu.Unlock()
	if len(now) > 0 {
		e.Now = evidenceOf(now)
	}
	return e, nil
}

func evidenceOf(evidence []rollout.Evidence) []api.RolloutEvidence {
	out := make([]api.RolloutEvidence, len(evidence))
	for i, e := range evidence {
		out[i] = api.RolloutEvidence{
			Gate: e.Gate, Segment: e.Segment, Finding: string(e.Finding), Required: e.Required, Mode: string(e.Mode), Unit: e.Unit,
			Live: sideOf(e.Live), Canary: sideOf(e.Canary), Difference: jsonable(e.Difference), Lower: jsonable(e.Lower), Upper: jsonable(e.Upper),
			Margin: jsonable(e.Margin), Tolerance: jsonable(e.Tolerance), LogE: jsonable(e.LogE), Threshold: jsonable(e.Threshold), Alpha: jsonable(e.Alpha),
		}
	}
	return out
}

func sideOf(s rollout.Side) api.RolloutSide {
	return api.RolloutSide{N: jsonable(s.N), Events: jsonable(s.Events), Value: jsonable(s.Value)}
}

// standing is where the rollout of a deployment stands, nil when none is under way.
func (c *rollouts) standing(name fairlead.Name) *api.DeploymentRollout {
	r := c.latest(name)
	if r == nil || r.settled.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return &api.DeploymentRollout{
		ID: r.id, To: int(r.rec.To), Phase: string(r.rec.State.Phase), Stage: r.rec.State.StageName(r.rec.Policy),
		Canary: float64(r.rec.State.Traffic(r.rec.Policy).Canary),
	}
}
