// Package wire reads and writes Open Inference Protocol v2 messages in the plainest way there is: a tensor is its bytes.
// It shares no code with any server, so that it can judge one.
package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// Tensor is a named array. Raw are its elements in row-major order as the binary extension has them: little-endian, one
// byte for a BOOL, and a uint32 length before each element of BYTES.
type Tensor struct {
	Name     string
	Datatype string
	Shape    []int64
	Raw      []byte
}

// Datatypes are those of the protocol's table, and BF16, which its text and its proto name.
var Datatypes = []string{"BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64", "BYTES"}

// Size is the number of bytes of one element, 0 for BYTES and for an unknown type.
func Size(datatype string) int {
	switch datatype {
	case "BOOL", "UINT8", "INT8":
		return 1
	case "UINT16", "INT16", "FP16", "BF16":
		return 2
	case "UINT32", "INT32", "FP32":
		return 4
	case "UINT64", "INT64", "FP64":
		return 8
	}
	return 0
}

// Elements is the product of shape; 1 for the empty shape, -1 if a dimension is negative, at most math.MaxInt64.
func Elements(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		if d < 0 {
			return -1
		}
		if d > 0 && n > math.MaxInt64/d {
			return math.MaxInt64
		}
		n *= d
	}
	return n
}

// BytesRaw is what a BYTES tensor of these elements has as Raw.
func BytesRaw(elements ...string) []byte {
	var raw []byte
	for _, e := range elements {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(e)))
		raw = append(raw, e...)
	}
	return raw
}

// Strings are the elements of a BYTES tensor's Raw.
func Strings(raw []byte) ([]string, error) {
	var out []string
	for len(raw) > 0 {
		if len(raw) < 4 {
			return nil, fmt.Errorf("%d bytes where the length of an element should be", len(raw))
		}
		n := binary.LittleEndian.Uint32(raw)
		raw = raw[4:]
		if uint64(n) > uint64(len(raw)) {
			return nil, fmt.Errorf("an element of %d bytes, and %d are left", n, len(raw))
		}
		out, raw = append(out, string(raw[:n])), raw[n:]
	}
	return out, nil
}

// Count is the number of elements in Raw.
func (t Tensor) Count() (int, error) {
	if t.Datatype == "BYTES" {
		s, err := Strings(t.Raw)
		return len(s), err
	}
	size := Size(t.Datatype)
	if size == 0 || len(t.Raw)%size != 0 {
		return 0, fmt.Errorf("%d bytes are no whole number of %s", len(t.Raw), t.Datatype)
	}
	return len(t.Raw) / size, nil
}

// Float is element i of a numeric tensor as a float64; integers beyond 2^53 round.
func (t Tensor) Float(i int) float64 {
	b := t.Raw[i*Size(t.Datatype):]
	switch t.Datatype {
	case "BOOL", "UINT8":
		return float64(b[0])
	case "INT8":
		return float64(int8(b[0]))
	case "UINT16":
		return float64(binary.LittleEndian.Uint16(b))
	case "INT16":
		return float64(int16(binary.LittleEndian.Uint16(b)))
	case "FP16":
		return halfToFloat(binary.LittleEndian.Uint16(b))
	case "BF16":
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
	case "UINT32":
		return float64(binary.LittleEndian.Uint32(b))
	case "INT32":
		return float64(int32(binary.LittleEndian.Uint32(b)))
	case "FP32":
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case "UINT64":
		return float64(binary.LittleEndian.Uint64(b))
	case "INT64":
		return float64(int64(binary.LittleEndian.Uint64(b)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// AppendData appends the elements as a JSON array; nested makes arrays in arrays that follow the shape. BYTES that are
// no UTF-8 cannot be written so.
func (t Tensor) AppendData(dst []byte, nested bool) ([]byte, error) {
	n, err := t.Count()
	if err != nil {
		return nil, err
	}
	elements := make([][]byte, 0, n)
	if t.Datatype == "BYTES" {
		texts, err := Strings(t.Raw)
		if err != nil {
			return nil, err
		}
		for _, s := range texts {
			if !utf8.ValidString(s) {
				return nil, fmt.Errorf("element %q is no text", s)
			}
			elements = append(elements, AppendString(nil, s))
		}
	} else {
		for i := range n {
			elements = append(elements, t.number(i))
		}
	}
	shape := []int64{int64(n)}
	if nested && len(t.Shape) > 0 {
		shape = t.Shape
	}
	dst, _ = appendArray(dst, elements, shape)
	return dst, nil
}

func appendArray(dst []byte, elements [][]byte, shape []int64) ([]byte, [][]byte) {
	dst = append(dst, '[')
	for i := range shape[0] {
		if i > 0 {
			dst = append(dst, ',')
		}
		if len(shape) > 1 {
			dst, elements = appendArray(dst, elements, shape[1:])
		} else {
			dst, elements = append(dst, elements[0]...), elements[1:]
		}
	}
	return append(dst, ']'), elements
}

// number writes element i so that reading it back gives the same bits.
func (t Tensor) number(i int) []byte {
	size := Size(t.Datatype)
	b := t.Raw[i*size : (i+1)*size]
	switch t.Datatype {
	case "BOOL":
		return strconv.AppendBool(nil, b[0] != 0)
	case "INT64":
		return strconv.AppendInt(nil, int64(binary.LittleEndian.Uint64(b)), 10)
	case "UINT64":
		return strconv.AppendUint(nil, binary.LittleEndian.Uint64(b), 10)
	}
	f := t.Float(i)
	switch {
	case t.Datatype[0] == 'I' || t.Datatype[0] == 'U':
		return strconv.AppendInt(nil, int64(f), 10)
	case math.IsNaN(f):
		return []byte("NaN")
	case math.IsInf(f, 1):
		return []byte("Infinity")
	case math.IsInf(f, -1):
		return []byte("-Infinity")
	case t.Datatype == "FP32" || t.Datatype == "FP16" || t.Datatype == "BF16":
		return strconv.AppendFloat(nil, f, 'g', -1, 32)
	}
	return strconv.AppendFloat(nil, f, 'g', -1, 64)
}

// AppendString appends s as a JSON string.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// halfToFloat is the value of an IEEE 754 binary16.
func halfToFloat(h uint16) float64 {
	sign, exp, frac := 1.0, int(h>>10)&31, float64(h&1023)
	if h&0x8000 != 0 {
		sign = -1
	}
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 31:
		if frac != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}
