package estimate

import (
	"cmp"
	"math"
	"slices"
)

// Isotonic is a function that never falls, through knots, with straight lines between them and constant outside.
type Isotonic struct {
	X []float64 `json:"x"` // ascending, distinct
	Y []float64 `json:"y"` // never falling
}

// FitIsotonic is the weighted least-squares fit that never falls (pool adjacent violators), with the values at equal x
// averaged first. A nil weight is one each. Points that are no finite numbers and those without weight are left out; without
// any the result is empty, and At is NaN.
func FitIsotonic(x, y, weight []float64) Isotonic {
	type point struct{ x, y, w float64 }
	points := make([]point, 0, len(x))
	for i := range x {
		w := 1.0
		if weight != nil {
			w = weight[i]
		}
		if w > 0 && !math.IsInf(w, 0) && finite(x[i]) && finite(y[i]) {
			points = append(points, point{x[i], y[i], w})
		}
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	// A block is a run of knots that share a value; knots[i] is where block i begins.
	type block struct {
		y, w  float64
		knots int
	}
	var knots []float64
	var blocks []block
	for i := 0; i < len(points); {
		sum, weights, at := 0.0, 0.0, points[i].x
		for ; i < len(points) && points[i].x == at; i++ {
			sum += points[i].y * points[i].w
			weights += points[i].w
		}
		knots = append(knots, at)
		blocks = append(blocks, block{sum / weights, weights, 1})
		for n := len(blocks); n > 1 && blocks[n-2].y >= blocks[n-1].y; n-- {
			a, b := blocks[n-2], blocks[n-1]
			blocks[n-2] = block{(a.y*a.w + b.y*b.w) / (a.w + b.w), a.w + b.w, a.knots + b.knots}
			blocks = blocks[:n-1]
		}
	}
	f := Isotonic{}
	next := 0
	for _, b := range blocks {
		// The ends of a block say all about it.
		f.X, f.Y = append(f.X, knots[next]), append(f.Y, b.y)
		if b.knots > 1 {
			f.X, f.Y = append(f.X, knots[next+b.knots-1]), append(f.Y, b.y)
		}
		next += b.knots
	}
	return f
}

// At is the function's value; NaN for NaN and for a function without knots.
func (f Isotonic) At(x float64) float64 {
	if len(f.X) == 0 || math.IsNaN(x) {
		return math.NaN()
	}
	i, found := slices.BinarySearch(f.X, x)
	switch {
	case found:
		return f.Y[i]
	case i == 0:
		return f.Y[0]
	case i == len(f.X):
		return f.Y[i-1]
	}
	share := (x - f.X[i-1]) / (f.X[i] - f.X[i-1])
	return f.Y[i-1] + share*(f.Y[i]-f.Y[i-1])
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
