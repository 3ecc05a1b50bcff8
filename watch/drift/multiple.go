package drift

import (
	"cmp"
	"slices"
)

// BenjaminiHochberg says for each p-value whether it is rejected when the expected share of false rejections among
// all rejections is held at q (Benjamini and Hochberg 1995): with the p-values in ascending order, the first r are
// rejected, r the largest rank with p(r) ≤ r·q/len(p). A NaN is never rejected and does not count as a test.
func BenjaminiHochberg(p []float64, q float64) []bool {
	rejected := make([]bool, len(p))
	order := make([]int, 0, len(p))
	for i, v := range p {
		if v == v {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	last := -1
	for rank, i := range order {
		if p[i] <= float64(rank+1)*q/float64(len(order)) {
			last = rank
		}
	}
	for _, i := range order[:last+1] {
		rejected[i] = true
	}
	return rejected
}

// Adjusted gives for each p-value the smallest q at which BenjaminiHochberg rejects it: min over the ranks r from its own on of
// p(r)·len(p)/r, at most 1. A NaN stays one and does not count as a test.
func Adjusted(p []float64) []float64 {
	out := make([]float64, len(p))
	order := make([]int, 0, len(p))
	for i, v := range p {
		out[i] = v
		if v == v {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	smallest := 1.0
	for rank, i := range slices.Backward(order) {
		smallest = min(smallest, p[i]*float64(len(order))/float64(rank+1))
		out[i] = smallest
	}
	return out
}
