package e2e

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestARolloutOfTwoServersIsOne parts the traffic of two servers by one rollout: what both count adds up, also when the server
// that takes the steps is killed; a command to either reaches both, and so does a rollback for harm.
func TestARolloutOfTwoServersIsOne(t *testing.T) {
	t.Parallel()
	nats := startNATS(t, 1)
	args := []string{"serve", "--nats", nats.url(), "--nats-stream-mb", "256", "--nats-replicas", "1"}
	data, address := t.TempDir(), freePort(t)
	a := start(t, data, address, args...)
	b := start(t, t.TempDir(), freePort(t), args...)
	if out, err := a.run("push", rolloutBundle(t, "good")); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	b.waitFor(30*time.Second, "deployed", func() bool { all, err := b.client.Deployments(t.Context()); return err == nil && len(all) == 1 })
	const patient = `stages: [{traffic: 50%, requests: 1000000, time: 1h}, {traffic: 100%, requests: 100, max: 1h}]` + gatesForTests
	if out, err := b.run("push", rolloutBundle(t, "again"), "--rollout", "--policy", policyAt(t, patient)); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	parted := func(p *process) bool {
		r, err := p.client.Rollout(t.Context(), "risk")
		return err == nil && r.Phase == "running" && r.Canary == 0.5
	}
	a.waitFor(30*time.Second, "parting traffic", func() bool { return parted(a) })
	if out, err := a.run("push", rolloutBundle(t, "nan"), "--rollout"); err == nil || !strings.Contains(out, "under way") {
		t.Errorf("a second rollout, on the other server: %v\n%s", err, out)
	}
	total := func(p *process) int {
		r, err := p.client.Rollout(t.Context(), "risk")
		if err != nil {
			return -1
		}
		return int(r.Requests.Live + r.Requests.Canary)
	}
	asked := 0
	counts := func(p *process) {
		t.Helper()
		n := 0
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			if n = total(p); n == asked {
				return
			}
		}
		t.Fatalf("%s counts %d requests of the %d of both", p.base, n, asked)
	}
	ask := func(servers ...*process) {
		for _, p := range servers {
			c := &crowd{base: p.base}
			ctx, stop := context.WithCancel(t.Context())
			done := c.ask(ctx, 2)
			p.waitFor(30*time.Second, "answered by both versions", func() bool { return len(c.of(1)) > 100 && len(c.of(2)) > 100 })
			stop()
			done.Wait()
			asked += len(c.answers)
			if len(c.failed) > 0 {
				t.Errorf("%d requests failed, the first with: %s", len(c.failed), c.failed[0])
			}
		}
	}
	// routed sends single requests until the new version answers one; what they count is where the counting begins.
	routed := func(p *process) {
		t.Helper()
		c := &crowd{base: p.base}
		rng := rand.New(rand.NewPCG(8, 1))
		p.waitFor(30*time.Second, "routing to both versions", func() bool {
			c.one(t.Context(), http.DefaultClient, rng)
			return len(c.of(2)) > 0
		})
		calm := 0 // what was counted is shared every second
		p.waitFor(60*time.Second, "agreed on what was counted", func() bool {
			n := total(a)
			if n != total(b) || n != asked {
				calm = 0
			}
			asked = n
			calm++
			return calm > 30
		})
	}
	routed(a)
	routed(b)
	ask(a, b)
	for _, p := range []*process{a, b} {
		counts(p)
	}
	a.kill()
	ask(b)
	counts(b)
	a = start(t, data, address, args...)
	routed(a)
	if before := total(b); asked < before {
		t.Errorf("after its restart a server counts %d requests, the other %d", asked, before)
	}
	ask(a)
	for _, p := range []*process{a, b} {
		counts(p)
	}
	if out, err := a.run("rollout", "abort", "risk"); err != nil {
		t.Fatalf("abort: %v\n%s", err, out)
	}
	over := func(p *process) {
		t.Helper()
		p.waitFor(60*time.Second, "rolled back", func() bool {
			r, err := p.client.Rollout(t.Context(), "risk")
			return err == nil && r.Phase == "rolled_back" && p.deployment().Rollout == nil
		})
	}
	over(a)
	over(b)

	// A version that answers NaN is rolled back on both, by what both count.
	if out, err := a.run("push", rolloutBundle(t, "nan"), "--rollout", "--policy", policyAt(t, clientsFirst)); err != nil {
		t.Fatalf("push: %v\n%s", err, out)
	}
	ctx, stop := context.WithCancel(t.Context())
	ca, cb := &crowd{base: a.base}, &crowd{base: b.base}
	doneA, doneB := ca.ask(ctx, 1), cb.ask(ctx, 1)
	over(a)
	over(b)
	stop()
	doneA.Wait()
	doneB.Wait()
	if len(ca.of(3))+len(cb.of(3)) == 0 {
		t.Error("nobody was answered by the bad version: the test shows nothing")
	}
	e, err := b.client.ExplainRollout(t.Context(), "risk", "")
	if err != nil || !strings.HasPrefix(e.History[len(e.History)-1].Reason, "harm_") {
		t.Errorf("the other server says %+v, %v", e, err)
	}
	a.stop()
	b.stop()
}
