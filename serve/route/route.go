// Package route says which loaded version answers a call. A Table is an immutable value; a Router holds the present one
// and swaps it at once for everybody.
package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/codec"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// Target is one loaded version in a deployment.
type Target struct {
	Deployment fairlead.Name
	Model      fairlead.Name
	Version    fairlead.Version
	Digest     fairlead.Digest
	Variant    string
	Role       fairlead.Role
	Signature  fairlead.Signature // the bundle's: the graph's with feature names, roles and classes
	Session    engine.Session
	Settings   Settings

	schema       *codec.Schema
	takes, gives uint64 // fingerprints of the signature's inputs and outputs
	once         sync.Once
	attached     any
}

// Settings say how a target is run. They are fixed when it is loaded.
type Settings struct {
	MaxBatch  int           // rows of one run at most; 1: requests are never run together
	Batching  string        // for people: why MaxBatch is what it is
	MaxDelay  time.Duration // how long a request may wait for others while a core is idle; 0: never
	Cost      Cost          // of a run, as measured at load
	MaxQueue  int           // requests waiting at most; 0: the server's
	CacheTTL  time.Duration // how long an answer may be given again; 0: never
	CacheSize int64         // bytes of answers beside those of other targets; 0: they share
	Threads   int           // of one run
	Memory    int64         // bytes that loading it took, as measured; 0: unknown
	Durable   bool          // an answer waits until its rows are on disk
}

// Cost is a model's time per run of b rows: L(b) = Fixed + PerRow·b, with Residual what 99 of 100 runs stay under beyond
// that. The zero Cost is unknown.
type Cost struct {
	Fixed, PerRow, Residual time.Duration
}

// Attach gives what the first call of it made: whoever serves the target keeps there what is to live as long as it, such
// as the queue of its requests. One server at a time does.
func (t *Target) Attach(first func() any) any {
	t.once.Do(func() { t.attached = first() })
	return t.attached
}

// Schema is what the codec needs to know of the signature. It is nil in a target that is in no table.
func (t *Target) Schema() *codec.Schema { return t.schema }

// Deployment is a name that clients call.
type Deployment struct {
	Name    fairlead.Name
	Live    *Target                     // answers calls without a version; nil while there is none
	Others  []*Target                   // other loaded versions, called by number
	Aliases map[string]fairlead.Version // may name versions that are not loaded
	Split   *Split                      // divides the calls without a version; nil: Live answers all of them
	Reason  string                      // why there is no live version, for people: "loading", or what went wrong
}

// Table is the deployments that exist. It does not change.
type Table struct {
	deployments map[fairlead.Name]*Deployment
	names       []string
}

// NewTable copies deployments, whose names must differ, and fills in each target's Deployment and Schema. Targets belong
// to the table afterwards.
func NewTable(deployments []Deployment) (*Table, error) {
	t := &Table{deployments: make(map[fairlead.Name]*Deployment, len(deployments))}
	for _, d := range deployments {
		if t.deployments[d.Name] != nil {
			return nil, fmt.Errorf("deployment %s is in the table twice", d.Name)
		}
		d.Others = slices.Clone(d.Others)
		for _, target := range d.targets() {
			// A target that serves in a table already is being read: leave it alone.
			if target.schema == nil {
				target.Deployment = d.Name
				target.schema = codec.NewSchema(&target.Signature)
				target.schema.Model = string(d.Name)
				target.takes, target.gives = fingerprint(target.Signature.Inputs), fingerprint(target.Signature.Outputs)
			}
		}
		t.deployments[d.Name] = &d
		t.names = append(t.names, string(d.Name))
	}
	slices.Sort(t.names)
	return t, nil
}

// targets are the versions of the split, too, whether Others has them or not.
func (d *Deployment) targets() []*Target {
	ts := slices.Clone(d.Others)
	add := func(t *Target) {
		if t != nil && !slices.Contains(ts, t) {
			ts = append(ts, t)
		}
	}
	add(d.Live)
	if d.Split != nil {
		for i := range d.Split.arms {
			add(d.Split.arms[i].Target)
		}
		add(d.Split.shadow)
	}
	return ts
}

