package codec

import (
	"errors"
	"strconv"
	"unsafe"

	"github.com/fairlead-ml/fairlead"
)

// What can be wrong with one value. The caller adds where it is and what came.
var (
	errNumber  = errors.New("a number")
	errInteger = errors.New("an integer")
	errBool    = errors.New("true or false")
	errString  = errors.New("a string")
	errRange   = errors.New("a number in range")
	errNull    = errors.New("a value")
)

var ranges = map[fairlead.DataType]string{
	fairlead.Int8: "an integer from -128 to 127", fairlead.Uint8: "an integer from 0 to 255",
	fairlead.Int16: "an integer from -32768 to 32767", fairlead.Uint16: "an integer from 0 to 65535",
	fairlead.Int32: "an integer from -2147483648 to 2147483647", fairlead.Uint32: "an integer from 0 to 4294967295",
	fairlead.Int64:  "an integer from -9223372036854775808 to 9223372036854775807",
	fairlead.Uint64: "an integer from 0 to 18446744073709551615",
	fairlead.FP16:   "a number up to 65504", fairlead.BF16: "a number up to 3.38e38",
	fairlead.FP32: "a number up to 3.4e38", fairlead.FP64: "a number up to 1.79e308",
}

// expectation says what should have come where err was found.
func expectation(err error, t fairlead.DataType) string {
	if err == errRange && ranges[t] != "" {
		return ranges[t]
	}
	return err.Error()
}

// decimal is the number mant · 10^exp as far as 19 digits carry it.
type decimal struct {
	mant     uint64
	exp      int
	negative bool
	exact    bool // mant has all digits
}

// scan reads a number of JSON's grammar at p.i and moves behind it. It is false, and p.i stays, if there is none.
func (p *parser) scan() (d decimal, ok bool) {
	b, i := p.b, p.i
	if i < len(b) && b[i] == '-' {
		d.negative = true
		i++
	}
	first := i
	for i < len(b) && b[i]-'0' < 10 {
		d.mant = d.mant*10 + uint64(b[i]-'0')
		i++
	}
	digits := i - first
	if digits == 0 || digits > 1 && b[first] == '0' {
		return d, false
	}
	if i < len(b) && b[i] == '.' {
		i++
		point := i
		for i < len(b) && b[i]-'0' < 10 {
			d.mant = d.mant*10 + uint64(b[i]-'0')
			i++
		}
		if i == point {
			return d, false
		}
		d.exp = point - i
		digits += i - point
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		e, end, ok := exponent(b, i+1)
		if !ok {
			return d, false
		}
		d.exp += e
		i = end
	}
	d.exact = digits <= 19 // 10^19 - 1 < 2^64
	p.i = i
	return d, true
}

// exponent reads what follows an 'e'; it saturates far beyond the range of a float64.
func exponent(b []byte, i int) (e, end int, ok bool) {
	negative := false
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		negative = b[i] == '-'
		i++
	}
	start := i
	for i < len(b) && b[i]-'0' < 10 {
		if e < 100_000 {
			e = e*10 + int(b[i]-'0')
		}
		i++
	}
	if negative {
		e = -e
	}
	return e, i, i > start
}

// integer reads an integer as an integer, never through a float. The magnitude is at most limit, or limit + 1 for a
// negative one where signed.
func (p *parser) integer(limit uint64, signed bool) (magnitude uint64, negative bool, err error) {
	start := p.i
	d, ok := p.scan()
	if !ok {
		return 0, false, errInteger
	}
	b := p.b[start:p.i]
	if d.negative {
		b = b[1:]
	}
	for _, c := range b {
		if c-'0' >= 10 {
			p.i = start
			return 0, false, errInteger
		}
	}
	bad := !d.exact
	if !d.exact && len(b) == 20 { // the only way to have 20 digits and fit is to start with 1
		v, err := strconv.ParseUint(unsafe.String(&b[0], len(b)), 10, 64)
		d.mant, bad = v, err != nil
	}
	if d.negative {
		switch {
		case signed:
			limit++
		default:
			limit = 0
		}
	}
	if bad || d.mant > limit {
		p.i = start
		return 0, false, errRange
	}
	return d.mant, d.negative, nil
}

type signed interface {
	~int8 | ~int16 | ~int32 | ~int64
}
type unsigned interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64
}

func parseSigned[T signed](p *parser) (T, error) {
	var zero T
	limit := uint64(1)<<(unsafe.Sizeof(zero)*8-1) - 1
	m, negative, err := p.integer(limit, true)
	if negative {
		return T(-int64(m)), err
	}
	return T(m), err
}

func parseUnsigned[T unsigned](p *parser) (T, error) {
	m, _, err := p.integer(uint64(^T(0)), false)
	return T(m), err
}

func parseBool(p *parser) (bool, error) {
	switch {
	case p.word("true"):
		return true, nil
	case p.word("false"):
		return false, nil
	}
	return false, errBool
}

// quickInteger reads the usual integer at b[i]: at most 18 digits. end is the index behind it, 0 for anything else.
func quickInteger(b []byte, i int) (magnitude uint64, negative bool, end int) {
	if i < len(b) && b[i] == '-' {
		negative = true
		i++
	}
	first := i
	for i < len(b) && b[i]-'0' < 10 {
		magnitude = magnitude*10 + uint64(b[i]-'0')
		i++
	}
	n := i - first
	if n == 0 || n > 18 || n > 1 && b[first] == '0' || i < len(b) && (b[i] == '.' || b[i]|0x20 == 'e') {
		return 0, false, 0
	}
	return magnitude, negative, i
}

func quickSigned[T signed](b []byte, i int) (T, int) {
	m, negative, end := quickInteger(b, i)
	v := int64(m)
	if negative {
		v = -v
	}
	if int64(T(v)) != v {
		return 0, 0
	}
	return T(v), end
}

func quickUnsigned[T unsigned](b []byte, i int) (T, int) {
	m, negative, end := quickInteger(b, i)
	if uint64(T(m)) != m || negative {
		return 0, 0
	}
	return T(m), end
}
