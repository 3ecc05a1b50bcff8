package bundle

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
)

func folderOf(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

var goodFolder = map[string]string{
	"fairlead.yaml": "name: flights\nreference: data/ref.csv\n", "model.onnx": "graph", "data/ref.csv": "x\n1\n", "train.py": "print()",
}

var goodSource = &Source{
	File:  &File{Name: "flights", Model: "model.onnx", Log: LogFile{Rows: 1}, Reference: ReferenceFile{File: "data/ref.csv"}},
	Model: []byte("graph"), ReferenceName: "data/ref.csv", Reference: []byte("x\n1\n"),
}

func TestRead(t *testing.T) {
	got, err := Read(folderOf(goodFolder))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(goodSource, got); d != "" {
		t.Error(d)
	}
}

func TestReadBad(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		code  fairlead.Code
		want  string
	}{
		"empty":      {nil, fairlead.CodeNotFound, "has no fairlead.yaml; it holds none"},
		"no yaml":    {map[string]string{"a.onnx": "x"}, fairlead.CodeNotFound, "push a.onnx itself"},
		"no model":   {map[string]string{FileName: "name: a", "net.onnx": "x"}, fairlead.CodeNotFound, `model "model.onnx" is not in the bundle folder (it holds net.onnx: name that one`},
		"no onnx":    {map[string]string{FileName: "name: a", "x.pkl": "x"}, fairlead.CodeNotFound, "the folder holds fairlead.yaml, x.pkl"},
		"empty onnx": {map[string]string{FileName: "name: a", "model.onnx": ""}, fairlead.CodeInvalid, `model "model.onnx" is empty`},
		"no ref":     {map[string]string{FileName: "name: a\nreference: r.csv", "model.onnx": "x", "ref.parquet": "x"}, fairlead.CodeNotFound, "it holds ref.parquet"},
		"bad yaml":   {map[string]string{FileName: "nam: a", "model.onnx": "x"}, fairlead.CodeInvalid, `did you mean "name"?`},
		"folder":     {map[string]string{FileName: "name: a\nmodel: d.onnx", "d.onnx/x": "x"}, fairlead.CodeInvalid, "d.onnx is not a plain file"},
	} {
		_, err := Read(folderOf(c.files))
		if fairlead.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v (%s); want %s %q", name, err, fairlead.CodeOf(err), c.code, c.want)
		}
	}
}

