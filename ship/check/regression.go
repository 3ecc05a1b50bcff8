package check

import "math"

// regression is a metric of values.
func (m *Metric) regression(r rows) estimate {
	a, b := make([]float64, r.n()), make([]float64, r.n())
	truth := mean(r.truth)
	for i, y := range r.truth {
		d := r.score[i] - y
		switch m.Metric {
		case "mae":
			a[i] = math.Abs(d)
		case "bias":
			a[i] = d
		case "pinball":
			a[i] = max(-m.Quantile*d, (1-m.Quantile)*d)
		default:
			a[i], b[i] = d*d, truth.influence[i]*truth.influence[i]
		}
	}
	switch m.Metric {
	case "rmse":
		e := mean(a)
		e.value = math.Sqrt(e.value)
		for i := range e.influence {
			e.influence[i] /= 2 * e.value
		}
		if e.value == 0 {
			clear(e.influence)
		}
		return e
	case "r2":
		e := ratio(a, b) // the mean of the truth has no first-order influence on Σ(y − mean)²
		e.share, e.value = nil, 1-e.value
		for i := range e.influence {
			e.influence[i] = -e.influence[i]
		}
		if math.IsInf(e.value, 0) {
			e.value = math.NaN()
		}
		return e
	}
	return mean(a)
}
