package drift

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// ChiSquareSF is P(χ² > x) with df degrees of freedom. With df ≤ 0 the variable is constantly 0.
func ChiSquareSF(x float64, df int) float64 {
	switch {
	case math.IsNaN(x):
		return math.NaN()
	case x <= 0:
		return 1
	case df <= 0, math.IsInf(x, 1):
		return 0
	}
	return distuv.ChiSquared{K: float64(df)}.Survival(x)
}

// ChiSquareQuantile is the x with P(χ² ≤ x) = p for df degrees of freedom, 0 with df ≤ 0. It panics unless p lies in
// [0,1].
func ChiSquareQuantile(p float64, df int) float64 {
	if df <= 0 {
		return 0
	}
	return chiSquareQuantile(p, float64(df))
}

func chiSquareQuantile(p, df float64) float64 { return distuv.ChiSquared{K: df}.Quantile(p) }

// ChiSquare is Pearson's two-sample statistic Σ(o−e)²/e over both rows of the table and its degrees of freedom, the
// bins that are not empty on both sides less one. There is no Yates correction, and the reference counts as a sample
// too: taking it as exact would overstate the evidence. Without rows on one side the statistic is NaN.
func ChiSquare(ref, cur []uint64) (stat float64, df int) {
	sameLength(len(ref), len(cur))
	kept := 0
	m, n := float64(total(ref)), float64(total(cur))
	for i := range ref {
		column := float64(ref[i]) + float64(cur[i])
		if column == 0 {
			continue
		}
		kept++
		er, ec := column*m/(m+n), column*n/(m+n)
		dr, dc := float64(ref[i])-er, float64(cur[i])-ec
		stat += dr*dr/er + dc*dc/ec
	}
	if m == 0 || n == 0 {
		return math.NaN(), max(kept-1, 0)
	}
	return stat, max(kept-1, 0)
}

// ChiSquareP is the p-value of ChiSquare.
func ChiSquareP(ref, cur []uint64) float64 {
	stat, df := ChiSquare(ref, cur)
	return ChiSquareSF(stat, df)
}
