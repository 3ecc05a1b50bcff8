package app

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/check"
	"github.com/fairlead-ml/fairlead/ship/registry"
)

// Workbench tests versions on this machine, without a server.
type Workbench struct {
	// Fetch writes the export of a version that is no file here: flights@3. nil: only files and folders are known.
	Fetch func(ctx context.Context, reference string, w io.Writer) error

	limit   int64
	runtime *ort.Runtime
	tester  *tester
}

// OpenWorkbench loads the inference engine. Close it.
func OpenWorkbench(c Config) (*Workbench, error) {
	library, err := c.libraryPath()
	if err != nil {
		return nil, err
	}
	rt, err := ort.Open(library)
	if err != nil {
		return nil, err
	}
	d := &deployer{
		load: func(onnx []byte, threads int) (engine.Session, error) {
			return rt.Load(onnx, ort.Options{Threads: threads})
		},
		trees: c.Trees, log: slog.New(slog.DiscardHandler),
	}
	t := &tester{load: d.loadFastest, memory: rt.Memory, host: thisHost(rt.Version()), now: time.Now}
	return &Workbench{limit: c.MaxUpload, runtime: rt, tester: t}, nil
}

// Close frees the engine.
func (w *Workbench) Close() error { return w.runtime.Close() }

// Test runs the tests of a bundle folder, an .onnx file, a file that `fairlead models export` wrote, or a version that
// Fetch knows. in.Against is another one of these. begin, if not nil, is called before each test, at from 0.
func (w *Workbench) Test(ctx context.Context, what string, in api.TestRequest, begin func(name string, at, of int)) (api.TestReport, error) {
	c, err := w.open(ctx, what, in.Variant)
	if err != nil {
		return api.TestReport{}, err
	}
	return w.tester.test(ctx, c, w.otherThan(c, in.Against), in, begin)
}

// Verify runs the golden vectors of what Test takes.
func (w *Workbench) Verify(ctx context.Context, what, variant string) (api.Verification, error) {
	c, err := w.open(ctx, what, variant)
	if err != nil {
		return api.Verification{}, err
	}
	return w.tester.verify(ctx, c)
}

// otherThan finds what a test compares with: against, whatever the test says, else the server's version of that name.
func (w *Workbench) otherThan(c *candidate, against string) other {
	return func(ctx context.Context, version string) (*candidate, error) {
		what := against
		if what == "" {
			if w.Fetch == nil {
				return nil, nil
			}
			what = string(c.file.Name) + ":" + version
			if _, err := fairlead.ParseVersion(version); err == nil {
				what = string(c.file.Name) + "@" + version
			}
		}
		o, err := w.open(ctx, what, "")
		switch {
		case against == "" && fairlead.CodeOf(err) == fairlead.CodeNotFound:
			return nil, nil
		case err != nil:
			return nil, err
		case o.report.Digest != "" && o.report.Digest == c.report.Digest:
			return nil, nil
		}
		return o, nil
	}
}

// NamesFile says whether what a user named can only be a file or a folder, and no version on a server.
func NamesFile(what string) bool {
	return strings.ContainsRune(what, filepath.Separator) || slices.Contains([]string{".onnx", ".tar"}, filepath.Ext(what))
}

// open reads what the user named.
func (w *Workbench) open(ctx context.Context, what, variant string) (*candidate, error) {
	info, err := os.Stat(what)
	switch {
	case errors.Is(err, fs.ErrNotExist) && w.Fetch != nil && !NamesFile(what):
		var b bytes.Buffer
		if err := w.Fetch(ctx, what, &b); err != nil {
			return nil, err
		}
		return w.sealed(ctx, what, &b, variant)
	case err != nil:
		return nil, fairlead.NotFound("there is no file or folder %s", what).
			Hintf("name a bundle folder, an .onnx file, a file that `fairlead models export` wrote, or a version on the server: flights@3").Cause(err)
	case info.IsDir():
		return w.folder(what, variant)
	case info.Size() > w.limit:
		return nil, fairlead.Errorf(fairlead.CodeTooLarge, "%s has %d bytes, the limit is %d", what, info.Size(), w.limit)
	}
	content, err := os.ReadFile(what) // #nosec G304 -- named by the user
	if err != nil {
		return nil, err
	}
	isTar, layout := kindOfTar(content)
	switch {
	case layout:
		return w.sealed(ctx, what, bytes.NewReader(content), variant)
	case isTar:
		src, err := bundle.ReadTar(bytes.NewReader(content), w.limit)
		if err != nil {
			return nil, err
		}
		return w.source(what, src, nil, variant)
	}
	name, err := fairlead.ParseName(strings.ToLower(strings.TrimSuffix(filepath.Base(what), filepath.Ext(what))))
	if err != nil {
		name = "model"
	}
	return w.source(what, bundle.FromModel(name, content), nil, variant)
}

