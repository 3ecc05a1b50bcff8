package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/fairlead-ml/fairlead/api"
)

// Incidents lists alerts that began together, the latest first. state is firing, resolved or empty, deployment a name or empty.
func (c *Client) Incidents(ctx context.Context, state, deployment string) ([]api.Incident, error) {
	q := url.Values{}
	for key, value := range map[string]string{"state": state, "deployment": deployment} {
		if value != "" {
			q.Set(key, value)
		}
	}
	return get[[]api.Incident](ctx, c, "/api/v1/alerts/incidents", q)
}

// Acknowledge says that somebody takes care of an incident.
func (c *Client) Acknowledge(ctx context.Context, in api.AckRequest) (api.Incident, error) {
	return post[api.Incident](ctx, c, "/api/v1/alerts/ack", in)
}

// Unacknowledge takes that back.
func (c *Client) Unacknowledge(ctx context.Context, in api.AckRequest) (api.Incident, error) {
	return post[api.Incident](ctx, c, "/api/v1/alerts/unack", in)
}

// Silences lists them, on demand also those that are over.
func (c *Client) Silences(ctx context.Context, ended bool) ([]api.Silence, error) {
	q := url.Values{}
	if ended {
		q.Set("ended", "true")
	}
	return get[[]api.Silence](ctx, c, "/api/v1/silences", q)
}

// Silence keeps alerts from being told.
func (c *Client) Silence(ctx context.Context, in api.SilenceRequest) (api.Silence, error) {
	return post[api.Silence](ctx, c, "/api/v1/silences", in)
}

// Unsilence ends a silence now.
func (c *Client) Unsilence(ctx context.Context, id, by string) (out api.Silence, err error) {
	return out, c.do(ctx, http.MethodDelete, "/api/v1/silences/"+url.PathEscape(id), url.Values{"by": {by}}, "", nil, &out)
}

// Receivers are who the server tells of incidents.
func (c *Client) Receivers(ctx context.Context) ([]api.Receiver, error) {
	return get[[]api.Receiver](ctx, c, "/api/v1/alerts/receivers", nil)
}

// TestReceiver has the server send a receiver a test message.
func (c *Client) TestReceiver(ctx context.Context, name, by string) (out api.TestMessage, err error) {
	return out, c.do(ctx, http.MethodPost, "/api/v1/alerts/receivers/"+url.PathEscape(name)+"/test", url.Values{"by": {by}}, "", nil, &out)
}
