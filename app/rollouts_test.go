package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/serve/tally"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

// cautious has every kind of step, and no time to lose.
const cautious = `
stages: [{traffic: shadow, requests: 100, time: 10s}, {traffic: 10%, requests: 100, time: 10s}, {traffic: 50%, requests: 100, time: 10s}, {traffic: 100%, requests: 100}]
bake: 1m
gates: {latency_p50: off, latency_p95: off, latency_p99: off, ratio: off}
`

// bucket is a key-value store that can be killed: from then on nothing is written, as after SIGKILL.
type bucket struct {
	registrytest.KV
	mu     sync.Mutex
	writes int
	left   int // writes until the kill; -1: never
}

var errKilled = errors.New("killed")

func (b *bucket) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == 0 {
		return 0, errKilled
	}
	if b.left > 0 {
		b.left--
	}
	b.writes++
	return b.KV.Put(ctx, key, value, revision)
}

func (b *bucket) Delete(context.Context, string, uint64) error { return nil }

// handClock shows the time that a test set last.
type handClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *handClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *handClock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// yard is a shop with rollouts, and a clock that its tests turn.
type yard struct {
	*shop
	*rollouts
	store *bucket
	clock *handClock
	boots int
}

func openYard(t *testing.T) *yard {
	t.Helper()
	r, err := registry.Open(t.TempDir(), &registrytest.KV{})
	if err != nil {
		t.Fatal(err)
	}
	y := &yard{shop: &shop{t: t, states: &registrytest.KV{}, broken: map[string]bool{}}, store: &bucket{left: -1}, clock: &handClock{at: noon}}
	y.boot(r)
	return y
}

// boot starts a deployer and a controller on what is stored, as a new process does.
func (y *yard) boot(r *registry.Registry) {
	y.t.Helper()
	y.boots++
	y.loaded = map[string]*fake.Session{}
	y.shop.deployer = &deployer{
		kv: y.states, registry: r, router: &route.Router{}, log: slog.New(slog.DiscardHandler),
		now: y.clock.now, load: y.loadModel,
	}
	ids := 0
	y.rollouts = &rollouts{
		kv: y.store, deployer: y.shop.deployer, log: slog.New(slog.DiscardHandler), now: y.clock.now,
		newID: func() string { ids++; return fmt.Sprintf("%d-%d", y.boots, ids) }, epoch: fmt.Sprint("boot ", y.boots),
		load: func(fairlead.Name) rollout.Load { return rollout.Load{} },
	}
	if err := y.rollouts.open(y.t.Context()); err != nil {
		y.t.Fatal(err)
	}
	if err := y.shop.deployer.open(y.t.Context()); err != nil {
		y.t.Fatal(err)
	}
}

// ship adds version n to the registry and deploys nothing.
func (y *yard) ship(name fairlead.Name, n int, sig fairlead.Signature) {
	y.t.Helper()
	b, err := bundle.Seal(bundle.FromModel(name, []byte(graph(name, n))), sig, nil, nil)
	if err != nil {
		y.t.Fatal(err)
	}
	if _, _, err := y.shop.registry.Add(y.t.Context(), name, b, noon, ""); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) begin(version, policy string) error {
	_, err := y.StartRollout(y.t.Context(), "m", api.RolloutStart{Version: version, Policy: policy, By: "ada"})
	return err
}

func (y *yard) mustBegin() {
	y.t.Helper()
	if err := y.begin("2", cautious); err != nil {
		y.t.Fatal(err)
	}
}

// split is what the route table has.
func (y *yard) split() *route.Split {
	y.t.Helper()
	d, err := y.router.Load().Deployment("m")
	if err != nil {
		y.t.Fatal(err)
	}
	return d.Split
}

var okTensors = []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{1}}}

// okRequest is one that was answered.
func okRequest(i int) tally.Request {
	return tally.Request{Bucket: i % fairlead.TallyBuckets, Outputs: okTensors, Rows: 1, Took: time.Millisecond}
}

