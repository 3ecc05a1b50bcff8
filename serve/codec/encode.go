package codec

import (
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
)

// Answer is what is encoded.
type Answer struct {
	ID      string
	Model   string // the name that the client called
	Version string
	RowIDs  []string // one per row
	Outputs []fairlead.Tensor
	Note    string // "" or a remark on the request
}

// AppendInfer appends an answer of the Open Inference Protocol to dst, all of it JSON. Floats are in the shortest form
// that reads back to the same value; NaN and the infinities are the bare tokens NaN, Infinity and -Infinity.
func AppendInfer(dst []byte, a *Answer) []byte {
	dst, _ = AppendInferBody(dst, nil, a)
	return dst
}

// AppendInferBody appends the answer to r, which says what goes in binary form: the JSON as AppendInfer writes it, and
// behind it the values of those outputs in their order. jsonLen is the number of bytes of JSON, for the header
// Inference-Header-Content-Length; -1 where no bytes stand behind it and there is no such header.
func AppendInferBody(dst []byte, r *Request, a *Answer) (out []byte, jsonLen int) {
	start := len(dst)
	dst = append(dst, `{"model_name":`...)
	dst = appendString(dst, a.Model)
	dst = append(dst, `,"model_version":`...)
	dst = appendString(dst, a.Version)
	dst = append(dst, `,"id":`...)
	dst = appendString(dst, a.ID)
	dst = append(dst, `,"parameters":{"prediction_id":`...)
	dst = appendString(dst, a.ID)
	if a.Note != "" {
		dst = append(dst, `,"note":`...)
		dst = appendString(dst, a.Note)
	}
	dst = append(dst, `},"outputs":[`...)
	blobs := 0
	for i := range a.Outputs {
		t := &a.Outputs[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		if !r.binary(t.Name) {
			dst = append(appendHead(dst, t), `,"data":[`...)
			dst = append(appendValues(dst, t, 0, t.Len()), `]}`...)
			continue
		}
		size := BinarySize(t)
		blobs += size
		dst = append(appendHead(dst, t), `,"parameters":{"binary_data_size":`...)
		dst = append(strconv.AppendInt(dst, int64(size), 10), `}}`...)
	}
	dst = append(dst, `]}`...)
	if blobs == 0 {
		return dst, -1
	}
	jsonLen = len(dst) - start
	dst = slices.Grow(dst, blobs)
	for i := range a.Outputs {
		if t := &a.Outputs[i]; r.binary(t.Name) {
			dst = AppendBinary(dst, t)
		}
	}
	return dst, jsonLen
}

// appendHead opens the object of a tensor.
func appendHead(dst []byte, t *fairlead.Tensor) []byte {
	dst = append(dst, `{"name":`...)
	dst = appendString(dst, t.Name)
	dst = append(dst, `,"datatype":"`...)
	dst = append(dst, t.Type...)
	dst = append(dst, `","shape":[`...)
	for j, d := range t.Shape {
		if j > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, d, 10)
	}
	return append(dst, ']')
}

// AppendPredictions appends the answer to "instances": per row the value of the only output, or an object of all
// outputs. A row of an output of shape [n] is a bare value, of shape [n,k] a list. Outputs that have no row of their own
// per instance cannot be given this way: CodeInvalid.
func AppendPredictions(dst []byte, a *Answer) ([]byte, error) {
	dst, err := AppendRows(append(dst, '{'), a)
	if err != nil {
		return nil, err
	}
	dst = append(dst, `,"ids":[`...)
	for i, id := range a.RowIDs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, id)
	}
	dst = append(dst, `],"id":`...)
	dst = appendString(dst, a.ID)
	dst = append(dst, `,"model_name":`...)
	dst = appendString(dst, a.Model)
	dst = append(dst, `,"model_version":`...)
	dst = appendString(dst, a.Version)
	if a.Note != "" {
		dst = append(dst, `,"note":`...)
		dst = appendString(dst, a.Note)
	}
	return append(dst, '}'), nil
}

