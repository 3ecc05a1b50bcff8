package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
	oras "oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// maxAttached bounds what comes along with a version: manifests that refer to it, and the bytes of each.
const (
	maxAttached      = 100
	maxAttachedBytes = 64 << 20
)

// Pull copies a version, and what refers to it, from a repository into l. What is there is not fetched again. The error is
// CodeNotFound for a tag that there is not and lists those there are, CodeInvalid for what is not a version, and names
// the file whose bytes the registry has damaged.
func Pull(ctx context.Context, ref Reference, l *Layout, o Options) (Result, error) {
	repo, err := connect(ref, o)
	if err != nil {
		return Result{}, err
	}
	if ref.Tag() == "" {
		return Result{}, withTags(ctx, repo, fairlead.Invalid("%s has neither a tag nor a digest", ref))
	}
	r, err := pull(ctx, ref, repo, l, o)
	if err != nil {
		return r, explain(ctx, err, repo, ref, o, "pull from")
	}
	return r, nil
}

func pull(ctx context.Context, ref Reference, repo *remote.Repository, l *Layout, o Options) (r Result, err error) {
	err = o.persist(ctx, func() error {
		r.Root, err = repo.Resolve(ctx, ref.Tag())
		return err
	})
	if err != nil {
		return r, err
	}
	from := &origin{repo: repo, o: o}
	raw, err := content.FetchAll(ctx, from, r.Root)
	if err != nil {
		return r, err
	}
	if err := isVersion(ref, r.Root, raw); err != nil {
		return r, err
	}
	attached, note, err := from.attached(ctx, r.Root)
	if err != nil {
		return r, err
	}
	if note != "" {
		r.Notes = append(r.Notes, note)
	}
	roots := append([]oci.Descriptor{r.Root}, attached...)
	blobs, err := reach(ctx, from, roots)
	if err != nil {
		return r, err
	}
	from.count = newCounter(blobs, o.Progress)
	opts := oras.ExtendedCopyGraphOptions{Depth: 1}
	opts.Concurrency = concurrency
	opts.FindPredecessors = func(_ context.Context, _ content.ReadOnlyGraphStorage, d oci.Descriptor) ([]oci.Descriptor, error) {
		if d.Digest == r.Root.Digest {
			return attached, nil
		}
		return nil, nil
	}
	opts.OnCopySkipped = func(ctx context.Context, d oci.Descriptor) error {
		below, err := reach(ctx, l, []oci.Descriptor{d})
		for _, b := range below { // what is there has all it refers to
			from.count.have(b)
		}
		return err
	}
	if err := oras.ExtendedCopyGraph(ctx, from, l, r.Root, opts); err != nil {
		return r, err
	}
	for _, root := range roots {
		l.AddRoot(root)
	}
	r.Blobs, r.Bytes, r.Sent, r.Attached = len(blobs), from.count.total, from.count.sent, len(attached)
	return r, nil
}

// isVersion refuses, before anything large is fetched, what is no version, and says what it is.
func isVersion(ref Reference, d oci.Descriptor, raw []byte) error {
	if index, err := bundle.ParseIndex(raw); err == nil && index != nil {
		return nil
	}
	m, err := manifestOf(raw)
	if err == nil && m.ArtifactType == bundle.ArtifactType {
		for _, l := range m.Layers {
			if l.MediaType == bundle.TypeDescription {
				return nil
			}
		}
		return fairlead.Invalid("%s is a ModelPack that another tool made: it has no description of fairlead's", ref).
			Hintf("get its files with `oras pull %s`, then `fairlead import` the folder", strings.TrimPrefix(ref.String(), Scheme))
	}
	return fairlead.Invalid("%s is not a version of a model: it is %s", ref, kindOf(d, m)).
		Hintf("`fairlead publish NAME@VERSION oci://…` puts one there")
}

// kindOf says what a manifest is of, in words.
func kindOf(d oci.Descriptor, m oci.Manifest) string {
	config := m.Config.MediaType
	switch {
	case strings.HasPrefix(config, "application/vnd.oci.image.config"), strings.HasPrefix(config, "application/vnd.docker.container.image"):
		return "a container image"
	case strings.HasPrefix(config, "application/vnd.cncf.helm"):
		return "a Helm chart"
	case strings.HasPrefix(config, "application/vnd.kitops"):
		return "a ModelKit of KitOps (`kit unpack` gives its files)"
	case d.MediaType == oci.MediaTypeImageIndex, strings.HasSuffix(d.MediaType, "manifest.list.v2+json"):
		return "an index of container images"
	case m.ArtifactType != "":
		return "an artifact of type " + m.ArtifactType
	}
	return "a manifest of type " + d.MediaType
}

// origin is a repository as what is pulled from: manifests are verified as they come, blobs are gone on with after a cut.
type origin struct {
	repo  *remote.Repository
	o     Options
	count *counter // nil until the sizes are known
}

func (s *origin) Exists(ctx context.Context, d oci.Descriptor) (bool, error) {
	return s.repo.Exists(ctx, d)
}

