package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Annotations in the index.json of an exported file.
const (
	modelKey   = "io.github.fairlead-ml.model"
	versionKey = "io.github.fairlead-ml.version" // its ordinal where it was exported
	aliasesKey = "io.github.fairlead-ml.aliases" // comma-separated
)

// Export writes versions of one model, with what is attached to them, as one file: the tar of an OCI image layout, which
// any OCI tool reads. The same versions give the same bytes. Every blob is verified before the first byte is written, so
// that a damaged version gives an error and no file, and again while it is written.
func (r *Registry) Export(ctx context.Context, w io.Writer, entries []Entry) error {
	if len(entries) == 0 {
		return fairlead.Invalid("there is no version to export")
	}
	m, err := r.Model(ctx, entries[0].Model)
	if err != nil {
		return err
	}
	parts := map[fairlead.Digest]bundle.Blob{}
	index := oci.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex}
	for _, e := range entries {
		roots, err := r.describeRoots(e)
		if err != nil {
			return err
		}
		for i, d := range append([]fairlead.Digest{e.Digest}, e.Attached...) {
			if err := r.gather(ctx, bundle.Blob{Digest: d, Size: -1, Name: "index", Manifest: true}, parts); err != nil {
				return fmt.Errorf("export %s@%d: %w", e.Model, e.Version, err)
			}
			if i == 0 {
				roots[i].Annotations = exportNames(e, m.aliasesOf(e.Version))
			}
		}
		index.Manifests = append(index.Manifests, roots...)
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	put := func(name string, content []byte) error {
		err := out.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg, Format: tar.FormatPAX})
		if err == nil {
			_, err = io.Copy(out, bytes.NewReader(content))
		}
		return err
	}
	if err := put("oci-layout", []byte(layoutMark)); err != nil {
		return err
	}
	if err := put("index.json", raw); err != nil {
		return err
	}
	for _, d := range slices.Sorted(maps.Keys(parts)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		content, err := r.blobs.read(parts[d], parts[d].Size)
		if err != nil {
			return err
		}
		if err := put("blobs/sha256/"+strings.TrimPrefix(string(d), "sha256:"), content); err != nil {
			return err
		}
	}
	return out.Close()
}

// gather verifies a blob and all below it, and lists them with their sizes.
func (r *Registry) gather(ctx context.Context, b bundle.Blob, parts map[fairlead.Digest]bundle.Blob) error {
	if _, known := parts[b.Digest]; known {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	limit := b.Size
	if b.Size < 0 {
		limit = bundle.MaxManifest
	}
	content, err := r.blobs.read(b, limit)
	if err != nil {
		return err
	}
	b.Size = int64(len(content))
	parts[b.Digest] = b
	if !b.Manifest {
		return nil
	}
	refers, err := bundle.Refers(content)
	if err != nil {
		return err
	}
	for _, below := range refers {
		if err := r.gather(ctx, below, parts); err != nil {
			return err
		}
	}
	return nil
}

func exportNames(e Entry, aliases []string) map[string]string {
	names := map[string]string{
		oci.AnnotationRefName: fmt.Sprintf("%s-v%d", e.Model, e.Version),
		modelKey:              string(e.Model),
		versionKey:            strconv.Itoa(int(e.Version)),
	}
	if len(aliases) > 0 {
		names[aliasesKey] = strings.Join(aliases, ",")
	}
	return names
}

// Verify reads every blob of a version and of what is attached to it. The error names the first that is damaged or
// missing.
func (r *Registry) Verify(ctx context.Context, e Entry) error {
	parts := map[fairlead.Digest]bundle.Blob{}
	for _, d := range append([]fairlead.Digest{e.Digest}, e.Attached...) {
		if err := r.gather(ctx, bundle.Blob{Digest: d, Size: -1, Name: "index", Manifest: true}, parts); err != nil {
			return fmt.Errorf("%s@%d: %w", e.Model, e.Version, err)
		}
	}
	return nil
}
