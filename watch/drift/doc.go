// Package drift measures how far a current distribution lies from a reference one, and how far it would lie by chance
// alone. Everything is a pure function of counts, shares or samples: no state, no clock, no I/O.
//
// Reference values come first (p, ref, m rows), current values second (q, cur, n rows). Logarithms are natural, so
// divergences are in nats. A measure that has no value (no rows on one side) is NaN, never 0.
//
// Chance is described by the null scale k = 1/n + 1/m: without drift PSI is distributed like k times a chi-squared
// variable with (bins − 1) degrees of freedom, the Kolmogorov-Smirnov distance like √k times a Kolmogorov variable.
// Each floor in this package is the quantile of such a null distribution.
package drift

import "math"

// nullScale is k = 1/n + 1/m, NaN when one side has no rows.
func nullScale(n, m uint64) float64 {
	if n == 0 || m == 0 {
		return math.NaN()
	}
	return 1/float64(n) + 1/float64(m)
}

// total is the sum of counts.
func total(counts []uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}

// sameLength panics unless both sides have the same bins: comparing different layouts is a bug of the caller.
func sameLength(a, b int) {
	if a != b {
		panic("drift: the two sides have different numbers of bins")
	}
}
