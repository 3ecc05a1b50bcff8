package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/eventlog"
	"github.com/fairlead-ml/fairlead/internal/lifecycle"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// Servers that share a log share its buckets too. Whatever one of them writes there, the others follow: a push, an alias,
// a rollback, a step of a rollout reaches every route table. Each change carries the revision of its key; what a server
// wrote itself, or has seen, it passes over. A change that cannot be followed now (a model that does not load, a blob that
// does not come) leaves what serves in place and is tried again.

// sharedBlobs lets the registry and the pipelines keep their blobs where all servers find them.
type sharedBlobs struct{ objects *eventlog.Objects }

func (s sharedBlobs) Put(ctx context.Context, d fairlead.Digest, content []byte) error {
	return s.objects.Put(ctx, string(d), content)
}

func (s sharedBlobs) Get(ctx context.Context, d fairlead.Digest) ([]byte, error) {
	return s.objects.Get(ctx, string(d))
}

// openShared opens what servers on one log have in common beside the buckets.
func (a *App) openShared(ctx context.Context) error {
	objects, err := a.events.Objects(ctx, "blobs")
	if err != nil {
		return err
	}
	a.blobs = sharedBlobs{objects}
	a.registry.ShareBlobs(a.blobs)
	return nil
}

// joinOthers makes this server one of several.
func (a *App) joinOthers(ctx context.Context) error {
	buckets := map[string]*eventlog.KV{}
	for _, name := range []string{"installation", "servers", "tallies"} {
		kv, err := a.events.KV(ctx, name)
		if err != nil {
			return err
		}
		buckets[name] = kv
	}
	a.peers = &peers{
		id: a.id, reads: buckets["servers"], tallies: buckets["tallies"], deployer: a.deployer, log: a.log, now: time.Now, contact: time.Now(),
		position: func(ctx context.Context, s eventlog.Stream) (uint64, error) { return a.store.Position(ctx, string(s)) },
		own:      map[fairlead.Name]*armsHere{}, others: map[string]sharedTally{}, written: map[string]uint64{},
	}
	a.leader = &leader{kv: buckets["installation"], id: a.id, now: time.Now, log: a.log, gained: func(ctx context.Context) {
		if err := a.books.flush(ctx); err != nil {
			a.log.Error("alerts", "err", err)
		}
	}}
	a.books.leads, a.rollouts.leads, a.rollouts.peers = a.leader.leads, a.leader.leads, a.peers
	return nil
}

// followers are the loops that follow the other servers; none where there are none.
func (a *App) followers() []lifecycle.Part {
	if !a.shared() {
		return nil
	}
	// What a loop follows with is made by a part that starts before it.
	loop := func(bucket string, take func(context.Context, eventlog.Change) error) lifecycle.Part {
		return lifecycle.Loop("following "+bucket, func(ctx context.Context) { a.follow(ctx, bucket, take) })
	}
	return []lifecycle.Part{
		loop("models", a.followModel),
		loop("deployments", func(ctx context.Context, c eventlog.Change) error { return a.deployer.follow(ctx, c) }),
		loop("pipelines", func(ctx context.Context, c eventlog.Change) error { return a.pipelines.follow(ctx, c) }),
		loop("annotations", func(ctx context.Context, c eventlog.Change) error { return a.annotations.follow(ctx, c) }),
		lifecycle.Loop("signs of life", func(ctx context.Context) { a.peers.run(ctx) }),
		lifecycle.Loop("lease", func(ctx context.Context) { a.leader.run(ctx) }),
		loop("tallies", func(ctx context.Context, c eventlog.Change) error { return a.peers.follow(ctx, c) }),
		loop("rollouts", func(ctx context.Context, c eventlog.Change) error { return a.rollouts.follow(ctx, c) }),
	}
}

// follow takes the changes of a bucket until ctx ends. One that fails does not hold up the others: it is tried again.
func (a *App) follow(ctx context.Context, bucket string, take func(context.Context, eventlog.Change) error) {
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := a.followOnce(ctx, bucket, take)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			a.log.Warn("what another server changed was not followed yet; trying again", "bucket", bucket, "wait", wait, "err", err)
		}
		if err == nil || fairlead.CodeOf(err) == fairlead.CodeUnavailable { // a rollback elsewhere is in a hurry
			wait = time.Second
		}
		if pause(ctx, wait) != nil {
			return
		}
	}
}

// followOnce goes through the changes from the latest of each key on, and ends a moment after one failed, to begin again.
func (a *App) followOnce(ctx context.Context, bucket string, take func(context.Context, eventlog.Change) error) error {
	kv, err := a.events.KV(ctx, bucket)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed []error
	err = kv.Changes(inner, func(c eventlog.Change) {
		err := take(ctx, c)
		if err == nil || ctx.Err() != nil {
			return
		}
		if len(failed) == 0 { // those behind it have their turn
			timer := time.AfterFunc(2*time.Second, cancel)
			context.AfterFunc(inner, func() { timer.Stop() })
		}
		failed = append(failed[:min(len(failed), 9)], fmt.Errorf("%s: %w", c.Key, err))
	})
	return errors.Join(append(failed, err)...)
}

// followModel lets the routes follow aliases, and new versions be known.
func (a *App) followModel(_ context.Context, c eventlog.Change) error {
	if !strings.Contains(c.Key, "/") { // else a lease or old moves
		a.deployer.refresh(nameOfKey(c.Key))
	}
	return nil
}

