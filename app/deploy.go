package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/eventlog/keep"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/rollout"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// deployment is the state of one name that clients call, kept in a bucket.
type deployment struct {
	Name     fairlead.Name      `json:"name"`
	Model    fairlead.Name      `json:"model"`
	Live     fairlead.Version   `json:"live"`
	Previous []fairlead.Version `json:"previous,omitempty"` // newest last; what a rollback goes back to
	Changed  time.Time          `json:"changed"`
	Unloaded bool               `json:"unloaded,omitempty"` // on request: nothing of it is in memory until it is loaded again
	Override *override          `json:"override,omitempty"` // what a client asked for when it loaded the live version
	Policy   *rollout.Policy    `json:"policy,omitempty"`   // of its rollouts, where one does not bring its own; nil: the default

	revision uint64
	failed   error // why its live version does not serve
}

// maxPrevious bounds the history that rollbacks walk.
const maxPrevious = 20

// version is what is known of one deployed version: enough to record and to watch it. session is nil when it is not
// loaded.
type version struct {
	sig       fairlead.Signature
	reference *profile.Reference
	metrics   map[string]float64 // on the reference data; may be nil
	digest    fairlead.Digest
	keep      *keep.Policy // of its rows
	rule      alert.Rule   // of its alerts
	session   engine.Session
	golden    *bundle.Golden // of the loaded variant, for the promotion; nil: there are none
	target    *route.Target  // in the route tables since the session was loaded
	probed    *probed        // what the probe found; kept when the session is closed
	override  *override      // what the session was loaded with
}

// deployer decides which version answers under which name. It keeps the live version and the one before it loaded, so
// that a rollback is one swap of the route table.
type deployer struct {
	kv       keyValue
	registry *registry.Registry
	load     func(onnx []byte, threads int) (engine.Session, error)
	router   *route.Router
	log      *slog.Logger

	redactKey  []byte      // that values are hashed with; nil: they are dropped
	gatekeeper *gatekeeper // nil: every version may be loaded
	now        func() time.Time
	trees      bool                                       // ensembles of trees run on our own walker where it gives ONNX Runtime's answers
	cores      int                                        // threads of one run at most; 0: 1
	host       bundle.Host                                // what variants are chosen for
	memory     func() int64                               // bytes in use by models; nil: unknown
	drain      func(context.Context, *route.Target) error // waits until what is queued for a target that left the table is answered; nil: nothing is

	// change is held by whoever changes what is deployed, while models load and unload: it is the one lane of loading. mu
	// guards the fields below and what they point to, and is held for moments only: the recorder and every reader need it.
	change      sync.Mutex
	mu          sync.Mutex
	deployments map[fairlead.Name]*deployment
	versions    map[versionKey]*version
	loading     map[versionKey]bool
	rolling     map[fairlead.Name]*rolling // replaced, never changed
	pipelines   *pipelines                 // deployments that are made of several; nil: there are none
	serving     bool                       // requests may come: loading leaves them room

	isolated atomic.Bool // no contact with other servers: no traffic is parted

	// table is held while a route table is made and swapped: the newest state wins.
	table sync.Mutex
	known map[fairlead.Name]map[string]fairlead.Version // aliases as they were last read: read again where one moved; guarded by table
}

