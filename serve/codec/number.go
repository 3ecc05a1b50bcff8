package codec

import (
	"encoding/binary"
	"errors"
	"math"
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

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

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
		if i+8 <= len(b) {
			if v := binary.LittleEndian.Uint64(b[i:]); eightDigits(v) {
				d.mant = d.mant*100_000_000 + parseEight(v)
				i += 8
			}
		}
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

// eightDigits says whether all eight bytes are ASCII digits.
func eightDigits(v uint64) bool {
	return v&0xf0f0f0f0f0f0f0f0 == 0x3030303030303030 &&
		(v+0x0606060606060606)&0xf0f0f0f0f0f0f0f0 == 0x3030303030303030
}

// parseEight is the value of eight digits, the first in the lowest byte: pairs, then fours, then all.
func parseEight(v uint64) uint64 {
	v -= 0x3030303030303030
	v = v*10 + v>>8
	return ((v&0x000000ff000000ff)*0x000f424000000064 + (v>>16&0x000000ff000000ff)*0x0000271000000001) >> 32
}

// float32 reads a number or one of the tokens NaN, Infinity and -Infinity, rounded once to nearest, ties to even: the
// same bits as strconv.ParseFloat(s, 32). Beyond the range it is errRange.
func (p *parser) float32() (float32, error) {
	start := p.i
	d, ok := p.scan()
	if !ok {
		f, err := p.token()
		return float32(f), err
	}
	if d.exact && d.mant < 1<<53 && d.exp >= -22 && d.exp <= 22 {
		// Both operands are exact, so f is the number rounded once to float64. Rounding it again to float32 differs from
		// rounding the number itself only if f lies exactly in the middle between two float32.
		f := float64(d.mant)
		if d.exp < 0 {
			f /= pow10[-d.exp]
		} else {
			f *= pow10[d.exp]
		}
		middle := math.Float64bits(f)&(1<<29-1) == 1<<28
		if !middle && (f >= 0x1p-126 || f == 0) && f <= math.MaxFloat32 {
			if d.negative {
				return -float32(f), nil
			}
			return float32(f), nil
		}
	}
	f, err := strconv.ParseFloat(unsafe.String(&p.b[start], p.i-start), 32)
	if err != nil {
		p.i = start
		return 0, errRange
	}
	return float32(f), nil
}

// float64 is float32's wide sister.
func (p *parser) float64() (float64, error) {
	start := p.i
	d, ok := p.scan()
	if !ok {
		return p.token()
	}
	if d.exact && d.mant < 1<<53 && d.exp >= -22 && d.exp <= 22 {
		f := float64(d.mant)
		if d.exp < 0 {
			f /= pow10[-d.exp]
		} else {
			f *= pow10[d.exp]
		}
		if d.negative {
			f = -f
		}
		return f, nil
	}
	f, err := strconv.ParseFloat(unsafe.String(&p.b[start], p.i-start), 64)
	if err != nil {
		p.i = start
		return 0, errRange
	}
	return f, nil
}

func (p *parser) token() (float64, error) {
	switch {
	case p.word("NaN"):
		return math.NaN(), nil
	case p.word("Infinity"):
		return math.Inf(1), nil
	case p.word("-Infinity"):
		return math.Inf(-1), nil
	}
	return 0, errNumber
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

func parseHalf(t fairlead.DataType) func(*parser) (uint16, error) {
	return func(p *parser) (uint16, error) {
		start := p.i
		f, err := p.float64()
		if err != nil {
			return 0, err
		}
		bits, ok := toHalf(f, t)
		if !ok {
			p.i = start
			return 0, errRange
		}
		return bits, nil
	}
}

// toHalf rounds to the nearest FP16 or BF16, ties to even; false for a finite number beyond the range.
func toHalf(f float64, t fairlead.DataType) (uint16, bool) {
	precision, lowest, bias, largest := 11, -14, 15, 65504.0
	if t == fairlead.BF16 {
		precision, lowest, bias, largest = 8, -126, 127, 0x1.fep127
	}
	var sign uint16
	if math.Signbit(f) {
		sign, f = 0x8000, -f
	}
	infinity := uint16(2*bias+1) << (precision - 1)
	switch {
	case math.IsNaN(f):
		return infinity | 1<<(precision-2), true
	case math.IsInf(f, 0):
		return sign | infinity, true
	case f == 0:
		return sign, true
	}
	_, e := math.Frexp(f)
	e = max(e-1, lowest)
	// In units of the last place; a subnormal has fewer of them than 2^(precision-1).
	units := math.RoundToEven(math.Ldexp(f, precision-1-e))
	if math.Ldexp(units, e-precision+1) > largest {
		return 0, false
	}
	// Adding the exponent to the mantissa lets a carry of the rounding raise it.
	return sign | uint16(int(units)+(e+bias-1)<<(precision-1)), true
}
