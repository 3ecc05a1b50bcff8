package codec

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// flights has named features of two types, and dense takes one plain tensor.
var (
	flights = NewSchema(&fairlead.Signature{Inputs: []fairlead.TensorSpec{
		{Name: "numbers", Type: fairlead.FP32, Shape: []int64{-1, 3}, Features: []string{"hour", "weekday", "distance"}},
		{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
		{Name: "seats", Type: fairlead.Int64, Shape: []int64{-1}},
	}})
	dense = NewSchema(&fairlead.Signature{Inputs: []fairlead.TensorSpec{
		{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}},
	}})
)

func TestDecodeTensors(t *testing.T) {
	nan := math.NaN()
	for body, want := range map[string]fairlead.Tensor{
		`{"name":"x","datatype":"FP32","shape":[2,2],"data":[1,2.5,-3e-2,0]}`:               {Name: "x", Type: "FP32", Shape: []int64{2, 2}, Data: []float32{1, 2.5, -0.03, 0}},
		`{"data" : [ [1 , 2] , [3 , 4] ] , "shape":[2,2],"datatype":"FP32","name":"x"}`:     {Name: "x", Type: "FP32", Shape: []int64{2, 2}, Data: []float32{1, 2, 3, 4}},
		`{"name":"x","datatype":"FP32","shape":[4],"data":[[1,2],[3,4]]}`:                   {Name: "x", Type: "FP32", Shape: []int64{4}, Data: []float32{1, 2, 3, 4}},
		`{"name":"x","datatype":"FP64","shape":[3],"data":[NaN,Infinity,-Infinity]}`:        {Name: "x", Type: "FP64", Shape: []int64{3}, Data: []float64{nan, math.Inf(1), math.Inf(-1)}},
		`{"name":"x","datatype":"FP16","shape":[2],"data":[1,-2]}`:                          {Name: "x", Type: "FP16", Shape: []int64{2}, Data: []uint16{0x3c00, 0xc000}},
		`{"name":"x","datatype":"BF16","shape":[2],"data":[1,-2]}`:                          {Name: "x", Type: "BF16", Shape: []int64{2}, Data: []uint16{0x3f80, 0xc000}},
		`{"name":"x","datatype":"BOOL","shape":[2],"data":[true,false]}`:                    {Name: "x", Type: "BOOL", Shape: []int64{2}, Data: []bool{true, false}},
		`{"name":"x","datatype":"INT8","shape":[2],"data":[-128,127]}`:                      {Name: "x", Type: "INT8", Shape: []int64{2}, Data: []int8{-128, 127}},
		`{"name":"x","datatype":"INT16","shape":[1],"data":[-32768]}`:                       {Name: "x", Type: "INT16", Shape: []int64{1}, Data: []int16{-32768}},
		`{"name":"x","datatype":"INT32","shape":[1],"data":[-2147483648]}`:                  {Name: "x", Type: "INT32", Shape: []int64{1}, Data: []int32{math.MinInt32}},
		`{"name":"x","datatype":"INT64","shape":[1],"data":[9007199254740993]}`:             {Name: "x", Type: "INT64", Shape: []int64{1}, Data: []int64{9007199254740993}},
		`{"name":"x","datatype":"UINT8","shape":[1],"data":[255]}`:                          {Name: "x", Type: "UINT8", Shape: []int64{1}, Data: []uint8{255}},
		`{"name":"x","datatype":"UINT16","shape":[1],"data":[65535]}`:                       {Name: "x", Type: "UINT16", Shape: []int64{1}, Data: []uint16{65535}},
		`{"name":"x","datatype":"UINT32","shape":[1],"data":[4294967295]}`:                  {Name: "x", Type: "UINT32", Shape: []int64{1}, Data: []uint32{math.MaxUint32}},
		`{"name":"x","datatype":"UINT64","shape":[1],"data":[18446744073709551615]}`:        {Name: "x", Type: "UINT64", Shape: []int64{1}, Data: []uint64{math.MaxUint64}},
		`{"name":"x","datatype":"BYTES","shape":[2,1],"data":["a\n\u00e5\ud83d\ude00",""]}`: {Name: "x", Type: "BYTES", Shape: []int64{2, 1}, Data: []string{"a\nå😀", ""}},
		`{"name":"x","datatype":"BYTES","shape":[2],"data":["\ud800x",{"b64":"AP8="}]}`:     {Name: "x", Type: "BYTES", Shape: []int64{2}, Data: []string{"\ufffdx", "\x00\xff"}},
		`{"name":"x","datatype":"FP32","shape":[],"data":[7]}`:                              {Name: "x", Type: "FP32", Shape: []int64{}, Data: []float32{7}},
		`{"name":"x","datatype":"FP32","shape":[0,2],"data":[]}`:                            {Name: "x", Type: "FP32", Shape: []int64{0, 2}, Data: []float32{}},
	} {
		r, err := Decode([]byte(`{"inputs":[`+body+`]}`), dense)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if got := r.Inputs[0]; fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
			t.Errorf("%s\n got %#v\nwant %#v", body, got, want)
		}
	}
}

