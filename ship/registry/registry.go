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

// Entry is one version of a model.
type Entry struct {
	Model   fairlead.Name    `json:"model"`
	Version fairlead.Version `json:"version"` // from 1, without holes
	Digest  fairlead.Digest  `json:"digest"`  // of the manifest
	Created time.Time        `json:"created"`
	Size    int64            `json:"size"` // bytes of the whole bundle
}

// Model is what the registry knows under one name.
type Model struct {
	Name     fairlead.Name               `json:"name"`
	Versions []Entry                     `json:"versions"` // oldest first: version n is at n-1
	Aliases  map[string]fairlead.Version `json:"aliases,omitempty"`
}

// Registry is safe for concurrent use, also by several processes on one KV, each with a disk of its own.
type Registry struct {
	blobs blobs
	kv    KV
	index sync.Mutex // held while index.json is rewritten
}

// Open makes or opens the registry in dir. It removes half-written files of a crash, so that one process at a time may
// have dir open.
func Open(dir string, kv KV) (*Registry, error) {
	r := &Registry{blobs: blobs{dir}, kv: kv}
	if err := r.blobs.open(); err != nil {
		return nil, fmt.Errorf("open registry %s: %w", dir, err)
	}
	return r, nil
}

// Add stores b as the next version of model and lets alias, if not empty, point at it. Content that the model has
// already makes no new version: existing is true and the entry the old one, at which the alias then points.
func (r *Registry) Add(ctx context.Context, model fairlead.Name, b *bundle.Bundle, now time.Time, alias string) (e Entry, existing bool, err error) {
	if _, err := fairlead.ParseName(string(model)); err != nil {
		return Entry{}, false, err
	}
	if alias != "" {
		if err := CheckAlias(alias); err != nil {
			return Entry{}, false, err
		}
	}
	for d, content := range b.Blobs {
		if err := r.blobs.put(d, content); err != nil {
			return Entry{}, false, fmt.Errorf("add %s: store blob %s: %w", model, d, err)
		}
	}
	// The manifest comes last: whoever finds it finds all it refers to.
	if err := r.blobs.put(b.Digest, b.Raw); err != nil {
		return Entry{}, false, fmt.Errorf("add %s: store manifest %s: %w", model, b.Digest, err)
	}
	err = r.update(ctx, model, func(m *Model) error {
		i := slices.IndexFunc(m.Versions, func(o Entry) bool { return o.Digest == b.Digest })
		if existing = i >= 0; existing {
			e = m.Versions[i]
		} else {
			e = Entry{Model: model, Version: fairlead.Version(len(m.Versions) + 1), Digest: b.Digest, Created: now.UTC(), Size: b.Size()}
			m.Versions = append(m.Versions, e)
		}
		m.point(alias, e.Version)
		return nil
	})
	if err != nil {
		return Entry{}, false, fmt.Errorf("add %s: %w", model, err)
	}
	if err := r.Reindex(ctx); err != nil {
		return Entry{}, false, fmt.Errorf("add %s: %w", model, err)
	}
	return e, existing, nil
}

func (m *Model) point(alias string, v fairlead.Version) {
	if alias == "" {
		return
	}
	if m.Aliases == nil {
		m.Aliases = map[string]fairlead.Version{}
	}
	m.Aliases[alias] = v
}

// SetAlias lets an alias of a model point at one of its versions.
func (r *Registry) SetAlias(ctx context.Context, model fairlead.Name, alias string, v fairlead.Version) error {
	if err := CheckAlias(alias); err != nil {
		return err
	}
	return r.update(ctx, model, func(m *Model) error {
		if len(m.Versions) == 0 {
			return r.unknownModel(ctx, model)
		}
		if v < 1 || int(v) > len(m.Versions) {
			return unknownVersion(m, v.String())
		}
		m.point(alias, v)
		return nil
	})
}

// attempts bounds the rounds of compare-and-set; each round that is lost means that another writer has won.
const attempts = 200

// update changes the record of a model by compare-and-set. change is called again whenever somebody was faster.
func (r *Registry) update(ctx context.Context, model fairlead.Name, change func(*Model) error) error {
	for i := range attempts {
		m, revision, err := r.load(ctx, model)
		if err != nil {
			return err
		}
		if err := change(m); err != nil {
			return err
		}
		value, err := json.Marshal(m)
		if err != nil {
			return err
		}
		_, err = r.kv.Put(ctx, key(model), value, revision)
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
	return fairlead.Errorf(fairlead.CodeConflict, "the record of model %s changes too fast", model).Hintf("try again")
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

// key keeps dots out of the store's keys, where they part a path: a name may end in one or hold two in a row.
func key(model fairlead.Name) string { return strings.ReplaceAll(string(model), ".", "=") }

func nameOf(key string) fairlead.Name { return fairlead.Name(strings.ReplaceAll(key, "=", ".")) }

// Model is what is known of one model. An unknown one is CodeNotFound, with the names there are.
func (r *Registry) Model(ctx context.Context, model fairlead.Name) (Model, error) {
	m, _, err := r.load(ctx, model)
	if err != nil {
		return Model{}, err
	}
	if len(m.Versions) == 0 {
		return Model{}, r.unknownModel(ctx, model)
	}
	return *m, nil
}

// List is every model, by name.
func (r *Registry) List(ctx context.Context) ([]Model, error) {
	keys, err := r.kv.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	models := []Model{}
	for _, k := range keys {
		m, _, err := r.load(ctx, nameOf(k))
		if err != nil {
			return nil, err
		}
		if len(m.Versions) > 0 {
			models = append(models, *m)
		}
	}
	slices.SortFunc(models, func(a, b Model) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return models, nil
}

// Open reads a sealed version by the digest of its manifest. Every blob is verified while it is read; an error names
// the blob and the file that is damaged or missing.
func (r *Registry) Open(ctx context.Context, d fairlead.Digest) (*bundle.Bundle, error) {
	if len(d) != len("sha256:")+64 || !isHex(strings.TrimPrefix(string(d), "sha256:")) {
		return nil, fairlead.Invalid("%q is not a digest", d).Hintf("it is sha256: and 64 hex digits")
	}
	raw, err := r.blobs.read(bundle.Blob{Digest: d, Size: -1, Name: "manifest"}, bundle.MaxManifest)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Unseal(raw, func(part bundle.Blob) ([]byte, error) {
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
	what := fmt.Sprintf("versions are 1 to %d", len(m.Versions))
	if len(m.Versions) == 1 {
		what = "its only version is 1"
	}
	if len(m.Aliases) > 0 {
		what += ", aliases " + strings.Join(slices.Sorted(maps.Keys(m.Aliases)), ", ")
	}
	return fairlead.NotFound("model %s has no version %q", m.Name, ref).Hintf("%s", what)
}
