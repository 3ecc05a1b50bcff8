package serve_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/cache"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// scored is a binary model that answers with the given probability.
func scored(p float32) *fake.Session {
	return scoring(func(context.Context) (float32, error) { return p, nil })
}

func scoring(f func(context.Context) (float32, error)) *fake.Session {
	return fake.New(fairlead.Signature{
		Task:    fairlead.TaskBinary,
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"distance", "origin"}}},
		Outputs: []fairlead.TensorSpec{{Name: "p", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleScore}},
	}, func(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		v, err := f(ctx)
		if err != nil {
			return nil, err
		}
		rows := in[0].Shape[0]
		return []fairlead.Tensor{{Name: "p", Type: fairlead.FP32, Shape: []int64{rows, 1}, Data: slices.Repeat([]float32{v}, int(rows))}}, nil
	})
}

func splitTarget(v fairlead.Version, s engine.Session) *route.Target {
	t := target(v, s)
	t.Digest = fairlead.Digest(fmt.Sprintf("sha256:%d", v))
	t.Signature.Segments = []string{"origin"}
	return t
}

// divided is a table with a canary of that weight.
func divided(t testing.TB, live, canary *route.Target, weight float64) (*route.Table, *route.Split) {
	t.Helper()
	return tableOf(t, live, route.SplitOptions{
		ID: "test", Salt: "salt", Signature: live.Signature, Arms: []route.Arm{{Name: "canary", Weight: weight, Target: canary}},
	})
}

func shadowed(t testing.TB, live, shadow *route.Target) (*route.Table, *route.Split) {
	t.Helper()
	return tableOf(t, live, route.SplitOptions{ID: "test", Salt: "salt", Signature: live.Signature, Shadow: shadow})
}

func tableOf(t testing.TB, live *route.Target, o route.SplitOptions) (*route.Table, *route.Split) {
	t.Helper()
	s, err := route.NewSplit(o)
	if err != nil {
		t.Fatal(err)
	}
	table, err := route.NewTable([]route.Deployment{{Name: "m", Live: live, Split: s}})
	if err != nil {
		t.Fatal(err)
	}
	return table, s
}

func serving(t testing.TB, table *route.Table, o serve.Options) *serve.Server {
	t.Helper()
	o.Router = &route.Router{}
	o.Router.Swap(table)
	s := serve.New(o)
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func keyed(key string) serve.Input {
	in := x(733, 17)
	in.RoutingKey = key
	return in
}

func ask(t testing.TB, s *serve.Server, in serve.Input) *serve.Response {
	t.Helper()
	resp, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: in})
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// keyOf is a routing key that belongs to that arm.
func keyOf(s *route.Split, arm int) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint("key-", i); s.Assign(key) == arm {
			return key
		}
	}
}

