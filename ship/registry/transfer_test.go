package registry_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/ship/registry/registrytest"
)

func exported(t testing.TB, r *registry.Registry, model fairlead.Name) string {
	t.Helper()
	m, err := r.Model(context.Background(), model)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.Export(context.Background(), &out, m.Kept()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A model goes through a file into another registry: the same digests, aliases and signatures, byte for byte.
func TestExportImport(t *testing.T) {
	_, r, _ := stocked(t)
	file := exported(t, r, "flights")
	if again := exported(t, r, "flights"); again != file {
		t.Error("the same versions give other bytes")
	}
	var names []string
	for tr := tar.NewReader(strings.NewReader(file)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || h.Mode != 0o644 || !h.ModTime.IsZero() && h.ModTime.Unix() != 0 || h.Uid != 0 {
			t.Fatalf("%+v, %v", h, err)
		}
		names = append(names, h.Name)
	}
	if names[0] != "oci-layout" || names[1] != "index.json" || !slices.IsSorted(names[2:]) {
		t.Errorf("%q", names)
	}
	dir, kv := t.TempDir(), &registrytest.KV{}
	other := open(t, dir, kv)
	if _, _, err := other.Add(t.Context(), "copy", registrytest.Bundle(t, "flights", 77), now, "mine"); err != nil {
		t.Fatal(err)
	}
	admitted := 0
	in, err := other.Import(t.Context(), strings.NewReader(file), "copy", 1<<20, now, func(_ context.Context, b *bundle.Bundle) error {
		admitted++
		return nil
	})
	if err != nil || admitted != 2 {
		t.Fatal(err, admitted)
	}
	var got []string
	for _, v := range in {
		got = append(got, fmt.Sprintf("%s@%d was %d %v %v attached %d", v.Model, v.Version, v.From, v.Existing, v.Aliases, len(v.Attached)))
	}
	want := []string{"copy@2 was 1 false [] attached 0", "copy@3 was 2 false [champion] attached 1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	a, err := r.Resolve(t.Context(), "flights", "2")
	if err != nil {
		t.Fatal(err)
	}
	b, err := other.Resolve(t.Context(), "copy", "champion")
	if err != nil || a.Digest != b.Digest {
		t.Errorf("%s became %s, %v", a.Digest, b.Digest, err)
	}
	one, err := r.Attachments(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := other.Attachments(t.Context(), b)
	if d := cmp.Diff(one, two); err != nil || d != "" || len(two) != 1 {
		t.Error(d, err)
	}
	sound(t, other)
	again, err := other.Import(t.Context(), strings.NewReader(file), "copy", 1<<20, now, nil)
	if err != nil || !again[0].Existing || !again[1].Existing || again[1].Aliases != nil {
		t.Errorf("once more: %+v, %v", again, err)
	}
	named, err := other.Import(t.Context(), strings.NewReader(file), "", 1<<20, now, nil)
	if err != nil || named[0].Model != "flights" || named[0].Version != 1 {
		t.Errorf("under its own name: %+v, %v", named, err)
	}
	sound(t, open(t, dir, kv))
}

// A damaged version is not exported, a version that is not welcome is not imported.
func TestTransferRefuses(t *testing.T) {
	dir, r, _ := stocked(t)
	file := exported(t, r, "flights")
	e, err := r.Resolve(t.Context(), "flights", "1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blobPath(dir, bundle.DigestOf([]byte("graph 0"))), []byte("graph O"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.Export(t.Context(), &out, []registry.Entry{e}); err == nil || !strings.Contains(err.Error(), "(model.onnx) is damaged") || out.Len() > 0 {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
	if err := r.Verify(t.Context(), e); err == nil {
		t.Error("verified")
	}
	other := open(t, t.TempDir(), &registrytest.KV{})
	no := errors.New("not that one")
	if _, err := other.Import(t.Context(), strings.NewReader(file), "", 1<<20, now, func(context.Context, *bundle.Bundle) error { return no }); !errors.Is(err, no) {
		t.Error(err)
	}
	if models, err := other.List(t.Context()); err != nil || len(models) != 0 {
		t.Errorf("%+v, %v", models, err)
	}
}

type tarEntry struct {
	name, content string
	kind          byte
	link          string
}

func tarFile(t testing.TB, entries []tarEntry) string {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		if err := w.WriteHeader(&tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Size: int64(len(e.content)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func entriesOf(t testing.TB, file string) []tarEntry {
	t.Helper()
	var out []tarEntry
	for tr := tar.NewReader(strings.NewReader(file)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tarEntry{name: h.Name, content: string(b)})
	}
}

func TestImportBad(t *testing.T) {
	_, r, _ := stocked(t)
	good := entriesOf(t, exported(t, r, "flights"))
	with := func(change func([]tarEntry) []tarEntry) string { return tarFile(t, change(slices.Clone(good))) }
	edit := func(old, new string) string {
		return with(func(es []tarEntry) []tarEntry {
			es[1].content = strings.Replace(es[1].content, old, new, 1)
			return es
		})
	}
	for what, c := range map[string]struct{ file, want string }{
		"nothing":   {"", "it has no oci-layout"},
		"text":      {strings.Repeat("hello", 300), "not a complete tar"},
		"cut":       {tarFile(t, good)[:2000], "not a complete tar"},
		"no layout": {with(func(es []tarEntry) []tarEntry { return es[1:] }), "it has no oci-layout"},
		"no index":  {with(func(es []tarEntry) []tarEntry { return append(es[:1:1], es[2:]...) }), "it has no index.json"},
		"no blob":   {with(func(es []tarEntry) []tarEntry { return es[:len(es)-1] }), "it lacks the blob|which is not in it"},
		"layout":    {with(func(es []tarEntry) []tarEntry { es[0].content = "{}"; return es }), `its oci-layout says "{}"`},
		"flipped": {with(func(es []tarEntry) []tarEntry {
			es[5].content = "X" + es[5].content[1:]
			return es
		}), "in the file is damaged"},
		"longer":   {with(func(es []tarEntry) []tarEntry { es[5].content += "x"; return es }), "in the file is damaged"},
		"twice":    {with(func(es []tarEntry) []tarEntry { return append(es, es[4]) }), "is there twice"},
		"up":       {with(func(es []tarEntry) []tarEntry { return append(es, tarEntry{name: "../x"}) }), `"../x" has no place in one`},
		"blob up":  {with(func(es []tarEntry) []tarEntry { return append(es, tarEntry{name: "blobs/sha256/../../x"}) }), "has no place in one"},
		"absolute": {with(func(es []tarEntry) []tarEntry { return append(es, tarEntry{name: "/etc/passwd"}) }), "has no place in one"},
		"link": {with(func(es []tarEntry) []tarEntry {
			return append(es, tarEntry{name: "blobs/sha256/x", kind: tar.TypeSymlink, link: "/etc/passwd"})
		}), "is not a plain file"},
		"blob name": {with(func(es []tarEntry) []tarEntry { return append(es, tarEntry{name: "blobs/sha256/beef"}) }), "is not the name of a blob"},
		"other":     {with(func(es []tarEntry) []tarEntry { return append(es, tarEntry{name: "README"}) }), `"README" has no place in one`},
		"index":     {edit(`"schemaVersion":2`, `"schemaVersion":1`), "its index.json is none"},
		"no such":   {edit(`"digest":"sha256:`, `"digest":"sha256:0`), "which is not in it"},
		"empty index": {with(func(es []tarEntry) []tarEntry {
			es[1].content = `{"schemaVersion":2,"manifests":[]}`
			return es
		}), "it holds no version of a model"},
		"large": {with(func(es []tarEntry) []tarEntry {
			return append(es, tarEntry{name: "x", content: strings.Repeat("x", 1<<20)})
		}), "more than 1048576 bytes"},
	} {
		dir, kv := t.TempDir(), &registrytest.KV{}
		in := open(t, dir, kv)
		_, err := in.Import(t.Context(), strings.NewReader(c.file), "", 1<<20, now, nil)
		code := fairlead.CodeOf(err)
		if code != fairlead.CodeInvalid && code != fairlead.CodeTooLarge || !slices.ContainsFunc(strings.Split(c.want, "|"), func(w string) bool { return strings.Contains(err.Error(), w) }) {
			t.Errorf("%s: %v (%s); want %s", what, err, code, c.want)
		}
		if models, err := in.List(t.Context()); err != nil || len(models) != 0 {
			t.Errorf("%s: %+v is stored, %v", what, models, err)
		}
		for _, f := range files(t, dir) {
			if strings.HasPrefix(f, filepath.Join(dir, "tmp")+"/") {
				t.Errorf("%s: %s is left", what, f)
			}
		}
	}
	if _, err := r.Import(t.Context(), strings.NewReader(tarFile(t, good)), "Upper", 1<<20, now, nil); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Error(err)
	}
}

func FuzzImport(f *testing.F) {
	dir := f.TempDir()
	r, err := registry.Open(dir, &registrytest.KV{})
	if err != nil {
		f.Fatal(err)
	}
	if _, _, err := r.Add(context.Background(), "flights", registrytest.Bundle(f, "flights", 1), now, "champion"); err != nil {
		f.Fatal(err)
	}
	file := exported(f, r, "flights")
	f.Add([]byte(file))
	f.Add([]byte(file)[:3000])
	f.Add([]byte(tarFile(f, []tarEntry{{name: "oci-layout", content: `{"imageLayoutVersion":"1.0.0"}`}, {name: "index.json", content: `{"schemaVersion":2,"manifests":[{}]}`}})))
	// One registry for all: a fresh one each time costs more than what is tested.
	in, err := registry.Open(f.TempDir(), &registrytest.KV{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := in.Import(t.Context(), bytes.NewReader(b), "", 1<<20, now, nil)
		if err != nil {
			return
		}
		for _, v := range got {
			if _, err := in.Open(t.Context(), v.Digest); err != nil {
				t.Fatalf("imported, and does not open: %v", err)
			}
		}
	})
}

// A line of descent: a student distilled from a quantised model, over two models and a removed version.
func TestLineage(t *testing.T) {
	r := open(t, t.TempDir(), &registrytest.KV{})
	ctx := t.Context()
	add := func(name fairlead.Name, l bundle.Lineage) registry.Entry {
		t.Helper()
		src := bundle.FromModel(name, fmt.Appendf(nil, "graph %v", l))
		src.File.Lineage = l
		b, err := bundle.Seal(src, fairlead.Signature{}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := r.Add(ctx, name, b, now, "")
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	pin := func(ref string) string {
		t.Helper()
		s, err := r.Pin(ctx, ref)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	teacher := add("teacher", bundle.Lineage{TrainedOn: []string{"flights-2000", "flights-1999"}})
	small := add("teacher", bundle.Lineage{QuantizedFrom: pin("teacher@1")})
	student := add("student", bundle.Lineage{DistilledFrom: pin("teacher"), TrainedOn: []string{"scores-2000"}})
	lost := add("student", bundle.Lineage{DistilledFrom: "teacher@" + string(bundle.DigestOf([]byte("elsewhere")))})
	if pin("teacher") != "teacher@"+string(small.Digest) || pin("student@1") != "student@"+string(student.Digest) {
		t.Error(pin("teacher"), pin("student@1"))
	}
	if _, err := r.Remove(ctx, "teacher", 1, "", now); err != nil {
		t.Fatal(err)
	}
	text := func(as []registry.Ancestor, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, a := range as {
			is := a.Reference
			if a.Entry != nil {
				is = fmt.Sprintf("%s@%d", a.Entry.Model, a.Entry.Version)
				if !a.Entry.Kept() {
					is += " (removed)"
				}
			}
			lines = append(lines, fmt.Sprintf("%d %s %s %s", a.Depth, a.Of, a.Relation, is))
		}
		return strings.Join(lines, "\n")
	}
	if got, want := text(r.Ancestors(ctx, student)), `1 student@1 distilled_from teacher@2
1 student@1 trained_on scores-2000
2 teacher@2 quantized_from teacher@1 (removed)
3 teacher@1 trained_on flights-2000
3 teacher@1 trained_on flights-1999`; got != want {
		t.Errorf("ancestors:\n%s\nwant\n%s", got, want)
	}
	if got, want := text(r.Descendants(ctx, teacher)), "1 teacher@1 quantized_from teacher@2\n2 teacher@2 distilled_from student@1"; got != want {
		t.Errorf("descendants:\n%s\nwant\n%s", got, want)
	}
	if got := text(r.Ancestors(ctx, lost)); !strings.HasPrefix(got, "1 student@2 distilled_from teacher@sha256:") {
		t.Error(got)
	}
	for ref, code := range map[string]fairlead.Code{"nobody@1": fairlead.CodeNotFound, "teacher@9": fairlead.CodeNotFound, "teacher@1": fairlead.CodeNotFound, "Teacher": fairlead.CodeInvalid, "teacher:": fairlead.CodeInvalid} {
		if _, err := r.Pin(ctx, ref); fairlead.CodeOf(err) != code {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
