package codec

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

var datatypes = []fairlead.DataType{fairlead.Bool, fairlead.Int8, fairlead.Int16, fairlead.Int32, fairlead.Int64, fairlead.Uint8,
	fairlead.Uint16, fairlead.Uint32, fairlead.Uint64, fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64, fairlead.Bytes}

// FuzzDecodeBinary: whatever is accepted has as many elements as its shape says and is written back bit by bit.
func FuzzDecodeBinary(f *testing.F) {
	f.Add(uint8(11), int64(1), int64(2), []byte("\x00\x00\x80\x3f\x00\x00\xc0\x7f"))
	f.Add(uint8(0), int64(3), int64(1), []byte{0, 1, 2})
	f.Add(uint8(13), int64(2), int64(1), []byte("\x01\x00\x00\x00a\x00\x00\x00\x00"))
	f.Add(uint8(13), int64(1), int64(1), []byte("\xff\xff\xff\xffa"))
	f.Add(uint8(4), int64(1)<<62, int64(8), []byte{})
	f.Add(uint8(9), int64(0), int64(7), []byte{})
	f.Fuzz(func(t *testing.T, dt uint8, a, b int64, raw []byte) {
		datatype := datatypes[int(dt)%len(datatypes)]
		sent := slices.Clone(raw)
		tensor, err := DecodeBinary("x", datatype, []int64{a, b}, raw)
		if err != nil {
			if fairlead.CodeOf(err) != fairlead.CodeInvalid {
				t.Fatalf("%v is %s", err, fairlead.CodeOf(err))
			}
			return
		}
		if int64(tensor.Len()) != fairlead.Elements(tensor.Shape) {
			t.Fatalf("%d elements of shape %v", tensor.Len(), tensor.Shape)
		}
		clear(raw) // the tensor keeps nothing of it
		got := AppendBinary(nil, &tensor)
		if len(got) != BinarySize(&tensor) {
			t.Fatalf("%d bytes, but BinarySize is %d", len(got), BinarySize(&tensor))
		}
		if datatype == fairlead.Bool { // every byte but 0 is true
			for i, v := range sent {
				sent[i] = min(v, 1)
			}
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("%x was read and written as %x", sent, got)
		}
	})
}

func BenchmarkDecodeBinary(b *testing.B) {
	raw := make([]byte, 4000)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeBinary("x", fairlead.FP32, []int64{1, 1000}, raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBinaryRequest decodes an image of 1×3×224×224 with its memory copied and shared.
func BenchmarkBinaryRequest(b *testing.B) {
	const n = 3 * 224 * 224
	head := fmt.Sprintf(`{"inputs":[{"name":"x","datatype":"FP32","shape":[1,3,224,224],"parameters":{"binary_data_size":%d}}]}`, 4*n)
	body := make([]byte, 64+len(head)+4*n)[BodyOffset(len(head)):]
	body = body[:copy(body, head)+4*n]
	for name, decode := range map[string]func([]byte, int, *Schema) (*Request, error){"copied": DecodeInfer, "shared": DecodeInferOwned} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4 * n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(body, len(head), dense); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
