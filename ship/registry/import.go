package registry

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// maxTarEntries bounds the entries of an imported file.
const maxTarEntries = 10_000

// Imported is one version that Import stored.
type Imported struct {
	Entry
	Existing bool     // it was there already
	Aliases  []string // that point at it now, not having been there before
	From     int      // its ordinal where it was exported; 0: not said
}

// Import reads a file that Export wrote, or the tar of any OCI image layout that holds versions, and stores them under
// name, where it is not empty, else under the model's own. Every blob must have the digest it is named by; of a file that
// is damaged, lacks something or holds what has no place in a layout nothing is stored but blobs, which the next
// collection takes. Aliases come along where the model has none of the name. admit is asked about every version first;
// nil: everything is welcome.
func (r *Registry) Import(ctx context.Context, src io.Reader, name fairlead.Name, limit int64, now time.Time, admit func(context.Context, *bundle.Bundle) error) ([]Imported, error) {
	in := &importer{r: r, limit: limit, left: limit, blobs: map[fairlead.Digest]int64{}}
	defer in.release()
	if err := in.read(ctx, tar.NewReader(src)); err != nil {
		return nil, err
	}
	versions, err := in.versions(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if admit == nil {
			break
		}
		b, err := in.open(ctx, v.digest)
		if err != nil {
			return nil, err
		}
		if err := admit(ctx, b); err != nil {
			return nil, fmt.Errorf("import %s %s: %w", v.model, v.digest.Short(), err)
		}
	}
	var out []Imported
	for _, v := range versions {
		done, err := in.store(ctx, v, now)
		if err != nil {
			return out, err
		}
		out = append(out, done)
	}
	return out, nil
}

// importer takes in one file.
type importer struct {
	r           *Registry
	limit, left int64
	index       []byte
	layout      bool
	blobs       map[fairlead.Digest]int64
	held        []func()
}

func (in *importer) release() {
	for _, f := range in.held {
		f()
	}
}

func layoutError(format string, args ...any) *fairlead.Error {
	return fairlead.Invalid("not the tar of an OCI image layout: %s", fmt.Sprintf(format, args...)).
		Hintf("it holds oci-layout, index.json and blobs/sha256/…; `fairlead models export` writes one, `oras copy --to-oci-layout` another")
}

func (in *importer) read(ctx context.Context, t *tar.Reader) error {
	for entries := 0; ; entries++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return tarError(err)
		}
		if entries == maxTarEntries {
			return fairlead.Errorf(fairlead.CodeTooLarge, "the tar has more than %d entries", maxTarEntries)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := in.entry(t, h); err != nil {
			return err
		}
	}
	switch {
	case !in.layout:
		return layoutError("it has no oci-layout")
	case in.index == nil:
		return layoutError("it has no index.json")
	}
	return nil
}

func (in *importer) entry(t *tar.Reader, h *tar.Header) error {
	name := path.Clean(h.Name)
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	default:
		return layoutError("%q is not a plain file", h.Name)
	}
	if h.Size < 0 || h.Size > in.left {
		return fairlead.Errorf(fairlead.CodeTooLarge, "the files in the tar have more than %d bytes", in.limit)
	}
	in.left -= h.Size
	hex, isBlob := strings.CutPrefix(name, "blobs/sha256/")
	switch {
	case isBlob:
		return in.blob(t, fairlead.Digest("sha256:"+hex), h.Size)
	case name == "oci-layout" && !in.layout:
		b, err := small(t, h, 1<<10)
		if err == nil && !isLayout(b) {
			err = layoutError("its oci-layout says %.60q", b)
		}
		in.layout = true
		return err
	case name == "index.json" && in.index == nil:
		b, err := small(t, h, bundle.MaxManifest)
		in.index = b
		return err
	}
	return layoutError("%q has no place in one, or is there twice", h.Name)
}

func small(t *tar.Reader, h *tar.Header, limit int64) ([]byte, error) {
	if h.Size > limit {
		return nil, fairlead.Errorf(fairlead.CodeTooLarge, "%s has %d bytes, the limit is %d", h.Name, h.Size, limit)
	}
	b, err := io.ReadAll(io.LimitReader(t, limit+1))
	if err != nil {
		return nil, tarError(err)
	}
	return b, nil
}

// blob stores one blob, if its bytes have the digest it is named by.
func (in *importer) blob(t *tar.Reader, d fairlead.Digest, size int64) error {
	if checkDigest(d) != nil {
		return layoutError("%q is not the name of a blob", d)
	}
	if _, twice := in.blobs[d]; twice {
		return layoutError("blob %s is there twice", d)
	}
	in.held = append(in.held, in.r.gate.hold([]fairlead.Digest{d}))
	in.blobs[d] = size
	return in.r.blobs.receive(t, d, size)
}

// receive writes a blob as it comes, and keeps it if its bytes are what its digest says.
func (s blobs) receive(r io.Reader, d fairlead.Digest, size int64) (err error) {
	f, err := os.CreateTemp(s.temp(), "*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return tarError(err)
	}
	if got := fairlead.Digest("sha256:" + hex.EncodeToString(h.Sum(nil))); n != size || got != d {
		return fairlead.Invalid("blob %s in the file is damaged: its %d bytes have the digest %s", d, n, got).
			Hintf("nothing was imported; make the file again, or fetch it again")
	}
	if err = os.Rename(f.Name(), s.path(d)); err != nil {
		return err
	}
	return syncDir(path.Dir(s.path(d)))
}