// TestSwapsUnderLoad changes the split a thousand times while requests come, loads a new canary with each change, and drains
// and closes the old one as the server does. No request fails, every request is counted once, in the arm that answered it.
func TestSwapsUnderLoad(t *testing.T) {
	const callers, swaps = 8, 1000
	live := splitTarget(1, scored(0.25))
	var splits []*route.Split
	next := func(i int) (*route.Table, *route.Target) {
		canary := splitTarget(fairlead.Version(i+2), scored(0.75))
		table, s := divided(t, live, canary, float64(i%11)/10)
		splits = append(splits, s)
		return table, canary
	}
	table, canary := next(0)
	router := &route.Router{}
	router.Swap(table)
	s := serve.New(serve.Options{Router: router, Queue: callers})
	var stop atomic.Bool
	var requests, byCanary atomic.Uint64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				resp, err := s.Predict(context.Background(), serve.Request{Deployment: "m", Input: keyed(fmt.Sprintf("%d-%d", c, i))})
				if err != nil {
					t.Errorf("caller %d, request %d: %v", c, i, err)
					return
				}
				want := float32(0.25)
				if resp.Role == fairlead.RoleCanary {
					want = 0.75
					byCanary.Add(1)
				}
				if got := resp.Outputs[0].Data.([]float32)[0]; got != want || (resp.Target.Version == 1) != (want == 0.25) {
					t.Errorf("caller %d, request %d: %s version %d answered %v", c, i, resp.Role, resp.Target.Version, got)
				}
				requests.Add(1)
				runtime.Gosched() // let the swapper in
			}
		})
	}
	for i := range swaps {
		for before := requests.Load(); requests.Load() < before+5 && !t.Failed(); {
			time.Sleep(10 * time.Microsecond)
		}
		old := canary
		table, canary = next(i + 1)
		router.Swap(table)
		if err := s.Drain(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		if err := old.Session.Close(); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	wg.Wait()
	var counted, inCanary uint64
	for _, split := range splits {
		for name, tally := range split.Tallies() {
			n := tally.Total()
			counted += n.Requests
			if name == "canary" {
				inCanary += n.Requests
			}
			if n.Errors > 0 || n.Invalid > 0 || n.Requests != n.Scored || n.Sum != map[string]float64{"live": 0.25, "canary": 0.75}[name]*float64(n.Scored) {
				t.Errorf("%s: %+v", name, n)
			}
		}
	}
	if counted != requests.Load() || inCanary != byCanary.Load() {
		t.Errorf("%d requests counted of which %d in canaries; there were %d and %d", counted, inCanary, requests.Load(), byCanary.Load())
	}
	t.Logf("%d requests, %d of them by canaries, over %d splits", counted, inCanary, len(splits))
}

// TestRollbackIsAtOnce: the table without the canary is there, so no request reaches the canary any more, not even one that
// was read before; the request that it has goes on, and counts in the split that it was assigned by.
func TestRollbackIsAtOnce(t *testing.T) {
	inCanary, release := make(chan struct{}), make(chan struct{})
	canary := splitTarget(2, scoring(func(context.Context) (float32, error) {
		close(inCanary)
		<-release
		return 0.75, nil
	}))
	live := splitTarget(1, scored(0.25))
	before, old := divided(t, live, canary, 1)
	after, now := divided(t, live, splitTarget(3, scored(0.5)), 0)
	router := &route.Router{}
	router.Swap(before)
	s := serve.New(serve.Options{Router: router})
	late := make(chan *serve.Response)
	go func() {
		resp, err := s.Predict(context.Background(), serve.Request{Deployment: "m", Input: keyed("a")})
		if err != nil {
			t.Error(err)
		}
		late <- resp
	}()
	<-inCanary
	router.Swap(after)
	for i := range 100 {
		if resp := ask(t, s, keyed(fmt.Sprint(i))); resp.Target != live || resp.Role != fairlead.RoleLive {
			t.Fatalf("after the rollback version %d answered", resp.Target.Version)
		}
	}
	reading := serve.Request{Deployment: "m", Decode: func(*route.Target) (serve.Input, error) {
		router.Swap(after) // a rollback while a request is being read
		return keyed("a"), nil
	}}
	router.Swap(before)
	if resp, err := s.Predict(t.Context(), reading); err != nil || resp.Target != live {
		t.Errorf("a request that was being read: %+v, %v", resp, err)
	}
	close(release)
	if resp := <-late; resp.Target != canary || resp.Role != fairlead.RoleCanary {
		t.Errorf("the request under way was answered by version %d", resp.Target.Version)
	}
	if n := old.Tallies()["canary"].Total().Requests; n != 1 {
		t.Errorf("%d requests counted in the old split's canary, want 1", n)
	}
	if n := now.Tallies()["canary"].Total().Requests; n != 0 {
		t.Errorf("%d requests counted in the new split's canary, want none", n)
	}
	if n := now.Tallies()["live"].Total().Requests; n != 101 {
		t.Errorf("%d requests counted in the new split, want 101", n)
	}
}

// TestBrokenCanaries: whatever a canary does, clients get the live version's answer, and the canary its error.
func TestBrokenCanaries(t *testing.T) {
	nan := float32(math.NaN())
	for name, test := range map[string]struct {
		canary   func(context.Context) (float32, error)
		deadline time.Duration
		answer   float32
		want     fairlead.TallyBucket
		late     uint64
	}{
		"errors": {canary: func(context.Context) (float32, error) { return 0, errors.New("broken") }, answer: 0.25, want: fairlead.TallyBucket{Requests: 1, Errors: 1}},
		"refuses": {canary: func(context.Context) (float32, error) { return 0, fairlead.Invalid("I do not like it") }, answer: 0.25,
			want: fairlead.TallyBucket{Requests: 1, Errors: 1}},
		"panics": {canary: func(context.Context) (float32, error) { panic("a bug") }, answer: 0.25, want: fairlead.TallyBucket{Requests: 1, Errors: 1}},
		"hangs": {canary: func(ctx context.Context) (float32, error) { <-ctx.Done(); return 0, ctx.Err() }, answer: 0.25,
			want: fairlead.TallyBucket{Requests: 1, Errors: 1}},
		"hangs beside a deadline": {canary: func(ctx context.Context) (float32, error) { <-ctx.Done(); return 0, ctx.Err() }, answer: 0.25,
			deadline: 400 * time.Millisecond, want: fairlead.TallyBucket{Requests: 1}, late: 1},
		"answers NaN": {canary: func(context.Context) (float32, error) { return nan, nil }, answer: nan, want: fairlead.TallyBucket{Requests: 1, Invalid: 1}},
		"works":       {canary: func(context.Context) (float32, error) { return 0.75, nil }, answer: 0.75, want: fairlead.TallyBucket{Requests: 1, Scored: 1, Sum: 0.75, SumSquares: 0.5625}},
	} {
		t.Run(name, func(t *testing.T) {
			live, canary := splitTarget(1, scored(0.25)), splitTarget(2, scoring(test.canary))
			table, split := divided(t, live, canary, 1)
			rec := &recorder{}
			var seen finished
			s := serving(t, table, serve.Options{Patience: 30 * time.Millisecond, Recorder: rec, Observers: []serve.Observer{&seen}})
			in := keyed("a")
			in.Deadline = test.deadline
			resp := ask(t, s, in)
			if got := resp.Outputs[0].Data.([]float32)[0]; got != test.answer && !(got != got && test.answer != test.answer) {
				t.Errorf("the answer is %v, want %v", got, test.answer)
			}
			instead := test.answer == 0.25
			if role := rec.got[0].Role; (role == fairlead.RoleLive) != instead || resp.Role != role || rec.got[0].Version != resp.Target.Version {
				t.Errorf("the answer's role is %s, recorded as %s of version %d", resp.Role, role, rec.got[0].Version)
			}
			if f := seen.got[0]; (f.Instead != nil) != instead || f.Err != nil {
				t.Errorf("observed: %v instead of %v", f.Err, f.Instead)
			}
			tallies := split.Tallies()
			if got := tallies["canary"].Total(); got != test.want || tallies["canary"].Late != test.late {
				t.Errorf("the canary's tally is %+v, late %d", got, tallies["canary"].Late)
			}
			if got := tallies["live"].Total(); got.Requests != 0 {
				t.Errorf("the live version's tally is %+v", got)
			}
		})
	}
}

type finished struct{ got []serve.Finished }

func (f *finished) Observe(_ context.Context, o *serve.Finished) { f.got = append(f.got, *o) }

// TestRequestsThatFitNoVersion are the client's fault, and no arm's.
func TestRequestsThatFitNoVersion(t *testing.T) {
	refuse := func(context.Context) (float32, error) { return 0, fairlead.Invalid("unequal rows") }
	table, split := divided(t, splitTarget(1, scoring(refuse)), splitTarget(2, scoring(refuse)), 0.5)
	s := serving(t, table, serve.Options{})
	for i := range 20 {
		if _, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: keyed(fmt.Sprint(i))}); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Fatal(err)
		}
	}
	for name, tally := range split.Tallies() {
		if n := tally.Total(); n.Requests != 0 {
			t.Errorf("%s: %+v", name, n)
		}
	}
	refused := x(1, 2)
	refused.Tensors[0].Name = "z"
	if _, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: refused}); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Error(err)
	}
}

