package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/cache"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func floats(name string, data ...float32) fairlead.Tensor {
	return fairlead.Tensor{Name: name, Type: fairlead.FP32, Shape: []int64{1, int64(len(data))}, Data: data}
}

func open(t testing.TB, o cache.Options) *cache.Cache {
	t.Helper()
	c := cache.New(o)
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

var kept = cache.Entry{Model: "m", TTL: time.Hour}

// answerOf is a model that answers with one tensor.
func answerOf(data ...float32) func(context.Context) ([]fairlead.Tensor, error) {
	return func(context.Context) ([]fairlead.Tensor, error) { return []fairlead.Tensor{floats("y", data...)}, nil }
}

// TestNoStaleAnswers swaps versions a thousand times under a million requests: each gets what the version that it was
// routed to says about its own inputs.
func TestNoStaleAnswers(t *testing.T) {
	const callers, swaps, versions, inputs = 8, 1000, 5, 400
	requests := 1_000_000 / callers
	if testing.Short() {
		requests /= 20
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := open(t, cache.Options{Bytes: 200 << 10}) // too small for all, so answers are evicted too
	digest := func(v int) fairlead.Digest { return fairlead.Digest(fmt.Sprintf("sha256:%064d", v)) }
	var live atomic.Int64
	var swapped, hits atomic.Int64
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(caller)))
			for i := range requests {
				if i%(requests*callers/swaps) == requests*callers/swaps/2 {
					live.Store(int64(r.IntN(versions))) // back to one that served before, too: its answers are still there
					swapped.Add(1)
				}
				v, x := int(live.Load()), float32(min(r.ExpFloat64()/8, 1)*(inputs-1))
				x = float32(int(x))
				in := []fairlead.Tensor{floats("x", x, 2*x)}
				out, hit, err := c.Do(t.Context(), cache.KeyOf(digest(v), in), kept, answerOf(float32(v), x))
				if err != nil {
					t.Error(err)
					return
				}
				if y := out[0].Data.([]float32); y[0] != float32(v) || y[1] != x {
					t.Errorf("seed %d, caller %d, request %d: version %d about %v says %v (hit %v)", seed, caller, i, v, x, y, hit)
					return
				}
				if hit {
					hits.Add(1)
				}
			}
		})
	}
	wg.Wait()
	s := c.Stats()["m"]
	t.Logf("%d swaps, %d hits of %d, %+v", swapped.Load(), hits.Load(), callers*requests, s)
	if hits.Load() < int64(callers*requests/4) || int64(s.Hits+s.Shared) != hits.Load() || s.Hits+s.Shared+s.Misses != uint64(callers*requests) {
		t.Errorf("%d hits of %d, counted %+v", hits.Load(), callers*requests, s)
	}
	if s.Bytes < 0 || s.Bytes > 400<<10 || s.Entries < 1 || s.Evicted == 0 {
		t.Errorf("it holds %+v", s)
	}
}

func TestKeyTellsRequestsApart(t *testing.T) {
	one := []fairlead.Tensor{floats("a", 1, 2), {Name: "b", Type: fairlead.Bytes, Shape: []int64{2}, Data: []string{"x", "yz"}}}
	long := make([]float32, 1000)
	longer := slices.Clone(long)
	longer[999] = 1
	different := map[string][]fairlead.Tensor{
		"as it is":            one,
		"nothing":             nil,
		"one input":           one[:1],
		"another value":       {floats("a", 1, 3), one[1]},
		"negative zero":       {floats("a", float32(math.Copysign(0, -1)))},
		"zero":                {floats("a", 0)},
		"another name":        {floats("c", 1, 2), one[1]},
		"names swapped":       {{Name: "b", Type: fairlead.FP32, Shape: []int64{1, 2}, Data: []float32{1, 2}}, {Name: "a", Type: fairlead.Bytes, Shape: []int64{2}, Data: []string{"x", "yz"}}},
		"another shape":       {{Name: "a", Type: fairlead.FP32, Shape: []int64{2, 1}, Data: []float32{1, 2}}, one[1]},
		"same bits, integers": {{Name: "a", Type: fairlead.Int32, Shape: []int64{1, 2}, Data: []int32{0x3f800000, 0x40000000}}, one[1]},
		"strings cut apart":   {one[0], {Name: "b", Type: fairlead.Bytes, Shape: []int64{2}, Data: []string{"xy", "z"}}},
		"FP16":                {{Name: "h", Type: fairlead.FP16, Shape: []int64{1}, Data: []uint16{1}}},
		"BF16":                {{Name: "h", Type: fairlead.BF16, Shape: []int64{1}, Data: []uint16{1}}},
		"UINT16":              {{Name: "h", Type: fairlead.Uint16, Shape: []int64{1}, Data: []uint16{1}}},
		"long":                {floats("a", long...)},
		"long, last differs":  {floats("a", longer...)},
	}
	seen := map[cache.Key]string{}
	for name, in := range different {
		for _, d := range []fairlead.Digest{"sha256:1", "sha256:2"} {
			k := cache.KeyOf(d, in)
			if other, ok := seen[k]; ok {
				t.Errorf("%s of %s has the key of %s", name, d, other)
			}
			seen[k] = name + " of " + string(d)
			if k != cache.KeyOf(d, in) {
				t.Errorf("%s has two keys", name)
			}
		}
	}
	if cache.KeyOf("d", one) != cache.KeyOf("d", []fairlead.Tensor{one[1], one[0]}) {
		t.Error("the order of the inputs matters")
	}
	for _, typ := range []fairlead.DataType{fairlead.Bool, fairlead.Int8, fairlead.Int16, fairlead.Int32, fairlead.Int64, fairlead.Uint8,
		fairlead.Uint16, fairlead.Uint32, fairlead.Uint64, fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64, fairlead.Bytes} {
		zero := fairlead.Tensor{Name: "x", Type: typ, Shape: []int64{300}, Data: fairlead.MakeData(typ, 300)}
		set := fairlead.Tensor{Name: "x", Type: typ, Shape: []int64{300}, Data: fairlead.MakeData(typ, 300)}
		setLast(&set)
		if cache.KeyOf("d", []fairlead.Tensor{zero}) == cache.KeyOf("d", []fairlead.Tensor{set}) {
			t.Errorf("%s: the last element is not in the key", typ)
		}
	}
}

