package importer

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fairlead-ml/fairlead"
)

// kinds are ONNX's element types (TensorProto.DataType) that fairlead serves.
var kinds = map[uint64]fairlead.DataType{
	1: fairlead.FP32, 2: fairlead.Uint8, 3: fairlead.Int8, 4: fairlead.Uint16, 5: fairlead.Int16, 6: fairlead.Int32, 7: fairlead.Int64,
	8: fairlead.Bytes, 9: fairlead.Bool, 10: fairlead.FP16, 11: fairlead.FP64, 12: fairlead.Uint32, 13: fairlead.Uint64, 16: fairlead.BF16,
}

// maxElements bounds a tensor of a data set.
const maxElements = 4 << 20

// proto is a TensorProto taken apart.
type proto struct {
	name    string
	kind    uint64
	shape   []int64
	raw     []byte
	hasRaw  bool
	strings []string
	numbers []uint64  // of int32_data, int64_data, uint64_data: two's complement
	floats  []float64 // of float_data, double_data
}

// readTensor reads a TensorProto: ONNX keeps each type in its raw bytes, or in the field for its kind.
func readTensor(b []byte) (fairlead.Tensor, error) {
	p := &proto{}
	if err := each(b, p.field); err != nil {
		return fairlead.Tensor{}, err
	}
	t := fairlead.Tensor{Name: p.name, Type: kinds[p.kind], Shape: append([]int64{}, p.shape...)}
	if t.Type == "" {
		return t, fmt.Errorf("its element type is %d, which is not served", p.kind)
	}
	n := int64(1)
	for _, d := range p.shape {
		if d < 0 || d > maxElements || n*d > maxElements {
			return t, fmt.Errorf("its shape is %v", p.shape)
		}
		n *= d
	}
	return t, p.fill(&t, int(n))
}

func (p *proto) field(f field) error {
	packed := func(fixed int, take func([]byte) (uint64, int)) error {
		if f.typ != protowire.BytesType {
			p.numbers = append(p.numbers, f.varint)
			return nil
		}
		for b := f.bytes; len(b) > 0; {
			v, n := take(b)
			if n <= 0 || fixed > 0 && n > len(b) {
				return fmt.Errorf("its numbers are cut off")
			}
			p.numbers, b = append(p.numbers, v), b[n:]
		}
		return nil
	}
	varint := func(b []byte) (uint64, int) { return protowire.ConsumeVarint(b) }
	switch f.number {
	case 1:
		before := len(p.numbers)
		err := packed(0, varint)
		for _, d := range p.numbers[before:] {
			p.shape = append(p.shape, int64(d)) // #nosec G115 -- checked by who uses it
		}
		p.numbers = p.numbers[:before]
		return err
	case 2:
		p.kind = f.varint
	case 4:
		before := len(p.numbers)
		err := packed(4, func(b []byte) (uint64, int) {
			v, n := protowire.ConsumeFixed32(b)
			return uint64(v), n
		})
		for _, v := range p.numbers[before:] {
			p.floats = append(p.floats, float64(math.Float32frombits(uint32(v)))) // #nosec G115 -- 32 bits were read
		}
		p.numbers = p.numbers[:before]
		return err
	case 5, 7, 11:
		return packed(0, varint)
	case 6:
		p.strings = append(p.strings, string(f.bytes))
	case 8:
		p.name = string(f.bytes)
	case 9:
		p.raw, p.hasRaw = f.bytes, true
	case 10:
		before := len(p.numbers)
		err := packed(8, protowire.ConsumeFixed64)
		for _, v := range p.numbers[before:] {
			p.floats = append(p.floats, math.Float64frombits(v))
		}
		p.numbers = p.numbers[:before]
		return err
	case 14:
		if f.varint == 1 {
			return fmt.Errorf("its values lie in another file")
		}
	}
	return nil
}

// fill makes the slice of the tensor's type.
func (p *proto) fill(t *fairlead.Tensor, n int) error {
	t.Data = fairlead.MakeData(t.Type, n)
	wrong := func(have int) error { return fmt.Errorf("it has %d values for the shape %v", have, p.shape) }
	if t.Type == fairlead.Bytes {
		if len(p.strings) != n {
			return wrong(len(p.strings))
		}
		t.Data = p.strings
		return nil
	}
	if p.hasRaw && (n > 0 || len(p.raw) > 0) {
		size := binary.Size(t.Data)
		if len(p.raw) != size {
			return fmt.Errorf("it has %d bytes for the shape %v", len(p.raw), p.shape)
		}
		_, err := binary.Decode(p.raw, binary.LittleEndian, t.Data)
		return err
	}
	switch d := t.Data.(type) {
	case []float32:
		if len(p.floats) != n {
			return wrong(len(p.floats))
		}
		for i, v := range p.floats {
			d[i] = float32(v)
		}
		return nil
	case []float64:
		if len(p.floats) != n {
			return wrong(len(p.floats))
		}
		copy(d, p.floats)
		return nil
	}
	if len(p.numbers) != n {
		return wrong(len(p.numbers))
	}
	for i, v := range p.numbers {
		set(t.Data, i, v)
	}
	return nil
}

// set stores the low bits of v.
func set(data any, i int, v uint64) {
	switch d := data.(type) { // #nosec G115 -- the writer widened them
	case []bool:
		d[i] = v != 0
	case []int8:
		d[i] = int8(v)
	case []int16:
		d[i] = int16(v)
	case []int32:
		d[i] = int32(v)
	case []int64:
		d[i] = int64(v)
	case []uint8:
		d[i] = uint8(v)
	case []uint16:
		d[i] = uint16(v)
	case []uint32:
		d[i] = uint32(v)
	case []uint64:
		d[i] = v
	}
}
