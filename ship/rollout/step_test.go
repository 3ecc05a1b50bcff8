package rollout

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// A crash between storing the state and acting on it, or before storing: at every look of a whole rollout the stored state
// is read back, and the same observation gives the same decisions and the same traffic.
func TestStoredStateIsTheState(t *testing.T) {
	w := newWorld(mustParse(`{stages: [shadow, 10%, 50%, 100%], bake: 20m}`), 31)
	reach := Traffic{}
	for range 400 {
		w.obs.Now = w.obs.Now.Add(w.look)
		w.serve()
		stored, err := json.Marshal(w.state)
		if err != nil {
			t.Fatal(err)
		}
		next, decisions := Step(w.policy, w.state, w.obs)
		if after, _ := json.Marshal(w.state); string(after) != string(stored) {
			t.Fatalf("Step changed its argument:\n%s\n%s", stored, after)
		}
		var read State
		if err := json.Unmarshal(stored, &read); err != nil {
			t.Fatal(err)
		}
		again, repeated := Step(w.policy, read, w.obs)
		if a, b := mustJSON(t, next), mustJSON(t, again); string(a) != string(b) || !reflect.DeepEqual(mustJSON(t, decisions), mustJSON(t, repeated)) {
			t.Fatalf("the stored state decides otherwise:\n%s\n%s", a, b)
		}
		if tr := read.Traffic(w.policy); tr != w.state.Traffic(w.policy) || tr.Canary < reach.Canary {
			t.Fatalf("traffic %v after %v", tr, reach)
		}
		reach = read.Traffic(w.policy)
		w.take(next, decisions)
		if next.Phase.Over() {
			break
		}
	}
	if w.state.Phase != Completed || w.state.Traffic(w.policy) != (Traffic{Canary: 1}) {
		t.Fatalf("not completed:\n%s", Explain(w.decisions))
	}
	if s, d := Step(w.policy, w.state, w.obs); len(d) > 0 || !reflect.DeepEqual(s, w.state) {
		t.Error("what is over decided something")
	}
}

// Restarts in every stage, again and again, do not let a harmless version be rolled back more often, and never move it
// further on.
func TestRestartsSpendLessEachTime(t *testing.T) {
	w := newWorld(mustParse(`stages: [10%, 100%]`), 32)
	w.step()
	last := math.Inf(1)
	sum := 0.0
	for i := range 30 {
		alpha := Judge(w.policy, w.state, w.obs)[0].Alpha
		if alpha >= last {
			t.Fatalf("counting %d has alpha %g after %g", i, alpha, last)
		}
		last, sum = alpha, sum+alpha
		w.obs.Epoch += "'"
		w.reset()
		w.decide()
		if w.state.Traffic(w.policy).Canary != 0.1 {
			t.Fatal("a restart moved the traffic")
		}
	}
	// Half of the budget is this stage's, 3 parts of 9.5 of that the gate's; the 30th counting and later ones have a thirtieth
	// of a fifth between them.
	if all := w.policy.Budget / 2 * 3 / 9.5; math.Abs(sum/all-(0.8+0.2*(1-1./30))) > 1e-6 {
		t.Errorf("all countings together spend %g of %g", sum, all)
	}
	// A deployment that is loaded anew by the minute: no counting has so little left that its gates say nothing, which would
	// let the stage pass.
	w.state.Restarts = 5000
	if e := Judge(w.policy, w.state, w.obs); len(e) < 7 || !(e[0].Alpha > 0) {
		t.Errorf("after 5000 restarts %d gates speak", len(e))
	}
}

