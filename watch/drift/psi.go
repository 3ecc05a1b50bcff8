package drift

import "math"

// PSI is the population stability index Σ (p−q)·ln(p/q) of counts under the half rule: bins empty on both sides are
// dropped, 0.5 is added to every remaining count on both sides, and the shares are renormalised. kept is the number
// of remaining bins; without drift the index has kept−1 degrees of freedom.
//
// Dropping first matters: permanently empty bins that are smoothed act like extra rows of agreement or disagreement,
// depending on n, and raise the false-alarm rate of small windows by an order of magnitude.
//
// Without rows on one side the index is NaN.
func PSI(ref, cur []uint64) (psi float64, kept int) {
	sameLength(len(ref), len(cur))
	for i := range ref {
		if ref[i] > 0 || cur[i] > 0 {
			kept++
		}
	}
	m, n := total(ref), total(cur)
	if n == 0 || m == 0 {
		return math.NaN(), kept
	}
	mm, nn := float64(m)+0.5*float64(kept), float64(n)+0.5*float64(kept)
	for i := range ref {
		if ref[i] > 0 || cur[i] > 0 {
			p, q := (float64(ref[i])+0.5)/mm, (float64(cur[i])+0.5)/nn
			psi += (p - q) * math.Log(p/q)
		}
	}
	return psi, kept
}

// PSIExpected is the mean of PSI without drift, (bins−1)·(1/n+1/m).
func PSIExpected(n, m uint64, bins int) float64 {
	return float64(max(bins-1, 0)) * nullScale(n, m)
}

// PSIDebiased is psi less its expectation without drift. It is negative about half of the time when nothing drifted.
func PSIDebiased(psi float64, n, m uint64, bins int) float64 {
	return psi - PSIExpected(n, m, bins)
}

// PSIFloor is the value that PSI exceeds with probability alpha without drift: k·χ²(1−alpha; bins−1), k = 1/n+1/m.
// It is within 2 % from about ten expected rows in a bin and too high (conservative) below. One bin gives 0: there is
// nothing to differ.
func PSIFloor(n, m uint64, bins int, alpha float64) float64 {
	return nullScale(n, m) * ChiSquareQuantile(1-alpha, bins-1)
}

// PSIP is the probability of a PSI of at least psi without drift, P(χ² ≥ psi/k) with bins−1 degrees of freedom.
func PSIP(psi float64, n, m uint64, bins int) float64 {
	return ChiSquareSF(psi/nullScale(n, m), bins-1)
}
