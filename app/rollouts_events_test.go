package app

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

// trade is a yard whose predictions are stored, and bring money.
type trade struct {
	*yard
	evaluation *evalstore.Store
	rng        *rand.Rand
	seq        map[eventlog.Stream]uint64
	made       int
}

func openTrade(t *testing.T) *trade {
	t.Helper()
	store, err := evalstore.Open(t.Context(), evalstore.Options{Dir: t.TempDir(), MemoryMB: 300})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	const seed = 5
	t.Logf("seed %d", seed)
	y := &trade{yard: openYard(t), evaluation: store, rng: rand.New(rand.NewPCG(seed, 0)), seq: map[eventlog.Stream]uint64{}}
	y.measured, y.chance = storedOutcomes{store}, y.rng.Float64
	y.mustPush("m", 1)
	y.ship("m", 2, fake.Echo(1).Signature())
	return y
}

func (y *trade) ingest(s eventlog.Stream, data []byte) {
	y.t.Helper()
	y.seq[s]++
	if err := y.evaluation.Ingest(y.t.Context(), string(s), []eventlog.Message{{Stream: s, Seq: y.seq[s], Time: y.clock.now(), Data: data}}); err != nil {
		y.t.Fatal(err)
	}
}

// sell stores n predictions of a version at the turned clock; that share of them is bought, for that much, a minute later.
func (y *trade) sell(v fairlead.Version, role fairlead.Role, n int, bought, price float64) {
	y.t.Helper()
	if n == 0 {
		return
	}
	var predictions []*fairlead.Prediction
	var events []fairlead.BusinessEvent
	for range n {
		y.made++
		id := fmt.Sprintf("p%07d", y.made)
		x := []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{1}}}
		out := []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{1}}}
		predictions = append(predictions, &fairlead.Prediction{
			ID: id, Deployment: "m", Model: "m", Version: v, Role: role, Received: y.clock.now(),
			Rows: []fairlead.RowMeta{{ID: id, Time: y.clock.now()}}, Inputs: x, Outputs: out,
		})
		if y.rng.Float64() < bought {
			at := y.clock.now().Add(time.Minute)
			events = append(events, fairlead.BusinessEvent{Deployment: "m", Name: "purchase", PredictionID: id, Value: price, Time: at, Received: at})
		}
	}
	sig := fake.Echo(1).Signature()
	data, err := eventlog.EncodePredictions(predictions, &sig)
	if err != nil {
		y.t.Fatal(err)
	}
	y.ingest(eventlog.Predictions, data)
	y.ingest(eventlog.Events, eventlog.EncodeEvents(events))
}

// hour passes: outcomes are read, and the controller looks.
func (y *trade) hour() {
	y.t.Helper()
	y.clock.turn(time.Hour)
	for _, r := range y.active() {
		y.measure(y.t.Context(), r)
	}
	y.mustLook(time.Second)
}

func (y *trade) share(v fairlead.Version) float64 {
	y.t.Helper()
	for _, a := range y.split().Arms() {
		if a.Target.Version == v {
			return a.Weight
		}
	}
	return 0
}

// A bandit moves traffic to the version that sells more.
func TestBanditFollowsPurchases(t *testing.T) {
	y := openTrade(t)
	y.sell(1, fairlead.RoleLive, 500, 1, 1) // before it began: does not count
	if err := y.begin("live", `{kind: bandit, arms: [{version: 1}, {version: 2}], bandit: {event: purchase, window: 30m, floor: 10%, every: 5m}}`); err != nil {
		t.Fatal(err)
	}
	y.mustLook(time.Second)
	y.expect("bandit: live 1, 50% to 2")
	for range 6 {
		toNew := int(400 * y.share(2))
		y.sell(1, fairlead.RoleLive, 400-toNew, 0.10, 1)
		y.sell(2, fairlead.RoleCanary, toNew, 0.20, 1)
		y.hour()
	}
	if got := y.share(2); got < 0.85 {
		t.Errorf("the better version has %g of the traffic after 2,400 requests, want nearly all but the floor", got)
	}
	arms := y.observe(y.latest("m")).Arms
	if n := arms[0].Outcomes["purchase"].N + arms[1].Outcomes["purchase"].N; n != 2400 {
		t.Errorf("%d predictions count, want the 2,400 since the bandit began", n)
	}
}

// A version that answers without error and sells less is held or rolled back by the business event alone.
func TestBusinessEventGate(t *testing.T) {
	const policy = `
stages: [{traffic: 50%%, requests: 100, time: 30h, max: 60h}, {traffic: 100%%, requests: 100}]
bake: 1m
gates: {latency_p50: off, latency_p95: off, latency_p99: off, ratio: off, drift: off}
metrics: [{name: purchase, better: higher, relative: 0.05, window: 30m, mode: %s}]
`
	for _, c := range []struct {
		name, mode string
		bought     float64
		want       string
	}{
		{"harm rolls back", "abort", 0.10, "rolled_back: live 1"},
		{"harm holds", "hold", 0.10, "50%: live 1, 50% to 2 held: harm_purchase"},
		{"as good as before", "abort", 0.20, "50%: live 1, 50% to 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			y := openTrade(t)
			if err := y.begin("2", fmt.Sprintf(policy, c.mode)); err != nil {
				t.Fatal(err)
			}
			y.mustLook(time.Second)
			y.expect("50%: live 1, 50% to 2")
			for range 10 {
				y.serve(300, 0)
				y.sell(1, fairlead.RoleLive, 300, 0.20, 10)
				y.sell(2, fairlead.RoleCanary, 300, c.bought, 10)
				y.hour()
			}
			got := y.stands()
			if held := y.latest("m").rec.State.Held; held != "" {
				got += " held: " + string(held)
			}
			if got != c.want {
				t.Errorf("it stands at %q, want %q", got, c.want)
			}
		})
	}
}

func TestEventsOfAPolicy(t *testing.T) {
	p, err := rollout.Parse([]byte(`{kind: bandit, arms: [{version: 1}, {version: 2}], bandit: {event: purchase, window: 1h},
		metrics: [{name: accuracy, better: higher}, {name: purchase, better: higher, window: 1h}, {name: visits, better: lower}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(policyEvents(p)), "[{purchase 1h0m0s} {visits 0s}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if err := checkMetrics(p, fairlead.TaskBinary); err != nil {
		t.Error(err)
	}
}
