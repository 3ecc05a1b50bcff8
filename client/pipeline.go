package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/fairlead-ml/fairlead/api"
)

// PushPipeline uploads the tar of a pipeline's folder and puts it live. With check it is only loaded and type-checked.
func (c *Client) PushPipeline(ctx context.Context, tar io.Reader, check bool) (api.PipelinePush, error) {
	q := url.Values{}
	if check {
		q.Set("check", "true")
	}
	var answer api.PipelinePush
	err := c.do(ctx, http.MethodPost, "/api/v1/pipelines", q, "application/x-tar", tar, &answer)
	return answer, err
}

// Pipelines lists the pipelines.
func (c *Client) Pipelines(ctx context.Context) ([]api.Pipeline, error) {
	return get[[]api.Pipeline](ctx, c, "/api/v1/pipelines", nil)
}

// Pipeline is one pipeline with its steps and their counts.
func (c *Client) Pipeline(ctx context.Context, name string) (api.Pipeline, error) {
	return get[api.Pipeline](ctx, c, "/api/v1/pipelines/"+url.PathEscape(name), nil)
}

// DeletePipeline takes a pipeline out of service and forgets it.
func (c *Client) DeletePipeline(ctx context.Context, name string) (api.Pipeline, error) {
	var gone api.Pipeline
	err := c.do(ctx, http.MethodDelete, "/api/v1/pipelines/"+url.PathEscape(name), nil, "", nil, &gone)
	return gone, err
}
