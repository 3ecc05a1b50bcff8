package app

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/pipeline"
)

// pipelineFiles is the folder of a pipeline in memory, by path.
type pipelineFiles map[string]pipelineFile

type pipelineFile struct {
	content []byte
	program bool // may be executed
}

// maxPipelineFiles bounds the files of one folder.
const maxPipelineFiles = 1000

// readPipelineTar takes a folder's tar apart, with or without a folder around it. Links, devices and paths that leave the
// folder are refused. Errors are CodeInvalid or CodeTooLarge.
func readPipelineTar(body []byte, limit int64) (pipelineFiles, error) {
	files := pipelineFiles{}
	r := tar.NewReader(bytes.NewReader(body))
	left := limit
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fairlead.Invalid("the body is not a complete tar archive").
				Hintf("send an uncompressed tar of the pipeline's folder: `fairlead pipeline push FOLDER` does").Cause(err)
		}
		if h.Typeflag == tar.TypeDir || h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		name := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(filepath.FromSlash(name)) || strings.Contains(name, `\`) {
			return nil, fairlead.Invalid("the tar has %q, which is not a file in its folder", h.Name)
		}
		if _, twice := files[name]; twice || len(files) == maxPipelineFiles {
			return nil, fairlead.Invalid("the tar has %q twice, or more than %d files", name, maxPipelineFiles)
		}
		if h.Size > left { // before anything is read: a header can claim anything
			return nil, fairlead.Errorf(fairlead.CodeTooLarge, "the files in the tar have more than %d bytes", limit)
		}
		content, err := io.ReadAll(io.LimitReader(r, h.Size))
		if err != nil {
			return nil, fairlead.Invalid("the body is not a complete tar archive").Cause(err)
		}
		left -= int64(len(content))
		files[name] = pipelineFile{content, h.Mode&0o100 != 0}
	}
	if _, ok := files[pipeline.FileName]; !ok {
		files = files.unwrapped()
	}
	if _, ok := files[pipeline.FileName]; !ok {
		return nil, fairlead.Invalid("the folder has no %s", pipeline.FileName).Hintf("docs/pipelines.md describes it")
	}
	return files, nil
}

// unwrapped takes away the one folder that everything is in.
func (f pipelineFiles) unwrapped() pipelineFiles {
	out := pipelineFiles{}
	folder := ""
	for name, file := range f {
		first, rest, in := strings.Cut(name, "/")
		if !in || folder != "" && folder != first {
			return f
		}
		folder = first
		out[rest] = file
	}
	return out
}

// packed is the folder as a tar that is the same for the same files, and its digest.
func (f pipelineFiles) packed() ([]byte, fairlead.Digest, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		mode := int64(0o644)
		if f[name].program {
			mode = 0o755
		}
		h := &tar.Header{Name: name, Mode: mode, Size: int64(len(f[name].content)), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, "", fmt.Errorf("pack %s: %w", name, err)
		}
		if _, err := w.Write(f[name].content); err != nil {
			return nil, "", fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return out.Bytes(), digestOf(out.Bytes()), nil
}

func digestOf(b []byte) fairlead.Digest {
	sum := sha256.Sum256(b)
	return fairlead.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// unpack writes the folder to dir.
func (f pipelineFiles) unpack(dir string) error {
	for name, file := range f {
		target := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if file.program {
			mode = 0o755
		}
		if err := os.WriteFile(target, file.content, mode); err != nil {
			return err
		}
	}
	return nil
}

// blobPath is where a folder with that digest rests.
func (p *pipelines) blobPath(d fairlead.Digest) string {
	return filepath.Join(p.dir, strings.TrimPrefix(string(d), "sha256:")+".tar")
}

// keep writes a folder, whole or not at all: it is on disk when the answer comes.
func (p *pipelines) keep(d fairlead.Digest, body []byte) error {
	if p.remote != nil {
		if err := p.remote.Put(context.Background(), d, body); err != nil {
			return fmt.Errorf("store the pipeline: %w", err)
		}
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	file, err := os.CreateTemp(p.dir, "new-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // it has another name when all went well
	_, err = file.Write(body)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return fmt.Errorf("store the pipeline: %w", err)
	}
	if err := os.Rename(file.Name(), p.blobPath(d)); err != nil {
		return err
	}
	folder, err := os.Open(p.dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// fetch reads a folder and checks it against its digest.
func (p *pipelines) fetch(d fairlead.Digest) (pipelineFiles, error) {
	body, err := os.ReadFile(p.blobPath(d))
	if errors.Is(err, fs.ErrNotExist) && p.remote != nil { // it was pushed to another server
		body, err = p.remote.Get(context.Background(), d)
	}
	if err != nil {
		return nil, err
	}
	if got := digestOf(body); got != d {
		return nil, fairlead.Errorf(fairlead.CodeInternal, "the stored folder of the pipeline is damaged: its digest is %s, not %s", got.Short(), d.Short()).
			Hintf("push it again")
	}
	return readPipelineTar(body, int64(len(body)))
}
