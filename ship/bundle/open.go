package bundle

import (
	"encoding/json"
	"fmt"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
)

// MaxManifest bounds a manifest, in bytes, as registries do.
const MaxManifest = 4 << 20

// Blob is one part of a bundle, as Unseal asks for it.
type Blob struct {
	Digest fairlead.Digest
	Size   int64
	Name   string // the file it is, for messages
}

// Unseal opens a sealed version from its manifest. fetch brings the content of config and layers and is not called
// twice for one digest. Everything is checked against its digest and size; an error names the part that differs.
func Unseal(raw []byte, fetch func(Blob) ([]byte, error)) (*Bundle, error) {
	m, err := parseManifest(raw)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Manifest: *m, Raw: raw, Digest: DigestOf(raw), Blobs: map[fairlead.Digest][]byte{}}
	for _, d := range append([]oci.Descriptor{m.Config}, m.Layers...) {
		blob := Blob{Digest: fairlead.Digest(d.Digest), Size: d.Size, Name: partName(d)}
		if have, ok := b.Blobs[blob.Digest]; ok {
			if int64(len(have)) != blob.Size {
				return nil, manifestError("%s is listed with two sizes", blob.Digest)
			}
			continue
		}
		content, err := fetch(blob)
		if err != nil {
			return nil, err
		}
		if err := Verify(blob, content); err != nil {
			return nil, err
		}
		b.Blobs[blob.Digest] = content
	}
	if err := json.Unmarshal(b.layer(TypeDescription), &b.Description); err != nil {
		return nil, manifestError("%s is not readable", descriptionFile).Cause(err)
	}
	if b.File == nil {
		return nil, manifestError("%s does not say what file it is of", descriptionFile)
	}
	return b, nil
}

// Verify compares content with the digest and size it should have. The error is CodeInternal: somebody or some disk
// changed the bytes.
func Verify(blob Blob, content []byte) error {
	if int64(len(content)) != blob.Size {
		return fairlead.Errorf(fairlead.CodeInternal, "blob %s (%s) is damaged: it has %d bytes, %d were sealed", blob.Digest, blob.Name, len(content), blob.Size)
	}
	if got := DigestOf(content); got != blob.Digest {
		return fairlead.Errorf(fairlead.CodeInternal, "blob %s (%s) is damaged: its bytes now have the digest %s", blob.Digest, blob.Name, got)
	}
	return nil
}

func partName(d oci.Descriptor) string {
	if p := d.Annotations[filePath]; p != "" {
		return p
	}
	if d.MediaType == TypeConfig {
		return "config"
	}
	return d.MediaType
}

func manifestError(format string, args ...any) *fairlead.Error {
	return fairlead.Invalid("not a bundle's manifest: %s", fmt.Sprintf(format, args...))
}

// parseManifest reads a manifest that is, or could be, ours: unknown layers are kept, those we need must be there once.
func parseManifest(raw []byte) (*Manifest, error) {
	if len(raw) > MaxManifest {
		return nil, fairlead.Errorf(fairlead.CodeTooLarge, "the manifest has %d bytes, the limit is %d", len(raw), MaxManifest)
	}
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, manifestError("%v", err)
	}
	if m.SchemaVersion != 2 || m.MediaType != oci.MediaTypeImageManifest || m.ArtifactType != ArtifactType {
		return nil, manifestError("it has schema version %d, media type %q, artifact type %q; expected 2, %q, %q",
			m.SchemaVersion, m.MediaType, m.ArtifactType, oci.MediaTypeImageManifest, ArtifactType)
	}
	if m.Config.MediaType != TypeConfig {
		return nil, manifestError("its config has media type %q, expected %q", m.Config.MediaType, TypeConfig)
	}
	count := map[string]int{}
	for _, d := range append([]oci.Descriptor{m.Config}, m.Layers...) {
		if err := d.Digest.Validate(); err != nil || d.Digest.Algorithm() != "sha256" {
			return nil, manifestError("%q is not a SHA-256 digest", d.Digest)
		}
		if d.Size < 0 || d.Size > MaxModel {
			return nil, manifestError("%s has the size %d", d.Digest, d.Size)
		}
		count[d.MediaType]++
	}
	for _, t := range []string{TypeModel, TypeDescription} {
		if count[t] != 1 {
			return nil, manifestError("it has %d layers of type %s, expected one", count[t], t)
		}
	}
	return &m, nil
}
