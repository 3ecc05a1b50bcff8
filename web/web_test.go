package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func built() *handler {
	return newHandler(fstest.MapFS{
		".gitkeep":              {},
		"index.html":            {Data: []byte("<!doctype html><title>fairlead</title>" + strings.Repeat("<p>text</p>", 100))},
		"theme.js":              {Data: []byte("0")},
		"assets/app-abc123.js":  {Data: []byte(strings.Repeat("export default 1;\n", 100))},
		"assets/app-abc123.css": {Data: []byte("a{}")},
		"mark.svg":              {Data: []byte("<svg/>")},
	})
}

func get(h http.Handler, method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestHandlerServesFilesAndRoutes(t *testing.T) {
	const forever = "public, max-age=31536000, immutable"
	for _, c := range []struct {
		path, media, cache string
		status             int
	}{
		{"/", "text/html; charset=utf-8", "no-cache", 200},
		{"/index.html", "text/html; charset=utf-8", "no-cache", 200},
		{"/models", "text/html; charset=utf-8", "no-cache", 200},
		{"/d/flights", "text/html; charset=utf-8", "no-cache", 200},
		{"/d/flights.v2", "text/html; charset=utf-8", "no-cache", 200},
		{"/theme.js", "text/javascript; charset=utf-8", "no-cache", 200},
		{"/mark.svg", "image/svg+xml", "no-cache", 200},
		{"/assets/app-abc123.js", "text/javascript; charset=utf-8", forever, 200},
		{"/assets/app-abc123.css", "text/css; charset=utf-8", forever, 200},
		{"/assets/app-gone.js", "text/plain; charset=utf-8", "", 404},
		{"/favicon.ico", "text/plain; charset=utf-8", "", 404},
		{"/.gitkeep", "text/plain; charset=utf-8", "", 404},
		{"/assets/../../web.go", "text/plain; charset=utf-8", "", 404},
	} {
		res := get(built(), http.MethodGet, c.path)
		if res.StatusCode != c.status || res.Header.Get("Content-Type") != c.media || res.Header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: got %d, %q, %q; want %d, %q, %q", c.path, res.StatusCode, res.Header.Get("Content-Type"),
				res.Header.Get("Cache-Control"), c.status, c.media, c.cache)
		}
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "http") {
			t.Errorf("%s: policy %q", c.path, csp)
		}
	}
}

func TestHandlerRevalidatesAndCompresses(t *testing.T) {
	h := built()
	first := get(h, http.MethodGet, "/", "Accept-Encoding", "br, gzip;q=0.8")
	if first.Header.Get("Content-Encoding") != "gzip" || first.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("not compressed: %v", first.Header)
	}
	z, err := gzip.NewReader(first.Body)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := io.ReadAll(get(h, http.MethodGet, "/", "Accept-Encoding", "gzip;q=0").Body)
	if string(packed) != string(plain) || len(plain) == 0 {
		t.Errorf("the compressed body differs: %d and %d bytes", len(packed), len(plain))
	}
	again := get(h, http.MethodGet, "/", "If-None-Match", first.Header.Get("Etag"))
	if again.StatusCode != http.StatusNotModified {
		t.Errorf("same ETag: status %d", again.StatusCode)
	}
	if res := get(h, http.MethodGet, "/assets/app-abc123.css", "Accept-Encoding", "gzip"); res.Header.Get("Content-Encoding") != "" {
		t.Error("three bytes were compressed")
	}
}

func TestHandlerMethods(t *testing.T) {
	res := get(built(), http.MethodPost, "/")
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
	res = get(built(), http.MethodHead, "/")
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 || len(body) != 0 {
		t.Errorf("HEAD: %d with %d bytes", res.StatusCode, len(body))
	}
}

func TestHandlerSaysThatThePageIsNotBuilt(t *testing.T) {
	h := newHandler(fstest.MapFS{".gitkeep": {}})
	res := get(h, http.MethodGet, "/d/flights")
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "make build") {
		t.Errorf("got %d: %s", res.StatusCode, body)
	}
	if res := get(h, http.MethodHead, "/"); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
}

func TestHandlerOfTheBinary(t *testing.T) {
	res := get(Handler(), http.MethodGet, "/")
	if res.StatusCode != 200 && res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", res.StatusCode)
	}
}
