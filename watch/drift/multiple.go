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
