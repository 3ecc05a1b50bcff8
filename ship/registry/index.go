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

	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Reindex writes index.json of the image layout anew from the records: one manifest per version, tagged like
// flights-v3. It is for other OCI tools; the registry itself does not read it. Add calls it; after a crash between
// the record and the index, the next call repairs it.
func (r *Registry) Reindex(ctx context.Context) error {
	r.index.Lock()
	defer r.index.Unlock()
	models, err := r.List(ctx)
	if err != nil {
		return err
	}
	index := oci.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex, Manifests: []oci.Descriptor{}}
	for _, m := range models {
		for _, e := range m.Versions {
			info, err := os.Stat(r.blobs.path(e.Digest))
			if errors.Is(err, fs.ErrNotExist) {
				continue // another process's version: its blobs are on that one's disk
			}
			if err != nil {
				return fmt.Errorf("index %s: %w", m.Name, err)
			}
			index.Manifests = append(index.Manifests, oci.Descriptor{
				MediaType:    oci.MediaTypeImageManifest,
				ArtifactType: bundle.ArtifactType,
				Digest:       digest.Digest(e.Digest),
				Size:         info.Size(),
				Annotations:  map[string]string{oci.AnnotationRefName: fmt.Sprintf("%s-v%d", e.Model, e.Version)},
			})
		}
	}
	b, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := r.blobs.replace(filepath.Join(r.blobs.dir, "index.json"), b); err != nil {
		return fmt.Errorf("write index.json: %w", err)
	}
	return nil
}
