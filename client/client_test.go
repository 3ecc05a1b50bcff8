package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

func dial(t *testing.T, address string) *client.Client {
	t.Helper()
	c, err := client.New(address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAddresses(t *testing.T) {
	for _, good := range []string{"http://127.0.0.1:8080", "https://models.example/", "localhost:8080"} {
		if _, err := client.New(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "http://", "ftp://models.example", "http://a b", "://"} {
		if _, err := client.New(bad); fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), "http://127.0.0.1:8080") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// An error of the server comes out as the Error that the server meant.
func TestErrors(t *testing.T) {
	var status int
	var body string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	defer s.Close()
	c := dial(t, s.URL)
	for _, x := range []struct {
		status int
		body   string
		code   fairlead.Code
		text   string
	}{
		{404, `{"error":"there is no model","code":"not_found","hint":"push one"}`, fairlead.CodeNotFound, "there is no model (push one)"},
		{400, `{"error":"no"}`, fairlead.CodeInvalid, "no"},
		{409, `{"error":"first"}`, fairlead.CodeConflict, "first"},
		{413, `{"error":"large"}`, fairlead.CodeTooLarge, "large"},
		{429, `{"error":"busy"}`, fairlead.CodeExhausted, "busy"},
		{503, `{"error":"loading","code":"unavailable"}`, fairlead.CodeUnavailable, "loading"},
		{502, "<html>bad gateway</html>\n", fairlead.CodeInternal, "the server answered 502 Bad Gateway: <html>bad gateway</html>"},
		{503, "", fairlead.CodeUnavailable, "the server answered 503 Service Unavailable: "},
		{418, `{"detail":"tea"}`, fairlead.CodeInvalid, `the server answered 418 I'm a teapot: {"detail":"tea"}`},
	} {
		status, body = x.status, x.body
		_, err := c.Status(t.Context())
		var e *fairlead.Error
		if !errors.As(err, &e) || e.Code != x.code || e.Error() != x.text {
			t.Errorf("%d %s: %v (%s), want %s (%s)", x.status, x.body, err, fairlead.CodeOf(err), x.text, x.code)
		}
	}
	status, body = 200, "{"
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "GET /api/v1/status: read the answer") {
		t.Errorf("an answer cut short: %v", err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = dial(t, address).Models(t.Context())
	if fairlead.CodeOf(err) != fairlead.CodeUnavailable || !strings.Contains(err.Error(), "no fairlead server answers at http://"+address) ||
		!strings.Contains(err.Error(), "FAIRLEAD_SERVER") {
		t.Errorf("%v", err)
	}
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dial(t, "127.0.0.1:9").Models(ctx); !errors.Is(err, context.Canceled) || strings.Count(err.Error(), "/api/v1/models") != 1 {
		t.Errorf("%v", err)
	}
}

// Requests arrive as the control API describes them, names escaped.
func TestRequests(t *testing.T) {
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Content-Type"))
		if strings.HasSuffix(r.URL.Path, "s") && r.Method == http.MethodGet && !strings.HasSuffix(r.URL.Path, "metrics") && !strings.HasSuffix(r.URL.Path, "status") {
			fmt.Fprint(w, "[]")
			return
		}
		fmt.Fprint(w, "{}")
	}))
	defer s.Close()
	c, ctx := dial(t, s.URL+"/"), t.Context()
	for _, call := range []func() error{
		func() error { _, err := c.Status(ctx); return err },
		func() error { _, err := c.Deployments(ctx); return err },
		func() error { _, err := c.Drift(ctx, "a/b", "hour", 7); return err },
		func() error { _, err := c.Metrics(ctx, "a", "day", 3); return err },
		func() error { _, err := c.Alerts(ctx, ""); return err },
		func() error { _, err := c.Alerts(ctx, "firing"); return err },
		func() error {
			_, err := c.Push(ctx, "m", "champion", "application/x-tar", strings.NewReader("x"))
			return err
		},
		func() error { _, err := c.Event(ctx, "m", []api.Event{{Name: "n"}}); return err },
		func() error { _, err := c.Label(ctx, "m", []api.Label{{PredictionID: "p", Value: true}}); return err },
		func() error { _, err := c.Annotate(ctx, "m", api.Annotation{}); return err },
		func() error { _, err := c.Rollback(ctx, "m"); return err },
		func() error { _, err := c.SQL(ctx, "SELECT 1", 5); return err },
		func() error { _, err := c.Predict(ctx, "m", []byte("{}")); return err },
	} {
		if err := call(); err != nil {
			t.Error(err)
		}
	}
	want := `GET /api/v1/status 
GET /api/v1/deployments 
GET /api/v1/deployments/a%2Fb/drift?grain=hour&limit=7 
GET /api/v1/deployments/a/metrics?grain=day&limit=3 
GET /api/v1/alerts 
GET /api/v1/alerts?state=firing 
POST /api/v1/models/m/versions?alias=champion application/x-tar
POST /api/v1/deployments/m/events application/json
POST /api/v1/deployments/m/labels application/json
POST /api/v1/deployments/m/annotations application/json
POST /api/v1/deployments/m/rollback application/json
POST /api/v1/sql application/json
POST /v2/models/m/infer application/json`
	if strings.Join(got, "\n") != want {
		t.Errorf("requests were\n%s", strings.Join(got, "\n"))
	}
}
