package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/google/go-cmp/cmp"
)

func le32(fs ...float32) []byte {
	var b []byte
	for _, f := range fs {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

// TestBinaryRequest is what tritonclient sends: binary inputs between one in JSON, outputs asked for in both forms.
func TestBinaryRequest(t *testing.T) {
	head := `{"id":"7","inputs":[
		{"name":"a","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},
		{"name":"b","shape":[2],"datatype":"INT64","data":[1,-2]},
		{"parameters":{"binary_data_size":13},"name":"c","shape":[3],"datatype":"BYTES"},
		{"name":"d","shape":[0],"datatype":"FP32","parameters":{"binary_data_size":0}}],
		"outputs":[{"name":"p","parameters":{"binary_data":false}},{"name":"q"},{"name":"r","parameters":{"binary_data":true,"classification":3}}],
		"parameters":{"binary_data_output":true,"priority":2,"timeout":2500}}`
	blobs := append(le32(1.5, -2), "\x01\x00\x00\x00x\x00\x00\x00\x00\x00\x00\x00\x00"...)
	r, err := DecodeInfer(append([]byte(head), blobs...), len(head), dense)
	if err != nil {
		t.Fatal(err)
	}
	want := &Request{
		ID:         "7",
		Parameters: map[string]any{"binary_data_output": true, "priority": int64(2), "timeout": int64(2500)},
		Meta:       Meta{Priority: 2, Deadline: 2500 * time.Microsecond},
		Inputs: []fairlead.Tensor{
			{Name: "a", Type: "FP32", Shape: []int64{1, 2}, Data: []float32{1.5, -2}},
			{Name: "b", Type: "INT64", Shape: []int64{2}, Data: []int64{1, -2}},
			{Name: "c", Type: "BYTES", Shape: []int64{3}, Data: []string{"x", "", ""}},
			{Name: "d", Type: "FP32", Shape: []int64{0}, Data: []float32{}},
		},
		Outputs:       []string{"p", "q", "r"},
		OutputOptions: []OutputOption{{Name: "p"}, {Name: "q", Binary: true}, {Name: "r", Binary: true, Classes: 3}},
		BinaryOutputs: true,
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}

// TestScheduleParameters: Fairlead's deadline wins over the protocol's timeout, and 0 is none of either.
func TestScheduleParameters(t *testing.T) {
	for parameters, want := range map[string]Meta{
		`{"timeout":1000000,"deadline":"50ms"}`:          {Deadline: 50 * time.Millisecond},
		`{"timeout":0,"priority":0}`:                     {},
		`{"timeout":9223372036854775807}`:                {Deadline: math.MaxInt64 / 1000 * time.Microsecond},
		`{"sequence_id":0,"sequence_start":false}`:       {},
		`{"sequence_id":"","entity_key":"N1"}`:           {Key: "N1"},
		`{"priority":1,"event_time":null,"x":"triton_"}`: {},
	} {
		r, err := Decode([]byte(`{"inputs":[],"parameters":`+parameters+`}`), dense)
		if strings.Contains(parameters, "null") {
			if err == nil {
				t.Errorf("%s: null was taken", parameters)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", parameters, err)
			continue
		}
		if diff := cmp.Diff(want, r.Meta); diff != "" {
			t.Errorf("%s: %s", parameters, diff)
		}
	}
}

// TestRawRequest: Inference-Header-Content-Length: 0, the body is the input.
func TestRawRequest(t *testing.T) {
	for _, c := range []struct {
		shape []int64
		dt    fairlead.DataType
		body  string
		want  string // the shape, or part of the error
	}{
		{[]int64{-1, 2}, "FP32", "12345678", "[1 2]"},
		{[]int64{-1}, "FP32", "12345678", "[2]"},
		{[]int64{2, 2}, "INT8", "1234", "[2 2]"},
		{[]int64{-1, -1, 2}, "INT16", "123456789012", "[1 3 2]"},
		{[]int64{-1, 1}, "BYTES", "any text", "[1 1]"},
		{[]int64{-1}, "BYTES", "", "[1]"},
		{[]int64{-1, 2}, "FP32", "1234567890123456", "which is 8 bytes, but 16 came"},
		{[]int64{-1, 2}, "FP32", "", "which is 8 bytes, but 0 came"},
		{[]int64{-1, -1}, "FP32", "123456", "which is 4 bytes, but 6 came"},
		{[]int64{-1, -1, -1}, "FP32", "1234", "The shape of the raw input 'x' can not be deduced because there are more than one variable-sized dimension"},
		{nil, "FP32", "1234", "can not be deduced"},
		{[]int64{-1, 2}, "BYTES", "text", "For BYTE datatype raw input 'x', the model must have input shape [1]"},
		{[]int64{-1, -1}, "BYTES", "text", "must have input shape [1]"},
		{[]int64{-1, -1, 0}, "FP32", "", "[1 0 0]"},
	} {
		s := NewSchema(&fairlead.Signature{Inputs: []fairlead.TensorSpec{{Name: "x", Type: c.dt, Shape: c.shape}}})
		r, err := DecodeInfer([]byte(c.body), 0, s)
		if err != nil {
			if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v %s of %q: %v", c.shape, c.dt, c.body, err)
			}
			continue
		}
		in := &r.Inputs[0]
		if got := fmt.Sprint(in.Shape); got != c.want || !r.BinaryOutputs || in.Name != "x" {
			t.Errorf("%v %s of %q: %s, %+v", c.shape, c.dt, c.body, got, r)
		}
		if sent := AppendBinary(nil, in); c.dt != fairlead.Bytes && string(sent) != c.body || c.dt == fairlead.Bytes && string(sent[4:]) != c.body {
			t.Errorf("%v %s of %q became %q", c.shape, c.dt, c.body, sent)
		}
	}
	flights.Model = "flights"
	defer func() { flights.Model = "" }()
	_, err := DecodeInfer([]byte("x"), 0, flights)
	if err == nil || !strings.Contains(err.Error(), "Raw request must only have 1 input (found 1) to be deduced but got 3 inputs in 'flights' model configuration") {
		t.Errorf("three inputs: %v", err)
	}
	_, err = DecodeInfer([]byte(`{"inputs":[]}1`), 13, flights)
	if err == nil || !strings.Contains(err.Error(), "unexpected additional input data for model 'flights'") {
		t.Errorf("one byte too many: %v", err)
	}
	for _, header := range []int{-2, 14} {
		if _, err := DecodeInfer([]byte(`{"inputs":[]}`), header, flights); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("header %d: %v", header, err)
		}
	}
}

// TestBinaryAnswer reads answers back as a client does.
func TestBinaryAnswer(t *testing.T) {
	a := &Answer{ID: "r", Model: "m", Version: "3", Outputs: []fairlead.Tensor{
		{Name: "p", Type: "FP32", Shape: []int64{2}, Data: []float32{1, 2}},
		{Name: "q", Type: "BYTES", Shape: []int64{1}, Data: []string{"ab"}},
		{Name: "e", Type: "FP32", Shape: []int64{0, 4}, Data: []float32{}},
	}}
	const start = `{"model_name":"m","model_version":"3","id":"r","parameters":{"prediction_id":"r"},"outputs":[`
	for _, c := range []struct {
		request *Request
		json    string
		blobs   string
	}{
		{nil, `{"name":"p","datatype":"FP32","shape":[2],"data":[1,2]},{"name":"q","datatype":"BYTES","shape":[1],"data":["ab"]},` +
			`{"name":"e","datatype":"FP32","shape":[0,4],"data":[]}`, ""},
		{&Request{BinaryOutputs: true}, `{"name":"p","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}},` +
			`{"name":"q","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}},` +
			`{"name":"e","datatype":"FP32","shape":[0,4],"parameters":{"binary_data_size":0}}`, string(le32(1, 2)) + "\x02\x00\x00\x00ab"},
		{&Request{OutputOptions: []OutputOption{{Name: "p"}, {Name: "q", Binary: true}, {Name: "e"}}, BinaryOutputs: true},
			`{"name":"p","datatype":"FP32","shape":[2],"data":[1,2]},{"name":"q","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}},` +
				`{"name":"e","datatype":"FP32","shape":[0,4],"data":[]}`, "\x02\x00\x00\x00ab"},
		{&Request{OutputOptions: []OutputOption{{Name: "e", Binary: true}}},
			`{"name":"p","datatype":"FP32","shape":[2],"data":[1,2]},{"name":"q","datatype":"BYTES","shape":[1],"data":["ab"]},` +
				`{"name":"e","datatype":"FP32","shape":[0,4],"parameters":{"binary_data_size":0}}`, ""},
	} {
		out, n := AppendInferBody([]byte("before"), c.request, a)
		out = out[len("before"):]
		if want := start + c.json + "]}" + c.blobs; string(out) != want {
			t.Errorf("got  %q\nwant %q", out, want)
		}
		if wantLen := len(start + c.json + "]}"); c.blobs == "" && n != -1 || c.blobs != "" && n != wantLen {
			t.Errorf("%d bytes of JSON are said, not %d", n, wantLen)
		}
	}
}

// TestSharedMemory: a large aligned input shares the body's memory if that is allowed, and never else.
func TestSharedMemory(t *testing.T) {
	const n = shareFrom / 4
	head := fmt.Sprintf(`{"inputs":[{"name":"x","datatype":"FP32","shape":[%d],"parameters":{"binary_data_size":%d}}]}`, n, 4*n)
	for shift := range 4 {
		buffer := make([]byte, 64+len(head)+4*n)
		body := buffer[BodyOffset(len(head))+shift:]
		body = append(append(body[:0], head...), make([]byte, 4*n)...)
		copied, err := DecodeInfer(body, len(head), dense)
		if err != nil {
			t.Fatal(err)
		}
		owned, err := DecodeInferOwned(body, len(head), dense)
		if err != nil {
			t.Fatal(err)
		}
		if copied.KeepsBody || owned.KeepsBody != (littleEndian && shift == 0) {
			t.Errorf("shift %d: copied says %v, owned says %v", shift, copied.KeepsBody, owned.KeepsBody)
		}
		copy(body[len(head):], le32(42))
		if got := copied.Inputs[0].Data.([]float32)[0]; got != 0 {
			t.Errorf("shift %d: a copy changed with the body: %v", shift, got)
		}
		if got := owned.Inputs[0].Data.([]float32)[0]; (got == 42) != owned.KeepsBody {
			t.Errorf("shift %d: KeepsBody is %v, but the value is %v", shift, owned.KeepsBody, got)
		}
	}
}

func TestClassify(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		t       fairlead.Tensor
		k       int
		classes []string
		shape   string
		want    []string
	}{
		{fairlead.Tensor{Type: "FP32", Shape: []int64{2, 3}, Data: []float32{0.1, 0.7, 0.2, nan, -1, 5}}, 2, []string{"cat", "", "dog"},
			"[2 2]", []string{"0.700000:1", "0.200000:2:dog", "5.000000:2:dog", "-1.000000:1"}},
		{fairlead.Tensor{Type: "INT32", Shape: []int64{1, 2, 2}, Data: []int32{7, -7, 8, 7}}, 9, nil,
			"[1 4]", []string{"8:2", "7:0", "7:3", "-7:1"}},
		{fairlead.Tensor{Type: "FP16", Shape: []int64{1, 2}, Data: []uint16{0x3c00, 0x4000}}, 1, nil, "[1 1]", []string{"2.000000:1"}},
		{fairlead.Tensor{Type: "FP64", Shape: []int64{2}, Data: []float64{math.Inf(1), math.NaN()}}, 1, nil, "[2 1]", []string{"inf:0", "nan:0"}},
		{fairlead.Tensor{Type: "FP32", Shape: []int64{0, 3}, Data: []float32{}}, 2, nil, "[0 2]", []string{}},
	} {
		got, err := Classify(c.t, c.k, c.classes)
		if err != nil || fmt.Sprint(got.Shape) != c.shape || got.Type != fairlead.Bytes || !slices.Equal(got.Data.([]string), c.want) {
			t.Errorf("%v: %v %q, %v", c.t, got.Shape, got.Data, err)
		}
	}
	for _, bad := range []fairlead.Tensor{{Type: "BYTES", Shape: []int64{1}, Data: []string{"a"}}, {Type: "BOOL", Shape: []int64{1}, Data: []bool{true}}} {
		if _, err := Classify(bad, 1, nil); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%s: %v", bad.Type, err)
		}
	}
	if _, err := Classify(fairlead.Tensor{Type: "FP32", Shape: []int64{1}, Data: []float32{1}}, 0, nil); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("k = 0: %v", err)
	}
}

