package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// maxEntries bounds the entries of an uploaded tar.
const maxEntries = 1000

// Tar packs a bundle folder for an upload: fairlead.yaml and the files it names, nothing else, sorted and with
// constant metadata, so that the same folder gives the same bytes. It fails as Read does.
func Tar(fsys fs.FS) ([]byte, error) {
	dir := dirFolder{fsys}
	src, err := Read(fsys)
	if err != nil {
		return nil, err
	}
	text, err := dir.read(FileName, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", FileName, err)
	}
	files := map[string][]byte{FileName: text, src.File.Model: src.Model}
	if src.ReferenceName != "" {
		files[src.ReferenceName] = src.Reference
	}
	maps.Copy(files, src.Models)
	maps.Copy(files, src.Files)
	if src.File.Card != "" {
		files[src.File.Card] = src.Card
	}
	if src.Golden != nil {
		if files[GoldenFile], err = dir.read(GoldenFile, MaxGolden); err != nil {
			return nil, fmt.Errorf("read %s: %w", GoldenFile, err)
		}
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return out.Bytes(), nil
}

// ReadTar reads the tar of a bundle folder, of at most limit bytes of files. The folder may be packed with or
// without a folder around it. It refuses paths that leave the folder, links and devices, files given twice, and more
// entries or bytes than the limits, with CodeInvalid or CodeTooLarge; then it is as Read.
func ReadTar(r io.Reader, limit int64) (*Source, error) {
	files, err := unpack(tar.NewReader(r), limit)
	if err != nil {
		return nil, err
	}
	if _, ok := files[FileName]; !ok {
		files = unwrap(files)
	}
	return readFolder(files)
}

// mapFolder is a folder in memory.
type mapFolder map[string][]byte

func (m mapFolder) read(name string, limit int64) ([]byte, error) {
	b, ok := m[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	if int64(len(b)) > limit {
		return nil, tooLarge(name, limit)
	}
	return b, nil
}

func (m mapFolder) names() []string { return slices.Sorted(maps.Keys(m)) }

func unpack(r *tar.Reader, limit int64) (mapFolder, error) {
	files := mapFolder{}
	left := limit
	for entries := 0; ; entries++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, tarError(err)
		}
		if entries == maxEntries {
			return nil, fairlead.Errorf(fairlead.CodeTooLarge, "the tar has more than %d entries", maxEntries).
				Hintf("pack only %s and the files it names", FileName)
		}
		name, err := entryName(h)
		if err != nil {
			return nil, err
		}
		if name == "" {
			continue
		}
		if _, twice := files[name]; twice {
			return nil, fairlead.Invalid("the tar holds %q twice", name)
		}
		// Checked before anything is read: the header of a sparse file can claim petabytes.
		if h.Size > left {
			return nil, fairlead.Errorf(fairlead.CodeTooLarge, "the files in the tar have more than %d bytes", limit).
				Hintf("a bundle is the model and a sample of reference data")
		}
		b, err := io.ReadAll(io.LimitReader(r, left+1))
		if err != nil {
			return nil, tarError(err)
		}
		left -= int64(len(b))
		files[name] = b
	}
	if len(files) == 0 {
		return nil, fairlead.Invalid("the tar holds no files").Hintf("it should hold %s and the files it names", FileName)
	}
	return files, nil
}

// tarError keeps errors of the transport (a body over its limit, a client gone) as they are.
func tarError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		return fairlead.Invalid("the body is not a complete tar archive").
			Hintf("send an uncompressed tar of the bundle folder (application/x-tar), or the .onnx file alone (application/octet-stream)").Cause(err)
	}
	return fmt.Errorf("read tar: %w", err)
}

// entryName is the cleaned path of a file, "" for entries that are nothing by themselves.
func entryName(h *tar.Header) (string, error) {
	name := strings.TrimPrefix(h.Name, "./")
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return "", nil
	default:
		return "", fairlead.Invalid("the tar entry %q is not a plain file", h.Name).
			Hintf("links and devices are refused; pack the file itself (tar --dereference)")
	}
	if err := checkPath("the tar entry", name); err != nil {
		return "", err
	}
	return name, nil
}

// unwrap takes away the one folder around everything, if there is one with a fairlead.yaml directly inside.
func unwrap(files mapFolder) mapFolder {
	var top string
	for name := range files {
		if path.Base(name) == FileName && strings.Count(name, "/") == 1 {
			if top != "" {
				return files
			}
			top = path.Dir(name) + "/"
		}
	}
	if top == "" {
		return files
	}
	inside := mapFolder{}
	for name, b := range files {
		if rest, ok := strings.CutPrefix(name, top); ok {
			inside[rest] = b
		}
	}
	return inside
}
