package client

import (
	"context"
	"net/url"

	"github.com/fairlead-ml/fairlead/api"
)

// Signatures asks what a version consists of and who vouches for it.
func (c *Client) Signatures(ctx context.Context, name, version string) (api.Signatures, error) {
	return get[api.Signatures](ctx, c, signaturesPath(name, version), nil)
}

// AddSignature attaches a signature to a version.
func (c *Client) AddSignature(ctx context.Context, name, version string, bundle []byte) (api.Signatures, error) {
	return post[api.Signatures](ctx, c, signaturesPath(name, version), api.SignRequest{Bundle: string(bundle)})
}

func signaturesPath(name, version string) string {
	return modelPath(name) + "/versions/" + url.PathEscape(version) + "/signatures"
}
