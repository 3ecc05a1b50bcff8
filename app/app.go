package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/internal/lifecycle"
	"github.com/fairlead-ml/fairlead/internal/pressure"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/accesslog"
	"github.com/fairlead-ml/fairlead/serve/cache"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
	"github.com/fairlead-ml/fairlead/serve/grpcd"
	"github.com/fairlead-ml/fairlead/serve/meter"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/serve/trace"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/watch"
)

// App is a running server.
type App struct {
	config  Config
	log     *slog.Logger
	started time.Time
	engine  string
	parts   lifecycle.Group
	failed  chan error
	ready   atomic.Bool

	runtime      *ort.Runtime
	events       *eventlog.Log
	id           string // of this server among those that share a log; empty: it has its own
	store        *evalstore.Store
	registry     *registry.Registry
	blobs        registry.Remote // where servers that share a log find each other's; nil: the disk is all there is
	leader       *leader         // nil: this server is alone
	peers        *peers          // nil: this server is alone
	deployer     *deployer
	gatekeeper   *gatekeeper // nil: every version may be loaded
	rollouts     *rollouts
	pipelines    *pipelines
	router       *route.Router
	meter        *meter.Meter
	recorder     *recorder
	eventsStored atomic.Uint64   // business events acknowledged
	rowsExpired  atomic.Uint64   // rows that the evaluation store has dropped
	pace         *pressure.Pacer // of what may wait for serving
	annotations  *annotations
	books        *books
	segments     *segments
	desk         *desk   // what people said of alerts
	sender       *sender // of messages to receivers
	notifier     *notifier
	sent         sentIDs
	backlog      backlog  // of past predictions that stream in
	described    sync.Map // registry.Entry → api.ModelVersion
	examples     sync.Map // fairlead.Digest → api.ModelExample
	tested       sync.Map // versions that passed their tests, with what they were compared with
	testing      turns    // of tests
	asking       turns    // of explanations that ask a model again
	listener     net.Listener
	defaultModel atomic.Pointer[string] // of the cloud's contract
	replaying    atomic.Bool            // one at a time
	core         *serve.Server
	cache        *cache.Cache   // nil: answers are not kept
	tracer       *trace.Tracer  // nil: nothing is traced
	access       *accesslog.Log // nil: there is none
	accessFile   *os.File       // nil: it goes to standard output
	server       *http.Server
	grpc         *grpcd.Server
}

// Start opens everything under config.Data and serves. On error, what was started is stopped again.
func Start(ctx context.Context, config Config, log *slog.Logger) (*App, error) {
	a := &App{config: config, log: log, started: time.Now().UTC(), failed: make(chan error, 1), meter: meter.New()}
	a.pace = pressure.NewPacer(pressure.NewGauge(pressure.System), config.MaxLag, a.answering)
	for _, p := range a.plan() {
		if err := a.parts.Start(ctx, p); err != nil {
			stop, cancel := context.WithTimeout(context.Background(), config.StopWithin)
			defer cancel()
			return nil, errors.Join(err, a.parts.Stop(stop))
		}
	}
	a.ready.Store(true)
	return a, nil
}

// plan lists the parts in the order they start. They stop in reverse: first no new requests, then the recorder writes
// what it holds, the store takes what the log holds, and the seams close.
func (a *App) plan() []lifecycle.Part {
	part := func(name string, start, stop func(context.Context) error) lifecycle.Part {
		return lifecycle.Part{Name: name, Start: start, Stop: stop}
	}
	plan := []lifecycle.Part{
		a.debugPart(),
		part("inference engine", a.startEngine, func(context.Context) error { return a.runtime.Close() }),
		// The store first: it refuses a folder that another server has open, the log does not.
		part("evaluation store", a.startStore, func(context.Context) error { return a.store.Close() }),
		part("event log", a.startEvents, func(context.Context) error { return a.events.Close() }),
		part("deployments", a.startDeployments, func(context.Context) error { return errors.Join(a.pipelines.close(), a.deployer.close()) }),
		lifecycle.Loop("watch", a.watchLoop),
		lifecycle.Loop("notifications", a.notifyLoop),
		lifecycle.Loop("trimming", a.trimLoop),
		lifecycle.Loop("tidying up", a.tidyLoop),
		lifecycle.Loop("rollouts", func(ctx context.Context) { a.rollouts.run(ctx) }),
	}
	for _, stream := range ingested {
		plan = append(plan, lifecycle.Loop("ingestion of "+string(stream), func(ctx context.Context) {
			ingest(ctx, a.events, a.store, stream, a.pace, func() { a.backlog.came(time.Now()) }, a.log)
		}))
	}
	plan = append(plan, a.followers()...)
	return append(plan,
		part("catching up", nil, func(ctx context.Context) error { return catchUp(ctx, a.events, a.store, a.pace) }),
		lifecycle.Loop("recorder", func(ctx context.Context) { a.recorder.Run(ctx) }),
		part("predictions", nil, a.stopServing),
		part("http", a.startHTTP, a.stopHTTP),
		part("the cloud's model", a.startCloud, nil),
		part("grpc", a.startGRPC, a.stopGRPC),
	)
}

// Address is where HTTP is served.
func (a *App) Address() string { return a.listener.Addr().String() }

// fail says that a part ended by itself; the first one is what Failed gives.
func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default:
	}
}

// Failed gives the error of a server that ended by itself.
func (a *App) Failed() <-chan error { return a.failed }