// TestBothFail: the client is told what the live version says, and the failure is the canary's, which was chosen.
func TestBothFail(t *testing.T) {
	fail := func(context.Context) (float32, error) { return 0, errors.New("broken") }
	table, split := divided(t, splitTarget(1, scoring(fail)), splitTarget(2, scoring(fail)), 0.5)
	s := serving(t, table, serve.Options{})
	for arm, name := range []string{"canary", "live"} {
		if _, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: keyed(keyOf(split, arm))}); err == nil {
			t.Error("no error")
		}
		if n := split.Tallies()[name].Total(); n.Requests != 1 || n.Errors != 1 {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// TestWhoAnswers: the routing key decides, else the first row's key, else the request's id; pins go before them and are not
// counted, nor is what is not to be recorded.
func TestWhoAnswers(t *testing.T) {
	live, canary := splitTarget(1, scored(0.25)), splitTarget(2, scored(0.75))
	table, split := divided(t, live, canary, 0.5)
	s := serving(t, table, serve.Options{})
	toCanary, toLive := keyOf(split, 0), keyOf(split, 1)
	row := func(key string) []fairlead.RowMeta { return []fairlead.RowMeta{{Key: key}} }
	counted := uint64(0)
	for name, test := range map[string]struct {
		req   serve.Request
		want  fairlead.Version
		count uint64
	}{
		"routing key":              {serve.Request{Input: serve.Input{RoutingKey: toCanary, Rows: row(toLive)}}, 2, 1},
		"routing key to live":      {serve.Request{Input: serve.Input{RoutingKey: toLive, Rows: row(toCanary)}}, 1, 1},
		"first row's key":          {serve.Request{Input: serve.Input{Rows: row(toCanary), ID: toLive}}, 2, 1},
		"all rows' key":            {serve.Request{Input: serve.Input{Default: fairlead.RowMeta{Key: toCanary}, ID: toLive}}, 2, 1},
		"request id":               {serve.Request{Input: serve.Input{ID: toCanary}}, 2, 1},
		"request id to live":       {serve.Request{Input: serve.Input{ID: toLive}}, 1, 1},
		"pinned in the body":       {serve.Request{Input: serve.Input{RoutingKey: toLive, Pin: "canary"}}, 2, 0},
		"pinned by header":         {serve.Request{Pin: "canary", Input: serve.Input{RoutingKey: toLive}}, 2, 0},
		"pinned to live":           {serve.Request{Pin: "live", Input: serve.Input{RoutingKey: toCanary}}, 1, 0},
		"version":                  {serve.Request{Version: "2", Input: serve.Input{RoutingKey: toLive}}, 2, 0},
		"version beats pin":        {serve.Request{Version: "2", Pin: "live", Input: serve.Input{Pin: "live"}}, 2, 0},
		"tried out, not recorded":  {serve.Request{Input: serve.Input{RoutingKey: toCanary, Unrecorded: true}}, 2, 0},
		"header's pin before body": {serve.Request{Pin: "2", Input: serve.Input{Pin: "1"}}, 2, 0},
	} {
		test.req.Deployment, test.req.Input.Tensors = "m", x(1, 2).Tensors
		resp, err := s.Predict(t.Context(), test.req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := map[fairlead.Version]fairlead.Role{1: fairlead.RoleLive, 2: fairlead.RoleCanary}[test.want]
		if resp.Target.Version != test.want || resp.Role != want {
			t.Errorf("%s: version %d answered as %s, want version %d", name, resp.Target.Version, resp.Role, test.want)
		}
		counted += test.count
	}
	tallies := split.Tallies()
	if n := tallies["live"].Total().Requests + tallies["canary"].Total().Requests; n != counted {
		t.Errorf("%d requests counted, want %d", n, counted)
	}
	if _, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Pin: "9", Input: x(1, 2)}); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Errorf("pinned to a version that is not there: %v", err)
	}
	plain := serve.New(serve.Options{Router: routerTo(t, splitTarget(1, scored(0.25)))})
	in := x(1, 2)
	if resp := ask(t, plain, in); resp.Role != "" {
		t.Errorf("without a split the role is %q", resp.Role)
	}
	in.Pin = "canary"
	if resp := ask(t, plain, in); resp.Role != fairlead.RoleLive || resp.Note != "m has no canary now: its live version answered" {
		t.Errorf("pinned where there is none: %s, %q", resp.Role, resp.Note)
	}
}