// Targets are the loaded versions, newest first.
func (d *Deployment) Targets() []*Target {
	ts := d.targets()
	slices.SortFunc(ts, func(a, b *Target) int { return cmp.Compare(b.Version, a.Version) })
	return ts
}

// Names lists the deployments in order.
func (t *Table) Names() []string { return slices.Clone(t.names) }

// Deployment finds one by name. The error is CodeNotFound and lists what exists.
func (t *Table) Deployment(name string) (*Deployment, error) {
	if d := t.deployments[fairlead.Name(name)]; d != nil {
		return d, nil
	}
	err := fairlead.NotFound("no model or deployment is called %.80q", name)
	if len(t.names) == 0 {
		return nil, err.Hintf("there is none yet; push one with: fairlead push model.onnx --name %s", exampleName(name))
	}
	return nil, err.Hintf("there %s %s", areOrIs(len(t.names)), list(t.names))
}

func exampleName(name string) string {
	if _, err := fairlead.ParseName(name); err == nil {
		return name
	}
	return "flights"
}

// Lookup finds the version that answers a call of name: the live one for an empty version, else the loaded version of
// that number ("3" or "v3") or alias. Errors are CodeNotFound and list what exists, or CodeUnavailable where a
// deployment has no live version yet.
func (t *Table) Lookup(name, version string) (*Target, error) {
	_, target, err := t.Route(name, version)
	return target, err
}

// Route is Lookup, and the deployment that the name means.
func (t *Table) Route(name, version string) (*Deployment, *Target, error) {
	d, err := t.Deployment(name)
	if err != nil {
		return nil, nil, err
	}
	target, err := d.lookup(version)
	return d, target, err
}

func (d *Deployment) lookup(version string) (*Target, error) {
	if version == "" {
		if d.Live != nil {
			return d.Live, nil
		}
		reason := d.Reason
		if reason == "" {
			reason = "loading"
		}
		return nil, fairlead.Errorf(fairlead.CodeUnavailable, "%s is not ready: %s", d.Name, reason)
	}
	v, known := d.Aliases[version]
	var err error
	if !known {
		v, err = fairlead.ParseVersion(version)
	}
	if err == nil {
		for _, target := range d.targets() {
			if target.Version == v {
				return target, nil
			}
		}
	}
	return nil, d.noVersion(version, v, known)
}

func (d *Deployment) noVersion(version string, v fairlead.Version, alias bool) error {
	var loaded []string
	for _, target := range d.Targets() {
		loaded = append(loaded, target.Version.String())
	}
	for a, v := range d.Aliases {
		if slices.Contains(loaded, v.String()) {
			loaded = append(loaded, a)
		}
	}
	err := fairlead.NotFound("%s has no version or alias %.80q loaded", d.Name, version)
	if alias {
		err = fairlead.NotFound("%s:%s is version %d, which is not loaded", d.Name, version, v)
	}
	if len(loaded) == 0 {
		return err.Hintf("no version of it is loaded")
	}
	return err.Hintf("there %s %s", areOrIs(len(loaded)), list(loaded))
}

func areOrIs(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// list names up to ten.
func list(names []string) string {
	if len(names) > 10 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:10], ", "), len(names)-10)
	}
	return strings.Join(names, ", ")
}

// Router holds the present table. The zero Router has an empty one. It may be used by many goroutines at once.
type Router struct{ table atomic.Pointer[Table] }

var empty = &Table{}

// Load is the present table.
func (r *Router) Load() *Table {
	if t := r.table.Load(); t != nil {
		return t
	}
	return empty
}

// Swap makes t the present table and gives the one before. Calls that have looked up a target of that one may still
// run it: close its sessions afterwards, and serve sends a call that comes too late to the new table.
func (r *Router) Swap(t *Table) *Table {
	if old := r.table.Swap(t); old != nil {
		return old
	}
	return empty
}
