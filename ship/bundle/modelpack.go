package bundle

import (
	"fmt"
	"strconv"
	"strings"

	digest "github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
)

// Media types: those of the CNCF ModelPack specification, all uncompressed and one file per layer.
const (
	ArtifactType    = "application/vnd.cncf.model.manifest.v1+json"
	TypeConfig      = "application/vnd.cncf.model.config.v1+json"
	TypeModel       = "application/vnd.cncf.model.weight.v1.raw"
	TypeDescription = "application/vnd.cncf.model.weight.config.v1.raw" // fairlead.json
	TypeDataset     = "application/vnd.cncf.model.dataset.v1.raw"
	TypeDoc         = "application/vnd.cncf.model.doc.v1.raw"
	TypeCode        = "application/vnd.cncf.model.code.v1.raw"
)

// Types of layers that had media types of our own before there were variants; now they are data sets, told apart by
// their part. They are read for ever.
const (
	typeOldProfile = "application/vnd.fairlead.profile.v1"
	typeOldGolden  = "application/vnd.fairlead.golden.v1+json"
)

// Annotations of layers, by ModelPack and by us, and of the manifests in a version's index.
const (
	filePath     = "org.cncf.model.filepath"
	fileMetadata = "org.cncf.model.file.metadata+json"
	fileUntested = "org.cncf.model.file.mediatype.untested"

	prefix        = "io.github.fairlead-ml."
	partKey       = prefix + "part"
	variantKey    = prefix + "variant"
	isaKey        = prefix + "isa"
	memoryKey     = prefix + "memory"
	runtimeKey    = prefix + "runtime"
	acceleratorOf = prefix + "accelerator"
	opsetKey      = prefix + "opset"
	precisionKey  = prefix + "precision"
)

// Part is what a layer is to us.
type Part string

// Parts of a version.
const (
	PartModel       Part = "model"
	PartDescription Part = "description"
	PartProfile     Part = "profile"
	PartGolden      Part = "golden"
	PartReference   Part = "reference"
	PartTests       Part = "tests"
	PartCard        Part = "card"
	PartFile        Part = "file" // one of files in fairlead.yaml
)

// partOf reads the annotation, and the media type of layers that have none.
func partOf(d oci.Descriptor) Part {
	p := Part(d.Annotations[partKey])
	if p != "" && p != PartModel && p != PartDescription { // those two are what their media types say
		return p
	}
	switch d.MediaType {
	case TypeModel:
		return PartModel
	case TypeDescription:
		return PartDescription
	case typeOldProfile:
		return PartProfile
	case typeOldGolden:
		return PartGolden
	case TypeDataset:
		return PartReference
	}
	return ""
}

// addLayer describes content as a layer, and keeps it.
func (b *Bundle) addLayer(part Part, mediaType, path string, content []byte) (oci.Descriptor, error) {
	d := b.add(mediaType, content)
	// Constant but for name and size: the same content is the same layer wherever it was packed. 48 is tar's plain file.
	metadata, err := canonical(map[string]any{
		"name": path, "mode": 0o644, "uid": 0, "gid": 0, "size": len(content), "mtime": "1970-01-01T00:00:00Z", "typeflag": 48,
	})
	d.Annotations = map[string]string{
		filePath: path, fileMetadata: string(metadata), fileUntested: "false", partKey: string(part),
	}
	return d, err
}

func (b *Bundle) add(mediaType string, content []byte) oci.Descriptor {
	d := DigestOf(content)
	b.Blobs[d] = content
	return oci.Descriptor{MediaType: mediaType, Digest: digest.Digest(d), Size: int64(len(content))}
}

// config is ModelPack's model config; its schema allows no keys of our own.
type config struct {
	Descriptor struct {
		Name string `json:"name"`
	} `json:"descriptor"`
	Config struct {
		Format       string        `json:"format"`
		ParamSize    string        `json:"paramSize,omitempty"`
		Precision    string        `json:"precision,omitempty"`
		Capabilities *capabilities `json:"capabilities,omitempty"`
	} `json:"config"`
	FS struct {
		Type    string          `json:"type"`
		DiffIDs []digest.Digest `json:"diffIds"` // layers are not compressed: their own digests
	} `json:"modelfs"`
}

// capabilities are modalities, of which the specification has text, image, audio, video, embedding and other.
type capabilities struct {
	InputTypes  []string `json:"inputTypes,omitempty"`
	OutputTypes []string `json:"outputTypes,omitempty"`
}

func modelConfig(name fairlead.Name, w Weights, sig fairlead.Signature, layers []oci.Descriptor) config {
	var c config
	c.Descriptor.Name, c.Config.Format, c.FS.Type = string(name), "onnx", "layers"
	c.Config.ParamSize, c.Config.Precision = w.ParamSize(), w.Precision()
	for _, out := range sig.Outputs {
		if out.Role == fairlead.RoleEmbedding {
			c.Config.Capabilities = &capabilities{OutputTypes: []string{"embedding"}}
		}
	}
	for _, l := range layers {
		c.FS.DiffIDs = append(c.FS.DiffIDs, l.Digest)
	}
	return c
}

// describeVariant annotates a manifest in the index with what a host must have, so that any OCI tool can choose.
func describeVariant(d oci.Descriptor, v VariantFile, w Weights) oci.Descriptor {
	d.ArtifactType = ArtifactType
	r := v.Requires
	if r.OS != "" || r.Arch != "" {
		d.Platform = &oci.Platform{OS: r.OS, Architecture: r.Arch}
	}
	d.Annotations = map[string]string{variantKey: v.Name}
	for key, value := range map[string]string{
		isaKey: strings.Join(r.ISA, ","), runtimeKey: r.Runtime, acceleratorOf: r.Accelerator, precisionKey: w.Precision(),
	} {
		if value != "" {
			d.Annotations[key] = value
		}
	}
	if r.Memory > 0 {
		d.Annotations[memoryKey] = strconv.FormatInt(r.Memory, 10)
	}
	if w.Opset > 0 {
		d.Annotations[opsetKey] = fmt.Sprint(w.Opset)
	}
	return d
}
