package estimate

import "math"

// HorvitzThompson is the mean of a population of which the rows y were labelled with the probabilities pi: (1/population)·Σ y/pi.
// It is unbiased whatever the probabilities were. A row that could not have been chosen makes it NaN.
func HorvitzThompson(y, pi []float64, population float64) float64 {
	sum := 0.0
	for i := range y {
		if !(pi[i] > 0 && pi[i] <= 1) {
			return math.NaN()
		}
		sum += y[i] / pi[i]
	}
	return sum / population
}

// Hajek is the mean Σ(y/pi) / Σ(1/pi): a little biased, and less noisy where the probabilities differ much.
func Hajek(y, pi []float64) float64 {
	sum, weights := 0.0, 0.0
	for i := range y {
		if !(pi[i] > 0 && pi[i] <= 1) {
			return math.NaN()
		}
		sum, weights = sum+y[i]/pi[i], weights+1/pi[i]
	}
	return sum / weights
}

// Kish is the number of equally weighted rows that say as much as rows with these weights: (Σw)²/Σw².
func Kish(weights []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, w := range weights {
		sum, squares = sum+w, squares+w*w
	}
	return sum * sum / squares
}

// Mean is an estimate with its standard error.
type Mean struct {
	Lambda float64 `json:"lambda"` // how much the proxy was trusted, in [0,1]
	Value  float64 `json:"value"`
	SE     float64 `json:"se"`
}

// PPI is the mean of y of a population of which few rows are labelled, helped by a proxy f that is known for all
// (prediction-powered inference, PPI++): λ·mean(f over the rest) + mean(y − λ·f). A nil lambda takes the λ with the smallest
// variance, Cov(y,f) / ((1+n/N)·Var f), clipped to [0,1]. Moments: cov by n, the pooled variance of f by n+N−1, variances in the
// standard error by their number, as the authors' library does.
func PPI(y, labelled, unlabelled []float64, lambda *float64) Mean {
	n, rest := float64(len(y)), float64(len(unlabelled))
	if n == 0 || len(labelled) != len(y) {
		return Mean{Value: math.NaN(), SE: math.NaN()}
	}
	m := Mean{}
	if lambda != nil {
		m.Lambda = *lambda
	} else if rest > 0 {
		covariance := 0.0
		meanY, meanF := mean(y), mean(labelled)
		for i := range y {
			covariance += (y[i] - meanY) * (labelled[i] - meanF) / n
		}
		pooled := append(append([]float64(nil), labelled...), unlabelled...)
		spread := variance(pooled) * (n + rest) / (n + rest - 1)
		if spread > 0 {
			m.Lambda = math.Min(1, math.Max(0, covariance/((1+n/rest)*spread)))
		}
	}
	corrected := make([]float64, len(y))
	for i := range y {
		corrected[i] = y[i] - m.Lambda*labelled[i]
	}
	m.Value = mean(corrected)
	m.SE = variance(corrected) / n
	if rest > 0 {
		m.Value += m.Lambda * mean(unlabelled)
		m.SE += m.Lambda * m.Lambda * variance(unlabelled) / rest
	}
	m.SE = math.Sqrt(m.SE)
	return m
}

// ActiveMean is the mean of y where row i was labelled with probability pi[i]: (1/N)·Σ [fᵢ + ξᵢ/piᵢ·(yᵢ−fᵢ)] (active inference).
func ActiveMean(f []float64, labelled []bool, pi, y []float64) Mean {
	terms := make([]float64, len(f))
	for i := range f {
		terms[i] = f[i]
		if labelled[i] {
			terms[i] += (y[i] - f[i]) / pi[i]
		}
	}
	return Mean{Lambda: 1, Value: mean(terms), SE: math.Sqrt(variance(terms) / float64(len(f)))}
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// variance is that of the values themselves, by their number.
func variance(v []float64) float64 {
	m, sum := mean(v), 0.0
	for _, x := range v {
		sum += (x - m) * (x - m)
	}
	return sum / float64(len(v))
}