func setLast(x *fairlead.Tensor) {
	switch d := x.Data.(type) {
	case []bool:
		d[299] = true
	case []int8:
		d[299] = 1
	case []int16:
		d[299] = 1
	case []int32:
		d[299] = 1
	case []int64:
		d[299] = 1
	case []uint8:
		d[299] = 1
	case []uint16:
		d[299] = 1
	case []uint32:
		d[299] = 1
	case []uint64:
		d[299] = 1
	case []float32:
		d[299] = 1
	case []float64:
		d[299] = 1
	case []string:
		d[299] = "1"
	}
}

func TestTTL(t *testing.T) {
	var now atomic.Int64 // seconds; the cache's own goroutines look too
	c := open(t, cache.Options{Now: func() time.Time { return time.Unix(1_000_000_000+now.Load(), 0) }})
	key := cache.KeyOf("d", []fairlead.Tensor{floats("x", 1)})
	e := cache.Entry{Model: "m", TTL: 10 * time.Second}
	var got []string
	ask := func(say float32) {
		out, hit, err := c.Do(t.Context(), key, e, answerOf(say))
		got = append(got, fmt.Sprint(out[0].Data, hit, err))
	}
	ask(1)
	now.Add(9)
	ask(2)
	now.Add(2) // a hit does not make it younger
	ask(3)
	now.Add(9)
	ask(4)
	want := []string{"[1] false <nil>", "[1] true <nil>", "[3] false <nil>", "[3] true <nil>"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAdmission(t *testing.T) {
	c := open(t, cache.Options{})
	runs := 0
	run := func(context.Context) ([]fairlead.Tensor, error) {
		runs++
		return []fairlead.Tensor{floats("y", 1)}, nil
	}
	for _, e := range []cache.Entry{{Model: "no TTL"}, {Model: "cheap", TTL: time.Hour, Cost: time.Microsecond}} {
		before := runs
		for range 3 {
			if _, hit, err := c.Do(t.Context(), cache.Key{1}, e, run); hit || err != nil {
				t.Errorf("%s: hit %v, %v", e.Model, hit, err)
			}
		}
		if runs != before+3 {
			t.Errorf("%s: %d runs, want 3", e.Model, runs-before)
		}
	}
	if s := c.Stats(); s["cheap"].Refused != 3 || s["cheap"].Entries != 0 || s["no TTL"].Refused != 0 {
		t.Errorf("%+v", s)
	}
	for _, x := range []struct {
		cost  time.Duration
		bytes int64
		want  bool
	}{{900, 400, false}, {20 * time.Microsecond, 400, true}, {20 * time.Microsecond, 1 << 20, false}, {10 * time.Millisecond, 1 << 20, true}} {
		if got := cache.Worth(x.cost, x.bytes); got != x.want {
			t.Errorf("a run of %v over %d bytes: worth %v", x.cost, x.bytes, got)
		}
	}
	if c.Admit(cache.Entry{Model: "a", TTL: 1, Cost: 20 * time.Microsecond}, 1<<20) || !c.Admit(cache.Entry{Model: "a", TTL: 1}, 1<<20) {
		t.Error("Admit does not ask Worth, or not only where the cost is known")
	}
}

func TestBudgets(t *testing.T) {
	c := open(t, cache.Options{Bytes: 1 << 20})
	fill := func(e cache.Entry, n int) {
		for i := range n {
			key := cache.KeyOf(fairlead.Digest(e.Model), []fairlead.Tensor{floats("x", float32(i))})
			if _, _, err := c.Do(t.Context(), key, e, answerOf(make([]float32, 250)...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	small := cache.Entry{Model: "small", TTL: time.Hour, Budget: 64 << 10}
	fill(small, 10)
	fill(kept, 5000) // fills the common part, and leaves the small one's alone
	if s := c.Stats()["small"]; s.Entries != 10 {
		t.Errorf("small: %+v", s)
	}
	fill(small, 1000)
	eventually(t, func() bool {
		s := c.Stats()
		return s["small"].Bytes <= 64<<10 && s["m"].Bytes <= 1<<20 && s["small"].Evicted > 900 && s["m"].Entries > 700
	}, func() string { return fmt.Sprintf("%+v", c.Stats()) })
	// A changed budget starts again, the pools of old ones go, and counters do not go back.
	before := c.Stats()["small"]
	for range 3 {
		small.Budget *= 2
		fill(small, 1)
	}
	if s := c.Stats()["small"]; s.Misses != before.Misses+3 || s.Entries != 3 {
		t.Errorf("after three changes: %+v, before %+v", s, before)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 || len(families) != 5 {
		t.Errorf("promlint of %d families: %v %v", len(families), problems, err)
	}
	c.Forget("small")
	if s, ok := c.Stats()["small"]; ok {
		t.Errorf("forgotten: %+v", s)
	}
}

// TestTwoBudgets: two versions of a deployment that are asked in turn keep their answers, each within its own budget.
func TestTwoBudgets(t *testing.T) {
	c := open(t, cache.Options{})
	ran := 0
	for range 100 {
		for _, budget := range []int64{64 << 10, 128 << 10, 0} {
			e := cache.Entry{Model: "m", TTL: time.Hour, Budget: budget}
			key := cache.KeyOf(fairlead.Digest(fmt.Sprint(budget)), []fairlead.Tensor{floats("x", 1)})
			if _, _, err := c.Do(t.Context(), key, e, func(context.Context) ([]fairlead.Tensor, error) {
				ran++
				return []fairlead.Tensor{floats("y", 1)}, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s := c.Stats()["m"]; ran != 3 || s.Misses != 3 || s.Hits != 297 || s.Entries != 3 {
		t.Errorf("%d runs, %+v", ran, s)
	}
}

func eventually(t *testing.T, ok func() bool, state func() string) {
	t.Helper()
	for range 400 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal(state())
}

// TestAnswersAreCopies: an answer that is a row of a bigger batch does not keep the batch alive, nor follow its changes.
func TestAnswersAreCopies(t *testing.T) {
	c := open(t, cache.Options{})
	batch := floats("y", 1, 2, 3, 4)
	text := fairlead.Tensor{Name: "s", Type: fairlead.Bytes, Shape: []int64{1}, Data: []string{"late"}}
	run := func(context.Context) ([]fairlead.Tensor, error) { return []fairlead.Tensor{batch, text}, nil }
	if _, _, err := c.Do(t.Context(), cache.Key{}, kept, run); err != nil {
		t.Fatal(err)
	}
	batch.Data.([]float32)[0] = 99
	batch.Shape[0] = 99
	text.Data.([]string)[0] = "early"
	out, hit, err := c.Do(t.Context(), cache.Key{}, kept, run)
	if want := []fairlead.Tensor{floats("y", 1, 2, 3, 4), {Name: "s", Type: fairlead.Bytes, Shape: []int64{1}, Data: []string{"late"}}}; !hit || err != nil || !cmp.Equal(want, out) {
		t.Errorf("%v %v %v", out, hit, err)
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	c := open(t, cache.Options{})
	broken := errors.New("broken")
	for i := range 3 {
		_, hit, err := c.Do(t.Context(), cache.Key{}, kept, func(context.Context) ([]fairlead.Tensor, error) { return nil, broken })
		if hit || !errors.Is(err, broken) {
			t.Errorf("%d: %v %v", i, hit, err)
		}
	}
	func() {
		defer func() {
			if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "a bug") || !strings.Contains(fmt.Sprint(p), "cache_test.go") {
				t.Errorf("panicked with %v", p)
			}
		}()
		_, _, _ = c.Do(t.Context(), cache.Key{}, kept, func(context.Context) ([]fairlead.Tensor, error) { panic("a bug") })
	}()
	if out, hit, err := c.Do(t.Context(), cache.Key{}, kept, answerOf(1)); hit || err != nil || len(out) != 1 {
		t.Errorf("after errors and a panic: %v %v %v", out, hit, err)
	}
}
