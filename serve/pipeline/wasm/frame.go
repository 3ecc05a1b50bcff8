package wasm

import (
	"encoding/binary"
	"fmt"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/codec"
)

// A frame is how tensors cross the border of a module. All integers are little-endian.
//
//	frame  = "FLT1" count:u32 tensor*
//	tensor = nameLength:u32 name type:u8 dimensions:u8 0:u16 dimension:u64* size:u64 data
//	error  = "FLE1" length:u32 text
//
// name and text are UTF-8. type counts the element types of the Open Inference Protocol: 1 BOOL, 2 to 5 INT8 to INT64, 6 to
// 9 UINT8 to UINT64, 10 FP16, 11 BF16, 12 FP32, 13 FP64, 14 BYTES. data are in the protocol's binary form: row-major, without
// padding; an element of BYTES is its length as u32 and then its bytes.
const (
	magic      = "FLT1"
	errorMagic = "FLE1"
)

var types = []fairlead.DataType{
	"", fairlead.Bool, fairlead.Int8, fairlead.Int16, fairlead.Int32, fairlead.Int64, fairlead.Uint8, fairlead.Uint16, fairlead.Uint32,
	fairlead.Uint64, fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64, fairlead.Bytes,
}

// Bounds of what a module may answer.
const (
	maxTensors    = 64
	maxDimensions = 32
	maxText       = 4096
	maxHollow     = 1 << 16 // rows that take no bytes
)

// appendFrame appends tensors to dst.
func appendFrame(dst []byte, tensors []fairlead.Tensor) ([]byte, error) {
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(tensors)))
	for i := range tensors {
		t := &tensors[i]
		code := 0
		for k, known := range types {
			if known == t.Type {
				code = k
			}
		}
		if code == 0 || len(t.Shape) > maxDimensions {
			return nil, fairlead.Invalid("input %q of type %q and shape %s cannot be given to a module", t.Name, t.Type, fairlead.ShapeString(t.Shape))
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(t.Name)))
		dst = append(dst, t.Name...)
		dst = append(dst, byte(code), byte(len(t.Shape)), 0, 0)
		for _, d := range t.Shape {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(d))
		}
		dst = binary.LittleEndian.AppendUint64(dst, uint64(codec.BinarySize(t)))
		dst = codec.AppendBinary(dst, t)
	}
	return dst, nil
}

// reader takes a frame apart. Nothing it says is trusted.
type reader struct{ b []byte }

func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.b)) {
		return nil, fmt.Errorf("it ends %d bytes early", n-uint64(len(r.b)))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out, nil
}

func (r *reader) u32() (uint32, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *reader) u64() (uint64, error) {
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

// refusal is what a module says itself is wrong.
type refusal struct{ text string }

func (e *refusal) Error() string { return e.text }

// readFrame reads the answer of a module. The tensors keep nothing of b. Errors say what is wrong with the frame; a
// *refusal is the module's own.
func readFrame(b []byte) ([]fairlead.Tensor, error) {
	r := &reader{b}
	head, err := r.take(4)
	if err != nil {
		return nil, err
	}
	switch string(head) {
	case magic:
	case errorMagic:
		n, err := r.u32()
		if err != nil {
			return nil, err
		}
		text, err := r.take(uint64(n))
		if err != nil {
			return nil, err
		}
		return nil, &refusal{printable(text)}
	default:
		return nil, fmt.Errorf("it starts with %q, not with %q", head, magic)
	}
	count, err := r.u32()
	if err != nil {
		return nil, err
	}
	if count > maxTensors {
		return nil, fmt.Errorf("it says that it has %d tensors; %d is the most", count, maxTensors)
	}
	tensors := make([]fairlead.Tensor, 0, count)
	for i := range count {
		t, err := r.tensor()
		if err != nil {
			return nil, fmt.Errorf("tensor %d: %w", i, err)
		}
		tensors = append(tensors, t)
	}
	if len(r.b) > 0 {
		return nil, fmt.Errorf("%d bytes are left behind its last tensor", len(r.b))
	}
	return tensors, nil
}

func (r *reader) tensor() (t fairlead.Tensor, err error) {
	n, err := r.u32()
	if err != nil {
		return t, err
	}
	name, err := r.take(uint64(n))
	if err != nil {
		return t, err
	}
	head, err := r.take(4)
	if err != nil {
		return t, err
	}
	if int(head[0]) >= len(types) || head[0] == 0 {
		return t, fmt.Errorf("its type is %d, which does not exist", head[0])
	}
	if head[1] > maxDimensions {
		return t, fmt.Errorf("it has %d dimensions; %d is the most", head[1], maxDimensions)
	}
	shape := make([]int64, head[1])
	for i := range shape {
		d, err := r.u64()
		if err != nil {
			return t, err
		}
		if d > 1<<40 {
			return t, fmt.Errorf("its dimension %d is %d", i, d)
		}
		shape[i] = int64(d)
	}
	size, err := r.u64()
	if err != nil {
		return t, err
	}
	data, err := r.take(size)
	if err != nil {
		return t, err
	}
	if len(data) == 0 && len(shape) > 0 && shape[0] > maxHollow {
		return t, fmt.Errorf("it has %d rows without a value", shape[0])
	}
	return codec.DecodeBinary(string(name), types[head[0]], shape, data)
}

// printable makes a module's text fit for a message and a log.
func printable(text []byte) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	out := make([]rune, 0, len(text))
	for _, c := range string(text) {
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		out = append(out, c)
	}
	return string(out)
}
