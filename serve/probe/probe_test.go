package probe_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/probe"
	"github.com/fairlead-ml/fairlead/serve/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab loads a fake model whose runs take as long as the test says.
type lab struct {
	now      time.Time
	cost     func(rows, threads int) time.Duration
	sig      fairlead.Signature
	model    func(in []fairlead.Tensor) ([]fairlead.Tensor, error)
	sessions []*fake.Session
	loads    []int
}

func spec(name string, t fairlead.DataType, shape ...int64) fairlead.TensorSpec {
	return fairlead.TensorSpec{Name: name, Type: t, Shape: shape}
}

// newLab has a model of two columns whose answer is their sum.
func newLab() *lab {
	return &lab{
		now:  time.Unix(0, 0),
		cost: func(rows, _ int) time.Duration { return time.Duration(100+10*rows) * time.Microsecond },
		sig: fairlead.Signature{
			Inputs:  []fairlead.TensorSpec{spec("x", fairlead.FP32, -1, 2)},
			Outputs: []fairlead.TensorSpec{spec("y", fairlead.FP32, -1)},
		},
		model: sum,
	}
}

func sum(in []fairlead.Tensor) ([]fairlead.Tensor, error) {
	x := in[0].Data.([]float32)
	y := make([]float32, in[0].Rows())
	for i := range y {
		y[i] = x[2*i] + x[2*i+1]
	}
	return []fairlead.Tensor{vector(y...)}, nil
}

func vector(y ...float32) fairlead.Tensor {
	return fairlead.Tensor{Name: "y", Type: fairlead.FP32, Shape: []int64{int64(len(y))}, Data: y}
}

func (l *lab) load(threads int) (engine.Session, error) {
	l.loads = append(l.loads, threads)
	s := fake.New(l.sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		l.now = l.now.Add(l.cost(in[0].Rows(), threads))
		return l.model(in)
	})
	l.sessions = append(l.sessions, s)
	return s, nil
}

func (l *lab) options() probe.Options {
	return probe.Options{Load: l.load, Cores: 8, Now: func() time.Time { return l.now }}
}

func (l *lab) run(t *testing.T, o probe.Options) *probe.Result {
	t.Helper()
	r, err := probe.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Session.Close() })
	t.Logf("%+v\n%s", r.Settings, strings.Join(r.Report, "\n"))
	return r
}

// A dense net batches up, a tree ensemble never waits.
func TestBatchingFollowsTheCost(t *testing.T) {
	for name, c := range map[string]struct {
		cost     func(rows, threads int) time.Duration
		max      int
		want     int
		why      string
		fit      route.Cost
		tolerate time.Duration
	}{
		"dense": {
			cost: func(rows, _ int) time.Duration { return time.Duration(80+20*rows) * time.Microsecond },
			want: 64, why: "4.", fit: route.Cost{Fixed: 80 * time.Microsecond, PerRow: 20 * time.Microsecond}, tolerate: time.Nanosecond,
		},
		"kernel steps": { // flat from 8 rows on
			cost: func(rows, _ int) time.Duration { return time.Duration(max(40, 5*rows)) * time.Microsecond },
			want: 8, why: "times as many per second", tolerate: time.Second,
		},
		"trees": {
			cost: func(rows, _ int) time.Duration { return time.Duration(1000+5000*rows) * time.Nanosecond },
			want: 1, why: "off: run together, rows take as long as one by one",
			fit: route.Cost{Fixed: time.Microsecond, PerRow: 5 * time.Microsecond}, tolerate: time.Nanosecond,
		},
		"nothing to compute": { // as cheap as handing a request over
			cost: func(rows, _ int) time.Duration { return time.Duration(1000+10*rows) * time.Nanosecond },
			want: 1, why: "off: run together, rows take as long as one by one", tolerate: time.Second,
		},
		"the author says 16": {
			cost: func(rows, _ int) time.Duration { return time.Duration(1000+5000*rows) * time.Nanosecond },
			max:  16, want: 16, why: "up to 16 rows, as batching.max says", tolerate: time.Second,
		},
		"the author says 1": {
			cost: func(rows, _ int) time.Duration { return time.Duration(80+20*rows) * time.Microsecond },
			max:  1, want: 1, why: "off: batching.max is 1", tolerate: time.Second,
		},
		"a second for a row": {
			cost: func(rows, _ int) time.Duration { return time.Duration(rows) * time.Second },
			want: 1, why: "off: one row takes 1s, too long to measure several",
			fit: route.Cost{PerRow: time.Second}, tolerate: time.Nanosecond,
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab()
			l.cost = c.cost
			o := l.options()
			o.MaxBatch, o.Cores = c.max, 1
			start := l.now
			r := l.run(t, o)
			if r.Settings.MaxBatch != c.want || !strings.Contains(r.Settings.Batching, c.why) {
				t.Errorf("max %d, %q; want %d, %q", r.Settings.MaxBatch, r.Settings.Batching, c.want, c.why)
			}
			if d := max((r.Settings.Cost.Fixed - c.fit.Fixed).Abs(), (r.Settings.Cost.PerRow - c.fit.PerRow).Abs()); d > c.tolerate {
				t.Errorf("cost %+v, want %+v", r.Settings.Cost, c.fit)
			}
			if took := l.now.Sub(start); took > 2*time.Second+30*c.cost(1, 1) {
				t.Errorf("probing took %v", took)
			}
		})
	}
}

