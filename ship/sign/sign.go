// Package sign signs versions and verifies signatures. What is signed is an in-toto statement in the shape of OpenSSF Model
// Signing, a list of (path, digest), that also names the version's digest; it is wrapped in a DSSE envelope, which stands in
// a Sigstore bundle and is attached to the version as an OCI referrer. Keys are Ed25519 or ECDSA on P-256. The package does no
// I/O; chance is an argument.
package sign

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// MediaType is that of a signature: a Sigstore bundle.
const MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// MaxSignature bounds a signature, in bytes.
const MaxSignature = 1 << 20

// sigstore is the bundle as far as a key of one's own needs it: no certificate, no transparency log.
type sigstore struct {
	MediaType    string         `json:"mediaType"`
	Verification verification   `json:"verificationMaterial"`
	Envelope     *dsse.Envelope `json:"dsseEnvelope"`
}

type verification struct {
	PublicKey *publicKey `json:"publicKey,omitempty"`
	TLog      []any      `json:"tlogEntries"`
}

type publicKey struct {
	Hint string `json:"hint"`
}

// Sign makes the signature of a version: a Sigstore bundle in JSON.
func Sign(c Content, key *PrivateKey) ([]byte, error) {
	payload, err := c.statement()
	if err != nil {
		return nil, err
	}
	s, err := dsse.NewEnvelopeSigner(signer{key})
	if err != nil {
		return nil, err
	}
	envelope, err := s.SignPayload(context.Background(), payloadType, payload)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sigstore{MediaType, verification{&publicKey{key.public.id}, []any{}}, envelope})
}

// Trust is which signatures count.
type Trust struct {
	Keys    []*PublicKey
	AnyName bool // a version may stand under another name than it was signed under
}

// Verify checks one signature of a version, and gives the key that made it. The error is CodeInvalid and its Reason says why
// it does not count: signature_format, signature_type, signature_key, signature_payload, signature_replay, signature_name,
// signature_content.
func (t Trust) Verify(signature []byte, c Content) (*PublicKey, error) {
	envelope, err := parse(signature)
	if err != nil {
		return nil, err
	}
	if envelope.PayloadType != payloadType {
		return nil, refusal("type", "the envelope holds a %q, not a %q", envelope.PayloadType, payloadType)
	}
	if len(t.Keys) == 0 {
		return nil, refusal("key", "no key is trusted")
	}
	verifiers := make([]dsse.Verifier, 0, len(t.Keys))
	for i, k := range t.Keys {
		if !slices.ContainsFunc(t.Keys[:i], func(o *PublicKey) bool { return o.id == k.id }) {
			verifiers = append(verifiers, verifier{k})
		}
	}
	check, err := dsse.NewEnvelopeVerifier(verifiers...)
	if err != nil {
		return nil, err
	}
	accepted, payload, err := check.VerifyAndDecode(context.Background(), envelope)
	if err != nil {
		return nil, t.foreign(envelope).Cause(err)
	}
	if err := c.matches(payload, t.AnyName); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(t.Keys, func(k *PublicKey) bool { return k.id == accepted[0].KeyID })
	return t.Keys[i], nil
}

// foreign says whether the envelope names a key that is not trusted, or one that is and did not make this signature.
func (t Trust) foreign(e *dsse.Envelope) *fairlead.Error {
	for _, s := range e.Signatures {
		for _, k := range t.Keys {
			if s.KeyID == k.id {
				return refusal("key", "the signature names the key %s, which did not make it: the signature or what is signed was changed", k.Name())
			}
		}
	}
	for _, s := range e.Signatures {
		if len(s.KeyID) >= 12 {
			return refusal("key", "it is signed with the key %.12s, which is not trusted", s.KeyID)
		}
	}
	return refusal("key", "it is signed with no key that is trusted")
}

