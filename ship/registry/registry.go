// Package registry keeps sealed bundles. Their blobs lie on disk in an OCI image layout; which version of which model
// a digest is, and what the aliases point at, is a record per model in a key-value store with compare-and-set. The
// store decides: a version exists once its record says so, and by then its blobs are on disk.
package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// KV is the store of the records. Put with the revision that Get gave replaces the value, or fails with
// fairlead.CodeConflict when somebody was faster; revision 0 means that the key must not exist. Get of an absent key
// is nil, 0, nil.
type KV interface {
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Keys(ctx context.Context) ([]string, error)
}

// Champion is the alias that an empty reference means, where it is set.
const Champion = "champion"

// Entry is one version of a model. A removed one keeps its place, so that no ordinal is ever given twice.
type Entry struct {
	Model    fairlead.Name     `json:"model"`
	Version  fairlead.Version  `json:"version"` // from 1, without holes
	Digest   fairlead.Digest   `json:"digest"`  // of the index
	Created  time.Time         `json:"created"`
	Size     int64             `json:"size"`               // bytes of the whole bundle
	Variants []string          `json:"variants,omitempty"` // in order of preference
	Origins  []bundle.Origin   `json:"origins,omitempty"`  // lineage, one step back
	Attached []fairlead.Digest `json:"attached,omitempty"` // manifests that refer to this version: signatures
	Removing time.Time         `json:"removing,omitzero"`  // a removal has begun; whoever takes the version into use ends it
	Removed  time.Time         `json:"removed,omitzero"`   // its content may be gone
	By       string            `json:"removed_by,omitempty"`
}

// Kept says that the version has not been removed.
func (e *Entry) Kept() bool { return e.Removed.IsZero() }

// Model is what the registry knows under one name.
type Model struct {
	Name     fairlead.Name               `json:"name"`
	Versions []Entry                     `json:"versions"` // oldest first: version n is at n-1, removed or not
	Aliases  map[string]fairlead.Version `json:"aliases,omitempty"`
	Moves    []Move                      `json:"moves,omitempty"`    // the latest moves of aliases, oldest first
	Archived int                         `json:"archived,omitempty"` // blocks of older moves, under keys of their own
}

// Kept lists the versions that have not been removed, oldest first.
func (m *Model) Kept() []Entry {
	return slices.DeleteFunc(slices.Clone(m.Versions), func(e Entry) bool { return !e.Kept() })
}

// Registry is safe for concurrent use, also by several processes on one KV, each with a disk of its own.
type Registry struct {
	blobs blobs
	kv    KV
	index sync.Mutex // held while index.json is rewritten
	gate  gate
	users users
}

// Open makes or opens the registry in dir. It removes half-written files of a crash, so that one process at a time may
// have dir open.
func Open(dir string, kv KV) (*Registry, error) {
	r := &Registry{blobs: blobs{dir: dir}, kv: kv}
	if err := r.blobs.open(); err != nil {
		return nil, fmt.Errorf("open registry %s: %w", dir, err)
	}
	return r, nil
}

// Add stores b, all of whose variants must be in it, as the next version of model and lets alias, if not empty, point at
// it, whatever it pointed at. Content that the model has already makes no new version: existing is true and the entry
// the old one, at which the alias then points. Content that was removed comes back as a new version.
func (r *Registry) Add(ctx context.Context, model fairlead.Name, b *bundle.Bundle, now time.Time, alias string) (e Entry, existing bool, err error) {
	if _, err := fairlead.ParseName(string(model)); err != nil {
		return Entry{}, false, err
	}
	if alias != "" {
		if err := CheckAlias(alias); err != nil {
			return Entry{}, false, err
		}
	}
	for _, v := range b.Variants {
		if _, ok := b.Blobs[v.Digest]; !ok && v.Digest != b.Digest {
			return Entry{}, false, fmt.Errorf("add %s: the bundle was read without its variant %s", model, v.Name)
		}
	}
	defer r.gate.hold(append(slices.Collect(maps.Keys(b.Blobs)), b.Digest))()
	for d, content := range b.Blobs {
		if err := r.blobs.put(d, content); err != nil {
			return Entry{}, false, fmt.Errorf("add %s: store blob %s: %w", model, d, err)
		}
	}
	// The index comes last: whoever finds it finds all it refers to.
	if err := r.blobs.put(b.Digest, b.Raw); err != nil {
		return Entry{}, false, fmt.Errorf("add %s: store index %s: %w", model, b.Digest, err)
	}
	e, existing, err = r.record(ctx, model, b, now, alias)
	if err != nil {
		return Entry{}, false, fmt.Errorf("add %s: %w", model, err)
	}
	if err := r.Reindex(ctx); err != nil {
		return Entry{}, false, fmt.Errorf("add %s: %w", model, err)
	}
	return e, existing, nil
}

