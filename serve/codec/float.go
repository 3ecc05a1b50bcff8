package codec

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unsafe"
)

// Reading floats. A number of at most 19 digits is mant · 10^exp without loss, and then there are three ways to round it
// once to the nearest float, ties to even, which give the same bits as strconv.ParseFloat:
//
//   - Both mant and 10^|exp| are float64: their quotient or product is the float64 (Clinger, "How to read floating point
//     numbers accurately", 1990). Rounding that again to float32 is wrong only if it lies exactly between two float32.
//   - 5^|exp| is a uint64: a division or product of 128 bits has all bits that decide.
//   - strconv.

var pow10 = [32]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// scale are the powers of ten by which a mantissa moves before up to eight more digits.
var scale = [16]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}

// pow5 are the powers of five below 2^64.
var pow5 = func() (p [28]uint64) {
	p[0] = 1
	for i := range p[1:] {
		p[i+1] = 5 * p[i]
	}
	return p
}()

// digits reads the digits at the start of v, the first in its lowest byte: their number, up to 8, and their value.
func digits(v uint64) (n int, value uint64) {
	v ^= zeros
	n = bits.TrailingZeros64(others(v)) >> 3
	return n, eight(v << uint(64-8*n)) // with zeros before them
}

const zeros = 0x3030303030303030 // eight digits 0; XOR with it makes a digit its value

// eight is the number of eight digits, given as values, the first in the lowest byte.
func eight(v uint64) uint64 {
	v = v*10 + v>>8 // pairs, then fours, then all
	return ((v&0x000000ff000000ff)*0x000f424000000064 + (v>>16&0x000000ff000000ff)*0x0000271000000001) >> 32
}

// others marks the bytes of v, values of digits, that are none; behind the first it may mark too many.
func others(v uint64) uint64 { return (v + 0x7676767676767676 | v) & 0x8080808080808080 }

// decimals reads numbers as plain does, with commas and at most one blank between them, into out. It gives their number,
// and the index of the first that it has not read, or where closed of the ']' behind the last. This loop is most of the
// cost of a request in JSON: each number waits only for the length of the one before it, and branches stand where they
// are easily predicted.
func decimals[T float32 | float64](b []byte, i int, out []T) (n, end int, closed bool) {
	const window = 40 // a sign, 9 digits, a point, 16 digits and a word
	precision := 53
	if unsafe.Sizeof(T(0)) == 4 {
		precision = 24
	}
	for n < len(out) && i+window <= len(b) {
		w := b[i : i+window : i+window]
		at, sign, c := 0, uint64(0), w[0]
		if c == '-' {
			at, sign, c = 1, 1<<63, w[1]
		}
		mant := uint64(c) - '0'
		if mant > 9 {
			break
		}
		first, places := at, 0
		at++
		if c = w[at]; c-'0' < 10 {
			if mant == 0 {
				break
			}
			for ; c-'0' < 10 && at < first+9; c = w[at] {
				mant = mant*10 + uint64(c-'0')
				at++
			}
		}
		f := float64(int64(mant))
		if c == '.' {
			at++
			point := at
			v := binary.LittleEndian.Uint64(w[at:]) ^ zeros
			end := others(v)
			if end == 0 {
				mant = mant*1e8 + eight(v)
				at += 8
				v = binary.LittleEndian.Uint64(w[at:]) ^ zeros
				if end = others(v); end == 0 {
					mant = mant*1e8 + eight(v)
					at += 8
					v = binary.LittleEndian.Uint64(w[at:]) ^ zeros
					end = others(v)
				}
			}
			k := bits.TrailingZeros64(end) >> 3
			at += k
			if places = at - point; places == 0 || at-first > 20 { // 19 digits and the point
				break
			}
			mant = mant*scale[k&15] + eight(v<<uint(64-8*k))
			if mant < 1<<53 {
				f = float64(int64(mant)) / pow10[places&31]
			} else {
				f = round(mant, -places, precision)
			}
			c = w[at]
		}
		if c != ',' && c != ']' {
			break
		}
		if precision == 24 && betweenFloat32(f) {
			f = round(mant, -places, precision)
		}
		out[n] = T(math.Float64frombits(math.Float64bits(f) | sign))
		n++
		i += at
		if c == ']' {
			return n, i, true
		}
		if i++; b[i] == ' ' {
			i++
		}
	}
	return n, i, false
}

