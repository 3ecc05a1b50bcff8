package sign

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Types of what is signed: an in-toto statement whose predicate is that of OpenSSF Model Signing.
const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://model_signing/signature/v1.0"
)

// File is a file of a version.
type File struct {
	Path   string
	Digest fairlead.Digest
}

// Content is what a signature vouches for.
type Content struct {
	Model  fairlead.Name
	Digest fairlead.Digest // the version: of its index
	Files  []File          // of all variants, each once, by path
}

// ContentOf lists the files of a version from its index; fetch brings the manifests, which are verified. The error is
// CodeInvalid for what is not a version.
func ContentOf(model fairlead.Name, index []byte, fetch bundle.Fetch) (Content, error) {
	c := Content{Model: model, Digest: bundle.DigestOf(index)}
	list, err := bundle.ParseIndex(index)
	if err != nil {
		return c, err
	}
	files := map[string]fairlead.Digest{}
	if list == nil { // a version without variants is a manifest itself
		return c, c.add(files, index)
	}
	for _, d := range list.Manifests {
		blob := bundle.Blob{Digest: fairlead.Digest(d.Digest), Size: d.Size, Name: "manifest", Manifest: true}
		raw, err := fetch(blob)
		if err != nil {
			return c, err
		}
		if err := bundle.Verify(blob, raw); err != nil {
			return c, err
		}
		if err := c.add(files, raw); err != nil {
			return c, err
		}
	}
	return c, nil
}

// add lists the layers of a manifest and keeps the list sorted.
func (c *Content) add(files map[string]fairlead.Digest, manifest []byte) error {
	var m oci.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return fairlead.Invalid("not a bundle's manifest: %v", err)
	}
	for _, l := range m.Layers {
		path, d := l.Annotations["org.cncf.model.filepath"], fairlead.Digest(l.Digest)
		if path == "" {
			path = string(d)
		}
		if other, there := files[path]; there {
			if other != d {
				return fairlead.Invalid("the version has two files %s, %s and %s", path, other.Short(), d.Short())
			}
			continue
		}
		files[path] = d
		c.Files = append(c.Files, File{path, d})
	}
	slices.SortFunc(c.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return nil
}

// statement is the in-toto statement as it is signed.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     predicate `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"` // of the digests of the resources, in their order
}

// predicate is Model Signing's, with the version beside it: others pass over what they do not know.
type predicate struct {
	Serialization serialization `json:"serialization"`
	Resources     []resource    `json:"resources"`
	Version       string        `json:"io.github.fairlead-ml.version"`
}

type serialization struct {
	Method        string   `json:"method"`
	HashType      string   `json:"hash_type"`
	AllowSymlinks bool     `json:"allow_symlinks"`
	IgnorePaths   []string `json:"ignore_paths"`
}

type resource struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"`
}

// statement says what is vouched for. The same content gives the same bytes.
func (c Content) statement() ([]byte, error) {
	p := predicate{Version: string(c.Digest), Serialization: serialization{"files", "sha256", false, []string{}}}
	root := sha256.New()
	for _, f := range c.Files {
		digits := strings.TrimPrefix(string(f.Digest), "sha256:")
		raw, err := hex.DecodeString(digits)
		if err != nil {
			return nil, fairlead.Invalid("%q is not a digest", f.Digest)
		}
		root.Write(raw)
		p.Resources = append(p.Resources, resource{f.Path, "sha256", digits})
	}
	return json.Marshal(statement{
		Type: statementType, PredicateType: predicateType, Predicate: p,
		Subject: []subject{{string(c.Model), map[string]string{"sha256": hex.EncodeToString(root.Sum(nil))}}},
	})
}

// matches compares a statement, whose signature has been verified, with the content it should be about. anyName lets the
// model have another name than it was signed under.
func (c Content) matches(payload []byte, anyName bool) error {
	var s statement
	if err := json.Unmarshal(payload, &s); err != nil {
		return refusal("payload", "the signed statement is not readable")
	}
	if s.Type != statementType || s.PredicateType != predicateType || len(s.Subject) != 1 {
		return refusal("payload", "what is signed is a %q about %d subjects with a %q, not the signature of a model", s.Type, len(s.Subject), s.PredicateType)
	}
	if s.Predicate.Version != string(c.Digest) {
		return refusal("replay", "the signature is of another version: %s, this one is %s", fairlead.Digest(s.Predicate.Version).Short(), c.Digest.Short())
	}
	if name := s.Subject[0].Name; name != string(c.Model) && !anyName {
		return refusal("name", "the version was signed as %q, and stands here as %q", name, c.Model).
			Hintf("sign it under this name, or set any_name in require_signed")
	}
	signed := map[string]fairlead.Digest{}
	for _, r := range s.Predicate.Resources {
		signed[r.Name] = fairlead.Digest(r.Algorithm + ":" + r.Digest)
	}
	for _, f := range c.Files {
		if signed[f.Path] != f.Digest {
			return refusal("content", "%s is not as it was signed: its digest is %s, signed was %s", f.Path, f.Digest.Short(), cmp.Or(signed[f.Path].Short(), "no such file"))
		}
	}
	if len(signed) != len(c.Files) || len(s.Predicate.Resources) != len(c.Files) {
		return refusal("content", "%d files were signed, the version has %d", len(s.Predicate.Resources), len(c.Files))
	}
	return nil
}

// refusal is why a signature does not count.
func refusal(reason, format string, args ...any) *fairlead.Error {
	e := fairlead.Invalid("%s", fmt.Sprintf(format, args...))
	e.Reason = "signature_" + reason
	return e
}

// Contents is ContentOf with the manifests at hand.
func Contents(model fairlead.Name, index []byte, manifests map[fairlead.Digest][]byte) (Content, error) {
	return ContentOf(model, index, func(b bundle.Blob) ([]byte, error) {
		raw, ok := manifests[b.Digest]
		if !ok {
			return nil, fairlead.Invalid("the manifest %s of the version is missing", b.Digest.Short())
		}
		return raw, nil
	})
}
