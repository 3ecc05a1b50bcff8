package oci

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// cutter breaks the connection of large transfers until they have been cut often enough, and everything after that if
// it stays down.
type cutter struct {
	method string
	after  int64 // bytes of a body
	times  atomic.Int32
	down   bool // after the last cut nothing gets through
	gone   atomic.Bool

	mu    sync.Mutex
	asked []string
}

var errCut = &timeout{errors.New("the cable was pulled")}

type timeout struct{ error }

func (*timeout) Timeout() bool   { return false }
func (*timeout) Temporary() bool { return true }

func (c *cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	c.asked = append(c.asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")+r.Header.Get("Content-Range"))
	c.mu.Unlock()
	if c.gone.Load() {
		return nil, errCut
	}
	large := r.ContentLength > c.after || r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256")
	if r.Method != c.method || !large || c.times.Load() <= 0 {
		return http.DefaultTransport.RoundTrip(r)
	}
	if r.Method == http.MethodGet {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && resp.ContentLength > c.after && c.times.Add(-1) >= 0 {
			resp.Body = c.cut(resp.Body)
		}
		return resp, err
	}
	c.times.Add(-1)
	r = r.Clone(r.Context())
	r.Body = c.cut(r.Body)
	_, err := http.DefaultTransport.RoundTrip(r)
	return nil, errors.Join(errCut, err)
}

func (c *cutter) cut(body io.ReadCloser) io.ReadCloser { return &cutBody{body, c.after, c} }

type cutBody struct {
	io.ReadCloser
	left int64
	of   *cutter
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.of.gone.Store(b.of.down && b.of.times.Load() <= 0)
		return 0, errCut
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func TestACutUploadGoesOn(t *testing.T) {
	l, _, _ := signedVersion(t)
	s := serve(t, false)
	cable := &cutter{method: http.MethodPatch, after: 300 << 10}
	cable.times.Store(5)
	r, err := Push(t.Context(), l, s.ref(t, "flights:v1"), Options{Chunk: 1 << 20, Transport: cable, Wait: once})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Pull(t.Context(), s.ref(t, "flights:v1"), layout(t), Options{}); err != nil {
		t.Error(err)
	}
	resumed := false
	for _, a := range cable.asked {
		resumed = resumed || strings.HasPrefix(a, "PATCH") && !strings.HasSuffix(a, " 0-1048575") && !strings.Contains(a, "1048576-") && !strings.Contains(a, "2097152-")
	}
	if !resumed {
		t.Errorf("no chunk began where the cable was cut: %v (%+v)", cable.asked, r)
	}
}

// TestAnUploadGoesOnInAnotherProcess cuts the cable for good, as a crash does, and starts anew with the same state.
func TestAnUploadGoesOnInAnotherProcess(t *testing.T) {
	l, _, _ := signedVersion(t)
	s := serve(t, false)
	state := t.TempDir()
	cable := &cutter{method: http.MethodPatch, after: 1<<20 - 1, down: true}
	cable.times.Store(3) // one chunk of a MiB goes through in pieces
	_, err := Push(t.Context(), l, s.ref(t, "flights:v1"), Options{Chunk: 1 << 20, Transport: cable, State: state, Wait: once})
	wants(t, err, fairlead.CodeUnavailable, "goes on where it stopped")
	r, err := Push(t.Context(), l, s.ref(t, "flights:v1"), Options{Chunk: 1 << 20, State: state})
	if err != nil {
		t.Fatal(err)
	}
	if saved := r.Bytes - r.Sent; saved < 1<<20-1 {
		t.Errorf("of %d bytes %d were sent again, %d saved", r.Bytes, r.Sent, saved)
	}
	left, err := os.ReadDir(state)
	if err != nil || len(left) > 0 {
		t.Errorf("sessions are left behind: %v, %v", left, err)
	}
	if _, err := Pull(t.Context(), s.ref(t, "flights:v1"), layout(t), Options{}); err != nil {
		t.Error(err)
	}
}

// refuser is a registry that takes no chunks.
type refuser struct{ patches atomic.Int32 }

func (f *refuser) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPatch {
		return http.DefaultTransport.RoundTrip(r)
	}
	f.patches.Add(1)
	_, _ = io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: http.StatusMethodNotAllowed, Request: r, Header: http.Header{}, Body: http.NoBody}, nil
}

