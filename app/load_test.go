package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
)

// A thousand reloads while clients ask: nobody notices.
func TestReloadUnderTraffic(t *testing.T) {
	s := openShop(t)
	s.mustPush("m", 1)
	s.mustPush("m", 2)
	core := serve.New(serve.Options{Router: s.router})
	s.drain = core.Drain
	var stop atomic.Bool
	var asked atomic.Int64
	var wg sync.WaitGroup
	for client := range 2 {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				want := float32(client*1_000_000 + n)
				x := []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{want}}}
				r, err := core.Predict(t.Context(), serve.Request{Deployment: "m", Input: serve.Input{Tensors: x}})
				if err != nil {
					t.Errorf("request %d of client %d failed: %v", n, client, err)
					return
				}
				if got := r.Outputs[0].Data.([]float32)[0]; got != want {
					t.Errorf("request %d of client %d got the answer %v, want %v", n, client, got, want)
					return
				}
				asked.Add(1)
			}
		})
	}
	const reloads = 1000
	for range reloads {
		if err := s.reload(t.Context(), "m"); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d requests during %d reloads", asked.Load(), reloads)
	if asked.Load() < reloads {
		t.Errorf("only %d requests: there was no traffic", asked.Load())
	}
	s.serves("m", 2, 1, 2)
	if n := s.opened.Load() - s.closed(); n != 2 {
		t.Errorf("%d sessions are open, want the live one and the one before", n)
	}
}

// Unloaded stays unloaded over a restart, keeps its history, and comes back.
func TestUnloadAndLoad(t *testing.T) {
	s := openShop(t)
	s.mustPush("m", 1)
	s.mustPush("m", 2)
	r := &repository{deployer: s.deployer}
	if err := r.Unload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	unloaded := func() {
		t.Helper()
		_, err := s.router.Load().Lookup("m", "")
		if fairlead.CodeOf(err) != fairlead.CodeUnavailable || !strings.Contains(err.Error(), "unloaded") {
			t.Errorf("an unloaded model: %v", err)
		}
		if n := s.opened.Load() - s.closed(); n != 0 {
			t.Errorf("%d sessions of it are open", n)
		}
	}
	unloaded()
	s.start(s.registry)
	r.deployer = s.deployer
	unloaded()
	want := []serve.ModelState{
		{Name: "m", Version: "2", State: serve.StateUnavailable, Reason: "unloaded"},
		{Name: "m", Version: "1", State: serve.StateUnavailable, Reason: "unloaded"},
	}
	if index, err := r.Index(t.Context()); err != nil || cmp.Diff(want, index) != "" {
		t.Error(err, cmp.Diff(want, index))
	}
	if err := r.Unload(t.Context(), "m"); err != nil {
		t.Errorf("unloading twice: %v", err)
	}
	if err := r.Load(t.Context(), "m", serve.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	s.serves("m", 2, 1, 2)
	s.mustPush("m", 3)
	want = []serve.ModelState{
		{Name: "m", Version: "3", State: serve.StateReady}, {Name: "m", Version: "2", State: serve.StateReady},
		{Name: "m", Version: "1", State: serve.StateUnavailable, Reason: "not loaded: the live version and the one before it are"},
	}
	if index, err := r.Index(t.Context()); err != nil || cmp.Diff(want, index) != "" {
		t.Error(err, cmp.Diff(want, index))
	}
	for name, err := range map[string]error{
		"load":   r.Load(t.Context(), "nobody", serve.LoadOptions{}),
		"unload": r.Unload(t.Context(), "nobody"),
		"reload": s.reload(t.Context(), "nobody"),
	} {
		if fairlead.CodeOf(err) != fairlead.CodeNotFound {
			t.Errorf("%s of nobody: %v", name, err)
		}
	}
}

// A reload that fails, or whose state cannot be written, leaves what serves.
func TestFailedReload(t *testing.T) {
	s := openShop(t)
	s.mustPush("m", 1)
	s.broken[graph("m", 1)] = true
	if err := s.reload(t.Context(), "m"); err == nil || !strings.Contains(err.Error(), "the graph is damaged") {
		t.Errorf("a damaged graph: %v", err)
	}
	s.serves("m", 1, 1)
	s.broken = map[string]bool{}
	s.states.Fail = errors.New("disk full")
	if err := s.unload(t.Context(), "m"); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("a state that cannot be written: %v", err)
	}
	one := 1
	if err := s.loadAgain(t.Context(), "m", &override{MaxBatch: &one}); err == nil {
		t.Error("a state that cannot be written")
	}
	s.serves("m", 1, 1)
	s.states.Fail = nil
	if err := s.reload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	s.serves("m", 1, 1)
	// What failed at the start is loaded like anything else.
	s.broken[graph("m", 1)] = true
	s.start(s.registry)
	if state, reason := s.state(s.get("m"), 1); state != serve.StateUnavailable || !strings.Contains(reason, "the graph is damaged") {
		t.Errorf("%s %s", state, reason)
	}
	s.broken = map[string]bool{}
	if err := s.reload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	s.serves("m", 1, 1)
}

