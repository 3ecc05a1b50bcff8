package serve_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/serve/shadow"
)

// settled waits until the pairs are as wanted.
func settled(t *testing.T, s *route.Split, want func(*fairlead.PairTally) bool) *fairlead.PairTally {
	t.Helper()
	for range 2000 {
		if p := s.PairTally(); want(p) {
			return p
		}
		time.Sleep(time.Millisecond)
	}
	p := s.PairTally()
	t.Fatalf("the pairs do not settle: %d requests, %d pairs, %d dropped, %d errors, %d mismatched", p.Requests, p.Pairs, p.Dropped, p.ShadowErrors, p.Mismatched)
	return nil
}

// TestShadow: every live answer is compared with the shadow's to the same request, and only the live one is given.
func TestShadow(t *testing.T) {
	live, dark := splitTarget(1, scored(0.25)), splitTarget(2, scored(0.75))
	table, split := shadowed(t, live, dark)
	var recorded recorder
	s := serving(t, table, serve.Options{Shadow: shadow.Options{Record: recorded.Record}})
	for i := range 50 {
		in := x(1, 17, 2, 18)
		in.ID = fmt.Sprint("r", i)
		if resp := ask(t, s, in); resp.Target != live || resp.Outputs[0].Data.([]float32)[0] != 0.25 {
			t.Fatalf("the shadow answered: %+v", resp)
		}
	}
	p := settled(t, split, func(p *fairlead.PairTally) bool { return p.Requests == 50 })
	if p.Pairs != 100 || p.Flips != 100 || p.FlipRequests != 50 || p.SumDifference != 50 || p.Dropped+p.ShadowErrors+p.Mismatched+p.Invalid > 0 {
		t.Errorf("%+v", p)
	}
	if s := p.Segments["origin=17"]; s == nil || s.Pairs != 50 || s.Flips != 50 {
		t.Errorf("segments %v", p.Segments)
	}
	if e := p.Examples; len(e) != fairlead.MaxExamples || e[0].ID != "r0.0" || e[0].Live != 0.25 || e[0].Shadow != 0.75 || e[0].Segment != "origin=17" {
		t.Errorf("examples %+v", e)
	}
	if n := split.Tallies()["live"].Total(); n.Requests != 50 {
		t.Errorf("the live version's tally is %+v", n)
	}
	recorded.mu.Lock()
	defer recorded.mu.Unlock()
	if len(recorded.got) != 50 || recorded.got[0].Role != fairlead.RoleShadow || recorded.got[0].Version != 2 || recorded.got[0].Outputs[0].Data.([]float32)[0] != 0.75 {
		t.Errorf("%d of the shadow's predictions recorded", len(recorded.got))
	}
}

// TestShadowThatHangs: live answers do not wait for it; copies beyond its queue are dropped and counted; draining it gives
// the rest up, and no goroutine stays.
func TestShadowThatHangs(t *testing.T) {
	for name, stop := range map[string]func(*serve.Server, *route.Target) error{
		"drained": func(s *serve.Server, dark *route.Target) error {
			return errors.Join(s.Drain(context.Background(), dark), dark.Session.Close())
		},
		"server closed": func(s *serve.Server, dark *route.Target) error {
			return errors.Join(s.Close(context.Background()), dark.Session.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			live := splitTarget(1, scored(0.25))
			dark := splitTarget(2, scoring(func(ctx context.Context) (float32, error) { <-ctx.Done(); return 0, ctx.Err() }))
			table, split := shadowed(t, live, dark)
			s := serving(t, table, serve.Options{Shadow: shadow.Options{Runs: 2, Each: 2, Queue: 8, Timeout: time.Hour}})
			var slowest time.Duration
			for i := range 1000 {
				began := time.Now()
				ask(t, s, keyed(fmt.Sprint(i)))
				slowest = max(slowest, time.Since(began))
			}
			p := settled(t, split, func(p *fairlead.PairTally) bool { return p.Dropped >= 990 })
			if p.Dropped != 990 {
				t.Errorf("%d copies dropped, want all but 2 that run and 8 that wait", p.Dropped)
			}
			if slowest > time.Second {
				t.Errorf("a live answer took %v", slowest)
			}
			if err := stop(s, dark); err != nil {
				t.Error(err)
			}
			settled(t, split, func(p *fairlead.PairTally) bool { return p.Dropped == 1000 })
			if name == "drained" {
				ask(t, s, keyed("a")) // the table has the shadow still
				settled(t, split, func(p *fairlead.PairTally) bool { return p.Dropped == 1001 })
			}
		})
	}
}

// TestShadowTimesOut: a run that takes too long is the shadow's error, and the next copy has its turn.
func TestShadowTimesOut(t *testing.T) {
	dark := splitTarget(2, scoring(func(ctx context.Context) (float32, error) { <-ctx.Done(); return 0, ctx.Err() }))
	table, split := shadowed(t, splitTarget(1, scored(0.25)), dark)
	s := serving(t, table, serve.Options{Shadow: shadow.Options{Timeout: 5 * time.Millisecond}})
	for i := range 5 {
		ask(t, s, keyed(fmt.Sprint(i)))
	}
	settled(t, split, func(p *fairlead.PairTally) bool { return p.ShadowErrors == 5 })
}

// TestShadowsThatDiffer counts what a shadow does wrong by its kind.
func TestShadowsThatDiffer(t *testing.T) {
	fail := scoring(func(context.Context) (float32, error) { return 0, errors.New("broken") })
	wide := scored(0.25).Signature()
	wide.Inputs[0].Features = []string{"origin", "distance"}
	reordered := splitTarget(2, scored(0.25))
	reordered.Signature.Inputs = wide.Inputs
	for name, test := range map[string]struct {
		live, dark *route.Target
		want       func(*fairlead.PairTally) bool
	}{
		"errors": {splitTarget(1, scored(0.25)), splitTarget(2, fail), func(p *fairlead.PairTally) bool {
			return p.ShadowErrors == 1 && p.Segments["origin=17"].ShadowErrors == 1
		}},
		"panics":        {splitTarget(1, scored(0.25)), splitTarget(2, scoring(func(context.Context) (float32, error) { panic("a bug") })), func(p *fairlead.PairTally) bool { return p.ShadowErrors == 1 }},
		"better":        {splitTarget(1, fail), splitTarget(2, scored(0.25)), func(p *fairlead.PairTally) bool { return p.LiveErrors == 1 }},
		"other columns": {splitTarget(1, scored(0.25)), reordered, func(p *fairlead.PairTally) bool { return p.Mismatched == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			table, split := shadowed(t, test.live, test.dark)
			s := serving(t, table, serve.Options{})
			if _, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: keyed("a")}); (err != nil) != (name == "better") {
				t.Error(err)
			}
			settled(t, split, test.want)
		})
	}
}

// TestCopiedShare copies the requests of a share of the keys.
func TestCopiedShare(t *testing.T) {
	live, dark := splitTarget(1, scored(0.25)), splitTarget(2, scored(0.25))
	table, split := tableOf(t, live, route.SplitOptions{Signature: live.Signature, Shadow: dark, Copied: 0.3})
	s := serving(t, table, serve.Options{Shadow: shadow.Options{Queue: 10_000}})
	want := uint64(0)
	for i := range 1000 {
		key := fmt.Sprint(i)
		if split.Copies(key) {
			want++
		}
		ask(t, s, keyed(key))
	}
	if want < 250 || want > 350 {
		t.Errorf("%d of 1000 keys are copied, want about 300", want)
	}
	settled(t, split, func(p *fairlead.PairTally) bool { return p.Requests == want })
}
