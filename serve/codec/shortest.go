package codec

import (
	"math"
	"math/bits"
	"strconv"
)

// Writing float32 in the shortest form that reads back, after R. Giulietti, "The Schubfach way to render doubles" (2021):
// of the decimals that round to v there is at most one of the form n·10^(k+1), and else one of two neighbours n·10^k is
// the nearest to v, where 10^k is not more than the width of the interval that rounds to v.

// power10 is 10^k for k from firstPower on, times the power of two that makes it a 64-bit integer with its highest bit
// set, rounded down, plus 1. TestPowersOfTen works them out again.
const firstPower = -31

var power10 = [...]uint64{
	0x81ceb32c4b43fcf5, 0xa2425ff75e14fc32, 0xcad2f7f5359a3b3f, 0xfd87b5f28300ca0e, 0x9e74d1b791e07e49,
	0xc612062576589ddb, 0xf79687aed3eec552, 0x9abe14cd44753b53, 0xc16d9a0095928a28, 0xf1c90080baf72cb2,
	0x971da05074da7bef, 0xbce5086492111aeb, 0xec1e4a7db69561a6, 0x9392ee8e921d5d08, 0xb877aa3236a4b44a,
	0xe69594bec44de15c, 0x901d7cf73ab0acda, 0xb424dc35095cd810, 0xe12e13424bb40e14, 0x8cbccc096f5088cc,
	0xafebff0bcb24aaff, 0xdbe6fecebdedd5bf, 0x89705f4136b4a598, 0xabcc77118461cefd, 0xd6bf94d5e57a42bd,
	0x8637bd05af6c69b6, 0xa7c5ac471b478424, 0xd1b71758e219652c, 0x83126e978d4fdf3c, 0xa3d70a3d70a3d70b,
	0xcccccccccccccccd, 0x8000000000000001, 0xa000000000000001, 0xc800000000000001, 0xfa00000000000001,
	0x9c40000000000001, 0xc350000000000001, 0xf424000000000001, 0x9896800000000001, 0xbebc200000000001,
	0xee6b280000000001, 0x9502f90000000001, 0xba43b74000000001, 0xe8d4a51000000001, 0x9184e72a00000001,
	0xb5e620f480000001, 0xe35fa931a0000001, 0x8e1bc9bf04000001, 0xb1a2bc2ec5000001, 0xde0b6b3a76400001,
	0x8ac7230489e80001, 0xad78ebc5ac620001, 0xd8d726b7177a8001, 0x878678326eac9001, 0xa968163f0a57b401,
	0xd3c21bcecceda101, 0x84595161401484a1, 0xa56fa5b99019a5c9, 0xcecb8f27f4200f3b, 0x813f3978f8940985,
	0xa18f07d736b90be6, 0xc9f2c9cd04674edf, 0xfc6f7c4045812297, 0x9dc5ada82b70b59e, 0xc5371912364ce306,
	0xf684df56c3e01bc7, 0x9a130b963a6c115d, 0xc097ce7bc90715b4, 0xf0bdc21abb48db21, 0x96769950b50d88f5,
	0xbc143fa4e250eb32, 0xeb194f8e1ae525fe, 0x92efd1b8d0cf37bf, 0xb7abc627050305ae, 0xe596b7b0c643c71a,
	0x8f7e32ce7bea5c70, 0xb35dbf821ae4f38c, 0xe0352f62a19e306f,
}

// floorLog10 is floor(log10(2^e)) and floorLog2 is floor(log2(10^k)), for the exponents that float32 have.
func floorLog10(e int) int { return e * 1262611 >> 22 }
func floorLog2(k int) int  { return k * 1741647 >> 19 }

// scaled is x · g / 2^64 rounded down, with the lowest bit set where that was not exact.
func scaled(g, x uint64) uint64 {
	high, low := bits.Mul64(g, x)
	if low>>32 > 1 { // g is up to 1 too large, which is less than 2^32 in low
		return high | 1
	}
	return high
}

// shortest gives the decimal n · 10^k nearest to a positive finite v of those with the fewest digits that read back as
// v. n may end in zeros. v must not be a power of two, whose neighbour below is nearer than that above.
func shortest(v float32) (n uint64, k int) {
	b := math.Float32bits(v)
	fraction, exponent := uint64(b&(1<<23-1)), int(b>>23)
	mant, q := fraction, -149 // v = mant · 2^q
	if exponent > 0 {
		mant, q = fraction|1<<23, exponent-150
		if q <= 0 && q > -24 && mant&(1<<-q-1) == 0 { // an integer
			return mant >> -q, 0
		}
	}
	left, right := 4*mant-2, 4*mant+2 // in quarters of 2^q, the ends of the interval that rounds to v
	k = floorLog10(q)
	shift := q + floorLog2(-k) + 1
	g := power10[-k-firstPower]
	low, middle, high := scaled(g, left<<shift), scaled(g, 4*mant<<shift), scaled(g, right<<shift)
	if mant&1 != 0 { // the ends belong to an even neighbour
		low++
		high--
	}
	n = middle / 4 // all in quarters of 10^k
	if tenth := n / 10; n >= 10 {
		below, above := low <= 40*tenth, 40*tenth+40 <= high
		if below != above {
			if above {
				tenth++
			}
			return tenth, k + 1
		}
	}
	below, above := low <= 4*n, 4*n+4 <= high
	if below != above {
		if above {
			n++
		}
		return n, k
	}
	if half := 4*n + 2; middle > half || middle == half && n&1 == 1 {
		n++
	}
	return n, k
}

// appendFloat32 writes as appendFloat does.
func appendFloat32(dst []byte, v float32) []byte {
	b := math.Float32bits(v)
	size := math.Float32frombits(b &^ (1 << 31))
	if b&(1<<23-1) == 0 || size-size != 0 { // a power of two, 0, or no number
		return appendFloat(dst, float64(v), 32)
	}
	if b>>31 != 0 {
		dst = append(dst, '-')
	}
	n, k := shortest(size)
	exponent := float64(size) < 1e-6 || float64(size) >= 1e21
	for exponent || k < 0 {
		tenth := n / 10
		if n != 10*tenth {
			break
		}
		n = tenth
		k++
	}
	start := len(dst)
	if exponent {
		dst = strconv.AppendUint(dst, n, 10)
		k += len(dst) - start - 1
		if len(dst)-start > 1 {
			dst = insertPoint(dst, start+1)
		}
		sign := byte('+')
		if k < 0 {
			sign, k = '-', -k
		}
		return append(dst, 'e', sign, byte('0'+k/10), byte('0'+k%10))
	}
	if k >= 0 {
		dst = strconv.AppendUint(dst, n, 10)
		for ; k > 0; k-- {
			dst = append(dst, '0')
		}
		return dst
	}
	digits := decimalDigits(n)
	if digits > -k {
		return insertPoint(strconv.AppendUint(dst, n, 10), start+digits+k)
	}
	dst = append(dst, "0."...)
	for range -k - digits {
		dst = append(dst, '0')
	}
	return strconv.AppendUint(dst, n, 10)
}

func insertPoint(dst []byte, at int) []byte {
	dst = append(dst, 0)
	copy(dst[at+1:], dst[at:])
	dst[at] = '.'
	return dst
}

// decimalDigits is the number of digits of n, below 10^10.
func decimalDigits(n uint64) int {
	d := bits.Len64(n) * 1233 >> 12 // floor of the logarithm, or one less
	if n >= tens[d] {
		d++
	}
	return d
}

var tens = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}
