package registry

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Attachment is an OCI manifest that refers to a version by its subject, a signature for example, and the blobs it names.
type Attachment struct {
	Digest   fairlead.Digest // of Manifest
	Manifest []byte
	Blobs    map[fairlead.Digest][]byte
}

// Attach keeps an attachment with a version; the same one twice is once there. The error is CodeInvalid when a blob that
// the manifest names is missing or differs.
func (r *Registry) Attach(ctx context.Context, model fairlead.Name, v fairlead.Version, a Attachment) error {
	refers, err := bundle.Refers(a.Manifest)
	if err != nil {
		return err
	}
	for _, b := range refers {
		content, ok := a.Blobs[b.Digest]
		if !ok {
			return fairlead.Invalid("the attachment lacks its blob %s (%s)", b.Digest, b.Name)
		}
		if err := bundle.Verify(b, content); err != nil {
			return fairlead.Invalid("the attachment's blob differs: %v", err).Cause(err)
		}
	}
	digest := bundle.DigestOf(a.Manifest)
	defer r.gate.hold(append(slices.Collect(maps.Keys(a.Blobs)), digest))()
	for _, b := range refers {
		if err := r.blobs.put(b.Digest, a.Blobs[b.Digest]); err != nil {
			return fmt.Errorf("attach to %s@%d: %w", model, v, err)
		}
	}
	if err := r.blobs.put(digest, a.Manifest); err != nil {
		return fmt.Errorf("attach to %s@%d: %w", model, v, err)
	}
	err = r.update(ctx, model, func(m *Model) error {
		if _, err := m.at(v); err != nil {
			return unknownVersion(m, v.String())
		}
		at := &m.Versions[v-1]
		if slices.Contains(at.Attached, digest) {
			return errUnchanged
		}
		at.Attached = append(at.Attached, digest)
		return nil
	})
	if err != nil {
		return err
	}
	return r.Reindex(ctx)
}

// Attachments reads what is attached to a version, verified, in the order it came.
func (r *Registry) Attachments(_ context.Context, e Entry) ([]Attachment, error) {
	var out []Attachment
	for _, d := range e.Attached {
		raw, err := r.blobs.read(bundle.Blob{Digest: d, Size: -1, Name: "attachment"}, bundle.MaxManifest)
		if err != nil {
			return nil, err
		}
		refers, err := bundle.Refers(raw)
		if err != nil {
			return nil, err
		}
		a := Attachment{Digest: d, Manifest: raw, Blobs: map[fairlead.Digest][]byte{}}
		for _, b := range refers {
			if a.Blobs[b.Digest], err = r.blobs.read(b, b.Size); err != nil {
				return nil, err
			}
		}
		out = append(out, a)
	}
	return out, nil
}
