package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
)

// Media types: those of the CNCF ModelPack specification, and our own where it has none.
const (
	ArtifactType    = "application/vnd.cncf.model.manifest.v1+json"
	TypeConfig      = "application/vnd.cncf.model.config.v1+json"
	TypeModel       = "application/vnd.cncf.model.weight.v1.raw"
	TypeDescription = "application/vnd.cncf.model.weight.config.v1.raw" // fairlead.json
	TypeReference   = "application/vnd.cncf.model.dataset.v1.raw"
	TypeProfile     = "application/vnd.fairlead.profile.v1"
	filePath        = "org.cncf.model.filepath" // annotation of a layer
)

// descriptionFile is the path of the layer that holds a Description.
const descriptionFile = "fairlead.json"

// MaxKeptReference is the largest reference file that is kept in the bundle itself, in bytes. Larger ones leave only
// their profile.
const MaxKeptReference = 8 << 20

// Manifest is an OCI image manifest.
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
	Manifest Manifest
	Digest   fairlead.Digest            // of Raw
	Raw      []byte                     // the manifest, canonical JSON
	Blobs    map[fairlead.Digest][]byte // config and layers; without the manifest
}

// Seal makes the version of src with the merged signature. profile may be nil: a version without a reference. The
// same content gives the same digest on any machine and at any time: JSON is canonical (sorted keys, no white space)
// and holds no timestamps.
func Seal(src *Source, sig fairlead.Signature, profile []byte, notes []string) (*Bundle, error) {
	if len(src.Model) == 0 {
		return nil, fairlead.Invalid("the bundle has no model")
	}
	b := &Bundle{Description: Description{Signature: sig, File: src.File, Notes: notes, Metrics: src.Metrics}, Blobs: map[fairlead.Digest][]byte{}}
	description, err := canonical(b.Description)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", src.File.Name, err)
	}
	layers := []oci.Descriptor{
		b.add(TypeModel, src.File.Model, src.Model),
		b.add(TypeDescription, descriptionFile, description),
	}
	if len(profile) > 0 {
		layers = append(layers, b.add(TypeProfile, "reference.profile", profile))
	}
	if src.Golden != nil {
		golden, err := canonical(src.Golden)
		if err != nil {
			return nil, fmt.Errorf("seal %s: %w", src.File.Name, err)
		}
		if len(golden) > MaxGolden {
			return nil, tooLarge("the golden vectors", MaxGolden)
		}
		layers = append(layers, b.add(TypeGolden, GoldenFile, golden))
	}
	if n := len(src.Reference); n > 0 && n <= MaxKeptReference {
		layers = append(layers, b.add(TypeReference, src.ReferenceName, src.Reference))
	}
	config, err := canonical(modelConfig(src.File.Name, layers))
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", src.File.Name, err)
	}
	b.Manifest = Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    oci.MediaTypeImageManifest,
		ArtifactType: ArtifactType,
		Config:       b.add(TypeConfig, "", config),
		Layers:       layers,
	}
	if b.Raw, err = canonical(b.Manifest); err != nil {
		return nil, fmt.Errorf("seal %s: %w", src.File.Name, err)
	}
	b.Digest = DigestOf(b.Raw)
	return b, nil
}

// config is ModelPack's model config; its schema allows no keys of our own.
type config struct {
	Descriptor struct {
		Name string `json:"name"`
	} `json:"descriptor"`
	Config struct {
		Format string `json:"format"`
	} `json:"config"`
	FS struct {
		Type    string          `json:"type"`
		DiffIDs []digest.Digest `json:"diffIds"` // layers are not compressed: their own digests
	} `json:"modelfs"`
}

func modelConfig(name fairlead.Name, layers []oci.Descriptor) config {
	var c config
	c.Descriptor.Name, c.Config.Format, c.FS.Type = string(name), "onnx", "layers"
	for _, l := range layers {
		c.FS.DiffIDs = append(c.FS.DiffIDs, l.Digest)
	}
	return c
}

func (b *Bundle) add(mediaType, path string, content []byte) oci.Descriptor {
	d := DigestOf(content)
	b.Blobs[d] = content
	desc := oci.Descriptor{MediaType: mediaType, Digest: digest.Digest(d), Size: int64(len(content))}
	if path != "" {
		desc.Annotations = map[string]string{filePath: path}
	}
	return desc
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

// Model is the bytes of the graph.
func (b *Bundle) Model() []byte { return b.layer(TypeModel) }

// Profile is the marshalled reference profile, nil if the version has none.
func (b *Bundle) Profile() []byte { return b.layer(TypeProfile) }

// Reference is the reference data and its file name; nil if there is none or it was too large to keep.
func (b *Bundle) Reference() (name string, data []byte) {
	for _, l := range b.Manifest.Layers {
		if l.MediaType == TypeReference {
			return l.Annotations[filePath], b.Blobs[fairlead.Digest(l.Digest)]
		}
	}
	return "", nil
}

// Size is the number of bytes of the manifest and everything it refers to.
func (b *Bundle) Size() int64 {
	n := int64(len(b.Raw)) + b.Manifest.Config.Size
	for _, l := range b.Manifest.Layers {
		n += l.Size
	}
	return n
}

func (b *Bundle) layer(mediaType string) []byte {
	for _, l := range b.Manifest.Layers {
		if l.MediaType == mediaType {
			return b.Blobs[fairlead.Digest(l.Digest)]
		}
	}
	return nil
}
