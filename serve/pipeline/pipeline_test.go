package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/pipeline"
	"github.com/fairlead-ml/fairlead/serve/route"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server with models that are Go functions.
type world struct {
	t        testing.TB
	router   *route.Router
	server   *serve.Server
	sessions map[string]engine.Session
	version  fairlead.Version
}

type recorded struct {
	mu    sync.Mutex
	preds []*fairlead.Prediction
}

func (r *recorded) Record(p *fairlead.Prediction) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.preds = append(r.preds, p)
}

func (r *recorded) of(deployment string) (rows []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.preds {
		for _, m := range p.Rows {
			if string(p.Deployment) == deployment {
				rows = append(rows, m.ID)
			}
		}
	}
	return rows
}

func newWorld(t testing.TB, o serve.Options, models map[string]engine.Session) *world {
	w := &world{t: t, router: &route.Router{}, sessions: models}
	o.Router = w.router
	w.server = serve.New(o)
	w.swap()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.server.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return w
}

// swap makes a new table of the sessions.
func (w *world) swap() {
	w.version++
	var ds []route.Deployment
	for name, s := range w.sessions {
		ds = append(ds, route.Deployment{Name: fairlead.Name(name), Aliases: map[string]fairlead.Version{"champion": w.version}, Live: &route.Target{
			Model: fairlead.Name(name), Version: w.version, Role: fairlead.RoleLive, Signature: s.Signature(), Session: s,
			Settings: route.Settings{MaxBatch: 8},
		}})
	}
	table, err := route.NewTable(ds)
	if err != nil {
		w.t.Fatal(err)
	}
	w.router.Swap(table)
}

func (w *world) signature(m pipeline.Model) (fairlead.Signature, error) {
	target, err := w.router.Load().Lookup(m.Name, m.Version)
	if err != nil {
		return fairlead.Signature{}, err
	}
	return target.Signature, nil
}

// make parses a definition and makes the pipeline.
func (w *world) make(text string, steps map[string]engine.Session) (*pipeline.Pipeline, error) {
	def, err := pipeline.ParseFile([]byte(text))
	if err != nil {
		return nil, err
	}
	return pipeline.New(w.t.Context(), def, pipeline.Options{
		Models: w.server, Signature: w.signature, Now: time.Now, Log: slog.New(slog.DiscardHandler).Error,
		Open: func(_ context.Context, s *pipeline.Step) (engine.Session, error) { return steps[s.Name], nil },
	})
}

// deploy makes a pipeline and puts it live beside the models.
func (w *world) deploy(text string, steps map[string]engine.Session) *pipeline.Pipeline {
	w.t.Helper()
	p, err := w.make(text, steps)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sessions[string(p.Definition().Name)] = p
	w.swap()
	w.t.Cleanup(func() {
		if err := p.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return p
}

func (w *world) predict(ctx context.Context, name string, in serve.Input) (*serve.Response, error) {
	return w.server.Predict(ctx, serve.Request{Deployment: name, Input: in})
}

// floats gives the only output's values.
func (w *world) floats(name string, in ...fairlead.Tensor) []float32 {
	w.t.Helper()
	r, err := w.predict(w.t.Context(), name, serve.Input{Tensors: in})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Outputs[0].Data.([]float32)
}

func column(name string, values ...float32) fairlead.Tensor {
	return fairlead.Tensor{Name: name, Type: fairlead.FP32, Shape: []int64{int64(len(values)), 1}, Data: values}
}

func rows(name string, width int, values ...float32) fairlead.Tensor {
	return fairlead.Tensor{Name: name, Type: fairlead.FP32, Shape: []int64{int64(len(values) / width), int64(width)}, Data: values}
}

func spec(name string, t fairlead.DataType, shape ...int64) fairlead.TensorSpec {
	return fairlead.TensorSpec{Name: name, Type: t, Shape: shape}
}

// affine computes y = a·x + b of each element.
func affine(width int, a, b float32) *fake.Session {
	sig := fairlead.Signature{
		Task:    fairlead.TaskRegression,
		Inputs:  []fairlead.TensorSpec{spec("x", fairlead.FP32, -1, int64(width))},
		Outputs: []fairlead.TensorSpec{spec("y", fairlead.FP32, -1, int64(width))},
	}
	return fake.New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		y := in[0]
		data := slices.Clone(in[0].Data.([]float32))
		for i := range data {
			data[i] = a*data[i] + b
		}
		y.Name, y.Data = "y", data
		return []fairlead.Tensor{y}, nil
	})
}

