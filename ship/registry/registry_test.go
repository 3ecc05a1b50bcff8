package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
)

var now = time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string, kv registry.KV) *registry.Registry {
	t.Helper()
	r, err := registry.Open(dir, kv)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConformance(t *testing.T) {
	kvs := map[registrytest.Registry]*registrytest.KV{}
	registrytest.Run(t, func(t *testing.T) registrytest.Registry {
		kv := &registrytest.KV{}
		r := open(t, t.TempDir(), kv)
		kvs[r] = kv
		return r
	}, func(t *testing.T, r registrytest.Registry) registrytest.Registry {
		return open(t, t.TempDir(), kvs[r])
	})
}

// rival lets another writer win the first rounds.
type rival struct {
	*registrytest.KV
	rounds int
	other  *registry.Registry
	t      *testing.T
}

func (k *rival) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if k.rounds > 0 {
		k.rounds--
		if _, _, err := k.other.Add(ctx, "flights", registrytest.Bundle(k.t, "flights", 100+k.rounds), now, ""); err != nil {
			k.t.Error(err)
		}
	}
	return k.KV.Put(ctx, key, value, revision)
}

func TestCompareAndSetRetries(t *testing.T) {
	kv := &registrytest.KV{}
	r := open(t, t.TempDir(), &rival{kv, 5, open(t, t.TempDir(), kv), t})
	e, existing, err := r.Add(t.Context(), "flights", registrytest.Bundle(t, "flights", 1), now, "")
	if err != nil || existing || e.Version != 6 || kv.Conflict != 5 {
		t.Errorf("version %d after %d conflicts, existing %v, %v; want 6 after 5", e.Version, kv.Conflict, existing, err)
	}
}

// Every file of the registry is what an OCI image layout says it is.
func TestLayout(t *testing.T) {
	dir := t.TempDir()
	kv := &registrytest.KV{}
	r := open(t, dir, kv)
	var index oci.Index
	read := func(name string, v any) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, v); err != nil {
			t.Fatal(name, err)
		}
	}
	var layout oci.ImageLayout
	if read("oci-layout", &layout); layout.Version != oci.ImageLayoutVersion {
		t.Errorf("layout version %q", layout.Version)
	}
	if read("index.json", &index); len(index.Manifests) != 0 || index.SchemaVersion != 2 {
		t.Errorf("empty index is %+v", index)
	}
	for seed := range 2 {
		if _, _, err := r.Add(t.Context(), "flights", registrytest.Bundle(t, "flights", seed), now, ""); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir, kv) // opening again changes nothing
	read("index.json", &index)
	if len(index.Manifests) != 2 || index.Manifests[1].Annotations[oci.AnnotationRefName] != "flights-v2" {
		t.Fatalf("index is %+v", index)
	}
	verified := func(d oci.Descriptor) []byte {
		t.Helper()
		if err := d.Digest.Validate(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", d.Digest.Encoded()))
		if err != nil || int64(len(b)) != d.Size || d.Digest.Algorithm().FromBytes(b) != d.Digest {
			t.Fatalf("%s: %v", d.MediaType, err)
		}
		return b
	}
	for _, version := range index.Manifests {
		var variants oci.Index
		if err := json.Unmarshal(verified(version), &variants); err != nil || version.MediaType != oci.MediaTypeImageIndex || variants.MediaType != version.MediaType {
			t.Errorf("%+v, %v", version, err)
		}
		for _, v := range variants.Manifests {
			var m oci.Manifest
			if err := json.Unmarshal(verified(v), &m); err != nil || m.MediaType != v.MediaType || m.ArtifactType != v.ArtifactType {
				t.Errorf("%+v, %v", v, err)
			}
			for _, part := range append(m.Layers, m.Config) {
				verified(part)
			}
		}
	}
}

// One flipped bit in any blob is found, and the error names blob and file; pushing again heals it.
func TestFlippedBit(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, &registrytest.KV{})
	b := registrytest.Bundle(t, "flights", 1)
	add := func() {
		t.Helper()
		if _, _, err := r.Add(t.Context(), "flights", b, now, ""); err != nil {
			t.Fatal(err)
		}
	}
	add()
	names := map[string]string{string(b.Digest): "index", string(b.Variants[0].Digest): "manifest of fp32", string(b.Manifest.Config.Digest): "config"}
	for _, l := range b.Manifest.Layers {
		names[string(l.Digest)] = l.Annotations["org.cncf.model.filepath"]
	}
	if len(names) != 7 {
		t.Fatalf("blobs are %v", names)
	}
	for d, name := range names {
		path := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(d, "sha256:"))
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for what, bad := range map[string][]byte{
			"flipped":  append([]byte{content[0] ^ 4}, content[1:]...),
			"cut":      content[:len(content)-1],
			"longer":   append(content[:len(content):len(content)], 'x'),
			"replaced": {},
		} {
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := r.Open(t.Context(), b.Digest)
			if fairlead.CodeOf(err) != fairlead.CodeInternal || !strings.Contains(err.Error(), d) || !strings.Contains(err.Error(), "("+name+")") || !strings.Contains(err.Error(), path) {
				t.Errorf("%s %s: %v", what, name, err)
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Open(t.Context(), b.Digest); err == nil || !strings.Contains(err.Error(), "missing") || !strings.Contains(err.Error(), name) {
			t.Errorf("missing %s: %v", name, err)
		}
		if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		add()
		if _, err := r.Open(t.Context(), b.Digest); err != nil {
			t.Errorf("not healed: %v", err)
		}
	}
}

// A crash at any point of Add leaves no version that cannot be opened, and no half blob under its name.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	kv := &registrytest.KV{Fail: errors.New("power cut")}
	r := open(t, dir, kv)
	b := registrytest.Bundle(t, "flights", 1)
	if _, _, err := r.Add(t.Context(), "flights", b, now, ""); err == nil {
		t.Fatal("no error")
	}
	kv.Fail = nil
	if models, err := r.List(t.Context()); err != nil || len(models) != 0 {
		t.Errorf("a version that was never recorded is listed: %+v, %v", models, err)
	}
	// What a write leaves when the machine stops in the middle of it.
	half := filepath.Join(dir, "tmp", "half")
	if err := os.WriteFile(half, b.Raw[:10], 0o600); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir, kv)
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Error("the half-written file is still there:", err)
	}
	if e, existing, err := r.Add(t.Context(), "flights", b, now, ""); err != nil || existing || e.Version != 1 {
		t.Errorf("%+v, %v, %v", e, existing, err)
	}
	if _, err := r.Open(t.Context(), b.Digest); err != nil {
		t.Error(err)
	}
}

// A folder that cannot be written gives an error and no visible blob.
func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, &registrytest.KV{})
	if err := os.RemoveAll(filepath.Join(dir, "tmp")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Add(t.Context(), "flights", registrytest.Bundle(t, "flights", 1), now, ""); err == nil {
		t.Error("no error")
	}
	entries, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
	if err != nil || len(entries) != 0 {
		t.Errorf("%d blobs, %v", len(entries), err)
	}
}

func TestOpenElsewhere(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "oci-layout"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Open(dir, &registrytest.KV{}); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Error(err)
	}
}
