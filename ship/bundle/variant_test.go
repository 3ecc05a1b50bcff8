package bundle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
)

const twoVariants = `name: flights
variants:
  - name: int8
    model: small.onnx
    requires: {os: linux, arch: amd64, isa: [avx512_vnni], memory: 2GiB, runtime: ">=1.17 <2"}
    tolerance: {absolute: 0.02, relative: 0.05}
  - {name: fp32, model: model.onnx}
model: model.onnx
lineage: {trained_on: [flights-2000], quantized_from: "flights@2"}
files: [prepare.wasm, eval.csv]
tests: [{metric: auroc, at_least: 0.7}]
`

func variants(t testing.TB) *Bundle {
	t.Helper()
	src, err := Read(folderOf(map[string]string{
		FileName: twoVariants, "model.onnx": "graph", "small.onnx": "gr", "README.md": "# Flights\n", "prepare.wasm": "\x00asm", "eval.csv": "x\n1\n", "other.txt": "?",
		GoldenFile: `{"cases":[{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[1]}],"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[2]}]}]}`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Seal(src, fairlead.Signature{Task: fairlead.TaskNone}, []byte("profile"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A version with two variants: what they share is stored once, each is a ModelPack of its own, and the host chooses.
func TestVariants(t *testing.T) {
	b := variants(t)
	if again := variants(t); again.Digest != b.Digest {
		t.Error("sealed again, it has another digest")
	}
	opened, err := Unseal(b.Raw, fetcher(b))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b, opened); d != "" {
		t.Error("what comes out is not what went in:", d)
	}
	// Two graphs, two configs, two manifests; description, profile, golden, tests, card and two files once.
	if len(b.Blobs) != 6+7 {
		t.Errorf("%d blobs", len(b.Blobs))
	}
	for i, v := range b.Variants {
		modelPack(t, b, b.Blobs[v.Digest])
		at, err := b.Select(i)
		if err != nil {
			t.Fatal(err)
		}
		g, err := at.Golden()
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%s %s %g %g", at.Variant().Name, at.Model(), g.Absolute, g.Relative)
		if want := []string{"int8 gr 0.02 0.05", "fp32 graph 1e-05 0.0001"}[i]; got != want {
			t.Errorf("variant %d is %q, want %q", i, got, want)
		}
		name, card := at.Card()
		if name != "README.md" || string(card) != "# Flights\n" || string(at.Attached("prepare.wasm")) != "\x00asm" || at.Attached("other.txt") != nil || len(at.File.Tests) != 1 {
			t.Errorf("card %q %q", name, card)
		}
	}
	kinds := map[string]string{}
	for i, l := range b.Layers() {
		kinds[l.Path] = string(l.Part) + " " + b.Manifest.Layers[i].MediaType
	}
	for path, want := range map[string]string{"prepare.wasm": "file " + TypeCode, "eval.csv": "file " + TypeDataset, "README.md": "card " + TypeDoc} {
		if kinds[path] != want {
			t.Errorf("%s is %s", path, kinds[path])
		}
	}
}

// Only what is asked for is fetched.
func TestUnsealPart(t *testing.T) {
	b := variants(t)
	var fetched []string
	fetch := func(p Blob) ([]byte, error) {
		fetched = append(fetched, p.Name)
		return b.Blobs[p.Digest], nil
	}
	got, err := UnsealVariant(b.Raw, fetch, func(vs []Variant) (int, error) { return Choose(vs, "", Host{OS: "linux", Arch: "arm64"}) })
	if err != nil || got.Variant().Name != "fp32" || string(got.Model()) != "graph" || got.Variants[0].Tolerance == nil {
		t.Errorf("%+v, %v", got, err)
	}
	if slices.Contains(fetched, "small.onnx") || !slices.Contains(fetched, "model.onnx") {
		t.Errorf("fetched %q", fetched)
	}
	fetched = nil
	if got, err = UnsealDescription(b.Raw, fetch); err != nil || got.Model() != nil || string(got.Profile()) != "profile" || len(got.Variants) != 2 || len(got.File.Tests) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if slices.ContainsFunc(fetched, func(s string) bool { return strings.HasSuffix(s, ".onnx") || s == "eval.csv" }) {
		t.Errorf("fetched %q", fetched)
	}
}

func TestChoose(t *testing.T) {
	vs := variants(t).Variants
	big := Host{OS: "linux", Arch: "amd64", ISA: []string{"avx2", "avx512_vnni"}, Memory: 4 << 30, Runtime: "1.30.0"}
	with := func(change func(*Host)) Host {
		h := big
		change(&h)
		return h
	}
	for what, c := range map[string]struct {
		host Host
		name string
		want string
	}{
		"fits":           {big, "", "int8"},
		"by name":        {big, "fp32", "fp32"},
		"os":             {with(func(h *Host) { h.OS = "darwin" }), "", "fp32"},
		"arch":           {with(func(h *Host) { h.Arch = "arm64" }), "", "fp32"},
		"isa":            {with(func(h *Host) { h.ISA = []string{"avx2"} }), "", "fp32"},
		"memory":         {with(func(h *Host) { h.Memory = 1 << 30 }), "", "fp32"},
		"unknown memory": {with(func(h *Host) { h.Memory = 0 }), "", "int8"},
		"old runtime":    {with(func(h *Host) { h.Runtime = "1.16.3" }), "", "fp32"},
		"new runtime":    {with(func(h *Host) { h.Runtime = "2.0" }), "", "fp32"},
		"at least":       {with(func(h *Host) { h.Runtime = "1.17.0-rc1" }), "", "int8"},
		"no such":        {big, "fp16", `! there is no variant "fp16" (variants are int8, fp32)`},
		"does not fit":   {with(func(h *Host) { h.ISA = nil }), "int8", "! no variant of this version runs here: int8 needs the instructions avx512_vnni, this processor has none"},
	} {
		i, err := Choose(vs, c.name, c.host)
		got := ""
		if err != nil {
			got = "! " + err.Error()
		} else {
			got = vs[i].Name
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s; want %s", what, got, c.want)
		}
	}
	if _, err := Choose([]Variant{{VariantFile: VariantFile{Name: "x", Requires: Requires{Accelerator: "cuda"}}}}, "", big); fairlead.CodeOf(err) != fairlead.CodeUnsupported {
		t.Error(err)
	}
}

func TestVariantFileBad(t *testing.T) {
	for text, want := range map[string]string{
		"variants: []":                                                      "variants is empty",
		"variants: [{name: a}]":                                             "needs a name and a model",
		"variants: [{name: A, model: a.onnx}]":                              `"A" is not the name of a variant`,
		"variants: [{name: a, model: a.pb}]":                                `"a.pb" is not an .onnx file`,
		"variants: [{name: a, model: a.onnx}, {name: a, model: b.onnx}]":    "the same name or the same model",
		"variants: [{name: a, model: a.onnx}, {name: b, model: a.onnx}]":    "the same name or the same model",
		"model: c.onnx\nvariants: [{name: a, model: a.onnx}]":               `model "c.onnx" is none of the variants`,
		"variants: [{name: a, model: a.onnx, tolerance: {absolute: -1}}]":   "a number that is not negative",
		"variants: [{name: a, model: a.onnx, tolerance: {absolute: .nan}}]": "a number that is not negative",
		"variants: [{name: a, model: a.onnx, requires: {cpu: x}}]":          `unknown key "cpu"`,
		"variants: [{name: a, model: a.onnx, requires: {runtime: new}}]":    "versions of ONNX Runtime such as",
		"variants: [{name: a, model: a.onnx, requires: {runtime: \"~1\"}}]": "versions of ONNX Runtime such as",
		"variants: [{name: a, model: a.onnx, requires: {isa: [\"a,b\"]}}]":  "has no comma",
		"lineage: {quantized_from: \"Flights@1\"}":                          `"Flights" is not a name`,
		"lineage: {quantized_from: \"flights@\"}":                           "names no version",
		"lineage: {parent: x}":                                              `unknown key "parent"`,
		"lineage: {trained_on: [a, a]}":                                     "listed twice",
		"card: ../README.md":                                                "is not a path inside",
		"files: [/etc/passwd]":                                              "is not a path inside",
		"files: [fairlead.yaml]":                                            "is in the bundle by itself",
	} {
		_, err := ParseFile([]byte("name: m\n" + text))
		if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
	f, err := ParseFile([]byte("name: m\nvariants: [{name: a, model: a.onnx}, {name: b, model: b.onnx}]\nlineage: {trained_on: flights-2000}"))
	if err != nil || f.Model != "a.onnx" || !slices.Equal(f.Lineage.TrainedOn, []string{"flights-2000"}) {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := Read(folderOf(map[string]string{FileName: "name: m\nvariants: [{name: a, model: a.onnx}, {name: b, model: b.onnx}]", "a.onnx": "x"})); fairlead.CodeOf(err) != fairlead.CodeNotFound {
		t.Error(err)
	}
}

// A bundle of before there were variants, as it was sealed then, opens as one with one variant.
func TestOpenOld(t *testing.T) {
	b := &Bundle{Blobs: map[fairlead.Digest][]byte{}}
	layer := func(kind, path, content string) map[string]any {
		d := b.add(kind, []byte(content))
		return map[string]any{"mediaType": kind, "digest": d.Digest, "size": d.Size, "annotations": map[string]string{filePath: path}}
	}
	config := b.add(TypeConfig, []byte(`{}`))
	raw, err := canonical(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": ArtifactType,
		"config": map[string]any{"mediaType": TypeConfig, "digest": config.Digest, "size": config.Size},
		"layers": []any{
			layer(TypeModel, "model.onnx", "graph"),
			layer(TypeDescription, "fairlead.json", `{"file":{"name":"flights","model":"model.onnx","log":{"rows":1},"tests":[1]},"signature":{"task":"binary"}}`),
			layer("application/vnd.fairlead.profile.v1", "reference.profile", "profile"),
			layer("application/vnd.fairlead.golden.v1+json", "golden.json", `{"cases":[{"inputs":[],"outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[1]}]}]}`),
			layer(TypeDataset, "ref.csv", "x\n1\n"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, open := range []func([]byte, Fetch) (*Bundle, error){Unseal, func(raw []byte, f Fetch) (*Bundle, error) {
		return UnsealVariant(raw, f, func(vs []Variant) (int, error) { return Choose(vs, "", Host{}) })
	}} {
		got, err := open(raw, fetcher(b))
		if err != nil {
			t.Fatal(err)
		}
		g, err := got.Golden()
		name, data := got.Reference()
		if err != nil || g == nil || string(got.Model()) != "graph" || string(got.Profile()) != "profile" || name != "ref.csv" || string(data) != "x\n1\n" ||
			got.Variant().Name != "fp32" || got.Variant().Model != "model.onnx" || got.Digest != DigestOf(raw) || got.Variant().Digest != got.Digest || len(got.File.Tests) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestReadWeights(t *testing.T) {
	tag := func(field, wire byte) byte { return field<<3 | wire }
	message := func(field byte, content ...byte) []byte {
		return append([]byte{tag(field, 2), byte(len(content))}, content...)
	}
	packed := message(5, append(message(1, 0x80, 0x08, 3), tag(2, 0), 3)...) // dims [1024,3] packed, int8
	plain := message(5, tag(1, 0), 10, tag(1, 0), 10, tag(2, 0), 1)          // dims 10, 10, float32
	shape := message(5, tag(1, 0), 2, tag(2, 0), 7)                          // two int64
	onnx := slices.Concat(message(7, slices.Concat(packed, plain, shape)...), message(8, append(message(1), tag(2, 0), 17)...), message(8, append(message(1, 'x'), tag(2, 0), 3)...))
	w := ReadWeights(onnx)
	if w.Opset != 17 || w.Precision() != "int8" || w.Elements["int8"] != 3072 || w.Elements["float32"] != 100 || w.ParamSize() != "3.2K" || short(w.Precision()) != "int8" {
		t.Errorf("%+v %s", w, w.ParamSize())
	}
	if w := ReadWeights([]byte("graph")); w.Precision() != "" || w.ParamSize() != "" || short("") != "fp32" {
		t.Errorf("%+v", w)
	}
}

func FuzzReadWeights(f *testing.F) {
	f.Add([]byte{0x3a, 7, 0x2a, 5, 8, 10, 8, 10, 16, 1})
	f.Add([]byte{0x42, 2, 16, 17})
	f.Fuzz(func(t *testing.T, b []byte) {
		w := ReadWeights(b)
		for p, n := range w.Elements {
			if n < 0 {
				t.Fatalf("%d parameters of %s", n, p)
			}
		}
		_ = w.ParamSize() + w.Precision()
	})
}
