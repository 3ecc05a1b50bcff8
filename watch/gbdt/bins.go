package gbdt

import (
	"math"
	"slices"
	"sort"
)

// missing is the bin of NaN in every column.
const missing = 0

// binned is a column as bins: bin b>0 holds the values in (upper[b-2], upper[b-1]], the last everything above.
type binned struct {
	bin   []uint8
	upper []float64 // ascending; one fewer than bins with values
}

// bin cuts a column at quantiles of its distinct values, by their number.
func bin(values []float64, most int) binned {
	sorted := make([]float64, 0, len(values))
	for _, v := range values {
		if !math.IsNaN(v) {
			sorted = append(sorted, clamp(v))
		}
	}
	slices.Sort(sorted)
	b := binned{bin: make([]uint8, len(values))}
	for i, start := 0, 0; i < len(sorted); {
		j := i
		for j < len(sorted) && sorted[j] == sorted[i] {
			j++
		}
		// A bin is closed once it has its share of what was left when it began. Bin 0 is taken.
		if left := most - 1 - len(b.upper); left > 1 && j < len(sorted) && (j-start)*left >= len(sorted)-start {
			b.upper = append(b.upper, between(sorted[i], sorted[j]))
			start = j
		}
		i = j
	}
	for i, v := range values {
		if !math.IsNaN(v) {
			b.bin[i] = uint8(1 + sort.SearchFloat64s(b.upper, clamp(v))) // #nosec G115 -- at most 255 bins
		}
	}
	return b
}

// between is a threshold that has a at or below it and b above.
func between(a, b float64) float64 {
	if m := a/2 + b/2; m >= a && m < b {
		return m
	}
	return a
}
