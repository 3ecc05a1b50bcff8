package drift

import (
	"math"
	"slices"
)

// KS is the two-sample Kolmogorov-Smirnov distance max|F−G| of the empirical distribution functions, evaluated at
// distinct values only so that ties do not create steps that are not there. x and y are not changed. It is NaN when a
// side is empty or holds a NaN; infinities are ordinary values here.
func KS(x, y []float64) float64 {
	if len(x) == 0 || len(y) == 0 {
		return math.NaN()
	}
	var d float64
	ok := sweep(x, y, func(_, _ float64, diff float64) { d = math.Max(d, math.Abs(diff)) })
	if !ok {
		return math.NaN()
	}
	return d
}

// sweep walks the distinct values of both samples in order and calls visit with each value, its successor (the value
// itself for the last) and F−G between them. It reports false for a sample with NaN.
func sweep(x, y []float64, visit func(value, next, diff float64)) bool {
	a, b := slices.Clone(x), slices.Clone(y)
	slices.Sort(a)
	slices.Sort(b)
	if math.IsNaN(a[0]) || math.IsNaN(b[0]) { // NaN sorts first
		return false
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		v := math.Inf(1)
		if i < len(a) {
			v = a[i]
		}
		if j < len(b) {
			v = math.Min(v, b[j])
		}
		for i < len(a) && a[i] == v {
			i++
		}
		for j < len(b) && b[j] == v {
			j++
		}
		next := v
		switch {
		case i < len(a) && j < len(b):
			next = math.Min(a[i], b[j])
		case i < len(a):
			next = a[i]
		case j < len(b):
			next = b[j]
		}
		visit(v, next, float64(i)/float64(len(a))-float64(j)/float64(len(b)))
	}
	return true
}

// KSBins is the Kolmogorov-Smirnov distance at the edges of ordered bins. It is a lower bound of the distance of the
// samples; KSBinsBound is the upper one. Without rows on one side it is NaN.
func KSBins(ref, cur []uint64) float64 {
	sameLength(len(ref), len(cur))
	m, n := total(ref), total(cur)
	if m == 0 || n == 0 {
		return math.NaN()
	}
	var d float64
	var f, g uint64
	for i := range ref {
		f += ref[i]
		g += cur[i]
		d = math.Max(d, math.Abs(float64(f)/float64(m)-float64(g)/float64(n)))
	}
	return d
}

// KSBinsBound is D_grid + max min(f, g) over the bins' shares f and g: the distance of the samples behind the bins is
// never above it, because inside a bin F and G can part by no more than the smaller of its two shares.
func KSBinsBound(ref, cur []uint64) float64 {
	d := KSBins(ref, cur)
	m, n := float64(total(ref)), float64(total(cur))
	var gap float64
	for i := range ref {
		gap = math.Max(gap, math.Min(float64(ref[i])/m, float64(cur[i])/n))
	}
	return d + gap
}

// KolmogorovQ is the survival function of the Kolmogorov distribution, the limit of √(nm/(n+m))·D without drift:
// 2 Σ (−1)^(j−1) exp(−2j²λ²). Below λ = 1.18 the equivalent theta series 1 − (√2π/λ) Σ exp(−(2j−1)²π²/(8λ²)) is used,
// where it converges faster and does not cancel (Marsaglia, Tsang, Wang 2003).
func KolmogorovQ(lambda float64) float64 {
	switch {
	case math.IsNaN(lambda):
		return math.NaN()
	case lambda <= 0:
		return 1
	case lambda < 1.18:
		t := math.Exp(-math.Pi * math.Pi / (8 * lambda * lambda))
		// exponents 1, 9, 25, 49: the next term is below 1e-16 for λ < 1.18
		sum := t + math.Pow(t, 9) + math.Pow(t, 25) + math.Pow(t, 49)
		return 1 - math.Sqrt(2*math.Pi)/lambda*sum
	}
	t := math.Exp(-2 * lambda * lambda)
	return 2 * (t - math.Pow(t, 4) + math.Pow(t, 9) - math.Pow(t, 16) + math.Pow(t, 25))
}

// KSP is the limiting p-value of a distance d between samples of n and m values, KolmogorovQ(d·√(nm/(n+m))). It is
// a little high (conservative) for small samples and for data with ties.
func KSP(d float64, n, m uint64) float64 { return KolmogorovQ(d / math.Sqrt(nullScale(n, m))) }

// KSCritical is √(−½ ln(alpha/2)): 1.3581 at .05, 1.6276 at .01, 1.9495 at .001. It solves the first term of
// KolmogorovQ for alpha; as the series alternates, KolmogorovQ(KSCritical(alpha)) is never above alpha, and for
// alpha ≤ .05 it is below by less than 2e-5 of it. It panics unless alpha lies in (0,1).
func KSCritical(alpha float64) float64 {
	if !(alpha > 0 && alpha < 1) {
		panic("drift: alpha must lie between 0 and 1")
	}
	return math.Sqrt(-math.Log(alpha/2) / 2)
}

// KSFloor is the value that the Kolmogorov-Smirnov distance exceeds with probability alpha without drift,
// KSCritical(alpha)·√(1/n+1/m); with ties and with distances from bins the probability is smaller.
func KSFloor(n, m uint64, alpha float64) float64 {
	return KSCritical(alpha) * math.Sqrt(nullScale(n, m))
}