// On a real disk, opened the way Read recommends, a link out of the folder is not followed.
func TestReadLink(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret.onnx")
	for path, text := range map[string]string{secret: "secret", filepath.Join(dir, FileName): "name: a"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(dir, "model.onnx")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if src, err := Read(root.FS()); err == nil {
		t.Errorf("read %q through a link", src.Model)
	}
}

func TestTar(t *testing.T) {
	packed, err := Tar(folderOf(goodFolder))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Tar(folderOf(goodFolder))
	if err != nil || !bytes.Equal(packed, again) {
		t.Error("the same folder gives other bytes", err)
	}
	if bytes.Contains(packed, []byte("train.py")) {
		t.Error("a file was packed that the bundle does not name")
	}
	got, err := ReadTar(bytes.NewReader(packed), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(goodSource, got); d != "" {
		t.Error(d)
	}
	if _, err := Tar(folderOf(map[string]string{FileName: "name: a"})); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Error(err)
	}
}

// entry is one header of a hand-made tar; size counts where content is empty.
type entry struct {
	name, content, link string
	kind                byte
}

func tarOf(t testing.TB, entries ...entry) []byte {
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
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReadTarForms(t *testing.T) {
	for name, b := range map[string][]byte{
		"dot":     tarOf(t, entry{name: "./", kind: tar.TypeDir}, entry{name: "./fairlead.yaml", content: "name: a"}, entry{name: "./model.onnx", content: "g"}),
		"wrapped": tarOf(t, entry{name: "b/", kind: tar.TypeDir}, entry{name: "b/fairlead.yaml", content: "name: a"}, entry{name: "b/model.onnx", content: "g"}, entry{name: "c", content: "x"}),
	} {
		src, err := ReadTar(bytes.NewReader(b), 100)
		if err != nil || string(src.Model) != "g" || src.File.Name != "a" {
			t.Errorf("%s: %+v, %v", name, src, err)
		}
	}
}

func TestReadTarBad(t *testing.T) {
	yaml := entry{name: FileName, content: "name: a"}
	model := entry{name: "model.onnx", content: "graph"}
	good := tarOf(t, yaml, model)
	var many []entry
	for i := range maxEntries + 1 {
		many = append(many, entry{name: strings.Repeat("d", i%90+1) + "/", kind: tar.TypeDir})
	}
	huge := tarOf(t, yaml, entry{name: "model.onnx", content: strings.Repeat("x", 600)})
	for name, c := range map[string]struct {
		b    []byte
		code fairlead.Code
		want string
	}{
		"nothing":    {nil, fairlead.CodeInvalid, "holds no files"},
		"text":       {[]byte(strings.Repeat("hello", 200)), fairlead.CodeInvalid, "not a complete tar"},
		"gzip":       {append([]byte{0x1f, 0x8b}, make([]byte, 600)...), fairlead.CodeInvalid, "uncompressed tar"},
		"cut":        {good[:1538], fairlead.CodeInvalid, "not a complete tar"},
		"up":         {tarOf(t, yaml, entry{name: "../model.onnx"}), fairlead.CodeInvalid, `the tar entry "../model.onnx" is not a path inside`},
		"inner up":   {tarOf(t, yaml, entry{name: "a/../../model.onnx"}), fairlead.CodeInvalid, "is not a path inside"},
		"absolute":   {tarOf(t, yaml, entry{name: "/model.onnx"}), fairlead.CodeInvalid, "is not a path inside"},
		"backslash":  {tarOf(t, yaml, entry{name: `..\model.onnx`}), fairlead.CodeInvalid, "is not a path inside"},
		"symlink":    {tarOf(t, yaml, entry{name: "model.onnx", kind: tar.TypeSymlink, link: "/etc/passwd"}), fairlead.CodeInvalid, "is not a plain file"},
		"hard link":  {tarOf(t, yaml, entry{name: "model.onnx", kind: tar.TypeLink, link: FileName}), fairlead.CodeInvalid, "is not a plain file"},
		"device":     {tarOf(t, yaml, entry{name: "model.onnx", kind: tar.TypeChar}), fairlead.CodeInvalid, "is not a plain file"},
		"twice":      {tarOf(t, yaml, model, model), fairlead.CodeInvalid, `"model.onnx" twice`},
		"dot twice":  {tarOf(t, yaml, model, entry{name: "./model.onnx", content: "g"}), fairlead.CodeInvalid, `"model.onnx" twice`},
		"entries":    {tarOf(t, many...), fairlead.CodeTooLarge, "more than 1000 entries"},
		"bytes":      {huge, fairlead.CodeTooLarge, "more than 500 bytes"},
		"no yaml":    {tarOf(t, model), fairlead.CodeNotFound, "push model.onnx itself"},
		"two inside": {tarOf(t, entry{name: "a/fairlead.yaml"}, entry{name: "b/fairlead.yaml"}), fairlead.CodeNotFound, "has no fairlead.yaml"},
	} {
		_, err := ReadTar(bytes.NewReader(c.b), 500)
		if fairlead.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v (%s); want %s %q", name, err, fairlead.CodeOf(err), c.code, c.want)
		}
	}
}

func FuzzReadTar(f *testing.F) {
	yaml := entry{name: FileName, content: "name: a"}
	f.Add(tarOf(f, yaml, entry{name: "model.onnx", content: "graph"}))
	f.Add(tarOf(f, entry{name: "b/fairlead.yaml", content: "name: a\nreference: r.csv"}, entry{name: "b/model.onnx", content: "g"}, entry{name: "b/r.csv", content: "x"}))
	f.Add(tarOf(f, yaml, entry{name: "../model.onnx"}, entry{name: "model.onnx", kind: tar.TypeSymlink, link: "/etc/passwd"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 16
		src, err := ReadTar(bytes.NewReader(b), limit)
		if err != nil {
			return
		}
		if n := len(src.Model) + len(src.Reference); len(src.Model) == 0 || n > limit {
			t.Fatalf("%d bytes", n)
		}
	})
}