// TestHalfFromLongDecimals: numbers so near the middle between two halves that they are the middle as float64.
func TestHalfFromLongDecimals(t *testing.T) {
	for s, want := range map[string]uint16{
		"1.00048828125": 0x3c00, "1.00048828125000000000000000001": 0x3c01, "1.00048828124999999999999999999": 0x3c00,
		"1.00146484375": 0x3c02, "1.00146484374999999999999999999": 0x3c01, "-1.00048828125000000000000000001": 0xbc01,
		"65519.999999999999999999999": 0x7bff, "2.98023223876953125e-8": 0, "2.980232238769531250000000001e-8": 1,
		"100048828125000000000000000001e-29": 0x3c01, "0.0000": 0, "-0e5": 0x8000,
	} {
		p := &parser{b: []byte(s)}
		if got, err := parseHalf(fairlead.FP16)(p); err != nil || got != want {
			t.Errorf("FP16 %s: %04x, %v; want %04x", s, got, err, want)
		}
	}
	p := &parser{b: []byte("65520")}
	if got, err := parseHalf(fairlead.FP16)(p); err != errRange {
		t.Errorf("65520: %04x, %v", got, err)
	}
	p = &parser{b: []byte("1.00390625000000000000000000000000001")}
	if got, err := parseHalf(fairlead.BF16)(p); err != nil || got != 0x3f81 {
		t.Errorf("BF16: %04x, %v", got, err)
	}
}

