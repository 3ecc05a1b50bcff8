// Package client calls a fairlead server over HTTP: predictions by named features and the control API.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// New makes a client for a server's address, for example "http://127.0.0.1:8080" or "127.0.0.1:8080".
func New(server string) (*Client, error) {
	if !strings.Contains(server, "://") {
		server = "http://" + server
	}
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fairlead.Invalid("%q is not a server address", server).Hintf("write for example http://127.0.0.1:8080")
	}
	return &Client{base: strings.TrimRight(server, "/"), http: &http.Client{Timeout: 5 * time.Minute}}, nil
}

// Status asks how the server is.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return get[api.Status](ctx, c, "/api/v1/status", nil)
}

// Models lists the models of the registry.
func (c *Client) Models(ctx context.Context) ([]api.Model, error) {
	return get[[]api.Model](ctx, c, "/api/v1/models", nil)
}

// Deployments lists the names that clients can call.
func (c *Client) Deployments(ctx context.Context) ([]api.Deployment, error) {
	return get[[]api.Deployment](ctx, c, "/api/v1/deployments", nil)
}

// Metrics asks for a deployment's realised metrics.
func (c *Client) Metrics(ctx context.Context, deployment, grain string, limit int) (api.Metrics, error) {
	q := url.Values{"grain": {grain}, "limit": {strconv.Itoa(limit)}}
	return get[api.Metrics](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/metrics", q)
}

// Alerts lists alerts; state may be empty, pending, firing or resolved.
func (c *Client) Alerts(ctx context.Context, state string) ([]api.Alert, error) {
	q := url.Values{}
	if state != "" {
		q.Set("state", state)
	}
	return get[[]api.Alert](ctx, c, "/api/v1/alerts", q)
}

// ExplainAlertBriefly says what the monitor has measured about an alert.
func (c *Client) ExplainAlertBriefly(ctx context.Context, id string) (api.AlertExplanation, error) {
	return get[api.AlertExplanation](ctx, c, "/api/v1/alerts/explain", url.Values{"id": {id}, "brief": {"true"}})
}

// ExplainAlert says what is known of an alert, rows and the model asked as well: half a minute at most.
func (c *Client) ExplainAlert(ctx context.Context, id string) (api.AlertExplanation, error) {
	return get[api.AlertExplanation](ctx, c, "/api/v1/alerts/explain", url.Values{"id": {id}})
}

// Push uploads a model: an .onnx file (contentType application/octet-stream) or a tar of a bundle folder
// (application/x-tar).
func (c *Client) Push(ctx context.Context, name, alias, contentType string, body io.Reader) (api.PushAnswer, error) {
	return c.PushWith(ctx, name, contentType, body, api.PushOptions{Alias: alias})
}

// PushWith is Push with everything that can be said of it.
func (c *Client) PushWith(ctx context.Context, name, contentType string, body io.Reader, o api.PushOptions) (api.PushAnswer, error) {
	q := url.Values{"trained_on": o.TrainedOn}
	for key, value := range map[string]string{"alias": o.Alias, "by": o.By, "quantized_from": o.QuantizedFrom, "distilled_from": o.DistilledFrom, "policy": o.Policy} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if o.Force {
		q.Set("force", "true")
	}
	if o.Rollout {
		q.Set("rollout", "true")
	}
	if o.Test {
		q.Set("test", "true")
	}
	var answer api.PushAnswer
	err := c.do(ctx, http.MethodPost, "/api/v1/models/"+url.PathEscape(name)+"/versions", q, contentType, body, &answer)
	return answer, err
}

// Label sends truths; it returns after they are on the server's disk.
func (c *Client) Label(ctx context.Context, deployment string, labels []api.Label) (api.LabelsAnswer, error) {
	return post[api.LabelsAnswer](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/labels", api.LabelsRequest{Labels: labels})
}

// Annotate marks a span of a deployment's event time.
func (c *Client) Annotate(ctx context.Context, deployment string, a api.Annotation) (api.Annotation, error) {
	return post[api.Annotation](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/annotations", a)
}

// Rollback puts the version that was live before back.
func (c *Client) Rollback(ctx context.Context, deployment string) (api.RollbackAnswer, error) {
	return post[api.RollbackAnswer](ctx, c, "/api/v1/deployments/"+url.PathEscape(deployment)+"/rollback", struct{}{})
}

// Predict sends a request body of the Open Inference Protocol (or one with "instances") and returns the answer's JSON.
func (c *Client) Predict(ctx context.Context, deployment string, body []byte) (json.RawMessage, error) {
	var answer json.RawMessage
	err := c.do(ctx, http.MethodPost, "/v2/models/"+url.PathEscape(deployment)+"/infer", nil, "application/json", bytes.NewReader(body), &answer)
	return answer, err
}

func get[T any](ctx context.Context, c *Client, path string, q url.Values) (T, error) {
	var out T
	err := c.do(ctx, http.MethodGet, path, q, "", nil, &out)
	return out, err
}

func post[T any](ctx context.Context, c *Client, path string, in any) (T, error) {
	var out T
	body, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	err = c.do(ctx, http.MethodPost, path, nil, "application/json", bytes.NewReader(body), &out)
	return out, err
}

func (c *Client) do(ctx context.Context, method, path string, q url.Values, contentType string, body io.Reader, out any) error {
	address := c.base + path
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", method, path, err)
	}
	return nil
}

// send gives an answer that is no error; its body is the caller's to close.
func (c *Client) send(req *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(req)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			return nil, fairlead.Errorf(fairlead.CodeUnavailable, "no fairlead server answers at %s", c.base).
				Hintf("start one with `fairlead serve`, or name another by --server or FAIRLEAD_SERVER").Cause(err)
		}
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // it would say method and address again
		}
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL, err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, readError(resp)
	}
	return resp, nil
}

// readError turns an error answer into the Error that the server meant.
func readError(resp *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var body api.ErrorBody
	if json.Unmarshal(raw, &body) != nil || body.Error == "" {
		return fairlead.Errorf(codeOf(resp.StatusCode), "the server answered %s: %s", resp.Status, bytes.TrimSpace(raw))
	}
	code := fairlead.Code(body.Code)
	if code == "" {
		code = codeOf(resp.StatusCode)
	}
	e := fairlead.Errorf(code, "%s", body.Error)
	e.Hint = body.Hint
	return e
}

func codeOf(status int) fairlead.Code {
	switch status {
	case http.StatusNotFound:
		return fairlead.CodeNotFound
	case http.StatusConflict:
		return fairlead.CodeConflict
	case http.StatusRequestEntityTooLarge:
		return fairlead.CodeTooLarge
	case http.StatusTooManyRequests:
		return fairlead.CodeExhausted
	case http.StatusServiceUnavailable:
		return fairlead.CodeUnavailable
	}
	if status >= 500 {
		return fairlead.CodeInternal
	}
	return fairlead.CodeInvalid
}