// record writes a version whose blobs are on disk into the model's record.
func (r *Registry) record(ctx context.Context, model fairlead.Name, b *bundle.Bundle, now time.Time, alias string) (e Entry, existing bool, err error) {
	err = r.update(ctx, model, func(m *Model) error {
		i := slices.IndexFunc(m.Versions, func(o Entry) bool { return o.Digest == b.Digest && o.Kept() })
		if existing = i >= 0; !existing {
			i = len(m.Versions)
			m.Versions = append(m.Versions, Entry{
				Model: model, Version: fairlead.Version(i + 1), Digest: b.Digest, Created: now.UTC(), Size: b.Size(), Origins: b.File.Lineage.Origins(),
			})
			for _, v := range b.Variants {
				if v.Digest == b.Digest {
					break // a single manifest, from before there were variants
				}
				m.Versions[i].Variants = append(m.Versions[i].Variants, v.Name)
			}
		}
		m.Versions[i].Removing = time.Time{}
		e = m.Versions[i]
		if alias != "" {
			m.point(Move{Alias: alias, To: e.Version, At: now.UTC()})
		}
		return r.archive(ctx, m)
	})
	return e, existing, err
}

// attempts bounds the rounds of compare-and-set; each round that is lost means that another writer has won.
const attempts = 200

// errUnchanged is what a change answers that has nothing to write.
var errUnchanged = errors.New("unchanged")

// update changes the record of a model by compare-and-set. change is called again whenever somebody was faster.
func (r *Registry) update(ctx context.Context, model fairlead.Name, change func(*Model) error) error {
	return r.retry(ctx, "model "+string(model), func() error {
		m, revision, err := r.load(ctx, model)
		if err != nil {
			return err
		}
		if err := change(m); errors.Is(err, errUnchanged) {
			return nil
		} else if err != nil {
			return refused{err}
		}
		value, err := json.Marshal(m)
		if err != nil {
			return err
		}
		_, err = r.kv.Put(ctx, key(model), value, revision)
		return err
	})
}

// refused is an error that trying again does not mend, whatever its code.
type refused struct{ error }

