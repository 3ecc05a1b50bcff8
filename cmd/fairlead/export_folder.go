package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// spooled is content on its way to a target: a file without the name that it will have.
type spooled struct {
	file *os.File
	size int64
	hash hash.Hash
	head [4]byte
	tail [4]byte
}

// spoolPrefix begins the names of spooled files. Readers of partitioned folders pass over names with a dot.
const spoolPrefix = ".fairlead-export-"

// staleSpool is when a spooled file that nobody has written to is one that a killed export left.
const staleSpool = time.Hour

func newSpooled(dir string) (*spooled, error) {
	f, err := os.CreateTemp(dir, spoolPrefix+"*")
	if err != nil {
		return nil, cannotWrite(dir, err)
	}
	return &spooled{file: f, hash: sha256.New()}, nil
}

func (s *spooled) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	for i, b := range p[:min(n, 4)] {
		if at := s.size + int64(i); at < 4 {
			s.head[at] = b
		}
	}
	for _, b := range p[max(0, n-4):n] {
		copy(s.tail[:], s.tail[1:])
		s.tail[3] = b
	}
	s.size += int64(n)
	s.hash.Write(p[:n])
	if err != nil {
		return n, cannotWrite(filepath.Dir(s.file.Name()), err)
	}
	return n, nil
}

func (s *spooled) digest() string { return hex.EncodeToString(s.hash.Sum(nil)) }

// drop gives the file up, if it was not put anywhere.
func (s *spooled) drop() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}

// folderTarget is a folder of this machine.
type folderTarget struct {
	dir  string
	root *os.Root
}

func openFolder(dir string) (*folderTarget, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- data for others to read
		return nil, cannotWrite(dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, cannotWrite(dir, err)
	}
	left, err := filepath.Glob(filepath.Join(root.Name(), spoolPrefix+"*"))
	if err != nil {
		left = nil // a folder's name that is a bad pattern
	}
	for _, name := range left {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > staleSpool {
			_ = os.Remove(name) // of a killed export; the next one tries again
		}
	}
	return &folderTarget{dir, root}, nil
}

func (t *folderTarget) String() string { return t.dir }

func (t *folderTarget) close() { _ = t.root.Close() }

func (t *folderTarget) list(_ context.Context, folder string) (map[string]int64, error) {
	sizes := make(map[string]int64)
	err := fs.WalkDir(t.root.FS(), folder, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sizes[path] = info.Size()
		}
		return err
	})
	if err != nil {
		return nil, fairlead.Invalid("%s cannot be read", filepath.Join(t.dir, folder)).Hintf("%v", err).Cause(err)
	}
	return sizes, nil
}

func (t *folderTarget) digest(_ context.Context, path string) (string, error) {
	f, err := t.root.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

// spool is on the same disk as what it will become.
func (t *folderTarget) spool() (*spooled, error) { return newSpooled(t.dir) }

func (t *folderTarget) put(_ context.Context, s *spooled, name string) error {
	folder := path.Dir(name)
	if err := t.root.MkdirAll(folder, 0o755); err != nil {
		return cannotWrite(t.dir, err)
	}
	for _, step := range []func() error{
		func() error { return s.file.Chmod(0o644) }, // #nosec G302 -- data for others to read
		s.file.Sync, s.file.Close,
		func() error { return t.root.Rename(filepath.Base(s.file.Name()), name) },
		func() error { return syncFolder(t.root, folder) },
	} {
		if err := step(); err != nil {
			return cannotWrite(t.dir, err)
		}
	}
	return nil
}

// syncFolder makes names last; a file system that cannot is left as it is.
func syncFolder(root *os.Root, folder string) error {
	d, err := root.Open(folder)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // opened for reading
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}

func (t *folderTarget) read(_ context.Context, path string) ([]byte, error) {
	b, err := t.root.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

func (t *folderTarget) remove(_ context.Context, path string) error {
	if err := t.root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cannotWrite(t.dir, err)
	}
	return nil
}

// cannotWrite says why a folder takes no file.
func cannotWrite(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fairlead.Errorf(fairlead.CodeExhausted, "the disk of %s is full", dir).
			Hintf("make room and run the same command again: it goes on from there").Cause(err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fairlead.Invalid("%s cannot be written to", dir).Hintf("%s", strings.TrimSpace(err.Error())).Cause(err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fairlead.Invalid("%s is no folder", dir).Hintf("name a folder to write to; it is made if it does not exist").Cause(err)
	}
	return fairlead.Errorf(fairlead.CodeInternal, "write to %s: %v", dir, err).Cause(err)
}
