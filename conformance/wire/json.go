package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Number is a JSON number as it was written, or one of the tokens NaN, Infinity and -Infinity.
type Number string

// maxDepth bounds arrays in arrays, so that an answer cannot exhaust the stack.
const maxDepth = 10_000

// Parse reads one JSON document: map[string]any, []any, string, Number, bool or nil. Beyond JSON it takes the tokens NaN,
// Infinity and -Infinity, as servers of the protocol do. A member given twice is an error.
func Parse(b []byte) (any, error) {
	p := &parser{b: b}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.i < len(p.b) {
		return nil, p.errorf("there is more after the end")
	}
	return v, nil
}

type parser struct {
	b []byte
	i int
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("not JSON at byte %d: %s", p.i, fmt.Sprintf(format, args...))
}

func (p *parser) space() {
	for p.i < len(p.b) && strings.IndexByte(" \t\r\n", p.b[p.i]) >= 0 {
		p.i++
	}
}

func (p *parser) value(depth int) (any, error) {
	p.space()
	if p.i >= len(p.b) {
		return nil, p.errorf("it ends")
	}
	if depth > maxDepth {
		return nil, p.errorf("more than %d levels", maxDepth)
	}
	switch p.b[p.i] {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		return p.text()
	}
	start := p.i
	for p.i < len(p.b) && strings.IndexByte(" \t\r\n,]}:", p.b[p.i]) < 0 {
		p.i++
	}
	switch word := string(p.b[start:p.i]); word {
	case "true", "false":
		return word == "true", nil
	case "null":
		return nil, nil
	case "NaN", "Infinity", "-Infinity":
		return Number(word), nil
	default:
		if !json.Valid([]byte(word)) {
			p.i = start
			return nil, p.errorf("%.20q", word)
		}
		return Number(word), nil
	}
}

func (p *parser) array(depth int) (any, error) {
	out := []any{}
	p.i++
	if p.space(); p.i < len(p.b) && p.b[p.i] == ']' {
		p.i++
		return out, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		if more, err := p.more(']'); err != nil || !more {
			return out, err
		}
	}
}

func (p *parser) object(depth int) (any, error) {
	out := map[string]any{}
	p.i++
	if p.space(); p.i < len(p.b) && p.b[p.i] == '}' {
		p.i++
		return out, nil
	}
	for {
		if p.space(); p.i >= len(p.b) || p.b[p.i] != '"' {
			return nil, p.errorf("a member has no name")
		}
		name, err := p.text()
		if err != nil {
			return nil, err
		}
		if p.space(); p.i >= len(p.b) || p.b[p.i] != ':' {
			return nil, p.errorf("no colon after %q", name)
		}
		p.i++
		if _, twice := out[name]; twice {
			return nil, p.errorf("%q twice", name)
		}
		if out[name], err = p.value(depth + 1); err != nil {
			return nil, err
		}
		if more, err := p.more('}'); err != nil || !more {
			return out, err
		}
	}
}

func (p *parser) more(end byte) (bool, error) {
	p.space()
	if p.i < len(p.b) {
		p.i++
		switch p.b[p.i-1] {
		case ',':
			return true, nil
		case end:
			return false, nil
		}
		p.i--
	}
	return false, p.errorf("expected , or %c", end)
}

func (p *parser) text() (string, error) {
	start := p.i
	for p.i++; p.i < len(p.b) && p.b[p.i] != '"'; p.i++ {
		if p.b[p.i] == '\\' {
			p.i++
		}
	}
	if p.i >= len(p.b) {
		return "", p.errorf("a string does not end")
	}
	p.i++
	var s string
	if !utf8.Valid(p.b[start:p.i]) {
		return "", p.errorf("a string is not UTF-8")
	}
	if err := json.Unmarshal(p.b[start:p.i], &s); err != nil {
		return "", p.errorf("%v", err)
	}
	return s, nil
}

// FromData makes a tensor of a message's "data", nested or flat.
func FromData(name, datatype string, shape []int64, data any) (Tensor, error) {
	t := Tensor{Name: name, Datatype: datatype, Shape: shape}
	if _, ok := data.([]any); !ok {
		return t, fmt.Errorf("data of %q is no array", name)
	}
	if err := t.add(data); err != nil {
		return t, fmt.Errorf("data of %q: %w", name, err)
	}
	return t, nil
}

func (t *Tensor) add(v any) (err error) {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			if err := t.add(e); err != nil {
				return err
			}
		}
		return nil
	case string:
		if t.Datatype == "BYTES" {
			t.Raw = append(t.Raw, BytesRaw(x)...)
			return nil
		}
	case bool:
		if t.Datatype == "BOOL" {
			b := byte(0)
			if x {
				b = 1
			}
			t.Raw = append(t.Raw, b)
			return nil
		}
	case Number:
		t.Raw, err = appendNumber(t.Raw, t.Datatype, string(x))
		return err
	}
	return fmt.Errorf("%v is no %s", v, t.Datatype)
}

func appendNumber(raw []byte, datatype, s string) ([]byte, error) {
	bits := Size(datatype) * 8
	var u uint64
	switch datatype {
	case "INT8", "INT16", "INT32", "INT64":
		i, err := strconv.ParseInt(s, 10, bits)
		if err != nil {
			return raw, fmt.Errorf("%s is no %s", s, datatype)
		}
		u = uint64(i)
	case "UINT8", "UINT16", "UINT32", "UINT64":
		var err error
		if u, err = strconv.ParseUint(s, 10, bits); err != nil {
			return raw, fmt.Errorf("%s is no %s", s, datatype)
		}
	case "FP32", "FP16", "BF16":
		f, err := strconv.ParseFloat(s, 32)
		if err != nil {
			return raw, fmt.Errorf("%s is no %s", s, datatype)
		}
		u = uint64(math.Float32bits(float32(f)))
		if datatype == "FP16" {
			u = uint64(floatToHalf(f))
		} else if datatype == "BF16" {
			u = uint64(floatToBrain(float32(f)))
		}
	case "FP64":
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return raw, fmt.Errorf("%s is no %s", s, datatype)
		}
		u = math.Float64bits(f)
	default:
		return raw, fmt.Errorf("%s is no %s", s, datatype)
	}
	return append(raw, binary.LittleEndian.AppendUint64(nil, u)[:bits/8]...), nil
}

// floatToHalf rounds to the nearest binary16, halves to even.
func floatToHalf(f float64) uint16 {
	sign := uint16(0)
	if math.Signbit(f) {
		sign, f = 0x8000, -f
	}
	switch {
	case math.IsNaN(f):
		return 0x7e00
	case f >= 65520: // half way between the largest and what would come next
		return sign | 0x7c00
	case f < math.Ldexp(1, -14):
		return sign | uint16(math.RoundToEven(math.Ldexp(f, 24)))
	}
	frac, exp := math.Frexp(f) // f = frac·2^exp, frac in [1/2,1)
	return sign | uint16(int(math.RoundToEven(math.Ldexp(frac, 11)))+(exp+13)<<10)
}

// floatToBrain rounds to the nearest bfloat16, halves to even.
func floatToBrain(f float32) uint16 {
	bits := math.Float32bits(f)
	if f != f {
		return 0x7fc0
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}
