package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/fairlead-ml/fairlead/api"
)

// SQL asks the evaluation store.
func (c *Client) SQL(ctx context.Context, query string, limit int) (api.SQLAnswer, error) {
	return post[api.SQLAnswer](ctx, c, "/api/v1/sql", api.SQLRequest{Query: query, Limit: limit})
}

// WriteSQL asks the evaluation store and writes the answer to w as csv, arrow or parquet, while it comes. An answer that
// breaks off is an error; w has a part of it then.
func (c *Client) WriteSQL(ctx context.Context, w io.Writer, query, format string, limit int) (api.SQLWritten, error) {
	var out api.SQLWritten
	body, err := json.Marshal(api.SQLRequest{Query: query, Limit: limit, Format: format})
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/v1/sql", bytes.NewReader(body))
	if err != nil {
		return out, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.send(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return out, fmt.Errorf("read the answer: %w", err)
	}
	if out.Rows, err = strconv.Atoi(resp.Trailer.Get(api.RowsTrailer)); err != nil {
		return out, fmt.Errorf("the answer broke off")
	}
	out.Truncated = resp.Trailer.Get(api.TruncatedTrailer) == "true"
	return out, nil
}

// SQLSchema lists the tables that SQL can ask.
func (c *Client) SQLSchema(ctx context.Context) ([]api.SQLTable, error) {
	return get[[]api.SQLTable](ctx, c, "/api/v1/sql/schema", nil)
}
