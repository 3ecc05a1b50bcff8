package bundle

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead-ml/fairlead"
)

// every holds a tensor of each type, with its awkward values.
func every() *Golden {
	var in []fairlead.Tensor
	for _, data := range []struct {
		kind fairlead.DataType
		data any
	}{
		{fairlead.Bool, []bool{true, false}},
		{fairlead.Int8, []int8{-128, 127}},
		{fairlead.Int16, []int16{-32768, 32767}},
		{fairlead.Int32, []int32{math.MinInt32, math.MaxInt32}},
		{fairlead.Int64, []int64{math.MinInt64, math.MaxInt64}},
		{fairlead.Uint8, []uint8{0, 255}},
		{fairlead.Uint16, []uint16{0, 65535}},
		{fairlead.Uint32, []uint32{0, math.MaxUint32}},
		{fairlead.Uint64, []uint64{0, math.MaxUint64}},
		{fairlead.FP16, []uint16{0x3c00, 0x7c00}},
		{fairlead.BF16, []uint16{0x3f80, 0xff80}},
		{fairlead.FP32, []float32{0.1, float32(math.NaN())}},
		{fairlead.FP64, []float64{0.1, math.Inf(-1)}},
		{fairlead.Bytes, []string{"NaN", "\xff\x00"}},
	} {
		in = append(in, fairlead.Tensor{Name: "x" + string(data.kind), Type: data.kind, Shape: []int64{2, 1}, Data: data.data})
	}
	scalar := fairlead.Tensor{Name: "y", Type: fairlead.FP32, Shape: []int64{}, Data: []float32{1e-45}}
	return &Golden{Absolute: 0.5, Relative: 0, Cases: []GoldenCase{{Inputs: in, Outputs: []fairlead.Tensor{scalar}}}}
}

func TestGoldenRoundTrip(t *testing.T) {
	want := every()
	src := FromModel("m", []byte("graph"))
	src.Golden = want
	b, err := Seal(src, fairlead.Signature{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := Unseal(b.Raw, fetcher(b))
	if err != nil {
		t.Fatal(err)
	}
	got, err := opened.Golden()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateNaNs()); d != "" {
		t.Error(d)
	}
	last := opened.Manifest.Layers[len(opened.Manifest.Layers)-1]
	if last.MediaType != TypeDataset || last.Annotations[filePath] != "golden.json" {
		t.Errorf("%+v", last)
	}
	src.Golden.Relative = 1
	if other, err := Seal(src, fairlead.Signature{}, nil, nil); err != nil || other.Digest == b.Digest {
		t.Errorf("other golden vectors, the same digest (%v)", err)
	}
	if none, err := sealed(t, nil).Golden(); none != nil || err != nil {
		t.Errorf("%+v, %v", none, err)
	}
}

// A person writes golden.json by hand: nested data, no tolerance.
func TestReadGolden(t *testing.T) {
	files := map[string]string{"fairlead.yaml": "name: a", "model.onnx": "graph", GoldenFile: `{"cases":[{
		"inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[[1,2],[3,4.5]]}],
		"outputs":[{"name":"y","datatype":"INT64","shape":[2],"data":[0,1]}]}]}`}
	src, err := Read(folderOf(files))
	if err != nil {
		t.Fatal(err)
	}
	want := &Golden{Absolute: DefaultAbsolute, Relative: DefaultRelative, Cases: []GoldenCase{{
		Inputs:  []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{2, 2}, Data: []float32{1, 2, 3, 4.5}}},
		Outputs: []fairlead.Tensor{{Name: "y", Type: fairlead.Int64, Shape: []int64{2}, Data: []int64{0, 1}}},
	}}}
	if d := cmp.Diff(want, src.Golden); d != "" {
		t.Error(d)
	}
	packed, err := Tar(folderOf(files))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := ReadTar(strings.NewReader(string(packed)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(src, unpacked); d != "" {
		t.Error(d)
	}
	sig := fairlead.Signature{Inputs: []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"a", "b"}}}}
	b, err := Seal(src, sig, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	instance, ok := b.Instance()
	text, err := json.Marshal(instance)
	if !ok || err != nil || string(text) != `{"a":1,"b":2}` {
		t.Errorf("the first row is %s, %v", text, err)
	}
	if row := b.Example(); len(row) != 1 || row[0].Rows() != 1 {
		t.Errorf("%+v", row)
	}
}

const goldenCase = `{"cases":[{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]}],"outputs":[{"name":"y","datatype":"INT8","shape":[2],"data":[1,2]}]}]}`

func TestGoldenBad(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"not json":       {`{"cases"`, `{cases`, "golden.json: "},
		"unknown key":    {`{"cases"`, `{"cse":1,"cases"`, `unknown field "cse"`},
		"trailing":       {`]}]}]}`, `]}]}]} {}`, "something after the end"},
		"no cases":       {goldenCase, `{"cases":[]}`, "it has 0 cases"},
		"type":           {"INT8", "INT9", `tensor "y" has the datatype "INT9", which does not exist`},
		"shape":          {`"shape":[2]`, `"shape":[3]`, `tensor "y" has shape [3] and 2 values`},
		"negative shape": {`"shape":[2]`, `"shape":[-2]`, `tensor "y" has shape [?] and 2 values`},
		"huge shape":     {`"shape":[2]`, `"shape":[4294967296,4294967296]`, `and 2 values`},
		"range":          {`[1,2]`, `[1,200]`, `value 1 is 200, which is not a INT8`},
		"fraction":       {`[1,2]`, `[1,2.5]`, `value 1 is 2.5, which is not a INT8`},
		"text":           {`[1,2]`, `[1,"2"]`, `value 1 is 2, which is not a INT8`},
		"null":           {`[1,2]`, `[1,null]`, `value 1 is <nil>, which is not a INT8`},
		"no list":        {`"data":[1]`, `"data":1`, "data is not a list"},
		"tolerance":      {`{"cases"`, `{"tolerance":{"absolute":-1},"cases"`, "the tolerance is negative"},
	} {
		_, err := ParseGolden([]byte(strings.Replace(goldenCase, c.old, c.new, 1)))
		if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func FuzzParseGolden(f *testing.F) {
	all, err := json.Marshal(every())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(all)
	f.Add([]byte(goldenCase))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := ParseGolden(b)
		if err != nil {
			return
		}
		text, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseGolden(text)
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if d := cmp.Diff(g, again, cmpopts.EquateNaNs()); d != "" {
			t.Error(d)
		}
	})
}
