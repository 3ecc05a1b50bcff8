// Package web serves the page: the built single-page application of web/ui, embedded in the binary.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

//go:embed all:ui/dist
var dist embed.FS

// policy lets the page load nothing but its own files: no inline code, no other host, no framing.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const notBuilt = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>fairlead: the page is not built</title></head>
<body><h1>The page is not built</h1>
<p>This binary was compiled without its user interface. Run <code>make build</code> in the repository and start it again.</p>
<p>Everything else works: the control API is at <a href="/api/v1/status">/api/v1/status</a>, its description at
<a href="/api/docs">/api/docs</a>.</p></body></html>
`

// Handler serves the embedded page. Files under /assets/ carry a hash in their name and may be cached for ever; every
// other path that names no file answers index.html, so that the page's own routes can be opened directly. Where the
// binary was built without the page, it answers 503 and a page that says how to build it.
func Handler() http.Handler {
	sub, err := fs.Sub(dist, "ui/dist")
	if err != nil {
		panic(err) // the embed pattern above guarantees the folder
	}
	return newHandler(sub)
}

// asset is one file, ready to send.
type asset struct {
	body      []byte
	packed    []byte // gzip; nil where it does not pay
	mediaType string
	etag      string
	hashed    bool
}

type handler struct {
	assets map[string]*asset // by URL path
}

func newHandler(files fs.FS) *handler {
	h := &handler{assets: map[string]*asset{}}
	_ = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return nil // an unreadable file is one that does not exist
		}
		if body, err := fs.ReadFile(files, name); err == nil {
			h.assets["/"+name] = newAsset(name, body)
		}
		return nil
	})
	return h
}

func newAsset(name string, body []byte) *asset {
	sum := sha256.Sum256(body)
	a := &asset{
		body:      body,
		mediaType: mediaType(name),
		etag:      `"` + hex.EncodeToString(sum[:12]) + `"`,
		hashed:    strings.HasPrefix(name, "assets/"),
	}
	if packed := pack(body); len(packed) < len(body)*9/10 {
		a.packed = packed
	}
	return a
}

func pack(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body) // a bytes.Buffer cannot fail
	_ = w.Close()
	return b.Bytes()
}

// mediaType does not ask the machine's own tables first, which differ from host to host.
func mediaType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json", ".map":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
		return "application/octet-stream"
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "the page is read with GET", http.StatusMethodNotAllowed)
		return
	}
	a := h.find(r.URL.Path)
	switch {
	case a != nil:
		a.serve(w, r)
	case h.assets["/index.html"] == nil:
		head.Set("Content-Type", "text/html; charset=utf-8")
		head.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusServiceUnavailable)
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(notBuilt)) // the client is gone: nobody is left to tell
		}
	default:
		http.NotFound(w, r)
	}
}

// find gives the file of a path, index.html for a route of the page, and nil for a file that does not exist: a missing
// script must be a 404, not a page that the browser then fails to parse.
func (h *handler) find(urlPath string) *asset {
	p := path.Clean("/" + urlPath)
	if a := h.assets[p]; a != nil {
		return a
	}
	if strings.HasPrefix(p, "/assets/") || (path.Ext(p) != "" && !strings.HasPrefix(p, "/d/")) {
		return nil
	}
	return h.assets["/index.html"]
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Type", a.mediaType)
	head.Set("Etag", a.etag)
	if a.hashed {
		head.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		head.Set("Cache-Control", "no-cache")
	}
	if match := r.Header.Get("If-None-Match"); match != "" && strings.Contains(match, a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := a.body
	if a.packed != nil {
		head.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			head.Set("Content-Encoding", "gzip")
			body = a.packed
		}
	}
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}

// acceptsGzip understands the header as browsers send it; "gzip;q=0" is a refusal.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q = strings.ReplaceAll(q, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}