func TestARegistryWithoutChunksGetsWholeBlobs(t *testing.T) {
	l, _, _ := signedVersion(t)
	s := serve(t, false)
	f := &refuser{}
	if _, err := Push(t.Context(), l, s.ref(t, "flights:v1"), Options{Chunk: 1 << 20, Transport: f, Wait: once}); err != nil {
		t.Fatal(err)
	}
	if f.patches.Load() != 1 {
		t.Errorf("it was asked %d times to take chunks", f.patches.Load())
	}
	if _, err := Pull(t.Context(), s.ref(t, "flights:v1"), layout(t), Options{}); err != nil {
		t.Error(err)
	}
}

func TestACutDownloadGoesOn(t *testing.T) {
	l, _, _ := signedVersion(t)
	s := serve(t, false)
	ref := s.ref(t, "flights:v1")
	if _, err := Push(t.Context(), l, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	cable := &cutter{method: http.MethodGet, after: 500 << 10}
	cable.times.Store(3)
	r, err := Pull(t.Context(), ref, layout(t), Options{Transport: cable, Wait: once})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent > r.Bytes+64<<10 {
		t.Errorf("%d bytes were fetched for %d", r.Sent, r.Bytes)
	}
	ranges := 0
	for _, a := range cable.asked {
		if strings.Contains(a, "bytes=") {
			ranges++
		}
	}
	if ranges < 2 {
		t.Errorf("%d byte ranges were asked for: %v", ranges, cable.asked)
	}
}

// TestADownloadGoesOnInAnotherProcess keeps the part that came before the cable was pulled for good.
func TestADownloadGoesOnInAnotherProcess(t *testing.T) {
	l, e, _ := signedVersion(t)
	s := serve(t, false)
	ref := s.ref(t, "flights:v1")
	if _, err := Push(t.Context(), l, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	open := func() *Layout {
		half, err := OpenLayout(dir)
		if err != nil {
			t.Fatal(err)
		}
		return half
	}
	cable := &cutter{method: http.MethodGet, after: 1 << 20, down: true}
	cable.times.Store(1)
	_, err := Pull(t.Context(), ref, open(), Options{Transport: cable, Wait: once})
	wants(t, err, fairlead.CodeUnavailable, "goes on where it stopped")
	back := open()
	r, err := Pull(t.Context(), ref, back, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if saved := r.Bytes - r.Sent; saved < 1<<20 {
		t.Errorf("of %d bytes %d were fetched again, %d saved", r.Bytes, r.Sent, saved)
	}
	if _, got := load(t, back); got.Digest != e.Digest {
		t.Errorf("taken in as %s", got.Digest)
	}
}

// TestAPartOfSomethingElseIsNotGoneOnWith puts wrong bytes where a download was cut.
func TestAPartOfSomethingElseIsNotGoneOnWith(t *testing.T) {
	l, _, _ := signedVersion(t)
	s := serve(t, false)
	ref := s.ref(t, "flights:v1")
	if _, err := Push(t.Context(), l, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	back := layout(t)
	part := filepath.Join(back.dir, "partial", largest(t, l).Digest.Encoded())
	if err := os.WriteFile(part, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Pull(t.Context(), ref, back, Options{})
	if err == nil {
		t.Fatal("garbage was accepted")
	}
	if _, err := Pull(t.Context(), ref, back, Options{}); err != nil {
		t.Errorf("the second try does not start anew: %v", err)
	}
}