// follow makes a deployment what another server made it.
func (d *deployer) follow(ctx context.Context, c eventlog.Change) error {
	if c.Value == nil {
		return nil // deployments are not deleted
	}
	next := &deployment{revision: c.Revision}
	if err := json.Unmarshal(c.Value, next); err != nil {
		return fmt.Errorf("read deployment %s: %w", c.Key, err)
	}
	d.change.Lock()
	defer d.change.Unlock()
	old := d.get(next.Name)
	if old != nil && old.revision >= c.Revision && old.failed == nil {
		return nil
	}
	d.reread(next.Model)
	var retired []*route.Target
	if !next.Unloaded {
		target, err := d.bring(ctx, next)
		if err != nil {
			if old == nil {
				next.failed, next.revision = err, 0 // shown, and not changed from here
				d.set(next)
				d.publish(nil)
			}
			return err
		}
		retired = append(retired, target)
	}
	d.set(next)
	d.publish(append(d.retire(next.Name, d.kept(next)), retired...))
	if d.warmPrevious(ctx, next) {
		d.publish(nil)
	}
	d.holdAgain(ctx, next)
	d.publish(nil)
	d.log.Info("deployment follows another server", "deployment", next.Name, "version", next.Live, "unloaded", next.Unloaded)
	return nil
}

// bring loads the live version of a deployment as its state wants it. The answer is a target whose place was taken; nil:
// none.
func (d *deployer) bring(ctx context.Context, dep *deployment) (*route.Target, error) {
	if d.isLoaded(dep.Name, dep.Live) && !sameOverride(d.loadedWith(dep.Name, dep.Live), dep.Override) {
		return d.renew(ctx, dep, dep.Live)
	}
	return nil, d.ensure(ctx, dep, dep.Live)
}

func (d *deployer) set(dep *deployment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deployments[dep.Name] = dep
}

// follow makes a pipeline what another server made it.
func (p *pipelines) follow(ctx context.Context, c eventlog.Change) error {
	p.change.Lock()
	defer p.change.Unlock()
	known := p.get(nameOfKey(c.Key))
	if c.Value == nil {
		if known != nil && known.state.revision < c.Revision {
			p.mu.Lock()
			delete(p.loaded, known.state.Name)
			p.mu.Unlock()
			p.deployer.swap(false)
			p.retire(known)
		}
		return nil
	}
	if known != nil && known.state.revision >= c.Revision && known.failed == nil {
		return nil
	}
	s := &pipelineState{revision: c.Revision}
	if err := json.Unmarshal(c.Value, s); err != nil {
		return fmt.Errorf("read pipeline %s: %w", c.Key, err)
	}
	l := p.restore(ctx, s)
	if l.failed != nil && known != nil && known.failed == nil {
		return l.failed // what serves goes on
	}
	old := p.put(l)
	p.deployer.swap(false)
	p.retire(old)
	return l.failed
}

// follow takes over the marks that another server keeps.
func (a *annotations) follow(_ context.Context, c eventlog.Change) error {
	name := nameOfKey(c.Key)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.revs[name] >= c.Revision {
		return nil
	}
	var list []api.Annotation
	if c.Value != nil {
		if err := json.Unmarshal(c.Value, &list); err != nil {
			return fmt.Errorf("annotations of %s: %w", name, err)
		}
	}
	a.lists[name], a.revs[name] = list, c.Revision
	return nil
}

// follow makes a rollout what the server that leads it made it: its versions are loaded and the traffic is parted here too.
func (c *rollouts) follow(ctx context.Context, ch eventlog.Change) error {
	if strings.Count(ch.Key, "/") != 1 || ch.Value == nil {
		return nil // a decision, a claim, or one that was forgotten
	}
	var rec rolloutRecord
	if err := json.Unmarshal(ch.Value, &rec); err != nil {
		return fmt.Errorf("read rollout %s: %w", ch.Key, err)
	}
	r := c.known(rec, ch.Revision)
	r.mu.Lock()
	if r.revision < ch.Revision {
		r.rec, r.revision, r.unsaved = rec, ch.Revision, false
		r.settled.Store(rec.Settled)
	}
	rec = r.rec
	r.mu.Unlock()
	if c.latest(rec.Deployment) != r {
		return nil
	}
	if rec.Settled {
		if c.deployer.holding(rec.Deployment) != nil {
			c.deployer.release(rec.Deployment)
		}
		return nil
	}
	if held := c.deployer.holding(rec.Deployment); !rec.State.Phase.Over() && !slices.Equal(held, rec.versions()) {
		if err := c.deployer.hold(ctx, rec.Deployment, rec.versions()...); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.act(r)
	return nil
}

// known finds a rollout of this process, or makes it known.
func (c *rollouts) known(rec rolloutRecord, revision uint64) *running {
	return c.adopt(newRunning(rec, revision))
}

// adopt makes a rollout known, unless it is: then it gives the one that is.
func (c *rollouts) adopt(r *running) *running {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.all[r.name] {
		if known.id == r.id {
			return known
		}
	}
	c.all[r.name] = append(slices.Clone(c.all[r.name]), r)
	slices.SortFunc(c.all[r.name], func(a, b *running) int { return strings.Compare(a.id, b.id) })
	return r
}

// holding are the versions that a rollout keeps loaded; nil: there is none.
func (d *deployer) holding(name fairlead.Name) []fairlead.Version {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.rolling[name]; r != nil {
		return r.held
	}
	return nil
}
