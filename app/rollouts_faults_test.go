package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

// This file is about what happens to a rollout while it runs: its deployment goes away and comes back, the disk hangs, a
// version dies.

func (y *yard) atTenPercent() {
	y.t.Helper()
	y.mustPush("m", 1)
	y.ship("m", 2, fake.Echo(1).Signature())
	y.mustBegin()
	y.serve(20000, 0)
	y.mustLook(11 * time.Second)
	y.expect("10%: live 1, 10% to 2")
}

func (y *yard) atBake() {
	y.t.Helper()
	y.atTenPercent()
	for range 2 {
		y.serve(20000, 0)
		y.mustLook(11 * time.Second)
	}
	y.expect("bake: live 1, 100% to 2")
}

// A deployment that is being loaded again has its live version first and the rollout's a moment later. A look in between
// is no reason to roll back.
func TestALookWhileItIsLoadedAgain(t *testing.T) {
	y := openYard(t)
	y.atTenPercent()
	if err := y.unload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	y.mustLook(time.Second)
	y.shop.mu.Lock()
	y.gate = make(chan struct{})
	y.shop.mu.Unlock()
	done := make(chan error)
	go func() { done <- y.loadAgain(t.Context(), "m", nil) }()
	for passed := false; !passed; { // the live version gets through, the other one waits
		select {
		case y.gate <- struct{}{}:
		case <-time.After(time.Millisecond):
		}
		y.mustLook(time.Second)
		dep := y.shop.get("m")
		passed = !dep.Unloaded && y.shop.isLoaded("m", 1)
	}
	for range 3 {
		y.mustLook(time.Second)
	}
	close(y.gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	y.mustLook(time.Second)
	y.expect("10%: live 1, 10% to 2")
}

// What nobody asks is not baked: an unloaded deployment stays where it is, and stays unloaded.
func TestUnloadedInTheBake(t *testing.T) {
	y := openYard(t)
	y.atBake()
	y.serve(20000, 0)
	if err := y.unload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		y.mustLook(time.Hour)
	}
	r, err := y.Rollout(t.Context(), "m")
	if err != nil || r.Phase != "baking" || !y.shop.get("m").Unloaded {
		t.Errorf("after five hours unloaded: %+v, %v", r, err)
	}
	if err := y.loadAgain(t.Context(), "m", nil); err != nil {
		t.Fatal(err)
	}
	y.serve(20000, 0)
	y.mustLook(time.Second)
	y.expect("bake: live 1, 100% to 2")
	y.serve(20000, 0)
	y.mustLook(61 * time.Second)
	y.mustLook(time.Second)
	y.expect("completed: live 2")
}

// Nobody takes the version away that a rollout leads to, whether its deployment is loaded or not.
func TestARolloutsVersionIsNotRemoved(t *testing.T) {
	y := openYard(t)
	y.shop.registry.UsedBy(y.shop.uses)
	y.atTenPercent()
	remove := func() error {
		_, err := y.shop.registry.Remove(t.Context(), "m", 2, "ann", noon)
		return err
	}
	if err := remove(); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("while it serves: %v", err)
	}
	if err := y.unload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if err := remove(); fairlead.CodeOf(err) != fairlead.CodeConflict || !strings.Contains(err.Error(), "a rollout of deployment m") {
		t.Errorf("while it is unloaded: %v", err)
	}
}

// slow is a bucket whose writes hang until they are let go.
type slow struct {
	*bucket
	hang chan struct{} // not nil: writes wait for it
	came chan struct{}
}

func (s *slow) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if s.hang != nil {
		s.came <- struct{}{}
		<-s.hang
	}
	return s.bucket.Put(ctx, key, value, revision)
}

