package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/fairlead-ml/fairlead/api"
)

// Model asks for one model with its versions.
func (c *Client) Model(ctx context.Context, name string) (api.Model, error) {
	return get[api.Model](ctx, c, modelPath(name), nil)
}

func modelPath(name string) string { return "/api/v1/models/" + url.PathEscape(name) }

func versionPath(name, version string) string {
	return modelPath(name) + "/versions/" + url.PathEscape(version)
}

// SetAlias points an alias at a version. expect is the version it must point at now, 0 for none; nil: it does not matter.
// The error is CodeConflict when it points elsewhere, or the version breaks clients.
func (c *Client) SetAlias(ctx context.Context, name, alias string, in api.AliasRequest, expect *int) (api.AliasMove, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return api.AliasMove{}, err
	}
	return c.moveAlias(ctx, http.MethodPut, modelPath(name)+"/aliases/"+url.PathEscape(alias), body, expect)
}

// RemoveAlias removes an alias; expect is as in SetAlias.
func (c *Client) RemoveAlias(ctx context.Context, name, alias, by string, expect *int) (api.AliasMove, error) {
	path := modelPath(name) + "/aliases/" + url.PathEscape(alias)
	if by != "" {
		path += "?" + url.Values{"by": {by}}.Encode()
	}
	return c.moveAlias(ctx, http.MethodDelete, path, nil, expect)
}

func (c *Client) moveAlias(ctx context.Context, method, path string, body []byte, expect *int) (api.AliasMove, error) {
	var move api.AliasMove
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return move, err
	}
	req.Header.Set("Content-Type", "application/json")
	switch {
	case expect != nil && *expect == 0:
		req.Header.Set("If-None-Match", "*")
	case expect != nil:
		req.Header.Set("If-Match", strconv.Quote(strconv.Itoa(*expect)))
	}
	resp, err := c.send(req)
	if err != nil {
		return move, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&move); err != nil {
		return move, fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return move, nil
}

// AliasHistory lists the moves of a model's alias, of all if it is empty, oldest first.
func (c *Client) AliasHistory(ctx context.Context, name, alias string) ([]api.AliasMove, error) {
	q := url.Values{}
	if alias != "" {
		q.Set("alias", alias)
	}
	return get[[]api.AliasMove](ctx, c, modelPath(name)+"/history", q)
}

// RemoveVersion removes a version that nobody needs.
func (c *Client) RemoveVersion(ctx context.Context, name, version, by string) (api.RemovedVersion, error) {
	q := url.Values{}
	if by != "" {
		q.Set("by", by)
	}
	var gone api.RemovedVersion
	err := c.do(ctx, http.MethodDelete, versionPath(name, version), q, "", nil, &gone)
	return gone, err
}

// Lineage asks what a version came from, and what came from it.
func (c *Client) Lineage(ctx context.Context, name, version string) (api.Lineage, error) {
	return get[api.Lineage](ctx, c, versionPath(name, version)+"/lineage", nil)
}

// Card reads the model card of a version.
func (c *Client) Card(ctx context.Context, name, version string) (api.Card, error) {
	return get[api.Card](ctx, c, versionPath(name, version)+"/card", nil)
}

// Collect removes what nobody needs from the registry.
func (c *Client) Collect(ctx context.Context, in api.CollectRequest) (api.CollectAnswer, error) {
	return post[api.CollectAnswer](ctx, c, "/api/v1/registry/collect", in)
}

// CheckRegistry lists the damaged files of the registry.
func (c *Client) CheckRegistry(ctx context.Context) ([]api.Damage, error) {
	return post[[]api.Damage](ctx, c, "/api/v1/registry/check", struct{}{})
}

// Export writes a version, or every version of a model if it is empty, as one file.
func (c *Client) Export(ctx context.Context, name, version string, w io.Writer) (int64, error) {
	path := modelPath(name) + "/export"
	if version != "" {
		path += "?" + url.Values{"version": {version}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.send(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(w, resp.Body)
	if err != nil {
		return n, fmt.Errorf("export %s: %w", name, err)
	}
	return n, nil
}

// Load stores the versions in a file that Export wrote, under another name if one is given.
func (c *Client) Load(ctx context.Context, name string, file io.Reader) ([]api.Loaded, error) {
	q := url.Values{}
	if name != "" {
		q.Set("name", name)
	}
	var loaded []api.Loaded
	err := c.do(ctx, http.MethodPost, "/api/v1/registry/load", q, "application/x-tar", file, &loaded)
	return loaded, err
}
