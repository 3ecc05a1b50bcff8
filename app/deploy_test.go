package app

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

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
)

var noon = time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)

// shop is a deployer with a real registry and an engine that remembers what it has loaded.
type shop struct {
	*deployer
	t      *testing.T
	states *registrytest.KV

	mu     sync.Mutex
	loaded map[string]*fake.Session // by the model's bytes
	broken map[string]bool
	gate   chan struct{} // not nil: loading waits for it
	opened atomic.Int64
	shut   atomic.Int64
}

// counted is a session that says when it is closed.
type counted struct {
	engine.Session
	once sync.Once
	shut *atomic.Int64
}

func (c *counted) Close() error {
	c.once.Do(func() { c.shut.Add(1) })
	return c.Session.Close()
}

func (s *shop) closed() int64 { return s.shut.Load() }

func openShop(t *testing.T) *shop {
	t.Helper()
	r, err := registry.Open(t.TempDir(), &registrytest.KV{})
	if err != nil {
		t.Fatal(err)
	}
	return (&shop{t: t, states: &registrytest.KV{}, broken: map[string]bool{}}).start(r)
}

// start opens a deployer on the states there are, as after a restart.
func (s *shop) start(r *registry.Registry) *shop {
	s.t.Helper()
	s.loaded = map[string]*fake.Session{}
	s.opened.Store(0)
	s.shut.Store(0)
	s.deployer = &deployer{
		kv: s.states, registry: r, router: &route.Router{}, log: slog.New(slog.DiscardHandler),
		now: func() time.Time { return noon }, load: s.loadModel,
	}
	if err := s.open(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return s
}

func (s *shop) loadModel(onnx []byte, _ int) (engine.Session, error) {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken[string(onnx)] {
		return nil, errors.New("the graph is damaged")
	}
	s.loaded[string(onnx)] = fake.Echo(1)
	s.opened.Add(1)
	return &counted{Session: s.loaded[string(onnx)], shut: &s.shut}, nil
}

func graph(name fairlead.Name, n int) string { return fmt.Sprintf("%s graph %d", name, n) }

// push adds version n of a model and deploys it.
func (s *shop) push(name fairlead.Name, n int, alias string) error {
	s.t.Helper()
	src := bundle.FromModel(name, []byte(graph(name, n)))
	b, err := bundle.Seal(src, fake.Echo(1).Signature(), nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	entry, _, err := s.registry.Add(s.t.Context(), name, b, noon, alias)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.deploy(s.t.Context(), name, entry.Version)
}

func (s *shop) mustPush(name fairlead.Name, n int) {
	s.t.Helper()
	if err := s.push(name, n, ""); err != nil {
		s.t.Fatal(err)
	}
}

// serves checks which version answers, and which graphs are open.
func (s *shop) serves(name fairlead.Name, live fairlead.Version, open ...int) {
	s.t.Helper()
	target, err := s.router.Load().Lookup(string(name), "")
	if err != nil || target.Version != live {
		s.t.Errorf("%s is answered by %+v (%v), want version %d", name, target, err, live)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for onnx, session := range s.loaded {
		x := []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{1}}}
		_, err := session.Run(s.t.Context(), x, nil)
		wanted := slices.ContainsFunc(open, func(n int) bool { return onnx == graph(name, n) })
		if strings.HasPrefix(onnx, string(name)+" ") && (err == nil) != wanted {
			s.t.Errorf("%s: open %v, want open %v", onnx, err == nil, wanted)
		}
	}
}

func TestDeployRedeployRollback(t *testing.T) {
	s := openShop(t)
	s.mustPush("m", 1)
	s.serves("m", 1, 1)
	s.mustPush("m", 2)
	s.serves("m", 2, 1, 2)
	s.mustPush("m", 3)
	s.serves("m", 3, 2, 3) // version 1 left the table and is closed
	s.mustPush("m", 3)
	s.serves("m", 3, 2, 3)
	for _, step := range []struct {
		from, to int
		open     []int
	}{{3, 2, []int{1, 2}}, {2, 1, []int{1}}} {
		r, err := s.Rollback(t.Context(), "m")
		if err != nil || r.From != step.from || r.To != step.to {
			t.Fatalf("%+v, %v", r, err)
		}
		s.serves("m", fairlead.Version(step.to), step.open...)
	}
	_, err := s.Rollback(t.Context(), "m")
	if fairlead.CodeOf(err) != fairlead.CodeConflict || !strings.Contains(err.Error(), "nothing to roll back to") {
		t.Errorf("a rollback without a history: %v", err)
	}
	if _, err = s.Rollback(t.Context(), "nobody"); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Errorf("a rollback of nobody: %v", err)
	}
	s.mustPush("m", 3)
	s.serves("m", 3, 1, 3)
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.router.Load().Lookup("m", ""); err == nil {
		t.Error("a closed deployer routes")
	}
}

