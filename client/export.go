package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// ExportFiles lists what is stored of a deployment as Parquet files: of some tables, all without any, and of the days from and
// until, both included ("2006-01-02"; "" is no bound).
func (c *Client) ExportFiles(ctx context.Context, deployment string, tables []string, from, until string) ([]api.ExportFile, error) {
	q := url.Values{}
	for key, value := range map[string]string{"tables": strings.Join(tables, ","), "from": from, "until": until} {
		if value != "" {
			q.Set(key, value)
		}
	}
	return get[[]api.ExportFile](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/export", q)
}

// ExportFile writes one of these files to w, and gives its name, rows and bytes: of a table other than rows they are those of
// now. CodeNotFound means that the files have changed, and are to be listed again. It takes as long as it takes.
func (c *Client) ExportFile(ctx context.Context, f api.ExportFile, w io.Writer) (api.ExportFile, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+f.Path, nil)
	if err != nil {
		return f, err
	}
	patient := *c.http
	patient.Timeout = 0
	resp, err := (&Client{c.base, &patient}).send(req)
	if err != nil {
		return f, err
	}
	defer resp.Body.Close()
	if name := resp.Header.Get(api.FileHeader); name != "" {
		f.File = name
		f.Rows, err = strconv.ParseUint(resp.Header.Get(api.RowsHeader), 10, 64)
		if err != nil {
			return f, fairlead.Errorf(fairlead.CodeInternal, "the server did not say how many rows %s has", f.Path).Cause(err)
		}
	}
	to := &sink{w: w}
	n, err := io.Copy(to, resp.Body)
	if to.err != nil {
		return f, to.err
	}
	if err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && ctx.Err() == nil {
		return f, fairlead.Errorf(fairlead.CodeUnavailable, "%s of %s broke off after %d bytes", f.Table, f.Date, n).
			Hintf("run the command again: it goes on from there").Cause(err)
	}
	f.Bytes = uint64(max(n, 0))
	return f, err
}

// sink remembers an error of its writer, to tell it from one of the reader.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}
