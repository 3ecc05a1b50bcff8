package codec

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"github.com/fairlead-ml/fairlead"
)

// The binary form of numbers is how a little-endian machine keeps them, so whole tensors are copied, or shared, as bytes.

// shareFrom is the size from which sharing memory pays: below it a copy costs less than a body buffer that cannot be
// used again.
const shareFrom = 64 << 10

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// ordered brings elements of the given size from little-endian order into the machine's, or back.
func ordered(b []byte, size int) []byte {
	if !littleEndian && size > 1 {
		for element := range slices.Chunk(b, size) {
			slices.Reverse(element)
		}
	}
	return b
}

// toBytes is the memory of a tensor's data, nil for text and truth values.
func toBytes(data any) []byte {
	switch d := data.(type) {
	case []int8:
		return bytesOf(d)
	case []uint8:
		return d
	case []int16:
		return bytesOf(d)
	case []uint16:
		return bytesOf(d)
	case []int32:
		return bytesOf(d)
	case []uint32:
		return bytesOf(d)
	case []int64:
		return bytesOf(d)
	case []uint64:
		return bytesOf(d)
	case []float32:
		return bytesOf(d)
	case []float64:
		return bytesOf(d)
	}
	return nil
}

// fromBytes is b as data of type t. b must be aligned, not empty, and a whole number of elements.
func fromBytes(t fairlead.DataType, b []byte) any {
	switch t {
	case fairlead.Int8:
		return elements[int8](b)
	case fairlead.Uint8:
		return b
	case fairlead.Int16:
		return elements[int16](b)
	case fairlead.Uint16, fairlead.FP16, fairlead.BF16:
		return elements[uint16](b)
	case fairlead.Int32:
		return elements[int32](b)
	case fairlead.Uint32:
		return elements[uint32](b)
	case fairlead.Int64:
		return elements[int64](b)
	case fairlead.Uint64:
		return elements[uint64](b)
	case fairlead.FP32:
		return elements[float32](b)
	case fairlead.FP64:
		return elements[float64](b)
	}
	return nil
}

func bytesOf[T any](d []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(d))), len(d)*int(unsafe.Sizeof(zero)))
}

func elements[T any](b []byte) []T {
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(zero)))
}

// shareBinary is DecodeBinary, but the tensor shares the memory of raw where its type and alignment allow it.
func shareBinary(name string, t fairlead.DataType, shape []int64, raw []byte) (_ fairlead.Tensor, shared bool, err error) {
	n, err := CheckHead(name, t, shape)
	size := ElementSize(t)
	aligned := size > 0 && uintptr(unsafe.Pointer(unsafe.SliceData(raw)))%uintptr(size) == 0
	if err != nil || t == fairlead.Bool || !aligned || !littleEndian || len(raw)%size != 0 || len(raw)/size != n || n == 0 {
		tensor, err := DecodeBinary(name, t, shape, raw)
		return tensor, false, err
	}
	return fairlead.Tensor{Name: name, Type: t, Shape: shape, Data: fromBytes(t, raw)}, true, nil
}
