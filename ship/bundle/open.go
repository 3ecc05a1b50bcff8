package bundle

import (
	"encoding/json"
	"fmt"
	"slices"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
)

// MaxManifest bounds a manifest or index, in bytes, as registries do.
const MaxManifest = 4 << 20

// maxVariants bounds the manifests of an index.
const maxVariants = 64

// legacyVariant is the name of the one variant of a bundle from before there were variants.
const legacyVariant = "fp32"

// Blob is one part of a bundle, as Unseal asks for it.
type Blob struct {
	Digest fairlead.Digest
	Size   int64
	Name   string // the file it is, for messages

	Manifest bool // an index or a manifest, which refers to more
}

// Fetch brings the content of a blob. What it answers is verified by whoever asked.
type Fetch func(Blob) ([]byte, error)

// Unseal opens a sealed version from its index, or from the manifest that versions without variants were. fetch brings
// manifests, configs and layers and is not called twice for one digest. Everything is checked against its digest and
// size; an error names the part that differs. The first variant is selected.
func Unseal(raw []byte, fetch Fetch) (*Bundle, error) {
	return unseal(raw, fetch, func([]Variant) (int, error) { return 0, nil }, func(Part) bool { return true }, true)
}

// UnsealVariant reads only the variant that choose picks. Of others nothing but the name is known. What choose is given
// has what the index says of them: no tolerances.
func UnsealVariant(raw []byte, fetch Fetch, choose func([]Variant) (int, error)) (*Bundle, error) {
	return unseal(raw, fetch, choose, func(Part) bool { return true }, false)
}

// UnsealDescription reads what a version says of itself, for listings and comparisons: no graph, and no data but the
// profile.
func UnsealDescription(raw []byte, fetch Fetch) (*Bundle, error) {
	return unseal(raw, fetch, func([]Variant) (int, error) { return 0, nil },
		func(p Part) bool { return p == PartDescription || p == PartProfile || p == PartTests || p == PartCard }, false)
}

func unseal(raw []byte, fetch Fetch, choose func([]Variant) (int, error), want func(Part) bool, all bool) (*Bundle, error) {
	b := &Bundle{Raw: raw, Digest: DigestOf(raw), Blobs: map[fairlead.Digest][]byte{}}
	r := reader{b, fetch, want}
	index, err := ParseIndex(raw)
	if err != nil {
		return nil, err
	}
	b.Variants = variantsOf(index)
	if b.Selected, err = choose(b.Variants); err != nil {
		return nil, err
	}
	if index == nil { // a single manifest
		m, err := parseManifest(raw)
		if err != nil {
			return nil, err
		}
		b.Variants[0].Digest, b.Variants[0].Size, b.Manifest = b.Digest, int64(len(raw)), *m
		if err := r.layers(m); err != nil {
			return nil, err
		}
	} else if err := r.variants(all); err != nil {
		return nil, err
	}
	return b, b.readDescription()
}

// reader fills a bundle's blobs.
type reader struct {
	b     *Bundle
	fetch Fetch
	want  func(Part) bool
}

// variants reads the selected one, and the others too if all is set.
func (r reader) variants(all bool) error {
	var description fairlead.Digest
	for i, v := range r.b.Variants {
		if i != r.b.Selected && !all {
			continue
		}
		raw, err := r.read(Blob{Digest: v.Digest, Size: v.Size, Name: "manifest of " + v.Name, Manifest: true})
		if err != nil {
			return err
		}
		m, err := parseManifest(raw)
		if err != nil {
			return fmt.Errorf("variant %s: %w", v.Name, err)
		}
		at := slices.IndexFunc(m.Layers, func(l oci.Descriptor) bool { return partOf(l) == PartDescription })
		if d := fairlead.Digest(m.Layers[at].Digest); description != "" && d != description {
			return manifestError("variant %s has another %s than the first", v.Name, descriptionFile)
		} else {
			description = d
		}
		if i == r.b.Selected {
			r.b.Manifest = *m
		}
		if err := r.layers(m); err != nil {
			return err
		}
	}
	return nil
}

