package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
)

func sealed(t testing.TB, profile []byte) *Bundle {
	t.Helper()
	src := &Source{File: &File{Name: "flights", Model: "model.onnx", Log: LogFile{Rows: 1}, Tests: []any{map[string]any{"b": 1.0, "a": "<&>"}}},
		Model: []byte("graph"), ReferenceName: "ref.csv", Reference: []byte("x\n1\n")}
	sig := fairlead.Signature{Task: fairlead.TaskNone, Inputs: []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 1}}}}
	b, err := Seal(src, sig, profile, []string{"note"})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The digest is the same on every machine and in every year: a change here changes the version of every bundle.
func TestSealDigest(t *testing.T) {
	b := sealed(t, []byte("profile"))
	const want = "sha256:3914dc5a38e45cf31fe8334ff28b08c9b3ab6305920e2715504cf3c93a9e61c5"
	if b.Digest != want {
		t.Errorf("digest %s, want %s", b.Digest, want)
	}
	if again := sealed(t, []byte("profile")); again.Digest != b.Digest {
		t.Error("sealed again, it has another digest")
	}
	if other := sealed(t, []byte("profile!")); other.Digest == b.Digest {
		t.Error("another profile has the same digest")
	}
}

func TestSealManifest(t *testing.T) {
	b := sealed(t, []byte("profile"))
	var index oci.Index
	if err := json.Unmarshal(b.Raw, &index); err != nil {
		t.Fatal(err)
	}
	if index.MediaType != "application/vnd.oci.image.index.v1+json" || index.SchemaVersion != 2 || len(index.Manifests) != 1 ||
		index.Manifests[0].ArtifactType != "application/vnd.cncf.model.manifest.v1+json" {
		t.Errorf("%s", b.Raw)
	}
	raw := b.Blobs[fairlead.Digest(index.Manifests[0].Digest)]
	m := modelPack(t, b, raw)
	var kinds []string
	for _, l := range m.Layers {
		kinds = append(kinds, l.MediaType+" "+l.Annotations["org.cncf.model.filepath"])
	}
	want := []string{
		"application/vnd.cncf.model.weight.v1.raw model.onnx",
		"application/vnd.cncf.model.weight.config.v1.raw fairlead.json",
		"application/vnd.cncf.model.dataset.v1.raw reference.profile",
		"application/vnd.cncf.model.dataset.v1.raw tests.json",
		"application/vnd.cncf.model.dataset.v1.raw ref.csv",
	}
	if d := cmp.Diff(want, kinds); d != "" {
		t.Error(d)
	}
	for _, text := range [][]byte{b.Raw, raw} {
		if keys := []string{`"artifactType"`, `"mediaType":"application/vnd.oci.image.`, `"schemaVersion"`}; !inOrder(string(text), keys) {
			t.Errorf("keys are not sorted: %s", text)
		}
		if strings.ContainsAny(string(text), " \n") {
			t.Error("white space in the manifest")
		}
	}
}

// modelPack checks a manifest, its config and its layers against the shapes of the ModelPack specification
// (modelpack/model-spec: docs/spec.md, schema/config-schema.json): what must be there is there, and nothing else.
func modelPack(t *testing.T, b *Bundle, raw []byte) oci.Manifest {
	t.Helper()
	var m oci.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if m.MediaType != "application/vnd.oci.image.manifest.v1+json" || m.ArtifactType != "application/vnd.cncf.model.manifest.v1+json" ||
		m.Config.MediaType != "application/vnd.cncf.model.config.v1+json" || m.SchemaVersion != 2 {
		t.Errorf("%s", raw)
	}
	var config struct {
		Descriptor *struct {
			CreatedAt, Family, Name, DocURL, SourceURL, Version, Revision, Vendor, Title, Description string
			Authors, DatasetsURL, Licenses                                                            []string
		}
		Config *struct {
			Architecture, Format, ParamSize, Precision, Quantization string
			Capabilities                                             *struct{ InputTypes, OutputTypes []string }
		}
		ModelFS *struct {
			Type    string
			DiffIDs []string `json:"diffIds"`
		}
	}
	d := json.NewDecoder(bytes.NewReader(b.Blobs[fairlead.Digest(m.Config.Digest)]))
	d.DisallowUnknownFields() // the schema says additionalProperties: false, everywhere
	if err := d.Decode(&config); err != nil {
		t.Fatalf("config: %v", err)
	}
	if config.Descriptor == nil || config.Config == nil || config.ModelFS == nil {
		t.Fatalf("the config lacks one of its three objects: %s", b.Blobs[fairlead.Digest(m.Config.Digest)])
	}
	if config.Descriptor.Name == "" || config.Config.Format != "onnx" || config.ModelFS.Type != "layers" || len(config.ModelFS.DiffIDs) != len(m.Layers) {
		t.Errorf("config %+v", config)
	}
	kind := regexp.MustCompile(`^application/vnd\.cncf\.model\.(weight|weight\.config|doc|code|dataset)\.v1\.(raw|tar|tar\+gzip|tar\+zstd)$`)
	for i, l := range m.Layers {
		var file struct {
			Name     string
			Mode     uint32
			UID, GID uint32
			Size     int64
			Mtime    time.Time
			Typeflag byte
		}
		d := json.NewDecoder(strings.NewReader(l.Annotations["org.cncf.model.file.metadata+json"]))
		d.DisallowUnknownFields()
		if err := d.Decode(&file); err != nil || file.Size != l.Size || file.Name != l.Annotations["org.cncf.model.filepath"] || file.Typeflag != '0' || file.Mode != 0o644 {
			t.Errorf("layer %d: metadata %+v, %v", i, file, err)
		}
		if u := l.Annotations["org.cncf.model.file.mediatype.untested"]; !kind.MatchString(l.MediaType) || u != "true" && u != "false" || config.ModelFS.DiffIDs[i] != string(l.Digest) {
			t.Errorf("layer %d: %+v", i, l)
		}
	}
	return m
}

