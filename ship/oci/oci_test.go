package oci

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	digest "github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	oras "oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
	"github.com/fairlead-ml/fairlead/ship/sign"
)

// graphSize makes the graph large enough for several chunks of the tests.
const graphSize = 3<<20 + 17

// signedVersion is a version of two variants, signed, as a server exports it, in a layout; and the registry it came from.
func signedVersion(t *testing.T) (*Layout, registry.Entry, *sign.PrivateKey) {
	t.Helper()
	file := bundle.NewFile("flights")
	file.Variants = []bundle.VariantFile{{Name: "fp32", Model: "model.onnx"}, {Name: "int8", Model: "int8.onnx"}}
	src := &bundle.Source{File: file, Model: noise(t, graphSize), Models: map[string][]byte{"int8.onnx": noise(t, 1000)}, Card: []byte("# Flights")}
	src.File.Card = "README.md"
	b, err := bundle.Seal(src, fairlead.Signature{}, []byte("profile"), nil)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(t.TempDir(), &registrytest.KV{})
	if err != nil {
		t.Fatal(err)
	}
	e, _, err := reg.Add(t.Context(), "flights", b, time.Unix(1, 0), "")
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.Generate(sign.Ed25519, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sign.ContentOf("flights", b.Raw, func(p bundle.Blob) ([]byte, error) { return b.Blobs[p.Digest], nil })
	if err != nil {
		t.Fatal(err)
	}
	s, err := sign.Sign(c, key)
	if err != nil {
		t.Fatal(err)
	}
	manifest, blobs, err := sign.Attachment(oci.Descriptor{MediaType: oci.MediaTypeImageIndex, Digest: digest.Digest(b.Digest), Size: int64(len(b.Raw))}, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Attach(t.Context(), "flights", e.Version, registry.Attachment{Manifest: manifest, Blobs: blobs}); err != nil {
		t.Fatal(err)
	}
	if e, err = reg.Resolve(t.Context(), "flights", "1"); err != nil {
		t.Fatal(err)
	}
	var tar bytes.Buffer
	if err := reg.Export(t.Context(), &tar, []registry.Entry{e}); err != nil {
		t.Fatal(err)
	}
	l := layout(t)
	if err := l.ReadTar(t.Context(), &tar); err != nil {
		t.Fatal(err)
	}
	return l, e, key
}

func noise(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func layout(t *testing.T) *Layout {
	t.Helper()
	l, err := OpenLayout(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// largest is the descriptor of the version's graph.
func largest(t *testing.T, l *Layout) oci.Descriptor {
	t.Helper()
	blobs, err := reach(t.Context(), l, l.Roots())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		if b.Size == graphSize {
			return b
		}
	}
	t.Fatal("the version has no graph")
	return oci.Descriptor{}
}

// load takes a layout into an empty registry.
func load(t *testing.T, l *Layout) (*registry.Registry, registry.Imported) {
	t.Helper()
	var tar bytes.Buffer
	if err := l.WriteTar(t.Context(), &tar); err != nil {
		t.Fatal(err)
	}
	reg, err := registry.Open(t.TempDir(), &registrytest.KV{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := reg.Import(t.Context(), &tar, "copy", 1<<30, time.Unix(2, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	return reg, got[0]
}

func TestAVersionGoesOutAndComesBackTheSame(t *testing.T) {
	l, e, key := signedVersion(t)
	s := serve(t, false)
	ref := s.ref(t, "models/flights:v1")
	var last Progress
	r, err := Push(t.Context(), l, ref, Options{Chunk: 1 << 20, Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent < graphSize || r.Attached != 1 || last.Done != last.Total || last.Total != r.Bytes {
		t.Errorf("pushed %+v, progress ended at %+v", r, last)
	}
	again, err := Push(t.Context(), l, ref, Options{})
	if err != nil || again.Sent != 0 {
		t.Errorf("the second time %d bytes were sent, %v", again.Sent, err)
	}

	back := layout(t)
	got, err := Pull(t.Context(), ref, back, Options{Progress: func(p Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if fairlead.Digest(got.Root.Digest) != e.Digest || got.Attached != 1 || last.Done != last.Total {
		t.Errorf("pulled %+v, progress ended at %+v", got, last)
	}
	if again, err := Pull(t.Context(), ref, back, Options{}); err != nil || again.Sent != 0 {
		t.Errorf("the second time %d bytes were fetched, %v", again.Sent, err)
	}

	reg, copied := load(t, back)
	if copied.Digest != e.Digest || len(copied.Attached) != 1 || len(copied.Variants) != 2 {
		t.Fatalf("taken in as %+v", copied)
	}
	attachments, err := reg.Attachments(t.Context(), copied.Entry)
	if err != nil {
		t.Fatal(err)
	}
	b, err := reg.Open(t.Context(), copied.Digest)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sign.ContentOf("flights", b.Raw, func(p bundle.Blob) ([]byte, error) { return b.Blobs[p.Digest], nil })
	if err != nil {
		t.Fatal(err)
	}
	raw, ok := sign.Signature(attachments[0].Manifest, attachments[0].Blobs, copied.Digest)
	if !ok {
		t.Fatal("the signature did not come along")
	}
	if _, err := (sign.Trust{Keys: []*sign.PublicKey{key.Public()}}).Verify(raw, c); err != nil {
		t.Errorf("the signature does not count any more: %v", err)
	}
}

func TestPullByDigest(t *testing.T) {
	l, e, _ := signedVersion(t)
	s := serve(t, false)
	if _, err := Push(t.Context(), l, s.ref(t, "flights"), Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), s.ref(t, "flights@"+string(e.Digest)), layout(t), Options{}); err != nil {
		t.Error(err)
	}
	_, err := Pull(t.Context(), s.ref(t, "flights"), layout(t), Options{})
	wants(t, err, fairlead.CodeInvalid, "neither a tag nor a digest")
	_, err = Push(t.Context(), l, s.ref(t, "flights@sha256:"+strings.Repeat("0", 64)), Options{})
	wants(t, err, fairlead.CodeInvalid, "the version has the digest")
}

func wants(t *testing.T, err error, code fairlead.Code, text ...string) {
	t.Helper()
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Errorf("%v (code %s), expected code %s", err, fairlead.CodeOf(err), code)
		return
	}
	for _, want := range text {
		if !strings.Contains(e.Error(), want) {
			t.Errorf("%q does not say %q", e.Error(), want)
		}
	}
}

// TestDamageInTheRegistryIsNamed flips a bit, cuts a blob and changes a manifest in the registry's own storage.
func TestDamageInTheRegistryIsNamed(t *testing.T) {
	l, e, _ := signedVersion(t)
	s := serve(t, false)
	ref := s.ref(t, "flights:v1")
	if _, err := Push(t.Context(), l, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	blobs, err := reach(t.Context(), l, l.Roots())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blobs {
		path := s.blob(b.Digest.Encoded())
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		flipped := bytes.Clone(whole)
		flipped[len(flipped)/2] ^= 1
		for name, content := range map[string][]byte{"flipped": flipped, "cut": whole[:len(whole)-1]} {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Pull(t.Context(), ref, layout(t), Options{Wait: once})
			if err == nil {
				t.Errorf("%s %s: nobody noticed", nameOf(b), name)
				continue
			}
			if fairlead.Digest(b.Digest) == e.Digest { // the registry itself may find this one
				continue
			}
			if got := err.Error(); !strings.Contains(got, b.Digest.String()) && !strings.Contains(got, fairlead.Digest(b.Digest).Short()) || !strings.Contains(got, nameOf(b)) {
				t.Errorf("%s %s is not named: %v", nameOf(b), name, err)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Pull(t.Context(), ref, layout(t), Options{}); err != nil {
		t.Errorf("mended, it is still refused: %v", err)
	}
}

func TestCredentials(t *testing.T) {
	l, _, _ := signedVersion(t)
	s := serve(t, true)
	ref := s.ref(t, "flights:v1")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	_, err := Push(t.Context(), l, ref, Options{Wait: once})
	wants(t, err, fairlead.CodeInvalid, "asks for credentials, and there are none", "docker login "+s.addr)
	_, err = Push(t.Context(), l, ref, Options{Username: "release", Password: "wrong", Wait: once})
	wants(t, err, fairlead.CodeInvalid, "does not accept the credentials of release", "docker login")
	if _, err := Push(t.Context(), l, ref, Options{Username: "release", Password: "correct horse"}); err != nil {
		t.Error(err)
	}
	config := `{"auths":{"` + s.addr + `":{"auth":"cmVsZWFzZTpjb3JyZWN0IGhvcnNl"}}}`
	if err := os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), ref, layout(t), Options{}); err != nil {
		t.Errorf("with Docker's configuration: %v", err)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	l, _, _ := signedVersion(t)
	s := serve(t, false)
	if _, err := Push(t.Context(), l, s.ref(t, "models/flights:v1"), Options{}); err != nil {
		t.Fatal(err)
	}
	_, err := Pull(t.Context(), s.ref(t, "models/flights:v9"), layout(t), Options{})
	wants(t, err, fairlead.CodeNotFound, "models/flights:v9", "its tags are v1")
	_, err = Pull(t.Context(), s.ref(t, "models/trips:v1"), layout(t), Options{})
	wants(t, err, fairlead.CodeNotFound, "models/trips", "does not exist")
	gone, err := ParseReference("oci://127.0.0.1:1/flights:v1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Pull(t.Context(), gone, layout(t), Options{Wait: once})
	wants(t, err, fairlead.CodeUnavailable, "no registry answers at 127.0.0.1:1")
	if _, err = Push(t.Context(), layout(t), s.ref(t, "empty:v1"), Options{}); err == nil {
		t.Error("pushed nothing")
	}
}

func TestATagIsNotMovedByAccident(t *testing.T) {
	first, _, _ := signedVersion(t)
	second, _, _ := signedVersion(t)
	s := serve(t, false)
	ref := s.ref(t, "flights:champion")
	if _, err := Push(t.Context(), first, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	_, err := Push(t.Context(), second, ref, Options{})
	wants(t, err, fairlead.CodeConflict, "is another version already", "--force")
	if _, err := Push(t.Context(), second, ref, Options{Force: true}); err != nil {
		t.Error(err)
	}
	if r, err := Pull(t.Context(), ref, layout(t), Options{}); err != nil || r.Root.Digest != second.Roots()[0].Digest {
		t.Errorf("the tag points at %s, %v", r.Root.Digest, err)
	}
}

func TestSomethingElseThanAModel(t *testing.T) {
	s := serve(t, false)
	repo, err := connect(s.ref(t, "busybox"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	config := oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: digest.FromString("{}"), Size: 2}
	if err := store.Push(t.Context(), config, strings.NewReader("{}")); err != nil {
		t.Fatal(err)
	}
	d, err := oras.PackManifest(t.Context(), store, oras.PackManifestVersion1_1, "", oras.PackManifestOptions{ConfigDescriptor: &config, Layers: []oci.Descriptor{config}})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Tag(t.Context(), d, "latest"); err != nil {
		t.Fatal(err)
	}
	if _, err := oras.Copy(t.Context(), store, "latest", repo, "latest", oras.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = Pull(t.Context(), s.ref(t, "busybox:latest"), layout(t), Options{})
	wants(t, err, fairlead.CodeInvalid, "a container image")
}

func TestReferences(t *testing.T) {
	for _, good := range []string{
		"oci://localhost:5000/flights:v3", "oci://registry.example.com/team/models/flights",
		"oci://ghcr.io/x/y@sha256:" + strings.Repeat("a", 64),
	} {
		if ref, err := ParseReference(good); err != nil || ref.String() != good {
			t.Errorf("%s: %v, %v", good, ref, err)
		}
	}
	for _, bad := range []string{"", "flights", "oci://", "oci://flights", "oci://host/UPPER:v1", "https://host/flights:v1", "oci://host/x:", "oci://ho st/x:v1"} {
		if _, err := ParseReference(bad); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for host, want := range map[string]bool{"localhost": true, "localhost:5000": true, "127.0.0.1:5000": true, "[::1]:5000": true, "registry.example.com": false, "10.0.0.1:5000": false} {
		ref, err := ParseReference(Scheme + host + "/x:v1")
		if err != nil || ref.local() != want {
			t.Errorf("%s: local %v, %v", host, ref.local(), err)
		}
	}
}

// FuzzReadTar wants no layout to hold bytes under another digest than theirs.
func FuzzReadTar(f *testing.F) {
	f.Add([]byte("x"))
	dir := f.TempDir()
	l, err := OpenLayout(dir)
	if err != nil {
		f.Fatal(err)
	}
	content := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	d := oci.Descriptor{MediaType: oci.MediaTypeImageIndex, Digest: digest.FromBytes(content), Size: int64(len(content))}
	if err := l.Push(context.Background(), d, bytes.NewReader(content)); err != nil {
		f.Fatal(err)
	}
	l.AddRoot(d)
	var tar bytes.Buffer
	if err := l.WriteTar(context.Background(), &tar); err != nil {
		f.Fatal(err)
	}
	f.Add(tar.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		l, err := OpenLayout(dir)
		if err != nil {
			t.Fatal(err)
		}
		_ = l.ReadTar(t.Context(), bytes.NewReader(raw))
		files, err := os.ReadDir(filepath.Join(dir, "blobs", "sha256"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", file.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if digest.FromBytes(b).Encoded() != file.Name() {
				t.Fatalf("%s holds other bytes", file.Name())
			}
		}
	})
}
