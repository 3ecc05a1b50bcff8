package client

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/fairlead-ml/fairlead/api"
)

// LabelMessage sends labels as a message of the event log; it returns after they are on the server's disk. The same message
// again adds nothing.
func (c *Client) LabelMessage(ctx context.Context, deployment string, message []byte) (api.BulkLabelsAnswer, error) {
	var answer api.BulkLabelsAnswer
	err := c.do(ctx, http.MethodPost, "/api/v1/deployments/"+url.PathEscape(deployment)+"/labels/bulk", nil,
		"application/vnd.fairlead.labels", bytes.NewReader(message), &answer)
	return answer, err
}

// Import sends past predictions as a message of the event log; it returns after they are on the server's disk. The same
// message again adds nothing.
func (c *Client) Import(ctx context.Context, deployment string, message []byte) (api.ImportAnswer, error) {
	var answer api.ImportAnswer
	err := c.do(ctx, http.MethodPost, "/api/v1/deployments/"+url.PathEscape(deployment)+"/predictions", nil,
		"application/vnd.fairlead.rows", bytes.NewReader(message), &answer)
	return answer, err
}

// LabelLag asks how late a deployment's labels come and how complete its latest windows are.
func (c *Client) LabelLag(ctx context.Context, deployment, grain string, limit int) (api.LabelLag, error) {
	q := url.Values{"grain": {grain}, "limit": {strconv.Itoa(limit)}}
	return get[api.LabelLag](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/labels/lag", q)
}