// parse reads a Sigstore bundle with a DSSE envelope in it.
func parse(raw []byte) (*dsse.Envelope, error) {
	if len(raw) > MaxSignature {
		return nil, refusal("format", "the signature has %d bytes, the limit is %d", len(raw), MaxSignature)
	}
	var s sigstore
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, refusal("format", "the signature is not readable: %v", err)
	}
	switch {
	case s.MediaType != MediaType:
		return nil, refusal("format", "the signature is a %q, expected %q", s.MediaType, MediaType)
	case s.Envelope == nil:
		return nil, refusal("format", "the signature holds no DSSE envelope")
	case len(s.Envelope.Signatures) == 0 || len(s.Envelope.Signatures) > 16:
		return nil, refusal("format", "the envelope has %d signatures, expected 1 to 16", len(s.Envelope.Signatures))
	}
	return s.Envelope, nil
}

// Check wants one signature that counts. The error says what is wrong with each there is, or that there is none.
func (t Trust) Check(c Content, signatures [][]byte) (*PublicKey, error) {
	var why []error
	for _, s := range signatures {
		key, err := t.Verify(s, c)
		if err == nil {
			return key, nil
		}
		why = append(why, err)
	}
	if len(why) == 0 {
		return nil, refusal("missing", "it is not signed")
	}
	var first *fairlead.Error
	if len(why) == 1 && errors.As(why[0], &first) {
		return nil, first
	}
	e := refusal("key", "none of its %d signatures counts: %v", len(why), errors.Join(why...))
	return nil, e
}

// Attachment is the OCI manifest that attaches a signature to a version, whose media type and size are those of its
// index, and the blobs that the manifest names. The same signature gives the same bytes.
func Attachment(version oci.Descriptor, signature []byte) (manifest []byte, blobs map[fairlead.Digest][]byte, err error) {
	empty := []byte("{}")
	m := oci.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    oci.MediaTypeImageManifest,
		ArtifactType: MediaType,
		Config:       oci.Descriptor{MediaType: oci.MediaTypeEmptyJSON, Digest: digest.Digest(bundle.DigestOf(empty)), Size: int64(len(empty))},
		Layers:       []oci.Descriptor{{MediaType: MediaType, Digest: digest.Digest(bundle.DigestOf(signature)), Size: int64(len(signature))}},
		Subject:      &oci.Descriptor{MediaType: version.MediaType, Digest: version.Digest, Size: version.Size},
		Annotations: map[string]string{
			"dev.sigstore.bundle.content":       "dsse-envelope",
			"dev.sigstore.bundle.predicateType": predicateType,
		},
	}
	manifest, err = json.Marshal(m)
	return manifest, map[fairlead.Digest][]byte{bundle.DigestOf(empty): empty, bundle.DigestOf(signature): signature}, err
}

// Signature finds the signature in an attachment of the version: false where the attachment is something else.
func Signature(manifest []byte, blobs map[fairlead.Digest][]byte, version fairlead.Digest) ([]byte, bool) {
	var m oci.Manifest
	if json.Unmarshal(manifest, &m) != nil || m.ArtifactType != MediaType || m.Subject == nil || fairlead.Digest(m.Subject.Digest) != version {
		return nil, false
	}
	for _, l := range m.Layers {
		if raw, ok := blobs[fairlead.Digest(l.Digest)]; ok && l.MediaType == MediaType {
			return raw, true
		}
	}
	return nil, false
}

// Describes says whether a signature is about a version, whoever made it: nobody's key is asked. It keeps what is not a
// signature of this version from being attached to it.
func Describes(signature []byte, c Content) error {
	envelope, err := parse(signature)
	if err != nil {
		return err
	}
	if envelope.PayloadType != payloadType {
		return refusal("type", "the envelope holds a %q, not a %q", envelope.PayloadType, payloadType)
	}
	payload, err := envelope.DecodeB64Payload()
	if err != nil {
		return refusal("format", "the envelope's payload is no base64")
	}
	return c.matches(payload, true)
}
