package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Layout is a folder of blobs, each under its digest, with the roots that were named: an OCI image layout in the
// making. Blobs that are visible are whole and have been verified; one that is still coming lies beside them, and is gone
// on with. It is safe for concurrent use by one process.
type Layout struct {
	dir   string
	mu    sync.Mutex
	roots []oci.Descriptor
}

// OpenLayout makes or opens a folder.
func OpenLayout(dir string) (*Layout, error) {
	for _, d := range []string{filepath.Join(dir, "blobs", "sha256"), filepath.Join(dir, "partial")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	return &Layout{dir: dir}, nil
}

func (l *Layout) path(d digest.Digest) string {
	return filepath.Join(l.dir, "blobs", "sha256", d.Encoded())
}

// AddRoot names a manifest or index that the layout is about; the first one is the version, later ones refer to it.
func (l *Layout) AddRoot(d oci.Descriptor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.ContainsFunc(l.roots, func(o oci.Descriptor) bool { return o.Digest == d.Digest }) {
		l.roots = append(l.roots, d)
	}
}

// Roots lists what AddRoot named, or index.json of the tar.
func (l *Layout) Roots() []oci.Descriptor {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.roots)
}

// Exists says whether a blob is there, whole.
func (l *Layout) Exists(_ context.Context, d oci.Descriptor) (bool, error) {
	info, err := os.Stat(l.path(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Size() == d.Size, err
}

// Fetch opens a blob.
func (l *Layout) Fetch(_ context.Context, d oci.Descriptor) (io.ReadCloser, error) {
	f, err := os.Open(l.path(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", d.Digest, errdef.ErrNotFound)
	}
	return f, err
}

// Predecessors lists the roots that refer to d by their subject.
func (l *Layout) Predecessors(_ context.Context, d oci.Descriptor) ([]oci.Descriptor, error) {
	var found []oci.Descriptor
	for _, root := range l.Roots() {
		raw, err := l.manifest(root)
		if err != nil {
			return nil, err
		}
		if s := subjectOf(raw); s != nil && s.Digest == d.Digest && root.Digest != d.Digest {
			found = append(found, root)
		}
	}
	return found, nil
}

func subjectOf(raw []byte) *oci.Descriptor {
	var m struct {
		Subject *oci.Descriptor `json:"subject"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m.Subject
}

// manifest reads a small blob and verifies it.
func (l *Layout) manifest(d oci.Descriptor) ([]byte, error) {
	if d.Size > bundle.MaxManifest {
		return nil, fairlead.Errorf(fairlead.CodeTooLarge, "the manifest %s has %d bytes, the limit is %d", d.Digest, d.Size, bundle.MaxManifest)
	}
	raw, err := os.ReadFile(l.path(d.Digest))
	if err != nil {
		return nil, err
	}
	return raw, bundle.Verify(bundle.Blob{Digest: fairlead.Digest(d.Digest), Size: d.Size, Name: nameOf(d)}, raw)
}

// Push takes in a blob and verifies it. What came of it before is not read again from a reader that can seek. When the
// reader fails, what has come is kept for the next time; bytes of a wrong digest are thrown away, and the error is a damaged.
func (l *Layout) Push(_ context.Context, d oci.Descriptor, r io.Reader) (err error) {
	path := filepath.Join(l.dir, "partial", d.Digest.Encoded())
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- named by a digest in our own folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	at, err := resume(f, h, d.Size, r)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, d.Size-at+1))
	if err != nil {
		return err
	}
	got := digest.NewDigest(digest.SHA256, h)
	if at+n != d.Size || got != d.Digest {
		return errors.Join(&damaged{blob: d, size: at + n, got: got}, os.Remove(path))
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(path, l.path(d.Digest))
}

// resume hashes what is there of a blob and puts the reader behind it; it starts anew where that does not work.
func resume(f *os.File, h hash.Hash, size int64, r io.Reader) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	at := info.Size()
	seeker, ok := r.(io.Seeker)
	if ok && at > 0 && at <= size {
		if _, err := io.Copy(h, f); err != nil {
			return 0, err
		}
		if _, err := seeker.Seek(at, io.SeekStart); err == nil {
			return at, nil
		}
		h.Reset()
	}
	if err := f.Truncate(0); err != nil {
		return 0, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return 0, err
}

// damaged is a blob whose bytes are not what its digest says.
type damaged struct {
	blob oci.Descriptor
	size int64
	got  digest.Digest
}

func (e *damaged) Error() string {
	if e.got == "" {
		return fmt.Sprintf("blob %s (%s) has another size than the %d bytes it was sealed with", e.blob.Digest, nameOf(e.blob), e.blob.Size)
	}
	if e.size != e.blob.Size {
		return fmt.Sprintf("blob %s (%s) has %d bytes or more, %d were sealed", e.blob.Digest, nameOf(e.blob), e.size, e.blob.Size)
	}
	return fmt.Sprintf("blob %s (%s) has bytes of the digest %s", e.blob.Digest, nameOf(e.blob), e.got)
}

// nameOf is the file that a blob is, for messages.
func nameOf(d oci.Descriptor) string {
	for _, key := range []string{"org.cncf.model.filepath", oci.AnnotationTitle} {
		if name := d.Annotations[key]; name != "" {
			return name
		}
	}
	switch d.MediaType {
	case oci.MediaTypeImageIndex:
		return "index"
	case oci.MediaTypeImageManifest:
		if v := d.Annotations["io.github.fairlead-ml.variant"]; v != "" {
			return "manifest of " + v
		}
		return "manifest"
	case bundle.TypeConfig:
		return "config"
	}
	return d.MediaType
}

const (
	layoutFile = "oci-layout"
	layoutMark = `{"imageLayoutVersion":"1.0.0"}`
	indexFile  = "index.json"
	blobFolder = "blobs/sha256/"
)

// ReadTar fills the layout from what a server exports: the tar of an OCI image layout. Every blob is verified.
func (l *Layout) ReadTar(ctx context.Context, r io.Reader) error {
	t := tar.NewReader(r)
	var index oci.Index
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read what the server exports: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		hex, isBlob := strings.CutPrefix(h.Name, blobFolder)
		switch {
		case isBlob:
			d := oci.Descriptor{Digest: digest.NewDigestFromEncoded(digest.SHA256, hex), Size: h.Size}
			if err := d.Digest.Validate(); err != nil {
				return fairlead.Invalid("the export holds %q, which is not the name of a blob", h.Name)
			}
			if err := l.Push(ctx, d, t); err != nil {
				return fmt.Errorf("read what the server exports: %w", err)
			}
		case h.Name == indexFile:
			raw, err := io.ReadAll(io.LimitReader(t, bundle.MaxManifest))
			if err != nil {
				return err
			}
			if err := json.Unmarshal(raw, &index); err != nil {
				return fairlead.Invalid("the export's %s is none: %v", indexFile, err)
			}
		}
	}
	for _, root := range index.Manifests {
		l.AddRoot(root)
	}
	return nil
}

// WriteTar writes the layout's roots and all below them as the tar of an OCI image layout, which a server takes in.
func (l *Layout) WriteTar(ctx context.Context, w io.Writer) error {
	parts := map[digest.Digest]oci.Descriptor{}
	for _, root := range l.Roots() {
		if err := l.gather(root, parts); err != nil {
			return err
		}
	}
	index, err := json.Marshal(oci.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex, Manifests: l.Roots()})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	put := func(name string, size int64, r io.Reader) error {
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err := io.Copy(t, r)
		return err
	}
	if err := put(layoutFile, int64(len(layoutMark)), strings.NewReader(layoutMark)); err != nil {
		return err
	}
	if err := put(indexFile, int64(len(index)), bytes.NewReader(index)); err != nil {
		return err
	}
	for _, d := range slices.Sorted(maps.Keys(parts)) {
		f, err := l.Fetch(ctx, parts[d])
		if err != nil {
			return err
		}
		if err := errors.Join(put(blobFolder+d.Encoded(), parts[d].Size, f), f.Close()); err != nil {
			return err
		}
	}
	return t.Close()
}

// gather lists a blob and all below it.
func (l *Layout) gather(d oci.Descriptor, parts map[digest.Digest]oci.Descriptor) error {
	if _, known := parts[d.Digest]; known {
		return nil
	}
	parts[d.Digest] = d
	if !isManifest(d) {
		return nil
	}
	raw, err := l.manifest(d)
	if err != nil {
		return err
	}
	below, err := successors(raw)
	if err != nil {
		return err
	}
	for _, b := range below {
		if err := l.gather(b, parts); err != nil {
			return err
		}
	}
	return nil
}

func isManifest(d oci.Descriptor) bool {
	return d.MediaType == oci.MediaTypeImageManifest || d.MediaType == oci.MediaTypeImageIndex
}

// successors lists what an index or a manifest names, without its subject. It refuses what no version has: other digests
// than SHA-256, sizes over the limits.
func successors(raw []byte) ([]oci.Descriptor, error) {
	if _, err := bundle.Refers(raw); err != nil {
		return nil, err
	}
	var m struct {
		Config    *oci.Descriptor  `json:"config"`
		Layers    []oci.Descriptor `json:"layers"`
		Manifests []oci.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	out := slices.Concat(m.Manifests, m.Layers)
	if m.Config != nil {
		out = append(out, *m.Config)
	}
	return out, nil
}
