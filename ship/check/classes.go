package check

import "math"

// top is the class that the model says, and its probability.
func (r rows) top(i int) (class, p float64) {
	if r.score == nil {
		return r.class[i], math.NaN()
	}
	best := 0
	for c := range r.width {
		if r.score[i*r.width+c] > r.score[i*r.width+best] {
			best = c
		}
	}
	p = r.score[i*r.width+best]
	if r.class != nil {
		return r.class[i], p
	}
	return float64(best), p
}

// against is a metric of one class against the rest.
func (m *Metric) against(r rows, class int) estimate {
	if class < 0 || r.score != nil && class >= r.width {
		return estimate{value: math.NaN()}
	}
	one := rows{width: 1, truth: make([]float64, r.n())}
	if r.score != nil {
		one.score = make([]float64, r.n())
	}
	decided := make([]float64, r.n())
	for i, y := range r.truth {
		one.truth[i] = number(y == float64(class))
		c, _ := r.top(i)
		decided[i] = number(c == float64(class))
		if r.score != nil {
			one.score[i] = r.score[i*r.width+class]
		}
	}
	return m.binary(one, decided)
}

// macro is the mean over the classes that the truth or the model names; auroc, which needs rows of both sides, over those of
// the truth.
func (m *Metric) macro(r rows, classes int) estimate {
	total := estimate{influence: make([]float64, r.n())}
	seen := 0.0
	for c := range classes {
		occurs := false
		for i, y := range r.truth {
			said, _ := r.top(i)
			occurs = occurs || y == float64(c) || m.Metric != "auroc" && said == float64(c)
		}
		if !occurs {
			continue
		}
		e := m.against(r, c)
		if math.IsNaN(e.value) { // nobody was, or was said to be, of the class: scikit-learn takes 0 for that
			if m.Metric == "auroc" {
				return e
			}
			e = estimate{influence: make([]float64, r.n())}
		}
		total.value, seen = total.value+e.value, seen+1
		for i, x := range e.influence {
			total.influence[i] += x
		}
	}
	total.value /= seen
	for i := range total.influence {
		total.influence[i] /= seen
	}
	return total
}

// several is a metric over all classes.
func (m *Metric) several(r rows) estimate {
	a, b := make([]float64, r.n()), make([]float64, r.n())
	confidence := make([]float64, r.n())
	for i, y := range r.truth {
		class, p := r.top(i)
		confidence[i] = p
		switch m.Metric {
		case "accuracy", "ece":
			a[i], b[i] = number(class == y), 1
			continue
		}
		if r.score == nil || int(y) >= r.width {
			return estimate{value: math.NaN()}
		}
		for c := range r.width {
			q := r.score[i*r.width+c]
			if !(q >= 0 && q <= 1) {
				return estimate{value: math.NaN()} // not probabilities
			}
			switch truth := number(float64(c) == y); {
			case m.Metric == "brier":
				a[i] += (q - truth) * (q - truth)
			case truth == 1:
				a[i] = logLoss(q, 1)
			}
		}
	}
	switch m.Metric {
	case "accuracy":
		return ratio(a, b)
	case "ece":
		if r.score == nil {
			return estimate{value: math.NaN()}
		}
		return estimate{value: m.ece(confidence, a, nil)}
	}
	return mean(a)
}