func (r reader) layers(m *Manifest) error {
	if _, err := r.read(blobOf(m.Config)); err != nil {
		return err
	}
	for _, l := range m.Layers {
		if !r.want(partOf(l)) {
			continue
		}
		if _, err := r.read(blobOf(l)); err != nil {
			return err
		}
	}
	return nil
}

func (r reader) read(blob Blob) ([]byte, error) {
	if have, ok := r.b.Blobs[blob.Digest]; ok {
		if int64(len(have)) != blob.Size {
			return nil, manifestError("%s is listed with two sizes", blob.Digest)
		}
		return have, nil
	}
	content, err := r.fetch(blob)
	if err != nil {
		return nil, err
	}
	if err := Verify(blob, content); err != nil {
		return nil, err
	}
	r.b.Blobs[blob.Digest] = content
	return content, nil
}

// readDescription reads fairlead.json and the tests, and gives the variants what the index does not say of them.
func (b *Bundle) readDescription() error {
	if err := json.Unmarshal(b.layer(PartDescription), &b.Description); err != nil {
		return manifestError("%s is not readable", descriptionFile).Cause(err)
	}
	if b.File == nil {
		return manifestError("%s does not say what file it is of", descriptionFile)
	}
	if tests := b.layer(PartTests); tests != nil {
		if err := json.Unmarshal(tests, &b.File.Tests); err != nil {
			return manifestError("%s is not readable", testsFile).Cause(err)
		}
	}
	if len(b.File.Variants) == 0 {
		if len(b.Variants) != 1 {
			return manifestError("it has %d variants, %s none", len(b.Variants), descriptionFile)
		}
		b.Variants[0].Model = b.File.Model
		return nil
	}
	if len(b.File.Variants) != len(b.Variants) {
		return manifestError("it has %d variants, %s %d", len(b.Variants), descriptionFile, len(b.File.Variants))
	}
	for i, v := range b.File.Variants {
		if v.Name != b.Variants[i].Name {
			return manifestError("variant %d is %q in the index and %q in %s", i, b.Variants[i].Name, v.Name, descriptionFile)
		}
		b.Variants[i].VariantFile = v
	}
	return nil
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

func blobOf(d oci.Descriptor) Blob {
	return Blob{
		Digest: fairlead.Digest(d.Digest), Size: d.Size, Name: partName(d),
		Manifest: d.MediaType == oci.MediaTypeImageManifest || d.MediaType == oci.MediaTypeImageIndex,
	}
}

func partName(d oci.Descriptor) string {
	if p := d.Annotations[filePath]; p != "" {
		return p
	}
	switch d.MediaType {
	case TypeConfig:
		return "config"
	case oci.MediaTypeImageManifest:
		return "manifest of " + d.Annotations[variantKey]
	}
	return d.MediaType
}

// Refers lists the blobs that an index or a manifest names, for whoever copies or keeps a version. It takes every
// index and manifest of the OCI image specification, ours or not. The error is CodeInvalid.
func Refers(raw []byte) ([]Blob, error) {
	if len(raw) > MaxManifest {
		return nil, fairlead.Errorf(fairlead.CodeTooLarge, "the manifest has %d bytes, the limit is %d", len(raw), MaxManifest)
	}
	var any struct {
		MediaType string           `json:"mediaType"`
		Config    *oci.Descriptor  `json:"config"`
		Layers    []oci.Descriptor `json:"layers"`
		Manifests []oci.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &any); err != nil {
		return nil, manifestError("%v", err)
	}
	parts := slices.Concat(any.Manifests, any.Layers)
	if any.Config != nil {
		parts = append(parts, *any.Config)
	}
	blobs := make([]Blob, len(parts))
	for i, d := range parts {
		if err := checkDescriptor(d); err != nil {
			return nil, err
		}
		blobs[i] = blobOf(d)
	}
	return blobs, nil
}

func checkDescriptor(d oci.Descriptor) error {
	if err := d.Digest.Validate(); err != nil || d.Digest.Algorithm() != "sha256" {
		return manifestError("%q is not a SHA-256 digest", d.Digest)
	}
	if d.Size < 0 || d.Size > MaxModel {
		return manifestError("%s has the size %d", d.Digest, d.Size)
	}
	return nil
}