func (s *origin) Fetch(ctx context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	if !isManifest(d) {
		return &download{ctx: ctx, from: s, blob: d}, nil
	}
	if d.Size > bundle.MaxManifest {
		return nil, fairlead.Errorf(fairlead.CodeTooLarge, "the manifest %s has %d bytes, the limit is %d", d.Digest, d.Size, bundle.MaxManifest)
	}
	var raw []byte
	err := s.o.persist(ctx, func() error {
		rc, err := s.repo.Fetch(ctx, d)
		if err != nil {
			return err
		}
		raw, err = io.ReadAll(io.LimitReader(rc, d.Size+1))
		return errors.Join(err, rc.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", nameOf(d), d.Digest, mismatch(err, d))
	}
	if got := bundle.DigestOf(raw); string(got) != d.Digest.String() || int64(len(raw)) != d.Size {
		return nil, &damaged{blob: d, size: int64(len(raw)), got: d.Digest.Algorithm().FromBytes(raw)}
	}
	if s.count != nil {
		s.count.have(d)
	}
	return io.NopCloser(readerAt(raw)), nil
}

func (s *origin) Predecessors(ctx context.Context, d oci.Descriptor) ([]oci.Descriptor, error) {
	return s.repo.Predecessors(ctx, d)
}

// attached lists what refers to the version, up to the limits; the note says what is left behind.
func (s *origin) attached(ctx context.Context, root oci.Descriptor) (found []oci.Descriptor, note string, err error) {
	var all []oci.Descriptor
	err = s.o.persist(ctx, func() (err error) {
		all, err = s.Predecessors(ctx, root)
		return err
	})
	if err != nil {
		return nil, fmt.Sprintf("what is attached to the version, signatures for example, could not be listed: %v", err), nil
	}
	left := 0
	for _, d := range all {
		if d.MediaType != oci.MediaTypeImageManifest || len(found) == maxAttached {
			left++
			continue
		}
		below, err := reach(ctx, s, []oci.Descriptor{d})
		if err != nil {
			return nil, "", err
		}
		if sizeOf(below) > maxAttachedBytes {
			left++
			continue
		}
		d.Annotations, d.ArtifactType = nil, "" // of the list, not of what is listed
		found = append(found, d)
	}
	if left > 0 {
		note = fmt.Sprintf("%d of %d attachments stay behind: they are too large, too many or no manifests", left, len(all))
	}
	return found, note, nil
}

func sizeOf(blobs []oci.Descriptor) int64 {
	n := int64(0)
	for _, b := range blobs {
		n += b.Size
	}
	return n
}

// download reads a blob, and opens it again where it was cut.
type download struct {
	ctx  context.Context
	from *origin
	blob oci.Descriptor
	at   int64
	body io.ReadCloser
	cut  int // times in a row without a byte between them
}

// Seek is for the start only: what is there already is not fetched.
func (r *download) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekStart || r.body != nil {
		return 0, errors.New("a download seeks before it reads")
	}
	r.at = offset
	if r.from.count != nil {
		r.from.count.at(r.blob, r.at)
	}
	return offset, nil
}

func (r *download) Read(p []byte) (int, error) {
	for {
		if r.at >= r.blob.Size && r.body == nil {
			return 0, io.EOF
		}
		n, err := r.try(p)
		r.at += int64(n)
		if n > 0 {
			r.cut = 0
			r.from.count.crossed(int64(n))
			r.from.count.at(r.blob, r.at)
		}
		if n > 0 && (err == nil || r.at < r.blob.Size) { // an error shows again with the next read
			return n, nil
		}
		if err == nil || errors.Is(err, io.EOF) && r.at >= r.blob.Size {
			return n, err
		}
		r.cut++
		if r.cut == attempts || !passing(r.ctx, err) {
			return n, err
		}
		if wait := r.from.o.wait(r.ctx, r.cut); wait != nil {
			return n, errors.Join(err, wait)
		}
	}
}

// try reads once, from where the blob was cut. A body that fails is given up.
func (r *download) try(p []byte) (n int, err error) {
	if r.body == nil {
		rc, err := r.from.repo.Blobs().Fetch(r.ctx, r.blob)
		if err != nil {
			return 0, mismatch(err, r.blob)
		}
		if err := r.skip(rc); err != nil {
			return 0, errors.Join(err, rc.Close())
		}
		r.body = rc
	}
	if n, err = r.body.Read(p); err != nil && r.at+int64(n) < r.blob.Size {
		_ = r.body.Close()
		r.body = nil
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// skip goes to where the download stands: by a byte range, or by reading again what is there.
func (r *download) skip(rc io.ReadCloser) error {
	if r.at == 0 {
		return nil
	}
	if s, ok := rc.(io.Seeker); ok {
		_, err := s.Seek(r.at, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, rc, r.at)
	return err
}

func (r *download) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}

// mismatch tells a blob whose size or digest the registry itself says is another one.
func mismatch(err error, d oci.Descriptor) error {
	if err != nil && strings.Contains(err.Error(), "mismatch Content-Length") {
		return &damaged{blob: d}
	}
	return err
}
