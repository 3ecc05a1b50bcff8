package bundle

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

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
	const want = "sha256:c94ffd4fd915ad4be1314cd173a5d72b719e56365f9127a43fe1ecb6c0a66dd5"
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
	var m oci.Manifest
	if err := json.Unmarshal(b.Raw, &m); err != nil {
		t.Fatal(err)
	}
	if m.MediaType != "application/vnd.oci.image.manifest.v1+json" || m.ArtifactType != "application/vnd.cncf.model.manifest.v1+json" ||
		m.Config.MediaType != "application/vnd.cncf.model.config.v1+json" || m.SchemaVersion != 2 {
		t.Errorf("%s", b.Raw)
	}
	var kinds []string
	for _, l := range m.Layers {
		kinds = append(kinds, l.MediaType+" "+l.Annotations["org.cncf.model.filepath"])
	}
	want := []string{
		"application/vnd.cncf.model.weight.v1.raw model.onnx",
		"application/vnd.cncf.model.weight.config.v1.raw fairlead.json",
		"application/vnd.fairlead.profile.v1 reference.profile",
		"application/vnd.cncf.model.dataset.v1.raw ref.csv",
	}
	if d := cmp.Diff(want, kinds); d != "" {
		t.Error(d)
	}
	// ModelPack's schema of the config: these three objects, nothing else in them that it does not know.
	var config map[string]map[string]any
	if err := json.Unmarshal(b.Blobs[fairlead.Digest(m.Config.Digest)], &config); err != nil {
		t.Fatal(err)
	}
	ids := []any{}
	for _, l := range m.Layers {
		ids = append(ids, string(l.Digest))
	}
	wantConfig := map[string]map[string]any{
		"descriptor": {"name": "flights"}, "config": {"format": "onnx"}, "modelfs": {"type": "layers", "diffIds": ids},
	}
	if d := cmp.Diff(wantConfig, config); d != "" {
		t.Error(d)
	}
	if keys := []string{`"artifactType"`, `"config"`, `"layers"`, `"mediaType":"application/vnd.oci.image.manifest`, `"schemaVersion"`}; !inOrder(string(b.Raw), keys) {
		t.Errorf("keys are not sorted: %s", b.Raw)
	}
	if strings.ContainsAny(string(b.Raw), " \n") {
		t.Error("white space in the manifest")
	}
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
	if b.Profile() != nil || len(b.Manifest.Layers) != 3 {
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
	edit := func(old, new string) []byte { return []byte(strings.Replace(string(b.Raw), old, new, 1)) }
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"empty":         {nil, "not a bundle's manifest"},
		"other":         {[]byte(`{"schemaVersion":2}`), "artifact type"},
		"schema":        {edit(`"schemaVersion":2`, `"schemaVersion":1`), "schema version 1"},
		"config type":   {edit("cncf.model.config.v1", "cncf.model.config.v9"), "its config has media type"},
		"no model":      {edit("weight.v1.raw", "weight.v1.tar"), "it has 0 layers of type " + TypeModel},
		"digest":        {edit("sha256:", "sha512:"), "is not a SHA-256 digest"},
		"path digest":   {edit(string(b.Manifest.Config.Digest), "sha256:../../../../etc/passwd"), "is not a SHA-256 digest"},
		"negative size": {edit(`"size":5`, `"size":-5`), "has the size -5"},
		"other size":    {edit(`"size":5`, `"size":6`), "blob " + string(b.Manifest.Layers[0].Digest) + " (model.onnx) is damaged: it has 5 bytes, 6 were sealed"},
		"large":         {make([]byte, MaxManifest+1), "the limit is"},
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
	f.Add([]byte(`{"schemaVersion":2,"layers":[{}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Unseal(raw, fetcher(b))
		if err == nil && (got.File == nil || len(got.Model()) == 0) {
			t.Fatal("opened without a model")
		}
	})
}
