package sign

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	digest "github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// version is what a small version consists of.
func version(t testing.TB, model string) Content {
	t.Helper()
	src := bundle.FromModel(fairlead.Name(model), []byte("graph of "+model))
	b, err := bundle.Seal(src, fairlead.Signature{}, []byte("profile"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ContentOf(fairlead.Name(model), b.Raw, func(p bundle.Blob) ([]byte, error) { return b.Blobs[p.Digest], nil })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func key(t testing.TB, a Algorithm) *PrivateKey {
	t.Helper()
	k, err := Generate(a, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signed(t testing.TB, c Content, k *PrivateKey) []byte {
	t.Helper()
	s, err := Sign(c, k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trust(keys ...*PrivateKey) Trust {
	var t Trust
	for _, k := range keys {
		t.Keys = append(t.Keys, k.Public())
	}
	return t
}

func reasonOf(err error) string {
	var e *fairlead.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

func TestASignatureCountsForItsVersionAndKey(t *testing.T) {
	c := version(t, "flights")
	if len(c.Files) != 3 || c.Files[0].Path != "fairlead.json" || c.Files[1].Path != "model.onnx" || c.Files[2].Path != "reference.profile" {
		t.Fatalf("files %v", c.Files)
	}
	for _, a := range []Algorithm{Ed25519, ECDSA} {
		mine, other := key(t, a), key(t, a)
		s := signed(t, c, mine)
		who, err := trust(other, mine).Verify(s, c)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		if who.ID() != mine.Public().ID() || who.Algorithm() != a {
			t.Errorf("%s: made by %s, not %s", a, who.ID(), mine.Public().ID())
		}
	}
}

func TestKeysSurvivePEM(t *testing.T) {
	c := version(t, "flights")
	for _, a := range []Algorithm{Ed25519, ECDSA} {
		k := key(t, a)
		private, err := k.MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		public, err := k.Public().MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParsePrivateKey(private, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePublicKey(public, "release.pub")
		if err != nil {
			t.Fatal(err)
		}
		if back.Public().ID() != p.ID() || p.Name() != "release.pub" {
			t.Errorf("%s: the halves do not fit: %s, %s", a, back.Public().ID(), p.ID())
		}
		if _, err := (Trust{Keys: []*PublicKey{p}}).Verify(signed(t, c, back), c); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	sec1, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(sec1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParsePrivateKey(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), rand.Reader); err != nil {
		t.Errorf("a key as openssl writes it: %v", err)
	}
}

// TestKeysThatCannotBeUsed lists what people give instead of a key.
func TestKeysThatCannotBeUsed(t *testing.T) {
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	pkcs8 := func(k any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, err := key(t, Ed25519).MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key(t, Ed25519).Public().MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"nothing":         {nil, "not PEM"},
		"noise":           {[]byte("secret"), "not PEM"},
		"RSA":             {block("PRIVATE KEY", pkcs8(r)), "rsa"},
		"P-384":           {block("PRIVATE KEY", pkcs8(p384)), "P-384"},
		"encrypted":       {block("ENCRYPTED PRIVATE KEY", []byte{1}), "encrypted"},
		"SSH":             {block("OPENSSH PRIVATE KEY", []byte{1}), "SSH"},
		"the other half":  {public, "public half"},
		"cut":             {block("PRIVATE KEY", pkcs8(p384)[:20]), "does not parse"},
		"two keys":        {append(append([]byte{}, good...), good...), "more than one"},
		"a whole library": {make([]byte, maxPEM+1), "bytes"},
	} {
		if _, err := ParsePrivateKey(c.text, rand.Reader); err == nil || fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"the private half": {good, "private key"},
		"a certificate":    {block("CERTIFICATE", []byte{1}), "certificate"},
		"noise":            {[]byte("-----BEGIN"), "not PEM"},
		"cut":              {block("PUBLIC KEY", []byte{48, 1}), "does not parse"},
	} {
		if _, err := ParsePublicKey(c.text, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
	if _, err := Generate("rsa", rand.Reader); err == nil {
		t.Error("made a key of an unknown algorithm")
	}
}

// change decodes a signature, lets f change it, and encodes it again.
func change(t *testing.T, s []byte, f func(*sigstore)) []byte {
	t.Helper()
	var b sigstore
	if err := json.Unmarshal(s, &b); err != nil {
		t.Fatal(err)
	}
	f(&b)
	out, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// restate changes the payload of an envelope and leaves its signature.
func restate(t *testing.T, b *sigstore, f func(*statement)) {
	t.Helper()
	raw, err := b.Envelope.DecodeB64Payload()
	if err != nil {
		t.Fatal(err)
	}
	var s statement
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	f(&s)
	if raw, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	b.Envelope.Payload = base64.StdEncoding.EncodeToString(raw)
}

// TestSignaturesThatDoNotCount is the list of attacks.
func TestSignaturesThatDoNotCount(t *testing.T) {
	c, other := version(t, "flights"), version(t, "trips")
	mine, stranger, curve := key(t, Ed25519), key(t, Ed25519), key(t, ECDSA)
	good := signed(t, c, mine)
	sign := func(payload []byte, kind string) []byte { // a trusted key signs something else
		s, err := dsse.NewEnvelopeSigner(signer{mine})
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.SignPayload(t.Context(), kind, payload)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(sigstore{MediaType, verification{}, e})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	payload := func(f func(*statement)) []byte {
		raw, err := c.statement()
		if err != nil {
			t.Fatal(err)
		}
		var s statement
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		f(&s)
		if raw, err = json.Marshal(s); err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, a := range map[string]struct {
		signature []byte
		trust     Trust
		reason    string
	}{
		"by a stranger":                  {signed(t, c, stranger), trust(mine), "signature_key"},
		"by nobody who is trusted":       {good, Trust{}, "signature_key"},
		"of another version":             {signed(t, other, mine), trust(mine), "signature_replay"},
		"an Ed25519 one as if ECDSA":     {change(t, good, func(b *sigstore) { b.Envelope.Signatures[0].KeyID = curve.Public().ID() }), trust(curve), "signature_key"},
		"an ECDSA one as if Ed25519":     {change(t, signed(t, c, curve), func(b *sigstore) { b.Envelope.Signatures[0].KeyID = mine.Public().ID() }), trust(mine), "signature_key"},
		"a stranger's under a good key":  {change(t, signed(t, c, stranger), func(b *sigstore) { b.Envelope.Signatures[0].KeyID = mine.Public().ID() }), trust(mine), "signature_key"},
		"with another payload type":      {change(t, good, func(b *sigstore) { b.Envelope.PayloadType = "application/json" }), trust(mine), "signature_type"},
		"of a trusted key, another type": {sign(payload(func(*statement) {}), "text/plain"), trust(mine), "signature_type"},
		"with a changed file": {change(t, good, func(b *sigstore) {
			restate(t, b, func(s *statement) { s.Predicate.Resources[0].Digest = strings.Repeat("0", 64) })
		}), trust(mine), "signature_key"},
		"with a changed version": {change(t, signed(t, other, mine), func(b *sigstore) { restate(t, b, func(s *statement) { s.Predicate.Version = string(c.Digest) }) }), trust(mine), "signature_key"},
		"that leaves a file out": {sign(payload(func(s *statement) { s.Predicate.Resources = s.Predicate.Resources[1:] }), payloadType), trust(mine), "signature_content"},
		"that has a file more": {sign(payload(func(s *statement) {
			s.Predicate.Resources = append(s.Predicate.Resources, resource{"x", "sha256", "00"})
		}), payloadType), trust(mine), "signature_content"},
		"that has a file twice":            {sign(payload(func(s *statement) { s.Predicate.Resources = append(s.Predicate.Resources, s.Predicate.Resources[0]) }), payloadType), trust(mine), "signature_content"},
		"with another digest algorithm":    {sign(payload(func(s *statement) { s.Predicate.Resources[0].Algorithm = "md5" }), payloadType), trust(mine), "signature_content"},
		"under another name":               {sign(payload(func(s *statement) { s.Subject[0].Name = "trips" }), payloadType), trust(mine), "signature_name"},
		"of another kind of statement":     {sign(payload(func(s *statement) { s.PredicateType = "https://slsa.dev/provenance/v1" }), payloadType), trust(mine), "signature_payload"},
		"of something that is no JSON":     {sign([]byte("flights"), payloadType), trust(mine), "signature_payload"},
		"without a version (by others)":    {sign(payload(func(s *statement) { s.Predicate.Version = "" }), payloadType), trust(mine), "signature_replay"},
		"cut":                              {good[:len(good)/2], trust(mine), "signature_format"},
		"empty":                            {nil, trust(mine), "signature_format"},
		"with a cut signature":             {change(t, good, func(b *sigstore) { b.Envelope.Signatures[0].Sig = b.Envelope.Signatures[0].Sig[:40] }), trust(mine), "signature_key"},
		"with no signature":                {change(t, good, func(b *sigstore) { b.Envelope.Signatures = nil }), trust(mine), "signature_format"},
		"with no envelope":                 {change(t, good, func(b *sigstore) { b.Envelope = nil }), trust(mine), "signature_format"},
		"with a payload that is no base64": {change(t, good, func(b *sigstore) { b.Envelope.Payload = "§" }), trust(mine), "signature_key"},
		"of another media type":            {change(t, good, func(b *sigstore) { b.MediaType = "application/json" }), trust(mine), "signature_format"},
		"with a thousand signatures":       {change(t, good, func(b *sigstore) { b.Envelope.Signatures = make([]dsse.Signature, 1000) }), trust(mine), "signature_format"},
		"of a megabyte":                    {make([]byte, MaxSignature+1), trust(mine), "signature_format"},
	} {
		who, err := a.trust.Verify(a.signature, c)
		if err == nil {
			t.Errorf("a signature %s counts, as one of %s", name, who.Name())
			continue
		}
		if got := reasonOf(err); got != a.reason {
			t.Errorf("a signature %s: %v (%s), expected %s", name, err, got, a.reason)
		}
	}
	if _, err := (Trust{Keys: trust(mine).Keys, AnyName: true}).Verify(sign(payload(func(s *statement) { s.Subject[0].Name = "trips" }), payloadType), c); err != nil {
		t.Errorf("another name is refused where any will do: %v", err)
	}
}

func TestOneOfSeveralSignaturesIsEnough(t *testing.T) {
	c := version(t, "flights")
	mine, stranger := key(t, ECDSA), key(t, Ed25519)
	if _, err := trust(mine).Check(c, [][]byte{[]byte("x"), signed(t, c, stranger), signed(t, c, mine)}); err != nil {
		t.Errorf("the good one does not count beside others: %v", err)
	}
	if _, err := trust(mine).Check(c, nil); reasonOf(err) != "signature_missing" {
		t.Errorf("unsigned: %v", err)
	}
	if _, err := trust(mine).Check(c, [][]byte{signed(t, c, stranger)}); err == nil || !strings.Contains(err.Error(), stranger.Public().ID()[:12]) {
		t.Errorf("the message does not name the stranger's key: %v", err)
	}
}

func TestAttachmentRefersToTheVersion(t *testing.T) {
	c := version(t, "flights")
	s := signed(t, c, key(t, Ed25519))
	subject := oci.Descriptor{MediaType: oci.MediaTypeImageIndex, Digest: digest.Digest(c.Digest), Size: 7}
	manifest, blobs, err := Attachment(subject, s)
	if err != nil {
		t.Fatal(err)
	}
	refers, err := bundle.Refers(manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range refers {
		if err := bundle.Verify(b, blobs[b.Digest]); err != nil {
			t.Error(err)
		}
	}
	got, ok := Signature(manifest, blobs, c.Digest)
	if !ok || string(got) != string(s) {
		t.Errorf("got %q back", got)
	}
	if _, ok := Signature(manifest, blobs, version(t, "trips").Digest); ok {
		t.Error("it is found in an attachment of another version")
	}
	if _, ok := Signature([]byte(`{"artifactType":"text/plain"}`), blobs, c.Digest); ok {
		t.Error("it is found in something else")
	}
}

// FuzzVerify wants one thing: what is not the signature itself, in whatever spelling, is refused.
func FuzzVerify(f *testing.F) {
	c := version(f, "flights")
	k, err := newPrivate(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), rand.Reader) // the same in every worker
	if err != nil {
		f.Fatal(err)
	}
	good := signed(f, c, k)
	f.Add(good)
	f.Add(signed(f, version(f, "trips"), k))
	f.Add(good[:len(good)-10])
	f.Add([]byte(`{"mediaType":"` + MediaType + `","dsseEnvelope":{"payloadType":"","payload":"","signatures":[{}]}}`))
	f.Add([]byte(`{}`))
	want, err := parse(good)
	if err != nil {
		f.Fatal(err)
	}
	payload, err := want.DecodeB64Payload()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := trust(k).Verify(raw, c); err != nil {
			if fairlead.CodeOf(err) != fairlead.CodeInvalid {
				t.Fatalf("an error of code %s: %v", fairlead.CodeOf(err), err)
			}
			return
		}
		got, err := parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := got.DecodeB64Payload(); err != nil || string(p) != string(payload) {
			t.Fatalf("accepted another payload: %q", p)
		}
	})
}

func FuzzContentOf(f *testing.F) {
	src := bundle.FromModel("flights", []byte("graph"))
	b, err := bundle.Seal(src, fairlead.Signature{}, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	manifest := b.Blobs[b.Variants[0].Digest]
	f.Add(b.Raw, manifest)
	f.Add(manifest, []byte{})
	f.Fuzz(func(t *testing.T, index, manifest []byte) {
		c, err := ContentOf("flights", index, func(bundle.Blob) ([]byte, error) { return manifest, nil })
		if err == nil {
			if _, err := c.statement(); err != nil && fairlead.CodeOf(err) != fairlead.CodeInvalid {
				t.Fatal(err)
			}
		}
	})
}
