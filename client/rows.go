package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// RowFiles lists the recorded rows of a deployment as Parquet files, of the days from and until, both included ("2006-01-02";
// "" is no bound).
func (c *Client) RowFiles(ctx context.Context, deployment, from, until string) ([]api.RowFile, error) {
	q := url.Values{}
	if from != "" {
		q.Set("from", from)
	}
	if until != "" {
		q.Set("until", until)
	}
	return get[[]api.RowFile](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/rows", q)
}

// RowFile writes one of these files to w and gives its size.
func (c *Client) RowFile(ctx context.Context, deployment string, f api.RowFile, w io.Writer) (int64, error) {
	path := "/api/v1/deployments/" + url.PathEscape(deployment) + "/rows/" + url.PathEscape(f.Date) + "/" + url.PathEscape(f.File)
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
	if err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, fairlead.Errorf(fairlead.CodeUnavailable, "%s broke off after %d bytes", f.File, n).Hintf("try again").Cause(err)
	}
	return n, nil
}