func inOrder(s string, parts []string) bool {
	for _, p := range parts {
		_, rest, ok := strings.Cut(s, p)
		if !ok {
			return false
		}
		s = rest
	}
	return true
}

func TestSealOptional(t *testing.T) {
	b := sealed(t, nil)
	if b.Profile() != nil || len(b.Manifest.Layers) != 4 {
		t.Error("a profile without a profile")
	}
	src := FromModel("a", []byte("g"))
	src.ReferenceName, src.Reference = "big.csv", make([]byte, MaxKeptReference+1)
	b, err := Seal(src, fairlead.Signature{}, []byte("p"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if name, data := b.Reference(); name != "" || data != nil || string(b.Profile()) != "p" || string(b.Model()) != "g" {
		t.Errorf("kept %q", name)
	}
	if _, err := Seal(FromModel("a", nil), fairlead.Signature{}, nil, nil); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Error(err)
	}
}

func fetcher(b *Bundle) func(Blob) ([]byte, error) {
	return func(p Blob) ([]byte, error) {
		c, ok := b.Blobs[p.Digest]
		if !ok {
			return nil, errors.New("no such blob")
		}
		return c, nil
	}
}

func TestUnseal(t *testing.T) {
	b := sealed(t, []byte("profile"))
	got, err := Unseal(b.Raw, fetcher(b))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b, got); d != "" {
		t.Error(d)
	}
	name, data := got.Reference()
	if name != "ref.csv" || string(data) != "x\n1\n" || string(got.Model()) != "graph" || string(got.Profile()) != "profile" || got.Signature.Task != fairlead.TaskNone {
		t.Errorf("%+v", got)
	}
	var sum int64
	for _, c := range b.Blobs {
		sum += int64(len(c))
	}
	if got.Size() != sum+int64(len(b.Raw)) {
		t.Errorf("size %d", got.Size())
	}
}

func TestUnsealBad(t *testing.T) {
	b := sealed(t, []byte("profile"))
	manifest := string(b.Blobs[b.Variants[0].Digest])
	// edit changes the manifest and lets the index follow.
	edit := func(old, new string) []byte {
		changed := []byte(strings.Replace(manifest, old, new, 1))
		d := DigestOf(changed)
		b.Blobs[d] = changed
		raw := strings.Replace(string(b.Raw), string(b.Variants[0].Digest), string(d), 1)
		return []byte(strings.Replace(raw, fmt.Sprintf(`"size":%d`, len(manifest)), fmt.Sprintf(`"size":%d`, len(changed)), 1))
	}
	index := func(old, new string) []byte { return []byte(strings.Replace(string(b.Raw), old, new, 1)) }
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"empty":          {nil, "not a bundle's manifest"},
		"other":          {[]byte(`{"schemaVersion":2}`), "artifact type"},
		"index schema":   {index(`"schemaVersion":2`, `"schemaVersion":1`), "schema version 1"},
		"no manifests":   {[]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"}`), "has 0 manifests"},
		"no variant":     {index(`"io.github.fairlead-ml.variant":"fp32"`, `"a":"b"`), `as variant ""`},
		"other variant":  {index(`"io.github.fairlead-ml.variant":"fp32"`, `"io.github.fairlead-ml.variant":"../x"`), `as variant "../x"`},
		"index digest":   {index("sha256:", "sha512:"), "is not a SHA-256 digest"},
		"schema":         {edit(`"schemaVersion":2`, `"schemaVersion":1`), "schema version 1"},
		"config type":    {edit("cncf.model.config.v1", "cncf.model.config.v9"), "its config has media type"},
		"no model":       {edit("weight.v1.raw", "weight.v1.tar"), "it has 0 layers of type " + TypeModel},
		"digest":         {edit("sha256:", "sha512:"), "is not a SHA-256 digest"},
		"path digest":    {edit(string(b.Manifest.Config.Digest), "sha256:../../../../etc/passwd"), "is not a SHA-256 digest"},
		"negative size":  {edit(`"size":5}`, `"size":-5}`), "has the size -5"},
		"other size":     {edit(`"size":5}`, `"size":6}`), "blob " + string(b.Manifest.Layers[0].Digest) + " (model.onnx) is damaged: it has 5 bytes, 6 were sealed"},
		"large":          {make([]byte, MaxManifest+1), "the limit is"},
		"large manifest": {[]byte(`{"a":"` + strings.Repeat("x", MaxManifest) + `"}`), "the limit is"},
	} {
		if _, err := Unseal(c.raw, fetcher(b)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want %q", name, err, c.want)
		}
	}
	model := fairlead.Digest(b.Manifest.Layers[0].Digest)
	b.Blobs[model] = []byte("Graph")
	if _, err := Unseal(b.Raw, fetcher(b)); err == nil || !strings.Contains(err.Error(), "(model.onnx) is damaged: its bytes now have the digest") {
		t.Error(err)
	}
}

func FuzzUnseal(f *testing.F) {
	b := sealed(f, []byte("profile"))
	f.Add(b.Raw)
	f.Add(b.Blobs[b.Variants[0].Digest])
	f.Add([]byte(`{"schemaVersion":2,"layers":[{}]}`))
	f.Add([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Unseal(raw, fetcher(b))
		if err == nil && (got.File == nil || len(got.Model()) == 0) {
			t.Fatal("opened without a model")
		}
	})
}