// AppendRows appends only "predictions":[…], what TensorFlow Serving answers.
func AppendRows(dst []byte, a *Answer) ([]byte, error) {
	n := len(a.RowIDs)
	for i := range a.Outputs {
		t := &a.Outputs[i]
		if len(t.Shape) == 0 || t.Rows() != n {
			return nil, fairlead.Invalid("output %q has shape %s, which is not one row per instance", t.Name,
				fairlead.ShapeString(t.Shape)).Hintf("ask for it with \"inputs\", or leave it out with \"outputs\"")
		}
	}
	dst = append(dst, `"predictions":[`...)
	for row := range n {
		if row > 0 {
			dst = append(dst, ',')
		}
		if len(a.Outputs) == 1 {
			dst = appendRow(dst, &a.Outputs[0], row)
			continue
		}
		dst = append(dst, '{')
		for i := range a.Outputs {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, a.Outputs[i].Name)
			dst = append(dst, ':')
			dst = appendRow(dst, &a.Outputs[i], row)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}

func appendRow(dst []byte, t *fairlead.Tensor, row int) []byte {
	width := t.Width()
	return appendNested(dst, t, t.Shape[1:], row*width, width)
}

// appendNested appends n values from start on, nested as shape says.
func appendNested(dst []byte, t *fairlead.Tensor, shape []int64, start, n int) []byte {
	if len(shape) == 0 {
		return appendValues(dst, t, start, start+1)
	}
	dst = append(dst, '[')
	if len(shape) == 1 {
		return append(appendValues(dst, t, start, start+n), ']')
	}
	for i := range int(shape[0]) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendNested(dst, t, shape[1:], start+i*n/int(shape[0]), n/int(shape[0]))
	}
	return append(dst, ']')
}

// appendValues appends the elements from to before to, with commas between.
func appendValues(dst []byte, t *fairlead.Tensor, from, to int) []byte {
	switch d := t.Data.(type) {
	case []float32:
		return appendEach(dst, d[from:to], appendFloat32)
	case []float64:
		return appendEach(dst, d[from:to], func(b []byte, v float64) []byte { return appendFloat(b, v, 64) })
	case []int64:
		return appendEach(dst, d[from:to], appendInt)
	case []int32:
		return appendEach(dst, d[from:to], appendInt)
	case []int16:
		return appendEach(dst, d[from:to], appendInt)
	case []int8:
		return appendEach(dst, d[from:to], appendInt)
	case []uint64:
		return appendEach(dst, d[from:to], appendUint)
	case []uint32:
		return appendEach(dst, d[from:to], appendUint)
	case []uint16:
		if t.Type == fairlead.Uint16 {
			return appendEach(dst, d[from:to], appendUint)
		}
		return appendEach(dst, d[from:to], func(b []byte, v uint16) []byte {
			return appendFloat32(b, fairlead.HalfToFloat(v, t.Type))
		})
	case []uint8:
		return appendEach(dst, d[from:to], appendUint)
	case []bool:
		return appendEach(dst, d[from:to], strconv.AppendBool)
	case []string:
		return appendEach(dst, d[from:to], appendString)
	}
	return dst
}

func appendEach[T any](dst []byte, values []T, f func([]byte, T) []byte) []byte {
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = f(dst, v)
	}
	return dst
}

func appendInt[T signed](dst []byte, v T) []byte    { return strconv.AppendInt(dst, int64(v), 10) }
func appendUint[T unsigned](dst []byte, v T) []byte { return strconv.AppendUint(dst, uint64(v), 10) }

// appendFloat writes very small and very large numbers with an exponent, as JavaScript does.
func appendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, v, format, -1, bits)
}

const hexDigits = "0123456789abcdef"

// appendString quotes s; bytes that are not UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, s[start:i]...), "\ufffd"...)
				start = i + size
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