// The budget is what the gates' levels add up to, over all stages.
func TestLevelsAddUpToTheBudget(t *testing.T) {
	p := mustParse("metrics: [{name: accuracy, better: higher, weight: 2}]")
	sum, metric := 0.0, 0.0
	for i, stage := range p.Stages {
		s := State{Format: Format, Phase: Running, Stage: i}
		if stage.Traffic == 1 {
			s.Phase = Baking
		}
		// In the bake the whole of it has one half, its windows together the other.
		halves := 1.0
		if s.Phase == Baking {
			halves = 2
			windows := 0.0
			for i := range 100_000 {
				windows += p.windowLevel(i)
			}
			if windows > 1 || windows < 0.999 {
				t.Errorf("all windows have %g of their half", windows)
			}
		}
		perSegment := func(gate string) bool { return strings.HasPrefix(gate, "segment") }
		for _, e := range Judge(p, s, Observation{Live: &fairlead.Tally{}, Canary: &fairlead.Tally{}, Pairs: &fairlead.PairTally{}}) {
			switch {
			case e.Gate == "accuracy":
				metric = e.Alpha
			case perSegment(e.Gate) && e.Alpha == 0: // no segment has come yet
				sum += newLook(p, s, Observation{}, false).alpha(e.Gate)
			case e.Mode == ModeAbort && e.Alpha > 0:
				sum += halves * e.Alpha
			case e.Mode == ModeAbort:
				sum += newLook(p, s, Observation{}, false).alpha(e.Gate)
			}
		}
	}
	if total := sum/0.8 + metric; math.Abs(total-p.Budget) > 1e-9 {
		t.Errorf("the levels add up to %g, the budget is %g", total, p.Budget)
	}
}

func TestNothingIsDecidedWithoutData(t *testing.T) {
	w := newWorld(mustParse(`stages: [{traffic: 10%, max: 1h, undecided: promote}, 100%]`), 33)
	w.perMinute = 0
	w.run(3000)
	if w.state.Traffic(w.policy).Canary != 0.1 || w.state.Held != ReasonUndecided {
		t.Errorf("without a single request:\n%s", Explain(w.decisions))
	}
	if n := len(w.decisions); n > 4 {
		t.Errorf("%d decisions; a hold is said once:\n%s", n, Explain(w.decisions))
	}
	for name, o := range map[string]Observation{"nothing": {Now: w.obs.Now}, "nil tallies": {Now: w.obs.Now, Epoch: "boot 1"}} {
		if s, _ := Step(w.policy, w.state, o); s.Traffic(w.policy).Canary != 0.1 {
			t.Errorf("%s moved the traffic", name)
		}
	}
}

// A required metric keeps a stage until its labels have come.
func TestLabels(t *testing.T) {
	policy := `
stages: [{traffic: 50%, max: 1h}, 100%]
metrics: [{name: accuracy, better: higher, absolute: 2%, required: true}]
`
	labels := func(live, canary float64, n uint64) []Outcome {
		m := func(p float64) Moments { return Moments{N: n, Sum: p * float64(n), SumSquares: p * float64(n)} }
		return []Outcome{{Metric: "accuracy", Live: m(live), Canary: m(canary)}}
	}
	w := newWorld(mustParse(policy), 34)
	w.run(50)
	if w.state.Stage != 0 || w.state.Held != ReasonGathering || !strings.Contains(w.decisions[len(w.decisions)-1].Text, "accuracy") {
		t.Fatalf("promoted without labels:\n%s", Explain(w.decisions))
	}
	w.obs.Outcomes = labels(0.9, 0.905, 20000)
	if w.step(); w.state.Phase != Baking {
		t.Errorf("20,000 labels show it to be no worse, and yet:\n%s", Explain(w.decisions))
	}
	w.obs.Outcomes = labels(0.9, 0.84, 20000)
	if w.step(); w.state.Phase != RolledBack || w.decisions[len(w.decisions)-1].Reason != "harm_accuracy" {
		t.Errorf("labels that come in the bake and are bad:\n%s", Explain(w.decisions))
	}
}

func TestGateModes(t *testing.T) {
	for mode, want := range map[string]Phase{"report": Running, "off": Running, "hold": Running, "abort": RolledBack} {
		w := newWorld(mustParse(`{stages: [{traffic: 10%, time: 1d, max: 2d}, 100%], gates: {errors: `+mode+`, segments: off}}`), 35)
		w.canary.errors = 0.1
		w.run(30)
		if w.state.Phase != want {
			t.Errorf("mode %s: %s\n%s", mode, w.state.Phase, Explain(w.decisions))
		}
		said := 0
		for _, d := range w.decisions {
			if d.Reason == "harm_errors" {
				said++
			}
		}
		if once := map[string]int{"report": 1, "off": 0, "hold": 1, "abort": 1}[mode]; said != once {
			t.Errorf("mode %s: said %d times, want %d", mode, said, once)
		}
	}
}