func TestRestart(t *testing.T) {
	s := openShop(t)
	s.mustPush("good", 1)
	s.mustPush("good", 2)
	s.mustPush("bad", 1)
	s.mustPush("name..with.dots.", 1)
	s.broken[graph("bad", 1)] = true
	s.start(s.registry)
	s.serves("good", 2, 1, 2)
	s.serves("name..with.dots.", 1, 1)
	_, err := s.router.Load().Lookup("bad", "")
	if fairlead.CodeOf(err) != fairlead.CodeUnavailable || !strings.Contains(err.Error(), "the graph is damaged") {
		t.Errorf("a version that does not load: %v", err)
	}
	for _, dep := range s.list() {
		if (dep.failed != nil) != (dep.Name == "bad") {
			t.Errorf("%s: %v", dep.Name, dep.failed)
		}
	}
	// Repaired and pushed again it serves, and does not count as a version before itself.
	s.broken = map[string]bool{}
	s.mustPush("bad", 1)
	s.serves("bad", 1, 1)
	if _, err := s.Rollback(t.Context(), "bad"); fairlead.CodeOf(err) != fairlead.CodeConflict {
		t.Errorf("a rollback to itself: %v", err)
	}
}

// A model that does not load, or a state that cannot be written, leaves what serves as it was.
func TestFailedDeploy(t *testing.T) {
	s := openShop(t)
	s.mustPush("m", 1)
	s.broken[graph("m", 2)] = true
	if err := s.push("m", 2, ""); err == nil || !strings.Contains(err.Error(), "load m@2: the graph is damaged") {
		t.Errorf("a damaged graph: %v", err)
	}
	s.serves("m", 1, 1)
	s.states.Fail = errors.New("disk full")
	if err := s.push("m", 3, ""); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("a state that cannot be written: %v", err)
	}
	s.serves("m", 1, 1)
	if err := s.push("n", 1, ""); err == nil {
		t.Error("a state that cannot be written")
	}
	if names := s.Names(); !slices.Equal(names, []fairlead.Name{"m"}) {
		t.Errorf("deployments are %v", names)
	}
	s.states.Fail = nil
	s.mustPush("m", 3)
	s.serves("m", 3, 1, 3)
}

func TestAliasOfTheLiveVersion(t *testing.T) {
	s := openShop(t)
	s.mustPush("m", 1)
	if err := s.push("m", 1, "champion"); err != nil {
		t.Fatal(err)
	}
	if target, err := s.router.Load().Lookup("m", "champion"); err != nil || target.Version != 1 {
		t.Errorf("the alias leads to %+v, %v", target, err)
	}
}

// The recorder and the readers go on while a model loads.
func TestLoadingBlocksNobody(t *testing.T) {
	s := openShop(t)
	s.mustPush("m", 1)
	s.mu.Lock()
	s.gate = make(chan struct{})
	s.mu.Unlock()
	done := make(chan error)
	go func() { done <- s.push("m", 2, "") }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	asked := make(chan bool)
	go func() {
		_, _, ok := s.Info("m", 1)
		s.Names()
		s.list()
		asked <- ok
	}()
	select {
	case ok := <-asked:
		if !ok {
			t.Error("version 1 is not known")
		}
	case <-ctx.Done():
		t.Error("readers wait for a model that loads")
	}
	close(s.gate)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.serves("m", 2, 1, 2)
}

func TestHistoryIsBounded(t *testing.T) {
	s := openShop(t)
	for n := range maxPrevious + 5 {
		s.mustPush("m", n)
	}
	if n := len(s.list()[0].Previous); n != maxPrevious {
		t.Errorf("%d versions before are kept", n)
	}
	s.serves("m", maxPrevious+5, maxPrevious+3, maxPrevious+4)
}
