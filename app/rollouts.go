package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/rollout"
)

// rolloutRecord is one rollout as it is stored. Its decisions lie under keys of their own, those of the last steps still in
// Unfiled: what was decided and where that leads are one write.
type rolloutRecord struct {
	ID         string             `json:"id"` // in order of time; also the salt of the assignment
	Deployment fairlead.Name      `json:"deployment"`
	Model      fairlead.Name      `json:"model"`
	From       fairlead.Version   `json:"from"`         // live when it began
	To         fairlead.Version   `json:"to,omitempty"` // 0: the policy names the versions
	Policy     rollout.Policy     `json:"policy"`
	State      rollout.State      `json:"state"`
	Edges      []float64          `json:"edges,omitempty"` // of the score's bins
	After      int64              `json:"after,omitempty"` // outcomes count from this place in the evaluation store on
	By         string             `json:"by,omitempty"`
	Why        string             `json:"why,omitempty"`
	Ended      time.Time          `json:"ended,omitzero"`
	Settled    bool               `json:"settled,omitempty"` // what its end asked for has been done
	Unfiled    []rollout.Decision `json:"unfiled,omitempty"`
	Last       string             `json:"last,omitempty"` // the latest decision in words
}

// versions that the rollout needs beside the live one.
func (r *rolloutRecord) versions() []fairlead.Version {
	if r.To != 0 {
		return []fairlead.Version{r.To}
	}
	var vs []fairlead.Version
	for _, a := range r.Policy.Arms {
		if a.Version != r.From {
			vs = append(vs, a.Version)
		}
	}
	return vs
}

// traffic is how the state wants the traffic parted; nil: everything to the live version.
func (r *rolloutRecord) traffic() *split {
	s := &split{salt: r.ID, edges: r.Edges}
	if r.Policy.Kind != rollout.KindRollout {
		if r.State.Phase != rollout.Running {
			return nil
		}
		arms := r.State.Arms
		if len(arms) == 0 {
			arms = r.Policy.Arms
		}
		s.id = r.ID
		for _, a := range arms {
			s.id += fmt.Sprintf("/%d:%.6f", a.Version, float64(a.Traffic))
			if a.Version != r.From && a.Traffic > 0 { // one that was closed may not be loaded
				s.arms = append(s.arms, armShare{"arm-" + a.Version.String(), a.Version, float64(a.Traffic)})
			}
		}
		return s
	}
	t := r.State.Traffic(r.Policy)
	s.id = fmt.Sprintf("%s/%d", r.ID, r.State.Stage)
	if r.State.Window > 0 { // the bake counts each of its windows anew
		s.id += fmt.Sprintf("/%d", r.State.Window)
	}
	if t.Shadow {
		s.shadow = r.To
	}
	if t.Canary > 0 {
		s.arms = []armShare{{string(fairlead.RoleCanary), r.To, float64(t.Canary)}}
	}
	if s.shadow == 0 && s.arms == nil {
		return nil
	}
	return s
}

// rolloutStore is the bucket of rollouts.
type rolloutStore interface {
	keyValue
	Delete(ctx context.Context, key string, revision uint64) error
}

// rollouts is the controller: it looks every second, asks ship/rollout what that means, stores the answer and then acts on
// it. One process has it; what it decides reaches the routes through the deployer.
type rollouts struct {
	kv       rolloutStore
	deployer *deployer
	log      *slog.Logger
	now      func() time.Time
	newID    func() string
	epoch    string                                                                   // of this process's counting
	chance   func() float64                                                           // uniform in [0,1), for bandits
	measured outcomeSource                                                            // nil: there are no outcomes
	load     func(fairlead.Name) rollout.Load                                         // as measured now
	passes   func(ctx context.Context, model fairlead.Name, v fairlead.Version) error // its tests, where that is required; nil: nobody asks

	leads func() bool // this server takes the steps; nil: it is alone
	peers *peers      // nil: it is alone

	mu       sync.Mutex
	all      map[fairlead.Name][]*running // oldest first
	starting map[fairlead.Name]bool
	work     sync.WaitGroup
}

