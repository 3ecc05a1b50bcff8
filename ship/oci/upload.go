package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

const defaultChunk = 16 << 20

func readerAt(b []byte) *bytes.Reader { return bytes.NewReader(b) }

// upload sends blobs by the distribution specification: a session, chunks by PATCH, and a PUT that names the digest. A
// session that was cut is asked how far it got; its address is kept on disk, for another process.
type upload struct {
	repo  *remote.Repository
	o     Options
	count *counter
}

// session is an upload under way.
type session struct {
	location *url.URL
	at       int64 // bytes that the registry has
}

// errWhole says that the registry takes no chunks: the blob must come in one piece.
var errWhole = errors.New("the registry takes no chunks")

func (u *upload) push(ctx context.Context, d oci.Descriptor, r io.ReaderAt) error {
	ctx = auth.AppendRepositoryScope(ctx, u.repo.Reference, auth.ActionPull, auth.ActionPush)
	chunk := u.o.Chunk
	if chunk <= 0 {
		chunk = defaultChunk
	}
	s := u.recall(ctx, d)
	whole := d.Size <= chunk
	last := int64(-1) // where the attempt before this one began
	for n := 1; ; n++ {
		err := u.attempt(ctx, d, r, &s, chunk, whole)
		if errors.Is(err, errWhole) && !whole {
			whole, s = true, nil
			n = 0
			continue
		}
		if err == nil {
			u.count.have(d)
			return u.forget(d)
		}
		if s != nil && s.at > last {
			last, n = s.at, 1 // it got on: patience starts anew
		}
		if n == attempts || !passing(ctx, err) {
			return fmt.Errorf("blob %s (%s): %w", fairlead.Digest(d.Digest).Short(), nameOf(d), err)
		}
		if wait := u.o.wait(ctx, n); wait != nil {
			return errors.Join(err, wait)
		}
		s = u.ask(ctx, s)
	}
}

// attempt goes on with a session, or opens one, until the blob is there.
func (u *upload) attempt(ctx context.Context, d oci.Descriptor, r io.ReaderAt, s **session, chunk int64, whole bool) error {
	if *s == nil {
		opened, err := u.open(ctx)
		if err != nil {
			return err
		}
		*s = opened
		if !whole {
			if err := u.remember(d, opened); err != nil {
				return err
			}
		}
	}
	if whole {
		(*s).at = 0
		err := u.finish(ctx, d, *s, io.NewSectionReader(r, 0, d.Size))
		*s = nil // a session that was cut in a PUT is not gone on with
		return err
	}
	u.count.at(d, (*s).at)
	for (*s).at < d.Size {
		size := min(chunk, d.Size-(*s).at)
		if err := u.patch(ctx, *s, io.NewSectionReader(r, (*s).at, size)); err != nil {
			return err
		}
		u.count.at(d, (*s).at)
		if err := u.remember(d, *s); err != nil {
			return err
		}
	}
	return u.finish(ctx, d, *s, io.NewSectionReader(r, 0, 0))
}

// open starts a session.
func (u *upload) open(ctx context.Context) (*session, error) {
	scheme := "https"
	if u.repo.PlainHTTP {
		scheme = "http"
	}
	address := fmt.Sprintf("%s://%s/v2/%s/blobs/uploads/", scheme, u.repo.Reference.Host(), u.repo.Reference.Repository)
	resp, err := u.do(ctx, http.MethodPost, address, nil, nil)
	if err != nil {
		return nil, err
	}
	s := &session{}
	return s, u.follow(s, resp)
}

// follow takes the address of the next request, which must be on the registry itself: credentials go along.
func (u *upload) follow(s *session, resp *http.Response) error {
	location, err := resp.Location()
	if errors.Is(err, http.ErrNoLocation) && s.location != nil {
		return nil
	}
	if err != nil {
		return err
	}
	asked := resp.Request.URL
	if location.Hostname() != asked.Hostname() || asked.Scheme == "https" && location.Scheme != "https" {
		return fmt.Errorf("the registry %s sends uploads to another host, %s", asked.Host, location.Host)
	}
	if location.Port() == "" && asked.Port() == "443" {
		location.Host = asked.Host
	}
	s.location = location
	return nil
}