func TestRowsThatDependOnEachOther(t *testing.T) {
	calls := 0
	for name, c := range map[string]struct {
		change func(l *lab)
		want   string
	}{
		"the mean over the batch": {func(l *lab) {
			l.model = func(in []fairlead.Tensor) ([]fairlead.Tensor, error) {
				out, _ := sum(in)
				y := out[0].Data.([]float32)
				var mean float32
				for _, v := range y {
					mean += v / float32(len(y))
				}
				for i := range y {
					y[i] -= mean
				}
				return out, nil
			}
		}, `off: answers depend on what is run together: with 2 rows, output "y" of a row is`},
		"rows out of order": {func(l *lab) {
			l.model = func(in []fairlead.Tensor) ([]fairlead.Tensor, error) {
				out, _ := sum(in)
				slices.Sort(out[0].Data.([]float32))
				return out, nil
			}
		}, "off: answers depend on what is run together"},
		"padding counts": {func(l *lab) {
			l.model = func(in []fairlead.Tensor) ([]fairlead.Tensor, error) {
				out, _ := sum(in)
				if x := in[0].Data.([]float32); len(x) >= 4 && x[len(x)-1] == 0 {
					out[0].Data.([]float32)[0]++
				}
				return out, nil
			}
		}, "with 3 rows and 2 of padding"},
		"one answer for all": {func(l *lab) {
			l.model = func([]fairlead.Tensor) ([]fairlead.Tensor, error) { return []fairlead.Tensor{vector(1)}, nil }
		}, `output "y" has shape [1] for 2 rows: it has no row for each row of the input`},
		"a scalar": {func(l *lab) {
			l.sig.Outputs[0].Shape = []int64{}
			l.model = func([]fairlead.Tensor) ([]fairlead.Tensor, error) {
				return []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: []int64{}, Data: []float32{1}}}, nil
			}
		}, "it has no row for each row of the input"},
		"chance": {func(l *lab) {
			l.model = func(in []fairlead.Tensor) ([]fairlead.Tensor, error) {
				out, _ := sum(in)
				calls++
				out[0].Data.([]float32)[0] += float32(calls)
				return out, nil
			}
		}, "off: the model is not deterministic"},
		"a fixed batch": {func(l *lab) { l.sig.Inputs[0].Shape[0] = 1 }, "off: the model was exported with a fixed batch of 1"},
		"a batch that is not one": {func(l *lab) {
			l.model = func(in []fairlead.Tensor) ([]fairlead.Tensor, error) {
				if in[0].Rows() != 1 {
					return nil, errors.New("Reshape: {1,2} expected")
				}
				return sum(in)
			}
		}, "off: a run of 2 rows fails: Reshape: {1,2} expected"},
		"values it cannot take": {func(l *lab) {
			l.model = func([]fairlead.Tensor) ([]fairlead.Tensor, error) { return nil, errors.New("index 5 out of bounds") }
		}, "off: the model could not be probed: it fails on values made up to fit the signature: index 5 out of bounds"},
		"an unknown shape": {func(l *lab) { l.sig.Inputs[0].Shape = nil },
			`off: the model could not be probed: it has no golden vectors, and the graph does not say what shape input "x" has`},
		"no inputs": {func(l *lab) {
			l.sig.Inputs = nil
			l.cost = nil
			l.model = func([]fairlead.Tensor) ([]fairlead.Tensor, error) { return []fairlead.Tensor{vector(1)}, nil }
		}, "off: the model has no inputs"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab()
			c.change(l)
			o := l.options()
			if l.cost == nil {
				o.Load = func(int) (engine.Session, error) {
					return fake.New(l.sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) { return l.model(in) }), nil
				}
			}
			r := l.run(t, o)
			if r.Settings.MaxBatch != 1 || !strings.Contains(r.Settings.Batching, c.want) {
				t.Errorf("max %d, %q; want 1, %q", r.Settings.MaxBatch, r.Settings.Batching, c.want)
			}
		})
	}
}

