package codec

import (
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// TestFloatsAgreeWithStrconvOnMany compares arrays of numbers with strconv: random ones in the forms that clients write,
// and those that lie in the middle between two float32, or a digit beside it, where rounding twice goes wrong. It takes
// FAIRLEAD_FLOATS numbers, for example 100000000, in place of a small share.
func TestFloatsAgreeWithStrconvOnMany(t *testing.T) {
	count := 1_000_000
	if testing.Short() {
		count = 100_000
	}
	if s := os.Getenv("FAIRLEAD_FLOATS"); s != "" {
		var err error
		if count, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	const seed, per = 3, 1000
	t.Logf("seed %d, %d numbers", seed, count)
	r := rand.New(rand.NewPCG(seed, seed))
	var body []byte
	ends := make([]int, per)
	failures := 0
	for done := 0; done < count && failures < 10; done += per {
		body = append(body[:0], '[')
		for i := range ends {
			body = appendHardNumber(body, r)
			ends[i] = len(body)
			body = append(body, ',')
		}
		body[len(body)-1] = ']'
		body = append(body, "                                        "...)
		wide := &values[float64]{parse: (*parser).float64, quick: quick64, many: decimals[float64]}
		narrow := &values[float32]{parse: (*parser).float32, quick: quick32, many: decimals[float32]}
		wide.reserve(per)
		narrow.reserve(per)
		if _, err := wide.append(&parser{b: body}, per); err != nil {
			t.Fatal(err)
		}
		if _, err := narrow.append(&parser{b: body}, per); err != nil {
			t.Fatal(err)
		}
		start := 1
		for i, end := range ends {
			s := string(body[start:end])
			start = end + 1
			want32, _ := strconv.ParseFloat(s, 32)
			want64, _ := strconv.ParseFloat(s, 64)
			if math.Float32bits(narrow.data[i]) != math.Float32bits(float32(want32)) || math.Float64bits(wide.data[i]) != math.Float64bits(want64) {
				t.Errorf("%s: %v and %v, strconv says %v and %v", s, narrow.data[i], wide.data[i], float32(want32), want64)
				failures++
			}
		}
	}
}

// appendHardNumber appends one number within the range of float32.
func appendHardNumber(b []byte, r *rand.Rand) []byte {
	if r.IntN(2) == 0 {
		b = append(b, '-')
	}
	switch r.IntN(8) {
	case 0: // the shortest form of any float32
		return appendFinite(b, math.Float32frombits(r.Uint32()&^(1<<31)), 'g', 32)
	case 1: // what Python writes of a float32
		return appendFinite(b, math.Float32frombits(r.Uint32()&^(1<<31)), 'g', 64)
	case 2: // a probability, with up to 19 digits
		return strconv.AppendFloat(b, r.Float64(), 'f', 1+r.IntN(19), 64)
	case 3: // a float64 of moderate size
		return strconv.AppendFloat(b, math.Ldexp(r.Float64(), r.IntN(60)-40), 'f', -1, 64)
	case 4: // digits with a point anywhere
		digits := strconv.AppendUint(nil, r.Uint64()>>r.IntN(60), 10)
		point := r.IntN(len(digits) + 1)
		if point == 0 {
			b = append(b, '0')
		}
		b = append(b, digits[:point]...)
		if point < len(digits) {
			b = append(append(b, '.'), digits[point:]...)
		}
		return b
	case 5: // digits with an exponent
		b = strconv.AppendUint(b, r.Uint64()>>r.IntN(60), 10)
		return strconv.AppendInt(append(b, 'e'), int64(r.IntN(60)-42), 10)
	}
	// The middle m between two float32, (2k+1)/2^places for a k of 24 bits, written in full; and its neighbours by one in
	// the last digit or in one more.
	places := r.IntN(17)
	odd := uint64(1<<24|r.Uint32N(1<<24))<<1 | 1
	digits := odd * pow5[places] // m = digits / 10^places
	switch r.IntN(4) {
	case 0:
		digits++
	case 1:
		digits--
	}
	text := strconv.AppendUint(nil, digits, 10)
	for len(text) <= places {
		text = append([]byte{'0'}, text...)
	}
	b = append(append(append(b, text[:len(text)-places]...), '.'), text[len(text)-places:]...)
	if places == 0 || r.IntN(4) == 0 {
		b = append(b, "0000000000001"[r.IntN(12):]...)
	}
	return b
}

func appendFinite(b []byte, f float32, format byte, bits int) []byte {
	if f-f != 0 {
		f = 1.5
	}
	return strconv.AppendFloat(b, float64(f), format, -1, bits)
}
