package client

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/fairlead-ml/fairlead/api"
)

func segmentPath(deployment, segment string) string {
	return "/api/v1/deployments/" + url.PathEscape(deployment) + "/segments/" + url.PathEscape(segment)
}

// Segments lists the saved segments of a deployment.
func (c *Client) Segments(ctx context.Context, deployment string) ([]api.Segment, error) {
	return get[[]api.Segment](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/segments", nil)
}

// SetSegment saves a segment, or changes it.
func (c *Client) SetSegment(ctx context.Context, deployment, segment string, in api.SegmentRequest) (out api.Segment, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	return out, c.do(ctx, http.MethodPut, segmentPath(deployment, segment), nil, "application/json", bytes.NewReader(body), &out)
}

// RemoveSegment removes one.
func (c *Client) RemoveSegment(ctx context.Context, deployment, segment string) (out api.Segment, err error) {
	return out, c.do(ctx, http.MethodDelete, segmentPath(deployment, segment), nil, "", nil, &out)
}

// Cube gives metrics by segment, version and window.
func (c *Client) Cube(ctx context.Context, deployment string, in api.CubeQuery) (api.Cube, error) {
	q := url.Values{"grain": {in.Grain}}
	for _, s := range in.Segments {
		q.Add("segment", s)
	}
	if in.By != "" {
		q.Set("by", in.By)
	}
	if in.Version != 0 {
		q.Set("version", strconv.Itoa(in.Version))
	}
	if in.Limit != 0 {
		q.Set("limit", strconv.Itoa(in.Limit))
	}
	for key, at := range map[string]time.Time{"from": in.From, "to": in.To} {
		if !at.IsZero() {
			q.Set(key, at.UTC().Format(time.RFC3339Nano))
		}
	}
	return get[api.Cube](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/cube", q)
}
