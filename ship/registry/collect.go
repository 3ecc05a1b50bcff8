package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Collected is what a collection took, or would take.
type Collected struct {
	Blobs  int   `json:"blobs"`
	Bytes  int64 `json:"bytes"`
	Kept   int   `json:"kept"`    // blobs that something refers to
	Recent int   `json:"waiting"` // blobs that nothing refers to, but younger than the grace period
}

// Collect removes the blobs that nothing refers to: no version, whatever points at it, no lease, no user, no upload at
// work. Blobs younger than grace stay, so that an upload in pieces survives. dry only counts. When anything that is
// needed cannot be read, nothing is removed: what it refers to is not known. The error is CodeConflict while another
// collection is at work.
func (r *Registry) Collect(ctx context.Context, grace time.Duration, now time.Time, dry bool) (Collected, error) {
	end, ok := r.gate.begin()
	if !ok {
		return Collected{}, fairlead.Errorf(fairlead.CodeConflict, "a collection is at work already").Hintf("try again when it has ended")
	}
	defer end()
	marked, err := r.mark(ctx, now)
	if err != nil {
		return Collected{}, fmt.Errorf("nothing was collected: %w", err)
	}
	// index.json must not list what goes.
	if !dry {
		if err := r.Reindex(ctx); err != nil {
			return Collected{}, err
		}
	}
	got := Collected{}
	err = r.blobs.each(func(d fairlead.Digest, info fs.FileInfo) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case marked[d]:
			got.Kept++
			return nil
		case now.Sub(info.ModTime()) < grace:
			got.Recent++
			return nil
		}
		gone, err := r.gate.unless(d, func() error {
			if dry {
				return nil
			}
			return os.Remove(r.blobs.path(d))
		})
		if gone && err == nil {
			got.Blobs++
			got.Bytes += info.Size()
		} else if err == nil {
			got.Recent++
		}
		return err
	})
	if err != nil {
		return got, fmt.Errorf("collect: %w", err)
	}
	return got, nil
}

// mark lists the blobs that are needed.
func (r *Registry) mark(ctx context.Context, now time.Time) (map[fairlead.Digest]bool, error) {
	keys, err := r.kv.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	uses, err := r.uses(ctx, now)
	if err != nil {
		return nil, err
	}
	marked := map[fairlead.Digest]bool{}
	for _, k := range keys {
		if !isRecord(k) {
			continue
		}
		m, _, err := r.load(ctx, nameOf(k))
		if err != nil {
			return nil, err
		}
		for _, e := range m.Versions {
			needed := e.Kept() || len(m.aliasesOf(e.Version)) > 0 ||
				slices.ContainsFunc(uses, func(u Use) bool { return u.Model == e.Model && u.Version == e.Version })
			if !needed {
				continue
			}
			for _, root := range append([]fairlead.Digest{e.Digest}, e.Attached...) {
				if err := r.reach(root, marked); err != nil {
					return nil, fmt.Errorf("%s@%d: %w", e.Model, e.Version, err)
				}
			}
		}
	}
	return marked, nil
}

// reach marks a manifest or index and everything below it. One that is not on this disk has nothing below it here:
// another process keeps it.
func (r *Registry) reach(d fairlead.Digest, marked map[fairlead.Digest]bool) error {
	if marked[d] {
		return nil
	}
	if _, err := os.Stat(r.blobs.path(d)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	raw, err := r.blobs.read(bundle.Blob{Digest: d, Size: -1, Name: "manifest"}, bundle.MaxManifest)
	if err != nil {
		return err
	}
	marked[d] = true
	refers, err := bundle.Refers(raw)
	if err != nil {
		return err
	}
	for _, b := range refers {
		if b.Manifest {
			if err := r.reach(b.Digest, marked); err != nil {
				return err
			}
		}
		marked[b.Digest] = true
	}
	return nil
}

// each calls f for every blob on disk, by digest.
func (s blobs) each(f func(fairlead.Digest, fs.FileInfo) error) error {
	entries, err := os.ReadDir(filepath.Dir(s.path("x")))
	if err != nil {
		return err
	}
	for _, e := range entries {
		d := fairlead.Digest("sha256:" + e.Name())
		if checkDigest(d) != nil {
			continue // not ours: Check tells of it
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f(d, info); err != nil {
			return err
		}
	}
	return nil
}
