package bundle

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
)

func manifestError(format string, args ...any) *fairlead.Error {
	return fairlead.Invalid("not a bundle's manifest: %s", fmt.Sprintf(format, args...))
}

// ParseIndex reads a version's index; nil for the single manifest that a version without variants was. The error is
// CodeInvalid for an index that is not ours.
func ParseIndex(raw []byte) (*oci.Index, error) {
	if len(raw) > MaxManifest {
		return nil, fairlead.Errorf(fairlead.CodeTooLarge, "the manifest has %d bytes, the limit is %d", len(raw), MaxManifest)
	}
	var index oci.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, manifestError("%v", err)
	}
	if index.MediaType != oci.MediaTypeImageIndex {
		return nil, nil
	}
	if index.SchemaVersion != 2 {
		return nil, manifestError("the index has schema version %d, expected 2", index.SchemaVersion)
	}
	if n := len(index.Manifests); n == 0 || n > maxVariants {
		return nil, manifestError("the index has %d manifests, expected 1 to %d", n, maxVariants)
	}
	seen := map[string]bool{}
	for _, d := range index.Manifests {
		name := d.Annotations[variantKey]
		if d.MediaType != oci.MediaTypeImageManifest || checkVariantName(name) != nil || seen[name] {
			return nil, manifestError("its index lists %s as variant %q of type %q; expected different names and %q", d.Digest, name, d.MediaType, oci.MediaTypeImageManifest)
		}
		seen[name] = true
		if err := checkDescriptor(d); err != nil {
			return nil, err
		}
	}
	return &index, nil
}

// variantsOf is what an index says of its variants; of nil, the one that a single manifest is.
func variantsOf(index *oci.Index) []Variant {
	if index == nil {
		return []Variant{{VariantFile: VariantFile{Name: legacyVariant}}}
	}
	out := make([]Variant, len(index.Manifests))
	for i, d := range index.Manifests {
		r := Requires{Runtime: d.Annotations[runtimeKey], Accelerator: d.Annotations[acceleratorOf]}
		if d.Platform != nil {
			r.OS, r.Arch = d.Platform.OS, d.Platform.Architecture
		}
		if isa := d.Annotations[isaKey]; isa != "" {
			r.ISA = strings.Split(isa, ",")
		}
		r.Memory, _ = strconv.ParseInt(d.Annotations[memoryKey], 10, 64) // absent or nonsense: nothing is asked for
		out[i] = Variant{VariantFile{Name: d.Annotations[variantKey], Requires: r}, fairlead.Digest(d.Digest), d.Size}
	}
	return out
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
	count := map[Part]int{}
	for _, d := range append([]oci.Descriptor{m.Config}, m.Layers...) {
		if err := checkDescriptor(d); err != nil {
			return nil, err
		}
		count[partOf(d)]++
	}
	for part, kind := range map[Part]string{PartModel: TypeModel, PartDescription: TypeDescription} {
		if count[part] != 1 {
			return nil, manifestError("it has %d layers of type %s, expected one", count[part], kind)
		}
	}
	return &m, nil
}