// open reads the bucket and loads every deployment. One that does not load is kept as failed, with the reason; the
// others serve.
func (d *deployer) open(ctx context.Context) error {
	d.change.Lock()
	defer d.change.Unlock()
	d.known = map[fairlead.Name]map[string]fairlead.Version{}
	d.deployments, d.versions, d.loading = map[fairlead.Name]*deployment{}, map[versionKey]*version{}, map[versionKey]bool{}
	if d.rolling == nil { // else the rollouts have said what they hold
		d.rolling = map[fairlead.Name]*rolling{}
	}
	keys, err := d.kv.Keys(ctx)
	if err != nil {
		return fmt.Errorf("read the deployments: %w", err)
	}
	for _, key := range keys {
		raw, rev, err := d.kv.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("read deployment %s: %w", key, err)
		}
		dep := &deployment{revision: rev}
		if err := json.Unmarshal(raw, dep); err != nil {
			return fmt.Errorf("read deployment %s: %w", key, err)
		}
		if !dep.Unloaded {
			dep.failed = d.ensure(ctx, dep, dep.Live)
		}
		if dep.failed != nil {
			d.log.Error("deployment does not serve", "deployment", dep.Name, "version", dep.Live, "err", dep.failed)
		}
		d.mu.Lock()
		d.deployments[dep.Name] = dep
		d.mu.Unlock()
		d.warmPrevious(ctx, dep)
		d.holdAgain(ctx, dep)
	}
	d.publish(nil)
	d.mu.Lock()
	d.serving = true
	d.mu.Unlock()
	return nil
}

