package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Algorithm is what a key signs with.
type Algorithm string

// Algorithms there are.
const (
	Ed25519 Algorithm = "ed25519"
	ECDSA   Algorithm = "ecdsa-p256" // over SHA-256, signatures in ASN.1
)

// maxPEM bounds a key file, in bytes.
const maxPEM = 64 << 10

// PublicKey verifies signatures. What algorithm it uses is a property of the key: no envelope can choose another.
type PublicKey struct {
	key  crypto.PublicKey // ed25519.PublicKey or *ecdsa.PublicKey
	id   string
	name string
}

// PrivateKey makes signatures.
type PrivateKey struct {
	key    crypto.Signer // ed25519.PrivateKey or *ecdsa.PrivateKey
	public *PublicKey
	random io.Reader
}

// Generate makes a key from random.
func Generate(a Algorithm, random io.Reader) (*PrivateKey, error) {
	switch a {
	case Ed25519:
		_, key, err := ed25519.GenerateKey(random)
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		return newPrivate(key, random)
	case ECDSA:
		key, err := ecdsa.GenerateKey(elliptic.P256(), random)
		if err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		return newPrivate(key, random)
	}
	return nil, fairlead.Invalid("algorithm %q is not known", a).Hintf("use %s or %s", Ed25519, ECDSA)
}

func newPrivate(key any, random io.Reader) (*PrivateKey, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, keyError("it holds a %T", key)
	}
	public, err := newPublic(signer.Public(), "")
	if err != nil {
		return nil, err
	}
	return &PrivateKey{signer, public, random}, nil
}

func newPublic(key any, name string) (*PublicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return nil, keyError("it is an ECDSA key on the curve %s", k.Curve.Params().Name)
		}
	default:
		return nil, keyError("it holds a %s key", strings.TrimPrefix(strings.TrimSuffix(fmt.Sprintf("%T", key), ".PublicKey"), "*"))
	}
	p := &PublicKey{key: key, name: name}
	text, err := p.MarshalPEM()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	p.id = hex.EncodeToString(sum[:])
	return p, nil
}

func keyError(format string, args ...any) *fairlead.Error {
	return fairlead.Invalid("not a key that can be used: %s", fmt.Sprintf(format, args...)).
		Hintf("it takes an %s or %s key in PEM, as `fairlead keys new` makes them", Ed25519, ECDSA)
}

// ParsePrivateKey reads an unencrypted private key in PEM: PKCS #8, or SEC 1 as `openssl ecparam` writes it. random is
// what its signatures draw on. The error is CodeInvalid and holds nothing of the key.
func ParsePrivateKey(text []byte, random io.Reader) (*PrivateKey, error) {
	block, err := decodePEM(text)
	if err != nil {
		return nil, err
	}
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, keyError("it is encrypted").Hintf("decrypt it for the moment of signing: openssl pkey -in FILE -out PLAIN")
	case "PUBLIC KEY":
		return nil, keyError("it is the public half").Hintf("signing takes the private one; the public one is for those who verify")
	case "OPENSSH PRIVATE KEY":
		return nil, keyError("it is a key of SSH").Hintf("make one for signing: fairlead keys new")
	default:
		return nil, keyError("it holds a %q", block.Type)
	}
	if err != nil {
		return nil, keyError("its %s does not parse", block.Type)
	}
	return newPrivate(key, random)
}

// ParsePublicKey reads a public key in PEM. name is what messages call it, a file name for example.
func ParsePublicKey(text []byte, name string) (*PublicKey, error) {
	block, err := decodePEM(text)
	if err != nil {
		return nil, err
	}
	switch {
	case block.Type == "CERTIFICATE":
		return nil, keyError("it is a certificate").Hintf("take its key: openssl x509 -in FILE -pubkey -noout")
	case strings.Contains(block.Type, "PRIVATE"):
		return nil, keyError("it is a private key").Hintf("who verifies needs the public half only; keep the private one where versions are signed")
	case block.Type != "PUBLIC KEY":
		return nil, keyError("it holds a %q", block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, keyError("its %s does not parse", block.Type)
	}
	return newPublic(key, name)
}

func decodePEM(text []byte) (*pem.Block, error) {
	if len(text) > maxPEM {
		return nil, keyError("it has %d bytes", len(text))
	}
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, keyError("it is not PEM")
	}
	if again, _ := pem.Decode(rest); again != nil {
		return nil, keyError("it holds more than one block of PEM").Hintf("one key a file")
	}
	return block, nil
}

// MarshalPEM is the private key in PEM, PKCS #8, not encrypted.
func (k *PrivateKey) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return nil, fmt.Errorf("write a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Public is the half that others may have.
func (k *PrivateKey) Public() *PublicKey { return k.public }

// MarshalPEM is the public key in PEM.
func (p *PublicKey) MarshalPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(p.key)
	if err != nil {
		return nil, fmt.Errorf("write a public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// ID is the SHA-256 of the key's PEM in hex, as OpenSSF Model Signing hints at keys.
func (p *PublicKey) ID() string { return p.id }

// Name is what the key is called in messages: its name, or the start of its ID.
func (p *PublicKey) Name() string {
	if p.name != "" {
		return p.name
	}
	return p.id[:12]
}

// Algorithm is what the key signs with.
func (p *PublicKey) Algorithm() Algorithm {
	if _, ok := p.key.(ed25519.PublicKey); ok {
		return Ed25519
	}
	return ECDSA
}

// signer makes a PrivateKey what the DSSE library asks for.
type signer struct{ *PrivateKey }

func (s signer) KeyID() (string, error) { return s.public.id, nil }

func (s signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	if k, ok := s.key.(ed25519.PrivateKey); ok {
		return ed25519.Sign(k, data), nil
	}
	sum := sha256.Sum256(data)
	return s.key.Sign(s.random, sum[:], crypto.SHA256)
}

// verifier does the same for a PublicKey.
type verifier struct{ *PublicKey }

var errSignature = errors.New("the signature is not of this key and content")

func (v verifier) KeyID() (string, error) { return v.id, nil }

func (v verifier) Public() crypto.PublicKey { return v.key }

func (v verifier) Verify(_ context.Context, data, sig []byte) error {
	ok := false
	switch k := v.key.(type) {
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, data, sig)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(data)
		ok = ecdsa.VerifyASN1(k, sum[:], sig)
	}
	if !ok {
		return errSignature
	}
	return nil
}