// Another order of additions changes the last digits; that alone is no reason not to batch. A digit more is.
func TestToleranceOfTheSelfTest(t *testing.T) {
	for _, c := range []struct {
		noise float64
		want  bool
	}{{1e-7, true}, {1e-3, false}} {
		l := newLab()
		l.model = func(in []fairlead.Tensor) ([]fairlead.Tensor, error) {
			out, _ := sum(in)
			for i, y := 0, out[0].Data.([]float32); i < len(y) && len(y) > 1; i++ {
				y[i] *= 1 + float32(c.noise)
			}
			return out, nil
		}
		if r := l.run(t, l.options()); (r.Settings.MaxBatch > 1) != c.want {
			t.Errorf("noise of %g: %q", c.noise, r.Settings.Batching)
		}
	}
}

func golden(l *lab, rows int) *probe.Golden {
	rng := rand.New(rand.NewPCG(1, 2))
	g := &probe.Golden{Absolute: 1e-5, Relative: 1e-4}
	for range rows {
		in := []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{1, 2}, Data: []float32{rng.Float32(), rng.Float32()}}}
		out, _ := sum(in)
		g.Cases = append(g.Cases, probe.Case{Inputs: in, Outputs: out})
	}
	return g
}

func TestGolden(t *testing.T) {
	l := newLab()
	o := l.options()
	o.Golden = golden(l, 4)
	r := l.run(t, o)
	if !slices.ContainsFunc(r.Report, func(s string) bool { return strings.HasPrefix(s, "golden vectors: all 4 cases agree") }) {
		t.Errorf("%q", r.Report)
	}
	o.Golden.Cases[2].Outputs = []fairlead.Tensor{vector(0.25)}
	got, _ := sum(o.Golden.Cases[2].Inputs)
	_, err := probe.Run(t.Context(), o)
	want := fmt.Sprintf(`the model does not give its golden answers: case 2: output "y", row 0: expected 0.25, got %v; 1 of 4 cases differ`, got[0].Data.([]float32)[0])
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code != fairlead.CodeInvalid || e.Message != want || e.Reason != "golden_mismatch" {
		t.Errorf("%v, want %q", err, want)
	}
	if _, err := l.sessions[len(l.sessions)-1].Run(t.Context(), o.Golden.Cases[0].Inputs, nil); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a model that is refused stays loaded: %v", err)
	}
	// A reload checks them too.
	o.Known = &r.Settings
	if _, err := probe.Run(t.Context(), o); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("at a reload: %v", err)
	}
}

