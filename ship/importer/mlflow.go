package importer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// minReference is how many rows of an input example make a reference. Fewer say nothing about a distribution: they are
// golden vectors.
const minReference = 100

// maxExamples bounds the rows of an example that become golden vectors.
const maxExamples = 8

// mlmodel is MLflow's MLmodel file as far as it concerns an import.
type mlmodel struct {
	Flavors map[string]struct {
		Data     string `yaml:"data"`
		Artifact string `yaml:"artifact_path"`
	} `yaml:"flavors"`
	Signature *struct {
		Inputs  string `yaml:"inputs"`
		Outputs string `yaml:"outputs"`
		Params  string `yaml:"params"`
	} `yaml:"signature"`
	Example *struct {
		Path   string `yaml:"artifact_path"`
		Type   string `yaml:"type"`
		Orient string `yaml:"pandas_orient"`
	} `yaml:"saved_input_example_info"`
	Run     string `yaml:"run_id"`
	Version string `yaml:"mlflow_version"`
}

// column is one entry of a signature: a column of a data frame, or a tensor.
type column struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Tensor *struct {
		Type  string  `json:"dtype"`
		Shape []int64 `json:"shape"`
	} `json:"tensor-spec"`
}

func (r *reader) mlflow() error {
	text, err := r.read("MLmodel", 1<<20)
	if err != nil {
		return err
	}
	var m mlmodel
	if err := yaml.Unmarshal(text, &m); err != nil {
		return fairlead.Invalid("MLmodel is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: ")).Hintf("is it MLflow's?")
	}
	flavor, ok := m.Flavors["onnx"]
	if !ok {
		return otherFlavor(slices.Sorted(maps.Keys(m.Flavors)))
	}
	data := flavor.Data
	if data == "" {
		data = bundle.DefaultModel
	}
	r.out.Kind = "MLflow model"
	if m.Version != "" {
		r.out.Kind += " of MLflow " + m.Version
	}
	if err := checkInside(data); err != nil {
		return err
	}
	if err := r.model(data); err != nil {
		return err
	}
	r.out.Files["MLmodel"] = text
	r.yaml.Files = append(r.yaml.Files, "MLmodel") // where it came from: run, time, packages
	if m.Run != "" {
		r.note("it is of MLflow's run %s", m.Run)
	}
	var columns []column
	if m.Signature != nil {
		if columns, err = readColumns(m.Signature.Inputs); err != nil {
			return err
		}
		if p := m.Signature.Params; p != "" && p != "null" {
			r.note("the signature's params are left out: an ONNX graph takes inputs only")
		}
	}
	r.name(columns)
	if m.Example != nil && m.Example.Path != "" {
		if err := r.example(m.Example.Path); err != nil {
			return err
		}
	}
	r.card(".")
	return nil
}

func checkInside(p string) error {
	if path.IsAbs(p) || strings.Contains(p, "\\") || strings.HasPrefix(path.Clean(p), "..") {
		return fairlead.Invalid("MLmodel names the file %q, which is not in its folder", p)
	}
	return nil
}

func readColumns(text string) ([]column, error) {
	if text == "" || text == "null" {
		return nil, nil
	}
	var columns []column
	if err := json.Unmarshal([]byte(text), &columns); err != nil {
		return nil, fairlead.Invalid("the inputs of MLmodel's signature are not readable: %v", err)
	}
	return columns, nil
}