// serve counts n requests in each arm, and n compared copies where there is a shadow; bad of the new version fail.
func (y *yard) serve(n, bad int) {
	s := y.split()
	if s == nil {
		return
	}
	for i := range n {
		for arm := range len(s.Arms()) + 1 {
			r := okRequest(i)
			if arm != s.Live() && i < bad {
				r.Failed, r.Outputs = true, nil
			}
			s.Count(arm, &r)
		}
		if s.Shadow() != nil {
			c := tally.Pair{Rows: []fairlead.RowMeta{{ID: fmt.Sprint(i)}}, Live: okTensors, Shadow: okTensors, LiveTook: time.Millisecond, ShadowTook: time.Millisecond}
			if i < bad {
				c.ShadowFailed, c.Shadow = true, nil
			}
			s.Pairs().Compare(&c)
		}
	}
}

// look turns the clock and lets the controller look.
func (y *yard) look(d time.Duration) error {
	y.clock.turn(d)
	for _, r := range y.active() {
		if err := y.step(y.t.Context(), r); err != nil {
			return err
		}
	}
	return nil
}

func (y *yard) mustLook(d time.Duration) {
	y.t.Helper()
	if err := y.look(d); err != nil {
		y.t.Fatal(err)
	}
}

// stands is where the rollout is, in the words of the API and of the routes.
func (y *yard) stands() string {
	y.t.Helper()
	r, err := y.Rollout(y.t.Context(), "m")
	if err != nil {
		y.t.Fatal(err)
	}
	live, err := y.router.Load().Lookup("m", "")
	if err != nil {
		y.t.Fatal(err)
	}
	return fmt.Sprintf("%s: live %d%s", r.Stage, live.Version, y.routed())
}

func (y *yard) routed() string {
	s := y.split()
	if s == nil {
		return ""
	}
	text := ""
	if s.Shadow() != nil {
		text = fmt.Sprintf(", copies to %d", s.Shadow().Version)
	}
	for _, a := range s.Arms() {
		text += fmt.Sprintf(", %g%% to %d", 100*a.Weight, a.Target.Version)
	}
	return text
}

func (y *yard) expect(want string) {
	y.t.Helper()
	if got := y.stands(); got != want {
		y.t.Errorf("it stands at %q, want %q", got, want)
	}
}

// The whole way of a good version, as an operator sees it.
func TestRolloutGoesLive(t *testing.T) {
	y := openYard(t)
	y.mustPush("m", 1)
	y.ship("m", 2, fake.Echo(1).Signature())
	y.mustBegin()
	y.expect("shadow: live 1, copies to 2")
	for _, want := range []string{"10%: live 1, 10% to 2", "50%: live 1, 50% to 2", "bake: live 1, 100% to 2"} {
		y.serve(20000, 0)
		y.mustLook(11 * time.Second)
		y.expect(want)
	}
	y.serve(20000, 0)
	y.mustLook(30 * time.Second)
	y.expect("bake: live 1, 100% to 2")
	y.mustLook(31 * time.Second)
	y.expect("completed: live 1, 100% to 2")
	y.mustLook(time.Second)
	y.expect("completed: live 2")
	y.serves("m", 2, 1, 2) // the old version stays warm
	if err := y.push("m", 3, ""); err != nil {
		t.Errorf("a push after a rollout: %v", err)
	}
	e, err := y.Explain(t.Context(), "m", "")
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range e.History {
		if d.Sequence != i+1 {
			t.Errorf("decision %d has number %d", i+1, d.Sequence)
		}
	}
	golden(t, "testdata/rollout.golden", e.Text)
}

