package flights

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// client talks to one server over its public HTTP API.
type client struct {
	base string
	http *http.Client
}

func newClient(server string, h *http.Client) (*client, error) {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fairlead.Invalid("%q is not a server address", server).Hintf("write for example http://127.0.0.1:8080")
	}
	return &client{base: strings.TrimRight(server, "/"), http: h}, nil
}

// newHTTP keeps a few connections open and waits no longer than a stuck server deserves.
func newHTTP() *http.Client {
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			MaxIdleConnsPerHost: 4,
			IdleConnTimeout:     time.Minute,
		},
	}
}

// infer asks for the predictions of a body of instances and gives the ids the server used, if want is set.
func (c *client) infer(ctx context.Context, body []byte, want bool) ([]string, error) {
	const path = "/v2/models/" + Name + "/infer"
	if !want {
		return nil, c.call(ctx, http.MethodPost, path, body, nil)
	}
	var answer struct {
		IDs []string `json:"ids"`
	}
	err := c.call(ctx, http.MethodPost, path, body, &answer)
	return answer.IDs, err
}

// label returns after the labels of body are on the server's disk.
func (c *client) label(ctx context.Context, body []byte) error {
	return c.call(ctx, http.MethodPost, "/api/v1/deployments/"+Name+"/labels", body, nil)
}

func (c *client) annotate(ctx context.Context, a api.Annotation) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, "/api/v1/deployments/"+Name+"/annotations", body, nil)
}

func (c *client) status(ctx context.Context) (s api.Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/api/v1/status", nil, &s)
}

func (c *client) deployment(ctx context.Context) (d api.Deployment, err error) {
	return d, c.call(ctx, http.MethodGet, "/api/v1/deployments/"+Name, nil, &d)
}

// latest asks the evaluation store for the latest event time of the replay's own rows before end; zero if there is none.
func (c *client) latest(ctx context.Context, end time.Time) (time.Time, error) {
	body, err := json.Marshal(api.SQLRequest{Query: fmt.Sprintf(
		"SELECT max(epoch_ms(event_time)) AS latest FROM predictions WHERE deployment = '%s' AND starts_with(prediction_id, '%s') AND epoch_ms(event_time) < %d",
		Name, idPrefix, end.UnixMilli())})
	if err != nil {
		return time.Time{}, err
	}
	var answer api.SQLAnswer
	if err := c.call(ctx, http.MethodPost, "/api/v1/sql", body, &answer); err != nil {
		return time.Time{}, err
	}
	if len(answer.Rows) != 1 || len(answer.Rows[0]) != 1 {
		return time.Time{}, fmt.Errorf("latest flight: expected one value, got %d rows", len(answer.Rows))
	}
	switch v := answer.Rows[0][0].(type) {
	case nil:
		return time.Time{}, nil
	case float64:
		return time.UnixMilli(int64(v)).UTC(), nil
	case string: // integers beyond 2^53 and their like may come as text
		n, err := strconv.ParseInt(v, 10, 64)
		return time.UnixMilli(n).UTC(), err
	default:
		return time.Time{}, fmt.Errorf("latest flight: expected a number, got %v", v)
	}
}

// call sends body as JSON, if there is one, and reads the answer into into, if that is not nil. An answer that is not a
// success is a *fairlead.Error with the server's own words; no answer at all is CodeUnavailable.
func (c *client) call(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return noAnswer(ctx, c.base, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return refusal(resp)
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			return noAnswer(ctx, c.base, fmt.Errorf("%s %s: %w", method, path, err))
		}
	}
	// The connection is used again only if its answer was read to the end.
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return noAnswer(ctx, c.base, err)
	}
	return nil
}

func noAnswer(ctx context.Context, server string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fairlead.Errorf(fairlead.CodeUnavailable, "no answer from %s", server).Hintf("is the server running?").Cause(err)
}

// refusal is the error in an answer's body, with the code of its HTTP status.
func refusal(resp *http.Response) error {
	var body api.ErrorBody
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(raw, &body)
	}
	if err != nil || body.Error == "" {
		body.Error = fmt.Sprintf("%s %s answered %s", resp.Request.Method, resp.Request.URL.Path, resp.Status)
	}
	e := &fairlead.Error{Code: fairlead.CodeInvalid, Message: body.Error, Hint: body.Hint}
	switch s := resp.StatusCode; {
	case s == http.StatusTooManyRequests:
		e.Code = fairlead.CodeExhausted
	case s == http.StatusNotFound:
		e.Code = fairlead.CodeNotFound
	case s >= 500:
		e.Code = fairlead.CodeUnavailable
	}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		e.Retry = time.Duration(n) * time.Second
	}
	return e
}

// passing says whether an error may go away by itself: no answer, a server that starts, stops or is overloaded. Not
// found counts, because a server that starts answers before it has opened its models.
func passing(err error) bool {
	var e *fairlead.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == fairlead.CodeUnavailable || e.Code == fairlead.CodeExhausted || e.Code == fairlead.CodeNotFound
}
