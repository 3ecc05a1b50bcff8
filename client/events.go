package client

import (
	"context"
	"net/url"

	"github.com/fairlead-ml/fairlead/api"
)

// Event sends business events; it returns after they are on the server's disk. Give each an ID where sending again after
// an error must not count twice.
func (c *Client) Event(ctx context.Context, deployment string, events []api.Event) (api.EventsAnswer, error) {
	return post[api.EventsAnswer](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/events", api.EventsRequest{Events: events})
}