// patch sends one chunk.
func (u *upload) patch(ctx context.Context, s *session, chunk *io.SectionReader) error {
	resp, err := u.do(ctx, http.MethodPatch, s.location.String(), chunk, http.Header{
		"Content-Type":  {"application/octet-stream"},
		"Content-Range": {fmt.Sprintf("%d-%d", s.at, s.at+chunk.Size()-1)},
	})
	var refused *status
	if errors.As(err, &refused) && s.at == 0 {
		switch refused.code {
		case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
			return errors.Join(errWhole, err)
		}
	}
	if err != nil {
		return err
	}
	if err := u.follow(s, resp); err != nil {
		return err
	}
	s.at += chunk.Size()
	u.count.crossed(chunk.Size())
	return nil
}

// finish names the digest, with the rest of the bytes or none; the registry compares.
func (u *upload) finish(ctx context.Context, d oci.Descriptor, s *session, rest *io.SectionReader) error {
	address := *s.location
	q := address.Query()
	q.Set("digest", d.Digest.String())
	address.RawQuery = q.Encode()
	if _, err := u.do(ctx, http.MethodPut, address.String(), rest, http.Header{"Content-Type": {"application/octet-stream"}}); err != nil {
		return err
	}
	u.count.crossed(rest.Size())
	return nil
}

// ask gives the session as the registry sees it; nil if it is gone.
func (u *upload) ask(ctx context.Context, s *session) *session {
	if s == nil || s.location == nil {
		return nil
	}
	resp, err := u.do(ctx, http.MethodGet, s.location.String(), nil, nil)
	var refused *status
	if errors.As(err, &refused) {
		return nil
	}
	if err != nil {
		return s // unreachable for now: it is asked again after the next attempt
	}
	at, ok := received(resp.Header.Get("Range"))
	if !ok || u.follow(s, resp) != nil {
		return nil
	}
	s.at = at
	return s
}

// received reads the Range of an upload: "0-" and the last byte that is there. "0-0" is what registries say of none.
func received(header string) (int64, bool) {
	last, ok := strings.CutPrefix(strings.TrimPrefix(header, "bytes="), "0-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil || n < 0 {
		return 0, false
	}
	if n == 0 {
		return 0, true
	}
	return n + 1, true
}

// status is an answer that says no.
type status struct {
	code   int
	method string
	text   string // of the registry
}

func (e *status) Error() string {
	return fmt.Sprintf("the registry answered %s with %d %s %s", e.method, e.code, http.StatusText(e.code), e.text)
}

// do sends a request whose answer has nothing but headers. A body may be sent again: on a challenge, or when the server
// asks for patience.
func (u *upload) do(ctx context.Context, method, address string, body *io.SectionReader, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if body != nil && body.Size() > 0 {
		req.ContentLength = body.Size()
		req.GetBody = func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(body, 0, body.Size())), nil
		}
		req.Body, _ = req.GetBody()
	}
	resp, err := u.repo.Client.Do(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, &status{resp.StatusCode, method, strings.TrimSpace(string(text))}
	}
	return resp, nil
}

// file is where the session of a blob is remembered; "" where none is.
func (u *upload) file(d oci.Descriptor) string {
	if u.o.State == "" {
		return ""
	}
	ref := u.repo.Reference
	return filepath.Join(u.o.State, strings.TrimPrefix(string(bundle.DigestOf([]byte(ref.Registry+"/"+ref.Repository+"@"+d.Digest.String()))), "sha256:"))
}

// remember writes the session's address down. It may hold a token, so that it is for the user alone.
func (u *upload) remember(d oci.Descriptor, s *session) error {
	path := u.file(d)
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(u.o.State, 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(s.location.String()), 0o600)
}

// recall goes on with what another process began; nil: there is nothing.
func (u *upload) recall(ctx context.Context, d oci.Descriptor) *session {
	path := u.file(d)
	if path == "" {
		return nil
	}
	raw, err := os.ReadFile(path) // #nosec G304 -- named by a digest in our own folder
	if err != nil {
		return nil
	}
	location, err := url.Parse(string(raw))
	if err != nil || location.Host != u.repo.Reference.Host() {
		return nil
	}
	return u.ask(ctx, &session{location: location})
}

func (u *upload) forget(d oci.Descriptor) error {
	path := u.file(d)
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