// failing always gives an error; slow waits first, or until it is told to stop.
func failing(width int) *fake.Session {
	return fake.New(affine(width, 1, 0).Signature(), func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) {
		return nil, errors.New("the weights are gone")
	})
}

func slow(width int, wait time.Duration) *fake.Session {
	quick := affine(width, 1, 0)
	return fake.New(quick.Signature(), func(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return quick.Run(context.Background(), in, nil)
	})
}

func equal(t *testing.T, got []float32, want ...float32) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestASequencePassesTensorsOn(t *testing.T) {
	rec := &recorded{}
	w := newWorld(t, serve.Options{Recorder: rec}, map[string]engine.Session{"double": affine(1, 2, 0), "plus": affine(1, 1, 10)})
	p := w.deploy(`
kind: pipeline
name: chain
steps:
  - {name: first, model: double}
  - {name: second, model: plus@champion, inputs: {x: first.y}}
outputs: {score: {from: second.y, role: score}}
`, nil)
	if sig := p.Signature(); fmt.Sprint(sig.Inputs) != fmt.Sprint(affine(1, 0, 0).Signature().Inputs) || sig.Task != fairlead.TaskRegression ||
		sig.Outputs[0].Name != "score" || sig.Outputs[0].Role != fairlead.RoleScore {
		t.Errorf("the signature is %+v", sig)
	}
	r, err := w.predict(t.Context(), "chain", serve.Input{ID: "r", Tensors: []fairlead.Tensor{column("x", 1, 2)}, Rows: []fairlead.RowMeta{{Key: "a"}, {Key: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, r.Outputs[0].Data.([]float32), 12, 14)
	for _, name := range []string{"chain", "double", "plus"} { // each step is recorded by itself, with the same rows
		if ids := rec.of(name); !slices.Equal(ids, []string{"r.0", "r.1"}) {
			t.Errorf("recorded of %s: %v", name, ids)
		}
	}
}

func TestRowsOfOneValueAreAColumnWhereAModelWantsOne(t *testing.T) {
	flat := fake.New(fairlead.Signature{
		Inputs: []fairlead.TensorSpec{spec("v", fairlead.FP32, -1)}, Outputs: []fairlead.TensorSpec{spec("v", fairlead.FP32, -1)},
	}, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) { return in, nil })
	w := newWorld(t, serve.Options{}, map[string]engine.Session{"double": affine(1, 2, 0), "flat": flat})
	w.deploy(`
name: shapes
steps:
  - {name: a, model: flat, inputs: {v: x}}
  - {name: b, model: double, inputs: {x: a}}
outputs: {y: b}
`, nil)
	equal(t, w.floats("shapes", fairlead.Tensor{Name: "x", Type: fairlead.FP32, Shape: []int64{2}, Data: []float32{1, 2}}), 2, 4)
}

func TestEnsembles(t *testing.T) {
	class := func(f func(x float32) int64) *fake.Session {
		return fake.New(fairlead.Signature{
			Inputs: []fairlead.TensorSpec{spec("x", fairlead.FP32, -1, 1)}, Outputs: []fairlead.TensorSpec{spec("class", fairlead.Int64, -1)},
		}, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
			var out []int64
			for _, x := range in[0].Data.([]float32) {
				out = append(out, f(x))
			}
			return []fairlead.Tensor{{Name: "class", Type: fairlead.Int64, Shape: []int64{int64(len(out))}, Data: out}}, nil
		})
	}
	stacker := fake.New(fairlead.Signature{
		Inputs: []fairlead.TensorSpec{spec("z", fairlead.FP32, -1, 2)}, Outputs: []fairlead.TensorSpec{spec("score", fairlead.FP32, -1, 1)},
	}, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		z := in[0].Data.([]float32)
		out := column("score")
		var data []float32
		for i := 0; i < len(z); i += 2 {
			data = append(data, 100*z[i]+z[i+1])
		}
		out.Shape, out.Data = []int64{int64(len(data)), 1}, data
		return []fairlead.Tensor{out}, nil
	})
	w := newWorld(t, serve.Options{}, map[string]engine.Session{
		"one": affine(1, 1, 0), "three": affine(1, 3, 0), "stacker": stacker,
		"big": class(func(x float32) int64 { return map[bool]int64{true: 1}[x > 5] }), "even": class(func(x float32) int64 { return int64(x) % 2 }), "seven": class(func(float32) int64 { return 7 }),
	})
	both := "steps:\n  - {name: a, model: one}\n  - {name: b, model: three}\n"
	for _, test := range []struct {
		ensemble string
		want     []float32
	}{
		{"{by: mean, of: [a.y, b.y]}", []float32{2, 4}},
		{"{by: weighted, of: [a.y, b.y], weights: [3, 1]}", []float32{1.5, 3}},
		{"{by: stacked, of: [a.y, b.y], model: stacker}", []float32{103, 206}},
	} {
		w.deploy("name: e\n"+both+"  - {name: e, ensemble: "+test.ensemble+"}\noutputs: {y: e}\n", nil)
		equal(t, w.floats("e", column("x", 1, 2)), test.want...)
	}
	votes := "steps:\n  - {name: a, model: big}\n  - {name: b, model: even}\n  - {name: c, model: seven}\n"
	for _, test := range []struct {
		ensemble string
		want     []int64
	}{
		{"{by: vote, of: [a.class, b.class, c.class]}", []int64{0, 0, 1, 1}}, // of equals the first
		{"{by: vote, of: [a.class, b.class, c.class], weights: [1, 1, 5]}", []int64{7, 7, 7, 7}},
	} {
		w.deploy("name: v\n"+votes+"  - {name: e, ensemble: "+test.ensemble+"}\noutputs: {y: e}\n", nil)
		r, err := w.predict(t.Context(), "v", serve.Input{Tensors: []fairlead.Tensor{column("x", 2, 3, 7, 6)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Outputs[0].Data.([]int64); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.ensemble, got, test.want)
		}
	}
}

const switching = `
name: switching
steps:
  - {name: look, model: same}
  - {name: small, model: double}
  - {name: large, model: plus}
  - name: pick
    switch:
      by: %s
      cases:
        - {when: '%s', use: small}
        - {use: large}
outputs: {y: pick.y}
`

func TestASwitchSendsEachRowItsWay(t *testing.T) {
	rec := &recorded{}
	double, plus := affine(1, 2, 0), affine(1, 1, 100)
	w := newWorld(t, serve.Options{Recorder: rec}, map[string]engine.Session{"same": affine(1, 1, 0), "double": double, "plus": plus})
	w.deploy(fmt.Sprintf(switching, "row", "look.y < 3.0"), nil)
	r, err := w.predict(t.Context(), "switching", serve.Input{ID: "r", Tensors: []fairlead.Tensor{column("x", 5, 1, 4, 2)}})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, r.Outputs[0].Data.([]float32), 105, 2, 104, 4)
	// Each branch saw its rows only, under their own ids.
	if got := rec.of("double"); !slices.Equal(got, []string{"r.1", "r.3"}) {
		t.Errorf("double was asked for %v", got)
	}
	if got := rec.of("plus"); !slices.Equal(got, []string{"r.0", "r.2"}) {
		t.Errorf("plus was asked for %v", got)
	}
	before := plus.Runs()
	equal(t, w.floats("switching", column("x", 1, 2)), 2, 4)
	if plus.Runs() != before {
		t.Error("a branch that nobody took was computed")
	}
}

