package drift

import "math"

// Shares divides counts by their sum. Without rows every share is NaN.
func Shares(counts []uint64) []float64 {
	n := float64(total(counts))
	shares := make([]float64, len(counts))
	for i, c := range counts {
		shares[i] = float64(c) / n // 0/0 is NaN, as wanted
	}
	return shares
}

// D1 is the L1 distance Σ|p−q|, from 0 to 2.
func D1(p, q []float64) float64 {
	sameLength(len(p), len(q))
	var d float64
	for i := range p {
		d += math.Abs(p[i] - q[i])
	}
	return d
}

// TVD is the total variation distance, half of D1: the largest difference of probability of any event.
func TVD(p, q []float64) float64 { return D1(p, q) / 2 }

// LInf is the largest difference of one share, max|p−q|.
func LInf(p, q []float64) float64 {
	sameLength(len(p), len(q))
	var d float64
	for i := range p {
		d = math.Max(d, math.Abs(p[i]-q[i])) // math.Max keeps NaN
	}
	return d
}

// KL is the Kullback-Leibler divergence Σ p·ln(p/q) in nats. A bin with p = 0 adds nothing; a bin with p > 0 and
// q = 0 makes it +Inf.
func KL(p, q []float64) float64 {
	sameLength(len(p), len(q))
	var d float64
	for i := range p {
		if p[i] == 0 && !math.IsNaN(q[i]) {
			continue
		}
		d += p[i] * math.Log(p[i]/q[i])
	}
	return d
}

// PSIShares is the population stability index Σ (p−q)·ln(p/q) = KL(p‖q) + KL(q‖p) of shares as they are. It is +Inf
// when a bin is empty on one side only; PSI on counts smooths instead.
func PSIShares(p, q []float64) float64 { return KL(p, q) + KL(q, p) }

// JS is the Jensen-Shannon divergence (KL(p‖m) + KL(q‖m))/2 with m = (p+q)/2, from 0 to ln 2.
func JS(p, q []float64) float64 {
	sameLength(len(p), len(q))
	var d float64
	for i := range p {
		m := (p[i] + q[i]) / 2
		if m == 0 {
			continue
		}
		d += xlogx(p[i], m) + xlogx(q[i], m)
	}
	if d < 0 { // rounding at identity
		return 0
	}
	return d / 2
}

func xlogx(p, m float64) float64 {
	if p == 0 {
		return 0
	}
	return p * math.Log(p/m)
}

// JSDistance is √JS, a metric; it is what scipy calls jensenshannon.
func JSDistance(p, q []float64) float64 { return math.Sqrt(JS(p, q)) }

// Hellinger is √(½ Σ(√p−√q)²), from 0 to 1. The equivalent √(1 − Σ√(pq)) is not used because it cancels to about
// 1e-8 between equal distributions.
func Hellinger(p, q []float64) float64 {
	sameLength(len(p), len(q))
	var d float64
	for i := range p {
		s := math.Sqrt(p[i]) - math.Sqrt(q[i])
		d += s * s
	}
	return math.Sqrt(d / 2)
}