// describe knows a version without loading its session.
func (d *deployer) describe(ctx context.Context, name, model fairlead.Name, v fairlead.Version) (*version, error) {
	key := versionKey{name, v}
	d.mu.Lock()
	known := d.versions[key]
	d.mu.Unlock()
	if known != nil {
		return known, nil
	}
	entry, err := d.registry.Resolve(ctx, model, v.String())
	if err != nil {
		return nil, err
	}
	b, err := d.registry.Describe(ctx, entry.Digest)
	if err != nil {
		return nil, err
	}
	known = &version{sig: b.Signature, metrics: b.Metrics, digest: entry.Digest, keep: policyOf(b.File, d.redactKey), rule: ruleOf(b.File.Monitor)}
	if p := b.Profile(); p != nil {
		if known.reference, err = profile.ParseReference(p); err != nil {
			return nil, fmt.Errorf("reference of %s@%d: %w", model, v, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if first := d.versions[key]; first != nil {
		return first, nil // somebody else asked at the same time
	}
	d.versions[key] = known
	return known, nil
}

// routes lists what is to be routed now. The caller holds table.
func (d *deployer) routes() []route.Deployment {
	all := d.list()
	d.mu.Lock()
	defer d.mu.Unlock()
	loaded := map[fairlead.Name][]*route.Target{}
	for key, v := range d.versions {
		if v.target != nil {
			loaded[key.name] = append(loaded[key.name], v.target)
		}
	}
	var routes []route.Deployment
	for _, dep := range all {
		r := route.Deployment{Name: dep.Name, Aliases: d.known[dep.Model]}
		switch {
		case dep.Unloaded:
			r.Reason = "unloaded"
		case dep.failed != nil:
			r.Reason = dep.failed.Error()
		}
		for _, target := range loaded[dep.Name] {
			if target.Version == dep.Live {
				r.Live = target
			} else {
				r.Others = append(r.Others, target)
			}
		}
		d.parting(&r)
		routes = append(routes, r)
	}
	return routes
}

// readAliases reads the aliases of the models that they are not known of. Those that cannot be read are left out of the
// routes: calls by version still work.
func (d *deployer) readAliases() {
	for _, dep := range d.list() {
		d.table.Lock()
		_, known := d.known[dep.Model]
		d.table.Unlock()
		if known {
			continue
		}
		m, err := d.registry.Model(context.Background(), dep.Model)
		if err != nil {
			d.log.Warn("aliases not read", "model", dep.Model, "err", err)
			continue
		}
		d.table.Lock()
		d.known[dep.Model] = m.Aliases
		d.table.Unlock()
	}
}

// deploy makes a version live under the model's name. The old version stays warm.
func (d *deployer) deploy(ctx context.Context, model fairlead.Name, v fairlead.Version) error {
	return d.deployAs(ctx, model, model, v)
}

// deployAs makes a version of a model live under a name. It is refused while a rollout is under way.
func (d *deployer) deployAs(ctx context.Context, name, model fairlead.Name, v fairlead.Version) error {
	d.change.Lock()
	defer d.change.Unlock()
	if err := d.busy(name, fmt.Sprintf("version %d of %s is not put live", v, name)); err != nil {
		return err
	}
	d.reread(model)
	return d.goLive(ctx, name, model, v)
}

// goLive is deployAs for who holds change.
func (d *deployer) goLive(ctx context.Context, name, model fairlead.Name, v fairlead.Version) error {
	old := d.get(name)
	next := &deployment{Name: name, Model: model, Live: v, Changed: d.now().UTC()}
	if old != nil {
		if old.Model != model {
			return fairlead.Errorf(fairlead.CodeConflict, "the deployment %s serves the model %s, not %s", name, old.Model, model).
				Hintf("a deployment keeps its model: choose another name for the deployment")
		}
		next.Policy = old.Policy
		if old.Live == v && old.failed == nil && !old.Unloaded {
			d.publish(nil) // an alias may have moved
			return nil
		}
		next.revision = old.revision
		next.Previous = slices.Clone(old.Previous)
		if old.failed == nil { // nobody rolls back to what did not serve
			next.Previous = append(next.Previous, old.Live)
		}
		next.Previous = slices.DeleteFunc(next.Previous, func(p fairlead.Version) bool { return p == v })
		next.Previous = next.Previous[max(0, len(next.Previous)-maxPrevious):]
	}
	if err := d.ensure(ctx, next, v); err != nil {
		return err
	}
	next.Override = d.loadedWith(name, v)
	return d.commit(ctx, old, next)
}

// refresh lets the routes follow a model's aliases, one of which has moved.
func (d *deployer) refresh(model fairlead.Name) {
	d.change.Lock()
	defer d.change.Unlock()
	d.reread(model)
	d.publish(nil)
}

// reread lets the next swap read the aliases of a model.
func (d *deployer) reread(model fairlead.Name) {
	d.table.Lock()
	defer d.table.Unlock()
	delete(d.known, model)
}

func (d *deployer) get(name fairlead.Name) *deployment {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.deployments[name]
}

// commit writes the state first and swaps the routes after: a crash in between serves the new state at the next start.
// When the state cannot be written, old (nil: no such deployment) goes on as it was. retired are sessions that others have
// taken the place of already. It goes on without whoever asked for it: a write that was given up may have been made.
func (d *deployer) commit(ctx context.Context, old, next *deployment, retired ...*route.Target) error {
	ctx = context.WithoutCancel(ctx)
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if next.revision, err = d.kv.Put(ctx, bucketKey(next.Name), raw, next.revision); err != nil {
		var keep []fairlead.Version
		if old != nil {
			keep = d.kept(old)
		}
		d.publish(append(d.retire(next.Name, keep), retired...))
		return fmt.Errorf("store deployment %s: %w", next.Name, err)
	}
	d.mu.Lock()
	d.deployments[next.Name] = next
	d.mu.Unlock()
	d.publish(append(d.retire(next.Name, d.kept(next)), retired...))
	if d.warmPrevious(ctx, next) { // after the swap: a rollback is in a hurry
		d.publish(nil)
	}
	return nil
}

// Rollback implements admin.Deployments.
func (d *deployer) Rollback(ctx context.Context, name fairlead.Name) (api.RollbackAnswer, error) {
	d.change.Lock()
	defer d.change.Unlock()
	dep := d.get(name)
	if dep == nil {
		return api.RollbackAnswer{}, fairlead.NotFound("there is no deployment %q", name)
	}
	if err := d.busy(name, string(name)+" is not rolled back"); err != nil {
		return api.RollbackAnswer{}, err
	}
	n := len(dep.Previous)
	if n == 0 {
		return api.RollbackAnswer{}, fairlead.Errorf(fairlead.CodeConflict, "%s has only had version %d: there is nothing to roll back to", name, dep.Live)
	}
	next := &deployment{
		Name: name, Model: dep.Model, Live: dep.Previous[n-1], Previous: slices.Clone(dep.Previous[:n-1]),
		Changed: d.now().UTC(), Policy: dep.Policy, revision: dep.revision,
	}
	if err := d.ensure(ctx, next, next.Live); err != nil {
		return api.RollbackAnswer{}, err
	}
	next.Override = d.loadedWith(name, next.Live)
	if err := d.commit(ctx, dep, next); err != nil {
		return api.RollbackAnswer{}, err
	}
	return api.RollbackAnswer{Deployment: string(name), From: int(dep.Live), To: int(next.Live)}, nil
}

// Names lists the deployments, sorted.
func (d *deployer) Names() []fairlead.Name {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := make([]fairlead.Name, 0, len(d.deployments))
	for n := range d.deployments {
		names = append(names, n)
	}
	names = append(names, d.pipelines.names()...)
	slices.Sort(names)
	return names
}

// list copies the states, sorted by name.
func (d *deployer) list() []deployment {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]deployment, 0, len(d.deployments))
	for _, dep := range d.deployments {
		out = append(out, *dep)
	}
	slices.SortFunc(out, func(a, b deployment) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Live is the version that serves now.
func (d *deployer) Live(name fairlead.Name) (fairlead.Version, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dep := d.deployments[name]; dep != nil {
		return dep.Live, nil
	}
	if v, ok := d.pipelines.live(name); ok {
		return v, nil
	}
	return 0, fairlead.NotFound("there is no deployment %q", name)
}

// Reference implements watch.Models and admin.References; the reference is nil when the version has none.
func (d *deployer) Reference(ctx context.Context, name fairlead.Name, v fairlead.Version) (*profile.Reference, fairlead.Signature, error) {
	dep := d.get(name)
	if dep == nil {
		if sig, ok := d.pipelines.describe(name, v); ok {
			return nil, sig, nil
		}
		return nil, fairlead.Signature{}, fairlead.NotFound("there is no deployment %q", name)
	}
	known, err := d.describe(ctx, dep.Name, dep.Model, v)
	if err != nil {
		return nil, fairlead.Signature{}, err
	}
	return known.reference, known.sig, nil
}

// Metrics implements admin.References for versions that Reference was asked for before.
func (d *deployer) Metrics(name fairlead.Name, v fairlead.Version) map[string]float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.versions[versionKey{name, v}]; known != nil {
		return known.metrics
	}
	return nil
}

// Rule is the alert rule of a deployment: what the live version's bundle says under monitor, and the default for the rest.
func (d *deployer) Rule(name fairlead.Name) alert.Rule {
	dep := d.get(name)
	if dep == nil {
		return alert.DefaultRule()
	}
	known, err := d.describe(context.Background(), dep.Name, dep.Model, dep.Live)
	if err != nil {
		return alert.DefaultRule()
	}
	return known.rule
}

// ruleOf is the default rule with what a bundle says instead.
func ruleOf(m bundle.MonitorFile) alert.Rule {
	r := alert.DefaultRule()
	r.Measure, r.Grain = cmp.Or(m.Measure, r.Measure), cmp.Or(m.Grain, r.Grain)
	r.Threshold, r.Clear = cmp.Or(m.Tolerance, r.Threshold), cmp.Or(m.Clear, r.Clear)
	if m.Windows > 0 {
		r.For, r.Of = m.Windows, m.Of
	}
	if m.FDR != nil {
		r.FDR = *m.FDR
	}
	return r
}

// Info implements versionInfo for the recorder.
func (d *deployer) Info(name fairlead.Name, v fairlead.Version) (fairlead.Signature, *profile.Layout, bool) {
	ref, sig, err := d.Reference(context.Background(), name, v)
	if err != nil {
		return fairlead.Signature{}, nil, false
	}
	if ref == nil {
		return sig, nil, true
	}
	return sig, ref.Layout, true
}

// close releases every session.
func (d *deployer) close() error {
	d.change.Lock()
	defer d.change.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	empty, err := route.NewTable(nil)
	errs := []error{err}
	d.router.Swap(empty)
	d.serving = false
	for _, v := range d.versions {
		if v.session != nil {
			errs = append(errs, v.session.Close())
			v.session, v.target = nil, nil
		}
	}
	return errors.Join(errs...)
}