// plain reads a decimal without exponent at b[i], of at most 19 digits, that something follows: -?digits[.digits]. The
// number is mant / 10^places, negative where sign is 1. end is behind it, 0 if there is anything else.
func plain(b []byte, i int) (mant uint64, places int, sign uint64, end int) {
	if i < len(b) && b[i] == '-' {
		sign = 1
		i++
	}
	first := i
	for i < len(b) && b[i]-'0' < 10 {
		mant = mant*10 + uint64(b[i]-'0')
		i++
	}
	whole := i - first
	if whole == 0 || whole > 1 && b[first] == '0' || i >= len(b) {
		return 0, 0, 0, 0
	}
	if b[i] == '.' {
		i++
		for {
			if len(b)-i < 8 {
				return 0, 0, 0, 0
			}
			n, value := digits(binary.LittleEndian.Uint64(b[i:]))
			mant = mant*scale[n] + value
			places += n
			i += n
			if n < 8 {
				break
			}
		}
		if places == 0 {
			return 0, 0, 0, 0
		}
	}
	if whole+places > 19 || i >= len(b) || b[i]|0x20 == 'e' {
		return 0, 0, 0, 0
	}
	return mant, places, sign, i
}

// quick32 reads the usual float32 at b[i] and gives the index behind it, 0 for what it leaves to the parser.
func quick32(b []byte, i int) (float32, int) {
	mant, places, sign, end := plain(b, i)
	if end == 0 {
		return 0, 0
	}
	var f float64
	if mant < 1<<53 {
		f = float64(int64(mant)) / pow10[places]
		if betweenFloat32(f) {
			f = round(mant, -places, 24)
		}
	} else {
		f = round(mant, -places, 24)
	}
	return math.Float32frombits(math.Float32bits(float32(f)) | uint32(sign)<<31), end
}

// quick64 is quick32's wide sister.
func quick64(b []byte, i int) (float64, int) {
	mant, places, sign, end := plain(b, i)
	if end == 0 {
		return 0, 0
	}
	var f float64
	if mant < 1<<53 {
		f = float64(int64(mant)) / pow10[places]
	} else {
		f = round(mant, -places, 53)
	}
	return math.Float64frombits(math.Float64bits(f) | sign<<63), end
}

// betweenFloat32 says whether f, 0 or a normal float32's size, is the middle between two float32.
func betweenFloat32(f float64) bool { return math.Float64bits(f)&(1<<29-1) == 1<<28 }

// round is mant · 10^exp rounded to so many bits, for an exp from -27 to 27.
func round(mant uint64, exp int, precision int) float64 {
	if mant == 0 {
		return 0
	}
	// mant = m / 2^s and 5^|exp| = d / 2^t with the highest bits of m and d set; the result is q · 2^e and a bit.
	s := bits.LeadingZeros64(mant)
	m := mant << s
	var q, rest uint64
	var e int
	if exp < 0 {
		t := bits.LeadingZeros64(pow5[-exp])
		q, rest = bits.Div64(m>>1, m<<63, pow5[-exp]<<t)
		e = exp + t - s - 63
	} else {
		t := bits.LeadingZeros64(pow5[exp])
		q, rest = bits.Mul64(m, pow5[exp]<<t)
		e = exp - t - s + 64
	}
	cut := bits.Len64(q) - precision
	last, half := q>>cut, uint64(1)<<(cut-1)
	if below := q & (1<<cut - 1); below > half || below == half && (rest != 0 || last&1 == 1) {
		last++
	}
	return float64(int64(last)) * math.Float64frombits(uint64(1023+e+cut)<<52)
}

// float rounds d once, to float32 where precision is 24, to float64 where it is 53. It is false where that takes strconv.
func (d *decimal) float(precision int) (f float64, ok bool) {
	switch {
	case !d.exact || d.exp < -27 || d.exp > 27:
		return 0, false
	case d.mant >= 1<<53 || d.exp < -22 || d.exp > 22:
		f = round(d.mant, d.exp, precision)
	case d.exp < 0:
		f = float64(int64(d.mant)) / pow10[-d.exp]
	default:
		f = float64(int64(d.mant)) * pow10[d.exp]
	}
	if precision == 24 && betweenFloat32(f) {
		f = round(d.mant, d.exp, precision)
	}
	if d.negative {
		f = -f
	}
	return f, precision == 53 || f >= -math.MaxFloat32 && f <= math.MaxFloat32
}

// float32 reads a number or one of the tokens NaN, Infinity and -Infinity, rounded once to nearest, ties to even: the
// same bits as strconv.ParseFloat(s, 32). Beyond the range it is errRange.
func (p *parser) float32() (float32, error) {
	f, err := p.float(24, 32)
	return float32(f), err
}

// float64 is float32's wide sister.
func (p *parser) float64() (float64, error) {
	return p.float(53, 64)
}

func (p *parser) float(precision, size int) (float64, error) {
	start := p.i
	d, ok := p.scan()
	if !ok {
		return p.token()
	}
	if f, ok := d.float(precision); ok {
		return f, nil
	}
	f, err := strconv.ParseFloat(unsafe.String(&p.b[start], p.i-start), size)
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
