package codec

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// sameFloat32 compares all ways to read a number with strconv on one text that is a JSON number.
func sameFloat32(t *testing.T, s string) {
	t.Helper()
	want, werr := strconv.ParseFloat(s, 32)
	p := &parser{b: []byte(s)}
	got, err := p.float32()
	if (err != nil) != (werr != nil) {
		t.Fatalf("%s: error %v, strconv says %v", s, err, werr)
	}
	if err == nil && (math.Float32bits(got) != math.Float32bits(float32(want)) || p.i != len(s)) {
		t.Fatalf("%s: %x, strconv says %x; read %d of %d bytes", s, math.Float32bits(got),
			math.Float32bits(float32(want)), p.i, len(s))
	}
	padded := append([]byte(s), ",                                        "...)
	if got, end := quick32(padded, 0); end != 0 && (end != len(s) || math.Float32bits(got) != math.Float32bits(float32(want))) {
		t.Fatalf("%s: quick32 says %v and reads %d of %d bytes", s, got, end, len(s))
	}
	var out [1]float32
	if n, end, _ := decimals(padded, 0, out[:]); n != 0 && (end != len(s)+2 || math.Float32bits(out[0]) != math.Float32bits(float32(want))) {
		t.Fatalf("%s: decimals says %v and reads %d of %d bytes", s, out[0], end, len(s))
	}
}

func sameFloat64(t *testing.T, s string) {
	t.Helper()
	want, werr := strconv.ParseFloat(s, 64)
	p := &parser{b: []byte(s)}
	got, err := p.float64()
	if (err != nil) != (werr != nil) || err == nil && math.Float64bits(got) != math.Float64bits(want) {
		t.Fatalf("%s: %v %v, strconv says %v %v", s, got, err, want, werr)
	}
	padded := append([]byte(s), ",                                        "...)
	if got, end := quick64(padded, 0); end != 0 && (end != len(s) || math.Float64bits(got) != math.Float64bits(want)) {
		t.Fatalf("%s: quick64 says %v and reads %d of %d bytes", s, got, end, len(s))
	}
	var out [1]float64
	if n, end, _ := decimals(padded, 0, out[:]); n != 0 && (end != len(s)+2 || math.Float64bits(out[0]) != math.Float64bits(want)) {
		t.Fatalf("%s: decimals says %v and reads %d of %d bytes", s, out[0], end, len(s))
	}
}

func TestFloat32AgreesWithStrconv(t *testing.T) {
	rounds := 200_000
	if testing.Short() {
		rounds = 20_000
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range rounds {
		f := math.Float32frombits(r.Uint32())
		if f != f || math.IsInf(float64(f), 0) {
			continue
		}
		// Shortest and longer forms of a float32, and of a float64 beside it.
		sameFloat32(t, strconv.FormatFloat(float64(f), 'g', -1, 32))
		sameFloat32(t, strconv.FormatFloat(float64(f), 'e', r.IntN(25), 64))
		g := math.Float64frombits(math.Float64bits(float64(f)) + r.Uint64N(5) - 2)
		sameFloat32(t, strconv.FormatFloat(g, 'g', -1, 64))
		// The middle between two float32, exactly and a hair beside it.
		next := math.Nextafter32(f, float32(math.Inf(1)))
		middle := (float64(f) + float64(next)) / 2
		exact := new(big.Float).SetFloat64(middle).Text('e', 60)
		sameFloat32(t, exact)
		sameFloat32(t, strings.Replace(exact, "e", "1e", 1))
		sameFloat32(t, strconv.FormatFloat(middle, 'g', 17, 64))
		sameFloat32(t, strconv.FormatFloat(math.Nextafter(middle, 0), 'g', -1, 64))
		sameFloat32(t, strconv.FormatFloat(math.Nextafter(middle, math.MaxFloat64), 'g', -1, 64))
		// Any decimal: few and many digits, small and large exponents.
		digits := 1 + r.IntN(24)
		var b strings.Builder
		for i := range digits {
			d := r.IntN(10)
			if i == 0 && digits > 1 {
				d = 1 + r.IntN(9)
			}
			b.WriteByte(byte('0' + d))
		}
		sameFloat32(t, fmt.Sprintf("%se%d", b.String(), r.IntN(90)-60))
		sameFloat32(t, fmt.Sprintf("-%s.%s", b.String(), b.String()))
		sameFloat64(t, fmt.Sprintf("%se%d", b.String(), r.IntN(640)-330))
		sameFloat64(t, strconv.FormatFloat(math.Float64frombits(r.Uint64()&^(1<<62)), 'g', -1, 64))
	}
}

func TestFloat32Corners(t *testing.T) {
	for _, s := range []string{"0", "-0", "0.0", "-0.0e5", "1e-46", "7e-46", "7.006492321624086e-46", "1.4e-45",
		"1.1754942e-38", "1.17549435e-38", "1.1754943508222875e-38", "3.4028235e38", "3.4028235677973366e38",
		"3.4028235677973362e38", "3.5e38", "1e39", "1e400", "-1e400", "1e-400", "16777217", "16777219", "33554431.5",
		"0.000000000000000000000000000000000000000000001", "1e22", "1e23", "123456789012345678901234567890",
		"9007199254740993", "0.1e-0001", "1E+5", "99999999999999999999e-20", "12345678.12345678", "1.00000000", "8388608.5"} {
		sameFloat32(t, s)
		sameFloat64(t, s)
	}
	for _, s := range []string{"", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "01", "-01", "00", "nan", "inf", "0x1p3", "Infinit", "--1"} {
		p := &parser{b: []byte(s)}
		if f, err := p.float32(); err == nil && p.i == len(s) {
			t.Errorf("%q was read as %v", s, f)
		}
	}
}

// FuzzFloat32: whatever is read as a number, one way or the other, has strconv's bits.
func FuzzFloat32(f *testing.F) {
	for _, s := range []string{"1.5", "-0.1e-7", "16777217", "NaN", "123456789.123456789", "-12.0000000000000001", "0.00000000000000000001", "01", "1.", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := &parser{b: []byte(s)}
		if _, ok := p.scan(); ok && p.i == len(s) {
			sameFloat32(t, s)
			sameFloat64(t, s)
			return
		}
		// No number of JSON's: nothing may read all of it as one.
		padded := append([]byte(s), ",                                        "...)
		var out [1]float32
		if _, end := quick32(padded, 0); end == len(s) && end > 0 {
			t.Fatalf("quick32 takes %q for a number", s)
		}
		if n, end, _ := decimals(padded, 0, out[:]); n > 0 && end > len(s) {
			t.Fatalf("decimals takes %q for a number", s)
		}
	})
}

