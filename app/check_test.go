package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/probe"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/check"
)

// sureRows are rows that the graph "tree" is sure of, with their truth.
const sureRows = treeRows

// With require_tests no way leads a version into service that fails its tests, or has none; rollbacks are free.
func TestRequireTests(t *testing.T) {
	a := open(t, t.TempDir())
	a.config.RequireTests = RequireTests{Models: []string{"tr*"}, Skip: []string{"latency"}}
	ctx := t.Context()
	push := func(name fairlead.Name, tests string, o api.PushOptions) error {
		_, err := a.Push(ctx, name, true, folder(t, testModel(t, "tree"), tree+"tests: "+tests+"\n", sureRows), o)
		return err
	}
	refused := func(err error, reason, says string) {
		t.Helper()
		var e *fairlead.Error
		if !errors.As(err, &e) || e.Code != fairlead.CodeConflict || e.Reason != reason || !strings.Contains(e.Message, says) {
			t.Errorf("%v", err)
		}
	}
	const passing = "[{finite: true}, {size: {model: 1MB}}, {latency: 1, p50: 1ns}]"
	refused(push("tree", "", api.PushOptions{}), "tests_missing", "tree has no tests")
	refused(push("tree", "[{finite: true}, {size: {model: 1B}}]", api.PushOptions{}), "tests_failed", `fails 1 of its 2 tests: "size": model `)
	if m, err := a.Models(ctx); err != nil || len(m) != 0 {
		t.Errorf("something was stored: %+v, %v", m, err)
	}
	if err := push("tree", passing, api.PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := push("other", "[{size: {model: 1B}}]", api.PushOptions{}); err != nil { // nobody asks for its tests
		t.Error(err)
	}
	refused(push("other", "[{size: {model: 2B}}]", api.PushOptions{Test: true}), "tests_failed", "the new version of other fails 1 of its 1 tests")

	// Versions that came in before somebody asked.
	a.config.RequireTests = RequireTests{}
	for n := range 2 {
		if err := push("tree", fmt.Sprintf("[{finite: true}, {size: {model: %dB}}]", n+1), api.PushOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	a.config.RequireTests = RequireTests{Models: []string{"*"}}
	_, err := a.rollouts.StartRollout(ctx, "tree", api.RolloutStart{Version: "2", By: "ann"})
	refused(err, "tests_failed", "tree@2 fails 1 of its 2 tests")
	_, err = a.rollouts.StartRollout(ctx, "tree", api.RolloutStart{
		Version: "live", By: "ann", Policy: "{kind: experiment, arms: [{version: 3, traffic: 50%}, {version: 2, traffic: 50%}]}",
	})
	refused(err, "tests_failed", "tree@2 fails 1 of its 2 tests")
	_, err = a.Apply(ctx, "tree", api.DeploymentRequest{Version: "2", By: "ann"})
	refused(err, "tests_failed", "tree@2 fails 1 of its 2 tests")
	if back, err := a.deployer.Rollback(ctx, "tree"); err != nil || back.To != 2 {
		t.Errorf("a rollback asks for nothing: %+v, %v", back, err)
	}
	report, err := a.Test(ctx, "tree", "3", api.TestRequest{})
	if err != nil || report.OK || report.Failed != 1 || report.Passed != 1 || report.Subject != "tree@3" || report.Results[1].Verdict != string(check.Failed) {
		t.Errorf("%+v, %v", report, err)
	}
	if _, err := a.Test(ctx, "tree", "1", api.TestRequest{Only: []string{"speed"}}); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("%v", err)
	}
	for _, bad := range []RequireTests{{Models: []string{"[a"}}, {Models: []string{"*"}, Skip: []string{"speed"}}} {
		if err := bad.check(); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// A test against the champion finds it in the registry, and finds nobody where the version itself is it.
func TestAgainstTheChampion(t *testing.T) {
	a := open(t, t.TempDir())
	tests := func(margin float64) []byte {
		return folder(t, testModel(t, "tree"), fmt.Sprintf("%stests: [{metric: accuracy, not_worse_than: champion, margin: %g, min_rows: 2}]\n", tree, margin), sureRows)
	}
	if _, err := a.Push(t.Context(), "tree", true, tests(0.1), api.PushOptions{Alias: "champion", Test: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Push(t.Context(), "tree", true, tests(0.2), api.PushOptions{Test: true}); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]check.Verdict{"1": check.Skipped, "2": check.Passed} {
		report, err := a.Test(t.Context(), "tree", version, api.TestRequest{})
		if err != nil || report.Results[0].Verdict != string(want) {
			t.Errorf("%s: %+v, %v", version, report.Results, err)
		}
	}
	if report, err := a.Test(t.Context(), "tree", "1", api.TestRequest{Against: "live"}); err != nil || report.Results[0].Verdict != string(check.Passed) {
		t.Errorf("%+v, %v", report, err)
	}
}

// goldenVersion adds version 2 of m with golden vectors that the fake model gives.
func (y *yard) goldenVersion() {
	y.t.Helper()
	src := bundle.FromModel("m", []byte(graph("m", 2)))
	in := []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{3}}}
	out, err := fake.Echo(1).Run(y.t.Context(), in, nil)
	if err != nil {
		y.t.Fatal(err)
	}
	src.Golden = &bundle.Golden{Absolute: 1e-5, Relative: 1e-4, Cases: []bundle.GoldenCase{{Inputs: in, Outputs: out}}}
	b, err := bundle.Seal(src, fake.Echo(1).Signature(), nil, nil)
	if err != nil {
		y.t.Fatal(err)
	}
	if _, _, err := y.shop.registry.Add(y.t.Context(), "m", b, noon, ""); err != nil {
		y.t.Fatal(err)
	}
}

// Before a version takes all requests its golden vectors run once more: a host that computes otherwise than when it was
// loaded rolls it back, and says so.
func TestGoldenVectorsAtPromotion(t *testing.T) {
	for _, corrupt := range []bool{false, true} {
		y := openYard(t)
		y.mustPush("m", 1)
		y.goldenVersion()
		if err := y.begin("2", "stages: [50%, 100%]"); err != nil {
			t.Fatal(err)
		}
		if corrupt {
			golden := y.shop.versions[versionKey{"m", 2}].golden
			golden.Cases[0].Outputs[0].Data.([]float32)[0] += 0.5
		}
		if _, err := y.CommandRollout(t.Context(), "m", "promote", api.RolloutCommand{By: "ann"}); err != nil {
			t.Fatal(err)
		}
		if !corrupt {
			y.expect("bake: live 1, 100% to 2")
			continue
		}
		y.mustLook(time.Second)
		y.expect("rolled_back: live 1")
		told, err := y.Explain(t.Context(), "m", "")
		if text := fmt.Sprintf("%+v", told); err != nil || !strings.Contains(text, "golden vectors") || !strings.Contains(text, "this host does not compute as m@2 was recorded") {
			t.Errorf("%s, %v", text, err)
		}
	}
}

// A session that is replaced while its golden vectors run is no reason to roll back: the one in its place is asked. One that
// computes otherwise is.
func TestGoldenVectorsOfReplacedSession(t *testing.T) {
	y := openYard(t)
	y.mustPush("m", 1)
	y.goldenVersion()
	if err := y.begin("2", "stages: [50%, 100%]"); err != nil {
		t.Fatal(err)
	}
	known := y.shop.versions[versionKey{"m", 2}]
	sound := known.session
	swap := func(to engine.Session) { y.shop.mu.Lock(); defer y.shop.mu.Unlock(); known.session = to }
	wrong := &swapped{Session: sound, run: func(in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		out, err := sound.Run(t.Context(), in, nil)
		out[0].Data.([]float32)[0] += 0.5
		return out, err
	}}
	for _, c := range []struct {
		next   engine.Session
		reason string
	}{{sound, ""}, {wrong, "golden_mismatch"}} {
		swap(&swapped{Session: sound, run: func([]fairlead.Tensor) ([]fairlead.Tensor, error) {
			swap(c.next)
			return nil, engine.Closed()
		}})
		err := y.shop.computes(t.Context(), "m", "m", 2)
		var e *fairlead.Error
		if c.reason == "" && err != nil || c.reason != "" && (!errors.As(err, &e) || e.Reason != c.reason) {
			t.Errorf("expected %q, got %v", c.reason, err)
		}
		if e != nil && !strings.Contains(e.Message, `1 of 1 outputs differ by more than 1e-05 + 0.0001·|expected| (case 0, output "y": element 0: expected 3, got 3.5)`) {
			t.Errorf("%v", e.Message)
		}
	}
	swap(&swapped{Session: sound, run: func([]fairlead.Tensor) ([]fairlead.Tensor, error) { return nil, engine.Closed() }})
	if err := y.shop.computes(t.Context(), "m", "m", 2); err != nil { // unloaded: there is nothing to ask
		t.Error(err)
	}
	swap(sound)
}

type swapped struct {
	engine.Session
	run func(in []fairlead.Tensor) ([]fairlead.Tensor, error)
}

func (s *swapped) Run(_ context.Context, in []fairlead.Tensor, _ []string) ([]fairlead.Tensor, error) {
	return s.run(in)
}

// Tests run one after the other, and who waits may give up.
func TestTestsTakeTurns(t *testing.T) {
	var turn turns
	done, err := turn.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turn.take(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("two at once: %v", err)
	}
	done()
	if done, err = turn.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	done()
}

// The rule by which `fairlead verify` compares is the rule by which versions are loaded.
func TestVerifyAndLoadAgree(t *testing.T) {
	const seed = 11
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	agree, differ := 0, 0
	for range 20_000 {
		absolute, relative := []float64{0, 1e-6, 1e-3}[rng.IntN(3)], []float64{0, 1e-5, 1e-3}[rng.IntN(3)]
		want, got := randomTensors(rng)
		g := &bundle.Golden{Absolute: absolute, Relative: relative, Cases: []bundle.GoldenCase{{Outputs: want}}}
		all, err := check.Replay(t.Context(), g, answering(got))
		if err != nil {
			t.Fatal(err)
		}
		loads := (&probe.Golden{Absolute: absolute, Relative: relative}).Difference(want, got) == ""
		if all[0].Agrees() != loads {
			t.Fatalf("%+v and %+v within %g + %g: verify says %v, the load %v", want, got, absolute, relative, all[0], loads)
		}
		if loads {
			agree++
		} else {
			differ++
		}
	}
	if agree < 1000 || differ < 1000 {
		t.Errorf("%d agree, %d differ: the test looks at one side only", agree, differ)
	}
}

// answering gives the same to everybody.
type answering []fairlead.Tensor

func (a answering) Run(context.Context, []fairlead.Tensor, []string) ([]fairlead.Tensor, error) {
	return a, nil
}

// randomTensors are an output and one that is near it, far from it, or of another shape.
func randomTensors(rng *rand.Rand) (want, got []fairlead.Tensor) {
	types := []fairlead.DataType{fairlead.FP32, fairlead.FP64, fairlead.FP16, fairlead.BF16, fairlead.Int64, fairlead.Uint64, fairlead.Int8, fairlead.Bool, fairlead.Bytes}
	typ := types[rng.IntN(len(types))]
	make := func() fairlead.Tensor {
		return fairlead.Tensor{Name: "y", Type: typ, Shape: []int64{1, 1}, Data: fairlead.MakeData(typ, 1)}
	}
	a, b := make(), make()
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0}
	x := 4 * rng.Float64()
	y := x + math.Pow(10, -8*rng.Float64())*(rng.Float64()-0.5)
	if rng.IntN(4) == 0 {
		x = odd[rng.IntN(4)]
	}
	if rng.IntN(4) == 0 {
		y = odd[rng.IntN(4)]
	}
	put := func(data any, v float64, near int) {
		switch d := data.(type) {
		case []float32:
			d[0] = float32(v)
		case []float64:
			d[0] = v
		case []uint16:
			d[0] = uint16(15000 + near)
		case []int64:
			d[0] = 1<<60 + int64(near)
		case []uint64:
			d[0] = 1<<60 + uint64(near)
		case []int8:
			d[0] = int8(near)
		case []bool:
			d[0] = near%2 == 0
		case []string:
			d[0] = string(rune('a' + near))
		}
	}
	put(a.Data, x, rng.IntN(3))
	put(b.Data, y, rng.IntN(3))
	if rng.IntN(20) == 0 {
		b.Shape = []int64{1}
	}
	if rng.IntN(20) == 0 {
		b.Name = "z"
	}
	return []fairlead.Tensor{a}, []fairlead.Tensor{b}
}