// TestPinnedCanaryFailsOpenly: a tester wants to see the error.
func TestPinnedCanaryFailsOpenly(t *testing.T) {
	table, _ := divided(t, splitTarget(1, scored(0.25)), splitTarget(2, scoring(func(context.Context) (float32, error) { return 0, errors.New("broken") })), 0)
	s := serving(t, table, serve.Options{})
	if resp, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Pin: "canary", Input: x(1, 2)}); err == nil {
		t.Errorf("version %d answered", resp.Target.Version)
	}
}

// TestCanaryOfAnotherSignature: the request is read again as the canary wants it, and as the live version wants it when the
// canary cannot take it.
func TestCanaryOfAnotherSignature(t *testing.T) {
	other := func(width int, f fake.Func) *route.Target {
		sig := scored(0).Signature()
		sig.Inputs[0].Shape, sig.Inputs[0].Features = []int64{-1, int64(width)}, []string{"distance", "origin", "hour"}[:width]
		return splitTarget(2, fake.New(sig, f))
	}
	sum := func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		d := in[0].Data.([]float32)
		return []fairlead.Tensor{{Name: "p", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{d[0] + d[1] + d[2]}}}, nil
	}
	table, split := divided(t, splitTarget(1, scored(0.25)), other(3, sum), 1)
	s := serving(t, table, serve.Options{})
	row := []float32{1, 2, 4}
	read := func(target *route.Target) (serve.Input, error) { // as a transport reads rows by name
		w := target.Signature.Inputs[0].Width()
		return serve.Input{RoutingKey: "a", Tensors: []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{1, int64(w)}, Data: row[:w]}}}, nil
	}
	resp, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Decode: read})
	if err != nil || resp.Outputs[0].Data.([]float32)[0] != 7 {
		t.Errorf("%+v, %v", resp, err)
	}
	tensors := func(*route.Target) (serve.Input, error) { return keyed("a"), nil } // two columns, whoever answers
	resp, err = s.Predict(t.Context(), serve.Request{Deployment: "m", Decode: tensors})
	if err != nil || resp.Target.Version != 1 {
		t.Errorf("%+v, %v", resp, err)
	}
	if n := split.Tallies()["canary"].Total(); n.Requests != 2 || n.Errors != 1 {
		t.Errorf("%+v", n)
	}
}