// running is one rollout in this process, under way or over.
type running struct {
	id        string
	name      fairlead.Name // of the deployment
	stepping  atomic.Bool
	measuring atomic.Bool
	settled   atomic.Bool  // nothing is left to do
	ending    atomic.Int32 // how many are rolling it back: no traffic is parted, whatever a step that is under way decides
	outcomes  atomic.Pointer[measured]

	mu       sync.Mutex // one step or command at a time
	rec      rolloutRecord
	revision uint64
	unsaved  bool // rec could not be written
}

func newRunning(rec rolloutRecord, revision uint64) *running {
	r := &running{id: rec.ID, name: rec.Deployment, rec: rec, revision: revision}
	r.settled.Store(rec.Settled)
	return r
}

// Bounds of what is remembered of a deployment's rollouts.
const (
	maxRollouts   = 20
	maxRolloutAge = 2 * 365 * 24 * time.Hour
)

// rolloutEvery is how often a rollout is looked at.
const rolloutEvery = time.Second

// open reads the bucket and tells the deployer what the rollouts under way need. Call it before the deployer's open.
func (c *rollouts) open(ctx context.Context) error {
	c.all, c.starting = map[fairlead.Name][]*running{}, map[fairlead.Name]bool{}
	keys, err := c.kv.Keys(ctx)
	if err != nil {
		return fmt.Errorf("read the rollouts: %w", err)
	}
	slices.Sort(keys) // ids are in order of time
	for _, key := range keys {
		if strings.Count(key, "/") != 1 {
			continue // a decision
		}
		raw, revision, err := c.kv.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("read rollout %s: %w", key, err)
		}
		var rec rolloutRecord
		if err := json.Unmarshal(raw, &rec); err != nil {
			return fmt.Errorf("read rollout %s: %w", key, err)
		}
		c.all[rec.Deployment] = append(c.all[rec.Deployment], newRunning(rec, revision))
	}
	c.deployer.rolling = map[fairlead.Name]*rolling{}
	for name, rs := range c.all {
		last := &rs[len(rs)-1].rec
		if last.Settled {
			continue
		}
		c.log.Info("a rollout goes on where it stood", "deployment", name, "version", last.To, "stage", last.State.StageName(last.Policy))
		c.deployer.rolling[name] = &rolling{held: last.versions(), split: last.traffic()}
	}
	return nil
}

// run looks at every rollout under way until ctx ends. A slow one does not keep the others waiting.
func (c *rollouts) run(ctx context.Context) {
	defer c.work.Wait()
	tick := time.NewTicker(rolloutEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, r := range c.active() {
			c.alone(&r.stepping, func() {
				if err := c.step(ctx, r); err != nil && ctx.Err() == nil {
					c.log.Error("rollout", "deployment", r.name, "id", r.id, "err", err)
				}
			})
			// Not in the step: the evaluation store may be busy, and a rollback does not wait for it.
			if c.stepping() {
				c.alone(&r.measuring, func() { c.measure(ctx, r) })
			}
		}
	}
}

// alone runs work in a goroutine unless the last one is still at it.
func (c *rollouts) alone(busy *atomic.Bool, work func()) {
	if busy.CompareAndSwap(false, true) {
		c.work.Go(func() {
			defer busy.Store(false)
			work()
		})
	}
}

// active lists the rollouts that are not settled, at most one of a deployment.
func (c *rollouts) active() []*running {
	c.mu.Lock()
	defer c.mu.Unlock()
	var active []*running
	for _, rs := range c.all {
		if r := rs[len(rs)-1]; !r.settled.Load() {
			active = append(active, r)
		}
	}
	return active
}

// latest is the newest rollout of a deployment, nil for none.
func (c *rollouts) latest(name fairlead.Name) *running {
	c.mu.Lock()
	defer c.mu.Unlock()
	if rs := c.all[name]; len(rs) > 0 {
		return rs[len(rs)-1]
	}
	return nil
}