// kindOfTar says whether a file is a tar, and whether it holds an OCI image layout.
func kindOfTar(b []byte) (isTar, layout bool) {
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if err != nil {
			return isTar, false
		}
		isTar = true
		if filepath.Base(h.Name) == "oci-layout" {
			return true, true
		}
	}
}

func (w *Workbench) folder(dir, variant string) (*candidate, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // opened for reading
	src, err := bundle.Read(root.FS())
	if err != nil {
		return nil, err
	}
	settings, err := root.ReadFile(bundle.FileName)
	if err != nil {
		return nil, err
	}
	suite, err := check.ParseFile(settings) // with lines, which the bundle has not kept
	if err != nil {
		return nil, err
	}
	return w.source(dir, src, suite, variant)
}

// source is a version that is not sealed: its signature is that of its graph and its file.
func (w *Workbench) source(what string, src *bundle.Source, suite check.Suite, variant string) (*candidate, error) {
	c := &candidate{
		report: api.TestReport{Subject: what, Model: string(src.File.Name)}, file: src.File, suite: suite, graph: src.Model,
		refName: src.ReferenceName, ref: src.Reference, golden: src.Golden,
	}
	variants, graphs, base := src.Variants()
	for i, v := range variants {
		if c.size += int64(len(graphs[i])); v.Name == variant || variant == "" && i == base {
			c.graph, c.report.Variant = graphs[i], v.Name
		}
	}
	if variant != "" && c.report.Variant != variant {
		return nil, fairlead.NotFound("%s has no variant %q", what, variant)
	}
	session, err := w.runtime.Load(c.graph, ort.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = session.Close() }()
	if c.sig, _, err = bundle.Merge(session.Signature(), src.File); err != nil {
		return nil, err
	}
	c.size += int64(len(src.Reference) + len(src.Card))
	for name, content := range src.Files {
		c.size += int64(len(content))
		if slices.Contains(evaluationSets, name) {
			c.refName, c.ref = name, content
		}
	}
	if c.golden != nil { // what has no outputs yet gets them at a push
		g := *c.golden
		g.Cases = slices.DeleteFunc(slices.Clone(g.Cases), func(x bundle.GoldenCase) bool { return len(x.Outputs) == 0 })
		c.golden = &g
	}
	return c, nil
}

// sealed is the one version in an exported file, every blob of which is verified on the way.
func (w *Workbench) sealed(ctx context.Context, what string, file io.Reader, variant string) (*candidate, error) {
	dir, err := os.MkdirTemp("", "fairlead-check-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r, err := registry.Open(dir, &records{values: map[string]record{}})
	if err != nil {
		return nil, err
	}
	in, err := r.Import(ctx, file, "", w.limit, w.tester.now(), nil)
	if err != nil {
		return nil, err
	}
	if len(in) != 1 {
		return nil, fairlead.Invalid("%s holds %d versions", what, len(in)).Hintf("export one: fairlead models export flights@3")
	}
	b, err := r.OpenFor(ctx, in[0].Digest, variant, w.tester.host)
	if err != nil {
		return nil, err
	}
	c, err := candidateOf(b, what)
	if err == nil {
		c.report.Model, c.report.Version, c.size = string(in[0].Model), in[0].From, in[0].Size
	}
	return c, err
}

// records is a registry's store for as long as one file is read.
type records struct {
	mu     sync.Mutex
	values map[string]record
}

type record struct {
	value    []byte
	revision uint64
}

// Get implements registry.KV.
func (r *records) Get(_ context.Context, key string) ([]byte, uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.values[key].value, r.values[key].revision, nil
}

// Put implements registry.KV.
func (r *records) Put(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values[key].revision != revision {
		return 0, fairlead.Errorf(fairlead.CodeConflict, "%s was changed by somebody else", key)
	}
	r.values[key] = record{bytes.Clone(value), revision + 1}
	return revision + 1, nil
}

// Keys implements registry.KV.
func (r *records) Keys(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []string
	for k := range r.values {
		keys = append(keys, k)
	}
	return keys, nil
}

// CheckVerification is the error of a host that does not give a version's golden answers; nil where it does.
func CheckVerification(v api.Verification) error { return hostRefuses(v) }

// CheckTests is the error that refuses a version for its tests; nil where none fails.
func CheckTests(r api.TestReport) error {
	if r.OK {
		return nil
	}
	return fmt.Errorf("%s fails %d of its %d tests", r.Subject, r.Failed, len(r.Results))
}
