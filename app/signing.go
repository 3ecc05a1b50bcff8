package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	digest "github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/sign"
)

// RequireSigned is the key require_signed of the configuration file: which models are taken into service only with a
// signature, and by whom. The zero value asks for none.
type RequireSigned struct {
	Keys    []string `yaml:"keys" json:"keys"`         // files of public keys in PEM
	Models  []string `yaml:"models" json:"models"`     // names, * stands for any characters; empty: all
	AnyName bool     `yaml:"any_name" json:"any_name"` // a version may stand under another name than it was signed under
}

// gatekeeper decides which versions may be loaded. nil lets in all.
type gatekeeper struct {
	trust  sign.Trust
	models []string
}

// newGatekeeper reads the keys. Without any there is nothing to ask for.
func newGatekeeper(c RequireSigned) (*gatekeeper, error) {
	if len(c.Keys) == 0 && len(c.Models) == 0 {
		return nil, nil
	}
	if len(c.Keys) == 0 {
		return nil, fairlead.Invalid("require_signed has no keys: no version could be taken into service").
			Hintf("name the public keys: require_signed: {keys: [release.pub]}")
	}
	g := &gatekeeper{models: c.Models, trust: sign.Trust{AnyName: c.AnyName}}
	for _, m := range c.Models {
		if _, err := path.Match(m, ""); err != nil {
			return nil, fairlead.Invalid("require_signed: %q is not a pattern of names", m).Hintf("write names, with * for any characters")
		}
	}
	for _, file := range c.Keys {
		text, err := os.ReadFile(file) // #nosec G304 -- named by the operator
		if err != nil {
			return nil, fairlead.Invalid("require_signed: the key %s cannot be read: %v", file, err)
		}
		key, err := sign.ParsePublicKey(text, path.Base(file))
		var e *fairlead.Error
		if errors.As(err, &e) {
			return nil, fairlead.Invalid("require_signed: %s: %s", file, e.Message).Hintf("%s", e.Hint)
		}
		if err != nil {
			return nil, err
		}
		g.trust.Keys = append(g.trust.Keys, key)
	}
	return g, nil
}

// asks says whether versions of a model need a signature.
func (g *gatekeeper) asks(model fairlead.Name) bool {
	if g == nil {
		return false
	}
	for _, m := range g.models {
		if ok, err := path.Match(m, string(model)); err == nil && ok {
			return true
		}
	}
	return len(g.models) == 0
}

// admit refuses a version that needs a signature and has none that counts. It looks whenever a version is loaded: a
// signature may have been taken away, or a key out of the configuration.
func (g *gatekeeper) admit(ctx context.Context, r *registry.Registry, model fairlead.Name, v fairlead.Version) error {
	if !g.asks(model) {
		return nil
	}
	e, err := r.Resolve(ctx, model, v.String())
	if err != nil {
		return err
	}
	content, signatures, err := signaturesOf(ctx, r, e)
	if err != nil {
		return err
	}
	_, err = g.trust.Check(content, signatures)
	var refused *fairlead.Error
	if !errors.As(err, &refused) {
		return err
	}
	no := fairlead.Errorf(fairlead.CodeConflict, "%s@%d is not taken into service: %s", model, v, refused.Message).
		Hintf("this server asks for signatures (require_signed): fairlead sign %s@%d --key KEY, then deploy it again", model, v)
	no.Reason = refused.Reason
	return no
}

// signaturesOf reads what a version consists of, and its signatures.
func signaturesOf(ctx context.Context, r *registry.Registry, e registry.Entry) (sign.Content, [][]byte, error) {
	index, manifests, err := r.Manifests(ctx, e.Digest)
	if err != nil {
		return sign.Content{}, nil, err
	}
	content, err := sign.Contents(e.Model, index, manifests)
	if err != nil {
		return content, nil, err
	}
	attachments, err := r.Attachments(ctx, e)
	if err != nil {
		return content, nil, fmt.Errorf("signatures of %s@%d: %w", e.Model, e.Version, err)
	}
	var signatures [][]byte
	for _, a := range attachments {
		if s, ok := sign.Signature(a.Manifest, a.Blobs, e.Digest); ok {
			signatures = append(signatures, s)
		}
	}
	return content, signatures, nil
}

// Signatures implements admin.Signing.
func (a *App) Signatures(ctx context.Context, name fairlead.Name, version string) (api.Signatures, error) {
	e, err := a.registry.Resolve(ctx, name, version)
	if err != nil {
		return api.Signatures{}, err
	}
	index, manifests, err := a.registry.Manifests(ctx, e.Digest)
	if err != nil {
		return api.Signatures{}, err
	}
	content, signatures, err := signaturesOf(ctx, a.registry, e)
	if err != nil {
		return api.Signatures{}, err
	}
	out := api.Signatures{
		Model: string(name), Version: int(e.Version), Digest: string(e.Digest), MediaType: mediaTypeOf(index), Index: string(index),
		Manifests: map[string]string{}, Required: a.gatekeeper.asks(name), Signatures: []api.Signature{},
	}
	for d, raw := range manifests {
		out.Manifests[string(d)] = string(raw)
	}
	for _, s := range signatures {
		one := api.Signature{Bundle: string(s)}
		if a.gatekeeper != nil {
			key, err := a.gatekeeper.trust.Verify(s, content)
			if err != nil {
				one.Refused = err.Error()
			} else {
				one.Key = key.Name()
			}
		}
		out.Signatures = append(out.Signatures, one)
	}
	return out, nil
}

func mediaTypeOf(index []byte) string {
	if list, err := bundle.ParseIndex(index); err == nil && list == nil {
		return oci.MediaTypeImageManifest // a version from before there were variants
	}
	return oci.MediaTypeImageIndex
}

// maxSignatures bounds what is attached to one version.
const maxSignatures = 100

// AddSignature implements admin.Signing.
func (a *App) AddSignature(ctx context.Context, name fairlead.Name, version string, signature []byte) (api.Signatures, error) {
	e, err := a.registry.Resolve(ctx, name, version)
	if err != nil {
		return api.Signatures{}, err
	}
	index, manifests, err := a.registry.Manifests(ctx, e.Digest)
	if err != nil {
		return api.Signatures{}, err
	}
	content, err := sign.Contents(name, index, manifests)
	if err != nil {
		return api.Signatures{}, err
	}
	if err := sign.Describes(signature, content); err != nil {
		return api.Signatures{}, err
	}
	if len(e.Attached) >= maxSignatures {
		return api.Signatures{}, fairlead.Errorf(fairlead.CodeConflict, "%s@%d has %d signatures already", name, e.Version, len(e.Attached))
	}
	manifest, blobs, err := sign.Attachment(oci.Descriptor{MediaType: mediaTypeOf(index), Digest: digest.Digest(e.Digest), Size: int64(len(index))}, signature)
	if err != nil {
		return api.Signatures{}, err
	}
	if err := a.registry.Attach(ctx, name, e.Version, registry.Attachment{Digest: bundle.DigestOf(manifest), Manifest: manifest, Blobs: blobs}); err != nil {
		return api.Signatures{}, err
	}
	a.log.Info("signed", "model", name, "version", e.Version, "signatures", len(e.Attached)+1)
	return a.Signatures(ctx, name, e.Version.String())
}
