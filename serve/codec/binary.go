package codec

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// ElementSize is the number of bytes that one element takes in the binary form, 0 for BYTES, whose elements say
// themselves how long they are, and -1 for an unknown type.
func ElementSize(t fairlead.DataType) int {
	switch t {
	case fairlead.Bool, fairlead.Int8, fairlead.Uint8:
		return 1
	case fairlead.Int16, fairlead.Uint16, fairlead.FP16, fairlead.BF16:
		return 2
	case fairlead.Int32, fairlead.Uint32, fairlead.FP32:
		return 4
	case fairlead.Int64, fairlead.Uint64, fairlead.FP64:
		return 8
	case fairlead.Bytes:
		return 0
	}
	return -1
}

// CheckHead says whether an input's name, type and shape are complete and of this world, and gives the number of its
// elements. All errors are CodeInvalid.
func CheckHead(name string, t fairlead.DataType, shape []int64) (int, error) {
	if ElementSize(t) < 0 {
		return 0, unknownType(name, t)
	}
	for i, d := range shape {
		if d < 0 {
			return 0, negative("input "+quote(name), i, d)
		}
	}
	if len(shape) > maxRank {
		return 0, tooManyDimensions("input " + quote(name))
	}
	n, ok := product(shape)
	if !ok {
		return 0, tooLargeShape(name, shape)
	}
	return n, nil
}

// DecodeBinary reads an input in binary form: little-endian, row-major, without padding; BOOL is one byte; an element of
// BYTES is its length as four bytes and then its bytes. The tensor keeps nothing of raw. All errors are CodeInvalid.
func DecodeBinary(name string, t fairlead.DataType, shape []int64, raw []byte) (fairlead.Tensor, error) {
	tensor := fairlead.Tensor{Name: name, Type: t, Shape: shape}
	n, err := CheckHead(name, t, shape)
	if err != nil {
		return tensor, err
	}
	size := ElementSize(t)
	if t == fairlead.Bytes {
		tensor.Data, err = decodeStrings(name, shape, n, raw)
		return tensor, err
	}
	if len(raw)%size != 0 || len(raw)/size != n {
		return tensor, wrongSize(name, t, shape, n, len(raw))
	}
	if t != fairlead.Bool {
		// append, unlike make, does not clear memory that is overwritten at once; it is aligned for every type as
		// soon as it is one word long.
		if len(raw) >= 64 {
			tensor.Data = fromBytes(t, ordered(append([]byte(nil), raw...), size))
			return tensor, nil
		}
		tensor.Data = fairlead.MakeData(t, n)
		copy(toBytes(tensor.Data), raw)
		ordered(toBytes(tensor.Data), size)
		return tensor, nil
	}
	d := make([]bool, n)
	for i, b := range raw {
		d[i] = b != 0
	}
	tensor.Data = d
	return tensor, nil
}

func wrongSize(name string, t fairlead.DataType, shape []int64, n, came int) error {
	size := ElementSize(t)
	if n > math.MaxInt/size {
		return tooLargeShape(name, shape)
	}
	return fairlead.Invalid("input %s has shape %s of %s, which is %d bytes, but %d came", quote(name),
		fairlead.ShapeString(shape), t, n*size, came).
		Hintf("binary values are little-endian, %s each, row-major and without padding", countBytes(size))
}

func countBytes(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return string(rune('0'+n)) + " bytes"
}

// decodeStrings reads n elements of BYTES, which must use up raw.
func decodeStrings(name string, shape []int64, n int, raw []byte) ([]string, error) {
	const hint = "each element of BYTES is its length as 4 little-endian bytes and then its bytes"
	if n > len(raw)/4 { // before anything is reserved for it
		return nil, fairlead.Invalid("input %s has shape %s, which is %d elements of BYTES, but its data are only %d bytes",
			quote(name), fairlead.ShapeString(shape), n, len(raw)).Hintf(hint)
	}
	all := string(raw) // one allocation for all elements
	elements := make([]string, n)
	at := 0
	for i := range elements {
		if len(raw)-at < 4 {
			return nil, fairlead.Invalid("input %s: its data end before element %d of %d", quote(name), i, n).Hintf(hint)
		}
		size := binary.LittleEndian.Uint32(raw[at:])
		at += 4
		if uint64(size) > uint64(len(raw)-at) {
			return nil, fairlead.Invalid("input %s: element %d is said to have %d bytes, but %d are left", quote(name), i,
				size, len(raw)-at).Hintf(hint)
		}
		elements[i] = all[at : at+int(size)]
		at += int(size)
	}
	if at != len(raw) {
		return nil, fairlead.Invalid("input %s has shape %s, which is %d elements of BYTES, but %d bytes are left after them",
			quote(name), fairlead.ShapeString(shape), n, len(raw)-at).Hintf(hint)
	}
	return elements, nil
}

// BinarySize is the number of bytes that AppendBinary appends.
func BinarySize(t *fairlead.Tensor) int {
	d, ok := t.Data.([]string)
	if !ok {
		return t.Len() * ElementSize(t.Type)
	}
	n := 4 * len(d)
	for _, s := range d {
		n += len(s)
	}
	return n
}

// AppendBinary appends the elements of t in binary form to dst, as DecodeBinary reads them.
func AppendBinary(dst []byte, t *fairlead.Tensor) []byte {
	switch d := t.Data.(type) {
	case []bool:
		for _, v := range d {
			b := byte(0)
			if v {
				b = 1
			}
			dst = append(dst, b)
		}
	case []string:
		dst = slices.Grow(dst, BinarySize(t))
		for _, s := range d {
			dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(s))), s...)
		}
	default:
		start := len(dst)
		dst = append(dst, toBytes(t.Data)...)
		ordered(dst[start:], ElementSize(t.Type))
	}
	return dst
}
