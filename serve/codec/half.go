package codec

import (
	"math"
	"strconv"

	"github.com/fairlead-ml/fairlead"
)

// halfFormat is a float of 16 bits.
type halfFormat struct {
	precision int // bits of the mantissa with the hidden one
	lowest    int // exponent of the smallest normal number
	bias      int
	largest   float64
}

func formatOf(t fairlead.DataType) halfFormat {
	if t == fairlead.BF16 {
		return halfFormat{8, -126, 127, 0x1.fep127}
	}
	return halfFormat{11, -14, 15, 65504}
}

func parseHalf(t fairlead.DataType) func(*parser) (uint16, error) {
	format := formatOf(t)
	return func(p *parser) (uint16, error) {
		start := p.i
		f, err := p.float64()
		if err != nil {
			return 0, err
		}
		if units, _ := format.units(math.Abs(f)); units-math.Floor(units) == 0.5 {
			// Only here can rounding twice, to float64 and then to the half, differ from rounding the number itself.
			switch compareDecimal(p.b[start:p.i], math.Abs(f)) {
			case -1:
				f = math.Nextafter(f, 0)
			case 1:
				f = math.Nextafter(f, math.Copysign(math.MaxFloat64, f))
			}
		}
		bits, ok := toHalf(f, t)
		if !ok {
			p.i = start
			return 0, errRange
		}
		return bits, nil
	}
}

// units is a positive f in units of its last place, and its exponent.
func (h halfFormat) units(f float64) (units float64, e int) {
	_, e = math.Frexp(f)
	e = max(e-1, h.lowest) // a subnormal has fewer units than 2^(precision-1)
	return math.Ldexp(f, h.precision-1-e), e
}

// toHalf rounds to the nearest FP16 or BF16, ties to even; false for a finite number beyond the range.
func toHalf(f float64, t fairlead.DataType) (uint16, bool) {
	h := formatOf(t)
	var sign uint16
	if math.Signbit(f) {
		sign, f = 0x8000, -f
	}
	infinity := uint16(2*h.bias+1) << (h.precision - 1)
	switch {
	case math.IsNaN(f):
		return infinity | 1<<(h.precision-2), true
	case math.IsInf(f, 0):
		return sign | infinity, true
	case f == 0:
		return sign, true
	}
	units, e := h.units(f)
	units = math.RoundToEven(units)
	if math.Ldexp(units, e-h.precision+1) > h.largest {
		return 0, false
	}
	// Adding the exponent to the mantissa lets a carry of the rounding raise it.
	return sign | uint16(int(units)+(e+h.bias-1)<<(h.precision-1)), true
}

// compareDecimal is -1, 0 or 1 as the magnitude of number, which is JSON's and not 0, is less than f, equal or more.
func compareDecimal(number []byte, f float64) int {
	// Every float64 has fewer than 800 digits, so this is f exactly.
	exact := strconv.AppendFloat(make([]byte, 0, 1024), f, 'e', 800, 64)
	a, aExp := significant(number)
	b, bExp := significant(exact)
	switch {
	case aExp < bExp:
		return -1
	case aExp > bExp:
		return 1
	}
	for i := range max(len(a), len(b)) {
		x, y := byte('0'), byte('0')
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
	}
	return 0
}

// significant gives a number's digits from the first that is not 0, and the exp that makes it 0.digits · 10^exp.
func significant(number []byte) (digits []byte, exp int) {
	point := false
	for i, c := range number {
		switch {
		case c == '.':
			point = true
		case c|0x20 == 'e':
			e, _, _ := exponent(number, i+1)
			return digits, exp + e
		case c-'0' < 10 && (c != '0' || len(digits) > 0):
			digits = append(digits, c)
			if !point {
				exp++
			}
		case c == '0' && point:
			exp--
		}
	}
	return digits, exp
}
