package bundle

import (
	"slices"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
)

// This file is what can be asked of a sealed version.

// Variant is the selected one.
func (b *Bundle) Variant() Variant { return b.Variants[b.Selected] }

// Select makes a copy that speaks of another variant; all of it must have been read. The error is CodeInvalid for a
// manifest that is not there.
func (b *Bundle) Select(i int) (*Bundle, error) {
	other := *b
	other.Selected = i
	if len(b.Variants) == 1 {
		return &other, nil
	}
	m, err := parseManifest(b.Blobs[b.Variants[i].Digest])
	if err != nil {
		return nil, err
	}
	other.Manifest = *m
	return &other, nil
}

// Model is the bytes of the selected variant's graph.
func (b *Bundle) Model() []byte { return b.layer(PartModel) }

// Profile is the marshalled reference profile, nil if the version has none.
func (b *Bundle) Profile() []byte { return b.layer(PartProfile) }

// Reference is the reference data and its file name; nil if there is none or it was too large to keep.
func (b *Bundle) Reference() (name string, data []byte) { return b.named(PartReference) }

// Card is the model card and its file name; nil if there is none.
func (b *Bundle) Card() (name string, text []byte) { return b.named(PartCard) }

// Attached is the content of one of the files that fairlead.yaml lists, nil if there is none of that path.
func (b *Bundle) Attached(path string) []byte {
	for _, l := range b.Manifest.Layers {
		if partOf(l) == PartFile && l.Annotations[filePath] == path {
			return b.Blobs[fairlead.Digest(l.Digest)]
		}
	}
	return nil
}

// Golden reads the golden vectors with the tolerance of the selected variant; nil if the version has none.
func (b *Bundle) Golden() (*Golden, error) {
	raw := b.layer(PartGolden)
	if raw == nil {
		return nil, nil
	}
	g, err := ParseGolden(raw)
	if err != nil {
		return nil, err
	}
	if t := b.Variant().Tolerance; t != nil {
		g.Absolute, g.Relative = t.Absolute, t.Relative
	}
	return g, nil
}

// Layer is one file of a version.
type Layer struct {
	Part   Part
	Path   string
	Digest fairlead.Digest
	Size   int64
}

// Layers lists the files of the selected variant, as its manifest does.
func (b *Bundle) Layers() []Layer {
	out := make([]Layer, len(b.Manifest.Layers))
	for i, l := range b.Manifest.Layers {
		out[i] = Layer{partOf(l), l.Annotations[filePath], fairlead.Digest(l.Digest), l.Size}
	}
	return out
}

// Size is the number of bytes of what was read: of the whole version, where all of it was. What variants share counts
// once.
func (b *Bundle) Size() int64 {
	n := int64(len(b.Raw))
	for _, content := range b.Blobs {
		n += int64(len(content))
	}
	return n
}

func (b *Bundle) layer(p Part) []byte {
	_, content := b.named(p)
	return content
}

func (b *Bundle) named(p Part) (string, []byte) {
	i := slices.IndexFunc(b.Manifest.Layers, func(l oci.Descriptor) bool { return partOf(l) == p })
	if i < 0 {
		return "", nil
	}
	l := b.Manifest.Layers[i]
	return l.Annotations[filePath], b.Blobs[fairlead.Digest(l.Digest)]
}
