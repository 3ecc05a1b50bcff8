package anytime

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestAdv(t *testing.T) {
	q := Question{Alpha: 0.01}
	for i, c := range []struct {
		keys        int
		zipf, share float64
		rate        func(r *rand.Rand) float64
		worse       float64
	}{
		{20, 0, 0.3, func(r *rand.Rand) float64 { return 0.3 * r.Float64() }, 1},
		{20, 1, 0.3, func(r *rand.Rand) float64 { return 0.3 * r.Float64() }, 1},
		{20, 1, 0.3, func(r *rand.Rand) float64 { return 0.3 * math.Pow(r.Float64(), 4) }, 1},
		{100, 1, 0.1, func(r *rand.Rand) float64 { return 0.3 * math.Pow(r.Float64(), 4) }, 1},
		{100, 1.5, 0.1, func(r *rand.Rand) float64 { return 0.3 * math.Pow(r.Float64(), 4) }, 1},
		{100, 0, 0.05, func(r *rand.Rand) float64 { return 0.3 * math.Pow(r.Float64(), 8) }, 1},
		{1000, 0.5, 0.05, func(r *rand.Rand) float64 { return math.Pow(r.Float64(), 30) }, 1},
		{1000, 0.5, 0.01, func(r *rand.Rand) float64 { return math.Pow(r.Float64(), 30) }, 1},
		{10000, 1, 0.01, func(r *rand.Rand) float64 { return math.Pow(r.Float64(), 30) }, 1},
		{2000, 1.1, 0.1, func(r *rand.Rand) float64 { return 0.02 }, 2},
		{10000, 1, 0.1, func(r *rand.Rand) float64 { return 0.02 }, 2},
		{10000, 1, 0.1, func(r *rand.Rand) float64 { return math.Pow(r.Float64(), 30) }, 2},
		{10000, 0.5, 0.1, func(r *rand.Rand) float64 { return math.Pow(r.Float64(), 30) }, 2},
	} {
		random := rand.New(rand.NewPCG(1, uint64(i)))
		guide := zipfGuide(c.keys, c.zipf)
		ab, na := 0., 0.
		const runs = 600
		var rt, nt []float64
		for range runs {
			z := newTraffic(random, guide, c.keys, c.share, func() float64 { return c.rate(random) })
			n, r := 0., 0.
			for l := 1.; l <= 40; l++ {
				z.come(600, c.worse, 0)
				if r == 0 && Rates(z.arms[0], z.arms[1], q).Finding == Harm {
					r = l
				}
				if n == 0 && RatesOf(Total(z.arms[0]), Total(z.arms[1]), 1, q).Finding == Harm {
					n = l
				}
			}
			if r > 0 {
				ab++
			} else {
				r = 999
			}
			if n > 0 {
				na++
			} else {
				n = 999
			}
			rt = append(rt, r)
			nt = append(nt, n)
		}
		t.Log(i, c.keys, c.zipf, c.share, c.worse, "robust", ab/runs, "naive", na/runs, median(rt), median(nt))
	}
}
