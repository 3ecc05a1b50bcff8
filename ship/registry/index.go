package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Reindex writes index.json of the image layout anew from the records: one index per version, tagged like flights-v3, and
// what is attached to it. It is for other OCI tools; the registry itself does not read it. Add calls it; after a crash between
// the record and the index, the next call repairs it.
func (r *Registry) Reindex(ctx context.Context) error {
	r.index.Lock()
	defer r.index.Unlock()
	b, err := r.indexFile(ctx)
	if err != nil {
		return err
	}
	if err := r.blobs.replace(filepath.Join(r.blobs.dir, "index.json"), b); err != nil {
		return fmt.Errorf("write index.json: %w", err)
	}
	return nil
}

// indexFile is what index.json should say.
func (r *Registry) indexFile(ctx context.Context) ([]byte, error) {
	models, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	index := oci.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{}}
	for _, m := range models {
		for _, e := range m.Kept() {
			roots, err := r.describeRoots(e)
			if err != nil {
				return nil, fmt.Errorf("index %s: %w", m.Name, err)
			}
			if len(roots) > 0 {
				roots[0].Annotations = map[string]string{oci.AnnotationRefName: fmt.Sprintf("%s-v%d", e.Model, e.Version)}
			}
			index.Manifests = append(index.Manifests, roots...)
		}
	}
	return json.Marshal(index)
}

// describeRoots describes a version's index and what is attached to it; nothing of a version whose blobs another process
// keeps.
func (r *Registry) describeRoots(e Entry) ([]oci.Descriptor, error) {
	var out []oci.Descriptor
	for i, d := range append([]fairlead.Digest{e.Digest}, e.Attached...) {
		info, err := os.Stat(r.blobs.path(d))
		if errors.Is(err, fs.ErrNotExist) {
			if i == 0 {
				return nil, nil
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		desc := oci.Descriptor{MediaType: oci.MediaTypeImageManifest, Digest: digest.Digest(d), Size: info.Size()}
		if i == 0 {
			desc.ArtifactType = bundle.ArtifactType
			if len(e.Variants) > 0 { // entries from before there were variants do not name any: their version is a manifest
				desc.MediaType = oci.MediaTypeImageIndex
			}
		}
		out = append(out, desc)
	}
	return out, nil
}
