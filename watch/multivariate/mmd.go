package multivariate

import (
	"math"
	"slices"
)

// squaredDistance of two rows.
func squaredDistance(a, b [][]float64, i, j int) float64 {
	sum := 0.0
	for c := range a {
		d := a[c][i] - b[c][j]
		sum += d * d
	}
	return sum
}

// MMD is the unbiased squared maximum mean discrepancy with the kernel exp(−d²/(2σ²)): 0 on average for equal distributions, and
// it can be negative. It takes time quadratic in the rows. It is NaN with fewer than two rows on a side. Columns should have a
// common scale.
func MMD(x, y [][]float64, sigma float64) float64 {
	m, n := rows(x), rows(y)
	if m < 2 || n < 2 {
		return math.NaN()
	}
	k := func(square float64) float64 { return math.Exp(-square / (2 * sigma * sigma)) }
	var xx, yy, xy float64
	for i := range m {
		for j := range i {
			xx += 2 * k(squaredDistance(x, x, i, j))
		}
		for j := range n {
			xy += k(squaredDistance(x, y, i, j))
		}
	}
	for i := range n {
		for j := range i {
			yy += 2 * k(squaredDistance(y, y, i, j))
		}
	}
	a, b := float64(m), float64(n)
	return xx/(a*(a-1)) + yy/(b*(b-1)) - 2*xy/(a*b)
}

// Linear is the result of LinearMMD.
type Linear struct {
	Value float64 // squared discrepancy, as of MMD
	SE    float64
	Z     float64 // Value/SE: standard normal for equal distributions; large is drift
	P     float64 // one-sided
	Pairs int
}

// LinearMMD is the squared discrepancy in one pass (Gretton et al. 2012, lemma 14): the mean of
// h = k(x₁,x₂) + k(y₁,y₂) − k(x₁,y₂) − k(x₂,y₁) over disjoint pairs of rows, with the sample's own deviation. It needs no permutations and has less power.
// Rows should be in random order. With fewer than two pairs P is NaN.
func LinearMMD(x, y [][]float64, sigma float64) Linear {
	k := func(square float64) float64 { return math.Exp(-square / (2 * sigma * sigma)) }
	l := Linear{Pairs: min(rows(x), rows(y)) / 2}
	squares := 0.0
	for p := range l.Pairs {
		i, j := 2*p, 2*p+1
		h := k(squaredDistance(x, x, i, j)) + k(squaredDistance(y, y, i, j)) - k(squaredDistance(x, y, i, j)) - k(squaredDistance(x, y, j, i))
		before := l.Value
		l.Value += (h - l.Value) / float64(p+1)
		squares += (h - l.Value) * (h - before)
	}
	if l.Pairs < 2 {
		l.SE, l.Z, l.P = math.NaN(), math.NaN(), math.NaN()
		return l
	}
	n := float64(l.Pairs)
	l.SE = math.Sqrt(squares / (n - 1) / n)
	switch {
	case l.SE > 0:
		l.Z = l.Value / l.SE
	case l.Value != 0:
		l.Z = math.Inf(int(math.Copysign(1, l.Value)))
	}
	l.P = math.Erfc(l.Z/math.Sqrt2) / 2
	return l
}

// MedianDistance is the usual σ: the median distance of so many pairs of rows of both samples, drawn by pick(n) in [0,n).
func MedianDistance(x, y [][]float64, pairs int, pick func(n int) int) float64 {
	m, n := rows(x), rows(y)
	if m+n < 2 {
		return math.NaN()
	}
	at := func(i int) ([][]float64, int) {
		if i < m {
			return x, i
		}
		return y, i - m
	}
	distances := make([]float64, 0, pairs)
	for range pairs {
		i := pick(m + n)
		j := (i + 1 + pick(m+n-1)) % (m + n)
		a, ai := at(i)
		b, bj := at(j)
		distances = append(distances, math.Sqrt(squaredDistance(a, b, ai, bj)))
	}
	slices.Sort(distances)
	return distances[len(distances)/2]
}

func rows(x [][]float64) int {
	if len(x) == 0 {
		return 0
	}
	return len(x[0])
}