func TestASwitchByRequest(t *testing.T) {
	for _, test := range []struct {
		when string
		in   serve.Input
		want []float32
	}{
		{`request.x.all(v, v < 3.0)`, serve.Input{Tensors: []fairlead.Tensor{column("x", 1, 2)}}, []float32{2, 4}},
		{`request.x.all(v, v < 3.0)`, serve.Input{Tensors: []fairlead.Tensor{column("x", 1, 4)}}, []float32{101, 104}},
		{`rows > 2`, serve.Input{Tensors: []fairlead.Tensor{column("x", 1, 2)}}, []float32{101, 102}},
		{`"country" in meta.tags && meta.tags["country"] == "DE"`, serve.Input{Tensors: []fairlead.Tensor{column("x", 1)}, Default: fairlead.RowMeta{Tags: map[string]string{"country": "DE"}}}, []float32{2}},
		{`meta.key.startsWith("vip")`, serve.Input{Tensors: []fairlead.Tensor{column("x", 1)}, Default: fairlead.RowMeta{Key: "vip-7"}}, []float32{2}},
		{`look.y.exists(v, v == 4.0)`, serve.Input{Tensors: []fairlead.Tensor{column("x", 1, 4)}}, []float32{2, 8}},
	} {
		w := newWorld(t, serve.Options{}, map[string]engine.Session{"same": affine(1, 1, 0), "double": affine(1, 2, 0), "plus": affine(1, 1, 100)})
		text := fmt.Sprintf(switching, "request", test.when)
		if !strings.Contains(test.when, "look") {
			text = strings.Replace(text, "  - {name: look, model: same}\n", "", 1)
		}
		w.deploy(text, nil)
		r, err := w.predict(t.Context(), "switching", test.in)
		if err != nil {
			t.Fatalf("%s: %v", test.when, err)
		}
		equal(t, r.Outputs[0].Data.([]float32), test.want...)
	}
}

