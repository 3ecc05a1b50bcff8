package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Replay runs recorded requests of a deployment through another version. progress, if not nil, is called as it goes on.
func (c *Client) Replay(ctx context.Context, deployment string, in api.ReplayRequest, progress func(done, total int)) (api.ReplayReport, error) {
	var report api.ReplayReport
	body, err := json.Marshal(in)
	if err != nil {
		return report, err
	}
	address := c.base + "/api/v1/deployments/" + url.PathEscape(deployment) + "/replay"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return report, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := c.send(req)
	if err != nil {
		return report, err
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(resp.Body)
	for {
		var line api.ReplayProgress
		if err := lines.Decode(&line); err != nil {
			return report, fmt.Errorf("the replay broke off: %w", err)
		}
		switch {
		case line.Error != nil:
			e := fairlead.Errorf(fairlead.Code(line.Error.Code), "%s", line.Error.Error)
			e.Hint = line.Error.Hint
			return report, e
		case line.Report != nil:
			return *line.Report, nil
		case progress != nil:
			progress(line.Done, line.Total)
		}
	}
}
