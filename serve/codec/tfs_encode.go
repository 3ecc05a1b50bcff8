package codec

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// AppendPredict appends what TensorFlow Serving answers to predict: "predictions", row by row, to "instances", and
// "outputs", each whole, to "inputs". A single output stands without its name. Floats always show that they are: 4 is
// written 4.0, so that clients in languages with integers see one type. Outputs of BYTES whose names end in _bytes are
// {"b64":"…"}. The error is CodeInvalid, where outputs of different lengths cannot be put in rows.
func AppendPredict(dst []byte, r *Request, a *Answer) ([]byte, error) {
	if r.Instances {
		return appendInRows(dst, a)
	}
	dst = append(dst, `{"outputs":`...)
	if len(a.Outputs) == 1 {
		dst = appendWhole(dst, &a.Outputs[0])
		return append(dst, '}'), nil
	}
	dst = append(dst, '{')
	for i := range a.Outputs {
		dst = appendKey(dst, i, a.Outputs[i].Name)
		dst = appendWhole(dst, &a.Outputs[i])
	}
	return append(dst, "}}"...), nil
}

func appendInRows(dst []byte, a *Answer) ([]byte, error) {
	rows := -1
	for i := range a.Outputs {
		t := &a.Outputs[i]
		if len(t.Shape) == 0 {
			return nil, inColumns(fairlead.Invalid("Tensor name: %s has no shape information, it is a single value", t.Name))
		}
		if rows >= 0 && t.Rows() != rows {
			return nil, inColumns(fairlead.Invalid("Tensor name: %s has inconsistent batch size: %d expecting: %d", t.Name,
				t.Rows(), rows))
		}
		rows = t.Rows()
	}
	dst = append(dst, `{"predictions":[`...)
	for row := range rows {
		if row > 0 {
			dst = append(dst, ',')
		}
		if len(a.Outputs) == 1 {
			dst = appendTFSRow(dst, &a.Outputs[0], row)
			continue
		}
		dst = append(dst, '{')
		for i := range a.Outputs {
			dst = appendKey(dst, i, a.Outputs[i].Name)
			dst = appendTFSRow(dst, &a.Outputs[i], row)
		}
		dst = append(dst, '}')
	}
	return append(dst, "]}"...), nil
}

func inColumns(e *fairlead.Error) error {
	return e.Hintf(`such outputs cannot be put in rows: send "inputs" instead of "instances"`)
}

func appendKey(dst []byte, i int, name string) []byte {
	if i > 0 {
		dst = append(dst, ',')
	}
	return append(appendString(dst, name), ':')
}

func appendTFSRow(dst []byte, t *fairlead.Tensor, row int) []byte {
	width := t.Width()
	return appendTFS(dst, t, t.Shape[1:], row*width, width)
}

func appendWhole(dst []byte, t *fairlead.Tensor) []byte {
	return appendTFS(dst, t, t.Shape, 0, t.Len())
}

// appendTFS appends n values from start on, nested as shape says.
func appendTFS(dst []byte, t *fairlead.Tensor, shape []int64, start, n int) []byte {
	if len(shape) == 0 {
		return appendTFSValue(dst, t, start)
	}
	dst = append(dst, '[')
	size := 0
	if shape[0] > 0 {
		size = n / int(shape[0])
	}
	for i := range int(shape[0]) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendTFS(dst, t, shape[1:], start+i*size, size)
	}
	return append(dst, ']')
}

func appendTFSValue(dst []byte, t *fairlead.Tensor, i int) []byte {
	if words, ok := t.Data.([]string); ok && strings.HasSuffix(t.Name, "_bytes") {
		dst = append(dst, `{"b64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(words[i]))
		return append(dst, `"}`...)
	}
	before := len(dst)
	dst = appendValues(dst, t, i, i+1)
	switch t.Type {
	case fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64:
		return pointed(dst, before)
	}
	return dst
}

// pointed adds ".0" to the number at dst[from:] if it looks like an integer.
func pointed(dst []byte, from int) []byte {
	if bytes.ContainsAny(dst[from:], ".eNI") { // NaN and Infinity among them
		return dst
	}
	return append(dst, ".0"...)
}