func TestCommandsThatMakeNoSense(t *testing.T) {
	p := mustParse(`stages: [10%, 100%]`)
	s, _ := Start(p, epoch, "ada", "")
	o := Observation{Now: epoch}
	over := s
	over.Phase = Completed
	for want, c := range map[string]struct {
		s State
		c Command
	}{
		"needs the name":                 {s, Command{Do: DoAbort}},
		"is not a command":               {s, Command{Do: "explode", Who: "ada"}},
		"is over: completed":             {over, Command{Do: DoAbort, Who: "ada"}},
		"is not paused":                  {s, Command{Do: DoResume, Who: "ada"}},
		"no stage ahead waits":           {s, Command{Do: DoApprove, Who: "ada"}},
		"format 9; this version reads 1": {State{Format: 9}, Command{Do: DoAbort, Who: "ada"}},
	} {
		got, d, err := Apply(p, c.s, o, c.c)
		if err == nil || !strings.Contains(err.Error(), want) || len(d) > 0 || !reflect.DeepEqual(got, c.s) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestExperiment(t *testing.T) {
	p := mustParse(`
kind: experiment
arms: [{version: 3, traffic: 80%}, {version: 4, traffic: 20%}]
metrics: [{name: purchase, better: higher, relative: 5%}]
duration: 7d
`)
	s, _ := Start(p, epoch, "ada", "")
	o := Observation{Now: epoch}
	s, d := Step(p, s, o)
	if s.Phase != Running || len(d) != 1 || d[0].Action != ActWeights || s.Arms[1].Traffic != 0.2 {
		t.Fatalf("%+v %+v", s, d)
	}
	event := func(n uint64, p float64) map[string]Moments {
		return map[string]Moments{"purchase": {N: n, Sum: p * float64(n), SumSquares: p * float64(n)}}
	}
	o.Arms = []ArmOutcome{{Version: 3, Outcomes: event(80000, 0.10)}, {Version: 4, Outcomes: event(20000, 0.13)}}
	if s, d = Step(p, s, o); len(d) > 0 {
		t.Errorf("an experiment decides nothing on the way: %+v", d)
	}
	o.Now = o.Now.Add(7 * 24 * time.Hour)
	s, d = Step(p, s, o)
	if s.Phase != Ended || len(d) != 1 || !strings.Contains(d[0].Text, "the difference is real") {
		t.Errorf("%+v %+v", s, d)
	}
}

// A bandit gives the traffic to the better arm, keeps the floor, and loses less than an even split.
func TestBandit(t *testing.T) {
	for _, posterior := range []string{"beta", "normal"} {
		p := mustParse(`{kind: bandit, arms: [{version: 1}, {version: 2}, {version: 3}], bandit: {event: click, floor: 5%, every: 10m, posterior: ` + posterior + `}}`)
		rates := []float64{0.05, 0.05, 0.08}
		const seed = 77
		rng := rand.New(rand.NewPCG(seed, 1))
		s, _ := Start(p, epoch, "ada", "")
		o := Observation{Now: epoch, Chance: rng.Float64, Arms: []ArmOutcome{{Version: 1}, {Version: 2}, {Version: 3}}}
		counts := make([]Moments, 3)
		for range 300 {
			s, _ = Step(p, s, o)
			for i, a := range s.Arms {
				if a.Traffic < 0.049 {
					t.Fatalf("%s: arm %d got %s, the floor is 5%%", posterior, i, a.Traffic)
				}
				for range int(1000 * a.Traffic) {
					counts[i].N++
					if rng.Float64() < rates[i] {
						counts[i].Sum++
						counts[i].SumSquares++
					}
				}
				o.Arms[i].Outcomes = map[string]Moments{"click": counts[i]}
			}
			o.Now = o.Now.Add(10 * time.Minute)
		}
		if s.Arms[2].Traffic < 0.85 {
			t.Errorf("%s: the best arm got %s (seed %d)", posterior, s.Arms[2].Traffic, seed)
		}
	}
}

func TestPlan(t *testing.T) {
	const seed = 5
	rng := rand.New(rand.NewPCG(seed, 1))
	p := Default()
	f, err := Plan(p, Load{RequestsPerMinute: 6000, ErrorRate: 0.01}, 20, rng.Float64)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + f.Text())
	if f.FalseAbort != 0.01 || f.Promoted < 19 || f.Minutes < 60 || f.Minutes > 600 || len(f.Stages) != 6 {
		t.Errorf("%+v", f)
	}
	slow, err := Plan(p, Load{RequestsPerMinute: 20, ErrorRate: 0.01}, 5, rng.Float64)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + slow.Text())
	if slow.Promoted > 0 || slow.Stages[1].Minutes >= 0 {
		t.Errorf("20 requests a minute are too few for a stage of 1 %% in a day: %+v", slow.Stages[1])
	}
	for _, bad := range []Load{{}, {RequestsPerMinute: math.Inf(1)}, {RequestsPerMinute: 1, ErrorRate: 0.9}, {RequestsPerMinute: math.NaN()}} {
		if _, err := Plan(p, bad, 10, rng.Float64); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// What the plan says is what happens: the same rollout, simulated request by request.
func TestPlanAgreesWithRollouts(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 1))
	p := mustParse(`stages: [10%, 100%]`)
	f, err := Plan(p, Load{RequestsPerMinute: 6000, ErrorRate: 0.01}, max(10, runs(t, 40)), rng.Float64)
	if err != nil {
		t.Fatal(err)
	}
	var promote, detect []float64
	for i := range max(10, runs(t, 40)) {
		w := newWorld(p, uint64(600+i))
		w.until(func() bool { return w.state.Phase == Baking })
		promote = append(promote, w.obs.Now.Sub(epoch).Minutes()-1)
		w = newWorld(p, uint64(700+i))
		w.canary.errors = 0.02
		w.step()
		detect = append(detect, float64(w.run(100)))
	}
	for what, c := range map[string][2]float64{"promote": {f.Stages[0].Minutes, at(promote, 0.5)}, "detect": {f.Stages[0].Detect, at(detect, 0.5)}} {
		if c[0] < 0.4*c[1] || c[0] > 2.5*c[1] {
			t.Errorf("minutes to %s: planned %.1f, happened %.1f", what, c[0], c[1])
		}
	}
}

