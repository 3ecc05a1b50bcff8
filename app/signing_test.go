package app

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
	"github.com/fairlead-ml/fairlead/ship/sign"

	digest "github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
)

// vault is a registry with two versions of flights, and the keys of this test.
type vault struct {
	dir           string
	registry      *registry.Registry
	mine, foreign *sign.PrivateKey
	public        string // file of mine's public half
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{dir: t.TempDir()}
	var err error
	if v.registry, err = registry.Open(v.dir, &registrytest.KV{}); err != nil {
		t.Fatal(err)
	}
	for _, graph := range []string{"first", "second"} {
		b, err := bundle.Seal(bundle.FromModel("flights", []byte(graph)), fairlead.Signature{}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := v.registry.Add(t.Context(), "flights", b, time.Unix(1, 0), ""); err != nil {
			t.Fatal(err)
		}
	}
	if v.mine, err = sign.Generate(sign.Ed25519, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if v.foreign, err = sign.Generate(sign.ECDSA, rand.Reader); err != nil {
		t.Fatal(err)
	}
	text, err := v.mine.Public().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	v.public = filepath.Join(t.TempDir(), "release.pub")
	if err := os.WriteFile(v.public, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return v
}

// signature is what key signs of a version.
func (v *vault) signature(t *testing.T, version fairlead.Version, key *sign.PrivateKey) []byte {
	t.Helper()
	e, err := v.registry.Resolve(t.Context(), "flights", version.String())
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := signaturesOf(t.Context(), v.registry, e)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sign.Sign(content, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// attach attaches bytes to a version as its signature, whatever they are: as somebody with the registry's disk could.
func (v *vault) attach(t *testing.T, version fairlead.Version, signature []byte) {
	t.Helper()
	e, err := v.registry.Resolve(t.Context(), "flights", version.String())
	if err != nil {
		t.Fatal(err)
	}
	manifest, blobs, err := sign.Attachment(oci.Descriptor{MediaType: oci.MediaTypeImageIndex, Digest: digest.Digest(e.Digest), Size: 1}, signature)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.registry.Attach(t.Context(), "flights", version, registry.Attachment{Digest: bundle.DigestOf(manifest), Manifest: manifest, Blobs: blobs}); err != nil {
		t.Fatal(err)
	}
}

func (v *vault) gate(t *testing.T, c RequireSigned) *gatekeeper {
	t.Helper()
	if c.Keys == nil {
		c.Keys = []string{v.public}
	}
	g, err := newGatekeeper(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func refusedFor(t *testing.T, err error, reason string, text ...string) {
	t.Helper()
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code != fairlead.CodeConflict || e.Reason != reason {
		t.Errorf("%v (%s), expected a conflict for %s", err, fairlead.CodeOf(err), reason)
		return
	}
	for _, want := range append(text, "flights@1 is not taken into service", "require_signed") {
		if !strings.Contains(e.Error(), want) {
			t.Errorf("%q does not say %q", e.Error(), want)
		}
	}
}

func TestOnlySignedVersionsAreTakenIntoService(t *testing.T) {
	v := newVault(t)
	g := v.gate(t, RequireSigned{})
	ask := func() error { return g.admit(t.Context(), v.registry, "flights", 1) }

	refusedFor(t, ask(), "signature_missing", "it is not signed")
	v.attach(t, 1, v.signature(t, 1, v.foreign))
	refusedFor(t, ask(), "signature_key", "which is not trusted", v.foreign.Public().ID()[:12])

	v = newVault(t)
	g = v.gate(t, RequireSigned{})
	v.attach(t, 1, v.signature(t, 2, v.mine)) // replayed
	refusedFor(t, ask(), "signature_replay", "another version")
	v.attach(t, 1, []byte(`{"mediaType":"x"}`))
	refusedFor(t, ask(), "signature_key", "none of its 2 signatures counts")
	v.attach(t, 1, v.signature(t, 1, v.mine))
	if err := ask(); err != nil {
		t.Errorf("signed, beside others that do not count: %v", err)
	}
	if err := g.admit(t.Context(), v.registry, "flights", 2); err == nil {
		t.Error("the other version went along")
	}
}

// TestATamperedVersionIsRefused flips a bit of everything that a signature rests on, one after the other.
func TestATamperedVersionIsRefused(t *testing.T) {
	v := newVault(t)
	v.attach(t, 1, v.signature(t, 1, v.mine))
	g := v.gate(t, RequireSigned{})
	if err := g.admit(t.Context(), v.registry, "flights", 1); err != nil {
		t.Fatal(err)
	}
	e, err := v.registry.Resolve(t.Context(), "flights", "1")
	if err != nil {
		t.Fatal(err)
	}
	_, manifests, err := v.registry.Manifests(t.Context(), e.Digest)
	if err != nil {
		t.Fatal(err)
	}
	attached, err := v.registry.Attachments(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	parts := []fairlead.Digest{e.Digest, attached[0].Digest}
	for d := range manifests {
		parts = append(parts, d)
	}
	for d := range attached[0].Blobs {
		parts = append(parts, d)
	}
	for _, d := range parts {
		path := filepath.Join(v.dir, "blobs", "sha256", strings.TrimPrefix(string(d), "sha256:"))
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := append([]byte{}, whole...)
		bad[len(bad)/2] ^= 4
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := g.admit(t.Context(), v.registry, "flights", 1); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s changed: %v", d.Short(), err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoLoadGoesRoundTheGate asks the two functions through which every version is loaded: for a deployment, a rollback, a
// rollout, a load again and at a start.
func TestNoLoadGoesRoundTheGate(t *testing.T) {
	v := newVault(t)
	d := &deployer{registry: v.registry, gatekeeper: v.gate(t, RequireSigned{}), versions: map[versionKey]*version{}, loading: map[versionKey]bool{}}
	dep := &deployment{Name: "flights", Model: "flights", Live: 1}
	for name, load := range map[string]func() error{
		"ensure": func() error { return d.ensure(t.Context(), dep, 1) },
		"renew": func() error {
			_, err := d.renew(t.Context(), dep, 1)
			return err
		},
	} {
		if err := load(); fairlead.CodeOf(err) != fairlead.CodeConflict {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestModelsThatNeedASignature(t *testing.T) {
	v := newVault(t)
	for name, c := range map[string]struct {
		models []string
		asked  bool
	}{
		"all":     {nil, true},
		"a star":  {[]string{"*"}, true},
		"by name": {[]string{"trips", "flights"}, true},
		"pattern": {[]string{"fl*"}, true},
		"others":  {[]string{"trips", "fraud-*"}, false},
	} {
		g := v.gate(t, RequireSigned{Models: c.models})
		if got := g.asks("flights"); got != c.asked {
			t.Errorf("%s: asked %v", name, got)
		}
	}
	var none *gatekeeper
	if err := none.admit(context.Background(), v.registry, "flights", 1); err != nil {
		t.Errorf("without require_signed: %v", err)
	}
}

func TestKeysOfTheConfiguration(t *testing.T) {
	v := newVault(t)
	secret, err := v.mine.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(t.TempDir(), "release.key")
	if err := os.WriteFile(private, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config RequireSigned
		want   string
	}{
		"no keys":          {RequireSigned{Models: []string{"*"}}, "has no keys"},
		"a missing file":   {RequireSigned{Keys: []string{"gone.pub"}}, "gone.pub cannot be read"},
		"the private half": {RequireSigned{Keys: []string{private}}, "it is a private key"},
		"a bad pattern":    {RequireSigned{Keys: []string{v.public}, Models: []string{"["}}, "not a pattern"},
	} {
		if _, err := newGatekeeper(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if g, err := newGatekeeper(RequireSigned{}); g != nil || err != nil {
		t.Errorf("nothing asked for: %v, %v", g, err)
	}
}