func TestAFallbackAnswersForAStepThatFailsOrIsLate(t *testing.T) {
	hung := slow(1, time.Hour)
	w := newWorld(t, serve.Options{}, map[string]engine.Session{"broken": failing(1), "hung": hung, "backup": affine(1, 1, 1)})
	for _, test := range []struct{ model, note string }{
		{"broken", "step best: fallback second answered (the weights are gone)"},
		{"hung", "step best: fallback second answered (it took longer than the 20ms it has)"},
	} {
		p := w.deploy(`
name: guarded
steps:
  - {name: best, model: `+test.model+`, within: 20ms, fallback: second}
  - {name: second, model: backup}
outputs: {y: best.y}
`, nil)
		began := time.Now()
		r, err := w.predict(t.Context(), "guarded", serve.Input{Tensors: []fairlead.Tensor{column("x", 1)}})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, r.Outputs[0].Data.([]float32), 2)
		if r.Note != test.note {
			t.Errorf("the note is %q, want %q", r.Note, test.note)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the answer took %v", took)
		}
		for _, s := range p.State() {
			if s.Name == "best" && (s.Fallbacks != 1 || s.Failed+s.Late != 1 || s.Runs != 1) {
				t.Errorf("%+v", s)
			}
		}
	}
}

func TestErrorsNameTheStep(t *testing.T) {
	w := newWorld(t, serve.Options{}, map[string]engine.Session{
		"broken": failing(1), "hung": slow(1, time.Hour),
		"panics": fake.New(affine(1, 1, 0).Signature(), func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) { panic("boom") }),
	})
	text := func(model, more string) string {
		return "name: p\nsteps:\n  - {name: best, model: " + model + more + "}\noutputs: {y: best.y}\n"
	}
	in := serve.Input{Tensors: []fairlead.Tensor{column("x", 1)}}
	w.deploy(text("broken", ""), nil)
	if _, err := w.predict(t.Context(), "p", in); err == nil || !strings.Contains(err.Error(), "step best: the weights are gone") {
		t.Errorf("%v", err)
	}
	w.deploy(text("panics", ""), nil)
	if _, err := w.predict(t.Context(), "p", in); fairlead.CodeOf(err) != fairlead.CodeInternal || !strings.Contains(err.Error(), "step best: ") {
		t.Errorf("%v", err)
	}
	w.deploy(text("hung", ", within: 10ms"), nil)
	if _, err := w.predict(t.Context(), "p", in); fairlead.CodeOf(err) != fairlead.CodeDeadline || !strings.Contains(err.Error(), "step best: it took longer than the 10ms") {
		t.Errorf("%v", err)
	}
	w.deploy(text("hung", ""), nil)
	late := in
	late.Deadline = 20 * time.Millisecond
	if _, err := w.predict(t.Context(), "p", late); fairlead.CodeOf(err) != fairlead.CodeDeadline || !strings.Contains(err.Error(), "it waited for best") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := w.predict(ctx, "p", in); fairlead.CodeOf(err) != fairlead.CodeCanceled {
		t.Errorf("%v", err)
	}
	delete(w.sessions, "hung")
	w.swap()
	if _, err := w.predict(t.Context(), "p", in); fairlead.CodeOf(err) != fairlead.CodeUnavailable || !strings.Contains(err.Error(), "step best: ") {
		t.Errorf("a step's model that is gone: %v", err)
	}
}

