package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

// changes moves aliases, deployments and a rollout of the model risk about, and remembers what was acknowledged.
type changes struct {
	mu sync.Mutex
	// may is what each thing can be now: what it was when that was last acknowledged or seen, and what was asked for since
	// and got no answer.
	may   map[string][]string
	moves map[string]bool // of aliases by who made them; true: acknowledged
	acked map[string]int  // changes, by kind
	n     int
}

// anything stands for a state that the answer would have told.
const anything = "anything"

func newChanges() *changes {
	return &changes{may: map[string][]string{}, moves: map[string]bool{}, acked: map[string]int{}}
}

// set remembers that a thing became want, or may have.
func (c *changes) set(kind, thing, want string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := kind + " " + thing
	if err != nil {
		if c.may[key] == nil {
			c.may[key] = []string{""}
		}
		c.may[key] = append(c.may[key], want)
		return
	}
	c.may[key] = []string{want}
	c.acked[kind]++
}

// alias points aliases at versions and removes them, until its context ends.
func (c *changes) alias(ctx context.Context, by *client.Client, rng *rand.Rand) {
	for ctx.Err() == nil {
		name := fmt.Sprint("a", rng.IntN(4))
		c.mu.Lock()
		c.n++
		who := fmt.Sprint("move ", c.n)
		c.moves[who] = false
		c.mu.Unlock()
		want := strconv.Itoa(1 + rng.IntN(2))
		var move api.AliasMove
		var err error
		if rng.IntN(4) == 0 {
			want = ""
			move, err = by.RemoveAlias(ctx, "risk", name, who, nil)
		} else {
			move, err = by.SetAlias(ctx, "risk", name, api.AliasRequest{Version: want, By: who}, nil)
		}
		if fairlead.CodeOf(err) == fairlead.CodeNotFound { // there was none to remove
			continue
		}
		c.set("alias", name, want, err)
		if err == nil && move.From != move.To {
			c.mu.Lock()
			c.moves[who] = true
			c.mu.Unlock()
		}
		rest(ctx, 20*time.Millisecond)
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// deploy gives deployments another version, and steers a rollout, until its context ends.
func (c *changes) deploy(ctx context.Context, t *testing.T, by *client.Client, rng *rand.Rand) {
	for ctx.Err() == nil {
		if rng.IntN(3) == 0 {
			name, want := fmt.Sprint("risk-", rng.IntN(2)), strconv.Itoa(1+rng.IntN(2))
			_, err := by.ApplyDeployment(ctx, name, api.DeploymentRequest{Model: "risk", Version: want})
			c.set("deployment", name, want, err)
		} else {
			c.steer(ctx, t, by, rng)
		}
		rest(ctx, 20*time.Millisecond)
	}
}

// forDays is a rollout that decides nothing by itself while the test runs.
const forDays = `stages: [{traffic: shadow, requests: 1000000, time: 100h}, {traffic: 50%, requests: 1000000, time: 100h}, {traffic: 100%}]
bake: 100h`

// steer starts a rollout where none is under way, else does one of what a person can tell it.
func (c *changes) steer(ctx context.Context, t *testing.T, by *client.Client, rng *rand.Rand) {
	now, err := by.Rollout(ctx, "risk")
	over := now.Phase == "rolled_back" || now.Phase == "completed"
	switch {
	case fairlead.CodeOf(err) == fairlead.CodeNotFound || err == nil && over:
		now, err = by.StartRollout(ctx, "risk", api.RolloutStart{Version: strconv.Itoa(3 - livesOn(now)), Policy: forDays, By: "the crash test"})
	case err != nil:
		return // nothing was asked for
	default:
		do := []string{"pause", "promote", "abort"}[rng.IntN(3)]
		if now.Paused {
			do = []string{"resume", "abort"}[rng.IntN(2)]
		}
		now, err = by.CommandRollout(ctx, "risk", do, api.RolloutCommand{By: "the crash test"})
	}
	switch fairlead.CodeOf(err) {
	case fairlead.CodeConflict: // what is over is still being put away
		return
	case fairlead.CodeInvalid:
		t.Errorf("a rollout: %v", err)
		return
	}
	if err != nil {
		c.set("rollout", "of risk", anything, err)
		return
	}
	c.set("rollout", "of risk", stand(now), nil)
}

// livesOn is the version that is live when a rollout is over, the second where there was none.
func livesOn(r api.Rollout) int {
	switch r.Phase {
	case "completed":
		return r.To
	case "rolled_back":
		return r.From
	}
	return 2
}

// stand is where a rollout stands.
func stand(r api.Rollout) string {
	return fmt.Sprintf("%s %s in %s, paused %v", r.ID, r.Phase, r.Stage, r.Paused)
}

// check holds the state of a server that was killed against what was acknowledged.
func (c *changes) check(t *testing.T, p *process) {
	t.Helper()
	is := map[string]string{}
	model, err := p.client.Model(t.Context(), "risk")
	if err != nil {
		t.Fatal(err)
	}
	for alias, version := range model.Aliases {
		is["alias "+alias] = strconv.Itoa(version)
	}
	all, err := p.client.Deployments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if is["deployment "+d.Name] = strconv.Itoa(d.Version); d.State == "failed" {
			t.Errorf("the deployment %s is %s after a crash: %s", d.Name, d.State, d.Reason)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, err := p.client.Rollout(t.Context(), "risk"); err == nil {
		is["rollout of risk"] = stand(r)
	} else if fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Errorf("the rollout: %v", err)
	}
	for key, may := range c.may {
		if !slices.Contains(may, is[key]) && !slices.Contains(may, anything) {
			t.Errorf("after a crash the %s is %q, acknowledged was %q", key, is[key], may)
		}
		c.may[key] = []string{is[key]}
	}
}

// checkLive waits until the version is live that the last rollout left, if it is over.
func (c *changes) checkLive(t *testing.T, p *process) {
	t.Helper()
	r, err := p.client.Rollout(t.Context(), "risk")
	if err != nil || r.Phase != "completed" && r.Phase != "rolled_back" {
		return
	}
	p.waitFor(30*time.Second, fmt.Sprintf("on version %d of risk", livesOn(r)), func() bool {
		all, err := p.client.Deployments(t.Context())
		return err == nil && slices.ContainsFunc(all, func(d api.Deployment) bool { return d.Name == "risk" && d.Version == livesOn(r) })
	})
}

// checkMoves looks for every acknowledged move of an alias in the history: it is there once, and one without an answer at most
// once.
func (c *changes) checkMoves(t *testing.T, p *process) {
	t.Helper()
	history, err := p.client.AliasHistory(t.Context(), "risk", "")
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, move := range history {
		times[move.By]++
	}
	for who, acked := range c.moves {
		if n := times[who]; n > 1 || n == 0 && acked {
			t.Errorf("%s of an alias, acknowledged %v, is in the history %d times", who, acked, n)
		}
	}
}
