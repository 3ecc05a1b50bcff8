package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// blobs is the content of an OCI image layout on disk. A blob that is visible under its name is whole: it is written
// beside, synced, and renamed.
type blobs struct {
	dir    string
	remote Remote // nil: this disk is all there is
}

func (s blobs) path(d fairlead.Digest) string {
	return filepath.Join(s.dir, "blobs", "sha256", strings.TrimPrefix(string(d), "sha256:"))
}

// layoutMark is the content of oci-layout.
const layoutMark = `{"imageLayoutVersion":"1.0.0"}`

// isLayout says whether b is that mark, in whatever white space.
func isLayout(b []byte) bool {
	var plain bytes.Buffer
	return json.Compact(&plain, b) == nil && plain.String() == layoutMark
}

const emptyIndex = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`

func (s blobs) temp() string { return filepath.Join(s.dir, "tmp") }

// open makes the layout and removes what a crash left half-written.
func (s blobs) open() error {
	if err := os.RemoveAll(s.temp()); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(s.path("")), filepath.Join(s.dir, "blobs", "sha256"), s.temp()} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	layout := filepath.Join(s.dir, "oci-layout")
	got, err := os.ReadFile(layout) // #nosec G304 -- a fixed name in our own folder
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// An image layout without an index is not one.
		if err := s.replace(filepath.Join(s.dir, "index.json"), []byte(emptyIndex)); err != nil {
			return err
		}
		return s.replace(layout, []byte(layoutMark))
	case err != nil:
		return err
	case !isLayout(got):
		return fairlead.Invalid("%s is not an OCI image layout: its oci-layout file says %.60q", s.dir, got).
			Hintf("if it is one, and the file is damaged, it should say %s", layoutMark)
	}
	return nil
}

// put stores content under its digest. What is there already is verified and, if damaged, replaced; it counts as new.
func (s blobs) put(d fairlead.Digest, content []byte) error {
	if err := s.send(d, content); err != nil {
		return err
	}
	ok, err := s.whole(d)
	if err != nil {
		return err
	}
	if ok {
		now := time.Now()
		return os.Chtimes(s.path(d), now, now)
	}
	return s.replace(s.path(d), content)
}

// whole says whether the blob is there and its bytes have its digest.
func (s blobs) whole(d fairlead.Digest) (ok bool, err error) {
	f, err := os.Open(s.path(d))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return "sha256:"+hex.EncodeToString(h.Sum(nil)) == string(d), nil
}

// read gives a blob whose bytes are verified, at most limit of them. The error names blob and file.
func (s blobs) read(b bundle.Blob, limit int64) ([]byte, error) {
	path := s.path(b.Digest)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && s.remote != nil {
		if err = s.fetch(b, limit); err == nil {
			info, err = os.Stat(path)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fairlead.Errorf(fairlead.CodeInternal, "blob %s (%s) is missing from the registry", b.Digest, b.Name).
			Hintf("restore %s from a backup, or push the same bundle again", path).Cause(err)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s (%s): %w", b.Digest, b.Name, err)
	}
	if info.Size() > limit {
		return nil, fairlead.Errorf(fairlead.CodeInternal, "blob %s (%s) is damaged: it has %d bytes, at most %d were sealed", b.Digest, b.Name, info.Size(), limit).
			Hintf("the file is %s", path)
	}
	content, err := os.ReadFile(path) // #nosec G304 -- named by a digest in our own folder
	if err != nil {
		return nil, fmt.Errorf("blob %s (%s): %w", b.Digest, b.Name, err)
	}
	if b.Size < 0 {
		b.Size = int64(len(content))
	}
	if err := bundle.Verify(b, content); err != nil {
		var e *fairlead.Error
		if errors.As(err, &e) {
			return nil, e.Hintf("the file is %s; restore it from a backup, or push the same bundle again", path)
		}
		return nil, err
	}
	return content, nil
}

// replace writes a file so that it is either as before or whole, whatever happens: a temporary file, synced, renamed,
// and the folder synced so that the rename itself survives a power cut.
func (s blobs) replace(path string, content []byte) (err error) {
	f, err := os.CreateTemp(s.temp(), "*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir) // #nosec G304 -- our own folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