func TestDecodeEnvelope(t *testing.T) {
	body := `{"id":"r-1","parameters":{"event_time":"2001-03-01T06:55:00-05:00","entity_key":7,"tags":"a=1, b=x=y","deadline":"50ms","n":1.5,"ok":true},
		"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"parameters":{"content_type":"np"},"data":[1,2]}],
		"outputs":[{"name":"y","parameters":{"binary_data":false}},{"name":"z"}],
		"rows":[{"id":"b-1","time":"2001-03-01T07:00:00Z","key":"N1","tags":{"desk":"3"}},{"id":null}], "unknown":[{"a":[1]}] }  `
	r, err := Decode([]byte(body), dense)
	if err != nil {
		t.Fatal(err)
	}
	want := &Request{
		ID: "r-1",
		Parameters: map[string]any{"event_time": "2001-03-01T06:55:00-05:00", "entity_key": int64(7), "tags": "a=1, b=x=y",
			"deadline": "50ms", "n": 1.5, "ok": true},
		Meta: Meta{Time: time.Date(2001, 3, 1, 11, 55, 0, 0, time.UTC), Key: "7",
			Tags: map[string]string{"a": "1", "b": "x=y"}, Deadline: 50 * time.Millisecond},
		Inputs:  []fairlead.Tensor{{Name: "x", Type: "FP32", Shape: []int64{1, 2}, Data: []float32{1, 2}}},
		Outputs: []string{"y", "z"}, OutputOptions: []OutputOption{{Name: "y"}, {Name: "z"}},
		Rows: []fairlead.RowMeta{{ID: "b-1", Time: time.Date(2001, 3, 1, 7, 0, 0, 0, time.UTC), Key: "N1",
			Tags: map[string]string{"desk": "3"}}, {}},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeInstances(t *testing.T) {
	r, err := Decode([]byte(`{"instances":[
		{"hour":7,"weekday":1,"distance":733.5,"origin":"ATL","seats":100},
		{"seats":200.0,"origin":null,"distance":null,"weekday":true,"hour":0},
		{"numbers":[1,2,3],"origin":["ORD"],"seats":3}]}`), flights)
	if err != nil {
		t.Fatal(err)
	}
	want := []fairlead.Tensor{
		{Name: "numbers", Type: "FP32", Shape: []int64{3, 3},
			Data: []float32{7, 1, 733.5, 0, 1, float32(math.NaN()), 1, 2, 3}},
		{Name: "origin", Type: "BYTES", Shape: []int64{3, 1}, Data: []string{"ATL", "", "ORD"}},
		{Name: "seats", Type: "INT64", Shape: []int64{3}, Data: []int64{100, 200, 3}},
	}
	if got := fmt.Sprintf("%#v", r.Inputs); got != fmt.Sprintf("%#v", want) {
		t.Errorf("got  %v\nwant %#v", got, want)
	}
	for body, want := range map[string][]float32{
		`{"instances":[[1,2],[3,4]]}`:             {1, 2, 3, 4},
		`{"instances":[{"x":[1,2]},{"x":[3,4]}]}`: {1, 2, 3, 4},
	} {
		r, err := Decode([]byte(body), dense)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if got := r.Inputs[0].Data; !reflect.DeepEqual(got, want) || r.Inputs[0].Shape[0] != 2 {
			t.Errorf("%s: %v of shape %v", body, got, r.Inputs[0].Shape)
		}
	}
	// Free dimensions are those of the first row.
	image := NewSchema(&fairlead.Signature{Inputs: []fairlead.TensorSpec{
		{Name: "image", Type: fairlead.Uint8, Shape: []int64{-1, -1, 2}}}})
	r, err = Decode([]byte(`{"instances":[[[1,2],[3,4],[5,6]],[[7,8],[9,10],[11,12]]]}`), image)
	if err != nil || fmt.Sprint(r.Inputs[0].Shape) != "[2 3 2]" {
		t.Errorf("image: %v %v", r, err)
	}
}

// TestErrors reads testdata/errors.txt: bodies and what is said about them. `go test -update` rewrites the answers.
func TestErrors(t *testing.T) {
	const path = "testdata/errors.txt"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	schemas := map[string]*Schema{"dense": dense, "flights": flights}
	for line := range strings.Lines(string(old)) {
		if !strings.HasPrefix(line, "dense ") && !strings.HasPrefix(line, "flights ") {
			if !strings.HasPrefix(line, "    ") {
				out.WriteString(line)
			}
			continue
		}
		out.WriteString(line)
		schema, body, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		body = strings.NewReplacer("<101 brackets>", strings.Repeat("[", 101), "<ff>", "\xff", "<tab>", "\t").Replace(body)
		header := -1
		if at := strings.LastIndex(body, " + "); at >= 0 {
			blobs, err := strconv.Atoi(body[at+len(" + "):])
			if err == nil {
				header, body = at, body[:at]+strings.Repeat("\x01", blobs)
			}
		}
		_, err := DecodeInfer([]byte(body), header, schemas[schema])
		code := fairlead.CodeOf(err)
		if code != fairlead.CodeInvalid && code != fairlead.CodeUnsupported {
			t.Errorf("%s: code %q (%v)", line, code, err)
		}
		if err == nil {
			continue
		}
		e := err.(*fairlead.Error)
		fmt.Fprintf(&out, "    %s\n", e.Message)
		if e.Hint != "" {
			fmt.Fprintf(&out, "    hint: %s\n", e.Hint)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(old), out.String()); diff != "" {
		t.Errorf("the messages changed; if that is right, run go test -update\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	old, err := os.ReadFile("testdata/errors.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(old)) {
		if _, body, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			f.Add([]byte(body))
		}
	}
	f.Add([]byte(`{"instances":[{"hour":7,"weekday":1,"distance":733.5,"origin":"ATL","seats":100}]}`))
	f.Add([]byte(`{"inputs":[{"name":"x","datatype":"FP32","shape":[2,2],"data":[[1,2],[3,4]]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for i, schema := range []*Schema{dense, flights, dense, flights} {
			decode := Decode
			if i >= 2 {
				decode = DecodeRows
			}
			r, err := decode(body, schema)
			if err != nil {
				if c := fairlead.CodeOf(err); c != fairlead.CodeInvalid && c != fairlead.CodeUnsupported {
					t.Fatalf("code %s: %v", c, err)
				}
				continue
			}
			for _, in := range r.Inputs {
				if int64(in.Len()) != fairlead.Elements(in.Shape) {
					t.Fatalf("%d values of shape %v", in.Len(), in.Shape)
				}
			}
		}
	})
}

// FuzzRoundTrip encodes what was decoded and decodes it again.
func FuzzRoundTrip(f *testing.F) {
	f.Add("a\"\\\n\x00å\u2028", float32(1e-7), int64(-5), 1e300)
	f.Add("\xff\xfe", float32(math.Inf(1)), int64(math.MinInt64), math.NaN())
	f.Fuzz(func(t *testing.T, s string, f32 float32, i int64, f64 float64) {
		outputs := []fairlead.Tensor{
			{Name: s, Type: fairlead.Bytes, Shape: []int64{1}, Data: []string{s}},
			{Name: "f32", Type: fairlead.FP32, Shape: []int64{1, 1}, Data: []float32{f32}},
			{Name: "i", Type: fairlead.Int64, Shape: []int64{1}, Data: []int64{i}},
			{Name: "f64", Type: fairlead.FP64, Shape: []int64{1}, Data: []float64{f64}},
		}
		body := AppendInfer(nil, &Answer{ID: "1", Outputs: outputs})
		body = []byte(strings.Replace(string(body), `"outputs":[`, `"inputs":[`, 1))
		r, err := Decode(body, dense)
		if s == "" || s == "f32" || s == "i" || s == "f64" {
			return // no name, or twice the same
		}
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if got := r.Inputs[0].Data.([]string)[0]; got != strings.ToValidUTF8(s, "\ufffd") && len(got) == len(s) {
			t.Errorf("%q came back as %q", s, got)
		}
		if got := r.Inputs[1].Data.([]float32)[0]; math.Float32bits(got) != math.Float32bits(f32) && got == got {
			t.Errorf("%v came back as %v", f32, got)
		}
		if got := r.Inputs[2].Data.([]int64)[0]; got != i {
			t.Errorf("%d came back as %d", i, got)
		}
		if got := r.Inputs[3].Data.([]float64)[0]; math.Float64bits(got) != math.Float64bits(f64) && got == got {
			t.Errorf("%v came back as %v", f64, got)
		}
	})
}

func TestEncode(t *testing.T) {
	a := &Answer{
		ID: "r", Model: "flights", Version: "3", RowIDs: []string{"r.0", "r.1"},
		Outputs: []fairlead.Tensor{
			{Name: "p", Type: fairlead.FP32, Shape: []int64{2, 2}, Data: []float32{0.1, 0.9, 1e-7, float32(math.NaN())}},
			{Name: "label", Type: fairlead.Bytes, Shape: []int64{2}, Data: []string{"on \"time\"\u0001", "a\\b\xff"}},
		},
	}
	if got, want := string(AppendInfer(nil, a)), `{"model_name":"flights","model_version":"3","id":"r",`+
		`"parameters":{"prediction_id":"r"},"outputs":[{"name":"p","datatype":"FP32","shape":[2,2],"data":[0.1,0.9,1e-07,NaN]},`+
		`{"name":"label","datatype":"BYTES","shape":[2],"data":["on \"time\"\u0001","a\\b`+"\ufffd"+`"]}]}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	body, err := AppendPredictions(nil, a)
	if got, want := string(body), `{"predictions":[{"p":[0.1,0.9],"label":"on \"time\"\u0001"},{"p":[1e-07,NaN],"label":"a\\b`+"\ufffd"+`"}],`+
		`"ids":["r.0","r.1"],"id":"r","model_name":"flights","model_version":"3"}`; err != nil || got != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	a.Outputs = []fairlead.Tensor{{Name: "y", Type: fairlead.Int8, Shape: []int64{2, 1, 2}, Data: []int8{1, 2, 3, 4}}}
	body, err = AppendPredictions(nil, a)
	if err != nil || !json.Valid(body) || !strings.Contains(string(body), `"predictions":[[[1,2]],[[3,4]]]`) {
		t.Errorf("%s, %v", body, err)
	}
	a.Outputs[0] = fairlead.Tensor{Name: "mean", Type: fairlead.FP32, Shape: []int64{}, Data: []float32{1}}
	if _, err = AppendPredictions(nil, a); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("a scalar output: %v", err)
	}
}
