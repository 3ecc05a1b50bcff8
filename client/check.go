package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/fairlead-ml/fairlead/api"
)

// Test runs the tests of a version on the server. A version that fails them is a report, not an error.
func (c *Client) Test(ctx context.Context, name, version string, in api.TestRequest) (api.TestReport, error) {
	return post[api.TestReport](ctx, c, versionPath(name, version)+"/test", in)
}

// Verify runs the golden vectors of a version on the server; variant may be empty.
func (c *Client) Verify(ctx context.Context, name, version, variant string) (api.Verification, error) {
	var out api.Verification
	q := url.Values{}
	if variant != "" {
		q.Set("variant", variant)
	}
	err := c.do(ctx, http.MethodPost, versionPath(name, version)+"/verify", q, "", nil, &out)
	return out, err
}