// The author's wishes hold; a client's at load go before them, over a restart too, until it loads without.
func TestWishes(t *testing.T) {
	s := openShop(t)
	src := bundle.FromModel("m", []byte(graph("m", 1)))
	delay := 3 * time.Millisecond
	src.File.Batching, src.File.Cache.TTL = bundle.BatchingFile{Max: 16, Delay: &delay}, time.Hour
	s.add(src)
	settings := func(batch int, delay, ttl time.Duration) {
		t.Helper()
		target, err := s.router.Load().Lookup("m", "")
		if err != nil {
			t.Fatal(err)
		}
		if got := target.Settings; got.MaxBatch != batch || got.MaxDelay != delay || got.CacheTTL != ttl || got.Batching == "" {
			t.Errorf("%+v, want batches of %d, a delay of %v, a TTL of %v", got, batch, delay, ttl)
		}
	}
	settings(16, delay, time.Hour)
	r := &repository{deployer: s.deployer}
	config := `{"name":"m","platform":"onnxruntime_onnx","max_batch_size":4,"dynamic_batching":{"max_queue_delay_microseconds":"500"},"response_cache":{"enable":false}}`
	if err := r.Load(t.Context(), "m", serve.LoadOptions{Config: config}); err != nil {
		t.Fatal(err)
	}
	settings(4, 500*time.Microsecond, 0)
	if err := s.reload(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	settings(4, 500*time.Microsecond, 0)
	s.start(s.registry)
	r.deployer = s.deployer
	settings(4, 500*time.Microsecond, 0)
	if err := r.Load(t.Context(), "m", serve.LoadOptions{Config: `{"max_batch_size":0}`}); err != nil {
		t.Fatal(err)
	}
	settings(1, delay, time.Hour)
	if err := r.Load(t.Context(), "m", serve.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	settings(16, delay, time.Hour)
	for config, want := range map[string]string{
		`{`:                            "the parameter config is not a JSON object",
		`[]`:                           "the parameter config is not a JSON object",
		`{"max_batch_size":-1}`:        "max_batch_size is -1, expected a number from 0",
		`{"max_batch_size":"8"}`:       `max_batch_size is "8"`,
		`{"instance_group":[]}`:        `the configuration key "instance_group" cannot be set`,
		`{"name":"other"}`:             `the configuration is of a model called "other", not of "m"`,
		`{"dynamic_batching":true}`:    "dynamic_batching is true, expected an object",
		`{"response_cache":{}}`:        "response_cache is {}, expected",
		`{"dynamic_batching":{"x":1}}`: `"dynamic_batching.x" cannot be set`,
		`{"dynamic_batching":{"max_queue_delay_microseconds":-5}}`:                   "is -5, expected 0 to 60000000 microseconds",
		`{"dynamic_batching":{"max_queue_delay_microseconds":9},"max_batch_size":1}`: "max_batch_size switches batching off",
	} {
		err := r.Load(t.Context(), "m", serve.LoadOptions{Config: config})
		if c := fairlead.CodeOf(err); c != fairlead.CodeInvalid && c != fairlead.CodeUnsupported || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
	}
	settings(16, delay, time.Hour)
}

// What a client asked for at a load holds for the version it loaded, until it goes: a rollback and a restart agree on it.
func TestWishesAndRollback(t *testing.T) {
	s := openShop(t)
	batch := func(v fairlead.Version, want int) {
		t.Helper()
		target, err := s.router.Load().Lookup("m", v.String())
		if err != nil || target.Settings.MaxBatch != want {
			t.Errorf("version %d: %+v (%v), want batches of %d", v, target, err, want)
		}
	}
	four := 4
	s.mustPush("m", 1)
	if err := s.loadAgain(t.Context(), "m", &override{MaxBatch: &four}); err != nil {
		t.Fatal(err)
	}
	s.mustPush("m", 2)
	if _, err := s.Rollback(t.Context(), "m"); err != nil {
		t.Fatal(err)
	}
	batch(1, 4)
	s.start(s.registry)
	batch(1, 4)
	// The version before was never asked for that way.
	s.mustPush("m", 2)
	if err := s.loadAgain(t.Context(), "m", &override{MaxBatch: &four}); err != nil {
		t.Fatal(err)
	}
	s.mustPush("m", 3)
	if err := s.loadAgain(t.Context(), "m", &override{MaxBatch: &four}); err != nil {
		t.Fatal(err)
	}
	s.start(s.registry)
	batch(3, 4)
	if target, err := s.router.Load().Lookup("m", "2"); err != nil || target.Settings.MaxBatch == 4 {
		t.Errorf("version 2: %+v (%v), want the batches that were measured", target, err)
	}
}

// A rollback is one swap: it does not wait until the version for the next one is loaded.
func TestRollbackAtOnce(t *testing.T) {
	s := openShop(t)
	for n := 1; n <= 3; n++ {
		s.mustPush("m", n)
	}
	open := make(chan struct{})
	s.mu.Lock()
	s.gate = open
	s.mu.Unlock()
	done := make(chan error)
	go func() {
		_, err := s.Rollback(t.Context(), "m")
		done <- err
	}()
	swapped := func() bool {
		target, err := s.router.Load().Lookup("m", "")
		return err == nil && target.Version == 2
	}
	for n := 0; n < 1000 && !swapped(); n++ {
		time.Sleep(time.Millisecond)
	}
	if !swapped() {
		t.Error("version 3 goes on while version 1 is loaded")
	}
	close(open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.serves("m", 2, 1, 2)
	if _, err := s.router.Load().Lookup("m", "1"); err != nil {
		t.Errorf("the version before: %v", err)
	}
}

// impatient is a store whose client goes away while it writes: it has written, but cannot say so.
type impatient struct {
	*registrytest.KV
	leave func()
}

func (i *impatient) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	i.leave()
	rev, err := i.KV.Put(ctx, key, value, revision)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return rev, err
}

// Whoever sent the push may go away when the version is checked: memory and store go on saying the same.
func TestClientLeavesAtCommit(t *testing.T) {
	s := openShop(t)
	s.mustPush("m", 1)
	ctx, leave := context.WithCancel(t.Context())
	s.kv = &impatient{s.states, leave}
	if err := s.loadAgain(ctx, "m", &override{}); err != nil {
		t.Errorf("the client left: %v", err)
	}
	s.kv = s.states
	s.mustPush("m", 2)
	s.serves("m", 2, 1, 2)
}

// A version that does not give its golden answers does not serve, and what it should replace goes on.
func TestGoldenAtLoad(t *testing.T) {
	s := openShop(t)
	s.mustPush("m", 1)
	src := bundle.FromModel("m", []byte(graph("m", 2)))
	x := fairlead.Tensor{Name: "x", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{3}}
	y := fairlead.Tensor{Name: "y", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{4}}
	src.Golden = &bundle.Golden{Cases: []bundle.GoldenCase{{Inputs: []fairlead.Tensor{x}, Outputs: []fairlead.Tensor{y}}}}
	err := s.tryAdd(src)
	if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), `case 0: output "y", row 0: expected 4, got 3`) {
		t.Errorf("golden vectors that differ: %v", err)
	}
	s.serves("m", 1, 1)
	y.Data = []float32{3}
	src.Golden.Cases[0].Outputs[0] = y
	s.add(src)
	s.serves("m", 3, 1, 2) // graph 2 is version 3
	if report := s.Report("m", 3); !slices.ContainsFunc(report, func(l string) bool { return strings.HasPrefix(l, "golden vectors: all 1 cases agree") }) {
		t.Errorf("%q", report)
	}
}

