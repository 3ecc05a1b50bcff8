package importer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Tolerance of the model zoo's answers: they were computed by other software, on other machines. 1e-3 is what ONNX's own
// test runner allows.
const (
	zooAbsolute = 1e-5
	zooRelative = 1e-3
)

// maxDataSets bounds the data sets that become golden vectors.
const maxDataSets = 16

// dataSets makes golden vectors of test_data_set_0, test_data_set_1, … beside the model.
func (r *reader) dataSets(dir string) error {
	golden := &bundle.Golden{Absolute: zooAbsolute, Relative: zooRelative}
	size := 0
	for i := range maxDataSets {
		folder := path.Join(dir, fmt.Sprintf("test_data_set_%d", i))
		if _, err := fs.Stat(r.fsys, folder); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		c, err := r.dataSet(folder)
		var left *leftOut
		if errors.As(err, &left) {
			r.note("%s is left out: %s", folder, left.why)
			continue
		}
		if err != nil {
			return err
		}
		text, err := json.Marshal(&bundle.Golden{Cases: []bundle.GoldenCase{c}})
		if err != nil {
			return err
		}
		if size += len(text); size > bundle.MaxGolden/2 {
			r.note("%s and later data sets are left out: golden vectors have at most %d MiB", folder, bundle.MaxGolden>>21)
			break
		}
		golden.Cases = append(golden.Cases, c)
	}
	if len(golden.Cases) == 0 {
		return nil
	}
	r.out.Kind = "ONNX model with data sets, as in the model zoo"
	r.note("%d data sets are golden vectors now, with a tolerance of %g + %g·|expected|", len(golden.Cases), zooAbsolute, zooRelative)
	return r.golden(golden)
}

func (r *reader) golden(g *bundle.Golden) error {
	text, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("write %s: %w", bundle.GoldenFile, err)
	}
	r.out.Files[bundle.GoldenFile] = text
	return nil
}

// leftOut is a data set that cannot be a golden vector, and why.
type leftOut struct{ why string }

func (e *leftOut) Error() string { return e.why }

// dataSet reads input_N.pb and output_N.pb.
func (r *reader) dataSet(folder string) (c bundle.GoldenCase, err error) {
	if c.Inputs, err = r.tensors(folder, "input", r.graph.inputs); err != nil {
		return c, err
	}
	if c.Outputs, err = r.tensors(folder, "output", r.graph.outputs); err != nil {
		return c, err
	}
	if len(c.Inputs) != len(r.graph.inputs) {
		return c, &leftOut{fmt.Sprintf("it has %d inputs, the model %d", len(c.Inputs), len(r.graph.inputs))}
	}
	if len(c.Outputs) == 0 {
		return c, &leftOut{"it has no outputs"}
	}
	return c, nil
}

// tensors reads the files of one side in their order. They belong to the graph's values in that order, unless they have
// the name of one.
func (r *reader) tensors(folder, side string, values []value) ([]fairlead.Tensor, error) {
	var out []fairlead.Tensor
	for i := range values {
		name := fmt.Sprintf("%s/%s_%d.pb", folder, side, i)
		raw, err := r.read(name, bundle.MaxModel)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		if values[i].kind == 0 {
			return nil, &leftOut{fmt.Sprintf("%s %s is a sequence, a map or optional", side, values[i].name)}
		}
		t, err := readTensor(raw)
		if err != nil {
			return nil, &leftOut{fmt.Sprintf("%s does not read: %v", path.Base(name), err)}
		}
		t.Name = r.named(t.Name, i, values)
		if fairlead.Find(out, t.Name) != nil {
			return nil, &leftOut{fmt.Sprintf("it has two of %s %s", side, t.Name)}
		}
		out = append(out, t)
	}
	return out, nil
}

func (r *reader) named(name string, i int, values []value) string {
	for _, v := range values {
		if v.name == name && name != "" {
			return name
		}
	}
	return values[i].name
}

// isDataSet tells the files of data sets from others.
func isDataSet(name string) bool {
	return strings.HasPrefix(path.Base(path.Dir(name)), "test_data_set_")
}
