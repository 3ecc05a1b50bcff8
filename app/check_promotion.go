package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/probe"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/check"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

// computes runs the golden vectors of a loaded version once more, on the session that answers requests. The error is
// CodeConflict with the reason "golden_mismatch" where this host does not give the recorded answers. A version without
// vectors, one that is not loaded, and a model that draws its answers have nothing to be held against.
func (d *deployer) computes(ctx context.Context, name, model fairlead.Name, v fairlead.Version) error {
	var all []check.Difference
	var session *watched
	var golden *bundle.Golden
	for session == nil || session.closed { // another one takes the place of one that is closed
		d.mu.Lock()
		known := d.versions[versionKey{name, v}]
		if known == nil || known.session == nil || known.golden == nil || session != nil && session.Session == known.session {
			d.mu.Unlock()
			return nil
		}
		session, golden = &watched{Session: known.session}, known.golden
		d.mu.Unlock()
		var err error
		if all, err = check.Replay(ctx, golden, session); err != nil {
			return err
		}
	}
	c := &candidate{report: api.TestReport{Subject: fmt.Sprintf("%s@%d", model, v)}, golden: golden}
	refusal := hostRefuses(verification(c, d.host, all))
	if refusal == nil {
		return nil
	}
	for _, one := range golden.Cases {
		a, err := session.Run(ctx, one.Inputs, nil)
		if err != nil {
			continue
		}
		b, err := session.Run(ctx, one.Inputs, nil)
		if err == nil && (&probe.Golden{}).Difference(a, b) != "" {
			return nil // as at the load, which has said so
		}
	}
	return refusal
}

// watched is a session that remembers that it was found closed.
type watched struct {
	engine.Session
	closed bool
}

// Run implements check.Runner.
func (w *watched) Run(ctx context.Context, in []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error) {
	out, err := w.Session.Run(ctx, in, outputs)
	w.closed = w.closed || errors.Is(err, engine.ErrClosed)
	return out, err
}

// promotes says whether a step leads to the new version answering everybody.
func promotes(rec *rolloutRecord, next *rollout.State) bool {
	if rec.Policy.Kind != rollout.KindRollout || rec.State.Phase.Over() || next.Phase.Over() && next.Phase != rollout.Completed {
		return false
	}
	return rec.State.Traffic(rec.Policy).Canary < 1 && (next.Phase == rollout.Completed || next.Traffic(rec.Policy).Canary >= 1)
}

// promotable holds the host against the golden vectors before a version takes all requests: one that does not give them is
// rolled back instead. The caller holds r.mu.
func (c *rollouts) promotable(ctx context.Context, r *running, next rollout.State, decisions []rollout.Decision) (rollout.State, []rollout.Decision, error) {
	err := c.deployer.computes(ctx, r.name, r.rec.Model, r.rec.To)
	var refused *fairlead.Error
	if err == nil || !errors.As(err, &refused) || refused.Reason != "golden_mismatch" {
		return next, decisions, err
	}
	c.log.Error("not promoted", "deployment", r.name, "version", r.rec.To, "err", err)
	return rollout.Apply(r.rec.Policy, r.rec.State, c.observe(r), rollout.Command{
		Do: rollout.DoAbort, Who: "golden vectors", Why: refused.Message, Time: c.now().UTC(),
	})
}