// retry calls write until nobody else was faster. Whether it was in vain is the store's CodeConflict.
func (r *Registry) retry(ctx context.Context, what string, write func() error) error {
	for i := range attempts {
		err := write()
		if no, ok := err.(refused); ok { //nolint:errorlint // made two lines above, never wrapped
			return no.error
		}
		if fairlead.CodeOf(err) != fairlead.CodeConflict {
			return err
		}
		pause := time.NewTimer(rand.N(time.Duration(min(i+1, 20)) * time.Millisecond))
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
	return fairlead.Errorf(fairlead.CodeConflict, "the record of %s changes too fast", what).Hintf("try again")
}

// joined keeps an error as it is where undoing its work went well.
func joined(err, undo error) error {
	if undo == nil {
		return err
	}
	return errors.Join(err, undo)
}

// load is the record of a model and its revision; a record without versions and revision 0 if there is none.
func (r *Registry) load(ctx context.Context, model fairlead.Name) (*Model, uint64, error) {
	value, revision, err := r.kv.Get(ctx, key(model))
	if err != nil {
		return nil, 0, fmt.Errorf("record of model %s: %w", model, err)
	}
	m := &Model{Name: model}
	if value == nil {
		return m, revision, nil
	}
	if err := json.Unmarshal(value, m); err != nil {
		return nil, 0, fmt.Errorf("record of model %s: %w", model, err)
	}
	for i, e := range m.Versions {
		if e.Version != fairlead.Version(i+1) {
			return nil, 0, fmt.Errorf("record of model %s: version %d stands at place %d", model, e.Version, i+1)
		}
	}
	return m, revision, nil
}

// isRecord tells the keys of models from those of leases and of archived moves.
func isRecord(key string) bool { return !strings.Contains(key, "/") }

// key keeps dots out of the store's keys, where they part a path: a name may end in one or hold two in a row.
func key(model fairlead.Name) string { return strings.ReplaceAll(string(model), ".", "=") }

func nameOf(key string) fairlead.Name { return fairlead.Name(strings.ReplaceAll(key, "=", ".")) }

// Model is what is known of one model. An unknown one is CodeNotFound, with the names there are.
func (r *Registry) Model(ctx context.Context, model fairlead.Name) (Model, error) {
	m, _, err := r.load(ctx, model)
	if err != nil {
		return Model{}, err
	}
	if len(m.Kept()) == 0 {
		return Model{}, r.unknownModel(ctx, model)
	}
	return *m, nil
}

// List is every model that has a version, by name.
func (r *Registry) List(ctx context.Context) ([]Model, error) {
	keys, err := r.kv.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	models := []Model{}
	for _, k := range keys {
		if !isRecord(k) {
			continue
		}
		m, _, err := r.load(ctx, nameOf(k))
		if err != nil {
			return nil, err
		}
		if len(m.Kept()) > 0 {
			models = append(models, *m)
		}
	}
	slices.SortFunc(models, func(a, b Model) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return models, nil
}

// Open reads a sealed version, with all its variants, by its digest. Every blob is verified while it is read; an error
// names the blob and the file that is damaged or missing. The first variant is selected.
func (r *Registry) Open(ctx context.Context, d fairlead.Digest) (*bundle.Bundle, error) {
	return r.open(ctx, d, bundle.Unseal)
}

// OpenFor reads one variant of a version: the named one, or with an empty name the first that runs on the host. The error
// is CodeUnsupported, and says what is lacking, if none does.
func (r *Registry) OpenFor(ctx context.Context, d fairlead.Digest, variant string, host bundle.Host) (*bundle.Bundle, error) {
	return r.open(ctx, d, func(raw []byte, fetch bundle.Fetch) (*bundle.Bundle, error) {
		return bundle.UnsealVariant(raw, fetch, func(vs []bundle.Variant) (int, error) { return bundle.Choose(vs, variant, host) })
	})
}

// Describe reads what a version says of itself, without its graphs and data.
func (r *Registry) Describe(ctx context.Context, d fairlead.Digest) (*bundle.Bundle, error) {
	return r.open(ctx, d, bundle.UnsealDescription)
}

func (r *Registry) open(ctx context.Context, d fairlead.Digest, unseal func([]byte, bundle.Fetch) (*bundle.Bundle, error)) (*bundle.Bundle, error) {
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	raw, err := r.blobs.read(bundle.Blob{Digest: d, Size: -1, Name: "index"}, bundle.MaxManifest)
	if err != nil {
		return nil, err
	}
	b, err := unseal(raw, func(part bundle.Blob) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return r.blobs.read(part, part.Size)
	})
	if err != nil {
		return nil, fmt.Errorf("open bundle %s: %w", d.Short(), err)
	}
	return b, nil
}

func checkDigest(d fairlead.Digest) error {
	hex, ok := strings.CutPrefix(string(d), "sha256:")
	if !ok || len(hex) != 64 || !isHex(hex) {
		return fairlead.Invalid("%q is not a digest", d).Hintf("it is sha256: and 64 hex digits")
	}
	return nil
}

func (r *Registry) unknownModel(ctx context.Context, model fairlead.Name) error {
	e := fairlead.NotFound("there is no model %q", model)
	models, err := r.List(ctx)
	if err != nil {
		return errors.Join(e, err)
	}
	names := make([]string, len(models))
	for i, m := range models {
		names[i] = string(m.Name)
	}
	if len(names) == 0 {
		return e.Hintf("the registry is empty: push a model first")
	}
	return e.Hintf("models are %s", strings.Join(names, ", "))
}

func unknownVersion(m *Model, ref string) error {
	kept := m.Kept()
	what := fmt.Sprintf("versions are %s", ordinals(kept))
	if len(kept) == 1 {
		what = fmt.Sprintf("its only version is %d", kept[0].Version)
	}
	if len(m.Aliases) > 0 {
		what += ", aliases " + strings.Join(slices.Sorted(maps.Keys(m.Aliases)), ", ")
	}
	return fairlead.NotFound("model %s has no version %q", m.Name, ref).Hintf("%s", what)
}

// ordinals writes versions as people do: 1 to 4, 7.
func ordinals(entries []Entry) string {
	var runs []string
	for i := 0; i < len(entries); {
		j := i
		for j+1 < len(entries) && entries[j+1].Version == entries[j].Version+1 {
			j++
		}
		run := entries[i].Version.String()
		if j > i {
			run += " to " + entries[j].Version.String()
		}
		runs = append(runs, run)
		i = j + 1
	}
	if len(runs) > 20 {
		runs = append([]string{"…"}, runs[len(runs)-20:]...)
	}
	return strings.Join(runs, ", ")
}