// step is one look at a rollout.
func (c *rollouts) step(ctx context.Context, r *running) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unsaved {
		if err := c.saveAgain(ctx, r); err != nil {
			return err
		}
	}
	phase := r.rec.State.Phase
	switch {
	case !c.stepping():
		return nil
	case (!phase.Over() || phase == rollout.Completed) && c.deployer.resting(r.name):
		return nil
	case phase.Over():
		return c.settle(ctx, r)
	}
	next, decisions := rollout.Step(r.rec.Policy, r.rec.State, c.observe(r))
	if err := c.take(ctx, r, next, decisions); err != nil {
		return err
	}
	return c.file(ctx, r)
}

// hurry is how long a rollback waits for the disk.
const hurry = 20 * time.Millisecond

// take stores where decisions lead, then acts on them. Only a rollback does not wait for a disk that is slow or full: that
// must not keep a bad version in front of clients, and a restart in between finds the rollout at the stage it was in. The
// caller holds r.mu.
func (c *rollouts) take(ctx context.Context, r *running, next rollout.State, decisions []rollout.Decision) error {
	if len(decisions) == 0 && reflect.DeepEqual(next, r.rec.State) {
		return nil
	}
	if promotes(&r.rec, &next) {
		var err error
		if next, decisions, err = c.promotable(ctx, r, next, decisions); err != nil {
			return err
		}
	}
	rec := r.rec
	rec.State = next
	rec.Unfiled = append(slices.Clone(rec.Unfiled), decisions...)
	if n := len(decisions); n > 0 {
		rec.Last = decisions[n-1].Text
	}
	if next.Phase.Over() {
		rec.Ended = c.now().UTC()
	}
	if next.Phase == rollout.RolledBack && c.stepping() {
		r.unsaved = c.rollBack(ctx, r, rec) != nil
	} else {
		if err := c.save(ctx, r, rec); err != nil {
			return err
		}
		r.rec = rec
		c.act(r)
	}
	for _, d := range decisions {
		c.log.Info("rollout: "+d.Text, "deployment", rec.Deployment, "version", rec.To, "action", string(d.Action), "reason", d.Reason, "by", d.Actor)
	}
	return nil
}

// rollBack stores that a rollout was rolled back and acts on it, whichever comes first after a moment. The error is the
// store's: by then the traffic is back. The caller holds r.mu.
func (c *rollouts) rollBack(ctx context.Context, r *running, rec rolloutRecord) error {
	stored := make(chan error, 1)
	go func() { stored <- c.save(ctx, r, rec) }()
	r.rec = rec
	timer := time.NewTimer(hurry)
	defer timer.Stop()
	var err error
	select {
	case err = <-stored:
		c.act(r)
	case <-timer.C:
		c.act(r)
		err = <-stored
	}
	if err != nil {
		c.log.Error("a rollback is carried out, and not stored yet", "deployment", r.name, "err", err)
	}
	return err
}

// act makes the routes what the state says. It is quick and waits for nobody.
func (c *rollouts) act(r *running) {
	want, is := r.rec.traffic(), c.deployer.parted(r.rec.Deployment)
	if r.ending.Load() > 0 {
		want = nil
	}
	if want == nil && is == nil || want != nil && is != nil && want.id == is.id {
		return
	}
	c.deployer.part(r.rec.Deployment, want)
}

// settle does what is not urgent at the end of a rollout: the new version becomes the live one, or goes. The caller holds
// r.mu.
func (c *rollouts) settle(ctx context.Context, r *running) error {
	if r.rec.Settled {
		return nil
	}
	name := r.rec.Deployment
	if r.rec.State.Phase == rollout.Completed {
		if done, err := c.deployer.tryLive(ctx, name, r.rec.Model, r.rec.To); err != nil || !done {
			return err
		}
	}
	c.deployer.release(name)
	if err := c.file(ctx, r); err != nil {
		return err
	}
	rec := r.rec
	rec.Settled = true
	if err := c.save(ctx, r, rec); err != nil {
		return err
	}
	r.rec = rec
	r.settled.Store(true)
	return nil
}

func recordKey(name fairlead.Name, id string) string { return bucketKey(name) + "/" + id }

