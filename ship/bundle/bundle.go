// Package bundle is one model version as content: the graph, its signature, what the author says about it
// (fairlead.yaml), the reference profile, golden vectors, tests, the model card and, if small, the reference data. It comes in
// one or more variants (fp32, int8): an OCI image index lists a ModelPack manifest for each. A bundle's version is the digest
// of that index, so the same content has the same digest everywhere. The package does no I/O of its own.
//
// On the way in: Read or ReadTar or FromModel give a Source; the engine reads the graph's signature from its model;
// Merge joins that with the File; CheckReference and Inputs tie the reference table to the signature; Seal makes the
// Bundle.
package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// Limits on the files of a bundle folder, in bytes.
const (
	MaxModel     = 2<<30 - 1 // what one protobuf message can hold
	MaxReference = 1 << 30
	MaxCard      = 1 << 20
	MaxFile      = 256 << 20 // of those under files
)

// cards are the names under which a model card is looked for where fairlead.yaml names none.
var cards = []string{"README.md", "MODEL_CARD.md", "card.md"}

// Source is what a bundle is made from: the content of a bundle folder. Its slices are kept by whatever is made of it.
type Source struct {
	File          *File
	Model         []byte            // the .onnx file; with variants, that of the one which gives the golden answers
	Models        map[string][]byte // the other variants' files, by path
	ReferenceName string            // file name; empty without reference data
	Reference     []byte
	Metrics       map[string]float64 // the model's on the reference data; nil without labels in them
	Golden        *Golden            // of golden.json; nil without one
	Card          []byte             // the model card; empty without one
	Files         map[string][]byte  // by path
}

// FromModel is the source of a bare .onnx file.
func FromModel(name fairlead.Name, onnx []byte) *Source {
	return &Source{File: NewFile(name), Model: onnx}
}

// Read reads a bundle folder: fairlead.yaml and the files it names. An error is CodeInvalid, CodeNotFound or
// CodeTooLarge and says which file is meant. Links are fsys's business: os.OpenRoot(dir).FS() follows none that leave
// the folder.
func Read(fsys fs.FS) (*Source, error) {
	return readFolder(dirFolder{fsys})
}

// folder is where the files of a bundle are.
type folder interface {
	read(name string, limit int64) ([]byte, error) // fs.ErrNotExist; CodeTooLarge
	names() []string                               // for messages; paths of files, not complete in a deep folder
}

func readFolder(dir folder) (*Source, error) {
	text, err := dir.read(FileName, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		e := fairlead.NotFound("the bundle folder has no %s; it holds %s", FileName, list(dir.names()))
		if onnx := withSuffix(dir.names(), ".onnx"); len(onnx) > 0 {
			return nil, e.Hintf("push %s itself, or add a %s with at least its name", onnx[0], FileName)
		}
		return nil, e.Hintf("add a %s with at least a line such as name: flights", FileName)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", FileName, err)
	}
	f, err := ParseFile(text)
	if err != nil {
		return nil, err
	}
	src := &Source{File: f}
	if src.Model, err = readNamed(dir, "model", f.Model, MaxModel, ".onnx"); err != nil {
		return nil, err
	}
	if f.Reference.File != "" {
		src.ReferenceName = f.Reference.File
		src.Reference, err = readNamed(dir, "reference", f.Reference.File, MaxReference, ".parquet", ".csv")
	}
	if err != nil {
		return nil, err
	}
	if err := src.readMore(dir); err != nil {
		return nil, err
	}
	text, err = dir.read(GoldenFile, MaxGolden)
	if errors.Is(err, fs.ErrNotExist) {
		return src, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", GoldenFile, err)
	}
	if src.Golden, err = ParseGolden(text); err != nil {
		return nil, err
	}
	return src, nil
}

