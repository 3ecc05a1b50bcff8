package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/probe"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// probed is what the probe found of a version under these wishes; a reload under the same wishes does not measure again.
type probed struct {
	wish     wish
	settings route.Settings
	report   []string
	engine   string // which engine runs the model, where that was a choice
}

// lines is the report for people.
func (p *probed) lines() []string {
	if p.engine == "" {
		return p.report
	}
	return append([]string{p.engine}, p.report...)
}

// wish is how the author, or the client that loaded the model, wants it served.
type wish struct {
	maxBatch int
	delay    time.Duration // -1: as it comes
	ttl      time.Duration
	bytes    int64 // of the cache's answers; 0: shared
}

func wishOf(f *bundle.File, o *override) wish {
	w := wish{maxBatch: f.Batching.Max, delay: -1, ttl: f.Cache.TTL, bytes: f.Cache.Bytes}
	if f.Batching.Delay != nil {
		w.delay = *f.Batching.Delay
	}
	if o == nil {
		return w
	}
	if o.MaxBatch != nil {
		w.maxBatch = *o.MaxBatch
	}
	if o.Delay != nil {
		w.delay = *o.Delay
	}
	if o.Cache != nil && !*o.Cache {
		w.ttl = 0
	}
	if o.Cache != nil && *o.Cache && w.ttl == 0 {
		w.ttl = defaultTTL
	}
	return w
}

// defaultTTL is for clients that switch the cache on for a model whose author gave no time.
const defaultTTL = time.Minute

// ensure loads a version's session if it is not there yet. The caller holds change.
func (d *deployer) ensure(ctx context.Context, dep *deployment, v fairlead.Version) error {
	known, err := d.describe(ctx, dep.Name, dep.Model, v)
	if err != nil || known.session != nil {
		return err
	}
	_, err = d.renew(ctx, dep, v)
	return err
}

