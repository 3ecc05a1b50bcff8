package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/admin"
	"github.com/fairlead-ml/fairlead/api"
)

// shelf answers for the registry: an alias points at version 3, exports give three bytes and then fail where asked to.
type shelf struct{ asked []string }

func (s *shelf) PointAlias(_ context.Context, name fairlead.Name, alias string, in api.AliasRequest, expect *int) (api.AliasMove, error) {
	from := "any"
	if expect != nil {
		from = fmt.Sprint(*expect)
	}
	s.asked = append(s.asked, fmt.Sprintf("%s:%s from %s to %q force %v by %s", name, alias, from, in.Version, in.Force, in.By))
	if expect != nil && *expect != 3 {
		e := fairlead.Errorf(fairlead.CodeConflict, "it points at version 3")
		return api.AliasMove{}, e
	}
	return api.AliasMove{Alias: alias, From: 3, To: 4}, nil
}

func (s *shelf) AliasHistory(context.Context, fairlead.Name, string) ([]api.AliasMove, error) {
	return []api.AliasMove{{Alias: "champion", To: 3}}, nil
}

func (s *shelf) Export(_ context.Context, name fairlead.Name, version string) (func(io.Writer) error, error) {
	if version == "9" {
		return nil, fairlead.NotFound("model %s has no version %q", name, version)
	}
	return func(w io.Writer) error {
		_, err := io.WriteString(w, "tar")
		if version == "8" {
			return errors.New("a blob is damaged")
		}
		return err
	}, nil
}

func (s *shelf) Load(_ context.Context, name fairlead.Name, file io.Reader) ([]api.Loaded, error) {
	b, err := io.ReadAll(file)
	return []api.Loaded{{Model: string(name), Version: len(b)}}, err
}

func TestAliasConditions(t *testing.T) {
	s := &shelf{}
	mux := http.NewServeMux()
	admin.New(mux, admin.Options{Aliases: s, Transfer: s, MaxUpload: 1 << 20})
	server := httptest.NewServer(mux)
	defer server.Close()
	for _, c := range []struct {
		method, path, header, value, body string
		status                            int
		asked                             string
	}{
		{"PUT", "flights/aliases/champion", "", "", `{"version":"4","by":"ann"}`, 200, `flights:champion from any to "4" force false by ann`},
		{"PUT", "flights/aliases/champion", "If-Match", `"3"`, `{"version":"4","force":true}`, 200, `flights:champion from 3 to "4" force true by `},
		{"PUT", "flights/aliases/champion", "If-Match", `2`, `{"version":"4"}`, 409, `flights:champion from 2 to "4" force false by `},
		{"PUT", "flights/aliases/champion", "If-None-Match", `*`, `{"version":"4"}`, 409, `flights:champion from 0 to "4" force false by `},
		{"PUT", "flights/aliases/champion", "If-Match", `x`, `{"version":"4"}`, 400, ""},
		{"PUT", "flights/aliases/champion", "If-None-Match", `"3"`, `{"version":"4"}`, 400, ""},
		{"PUT", "flights/aliases/champion", "", "", `{"version":""}`, 400, ""},
		{"PUT", "Flights/aliases/champion", "", "", `{"version":"4"}`, 400, ""},
		{"DELETE", "flights/aliases/champion?by=bob", "If-Match", `"3"`, "", 200, `flights:champion from 3 to "" force false by bob`},
	} {
		s.asked = nil
		req, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+"/api/v1/models/"+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if c.header != "" {
			req.Header.Set(c.header, c.value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got := strings.Join(s.asked, "|"); resp.StatusCode != c.status || got != c.asked {
			t.Errorf("%s %s %s %s: %s %q %s; want %d %q", c.method, c.path, c.value, c.body, resp.Status, got, text, c.status, c.asked)
		}
		if c.status == 200 && resp.Header.Get("ETag") != `"4"` {
			t.Errorf("ETag %q", resp.Header.Get("ETag"))
		}
	}
}

// An export that fails after it has begun does not look like a whole file.
func TestExport(t *testing.T) {
	s := &shelf{}
	mux := http.NewServeMux()
	admin.New(mux, admin.Options{Aliases: s, Transfer: s, MaxUpload: 1 << 20})
	server := httptest.NewUnstartedServer(mux)
	server.Start()
	defer server.Close()
	get := func(version string) (int, string, error) {
		resp, err := http.Get(server.URL + "/api/v1/models/flights/export?version=" + version) //nolint:noctx // a test
		if err != nil {
			return 0, "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b), err
	}
	if status, text, err := get("3"); status != 200 || text != "tar" || err != nil {
		t.Errorf("%d %q %v", status, text, err)
	}
	if status, text, err := get("9"); status != 404 || !strings.Contains(text, "no version") || err != nil {
		t.Errorf("%d %q %v", status, text, err)
	}
	if status, text, err := get("8"); err == nil {
		t.Errorf("a cut file looks whole: %d %q", status, text)
	}
}