func TestIntegers(t *testing.T) {
	p := func(s string) *parser { return &parser{b: []byte(s)} }
	for s, want := range map[string]uint64{"0": 0, "-0": 0, "255": 255, "18446744073709551615": math.MaxUint64} {
		if got, err := parseUnsigned[uint64](p(s)); err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for s, want := range map[string]int64{"-9223372036854775808": math.MinInt64, "9223372036854775807": math.MaxInt64, "-1": -1} {
		if got, err := parseSigned[int64](p(s)); err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	if got, err := parseSigned[int8](p("-128")); err != nil || got != -128 {
		t.Errorf("-128: %d, %v", got, err)
	}
	for _, s := range []string{"18446744073709551616", "99999999999999999999", "28446744073709551615", "100000000000000000000", "-1"} {
		if got, err := parseUnsigned[uint64](p(s)); err != errRange {
			t.Errorf("UINT64 %s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"9223372036854775808", "-9223372036854775809"} {
		if got, err := parseSigned[int64](p(s)); err != errRange {
			t.Errorf("INT64 %s: %d, %v", s, got, err)
		}
	}
	if _, err := parseUnsigned[uint8](p("300")); err != errRange {
		t.Errorf("UINT8 300: %v", err)
	}
	if _, err := parseSigned[int8](p("128")); err != errRange {
		t.Errorf("INT8 128: %v", err)
	}
	for _, s := range []string{"1.0", "1e3", "x", "01", ""} {
		if got, err := parseSigned[int32](p(s)); err != errInteger {
			t.Errorf("INT32 %q: %d, %v", s, got, err)
		}
	}
}

// TestHalfRoundTrip reads the shortest decimal of every FP16 and BF16 back to the same bits, and rounds to the nearest.
func TestHalfRoundTrip(t *testing.T) {
	for _, dt := range []fairlead.DataType{fairlead.FP16, fairlead.BF16} {
		previous := math.Inf(-1)
		for i := range 1 << 15 {
			bits := uint16(i)
			f := float64(fairlead.HalfToFloat(bits, dt))
			got, ok := toHalf(f, dt)
			if math.IsNaN(f) {
				if !ok || !math.IsNaN(float64(fairlead.HalfToFloat(got, dt))) {
					t.Fatalf("%s %04x: NaN became %04x", dt, bits, got)
				}
				continue
			}
			if !ok || got != bits {
				t.Fatalf("%s %04x is %v and came back as %04x, %v", dt, bits, f, got, ok)
			}
			if neg, _ := toHalf(-f, dt); neg != bits|0x8000 {
				t.Fatalf("%s -%v is %04x", dt, f, neg)
			}
			if !math.IsInf(previous, 0) && !math.IsInf(f, 0) {
				middle := (previous + f) / 2
				got, _ := toHalf(middle, dt)
				if got&1 != 0 {
					t.Fatalf("%s: the tie %v went to the odd %04x", dt, middle, got)
				}
				above, _ := toHalf(math.Nextafter(middle, math.Inf(1)), dt)
				below, _ := toHalf(math.Nextafter(middle, 0), dt)
				if above != bits || below != bits-1 {
					t.Fatalf("%s: beside %v came %04x and %04x", dt, middle, below, above)
				}
			}
			previous = f
		}
	}
	if _, ok := toHalf(65520, fairlead.FP16); ok {
		t.Error("65520 fits FP16")
	}
	if bits, ok := toHalf(65519, fairlead.FP16); !ok || bits != 0x7bff {
		t.Errorf("65519 in FP16 is %04x, %v", bits, ok)
	}
	if _, ok := toHalf(3.4e38, fairlead.BF16); ok {
		t.Error("3.4e38 fits BF16")
	}
}

func BenchmarkThousandFloats(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var parts []string
	for range 1000 {
		parts = append(parts, strconv.FormatFloat(float64(r.Float32()), 'g', -1, 32))
	}
	body := []byte(`{"inputs":[{"name":"x","datatype":"FP32","shape":[1,1000],"data":[` + strings.Join(parts, ",") + `]}]}`)
	schema := NewSchema(&fairlead.Signature{})
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(body, schema); err != nil {
			b.Fatal(err)
		}
	}
}