// renew loads a version, checks it and puts its new session in the place of the old one, which is the answer: to be closed
// when no route leads there. nil: there was none. On an error everything is as it was. The caller holds change.
func (d *deployer) renew(ctx context.Context, dep *deployment, v fairlead.Version) (*route.Target, error) {
	known, err := d.describe(ctx, dep.Name, dep.Model, v)
	if err != nil {
		return nil, err
	}
	if err := d.gatekeeper.admit(ctx, d.registry, dep.Model, v); err != nil {
		return nil, err
	}
	key := versionKey{dep.Name, v}
	d.setLoading(key, true)
	defer d.setLoading(key, false)
	b, err := d.registry.OpenFor(ctx, known.digest, "", d.host)
	if err != nil {
		return nil, err
	}
	var o *override
	if v == dep.Live {
		o = dep.Override
	}
	found, session, err := d.probe(ctx, known, b, wishOf(b.File, o))
	if err != nil {
		return nil, fmt.Errorf("load %s@%d: %w", dep.Model, v, err)
	}
	golden, err := b.Golden()
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	for _, line := range found.lines() {
		d.log.Debug("loaded", "deployment", dep.Name, "version", v, "found", line)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old := known.target
	known.golden = golden
	settings := found.settings
	settings.Durable = b.File != nil && b.File.Record.Durable
	known.session, known.probed, known.override, known.target = session, found, o, &route.Target{
		Deployment: dep.Name, Model: dep.Model, Version: v, Digest: known.digest, Variant: b.Variant().Name,
		Role: fairlead.RoleLive, Signature: known.sig, Session: session, Settings: settings,
	}
	return old, nil
}

// loadedWith is the override that a loaded version runs with.
func (d *deployer) loadedWith(name fairlead.Name, v fairlead.Version) *override {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.versions[versionKey{name, v}].override
}

func (d *deployer) setLoading(key versionKey, on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if on {
		d.loading[key] = true
	} else {
		delete(d.loading, key)
	}
}

// probe loads a model and finds out how to serve it.
func (d *deployer) probe(ctx context.Context, known *version, b *bundle.Bundle, w wish) (*probed, engine.Session, error) {
	golden, err := b.Golden()
	if err != nil {
		return nil, nil, err
	}
	var ran string
	o := probe.Options{
		Load: func(threads int) (session engine.Session, err error) {
			session, ran, err = d.loadFastest(ctx, b.Model(), threads, golden)
			return session, err
		},
		Golden:   probeGolden(golden),
		MaxBatch: w.maxBatch, CacheTTL: w.ttl, CacheSize: w.bytes, Cores: d.cores, Now: time.Now, Rest: d.rest, Memory: d.memory,
	}
	if w.delay >= 0 {
		o.MaxDelay = &w.delay
	}
	if known.probed != nil && known.probed.wish == w {
		o.Known = &known.probed.settings
	}
	r, err := probe.Run(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	found := &probed{wish: w, settings: r.Settings, report: r.Report, engine: ran}
	if o.Known != nil {
		found.report = known.probed.report
	}
	return found, r.Session, nil
}

// rest lets requests have the cores for as long as a model that is being loaded has just run.
func (d *deployer) rest(ctx context.Context, ran time.Duration) {
	d.mu.Lock()
	serving := d.serving
	d.mu.Unlock()
	if !serving {
		return
	}
	t := time.NewTimer(min(ran, time.Second))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// warmPrevious keeps the version before the live one loaded, and says whether it had to load it.
func (d *deployer) warmPrevious(ctx context.Context, dep *deployment) (loaded bool) {
	for _, v := range dep.warm() {
		if v == dep.Live || d.isLoaded(dep.Name, v) {
			continue
		}
		if err := d.ensure(ctx, dep, v); err != nil {
			d.log.Warn("the version before does not load; a rollback to it would fail", "deployment", dep.Name, "version", v, "err", err)
			continue
		}
		loaded = true
	}
	return loaded
}

func (d *deployer) isLoaded(name fairlead.Name, v fairlead.Version) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.versions[versionKey{name, v}]
	return known != nil && known.session != nil
}

// warm lists the versions that stay loaded: the live one, and the one that a rollback goes to.
func (dep *deployment) warm() []fairlead.Version {
	if dep.Unloaded {
		return nil
	}
	return append([]fairlead.Version{dep.Live}, dep.Previous[max(0, len(dep.Previous)-1):]...)
}

// retire takes the sessions of a deployment that are not of the versions to keep; close them when no route leads there.
func (d *deployer) retire(name fairlead.Name, keep []fairlead.Version) []*route.Target {
	d.mu.Lock()
	defer d.mu.Unlock()
	var retired []*route.Target
	for key, v := range d.versions {
		if key.name == name && v.session != nil && !slices.Contains(keep, key.version) {
			retired = append(retired, v.target)
			v.session, v.target = nil, nil
		}
	}
	return retired
}

// publish swaps the route table, then closes what left it: requests that wait for a target are answered first, and a
// session's Close waits for its runs.
func (d *deployer) publish(retired []*route.Target) {
	if !d.swap(true) {
		return
	}
	for _, t := range retired {
		if t == nil {
			continue
		}
		if d.drain != nil {
			if err := d.drain(context.Background(), t); err != nil {
				d.log.Warn("drain a queue", "deployment", t.Deployment, "version", t.Version, "err", err)
			}
		}
		if err := t.Session.Close(); err != nil {
			d.log.Warn("close a session", "deployment", t.Deployment, "version", t.Version, "err", err)
		}
	}
}

// swap makes the route table of what is deployed now. fresh reads aliases that are not known, and is for who holds change.
func (d *deployer) swap(fresh bool) bool {
	if fresh {
		d.readAliases()
	}
	d.table.Lock()
	defer d.table.Unlock()
	table, err := route.NewTable(d.pipelines.beside(d.routes()))
	if err != nil {
		d.log.Error("routes not swapped", "err", err) // names come from a map: they cannot repeat
		return false
	}
	d.router.Swap(table)
	return true
}

// reload gives the live version of a deployment a new session: requests go on with the old one until the new one has been
// warmed up and checked. When that fails the old one stays.
func (d *deployer) reload(ctx context.Context, name fairlead.Name) error {
	dep := d.get(name)
	if dep == nil {
		return d.unknown(name)
	}
	return d.loadAgain(ctx, name, dep.Override)
}

// loadAgain makes a deployment ready: it loads what was unloaded or failed, and reloads what serves. o is how the client
// wants it; nil: as its bundle says.
func (d *deployer) loadAgain(ctx context.Context, name fairlead.Name, o *override) error {
	d.change.Lock()
	defer d.change.Unlock()
	dep := d.get(name)
	if dep == nil {
		return d.unknown(name)
	}
	next := *dep
	next.Unloaded, next.Override, next.failed = false, o, nil
	old, err := d.renew(ctx, &next, next.Live)
	if err != nil {
		return err
	}
	retired := []*route.Target{old}
	if !dep.Unloaded && sameOverride(dep.Override, o) && dep.failed == nil { // the state says all this already
		d.publish(retired)
		return nil
	}
	next.Changed = d.now().UTC()
	if err := d.commit(ctx, dep, &next, retired...); err != nil {
		return err
	}
	d.holdAgain(ctx, &next)
	d.publish(nil)
	return nil
}

// unload takes a deployment out of service when its requests under way are answered. It stays in the registry and keeps
// its history.
func (d *deployer) unload(ctx context.Context, name fairlead.Name) error {
	d.change.Lock()
	defer d.change.Unlock()
	dep := d.get(name)
	if dep == nil {
		return d.unknown(name)
	}
	if dep.Unloaded {
		return nil
	}
	next := *dep
	next.Unloaded, next.failed, next.Changed = true, nil, d.now().UTC()
	return d.commit(ctx, dep, &next)
}

func (d *deployer) unknown(name fairlead.Name) error {
	return fairlead.NotFound("there is no deployment %q", name).Hintf("push a model under that name first")
}

// Report is what the probe found of a version when it was last loaded, a line per finding; nil for one that never was.
func (d *deployer) Report(name fairlead.Name, v fairlead.Version) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.versions[versionKey{name, v}]; known != nil && known.probed != nil {
		return known.probed.lines()
	}
	return nil
}
