package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Damage is a file of the registry that is not what it should be.
type Damage struct {
	File     string   `json:"file"`     // path
	What     string   `json:"what"`     // what is wrong with it
	Versions []string `json:"versions"` // that need it: flights@3
	Mend     string   `json:"mend"`     // how it gets well
}

// Check reads every file of the registry and lists what is damaged, missing or strange, by path; empty: all is well. A
// single flipped bit, wherever it is, is found.
func (r *Registry) Check(ctx context.Context) ([]Damage, error) {
	c := &checker{r: r, found: map[string]*Damage{}}
	if err := c.fixed(ctx); err != nil {
		return nil, err
	}
	models, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		for _, e := range m.Kept() {
			for _, root := range append([]fairlead.Digest{e.Digest}, e.Attached...) {
				if err := c.version(ctx, e, bundle.Blob{Digest: root, Size: -1, Name: "index", Manifest: true}); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := c.rest(ctx); err != nil {
		return nil, err
	}
	out := make([]Damage, 0, len(c.found))
	for _, d := range c.found {
		slices.Sort(d.Versions)
		d.Versions = slices.Compact(d.Versions)
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Damage) int { return strings.Compare(a.File, b.File) })
	return out, nil
}

type checker struct {
	r     *Registry
	found map[string]*Damage
	whole map[fairlead.Digest]bool // verified in this check
}

func (c *checker) add(file, what, mend string, versions ...string) {
	if d := c.found[file]; d != nil {
		d.Versions = append(d.Versions, versions...)
		return
	}
	c.found[file] = &Damage{file, what, append([]string{}, versions...), mend}
}

// fixed checks the two files that are not blobs.
func (c *checker) fixed(ctx context.Context) error {
	layout := filepath.Join(c.r.blobs.dir, "oci-layout")
	got, err := os.ReadFile(layout) // #nosec G304 -- a fixed name in our own folder
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !isLayout(got) {
		c.add(layout, fmt.Sprintf("is not the mark of an OCI image layout: %.60q", got), "write "+layoutMark+" into it")
	}
	index := filepath.Join(c.r.blobs.dir, "index.json")
	want, err := c.r.indexFile(ctx)
	if err != nil {
		return err
	}
	got, err = os.ReadFile(index) // #nosec G304 -- a fixed name in our own folder
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(got, want) {
		c.add(index, "does not list the versions there are", "it is written anew with the next push and at every start")
	}
	return nil
}

const fromBackup = "restore it from a backup, or push the same bundle again"

// version checks a blob of a version and all below it.
func (c *checker) version(ctx context.Context, e Entry, b bundle.Blob) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path, name := c.r.blobs.path(b.Digest), fmt.Sprintf("%s@%d", e.Model, e.Version)
	limit := b.Size
	if b.Size < 0 {
		limit = bundle.MaxManifest
	}
	if c.whole[b.Digest] && !b.Manifest {
		return nil
	}
	raw, err := c.r.blobs.read(b, limit)
	var damage *fairlead.Error
	if errors.As(err, &damage) {
		c.add(path, damage.Message, fromBackup, name)
		return nil
	}
	if err != nil {
		return err
	}
	if c.whole == nil {
		c.whole = map[fairlead.Digest]bool{}
	}
	c.whole[b.Digest] = true
	if !b.Manifest {
		return nil
	}
	refers, err := bundle.Refers(raw)
	if err != nil {
		c.add(path, err.Error(), fromBackup, name)
		return nil
	}
	for _, below := range refers {
		if err := c.version(ctx, e, below); err != nil {
			return err
		}
	}
	return nil
}

// rest checks the blobs that no version needs, and says what else lies in the folder.
func (c *checker) rest(ctx context.Context) error {
	dir := filepath.Dir(c.r.blobs.path("x"))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		d, path := fairlead.Digest("sha256:"+e.Name()), filepath.Join(dir, e.Name())
		if checkDigest(d) != nil {
			c.add(path, "is not named by a digest", "remove it: nothing refers to it")
			continue
		}
		if c.whole[d] || c.found[path] != nil {
			continue
		}
		if ok, err := c.r.blobs.whole(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		} else if !ok {
			c.add(path, fmt.Sprintf("blob %s is damaged: its bytes have another digest", d), "no version needs it: it goes with a collection")
		}
	}
	return nil
}
