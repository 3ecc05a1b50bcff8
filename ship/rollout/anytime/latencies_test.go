package anytime

import (
	"math"
	"math/rand/v2"
)

// latencies draws n lognormal values with median scale·20 ms, in bins of eight to the octave.
func latencies(scale float64, n int) (bounds []float64, counts []uint64) {
	return drawLatencies(scale, n, rand.New(rand.NewPCG(seed, uint64(n))))
}

func drawLatencies(scale float64, n int, random *rand.Rand) (bounds []float64, counts []uint64) {
	const bins = 192
	bounds, counts = make([]float64, bins), make([]uint64, bins)
	for i := range bounds {
		bounds[i] = 10e-6 * math.Exp2(float64(i+1)/8)
	}
	bounds[bins-1] = math.Inf(1)
	for range n {
		x := scale * 0.02 * math.Exp(0.5*random.NormFloat64())
		bin := int(math.Log2(x/10e-6) * 8)
		counts[max(0, min(bins-1, bin))]++
	}
	return bounds, counts
}