// Counters are read while requests are counted: a segment may show more errors than requests for a moment.
func TestTornCountersDoNotPanic(t *testing.T) {
	segment := func(n, k uint64) map[string]*fairlead.TallySegment {
		return map[string]*fairlead.TallySegment{"origin=JFK": {Requests: n, Errors: k, Invalid: k}}
	}
	for _, n := range []uint64{0, 1, 3} {
		live, canary := &fairlead.Tally{Segments: segment(n, 2*n)}, &fairlead.Tally{Segments: segment(n, 4)}
		for i := range live.Buckets {
			live.Buckets[i] = fairlead.TallyBucket{Requests: n, Errors: n + 1, Invalid: n}
			canary.Buckets[i] = fairlead.TallyBucket{Requests: n, Errors: n + 2, Invalid: n + 1}
		}
		p := Default()
		for i, stage := range p.Stages {
			s := State{Format: Format, Phase: Running, Stage: i, Baseline: baseline(live)}
			if stage.Traffic == 1 {
				s.Phase = Baking
			}
			pairs := &fairlead.PairTally{Pairs: n, Flips: n + 1, Invalid: n + 2, ShadowErrors: 2, Mismatched: 1}
			Judge(p, s, Observation{Live: live, Canary: canary, Pairs: pairs})
		}
	}
}