// name gives the columns of the graph's one matrix their names.
func (r *reader) name(columns []column) {
	var names []string
	for _, c := range columns {
		if c.Tensor == nil && c.Name != "" {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 || len(names) != len(columns) {
		return
	}
	if len(r.graph.inputs) == 1 {
		in := r.graph.inputs[0]
		if len(in.shape) == 2 && (in.shape[1] == int64(len(names)) || in.shape[1] < 0) {
			r.yaml.Inputs = []input{{in.name, names}}
			r.note("the columns of %s are named by MLflow's signature: %s", in.name, enumerate(names))
			return
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(r.graph.inputs, func(v value) bool { return v.name == name }) {
			r.note("MLflow's signature has %d columns, and the graph's inputs are others: features have no names", len(names))
			return
		}
	}
}

// example makes the input example a reference or golden vectors.
func (r *reader) example(file string) error {
	if err := checkInside(file); err != nil {
		return err
	}
	raw, err := r.read(file, bundle.MaxGolden)
	if err != nil {
		r.note("the input example is left out: %v", err)
		return nil
	}
	frame, err := readExample(raw)
	if err != nil {
		r.note("the input example is left out: %v", err)
		return nil
	}
	if len(frame.columns) > 0 && len(frame.rows) >= minReference {
		return r.reference(frame)
	}
	g := &bundle.Golden{Absolute: bundle.DefaultAbsolute, Relative: bundle.DefaultRelative}
	for i := range min(len(frame.rows), maxExamples) {
		inputs, err := r.inputs(frame, i)
		if err != nil {
			r.note("the input example is left out: %v", err)
			return nil
		}
		g.Cases = append(g.Cases, bundle.GoldenCase{Inputs: inputs})
	}
	if len(g.Cases) == 0 {
		return nil
	}
	r.note("%d rows of the input example are golden vectors; the model gives their answers when it is pushed", len(g.Cases))
	return r.golden(g)
}

// frame is an input example: rows of a table, or along the first dimension of an array.
type frame struct {
	columns []string
	rows    [][]any
}

// readExample reads the forms that MLflow writes: a data frame split into columns and data, records, and plain arrays,
// also under "inputs".
func readExample(raw []byte) (frame, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var any any
	if err := d.Decode(&any); err != nil {
		return frame{}, fmt.Errorf("it is no JSON: %w", err)
	}
	if m, ok := any.(map[string]interface{}); ok {
		for _, key := range []string{"inputs", "dataframe_split", "dataframe_records"} {
			if inner, ok := m[key]; ok {
				any = inner
			}
		}
	}
	var f frame
	switch v := any.(type) {
	case map[string]interface{}:
		columns, _ := v["columns"].([]interface{})
		data, ok := v["data"].([]interface{})
		if !ok {
			return f, fmt.Errorf("it has several named arrays")
		}
		for _, c := range columns {
			f.columns = append(f.columns, fmt.Sprint(c))
		}
		for _, row := range data {
			values, ok := row.([]interface{})
			if !ok || len(columns) > 0 && len(values) != len(columns) {
				return f, fmt.Errorf("its rows have not all %d columns", len(columns))
			}
			f.rows = append(f.rows, values)
		}
	case []interface{}:
		for _, row := range v {
			if record, ok := row.(map[string]interface{}); ok {
				if f.columns == nil {
					f.columns = slices.Sorted(maps.Keys(record))
				}
				values := make([]interface{}, len(f.columns))
				for i, c := range f.columns {
					values[i] = record[c]
				}
				f.rows = append(f.rows, values)
				continue
			}
			f.rows = append(f.rows, flatten(nil, row, 0))
		}
	default:
		return f, fmt.Errorf("it is a single value")
	}
	return f, nil
}

func flatten(to []any, v any, depth int) []any {
	list, ok := v.([]any)
	if !ok || depth > 32 {
		return append(to, v)
	}
	for _, e := range list {
		to = flatten(to, e, depth+1)
	}
	return to
}

// inputs makes the tensors of one row.
func (r *reader) inputs(f frame, row int) ([]fairlead.Tensor, error) {
	values := f.rows[row]
	if len(r.graph.inputs) == 1 {
		in := r.graph.inputs[0]
		if names := r.features(in.name); len(names) > 0 && len(f.columns) > 0 {
			ordered, err := order(f, row, names)
			if err != nil {
				return nil, err
			}
			values = ordered
		}
		t, err := tensorOf(in, values)
		return []fairlead.Tensor{t}, err
	}
	var out []fairlead.Tensor
	for _, in := range r.graph.inputs {
		one, err := order(f, row, []string{in.name})
		if err != nil {
			return nil, err
		}
		t, err := tensorOf(in, one)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func (r *reader) features(name string) []string {
	for _, in := range r.yaml.Inputs {
		if in.Name == name {
			return in.Features
		}
	}
	return nil
}

func order(f frame, row int, names []string) ([]any, error) {
	out := make([]any, len(names))
	for i, name := range names {
		at := slices.Index(f.columns, name)
		if at < 0 {
			return nil, fmt.Errorf("it has no column %q", name)
		}
		out[i] = f.rows[row][at]
	}
	return out, nil
}

// tensorOf makes one row of an input: its free dimensions are 1, but for one that takes what is left.
func tensorOf(in value, values []any) (fairlead.Tensor, error) {
	t := fairlead.Tensor{Name: in.name, Type: kinds[in.kind], Shape: slices.Clone(in.shape)}
	if t.Type == "" || in.shape == nil {
		return t, fmt.Errorf("the graph does not say the type and shape of %s", in.name)
	}
	known, free := int64(1), -1
	for i, d := range t.Shape {
		switch {
		case d >= 0:
			known *= d
		case i == 0:
			t.Shape[0] = 1
		default:
			if free >= 0 {
				t.Shape[free] = 1
			}
			free = i
		}
	}
	if free >= 0 && known > 0 {
		t.Shape[free] = int64(len(values)) / known
	}
	if fairlead.Elements(t.Shape) != int64(len(values)) {
		return t, fmt.Errorf("a row has %d values, %s is %s", len(values), in.name, fairlead.ShapeString(in.shape))
	}
	// As golden.json has them: its reader knows every type.
	text, err := json.Marshal(map[string]any{"cases": []any{map[string]any{
		"inputs":  []any{map[string]any{"name": t.Name, "datatype": t.Type, "shape": t.Shape, "data": flatten(nil, values, 0)}},
		"outputs": []any{},
	}}})
	if err != nil {
		return t, err
	}
	g, err := bundle.ParseGolden(text)
	if err != nil {
		return t, err
	}
	return g.Cases[0].Inputs[0], nil
}

// reference writes the example as the reference data.
func (r *reader) reference(f frame) error {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := w.Write(f.columns); err != nil {
		return err
	}
	for _, row := range f.rows {
		cells := make([]string, len(row))
		for i, v := range row {
			if v != nil {
				cells[i] = fmt.Sprint(v)
			}
		}
		if err := w.Write(cells); err != nil {
			return err
		}
	}
	w.Flush()
	r.out.Files["reference.csv"], r.yaml.Reference = out.Bytes(), "reference.csv"
	r.note("the %d rows of the input example are the reference: give more with `fairlead push --reference` if they are not typical", len(f.rows))
	return w.Error()
}