func tarError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		return layoutError("it is not a complete tar").Cause(err)
	}
	return fmt.Errorf("read tar: %w", err)
}

// incoming is a version of the file, one that opens. Its content is not kept in memory: there may be many.
type incoming struct {
	model    fairlead.Name
	from     int
	aliases  []string
	digest   fairlead.Digest
	attached []Attachment
}

// versions opens all that index.json lists, in the order of their ordinals.
func (in *importer) versions(ctx context.Context, name fairlead.Name) ([]incoming, error) {
	var index oci.Index
	if err := json.Unmarshal(in.index, &index); err != nil || index.SchemaVersion != 2 {
		return nil, layoutError("its index.json is none").Cause(err)
	}
	var out []incoming
	var rest []oci.Descriptor
	for _, d := range index.Manifests {
		digest := fairlead.Digest(d.Digest)
		if _, ok := in.blobs[digest]; !ok {
			return nil, layoutError("index.json lists %s, which is not in it", digest)
		}
		b, err := in.open(ctx, digest)
		if err != nil {
			if !in.hasSubject(digest) {
				return nil, err
			}
			rest = append(rest, d)
			continue
		}
		v := incoming{model: b.File.Name, digest: digest}
		v.from, _ = strconv.Atoi(d.Annotations[versionKey])
		if a := d.Annotations[aliasesKey]; a != "" {
			v.aliases = slices.DeleteFunc(strings.Split(a, ","), func(s string) bool { return CheckAlias(s) != nil })
		}
		if m, err := fairlead.ParseName(d.Annotations[modelKey]); err == nil {
			v.model = m
		}
		if name != "" {
			v.model = name
		}
		if _, err := fairlead.ParseName(string(v.model)); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, layoutError("it holds no version of a model")
	}
	slices.SortStableFunc(out, func(a, b incoming) int { return cmp.Compare(a.from, b.from) })
	return out, in.attachments(out, rest)
}

// open opens a version whose every blob came in the file.
func (in *importer) open(ctx context.Context, d fairlead.Digest) (*bundle.Bundle, error) {
	raw, err := in.fetch(bundle.Blob{Digest: d, Size: -1, Name: "index"}, bundle.MaxManifest)
	if err != nil {
		return nil, err
	}
	return bundle.Unseal(raw, func(b bundle.Blob) ([]byte, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return in.fetch(b, b.Size)
	})
}

func (in *importer) fetch(b bundle.Blob, limit int64) ([]byte, error) {
	if _, ok := in.blobs[b.Digest]; !ok {
		return nil, layoutError("it lacks the blob %s (%s)", b.Digest, b.Name)
	}
	return in.r.blobs.read(b, limit)
}

// hasSubject says that a manifest refers to another one: it is attached to something.
func (in *importer) hasSubject(d fairlead.Digest) bool {
	raw, err := in.fetch(bundle.Blob{Digest: d, Size: -1, Name: "attachment"}, bundle.MaxManifest)
	var m oci.Manifest
	return err == nil && json.Unmarshal(raw, &m) == nil && m.Subject != nil
}

// attachments finds the versions that the other manifests refer to; what refers to none of them is left out.
func (in *importer) attachments(versions []incoming, rest []oci.Descriptor) error {
	for _, d := range rest {
		raw, err := in.fetch(bundle.Blob{Digest: fairlead.Digest(d.Digest), Size: -1, Name: "attachment"}, bundle.MaxManifest)
		if err != nil {
			return err
		}
		var m oci.Manifest
		if json.Unmarshal(raw, &m) != nil || m.Subject == nil {
			continue
		}
		i := slices.IndexFunc(versions, func(v incoming) bool { return v.digest == fairlead.Digest(m.Subject.Digest) })
		if i < 0 {
			continue
		}
		refers, err := bundle.Refers(raw)
		if err != nil {
			return err
		}
		a := Attachment{Manifest: raw, Blobs: map[fairlead.Digest][]byte{}}
		for _, b := range refers {
			if a.Blobs[b.Digest], err = in.fetch(b, b.Size); err != nil {
				return err
			}
		}
		versions[i].attached = append(versions[i].attached, a)
	}
	return nil
}

// store records a version whose blobs are on disk.
func (in *importer) store(ctx context.Context, v incoming, now time.Time) (Imported, error) {
	b, err := in.open(ctx, v.digest)
	if err != nil {
		return Imported{}, err
	}
	e, existing, err := in.r.Add(ctx, v.model, b, now, "")
	if err != nil {
		return Imported{}, err
	}
	done := Imported{Existing: existing, From: v.from}
	nowhere := fairlead.Version(0)
	for _, alias := range v.aliases {
		_, err := in.r.Point(ctx, v.model, Pointing{Alias: alias, To: e.Version, Expect: &nowhere, At: now})
		if err == nil {
			done.Aliases = append(done.Aliases, alias)
		} else if fairlead.CodeOf(err) != fairlead.CodeConflict {
			return done, err
		}
	}
	for _, a := range v.attached {
		if err := in.r.Attach(ctx, v.model, e.Version, a); err != nil {
			return done, err
		}
	}
	done.Entry, err = in.r.Resolve(ctx, v.model, e.Version.String())
	return done, err
}