func TestLoadWithFiles(t *testing.T) {
	s := openShop(t)
	s.mustPush("m", 1)
	r := &repository{deployer: s.deployer, push: func(ctx context.Context, name fairlead.Name, onnx []byte) error {
		return s.tryAdd(bundle.FromModel(name, onnx))
	}}
	load := func(files map[string][]byte, config string) error {
		return r.Load(t.Context(), "m", serve.LoadOptions{Files: files, Config: config})
	}
	if err := load(map[string][]byte{"1/model.onnx": []byte(graph("m", 2))}, `{"max_batch_size":1}`); err != nil {
		t.Fatal(err)
	}
	s.serves("m", 2, 1, 2)
	if target, err := s.router.Load().Lookup("m", ""); err != nil || target.Settings.MaxBatch != 1 {
		t.Errorf("%+v, %v", target, err)
	}
	for _, bad := range []struct {
		files []string
		want  string
	}{
		{[]string{"config.pbtxt"}, `the file "config.pbtxt" cannot be loaded`},
		{[]string{"1/model.onnx", "2/model.onnx"}, `the files "1/model.onnx" and "2/model.onnx" are both models`},
	} {
		files := map[string][]byte{}
		for _, f := range bad.files {
			files[f] = []byte("x")
		}
		if err := load(files, ""); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%v: %v", bad.files, err)
		}
	}
	s.serves("m", 2, 1, 2)
}

// add seals a source and deploys it.
func (s *shop) add(src *bundle.Source) {
	s.t.Helper()
	if err := s.tryAdd(src); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) tryAdd(src *bundle.Source) error {
	b, err := bundle.Seal(src, fake.Echo(1).Signature(), nil, nil)
	if err != nil {
		return err
	}
	entry, _, err := s.registry.Add(context.Background(), src.File.Name, b, noon, "")
	if err != nil {
		return err
	}
	return s.deploy(context.Background(), src.File.Name, entry.Version)
}