// A version that fails is gone at the next look; the one before it never left.
func TestHarmRollsBack(t *testing.T) {
	for _, stage := range []int{0, 1, 2, 3} {
		y := openYard(t)
		y.mustPush("m", 1)
		y.ship("m", 2, fake.Echo(1).Signature())
		y.mustBegin()
		for range stage {
			y.serve(20000, 0)
			y.mustLook(11 * time.Second)
		}
		before := y.stands()
		y.serve(2000, 400)
		y.mustLook(time.Second)
		y.expect("rolled_back: live 1")
		y.mustLook(time.Second)
		y.serves("m", 1, 1) // and its session is closed
		e, err := y.Explain(t.Context(), "m", "")
		if err != nil {
			t.Fatal(err)
		}
		last := e.History[len(e.History)-1]
		if last.Action != "rollback" || last.Reason != "harm_errors" || len(last.Evidence) != 1 || last.Evidence[0].Canary.Events == 0 {
			t.Errorf("%s: the decision is %+v", before, last)
		}
	}
}

// A server is killed after each single write of a rollout. The next one finds the rollout where it stood or further back,
// routes what the state says, and brings it to its end.
func TestKilledAtEveryWrite(t *testing.T) {
	rank := []string{"none", "waiting", "shadow", "10%", "50%", "bake", "completed"}
	stage := func(y *yard) int {
		r, err := y.Rollout(t.Context(), "m")
		if err != nil {
			return 0
		}
		for i, name := range rank {
			if name == r.Stage {
				return i
			}
		}
		t.Fatalf("unknown stage %s", r.Stage)
		return 0
	}
	total := 1
	for kill := 0; kill < total; kill++ {
		y := openYard(t)
		y.mustPush("m", 1)
		y.ship("m", 2, fake.Echo(1).Signature())
		y.store.left = kill
		err := y.begin("2", cautious)
		reached := stage(y)
		for range 9 {
			y.serve(20000, 0)
			err = y.look(31 * time.Second)
			if reached = max(reached, stage(y)); err != nil {
				break
			}
		}
		if err == nil && kill > 0 {
			total = 0 // it ran to its end before the kill
		} else {
			total = kill + 2
		}
		y.store.left = -1
		y.boot(y.shop.registry)
		if after := stage(y); after > reached {
			t.Errorf("killed after write %d at %s: after the restart it stands at %s", kill, rank[reached], rank[after])
		}
		if r := y.latest("m"); r != nil {
			want := r.rec.traffic()
			if r.rec.Settled {
				want = nil
			}
			if want == nil != (y.split() == nil) || want != nil && want.id != y.split().ID() {
				t.Errorf("killed after write %d: the state says %v, the routes %q", kill, want, y.routed())
			}
			h, err := y.history(t.Context(), r)
			if err != nil || len(h) != r.rec.State.Sequence {
				t.Errorf("killed after write %d: %d of %d decisions are there (%v)", kill, len(h), r.rec.State.Sequence, err)
			}
		} else if err := y.begin("2", cautious); err != nil {
			t.Errorf("killed before the start: %v", err)
		}
		for range 12 {
			y.serve(60000, 0)
			y.mustLook(62 * time.Second)
		}
		y.expect("completed: live 2")
	}
	if total != 0 {
		t.Error("the kill never came after the end")
	}
}

// What cannot be stored is not done, but for the way back.
func TestFullDisk(t *testing.T) {
	y := openYard(t)
	y.mustPush("m", 1)
	y.ship("m", 2, fake.Echo(1).Signature())
	y.mustBegin()
	y.serve(20000, 0)
	y.store.left = 0
	if err := y.look(11 * time.Second); !errors.Is(err, errKilled) {
		t.Errorf("a stage that cannot be stored: %v", err)
	}
	y.expect("shadow: live 1, copies to 2")
	y.store.left = -1
	y.mustLook(time.Second)
	y.expect("10%: live 1, 10% to 2")
	y.serve(2000, 400)
	y.store.left = 0
	_ = y.look(time.Second)
	y.expect("rolled_back: live 1")
	y.store.left = -1
	y.mustLook(time.Second)
	y.boot(y.shop.registry)
	y.expect("rolled_back: live 1")
}

