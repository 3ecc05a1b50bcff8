package multivariate

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// PCA holds the directions that explain a reference, in columns scaled to mean 0 and standard deviation 1.
type PCA struct {
	Mean      []float64   `json:"mean"`      // of each column, also the value of a missing one
	Deviation []float64   `json:"deviation"` // by the number of rows; 0 for a column that never varies, which is left out
	Axes      [][]float64 `json:"axes"`      // unit vectors, the most important first
	Explained float64     `json:"explained"` // share of the variance along them
}

// FitPCA takes as many directions as explain at least the share of the variance, 0.65 is usual (NannyML). Values that are no finite
// numbers count as their column's mean.
func FitPCA(columns [][]float64, share float64) (*PCA, error) {
	if len(columns) == 0 || len(columns[0]) < 2 {
		return nil, fmt.Errorf("directions need columns and at least two rows")
	}
	n, d := len(columns[0]), len(columns)
	p := &PCA{Mean: make([]float64, d), Deviation: make([]float64, d)}
	for c, v := range columns {
		if len(v) != n {
			return nil, fmt.Errorf("column %d has %d rows, the first one %d", c, len(v), n)
		}
		p.Mean[c], p.Deviation[c] = moments(v)
	}
	covariance := mat.NewSymDense(d, nil)
	row := make([]float64, d)
	for i := range n {
		p.scale(columns, i, row)
		for a := range d {
			for b := a; b < d; b++ {
				covariance.SetSym(a, b, covariance.At(a, b)+row[a]*row[b]/float64(n))
			}
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(covariance, true) {
		return nil, fmt.Errorf("the covariance of %d columns has no eigenvectors", d)
	}
	values := eigen.Values(nil) // ascending
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	total := 0.0
	for _, v := range values {
		total += math.Max(0, v)
	}
	if total == 0 {
		return nil, fmt.Errorf("no column varies")
	}
	for k := d - 1; k >= 0 && p.Explained < share-1e-12; k-- {
		p.Axes = append(p.Axes, mat.Col(nil, k, &vectors))
		p.Explained += math.Max(0, values[k]) / total
	}
	return p, nil
}

// moments are mean and standard deviation of the finite values.
func moments(v []float64) (mean, deviation float64) {
	n, squares := 0.0, 0.0
	for _, x := range v {
		if finite(x) {
			n++
			before := mean
			mean += (x - mean) / n
			squares += (x - mean) * (x - before)
		}
	}
	if n == 0 {
		return 0, 0
	}
	return mean, math.Sqrt(squares / n)
}

// scale writes row i, scaled.
func (p *PCA) scale(columns [][]float64, i int, row []float64) {
	for c := range row {
		row[c] = 0
		if x := columns[c][i]; finite(x) && p.Deviation[c] > 0 {
			row[c] = (x - p.Mean[c]) / p.Deviation[c]
		}
	}
}

// Errors are the distances of rows from what the directions make of them, in standard deviations.
func (p *PCA) Errors(columns [][]float64) []float64 {
	out, row := make([]float64, len(columns[0])), make([]float64, len(columns))
	for i := range out {
		p.scale(columns, i, row)
		square := 0.0
		for _, x := range row {
			square += x * x
		}
		for _, axis := range p.Axes {
			along := 0.0
			for c, x := range row {
				along += x * axis[c]
			}
			square -= along * along
		}
		out[i] = math.Sqrt(math.Max(0, square))
	}
	return out
}