// Stop ends the server: requests in flight finish, queues drain, the stores close.
func (a *App) Stop(ctx context.Context) error {
	a.ready.Store(false)
	return a.parts.Stop(ctx)
}

func (a *App) startEngine(context.Context) error {
	library, err := a.config.libraryPath()
	if err != nil {
		return err
	}
	if a.runtime, err = ort.Open(library); err != nil {
		return err
	}
	a.engine = "ONNX Runtime " + a.runtime.Version()
	return nil
}

func (a *App) startStore(ctx context.Context) error {
	if err := os.MkdirAll(a.config.Data, 0o755); err != nil {
		return err
	}
	var err error
	a.store, err = evalstore.Open(ctx, evalstore.Options{
		Dir: filepath.Join(a.config.Data, "evalstore"), MemoryMB: a.config.MemoryMB, Threads: 2, Log: a.log,
	})
	return err
}

func (a *App) startDeployments(ctx context.Context) error {
	buckets := map[string]*eventlog.KV{}
	for _, name := range []string{"models", "deployments", "rollouts", "pipelines", "alerts", "annotations", "segments", "notify"} {
		kv, err := a.events.KV(ctx, name)
		if err != nil {
			return err
		}
		buckets[name] = kv
	}
	var err error
	if a.registry, err = registry.Open(filepath.Join(a.config.Data, "registry"), buckets["models"]); err != nil {
		return err
	}
	if a.shared() {
		if err = a.openShared(ctx); err != nil {
			return err
		}
	}
	// A crash between a push and its listing leaves index.json behind what is stored.
	if err = a.registry.Reindex(ctx); err != nil {
		return err
	}
	if a.annotations, err = openAnnotations(ctx, buckets["annotations"]); err != nil {
		return fmt.Errorf("read the annotations: %w", err)
	}
	if a.gatekeeper, err = newGatekeeper(a.config.RequireSigned); err != nil {
		return err
	}
	if err = a.config.RequireTests.check(); err != nil {
		return err
	}
	a.books = &books{kv: buckets["alerts"]}
	a.segments = &segments{kv: buckets["segments"], store: a.store}
	a.router = &route.Router{}
	a.deployer = &deployer{
		gatekeeper: a.gatekeeper,
		kv:         buckets["deployments"], registry: a.registry, router: a.router, log: a.log, now: time.Now,
		load: func(onnx []byte, threads int) (engine.Session, error) {
			return a.runtime.Load(onnx, ort.Options{Threads: threads})
		},
		cores: runtime.GOMAXPROCS(0), host: thisHost(a.runtime.Version()), memory: a.runtime.Memory, trees: a.config.Trees,
	}
	if a.deployer.redactKey, err = a.config.redactKey(); err != nil {
		return err
	}
	if err = a.openNotify(buckets["notify"]); err != nil {
		return err
	}
	a.registry.UsedBy(a.deployer.uses)
	// Half the loss window to gather, half for the write to reach the disk.
	a.recorder = newRecorder(a.events, a.deployer, a.config.LossWindow/2, a.log)
	a.recorder.policies, a.recorder.chance = a.deployer, seedChance(rand.Float64)
	a.recorder.chunk = min(chunkBytes, a.events.Largest()*3/8)
	if err := a.startServing(ctx); err != nil {
		return err
	}
	a.deployer.drain = a.core.Drain
	a.rollouts = &rollouts{
		kv: buckets["rollouts"], deployer: a.deployer, log: a.log, now: time.Now, newID: messageID, epoch: a.started.Format(time.RFC3339Nano),
		chance: rand.Float64, measured: storedOutcomes{a.store}, load: a.loadOf, passes: a.PassesTests,
	}
	if a.shared() {
		if err := a.joinOthers(ctx); err != nil {
			return err
		}
	}
	if err := a.rollouts.open(ctx); err != nil {
		return err
	}
	if err := a.deployer.open(ctx); err != nil {
		return err
	}
	return a.openPipelines(ctx, buckets["pipelines"])
}

// answering says whether anybody asked for a prediction in the last seconds.
func (a *App) answering(now time.Time) bool {
	return slices.ContainsFunc(a.deployer.Names(), func(name fairlead.Name) bool { return a.meter.Live(name, now).Requests > 0 })
}

// watchSlice is how many windows are evaluated and saved at a time.
const watchSlice = 200

// watchLoop evaluates what changed every second; a backlog is worked off slice by slice, without a pause where the
// machine has room.
func (a *App) watchLoop(ctx context.Context) {
	w := watch.New(a.store, a.store, a.deployer, a.books, watch.Options{Rule: a.deployer.Rule, Now: time.Now, MaxWindows: watchSlice}, a.log)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for round := time.Now(); !a.backlog.waits(time.Now()); {
			began := time.Now()
			changed, err := w.Step(ctx)
			a.pace.Rest(ctx, time.Since(began), time.Since(round))
			if err != nil && ctx.Err() == nil {
				a.log.Error("watch", "err", err)
			}
			if err != nil || changed < watchSlice || ctx.Err() != nil {
				break
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// lag is the age of the oldest message that the evaluation store has not taken yet, 0 when it has all.
func (a *App) lag(ctx context.Context) (time.Duration, error) {
	var oldest time.Duration
	for _, s := range ingested {
		at, err := a.store.Position(ctx, string(s))
		if err != nil {
			return 0, err
		}
		age, err := a.events.Lag(ctx, s, at, time.Now())
		if err != nil {
			return 0, err
		}
		oldest = max(oldest, age)
	}
	return oldest, nil
}

func messageID() string { return ulid.Make().String() }
