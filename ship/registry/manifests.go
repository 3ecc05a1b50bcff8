package registry

import (
	"context"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Manifests reads a version's index, and the manifests it names by digest, verified: what says which files a version has.
func (r *Registry) Manifests(ctx context.Context, d fairlead.Digest) (index []byte, manifests map[fairlead.Digest][]byte, err error) {
	if err := checkDigest(d); err != nil {
		return nil, nil, err
	}
	if index, err = r.blobs.read(bundle.Blob{Digest: d, Size: -1, Name: "index", Manifest: true}, bundle.MaxManifest); err != nil {
		return nil, nil, err
	}
	refers, err := bundle.Refers(index)
	if err != nil {
		return nil, nil, err
	}
	manifests = map[fairlead.Digest][]byte{}
	for _, b := range refers {
		if !b.Manifest {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if manifests[b.Digest], err = r.blobs.read(b, b.Size); err != nil {
			return nil, nil, err
		}
	}
	return index, manifests, nil
}