func decisionKey(name fairlead.Name, id string, sequence int) string {
	return fmt.Sprintf("%s/%06d", recordKey(name, id), sequence)
}

// save writes a record. One that somebody else has changed was changed by a write of ours whose answer was lost: there is
// one controller.
func (c *rollouts) save(ctx context.Context, r *running, rec rolloutRecord) error {
	ctx = context.WithoutCancel(ctx)
	raw, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("store rollout %s of %s: %w", rec.ID, rec.Deployment, err)
	}
	key := recordKey(rec.Deployment, rec.ID)
	revision, err := c.kv.Put(ctx, key, raw, r.revision)
	if fairlead.CodeOf(err) == fairlead.CodeConflict {
		if c.peers != nil {
			return fmt.Errorf("store rollout %s of %s: %w", rec.ID, rec.Deployment, errors.Join(errOutrun, err))
		}
		if _, at, getErr := c.kv.Get(ctx, key); getErr == nil {
			revision, err = c.kv.Put(ctx, key, raw, at)
		}
	}
	if err != nil {
		return fmt.Errorf("store rollout %s of %s: %w", rec.ID, rec.Deployment, err)
	}
	r.revision = revision
	return nil
}

// file moves decisions out of the record to keys of their own, where they stay. The caller holds r.mu.
func (c *rollouts) file(ctx context.Context, r *running) error {
	if len(r.rec.Unfiled) == 0 || r.unsaved {
		return nil
	}
	for _, d := range r.rec.Unfiled {
		raw, err := json.Marshal(d)
		if err != nil {
			return err
		}
		key := decisionKey(r.rec.Deployment, r.rec.ID, d.Sequence)
		// A crash between this and the next write files it again.
		_, at, err := c.kv.Get(ctx, key)
		if err == nil {
			_, err = c.kv.Put(ctx, key, raw, at)
		}
		if err != nil {
			return fmt.Errorf("file decision %d of rollout %s: %w", d.Sequence, r.rec.ID, err)
		}
	}
	rec := r.rec
	rec.Unfiled = nil
	if err := c.save(ctx, r, rec); err != nil {
		return err
	}
	r.rec = rec
	return nil
}

// history is every decision of a rollout, oldest first.
func (c *rollouts) history(ctx context.Context, r *running) ([]rollout.Decision, error) {
	r.mu.Lock()
	rec := r.rec
	r.mu.Unlock()
	first := rec.State.Sequence + 1
	if len(rec.Unfiled) > 0 {
		first = rec.Unfiled[0].Sequence
	}
	var all []rollout.Decision
	for n := 1; n < first; n++ {
		raw, _, err := c.kv.Get(ctx, decisionKey(rec.Deployment, rec.ID, n))
		if err != nil {
			return nil, err
		}
		var d rollout.Decision
		if raw == nil {
			return nil, fmt.Errorf("decision %d of rollout %s of %s is missing", n, rec.ID, rec.Deployment)
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, fmt.Errorf("decision %d of rollout %s: %w", n, rec.ID, err)
		}
		all = append(all, d)
	}
	return append(all, rec.Unfiled...), nil
}

// forget removes the rollouts of a deployment that are too many or too old, with their decisions.
func (c *rollouts) forget(ctx context.Context, name fairlead.Name) error {
	c.mu.Lock()
	rs := c.all[name]
	var gone []*running
	for len(rs) > 1 && rs[0].settled.Load() && (len(rs) > maxRollouts || c.now().Sub(rs[0].rec.State.Started) > maxRolloutAge) {
		gone, rs = append(gone, rs[0]), rs[1:] // nobody writes to what is settled
	}
	c.all[name] = slices.Clone(rs)
	c.mu.Unlock()
	var errs []error
	for _, r := range gone {
		for n := 1; n <= r.rec.State.Sequence; n++ {
			errs = append(errs, c.kv.Delete(ctx, decisionKey(name, r.rec.ID, n), 0))
		}
		errs = append(errs, c.kv.Delete(ctx, recordKey(name, r.rec.ID), 0))
	}
	return errors.Join(errs...)
}