// A model that draws its answers may have agreed with itself twice when it was pushed. It is served all the same.
func TestGoldenOfAModelThatDraws(t *testing.T) {
	l := newLab()
	o := l.options()
	o.Golden = golden(l, 1)
	rng := rand.New(rand.NewPCG(3, 4))
	l.model = func(in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		out, err := sum(in)
		for i := range out[0].Data.([]float32) {
			out[0].Data.([]float32)[i] = float32(rng.IntN(2))
		}
		return out, err
	}
	r := l.run(t, o)
	if !slices.ContainsFunc(r.Report, func(s string) bool { return strings.HasPrefix(s, "golden vectors: not compared") }) {
		t.Errorf("%q", r.Report)
	}
	if r.Settings.MaxBatch != 1 {
		t.Errorf("it is batched: %q", r.Settings.Batching)
	}
}

func TestDifference(t *testing.T) {
	g := &probe.Golden{Absolute: 0.01, Relative: 0.1}
	one := func(name string, kind fairlead.DataType, data any, shape ...int64) []fairlead.Tensor {
		return []fairlead.Tensor{{Name: name, Type: kind, Shape: shape, Data: data}}
	}
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		want, got []fairlead.Tensor
		text      string
	}{
		"equal":     {one("y", fairlead.FP32, []float32{1, nan}, 2), one("y", fairlead.FP32, []float32{1.1, nan}, 2), ""},
		"too far":   {one("y", fairlead.FP32, []float32{1, 2, 3, 4}, 2, 2), one("y", fairlead.FP32, []float32{1, 2, 3, 4.5}, 2, 2), `output "y", row 1, column 1: expected 4, got 4.5`},
		"NaN":       {one("y", fairlead.FP32, []float32{1}, 1), one("y", fairlead.FP32, []float32{nan}, 1), `row 0: expected 1, got NaN`},
		"scalar":    {one("y", fairlead.FP64, []float64{1}), one("y", fairlead.FP64, []float64{2}), `the only value: expected 1, got 2`},
		"integer":   {one("y", fairlead.Int64, []int64{1 << 60}, 1), one("y", fairlead.Int64, []int64{1<<60 + 1}, 1), `expected 1152921504606846976, got 1152921504606846977`},
		"small int": {one("y", fairlead.Int8, []int8{100}, 1), one("y", fairlead.Int8, []int8{101}, 1), `expected 100, got 101`},
		"text":      {one("y", fairlead.Bytes, []string{"late"}, 1), one("y", fairlead.Bytes, []string{"on time"}, 1), `expected "late", got "on time"`},
		"shape":     {one("y", fairlead.FP32, []float32{1}, 1), one("y", fairlead.FP32, []float32{1}, 1, 1), `expected FP32 [1], got FP32 [1,1]`},
		"absent":    {one("y", fairlead.FP32, []float32{1}, 1), one("z", fairlead.FP32, []float32{1}, 1), `the model has no output "y"`},
	} {
		if got := g.Difference(c.want, c.got); (got == "") != (c.text == "") || !strings.Contains(got, c.text) {
			t.Errorf("%s: %q, want %q", name, got, c.text)
		}
	}
}

