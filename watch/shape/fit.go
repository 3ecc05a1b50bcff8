package shape

import "math"

// series is what is fitted, with weights of mean 1 over the windows that count.
type series struct {
	y, w  []float64
	count float64
	floor float64 // the smallest residual sum that is told apart from none
	// Sums of w, w·t and w·t² over the windows before each.
	w0, w1, w2 []float64
}

func newSeries(y, weight []float64) (*series, bool) {
	s := &series{y: make([]float64, len(y)), w: make([]float64, len(y))}
	total, square := 0.0, 0.0
	for t, v := range y {
		w := 1.0
		if weight != nil {
			w = weight[t]
		}
		if math.IsNaN(v) || math.IsInf(v, 0) || !(w > 0) || math.IsInf(w, 0) {
			continue
		}
		s.y[t], s.w[t] = v, w
		s.count++
		total += w
		square += v * v
	}
	if s.count < 12 {
		return nil, false
	}
	for t := range s.w {
		s.w[t] *= s.count / total
	}
	s.floor = s.count * 1e-24 * (1 + square/s.count)
	s.w0 = prefix(len(y), func(t int) float64 { return s.w[t] })
	s.w1 = prefix(len(y), func(t int) float64 { return s.w[t] * float64(t) })
	s.w2 = prefix(len(y), func(t int) float64 { return s.w[t] * float64(t) * float64(t) })
	return s, true
}

func prefix(n int, f func(t int) float64) []float64 {
	sums := make([]float64, n+1)
	for t := range n {
		sums[t+1] = sums[t] + f(t)
	}
	return sums
}

// vector is a weighted vector over the windows as sums of v and v·t, so that its product with a step, a pulse or a ramp costs
// nothing.
type vector struct{ v0, v1 []float64 }

func (s *series) vector(v []float64) vector {
	return vector{
		v0: prefix(len(v), func(t int) float64 { return s.w[t] * v[t] }),
		v1: prefix(len(v), func(t int) float64 { return s.w[t] * v[t] * float64(t) }),
	}
}

// dot is the product with a shape: step is 1 from a on, pulse 1 from a to b, ramp rises from 0 at a to 1 at b and stays.
func (v vector) dot(k template, a, b int) float64 {
	last := len(v.v0) - 1
	switch k {
	case step:
		return v.v0[last] - v.v0[a]
	case pulse:
		return v.v0[b] - v.v0[a]
	}
	rise := v.v1[b] - v.v1[a] - float64(a)*(v.v0[b]-v.v0[a])
	return rise/float64(b-a) + v.v0[last] - v.v0[b]
}

// square is the weighted square of a shape.
func (s *series) square(k template, a, b int) float64 {
	last := len(s.w0) - 1
	switch k {
	case step:
		return s.w0[last] - s.w0[a]
	case pulse:
		return s.w0[b] - s.w0[a]
	}
	start, length := float64(a), float64(b-a)
	rise := s.w2[b] - s.w2[a] - 2*start*(s.w1[b]-s.w1[a]) + start*start*(s.w0[b]-s.w0[a])
	return rise/(length*length) + s.w0[last] - s.w0[b]
}

// basis is what every candidate of a period has besides its shape: a constant and, where the period is not 0, two harmonics.
type basis struct {
	period int
	q      []vector
	rest   vector // of y, with the basis taken out
	rss    float64
	swing  float64 // half the way from the lowest to the highest point of the season
}

func (s *series) basis(period int) basis {
	n := len(s.y)
	columns := [][]float64{make([]float64, n)}
	for t := range n {
		columns[0][t] = 1
	}
	for h := 1; period > 0 && h <= harmonics; h++ {
		sin, cos := make([]float64, n), make([]float64, n)
		for t := range n {
			sin[t], cos[t] = math.Sincos(2 * math.Pi * float64(h*t) / float64(period))
		}
		columns = append(columns, sin, cos)
	}
	b := basis{period: period}
	rest, season := append([]float64(nil), s.y...), make([]float64, n)
	var orthogonal [][]float64
	for i, c := range columns {
		for range 2 { // twice is enough (Kahan and Parlett)
			for _, q := range orthogonal {
				s.subtract(c, q, s.product(c, q))
			}
		}
		norm := math.Sqrt(s.product(c, c))
		if norm < 1e-9 {
			continue // the windows that count do not tell it from the others
		}
		for t := range c {
			c[t] /= norm
		}
		orthogonal = append(orthogonal, c)
		p := s.product(rest, c)
		s.subtract(rest, c, p)
		if i > 0 {
			s.subtract(season, c, -p)
		}
		b.q = append(b.q, s.vector(c))
	}
	low, high := season[0], season[0]
	for _, v := range season[:min(n, max(period, 1))] {
		low, high = math.Min(low, v), math.Max(high, v)
	}
	b.rest, b.rss, b.swing = s.vector(rest), math.Max(s.product(rest, rest), s.floor), (high-low)/2
	return b
}

func (s *series) product(a, b []float64) float64 {
	sum := 0.0
	for t := range a {
		sum += s.w[t] * a[t] * b[t]
	}
	return sum
}

func (s *series) subtract(a, b []float64, factor float64) {
	for t := range a {
		a[t] -= factor * b[t]
	}
}

// fits are the best candidates of one period: without a shape, and with each.
func (s *series) fits(period int) []model {
	b := s.basis(period)
	extra := 0
	if period > 0 {
		extra = paysSeason
	}
	out := []model{s.score(model{period: period, rss: b.rss, amplitude: b.swing}, paysConst+extra)}
	pays := map[template]int{step: paysStep, ramp: paysRamp, pulse: paysPulse}
	for _, k := range []template{step, ramp, pulse} {
		if best, ok := s.search(&b, k); ok {
			out = append(out, s.score(best, pays[k]+extra))
		}
	}
	return out
}

func (s *series) score(m model, parameters int) model {
	m.bic = s.count*math.Log(m.rss/s.count) + float64(parameters)*math.Log(s.count)
	return m
}

// search tries a shape at all places of its grid.
func (s *series) search(b *basis, k template) (model, bool) {
	best, found := model{template: k, period: b.period, rss: math.Inf(1)}, false
	grid(k, len(s.y), func(from, to int) {
		norm := s.square(k, from, to)
		for _, q := range b.q {
			p := q.dot(k, from, to)
			norm -= p * p
		}
		if norm < 1e-9 {
			return // no window that counts tells it from the basis
		}
		p := b.rest.dot(k, from, to)
		if rss := math.Max(b.rss-p*p/norm, s.floor); rss < best.rss {
			best.a, best.b, best.rss, best.amplitude, found = from, to, rss, p/norm, true
		}
	})
	return best, found
}

// grid calls visit with the places of a shape in n windows.
func grid(k template, n int, visit func(from, to int)) {
	switch k {
	case step:
		for a := 3; a <= n-3; a++ {
			visit(a, a)
		}
	case ramp:
		g := max(1, n/56)
		for a := 0; a < n-8; a += g {
			for b := a + 8; b <= n; b += g {
				visit(a, b)
			}
		}
	case pulse:
		g := max(1, n/112)
		for a := 2; a < n-returned; a += g {
			for b := a + 1; b <= min(a+n/2, n-returned); b++ {
				visit(a, b)
			}
		}
	}
}
