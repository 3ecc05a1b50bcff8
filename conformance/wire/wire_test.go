package wire

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func TestNumbersOfEveryType(t *testing.T) {
	for _, c := range []struct {
		datatype, data string
		raw            []byte
	}{
		{"BOOL", `[true,false]`, []byte{1, 0}},
		{"INT8", `[-128,127]`, []byte{0x80, 0x7f}},
		{"UINT8", `[0,255]`, []byte{0, 255}},
		{"INT16", `[-2]`, []byte{0xfe, 0xff}},
		{"UINT16", `[258]`, []byte{2, 1}},
		{"INT32", `[-1]`, []byte{255, 255, 255, 255}},
		{"UINT32", `[4294967295]`, []byte{255, 255, 255, 255}},
		{"INT64", `[-9223372036854775808]`, []byte{0, 0, 0, 0, 0, 0, 0, 0x80}},
		{"UINT64", `[18446744073709551615]`, []byte{255, 255, 255, 255, 255, 255, 255, 255}},
		{"FP16", `[1,-2,65504]`, []byte{0, 0x3c, 0, 0xc0, 0xff, 0x7b}},
		{"BF16", `[1,-2]`, []byte{0x80, 0x3f, 0, 0xc0}},
		{"FP32", `[1.5,-0]`, []byte{0, 0, 0xc0, 0x3f, 0, 0, 0, 0x80}},
		{"FP64", `[1.5]`, []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x3f}},
		{"BYTES", `["a",""]`, []byte{1, 0, 0, 0, 'a', 0, 0, 0, 0}},
		{"FP32", `[NaN,Infinity,-Infinity]`, []byte{0, 0, 0xc0, 0x7f, 0, 0, 0x80, 0x7f, 0, 0, 0x80, 0xff}},
	} {
		v, err := Parse([]byte(c.data))
		if err != nil {
			t.Fatal(err)
		}
		got, err := FromData("x", c.datatype, nil, v)
		if err != nil || !slices.Equal(got.Raw, c.raw) && !strings.Contains(c.data, "NaN") {
			t.Errorf("%s %s: % x, %v; want % x", c.datatype, c.data, got.Raw, err, c.raw)
		}
		back, err := got.AppendData(nil, false)
		if err != nil || string(back) != c.data {
			t.Errorf("%s %s came back as %s, %v", c.datatype, c.data, back, err)
		}
	}
}

// TestHalvesRoundTrip goes through all 65,536 bit patterns of both 16-bit types.
func TestHalvesRoundTrip(t *testing.T) {
	for bits := range 1 << 16 {
		h := uint16(bits)
		if f := halfToFloat(h); !math.IsNaN(f) && floatToHalf(f) != h {
			t.Fatalf("%04x is %v, which is %04x", h, f, floatToHalf(f))
		}
		if f := math.Float32frombits(uint32(h) << 16); f == f && floatToBrain(f) != h {
			t.Fatalf("%04x is %v, which is %04x", h, f, floatToBrain(f))
		}
	}
	for f, want := range map[float64]uint16{65519: 0x7bff, 65520: 0x7c00, math.Ldexp(1, -25): 0, math.Ldexp(3, -26): 1, 2049: 0x6800, 2051: 0x6802} {
		if got := floatToHalf(f); got != want {
			t.Errorf("%v is %04x, want %04x", f, got, want)
		}
	}
}

func TestBadDocuments(t *testing.T) {
	for _, bad := range []string{"", "{", `{"a"}`, `{"a":1,}`, `[1,]`, `[1 2]`, `nan`, `+1`, `01`, `1.`, `.5`, `"\x"`, `"a`, "\"\xff\"", `{"a":1,"a":2}`,
		`[1]]`, `{1:2}`, strings.Repeat("[", 20_000)} {
		if v, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%.20q was taken as %v", bad, v)
		}
	}
}

func TestBadAnswers(t *testing.T) {
	for _, c := range []struct{ body, header, says string }{
		{`[]`, "", "no JSON object"},
		{`{"error":"x"}`, "", `no array "outputs"`},
		{`{"outputs":[1]}`, "", "no object"},
		{`{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1]}]}`, "", "has 1 elements"},
		{`{"outputs":[{"name":"y","datatype":"FP32","shape":[1]}]}`, "", "no array"},
		{`{"outputs":[{"name":"y","datatype":"INT8","shape":[1],"data":[128]}]}`, "", "128 is no INT8"},
		{`{"outputs":[{"name":"y","datatype":"INT8","shape":[1],"data":["1"]}]}`, "", "is no INT8"},
		{`{"outputs":[{"name":"y","datatype":"FP32","shape":[1.5],"data":[1]}]}`, "", "dimension"},
		{`{"outputs":[]}x`, "14", "1 bytes are left"},
		{`{"outputs":[]}`, "99", HeaderLength},
		{`{"outputs":[{"name":"y","datatype":"INT8","shape":[2],"parameters":{"binary_data_size":2}}]}x`, "92", "1 bytes are left"},
	} {
		if _, err := ReadResponse([]byte(c.body), c.header); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.body, err, c.says)
		}
	}
}

func TestRequestAndBack(t *testing.T) {
	r := Request{ID: `a"b`, Parameters: map[string]any{"k": true}, Nested: true,
		Inputs: []Tensor{{"x", "INT8", []int64{2, 2}, []byte{1, 2, 3, 4}}, {"s", "BYTES", []int64{1}, BytesRaw("é")}, {"z", "FP32", []int64{0, 3}, nil}},
		Binary: []bool{false, true, false}, Outputs: []Output{{Name: "y", Parameters: map[string]any{"binary_data": true}}}}
	body, header, err := r.Body()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"a\"b","parameters":{"k":true},"inputs":[{"name":"x","datatype":"INT8","shape":[2,2],"data":[[1,2],[3,4]]},` +
		`{"name":"s","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}},{"name":"z","datatype":"FP32","shape":[0,3],"data":[]}],` +
		`"outputs":[{"name":"y","parameters":{"binary_data":true}}]}`
	if got := string(body[:len(body)-6]); got != want && !strings.Contains(got, `"binary_data":true`) {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
	if header == "" || string(body[len(body)-2:]) != "é" {
		t.Errorf("header %q, body %s", header, body)
	}
}

func FuzzReadResponse(f *testing.F) {
	f.Add([]byte(`{"outputs":[{"name":"y","datatype":"INT8","shape":[1],"parameters":{"binary_data_size":1}}]}x`), "92")
	f.Add([]byte(`{"outputs":[{"name":"y","datatype":"BYTES","shape":[1,2],"data":[["a","b"]]}]}`), "")
	f.Fuzz(func(t *testing.T, body []byte, header string) {
		r, err := ReadResponse(body, header)
		if err != nil {
			return
		}
		for _, o := range r.Outputs {
			if n, err := o.Count(); err != nil || int64(n) != Elements(o.Shape) {
				t.Errorf("%+v was taken", o)
			}
		}
	})
}