// TestArmsDoNotShareCachedAnswers: equal requests, one cache, two versions.
func TestArmsDoNotShareCachedAnswers(t *testing.T) {
	slow := func(p float32) *fake.Session {
		return scoring(func(context.Context) (float32, error) { time.Sleep(time.Millisecond); return p, nil })
	}
	live, canary := splitTarget(1, slow(0.25)), splitTarget(2, slow(0.75))
	for _, target := range []*route.Target{live, canary} {
		target.Settings.CacheTTL, target.Settings.Cost = time.Hour, route.Cost{Fixed: time.Millisecond}
	}
	table, split := divided(t, live, canary, 0.5)
	answers := cache.New(cache.Options{Bytes: 1 << 20})
	defer func() {
		if err := answers.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	s := serving(t, table, serve.Options{Cache: answers})
	for range 3 {
		for arm, want := range []float32{0.75, 0.25} {
			if got := ask(t, s, keyed(keyOf(split, arm))).Outputs[0].Data.([]float32)[0]; got != want {
				t.Errorf("arm %d answered %v, want %v", arm, got, want)
			}
		}
	}
	for name, tally := range split.Tallies() {
		if n := tally.Total(); n.Requests != 3 || n.Scored != 3 || tally.Cached != 2 {
			t.Errorf("%s: %+v, %d cached", name, n, tally.Cached)
		}
	}
}
