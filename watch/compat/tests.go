package compat

import (
	"math"

	"github.com/fairlead-ml/fairlead/watch/drift"
)

// filled is Evidently's rule for empty bins: 0.0001, or a millionth of the smallest share where that is not above 0.0001; shares
// are not made to sum to one again.
func filled(p []float64) []float64 {
	least := math.Inf(1)
	for _, v := range p {
		if v > 0 {
			least = math.Min(least, v)
		}
	}
	fill := 0.0001
	if least <= fill {
		fill = least / 1e6
	}
	out := make([]float64, len(p))
	for i, v := range p {
		if out[i] = v; v == 0 {
			out[i] = fill
		}
	}
	return out
}

func normalised(p []float64) []float64 { return shares(p) }

// psiPlus is the index with one row more in every bin, and shares made to sum to one again (Fiddler).
func psiPlus(ref, cur []uint64) float64 {
	plus := func(counts []uint64) []float64 {
		out := make([]float64, len(counts))
		for i, c := range counts {
			out[i] = float64(c) + 1
		}
		return shares(out)
	}
	return drift.PSIShares(plus(ref), plus(cur))
}

// psiClipped is the index of shares clipped at 0.01 (deepchecks).
func psiClipped(p, q []float64) float64 {
	clip := func(p []float64) []float64 {
		out := make([]float64, len(p))
		for i, v := range p {
			out[i] = math.Max(v, 0.01)
		}
		return out
	}
	return drift.PSIShares(clip(p), clip(q))
}

// robust is Deequ's distance: what is left of L∞ beyond chance, c = 1.8.
func robust(linf, n, m float64) float64 {
	return math.Max(0, linf-1.8*math.Sqrt((n+m)/(n*m)))
}

// TwoProportions is the pooled z test of k of n against l of m; its value and its two-sided p-value.
func TwoProportions(k, n, l, m uint64) (z, p float64) {
	a, b := float64(k)/float64(n), float64(l)/float64(m)
	pooled := float64(k+l) / float64(n+m)
	z = (a - b) / math.Sqrt(pooled*(1-pooled)*(1/float64(n)+1/float64(m)))
	if math.IsNaN(z) {
		return 0, 1
	}
	return z, math.Erfc(math.Abs(z) / math.Sqrt2)
}

// goodnessOfFit is the p-value of χ² with the reference taken as exact, as Evidently does. It overstates the evidence of small
// references.
func goodnessOfFit(ref, cur []uint64) float64 {
	n, m, stat, df := float64(sum(ref)), float64(sum(cur)), 0.0, -1
	for i := range ref {
		expected := float64(ref[i]) / n * m
		if expected == 0 {
			if cur[i] > 0 {
				return 0
			}
			continue
		}
		stat += (float64(cur[i]) - expected) * (float64(cur[i]) - expected) / expected
		df++
	}
	return drift.ChiSquareSF(stat, df)
}

// CramersV is deepchecks' association of side and category, 0 to 1, with Bergsma's correction of bias: the larger side is scaled
// down to the smaller one and rounded half to even, and two categories get Yates' correction, as scipy gives it.
func CramersV(ref, cur []uint64) float64 {
	a, b := make([]float64, len(ref)), make([]float64, len(cur))
	n, m := float64(sum(ref)), float64(sum(cur))
	small := math.Min(n, m)
	for i := range ref {
		a[i], b[i] = float64(ref[i]), float64(cur[i])
		if n > small {
			a[i] = math.RoundToEven(a[i] / n * small)
		}
		if m > small {
			b[i] = math.RoundToEven(b[i] / m * small)
		}
	}
	var rowA, rowB float64
	columns := 0.0
	for i := range a {
		rowA, rowB = rowA+a[i], rowB+b[i]
		if a[i]+b[i] > 0 {
			columns++
		}
	}
	total, stat := rowA+rowB, 0.0
	for i := range a {
		for _, c := range [][2]float64{{a[i], rowA}, {b[i], rowB}} {
			expected := (a[i] + b[i]) * c[1] / total
			if expected == 0 {
				continue
			}
			d := math.Abs(c[0] - expected)
			if columns == 2 {
				d -= math.Min(0.5, d)
			}
			stat += d * d / expected
		}
	}
	phi := math.Max(0, stat/total-(columns-1)/(total-1))
	rows := 2 - 1/(total-1)
	columns -= (columns - 1) * (columns - 1) / (total - 1)
	if least := math.Min(rows-1, columns-1); least > 0 {
		return math.Sqrt(phi / least)
	}
	return 0
}

// mostPaths bounds the exact test, as scipy's is; larger samples take the limit.
const mostPaths = 100_000_000

// KSPExact is the probability of a distance of at least d between samples of n and m values of one continuous distribution, by
// counting the lattice paths that stay closer (Kim and Jennrich 1973); of large samples the limiting one.
func KSPExact(d float64, n, m int) float64 {
	if n*m > mostPaths || n <= 0 || m <= 0 {
		return drift.KSP(d, uint64(max(n, 0)), uint64(max(m, 0)))
	}
	a, b := float64(n), float64(m)
	q := (0.5 + math.Floor(d*a*b-1e-7)) / (a * b)
	u := make([]float64, m+1)
	for j := range u {
		if float64(j)/b <= q {
			u[j] = 1
		}
	}
	for i := 1; i <= n; i++ {
		w := float64(i) / float64(i+m)
		if float64(i)/a > q {
			u[0] = 0
		} else {
			u[0] *= w
		}
		for j := 1; j <= m; j++ {
			if math.Abs(float64(i)/a-float64(j)/b) > q {
				u[j] = 0
			} else {
				u[j] = w*u[j] + u[j-1]
			}
		}
	}
	return math.Min(1, math.Max(0, 1-u[m]))
}
