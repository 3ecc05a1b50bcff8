package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	digest "github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	oras "oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/fairlead-ml/fairlead"
)

// concurrency is how many blobs travel at once.
const concurrency = 3

// Push copies the version in l, and what refers to it, to a repository and tags it as the reference says; without a tag
// it is only there by its digest. A tag that points at something else stays, and the error is CodeConflict, unless
// o.Force is set.
func Push(ctx context.Context, l *Layout, ref Reference, o Options) (Result, error) {
	roots := l.Roots()
	if len(roots) == 0 {
		return Result{}, fairlead.Invalid("there is no version to push")
	}
	repo, err := connect(ref, o)
	if err != nil {
		return Result{}, err
	}
	r, err := push(ctx, l, roots[0], repo, ref, o)
	if err != nil {
		return r, explain(ctx, err, repo, ref, o, "push to")
	}
	return r, nil
}

func push(ctx context.Context, l *Layout, root oci.Descriptor, repo *remote.Repository, ref Reference, o Options) (Result, error) {
	r := Result{Root: root}
	if err := free(ctx, repo, ref, root, o.Force); err != nil {
		return r, err
	}
	blobs, err := reach(ctx, l, l.Roots())
	if err != nil {
		return r, err
	}
	count := newCounter(blobs, o.Progress)
	to := &destination{
		repo: repo, count: count,
		upload: &upload{repo: repo, o: o, count: count},
	}
	opts := oras.ExtendedCopyGraphOptions{Depth: 1}
	opts.Concurrency = concurrency
	opts.OnCopySkipped = func(ctx context.Context, d oci.Descriptor) error {
		below, err := reach(ctx, l, []oci.Descriptor{d})
		for _, b := range below { // what is there has all it refers to
			count.have(b)
		}
		return err
	}
	if err := oras.ExtendedCopyGraph(ctx, l, to, root, opts); err != nil {
		return r, err
	}
	if ref.Tag() != "" {
		if err := o.persist(ctx, func() error { return repo.Tag(ctx, root, ref.Tag()) }); err != nil {
			return r, err
		}
	}
	attached, err := l.Predecessors(ctx, root)
	r.Blobs, r.Bytes, r.Sent, r.Attached = len(blobs), count.total, count.sent, len(attached)
	return r, err
}

// free refuses to move a tag that points at something else.
func free(ctx context.Context, repo *remote.Repository, ref Reference, root oci.Descriptor, force bool) error {
	if ref.Tag() == "" {
		return nil
	}
	if d, err := digest.Parse(ref.Tag()); err == nil && d != root.Digest {
		return fairlead.Invalid("the version has the digest %s, not %s", root.Digest, d).Hintf("leave the digest out, or write a tag")
	}
	there, err := repo.Resolve(ctx, ref.Tag())
	switch {
	case errors.Is(err, errdef.ErrNotFound):
		return nil
	case err != nil:
		return err
	case there.Digest == root.Digest || force:
		return nil
	}
	return fairlead.Errorf(fairlead.CodeConflict, "%s is another version already: %s, this one is %s", ref, fairlead.Digest(there.Digest).Short(), fairlead.Digest(root.Digest).Short()).
		Hintf("choose another tag, or move this one with --force")
}

// persist repeats a step that fails for reasons that may pass.
func (o Options) persist(ctx context.Context, step func() error) error {
	for n := 1; ; n++ {
		err := step()
		if err == nil || n == attempts || !passing(ctx, err) {
			return err
		}
		if wait := o.wait(ctx, n); wait != nil {
			return errors.Join(err, wait)
		}
	}
}

// reach lists the descriptors below some roots, each once.
func reach(ctx context.Context, from content.Fetcher, roots []oci.Descriptor) ([]oci.Descriptor, error) {
	seen := map[digest.Digest]bool{}
	var out []oci.Descriptor
	var visit func(d oci.Descriptor) error
	visit = func(d oci.Descriptor) error {
		if seen[d.Digest] {
			return nil
		}
		seen[d.Digest] = true
		out = append(out, d)
		if !isManifest(d) {
			return nil
		}
		raw, err := content.FetchAll(ctx, from, d)
		if err != nil {
			return err
		}
		below, err := successors(raw)
		if err != nil {
			return err
		}
		for _, b := range below {
			if err := visit(b); err != nil {
				return err
			}
		}
		return nil
	}
	for _, root := range roots {
		if err := visit(root); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// destination is a repository as what is pushed to: large blobs go up in chunks.
type destination struct {
	repo   *remote.Repository
	upload *upload
	count  *counter
}

func (t *destination) Exists(ctx context.Context, d oci.Descriptor) (ok bool, err error) {
	err = t.upload.o.persist(ctx, func() error {
		ok, err = t.repo.Exists(ctx, d)
		return err
	})
	return ok, err
}

func (t *destination) Fetch(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	return t.repo.Fetch(ctx, d)
}

func (t *destination) Push(ctx context.Context, d oci.Descriptor, r io.Reader) error {
	if at, ok := r.(io.ReaderAt); ok && !isManifest(d) {
		return t.upload.push(ctx, d, at)
	}
	raw, err := content.ReadAll(r, d)
	if err != nil {
		return err
	}
	if !isManifest(d) {
		return t.upload.push(ctx, d, readerAt(raw))
	}
	err = t.upload.o.persist(ctx, func() error { return t.repo.Manifests().Push(ctx, d, readerAt(raw)) })
	if err != nil {
		return fmt.Errorf("%s: %w", nameOf(d), err)
	}
	t.count.crossed(d.Size)
	t.count.have(d)
	return nil
}

// counter adds up how far a transfer is.
type counter struct {
	tell func(Progress)

	mu    sync.Mutex
	total int64
	sent  int64
	done  map[digest.Digest]int64
	sum   int64
}

func newCounter(blobs []oci.Descriptor, tell func(Progress)) *counter {
	c := &counter{tell: tell, done: map[digest.Digest]int64{}}
	c.total = sizeOf(blobs)
	return c
}

// at says that so many bytes of a blob are where they should be.
func (c *counter) at(d oci.Descriptor, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum += bytes - c.done[d.Digest]
	c.done[d.Digest] = bytes
	if c.tell != nil {
		c.tell(Progress{Name: nameOf(d), Done: c.sum, Total: c.total})
	}
}

func (c *counter) have(d oci.Descriptor) { c.at(d, d.Size) }

// crossed says that bytes went over the network.
func (c *counter) crossed(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent += bytes
}