// A rollback does not wait for a model that is being loaded.
func TestRollbackWaitsForNobody(t *testing.T) {
	y := openYard(t)
	y.mustPush("m", 1)
	y.ship("m", 2, fake.Echo(1).Signature())
	y.mustBegin()
	y.serve(20000, 0)
	y.mustLook(11 * time.Second)
	y.expect("10%: live 1, 10% to 2")
	y.shop.mu.Lock()
	y.gate = make(chan struct{})
	y.shop.mu.Unlock()
	done := make(chan error)
	go func() { done <- y.push("other", 1, "") }()
	began := time.Now()
	for y.change.TryLock() { // until the other one holds it
		y.change.Unlock()
		time.Sleep(time.Millisecond)
	}
	r, rolled, err := y.rollback(t.Context(), "m", "ada")
	if err != nil || !rolled || r.From != 2 || r.To != 1 {
		t.Errorf("%+v, %t, %v", r, rolled, err)
	}
	y.expect("rolled_back: live 1")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	y.mustLook(time.Second) // the session cannot be closed yet
	close(y.gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	y.shop.mu.Lock()
	y.gate = nil
	y.shop.mu.Unlock()
	y.mustPush("m", 3)
	y.serves("m", 3, 1, 3)
}

// A version that does not load any more after a restart is rolled back, with the reason.
func TestNewVersionBreaksAtRestart(t *testing.T) {
	y := openYard(t)
	y.mustPush("m", 1)
	y.ship("m", 2, fake.Echo(1).Signature())
	y.mustBegin()
	y.broken[graph("m", 2)] = true
	y.boot(y.shop.registry)
	y.expect("shadow: live 1")
	y.mustLook(time.Second)
	y.expect("rolled_back: live 1")
	if r, _ := y.Rollout(t.Context(), "m"); !strings.Contains(r.Says, "the graph is damaged") {
		t.Errorf("it says %q", r.Says)
	}
}

// While a deployment is unloaded a rollout rests; loaded again it goes on, with its evidence to gather anew.
func TestUnloadedInBetween(t *testing.T) {
	y := openYard(t)
	y.mustPush("m", 1)
	y.ship("m", 2, fake.Echo(1).Signature())
	y.mustBegin()
	y.serve(20000, 0)
	if err := y.unload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	if err := y.loadAgain(t.Context(), "m", nil); err != nil {
		t.Fatal(err)
	}
	y.mustLook(11 * time.Second)
	y.expect("shadow: live 1, copies to 2")
	y.serve(40000, 0)
	y.mustLook(time.Second)
	y.expect("10%: live 1, 10% to 2")
}

func TestCommands(t *testing.T) {
	y := openYard(t)
	y.mustPush("m", 1)
	y.ship("m", 2, fake.Echo(1).Signature())
	y.mustBegin()
	for _, c := range []struct{ do, stands string }{
		{"pause", "shadow: live 1, copies to 2"}, {"promote", "10%: live 1, 10% to 2"}, {"pause", "10%: live 1, 10% to 2"},
		{"resume", "10%: live 1, 10% to 2"}, {"abort", "rolled_back: live 1"},
	} {
		if _, err := y.CommandRollout(t.Context(), "m", c.do, api.RolloutCommand{By: "ada"}); err != nil {
			t.Fatalf("%s: %v", c.do, err)
		}
		y.expect(c.stands)
	}
	y.mustLook(time.Second)
	y.mustBegin()
	y.expect("shadow: live 1, copies to 2")
	all, err := y.Rollouts(t.Context(), "m")
	if err != nil || len(all) != 2 || all[0].Phase != "running" || all[1].Phase != "rolled_back" {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := y.Explain(t.Context(), "m", all[1].ID); err != nil {
		t.Error(err)
	}
}

// Fixed shares: an experiment has arms and no end of its own.
func TestExperiment(t *testing.T) {
	y := openYard(t)
	y.mustPush("m", 1)
	for n := 2; n <= 3; n++ {
		y.ship("m", n, fake.Echo(1).Signature())
	}
	const policy = `{kind: experiment, arms: [{version: 1, traffic: 50%}, {version: 2, traffic: 30%}, {version: 3, traffic: 20%}]}`
	if err := y.begin("live", policy); err != nil {
		t.Fatal(err)
	}
	y.mustLook(time.Second)
	y.expect("experiment: live 1, 30% to 2, 20% to 3")
	y.boot(y.shop.registry)
	y.mustLook(time.Second)
	y.expect("experiment: live 1, 30% to 2, 20% to 3")
	if _, err := y.CommandRollout(t.Context(), "m", "abort", api.RolloutCommand{By: "ada"}); err != nil {
		t.Fatal(err)
	}
	y.expect("ended: live 1")
	y.mustLook(time.Second)
	y.serves("m", 1, 1)
}

// What can be wrong with a rollout, read aloud.
func TestRolloutErrors(t *testing.T) {
	y := openYard(t)
	var b strings.Builder
	say := func(what string, err error) {
		if err == nil {
			t.Errorf("%s: no error", what)
			return
		}
		fmt.Fprintf(&b, "%s\n  %v [%s]\n", what, err, fairlead.CodeOf(err))
	}
	say("of a deployment that there is not", y.begin("2", ""))
	y.mustPush("m", 1)
	y.ship("m", 2, fake.Echo(1).Signature())
	y.ship("m", 3, fake.Echo(2).Signature())
	y.ship("m", 4, fake.Echo(1).Signature())
	say("of the live version", y.begin("1", ""))
	say("of an unknown version", y.begin("9", ""))
	say("with a breaking signature", y.begin("3", ""))
	say("with a policy that is none", y.begin("2", "stages: [5]"))
	say("with a metric that nothing measures", y.begin("2", "metrics: [{name: accuracy, better: higher}]"))
	say("with a mistyped metric", y.begin("2", "metrics: [{name: labels, better: higher}]"))
	say("with a name that no event can have", y.begin("2", "metrics: [{name: net revenue, better: higher}]"))
	say("with a window for labels", y.begin("2", "metrics: [{name: label, better: higher, window: 1h}]"))
	say("with an unknown zone", y.begin("2", "zone: Middle/Earth"))
	say("an experiment without the live version", y.begin("2", "{kind: experiment, arms: [{version: 2, traffic: 50%}, {version: 4, traffic: 50%}]}"))
	y.broken[graph("m", 4)] = true
	say("of a version that does not load", y.begin("4", ""))
	_, err := y.CommandRollout(t.Context(), "m", "abort", api.RolloutCommand{})
	say("abort without a rollout", err)
	_, err = y.PlanRollout(t.Context(), "m", api.RolloutPlanRequest{})
	say("a plan without traffic", err)
	y.mustBegin()
	say("twice", y.begin("2", ""))
	say("a push in between", y.push("m", 5, ""))
	_, err = y.CommandRollout(t.Context(), "m", "approve", api.RolloutCommand{})
	say("approve what nobody waits for", err)
	_, err = y.CommandRollout(t.Context(), "m", "abort", api.RolloutCommand{})
	if err != nil {
		t.Error(err)
	}
	_, err = y.CommandRollout(t.Context(), "m", "abort", api.RolloutCommand{})
	say("abort twice", err)
	y.mustLook(time.Second)
	if err := y.unload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	say("without a live version", y.begin("2", ""))
	golden(t, "testdata/rollout_errors.golden", b.String())
	if err := y.loadAgain(t.Context(), "m", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := y.StartRollout(t.Context(), "m", api.RolloutStart{Version: "3", Force: true}); err != nil {
		t.Errorf("a breaking signature by force: %v", err)
	}
}
