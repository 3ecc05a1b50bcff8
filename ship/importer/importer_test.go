package importer

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestFolders imports what MLflow and the model zoo wrote; testdata/*.golden says what became of it. Each is a bundle
// folder afterwards.
func TestFolders(t *testing.T) {
	for _, name := range []string{"mlflow_columns", "mlflow_external", "zoo"} {
		f, err := Read(os.DirFS(filepath.Join("testdata", name)), "flights")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		src := source(t, f)
		var b strings.Builder
		fmt.Fprintf(&b, "%s\n", f.Kind)
		for _, n := range f.Notes {
			fmt.Fprintf(&b, "note: %s\n", n)
		}
		for _, file := range slices.Sorted(maps.Keys(f.Files)) {
			fmt.Fprintf(&b, "%s: %d bytes\n", file, len(f.Files[file]))
		}
		fmt.Fprintf(&b, "%s:\n%s", bundle.FileName, f.Files[bundle.FileName])
		if src.Golden != nil {
			for i, c := range src.Golden.Cases {
				fmt.Fprintf(&b, "golden %d: %s -> %s\n", i, shapes(c.Inputs), shapes(c.Outputs))
			}
		}
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if b.String() != string(want) {
			t.Errorf("%s became\n%s\nexpected\n%s", name, b.String(), want)
		}
	}
}

func shapes(ts []fairlead.Tensor) string {
	var out []string
	for _, t := range ts {
		out = append(out, fmt.Sprintf("%s %s%s", t.Name, t.Type, fairlead.ShapeString(t.Shape)))
	}
	return strings.Join(out, ", ")
}

// source reads a folder back as a push does.
func source(t *testing.T, f *Folder) *bundle.Source {
	t.Helper()
	files := fstest.MapFS{}
	for name, content := range f.Files {
		files[name] = &fstest.MapFile{Data: content}
	}
	src, err := bundle.Read(files)
	if err != nil {
		t.Fatalf("what was made is no bundle folder: %v", err)
	}
	return src
}

// TestWeightsBesideTheGraphAreTakenIn compares with a model that ONNX's own library saved in one file.
func TestWeightsBesideTheGraphAreTakenIn(t *testing.T) {
	f, err := Read(os.DirFS("testdata/mlflow_external"), "flights")
	if err != nil {
		t.Fatal(err)
	}
	model := f.Files[bundle.DefaultModel]
	weights, err := os.ReadFile("testdata/mlflow_external/model.onnx.data")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(model, weights[:64*32*4]) {
		t.Error("the weights are not in the model")
	}
	g, err := readGraph(model)
	if err != nil || len(g.external) != 0 {
		t.Errorf("%d tensors are still outside, %v", len(g.external), err)
	}
	if w := bundle.ReadWeights(model); w.Elements["float32"] != 64*32 {
		t.Errorf("it has the parameters %v", w.Elements)
	}
}

// external is an ONNX file with one tensor whose weights lie at a place in a file.
func external(file, offset, length string) []byte {
	entry := func(key, v string) []byte {
		b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
		return protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), v)
	}
	tensor := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1)
	for _, e := range [][]byte{entry("location", file), entry("offset", offset), entry("length", length)} {
		tensor = protowire.AppendBytes(protowire.AppendTag(tensor, 13, protowire.BytesType), e)
	}
	tensor = protowire.AppendVarint(protowire.AppendTag(tensor, 14, protowire.VarintType), 1)
	// Inside the body of a Loop: a node's attribute holds a graph that holds the tensor.
	inner := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), tensor)
	attribute := protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), inner)
	node := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), attribute)
	graph := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), node)
	return protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), graph)
}

func TestWeightsThatAreNotThere(t *testing.T) {
	for name, c := range map[string]struct {
		model []byte
		want  string
	}{
		"missing":           {external("gone.data", "0", "4"), "which is not there"},
		"outside":           {external("../../etc/passwd", "0", "4"), "not in its folder"},
		"absolute":          {external("/etc/passwd", "0", "4"), "not in its folder"},
		"on another system": {external(`..\w.data`, "0", "4"), "not in its folder"},
		"without a name":    {external("", "0", "4"), "not in its folder"},
		"beyond the end":    {external("w.data", "4", "8"), "which has 8"},
		"before the start":  {external("w.data", "-4", "4"), "which has 8"},
		"overflowing":       {external("w.data", "4", "9223372036854775807"), "which has 8"},
		"cut":               {external("w.data", "0", "4")[:20], "not an ONNX file"},
		"noise":             {[]byte("this is no model"), "not an ONNX file"},
	} {
		fsys := fstest.MapFS{"model.onnx": {Data: c.model}, "w.data": {Data: []byte("12345678")}}
		if _, err := Read(fsys, "flights"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
	f, err := Read(fstest.MapFS{"model.onnx": {Data: external("w.data", "2", "4")}, "w.data": {Data: []byte("12345678")}}, "flights")
	if err != nil || !bytes.Contains(f.Files["model.onnx"], []byte("3456")) || bytes.Contains(f.Files["model.onnx"], []byte("w.data")) {
		t.Errorf("a tensor inside a subgraph: %v", err)
	}
}

// TestMoreThanAFileHolds lets many tensors refer to the same bytes: a small folder that would be gigabytes.
func TestMoreThanAFileHolds(t *testing.T) {
	in := &inliner{files: map[string][]byte{"w": make([]byte, 1<<20)}}
	tensor := external("w", "0", "1048576")
	for range 2047 {
		in.total += 1 << 20
	}
	in.total += 1 << 20 // a byte more than the limit
	_, err := in.message(tensor, modelMessage, 0)
	if fairlead.CodeOf(err) != fairlead.CodeTooLarge {
		t.Errorf("%v", err)
	}
}

// TestWhatCannotBeServed is the list of what people have instead of ONNX.
func TestWhatCannotBeServed(t *testing.T) {
	pickle := "\x80\x04\x95\x00"
	zip := "PK\x03\x04"
	mlmodel := func(flavor string) fstest.MapFS {
		return fstest.MapFS{"MLmodel": {Data: []byte("flavors:\n  " + flavor + ": {data: x}\n  python_function: {}\n")}}
	}
	one := func(name, content string) fstest.MapFS { return fstest.MapFS{name: {Data: []byte(content)}} }
	for name, c := range map[string]struct {
		fsys fstest.MapFS
		want []string
	}{
		"SavedModel":        {fstest.MapFS{"model/saved_model.pb": {}, "model/variables/variables.index": {}}, []string{"TensorFlow SavedModel", "tf2onnx"}},
		"Keras 2":           {one("model.h5", "\x89HDF\r\n\x1a\n"), []string{"Keras"}},
		"Keras 3":           {one("model.keras", zip+"model.weights.h5"), []string{"Keras"}},
		"TensorFlow Lite":   {one("m.tflite", "\x1c\x00\x00\x00TFL3"), []string{"TensorFlow Lite"}},
		"pickle":            {one("model.pkl", pickle), []string{"pickle", "skl2onnx"}},
		"joblib":            {one("model.joblib", "\x80\x04"), []string{"pickle"}},
		"unnamed pickle":    {one("model.bin", pickle), []string{"pickle"}},
		"PyTorch":           {one("model.pt", zip+"archive/data.pkl"), []string{"PyTorch checkpoint", "torch.onnx.export"}},
		"old PyTorch":       {one("model.pth", pickle), []string{"PyTorch checkpoint"}},
		"TorchScript":       {one("model.pt", zip+"archive/code/__torch__.py archive/data.pkl"), []string{"TorchScript"}},
		"TensorRT":          {one("model.plan", "ftrt"), []string{"TensorRT"}},
		"TensorRT, renamed": {one("model.bin", "ptrt"), []string{"TensorRT"}},
		"GGUF":              {one("model.bin", "GGUF\x03"), []string{"GGUF"}},
		"safetensors":       {one("model.safetensors", "\x10\x00\x00\x00\x00\x00\x00\x00{}"), []string{"safetensors", "optimum-cli"}},
		"XGBoost JSON":      {one("model.json", `{"learner":{}}`), []string{"XGBoost", "convert_xgboost"}},
		"XGBoost UBJ":       {one("model.ubj", "{L"), []string{"XGBoost"}},
		"LightGBM":          {one("model.txt", "tree\nversion=v4\n"), []string{"LightGBM"}},
		"CatBoost":          {one("m", "CBM1"), []string{"CatBoost"}},
		"Core ML":           {one("m.mlmodel", "x"), []string{"Core ML"}},
		"OpenVINO":          {one("m.xml", `<?xml version="1.0"?><net name="x">`), []string{"OpenVINO"}},
		"PMML":              {one("m.pmml", "<PMML/>"), []string{"PMML"}},
		"Paddle":            {one("inference.pdmodel", "x"), []string{"PaddlePaddle"}},
		"ORT":               {one("m.ort", "\x08\x00\x00\x00ORTM"), []string{"ONNX Runtime's own"}},
		"R":                 {one("m.rds", "x"), []string{"model of R"}},
		"MLflow sklearn":    {mlmodel("sklearn"), []string{"no flavor onnx", "scikit-learn", "skl2onnx"}},
		"MLflow PyTorch":    {mlmodel("pytorch"), []string{"PyTorch"}},
		"MLflow own":        {mlmodel("prophet"), []string{"prophet", "mlflow.onnx.log_model"}},
		"nothing":           {fstest.MapFS{}, []string{"empty"}},
		"photographs":       {one("cat.jpg", "\xff\xd8"), []string{"no ONNX file", "cat.jpg"}},
		"a bundle":          {one("fairlead.yaml", "name: x"), []string{"a bundle already", "fairlead push"}},
		"two models":        {fstest.MapFS{"a.onnx": {}, "b.onnx": {}}, []string{"2 ONNX files", "variants"}},
		"a broken MLmodel":  {one("MLmodel", "\t:"), []string{"not YAML"}},
		"a far model":       {one("MLmodel", "flavors: {onnx: {data: ../../x.onnx}}"), []string{"not in its folder"}},
	} {
		_, err := Read(c.fsys, "flights")
		var e *fairlead.Error
		if !errors.As(err, &e) || e.Code != fairlead.CodeInvalid || e.Hint == "" && name != "a far model" {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
}

func TestExamples(t *testing.T) {
	for text, want := range map[string]string{
		`{"columns":["a","b"],"data":[[1,2],[3,4]]}`:         "[a b] [[1 2] [3 4]]",
		`{"dataframe_split":{"columns":["a"],"data":[[1]]}}`: "[a] [[1]]",
		`{"dataframe_records":[{"b":2,"a":1}]}`:              "[a b] [[1 2]]",
		`[[1,2],[3,4]]`:                                      "[] [[1 2] [3 4]]",
		`{"inputs":[[[1,2],[3,4]]]}`:                         "[] [[1 2 3 4]]",
		`{"columns":["a","b"],"data":[[1]]}`:                 "its rows",
		`{"inputs":{"a":[1],"b":[2]}}`:                       "several named arrays",
		`7`:                                                  "a single value",
		`{`:                                                  "no JSON",
		`{"columns":["a"],"data":[7]}`:                       "its rows",
	} {
		f, err := readExample([]byte(text))
		got := fmt.Sprint(f.columns, " ", f.rows)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s, expected %s", text, got, want)
		}
	}
}

func TestALongExampleIsAReference(t *testing.T) {
	columns, err := os.ReadFile("testdata/mlflow_columns/MLmodel")
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile("testdata/mlflow_columns/model.onnx")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Repeat("[1.5,2,3],", 119) + "[null,5,6]"
	f, err := Read(fstest.MapFS{
		"MLmodel": {Data: columns}, "model.onnx": {Data: model}, "README.md": {Data: []byte("# Flights")},
		"input_example.json": {Data: []byte(`{"columns":["distance","hour","weekday"],"data":[` + rows + `]}`)},
	}, "flights")
	if err != nil {
		t.Fatal(err)
	}
	src := source(t, f)
	if src.ReferenceName != "reference.csv" || !strings.HasPrefix(string(src.Reference), "distance,hour,weekday\n1.5,2,3\n") ||
		!strings.HasSuffix(string(src.Reference), "\n,5,6\n") || string(src.Card) != "# Flights" {
		t.Errorf("reference %s: %.60q, card %q", src.ReferenceName, src.Reference, src.Card)
	}
}

func FuzzModel(f *testing.F) {
	for _, name := range []string{"zoo", "mlflow_columns", "mlflow_external"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name, "model.onnx"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add(external("w.data", "0", "8"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := readGraph(raw)
		if err != nil {
			return
		}
		out, err := inline(raw, func(string) ([]byte, error) { return []byte("12345678"), nil })
		if err != nil {
			return
		}
		again, err := readGraph(out)
		if err != nil || len(again.external) > 0 || len(again.inputs) != len(g.inputs) {
			t.Fatalf("what was made of it: %v, %d tensors outside", err, len(again.external))
		}
	})
}

func FuzzTensor(f *testing.F) {
	for _, name := range []string{"input_0.pb", "output_0.pb"} {
		raw, err := os.ReadFile(filepath.Join("testdata/zoo/test_data_set_0", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := readTensor(raw)
		if err == nil && int64(got.Len()) != fairlead.Elements(got.Shape) {
			t.Fatalf("%d values for %v", got.Len(), got.Shape)
		}
	})
}

func FuzzMLmodel(f *testing.F) {
	for _, name := range []string{"mlflow_columns", "mlflow_external"} {
		for _, file := range []string{"MLmodel", "input_example.json"} {
			raw, err := os.ReadFile(filepath.Join("testdata", name, file))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw, raw)
		}
	}
	model, err := os.ReadFile("testdata/mlflow_columns/model.onnx")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, mlmodel, example []byte) {
		_, _ = Read(fstest.MapFS{"MLmodel": {Data: mlmodel}, "model.onnx": {Data: model}, "input_example.json": {Data: example}}, "flights")
	})
}
