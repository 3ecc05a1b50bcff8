package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

// Rollouts of several servers on one log: the one that leads takes the steps, every one of them may be told a command, and
// whoever writes a record second reads it again first.

// errOutrun is in the error of a write that another server was faster than.
var errOutrun = errors.New("another server changed it first")

// stepping says whether this server takes the steps.
func (c *rollouts) stepping() bool { return c.leads == nil || c.leads() }

// reload takes over a record that another server has written. The caller holds r.mu.
func (c *rollouts) reload(ctx context.Context, r *running) error {
	raw, revision, err := c.kv.Get(ctx, recordKey(r.name, r.id))
	if err != nil {
		return err
	}
	if raw == nil {
		return fmt.Errorf("rollout %s of %s is gone", r.id, r.name)
	}
	var rec rolloutRecord
	if err := json.Unmarshal(raw, &rec); err != nil {
		return fmt.Errorf("read rollout %s of %s: %w", r.id, r.name, err)
	}
	r.rec, r.revision = rec, revision
	r.settled.Store(rec.Settled)
	return nil
}

// saveAgain stores a rollback that could not be stored when it was carried out. Where another server has written meanwhile,
// the rollback is made of what that one left. The caller holds r.mu.
func (c *rollouts) saveAgain(ctx context.Context, r *running) error {
	err := c.save(ctx, r, r.rec)
	if errors.Is(err, errOutrun) {
		why := r.rec.Last
		if err := c.reload(ctx, r); err != nil {
			return err
		}
		r.unsaved = false
		if r.rec.State.Phase.Over() {
			c.act(r)
			return nil
		}
		next, decisions, err := rollout.Apply(r.rec.Policy, r.rec.State, c.observe(r), rollout.Command{
			Do: rollout.DoAbort, Who: "fairlead", Why: why, Time: c.now().UTC(),
		})
		if err != nil {
			return err
		}
		return c.take(ctx, r, next, decisions)
	}
	if err == nil {
		r.unsaved = false
	}
	return err
}

// commandAttempts bounds how often a command begins again behind another server's write.
const commandAttempts = 5

// insist repeats a command on a record that another server writes too. The caller holds r.mu.
func (c *rollouts) insist(ctx context.Context, r *running, command func() error) error {
	for i := 0; ; i++ {
		err := command()
		if !errors.Is(err, errOutrun) || i == commandAttempts {
			return err
		}
		if err := c.reload(ctx, r); err != nil {
			return err
		}
	}
}

// claim is the key that keeps two servers from starting two rollouts of a deployment at once.
type claim struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

// claimFor is how long a claim holds whose rollout does not come: the server has ended in between.
const claimFor = time.Minute

// claim takes the deployment for a rollout that is about to be stored.
func (c *rollouts) claim(ctx context.Context, name fairlead.Name, id string) error {
	if c.peers == nil {
		return nil
	}
	key := bucketKey(name)
	raw, revision, err := c.kv.Get(ctx, key)
	if err != nil {
		return err
	}
	taken := fairlead.Errorf(fairlead.CodeConflict, "a rollout of %s was started on another server", name).
		Hintf("`fairlead rollout status %s` shows it", name)
	taken.Reason = "rollout_running"
	if raw != nil {
		var held claim
		if err := json.Unmarshal(raw, &held); err != nil {
			return fmt.Errorf("claim on %s: %w", name, err)
		}
		raw, _, err := c.kv.Get(ctx, recordKey(name, held.ID))
		if err != nil {
			return err
		}
		var rec rolloutRecord
		if raw == nil && c.now().Sub(held.At) < claimFor {
			return taken
		}
		if raw != nil && (json.Unmarshal(raw, &rec) != nil || !rec.Settled) {
			return taken
		}
	}
	value, err := json.Marshal(claim{ID: id, At: c.now().UTC()})
	if err != nil {
		return err
	}
	if _, err = c.kv.Put(ctx, key, value, revision); fairlead.CodeOf(err) == fairlead.CodeConflict {
		return taken
	}
	return err
}