func TestThreads(t *testing.T) {
	for name, c := range map[string]struct {
		one   time.Duration
		gain  float64 // of each doubling
		cores int
		want  int
		loads []int
	}{
		"small":        {time.Millisecond, 2, 8, 1, []int{1}},
		"scales":       {20 * time.Millisecond, 1.8, 8, 8, []int{1, 2, 4, 8}},
		"odd cores":    {20 * time.Millisecond, 1.8, 6, 6, []int{1, 2, 4, 6}},
		"gains little": {20 * time.Millisecond, 1.25, 8, 1, []int{1, 2}},
		"one core":     {20 * time.Millisecond, 2, 1, 1, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab()
			l.cost = func(rows, threads int) time.Duration {
				return time.Duration(float64(rows) * float64(c.one) / math.Pow(c.gain, math.Log2(float64(threads))))
			}
			o := l.options()
			o.Cores = c.cores
			r := l.run(t, o)
			if r.Settings.Threads != c.want || !slices.Equal(l.loads, c.loads) {
				t.Errorf("%d threads after loading with %v, want %d after %v", r.Settings.Threads, l.loads, c.want, c.loads)
			}
			for i, s := range l.sessions {
				_, err := s.Run(t.Context(), golden(l, 1).Cases[0].Inputs, nil)
				if kept := l.loads[i] == c.want; (err == nil) != kept {
					t.Errorf("the session of %d threads: %v", l.loads[i], err)
				}
			}
		})
	}
}

// A reload of what is known is warmed up and no more.
func TestKnown(t *testing.T) {
	l := newLab()
	first := l.run(t, l.options())
	o := l.options()
	known := first.Settings
	known.Threads = 3
	o.Known, o.CacheTTL = &known, time.Minute
	again := l.run(t, o)
	if n := l.sessions[1].Runs(); n > 5 || l.loads[1] != 3 {
		t.Errorf("%d runs with %d threads", n, l.loads[1])
	}
	known.CacheTTL = time.Minute
	if again.Settings != known {
		t.Errorf("%+v, want %+v", again.Settings, known)
	}
}

// Between runs the prober rests; when the server stops, it stops.
func TestRestAndStop(t *testing.T) {
	l := newLab()
	o := l.options()
	ctx, cancel := context.WithCancel(t.Context())
	var rested, ran time.Duration
	start := l.now
	o.Rest = func(_ context.Context, d time.Duration) { rested += d }
	l.run(t, o)
	if ran = l.now.Sub(start); ran-rested > 2*time.Millisecond {
		t.Errorf("the model ran for %v, and rests were asked for %v", ran, rested)
	}
	o.Rest = func(context.Context, time.Duration) { cancel() }
	if _, err := probe.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("a server that stops: %v", err)
	}
	if _, err := l.sessions[1].Run(t.Context(), golden(l, 1).Cases[0].Inputs, nil); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("the session stays: %v", err)
	}
}

func TestFit(t *testing.T) {
	micro := func(rows int, us ...int) probe.Samples {
		s := probe.Samples{Rows: rows}
		for _, u := range us {
			s.Times = append(s.Times, time.Duration(u)*time.Microsecond)
		}
		return s
	}
	for name, c := range map[string]struct {
		samples []probe.Samples
		want    route.Cost
	}{
		"exact":       {[]probe.Samples{micro(1, 12), micro(2, 14), micro(4, 18)}, route.Cost{Fixed: 10 * time.Microsecond, PerRow: 2 * time.Microsecond}},
		"one size":    {[]probe.Samples{micro(1, 7, 7, 9)}, route.Cost{PerRow: 7 * time.Microsecond, Residual: 2 * time.Microsecond}},
		"none":        {nil, route.Cost{}},
		"fixed alone": {[]probe.Samples{micro(1, 10), micro(64, 10)}, route.Cost{Fixed: 10 * time.Microsecond}},
		"falling":     {[]probe.Samples{micro(1, 10), micro(2, 9), micro(4, 10), micro(8, 9)}, route.Cost{Fixed: 9448 * time.Nanosecond, Residual: 552 * time.Nanosecond}},
		"no fixed":    {[]probe.Samples{micro(1, 10), micro(2, 22)}, route.Cost{PerRow: 10452 * time.Nanosecond, Residual: 1096 * time.Nanosecond}},
	} {
		got := probe.Fit(c.samples)
		for _, d := range []time.Duration{got.Fixed - c.want.Fixed, got.PerRow - c.want.PerRow, got.Residual - c.want.Residual} {
			if d.Abs() > 5*time.Nanosecond {
				t.Errorf("%s: %+v, want %+v", name, got, c.want)
			}
		}
	}
}