// FuzzDecodeInfer: whatever is accepted is consistent, is the same when the body may be shared, and an input in binary
// form is written back bit by bit.
func FuzzDecodeInfer(f *testing.F) {
	for _, head := range []string{
		`{"inputs":[{"name":"x","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}]}`,
		`{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":8}}],"parameters":{"binary_data_output":true}}`,
		`{"inputs":[],"outputs":[{"name":"a","parameters":{"binary_data":true,"classification":2}}]}`,
	} {
		f.Add(append([]byte(head), 4, 0, 0, 0, 1, 2, 3, 4), len(head))
	}
	f.Add([]byte("12345678"), 0)
	f.Add([]byte(`{"instances":[[1,2]]}`), -1)
	f.Fuzz(func(t *testing.T, body []byte, header int) {
		sent := bytes.Clone(body)
		r, err := DecodeInfer(body, header, dense)
		owned, ownedErr := DecodeInferOwned(sent, header, dense)
		if (err == nil) != (ownedErr == nil) {
			t.Fatalf("%v, but with the body owned %v", err, ownedErr)
		}
		if err != nil {
			if c := fairlead.CodeOf(err); c != fairlead.CodeInvalid && c != fairlead.CodeUnsupported {
				t.Fatalf("code %s: %v", c, err)
			}
			return
		}
		if r.KeepsBody || len(r.OutputOptions) != len(r.Outputs) {
			t.Fatalf("%+v", r)
		}
		clear(body) // nothing refers to it
		for i := range r.Inputs {
			in := &r.Inputs[i]
			if int64(in.Len()) != fairlead.Elements(in.Shape) {
				t.Fatalf("%d values of shape %v", in.Len(), in.Shape)
			}
			if !bytes.Equal(AppendBinary(nil, in), AppendBinary(nil, &owned.Inputs[i])) {
				t.Fatalf("%v, but with the body owned %v", in, owned.Inputs[i])
			}
		}
		out, n := AppendInferBody(nil, r, &Answer{Outputs: r.Inputs})
		if n > len(out) || n == 0 || n == len(out) {
			t.Fatalf("%d bytes of JSON in an answer of %d", n, len(out))
		}
	})
}
