package profile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// randomEdges draws ascending float32 edges over many scales, some of them neighbours.
func randomEdges(rng *rand.Rand, n int) []float64 {
	var edges []float64
	for len(edges) < n {
		e := float32(rng.NormFloat64() * math.Pow(10, float64(rng.IntN(12)-4)))
		switch rng.IntN(6) {
		case 0:
			edges = append(edges, float64(math.Nextafter32(e, float32(math.Inf(1)))))
		case 1:
			e = float32(math.Round(float64(e)))
		}
		edges = append(edges, float64(e)+0)
	}
	slices.Sort(edges)
	return slices.Compact(edges)
}

// probes are values that matter for edges: the edges, their neighbours, and extremes.
func probes(edges []float64) []float64 {
	out := []float64{0, math.Copysign(0, -1), math.MaxFloat32, -math.MaxFloat32, 1e-45, -1e-45, 1e-310, -1e-310,
		1e300, -1e300, math.MaxFloat64, 1, -1}
	for _, e := range edges {
		f := float32(e)
		up, down := float32(math.Inf(1)), float32(math.Inf(-1))
		out = append(out, e, float64(math.Nextafter32(f, up)), float64(math.Nextafter32(f, down)),
			math.Nextafter(e, math.Inf(1)), math.Nextafter(e, math.Inf(-1)))
	}
	return out
}

func bySearch(edges []float64, x float64) int {
	n := 0
	for _, e := range edges {
		if x >= e {
			n++
		}
	}
	return n
}

func TestRankEqualsSearch(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, shift := range []uint{32 - wideTable, 32 - slimTable} {
		for _, narrow := range []bool{true, false} {
			for range 8 {
				edges := randomEdges(rng, 2+rng.IntN(90))
				r := newRanker(edges, nil, narrow, shift)
				check := func(x float64) {
					got, finite := r.rank(x)
					if math.IsNaN(x) || math.IsInf(x, 0) {
						if finite {
							t.Fatalf("rank(%g) says finite", x)
						}
						return
					}
					if want := bySearch(edges, x); int(got) != want || !finite {
						t.Fatalf("narrow %v: rank(%v) = %d, %v, want %d of %v", narrow, x, got, finite, want, edges)
					}
				}
				for _, x := range probes(edges) {
					if narrow {
						x = float64(float32(x))
					}
					check(x)
				}
				for range 20_000 {
					check(float64(math.Float32frombits(rng.Uint32())))
					if !narrow {
						check(math.Float64frombits(rng.Uint64()))
					}
				}
			}
		}
	}
}

// Edges that float32 cannot tell apart, such as times in microseconds, still rank exactly.
func TestRankOfLargeIntegers(t *testing.T) {
	var edges []float64
	for i := range 60 {
		edges = append(edges, float64(1_700_000_000_000_000+int64(i)*1_000))
	}
	r := newRanker(edges, nil, false, 16)
	for i := int64(-5); i < 61_000; i += 7 {
		x := float64(1_700_000_000_000_000 + i)
		got, _ := r.rank(x)
		if want := bySearch(edges, x); int(got) != want {
			t.Fatalf("rank(%f) = %d, want %d", x, got, want)
		}
	}
}

func TestRound(t *testing.T) {
	for _, c := range []struct {
		v    float64
		t    fairlead.DataType
		want float64
	}{
		{0.1, fairlead.FP32, float64(float32(0.1))},
		{0.1, fairlead.FP64, 0.1},
		{0.1, fairlead.FP16, 0.0999755859375},
		{65519, fairlead.FP16, 65504},
		{65520, fairlead.FP16, math.Inf(1)},
		{-70000, fairlead.FP16, math.Inf(-1)},
		{0x1p-24, fairlead.FP16, 0x1p-24},
		{0x1p-26, fairlead.FP16, 0},
		{1.00390625, fairlead.BF16, 1},
		{0.1, fairlead.BF16, 0.10009765625},
		{2.5, fairlead.Int64, 2},
		{7, fairlead.Bool, 1},
		{0, fairlead.Bool, 0},
	} {
		if got := round(c.v, c.t); got != c.want {
			t.Errorf("round(%g, %s) = %g, want %g", c.v, c.t, got, c.want)
		}
	}
	if !math.IsNaN(round(math.NaN(), fairlead.FP16)) {
		t.Error("NaN is lost")
	}
	// Every half float is its own rounding.
	for b := range 1 << 16 {
		for _, dt := range []fairlead.DataType{fairlead.FP16, fairlead.BF16} {
			v := float64(fairlead.HalfToFloat(uint16(b), dt))
			if got := round(v, dt); got != v && !math.IsNaN(v) {
				t.Fatalf("%s %g rounds to %g", dt, v, got)
			}
		}
	}
}

var kept uint8 // what a benchmark computed, so that it is not optimised away

func BenchmarkRank(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	values := make([]float32, 1<<16)
	for i := range values {
		values[i] = float32(rng.NormFloat64())
	}
	var edges []float64
	for i := range 65 {
		edges = append(edges, float64(float32(-2.2+4.4*float64(i)/64)))
	}
	for _, shift := range []uint{32 - wideTable, 32 - slimTable} {
		for _, narrow := range []bool{true, false} {
			r := newRanker(edges, nil, narrow, shift)
			var sink uint8
			b.Run(fmt.Sprintf("table%d/float32=%v", 32-shift, narrow), func(b *testing.B) {
				i := 0
				for b.Loop() {
					if narrow {
						j, _ := r.rank32(values[i&0xffff])
						sink += j
					} else {
						j, _ := r.rank(float64(values[i&0xffff]))
						sink += j
					}
					i++
				}
				kept = sink
			})
		}
	}
}