func TestASwapThatBreaksThePromiseIsSaid(t *testing.T) {
	w := newWorld(t, serve.Options{}, map[string]engine.Session{"m": affine(1, 1, 0)})
	w.deploy("name: p\nsteps:\n  - {name: s, model: m}\noutputs: {y: s.y}\n", nil)
	other := affine(1, 1, 0).Signature()
	other.Outputs = []fairlead.TensorSpec{spec("y", fairlead.Int64, -1, 1)}
	w.sessions["m"] = fake.New(other, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		return []fairlead.Tensor{{Name: "y", Type: fairlead.Int64, Shape: in[0].Shape, Data: make([]int64, in[0].Len())}}, nil
	})
	w.swap()
	_, err := w.predict(t.Context(), "p", serve.Input{Tensors: []fairlead.Tensor{column("x", 1)}})
	if fairlead.CodeOf(err) != fairlead.CodeUnavailable || !strings.Contains(err.Error(), `gave "y" as INT64 [1,1]; when the pipeline was made it was FP32 [?,1]`) {
		t.Errorf("%v", err)
	}
}

// TestStepsNeedNoCoreOfTheirPipeline asks with one core: were it held while steps wait for it, nothing would ever answer.
func TestStepsNeedNoCoreOfTheirPipeline(t *testing.T) {
	w := newWorld(t, serve.Options{Runs: 1, Queue: 1000}, map[string]engine.Session{"one": affine(1, 1, 0), "three": affine(1, 3, 0)})
	w.deploy("name: inner\nsteps:\n  - {name: a, model: one}\n  - {name: b, model: three}\n  - {name: e, ensemble: {by: mean, of: [a.y, b.y]}}\noutputs: {y: e.y}\n", nil)
	w.deploy("name: outer\nsteps:\n  - {name: a, model: inner}\n  - {name: b, model: one}\n  - {name: e, ensemble: {by: mean, of: [a.y, b.y]}}\noutputs: {y: e.y}\n", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for caller := range 16 {
		wg.Go(func() {
			for i := range 50 {
				x := float32(caller*100 + i)
				r, err := w.predict(ctx, "outer", serve.Input{Tensors: []fairlead.Tensor{column("x", x)}})
				if err != nil {
					t.Error(err)
					return
				}
				if got := r.Outputs[0].Data.([]float32); got[0] != 1.5*x {
					t.Errorf("%v of %v", got, x)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestSwapsOfAStepsModelFailNobody swaps the model of a step, and the pipeline, while both are asked.
func TestSwapsOfAStepsModelFailNobody(t *testing.T) {
	w := newWorld(t, serve.Options{Queue: 1000}, map[string]engine.Session{"m": affine(1, 2, 0), "n": affine(1, 1, 1)})
	text := "name: p\nsteps:\n  - {name: a, model: m}\n  - {name: b, model: n, inputs: {x: a.y}}\noutputs: {y: b.y}\n"
	first := w.deploy(text, nil)
	var stop atomic.Bool
	var wg, swapper sync.WaitGroup
	var asked atomic.Int64
	for range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				r, err := w.predict(t.Context(), "p", serve.Input{Tensors: []fairlead.Tensor{column("x", float32(i))}})
				if err != nil {
					t.Error(err)
					return
				}
				if got := r.Outputs[0].Data.([]float32)[0]; got != 2*float32(i)+1 {
					t.Errorf("%v of %d", got, i)
					return
				}
				asked.Add(1)
			}
		})
	}
	swaps := 0
	swapper.Go(func() {
		pipe := first
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && (swaps < 10 || asked.Load() < 200); swaps++ {
			oldModel := w.sessions["m"]
			w.sessions["m"] = affine(1, 2, 0)
			w.swap()
			if err := oldModel.Close(); err != nil {
				t.Error(err)
			}
			next, err := w.make(text, nil)
			if err != nil {
				t.Error(err)
				break
			}
			w.sessions["p"] = next
			w.swap()
			if err := pipe.Close(); err != nil {
				t.Error(err)
			}
			pipe = next
			time.Sleep(time.Millisecond)
		}
		stop.Store(true)
		t.Cleanup(func() { _ = pipe.Close() })
	})
	swapper.Wait()
	wg.Wait()
	t.Logf("%d swaps, %d answers", swaps, asked.Load())
	if swaps < 10 || asked.Load() < 100 {
		t.Errorf("only %d swaps and %d answers", swaps, asked.Load())
	}
}
