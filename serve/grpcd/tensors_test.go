package grpcd_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api/oip"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/grpcd"
)

var datatypes = []fairlead.DataType{fairlead.Bool, fairlead.Int8, fairlead.Int16, fairlead.Int32, fairlead.Int64, fairlead.Uint8,
	fairlead.Uint16, fairlead.Uint32, fairlead.Uint64, fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64, fairlead.Bytes}

func lower(t fairlead.DataType) string { return strings.ToLower(string(t)) }

func floats(x []float32) []byte {
	var b []byte
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// cases are two values of every type, typed and raw; FP16 and BF16 have no typed form.
var cases = map[fairlead.DataType]struct {
	typed *oip.InferTensorContents
	raw   string
}{
	fairlead.Bool:   {&oip.InferTensorContents{BoolContents: []bool{true, false}}, "\x01\x00"},
	fairlead.Int8:   {&oip.InferTensorContents{IntContents: []int32{-128, 127}}, "\x80\x7f"},
	fairlead.Int16:  {&oip.InferTensorContents{IntContents: []int32{-32768, 258}}, "\x00\x80\x02\x01"},
	fairlead.Int32:  {&oip.InferTensorContents{IntContents: []int32{math.MinInt32, 1}}, "\x00\x00\x00\x80\x01\x00\x00\x00"},
	fairlead.Int64:  {&oip.InferTensorContents{Int64Contents: []int64{-2, 1 << 62}}, "\xfe\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x40"},
	fairlead.Uint8:  {&oip.InferTensorContents{UintContents: []uint32{255, 0}}, "\xff\x00"},
	fairlead.Uint16: {&oip.InferTensorContents{UintContents: []uint32{65535, 1}}, "\xff\xff\x01\x00"},
	fairlead.Uint32: {&oip.InferTensorContents{UintContents: []uint32{math.MaxUint32, 2}}, "\xff\xff\xff\xff\x02\x00\x00\x00"},
	fairlead.Uint64: {&oip.InferTensorContents{Uint64Contents: []uint64{math.MaxUint64, 3}}, "\xff\xff\xff\xff\xff\xff\xff\xff\x03\x00\x00\x00\x00\x00\x00\x00"},
	fairlead.FP16:   {nil, "\x00\x3c\x00\x7e"},
	fairlead.BF16:   {nil, "\x80\x3f\xc0\x7f"},
	fairlead.FP32:   {&oip.InferTensorContents{Fp32Contents: []float32{float32(math.Inf(-1)), 1}}, "\x00\x00\x80\xff\x00\x00\x80\x3f"},
	fairlead.FP64:   {&oip.InferTensorContents{Fp64Contents: []float64{1, math.Copysign(0, -1)}}, "\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\x80"},
	fairlead.Bytes:  {&oip.InferTensorContents{BytesContents: [][]byte{{}, {0xff, 'a'}}}, "\x00\x00\x00\x00\x02\x00\x00\x00\xffa"},
}

// TestEveryType sends values typed and raw; both come back raw, bit by bit.
func TestEveryType(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	for _, dt := range datatypes {
		c, ok := cases[dt]
		if !ok {
			t.Fatalf("no case for %s", dt)
		}
		input := &oip.ModelInferRequest_InferInputTensor{Name: "x", Datatype: string(dt), Shape: []int64{2, 1, 1}}
		req := &oip.ModelInferRequest{ModelName: "identity-" + lower(dt), Inputs: []*oip.ModelInferRequest_InferInputTensor{input}}
		check := func(form string, opts ...grpc.CallOption) {
			t.Helper()
			resp, err := b.client.ModelInfer(t.Context(), req, opts...)
			if err != nil {
				t.Errorf("%s, %s: %v", dt, form, err)
				return
			}
			if diff := cmp.Diff([][]byte{[]byte(c.raw)}, resp.RawOutputContents); diff != "" {
				t.Errorf("%s, %s: %s", dt, form, diff)
			}
			out := resp.Outputs[0]
			if out.Contents != nil || out.Datatype != string(dt) || cmp.Diff([]int64{2, 1, 1}, out.Shape) != "" {
				t.Errorf("%s, %s: the output is %v", dt, form, out)
			}
		}
		req.RawInputContents = [][]byte{[]byte(c.raw)}
		check("raw")
		check("raw, compressed", grpc.UseCompressor(gzip.Name))
		check("raw, deflated", grpc.UseCompressor("deflate"))
		req.RawInputContents = nil
		if c.typed == nil {
			_, err := b.client.ModelInfer(t.Context(), req)
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "raw_input_contents") {
				t.Errorf("%s, typed: %v", dt, err)
			}
			continue
		}
		input.Contents = c.typed
		check("typed")
	}
}

// TestLargeMessages passes more than the library's 4 MiB both ways, and no more than the limit.
func TestLargeMessages(t *testing.T) {
	b := start(t, serve.Options{}, grpcd.Options{})
	rows := int64(60 << 20 / 8)
	raw := make([]byte, rows*8)
	raw[5] = 1
	req := &oip.ModelInferRequest{ModelName: "identity-fp64", RawInputContents: [][]byte{raw},
		Inputs: []*oip.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "FP64", Shape: []int64{1, rows}}}}
	resp, err := b.client.ModelInfer(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if string(resp.RawOutputContents[0]) != string(raw) {
		t.Error("60 MiB came back changed")
	}
	req.RawInputContents[0] = make([]byte, 65<<20)
	if _, err = b.client.ModelInfer(t.Context(), req); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("65 MiB: %v", err)
	}
}