// readMore reads the other variants, the card and the files that fairlead.yaml lists.
func (src *Source) readMore(dir folder) error {
	f := src.File
	for _, v := range f.Variants {
		if v.Model == f.Model {
			continue
		}
		graph, err := readNamed(dir, "model", v.Model, MaxModel, ".onnx")
		if err != nil {
			return err
		}
		if src.Models == nil {
			src.Models = map[string][]byte{}
		}
		src.Models[v.Model] = graph
	}
	for _, name := range f.Files {
		content, err := readNamed(dir, "files", name, MaxFile, path.Ext(name))
		if err != nil {
			return err
		}
		if src.Files == nil {
			src.Files = map[string][]byte{}
		}
		src.Files[name] = content
	}
	return src.readCard(dir)
}

// readCard reads the model card that fairlead.yaml names, or one under a usual name.
func (src *Source) readCard(dir folder) (err error) {
	if src.File.Card != "" {
		src.Card, err = readNamed(dir, "card", src.File.Card, MaxCard, ".md")
		return err
	}
	for _, name := range cards {
		text, err := dir.read(name, MaxCard)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the model card %s: %w", name, err)
		}
		src.File.Card, src.Card = name, text
		return nil
	}
	return nil
}

// variants are those of the file, or the one that a file without any has, called by its precision.
func (src *Source) variants() []VariantFile {
	if len(src.File.Variants) > 0 {
		return src.File.Variants
	}
	return []VariantFile{{Name: short(ReadWeights(src.Model).Precision()), Model: src.File.Model}}
}

// graph is the content of a variant's file.
func (src *Source) graph(v VariantFile) []byte {
	if v.Model == src.File.Model {
		return src.Model
	}
	return src.Models[v.Model]
}

// Variants lists the graphs of a source with their content, in order of preference, and the place of the one that gives
// the golden answers.
func (src *Source) Variants() (variants []VariantFile, graphs [][]byte, base int) {
	variants = src.variants()
	graphs = make([][]byte, len(variants))
	for i, v := range variants {
		graphs[i] = src.graph(v)
		if v.Model == src.File.Model {
			base = i
		}
	}
	return variants, graphs, base
}

// readNamed reads a file that fairlead.yaml names under key; suffixes find what may have been meant.
func readNamed(dir folder, key, name string, limit int64, suffixes ...string) ([]byte, error) {
	b, err := dir.read(name, limit)
	if errors.Is(err, fs.ErrNotExist) {
		e := fairlead.NotFound("%s %q is not in the bundle folder", key, name)
		if like := withSuffix(dir.names(), suffixes...); len(like) > 0 {
			return nil, e.Hintf("it holds %s: name that one in %s as %s", list(like), FileName, key)
		}
		return nil, e.Hintf("the folder holds %s", list(dir.names()))
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", key, name, err)
	}
	if len(b) == 0 {
		return nil, fairlead.Invalid("%s %q is empty", key, name)
	}
	return b, nil
}

func withSuffix(names []string, suffixes ...string) []string {
	var out []string
	for _, n := range names {
		if slices.ContainsFunc(suffixes, func(s string) bool { return strings.EqualFold(path.Ext(n), s) }) {
			out = append(out, n)
		}
	}
	return out
}

// dirFolder is a folder in a file system.
type dirFolder struct{ fsys fs.FS }

func (d dirFolder) read(name string, limit int64) (b []byte, err error) {
	f, err := d.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fairlead.Invalid("%s is not a plain file", name)
	}
	if info.Size() > limit {
		return nil, tooLarge(name, limit)
	}
	// The size is what the file says of itself; one that grows meanwhile must not pass the limit either.
	var buf bytes.Buffer
	buf.Grow(int(info.Size()) + bytes.MinRead)
	if _, err = buf.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, err
	}
	if int64(buf.Len()) > limit {
		return nil, tooLarge(name, limit)
	}
	return buf.Bytes(), nil
}

func tooLarge(name string, limit int64) error {
	return fairlead.Errorf(fairlead.CodeTooLarge, "%s is larger than the limit of %d bytes", name, limit)
}

func (d dirFolder) names() []string {
	var names []string
	_ = fs.WalkDir(d.fsys, ".", func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil || len(names) > 100:
			return fs.SkipAll
		case e.IsDir() && strings.Count(p, "/") > 1:
			return fs.SkipDir
		case !e.IsDir():
			names = append(names, p)
		}
		return nil
	})
	return names
}
