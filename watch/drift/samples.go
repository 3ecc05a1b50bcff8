package drift

import "math"

// W1 is the Wasserstein-1 (earth mover's) distance ∫|F−G| of two samples, in the unit of the values. It is NaN when a
// side is empty or holds a NaN or an infinity.
func W1(x, y []float64) float64 {
	return integrate(x, y, func(diff float64) float64 { return math.Abs(diff) })
}

// Energy is the energy distance √(2∫(F−G)²) of two samples (Székely; scipy.stats.energy_distance has the same
// convention). It is NaN when a side is empty or holds a NaN or an infinity.
func Energy(x, y []float64) float64 {
	return math.Sqrt(2 * integrate(x, y, func(diff float64) float64 { return diff * diff }))
}

func integrate(x, y []float64, f func(diff float64) float64) float64 {
	if len(x) == 0 || len(y) == 0 {
		return math.NaN()
	}
	var area float64
	finite := true
	ok := sweep(x, y, func(value, next, diff float64) {
		finite = finite && !math.IsInf(value, 0)
		area += f(diff) * (next - value)
	})
	if !ok || !finite {
		return math.NaN()
	}
	return area
}
