package fairlead

import "math"

// HalfToFloat widens the bits of an FP16 or BF16 value.
func HalfToFloat(bits uint16, t DataType) float32 {
	if t == BF16 {
		return math.Float32frombits(uint32(bits) << 16)
	}
	sign := uint32(bits&0x8000) << 16
	exp := uint32(bits>>10) & 0x1f
	frac := uint32(bits) & 0x3ff
	switch exp {
	case 0: // zero or subnormal: frac * 2^-24
		f := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
