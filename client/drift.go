package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/fairlead-ml/fairlead/api"
)

// DriftSpan chooses windows: those of the grain, hour or day, that start in [From, To), the latest Limit of them. Zero times are open
// ends, version 0 is the live one.
type DriftSpan struct {
	Grain    string
	From, To time.Time
	Limit    int
	Version  int
}

// Drift asks for a deployment's heat map; grain is "hour" or "day", limit the number of latest windows.
func (c *Client) Drift(ctx context.Context, deployment, grain string, limit int) (api.Drift, error) {
	return c.DriftIn(ctx, deployment, DriftSpan{Grain: grain, Limit: limit})
}

// DriftIn is Drift for any windows.
func (c *Client) DriftIn(ctx context.Context, deployment string, span DriftSpan) (api.Drift, error) {
	return get[api.Drift](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/drift", span.query())
}

func (span DriftSpan) query() url.Values {
	q := url.Values{"grain": {span.Grain}, "limit": {strconv.Itoa(span.Limit)}}
	for name, t := range map[string]time.Time{"from": span.From, "to": span.To} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339))
		}
	}
	if span.Version > 0 {
		q.Set("version", strconv.Itoa(span.Version))
	}
	return q
}

// DriftReport gives a report on all these windows, a report on many windows as json, html or markdown.
func (c *Client) DriftReport(ctx context.Context, deployment string, span DriftSpan, format string) ([]byte, error) {
	q := span.query()
	q.Set("format", format)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/api/v1/deployments/"+url.PathEscape(deployment)+"/drift-report?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.send(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	return body, nil
}
