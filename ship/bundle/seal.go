package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
)

// Paths of layers that no file of the folder is.
const (
	descriptionFile = "fairlead.json" // a Description
	profileFile     = "reference.profile"
	testsFile       = "tests.json"
)

// MaxKeptReference is the largest reference file that is kept in the bundle itself, in bytes. Larger ones leave only
// their profile.
const MaxKeptReference = 8 << 20

// Manifest is an OCI image manifest: one variant.
type Manifest = oci.Manifest

// Description is what fairlead knows about a version beyond the model's bytes.
type Description struct {
	Signature fairlead.Signature `json:"signature"`
	File      *File              `json:"file"`
	Notes     []string           `json:"notes,omitempty"`   // what push noticed
	Metrics   map[string]float64 `json:"metrics,omitempty"` // on the reference data
}

// Bundle is a sealed version. It is not changed any more.
type Bundle struct {
	Description
	Digest   fairlead.Digest            // the version: of Raw
	Raw      []byte                     // the image index, canonical JSON; a manifest in bundles from before there were variants
	Variants []Variant                  // at least one, in order of preference
	Selected int                        // place of the variant that Manifest, Model and Golden speak of
	Manifest Manifest                   // of the selected variant
	Blobs    map[fairlead.Digest][]byte // what was read of manifests, configs and layers; without Raw
}

// Variant is one graph of a sealed version.
type Variant struct {
	VariantFile
	Digest fairlead.Digest // of its manifest
	Size   int64           // of its manifest
}

// Seal makes the version of src with the merged signature: an image index with one manifest per variant; what they
// share is there once. profile may be nil: a version without a reference. The same content gives the same digest on any
// machine and at any time: JSON is canonical (sorted keys, no white space) and holds no timestamps.
func Seal(src *Source, sig fairlead.Signature, profile []byte, notes []string) (*Bundle, error) {
	if len(src.Model) == 0 {
		return nil, fairlead.Invalid("the bundle has no model")
	}
	b := &Bundle{Description: Description{Signature: sig, File: src.File, Notes: notes, Metrics: src.Metrics}, Blobs: map[fairlead.Digest][]byte{}}
	if err := b.seal(src, profile); err != nil {
		return nil, fmt.Errorf("seal %s: %w", src.File.Name, err)
	}
	return b, nil
}

func (b *Bundle) seal(src *Source, profile []byte) error {
	shared, err := b.sharedLayers(src, profile)
	if err != nil {
		return err
	}
	index := oci.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageIndex, ArtifactType: ArtifactType}
	for i, v := range src.variants() {
		graph := src.graph(v)
		if len(graph) == 0 {
			return fairlead.Invalid("variant %s has no model: %s is empty or missing", v.Name, v.Model)
		}
		weights := ReadWeights(graph)
		m, desc, err := b.manifest(v, graph, weights, shared)
		if err != nil {
			return err
		}
		if i == 0 {
			b.Manifest = m
		}
		index.Manifests = append(index.Manifests, describeVariant(desc, v, weights))
		b.Variants = append(b.Variants, Variant{VariantFile: v, Digest: fairlead.Digest(desc.Digest), Size: desc.Size})
	}
	if b.Raw, err = canonical(index); err != nil {
		return err
	}
	b.Digest = DigestOf(b.Raw)
	return nil
}

// manifest is one variant: its graph and the layers that all share.
func (b *Bundle) manifest(v VariantFile, graph []byte, w Weights, shared []oci.Descriptor) (Manifest, oci.Descriptor, error) {
	model, err := b.addLayer(PartModel, TypeModel, v.Model, graph)
	if err != nil {
		return Manifest{}, oci.Descriptor{}, err
	}
	layers := append([]oci.Descriptor{model}, shared...)
	config, err := canonical(modelConfig(b.File.Name, w, b.Signature, layers))
	if err != nil {
		return Manifest{}, oci.Descriptor{}, err
	}
	m := Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    oci.MediaTypeImageManifest,
		ArtifactType: ArtifactType,
		Config:       b.add(TypeConfig, config),
		Layers:       layers,
	}
	raw, err := canonical(m)
	return m, b.add(oci.MediaTypeImageManifest, raw), err
}

// sharedLayers are those that do not depend on the variant.
func (b *Bundle) sharedLayers(src *Source, profile []byte) ([]oci.Descriptor, error) {
	file := *b.File
	file.Tests = nil // a layer of their own
	description, err := canonical(Description{b.Signature, &file, b.Notes, b.Metrics})
	if err != nil {
		return nil, err
	}
	type part struct {
		part       Part
		kind, path string
		content    []byte
	}
	parts := []part{{PartDescription, TypeDescription, descriptionFile, description}, {PartProfile, TypeDataset, profileFile, profile}}
	if src.Golden != nil {
		golden, err := canonical(src.Golden)
		if err != nil {
			return nil, err
		}
		if len(golden) > MaxGolden {
			return nil, tooLarge("the golden vectors", MaxGolden)
		}
		parts = append(parts, part{PartGolden, TypeDataset, GoldenFile, golden})
	}
	if len(b.File.Tests) > 0 {
		tests, err := canonical(b.File.Tests)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{PartTests, TypeDataset, testsFile, tests})
	}
	if len(src.Reference) <= MaxKeptReference {
		parts = append(parts, part{PartReference, TypeDataset, src.ReferenceName, src.Reference})
	}
	parts = append(parts, part{PartCard, TypeDoc, b.File.Card, src.Card})
	for _, name := range b.File.Files {
		parts = append(parts, part{PartFile, typeOfFile(name), name, src.Files[name]})
	}
	var layers []oci.Descriptor
	for _, p := range parts {
		if len(p.content) == 0 {
			continue
		}
		layer, err := b.addLayer(p.part, p.kind, p.path, p.content)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	return layers, nil
}

// typeOfFile guesses the kind of a file that is not otherwise known.
func typeOfFile(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".parquet", ".csv", ".json", ".jsonl":
		return TypeDataset
	case ".md", ".txt", ".pdf":
		return TypeDoc
	}
	return TypeCode
}

// DigestOf is the SHA-256 of b.
func DigestOf(b []byte) fairlead.Digest {
	sum := sha256.Sum256(b)
	return fairlead.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// canonical is v as JSON with sorted keys, no white space and no escaping of HTML.
func canonical(v any) ([]byte, error) {
	first, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(first))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(plain); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