// A step waits for the disk. Somebody who rolls back meanwhile does not, and the step does not give the traffic back.
func TestRollbackWhileAWriteHangs(t *testing.T) {
	y := openYard(t)
	disk := &slow{bucket: y.store}
	y.rollouts.kv = disk
	y.atTenPercent()
	y.serve(20000, 0)
	disk.hang, disk.came = make(chan struct{}), make(chan struct{}, 100)
	stepped, aborted := make(chan error), make(chan error)
	y.clock.turn(11 * time.Second)
	go func() { stepped <- y.step(t.Context(), y.latest("m")) }()
	<-disk.came // the stage of 50 % is on its way to the disk
	go func() {
		_, _, err := y.rollback(t.Context(), "m", "ada")
		aborted <- err
	}()
	for began := time.Now(); y.split() != nil; time.Sleep(time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("the traffic is still parted%s", y.routed())
		}
	}
	close(disk.hang)
	if err := <-stepped; err != nil {
		t.Error(err)
	}
	if err := <-aborted; err != nil {
		t.Error(err)
	}
	y.expect("rolled_back: live 1")
	y.boot(y.shop.registry)
	y.expect("rolled_back: live 1")
}

// Who rolls back by hand hears when that is not on disk, because no harm would bring it about again after a crash.
func TestAbortThatIsNotStored(t *testing.T) {
	y := openYard(t)
	y.atTenPercent()
	y.store.left = 0
	_, err := y.CommandRollout(t.Context(), "m", "abort", api.RolloutCommand{By: "ada"})
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Reason != "not_stored" || e.Code != fairlead.CodeUnavailable {
		t.Errorf("%v", err)
	}
	y.expect("rolled_back: live 1")
	y.store.left = -1
	y.mustLook(time.Second)
	y.boot(y.shop.registry)
	y.expect("rolled_back: live 1")
}

// In the bake the new version answers everybody. That the old one does not load after a restart is no reason to answer
// nobody.
func TestTheOldVersionBreaksInTheBake(t *testing.T) {
	y := openYard(t)
	y.atBake()
	y.broken[graph("m", 1)] = true
	y.boot(y.shop.registry)
	live, err := y.router.Load().Lookup("m", "")
	if err != nil || live.Version != 2 {
		t.Fatalf("%+v, %v", live, err)
	}
}

const threeArms = `{kind: %s, arms: [{version: 1, traffic: 50%%}, {version: 2, traffic: 30%%}, {version: 3, traffic: 20%%}]%s}`

// A version of an experiment that answers nothing is closed: the live one answers in its place, so that its outcomes would
// never say so. A bandit would even like it, for nothing speaks against it.
func TestADeadArm(t *testing.T) {
	for kind, more := range map[string]string{"experiment": "", "bandit": ", bandit: {event: purchase, every: 1s}"} {
		t.Run(kind, func(t *testing.T) {
			y := openYard(t)
			y.chance = func() float64 { return 0.5 }
			y.mustPush("m", 1)
			for n := 2; n <= 3; n++ {
				y.ship("m", n, fake.Echo(1).Signature())
			}
			policy := strings.NewReplacer("%s}", more+"}", "%s", kind, "%%", "%").Replace(threeArms)
			if err := y.begin("live", policy); err != nil {
				t.Fatal(err)
			}
			y.mustLook(time.Second)
			y.serve(400, 0)
			y.mustLook(time.Second)
			if y.split() == nil || len(y.split().Arms()) != 2 {
				t.Fatalf("closed without a reason: %s", y.stands())
			}
			y.serveArm(400, 3)
			y.mustLook(time.Second)
			if arms := y.split().Arms(); len(arms) != 1 || arms[0].Target.Version != 2 {
				t.Fatalf("it stands at %s", y.stands())
			}
			e, err := y.Explain(t.Context(), "m", "")
			if err != nil {
				t.Fatal(err)
			}
			if last := e.History[len(e.History)-1]; last.Reason != rollout.ReasonHarm+rollout.GateErrors || !strings.Contains(last.Text, "Version 3 gets no traffic any more") {
				t.Errorf("%+v", last)
			}
			// The other one does not load after a restart, and nothing is left to compare.
			y.broken[graph("m", 2)] = true
			y.boot(y.shop.registry)
			y.mustLook(time.Second)
			y.expect("ended: live 1")
		})
	}
}

// serveArm counts n requests of each arm; those of one version fail.
func (y *yard) serveArm(n int, dead fairlead.Version) {
	s := y.split()
	for i := range n {
		for arm := range len(s.Arms()) + 1 {
			r := okRequest(i)
			if arm != s.Live() && s.Arms()[arm].Target.Version == dead {
				r.Failed, r.Outputs = true, nil
			}
			s.Count(arm, &r)
		}
	}
}
