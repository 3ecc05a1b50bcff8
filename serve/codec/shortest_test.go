package codec

import (
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

func TestPowersOfTen(t *testing.T) {
	for i, got := range power10 {
		k := firstPower + i
		power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(k, -k))), nil)
		var floor *big.Int
		if k >= 0 { // 10^k · 2^(64-length)
			floor = power.Lsh(power, 128)
			floor.Rsh(floor, uint(floor.BitLen()-64))
		} else {
			floor = new(big.Int).Lsh(big.NewInt(1), 256)
			floor.Div(floor, power)
			floor.Rsh(floor, uint(floor.BitLen()-64))
		}
		if want := floor.Uint64() + 1; got != want {
			t.Errorf("10^%d: %#x, want %#x", k, got, want)
		}
	}
}

func sameText(t *testing.T, bits uint32) {
	t.Helper()
	v := math.Float32frombits(bits)
	got, want := string(appendFloat32(nil, v)), string(appendFloat(nil, float64(v), 32))
	if got != want {
		t.Fatalf("%08x is written as %s, by strconv as %s", bits, got, want)
	}
}

// TestShortestAgreesWithStrconv writes every float32 where FAIRLEAD_FLOATS is set, else powers of two and ten with their
// neighbours, all subnormal numbers' edges and a random share.
func TestShortestAgreesWithStrconv(t *testing.T) {
	if os.Getenv("FAIRLEAD_FLOATS") != "" {
		for b := uint32(0); ; b++ {
			sameText(t, b)
			if b == math.MaxInt32 { // negative ones differ by their sign alone
				return
			}
		}
	}
	for e := range uint32(256) {
		for d := uint32(0); d < 50; d++ {
			sameText(t, e<<23+d)
			sameText(t, e<<23-d)
		}
	}
	for k := -45; k < 39; k++ {
		f, _ := strconv.ParseFloat("1e"+strconv.Itoa(k), 32)
		for d := range uint32(100) {
			sameText(t, math.Float32bits(float32(f))+d-50)
		}
	}
	r := rand.New(rand.NewPCG(5, 5))
	for range 300_000 {
		sameText(t, r.Uint32())
		sameText(t, math.Float32bits(r.Float32()))
		sameText(t, math.Float32bits(float32(r.IntN(100_000))/float32(r.IntN(1000)+1)))
	}
}

func FuzzShortest(f *testing.F) {
	for _, v := range []float32{0, 1, 0.1, 1e-6, 1e21, 1e-45, math.MaxFloat32, 16777216, -123.456} {
		f.Add(math.Float32bits(v))
	}
	f.Fuzz(func(t *testing.T, bits uint32) { sameText(t, bits) })
}
