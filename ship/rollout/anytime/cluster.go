package anytime

import "math"

// Cell is what the keys of one cell did: N requests with the sum of their outcome. SumSquares is optional: it lets Means
// know the variance of independent requests.
type Cell struct{ N, Sum, SumSquares float64 }

// Total adds up cells.
func Total(cells []Cell) Cell {
	var t Cell
	for _, c := range cells {
		t.N += c.N
		t.Sum += c.Sum
		t.SumSquares += c.SumSquares
	}
	return t
}

// Mean is Sum/N, 0 where nothing was counted.
func (c Cell) Mean() float64 {
	if c.N <= 0 {
		return 0
	}
	return c.Sum / c.N
}

// Estimate is the mean of one arm, or the difference of two, with the variance that the spread between cells shows.
type Estimate struct {
	Value    float64
	Variance float64 // +Inf where fewer than two cells have requests
	Freedom  float64 // degrees of freedom of Variance; few if few keys carry it
}

// ClusterMean estimates the ratio ΣSum/ΣN of one arm with cells as the units of chance: the ratio estimator with the
// jackknife variance (m−1)/m·Σ (e_c/(N(1−h_c)))², e_c = Sum_c − mean·N_c, h_c = N_c/N (CR3, Bell and McCaffrey 2002: a
// heavy cell pulls the mean towards itself, so its residual alone says too little). unit is the variance of a single
// request if requests were independent, 0 if unknown. Freedom is Satterthwaite's (Σv)²/Σv² with v_c = unit·N_c + φ·N_c²,
// where φ ≥ 0 makes Σv equal to the variance seen: few heavy cells count as few only as far as they are alike inside.
func ClusterMean(cells []Cell, unit float64) Estimate {
	t := Total(cells)
	var m, variance, n2, n3, n4 float64
	mean := t.Mean()
	for _, c := range cells {
		if c.N <= 0 {
			continue
		}
		m++
		e := (c.Sum - mean*c.N) / (t.N - c.N) // infinite or NaN for a single cell: dealt with below
		variance += e * e
		n2 += c.N * c.N
		n3 += c.N * c.N * c.N
		n4 += c.N * c.N * c.N * c.N
	}
	if m < 2 {
		return Estimate{Value: mean, Variance: math.Inf(1), Freedom: 1}
	}
	variance *= (m - 1) / m
	phi := max(0, variance-unit*jackknifed(cells, t.N)) * t.N * t.N / n2
	freedom := m - 1
	if sum := unit*t.N + phi*n2; sum > 0 {
		freedom = min(freedom, sum*sum/(unit*unit*n2+2*unit*phi*n3+phi*phi*n4))
	}
	return Estimate{Value: mean, Variance: variance, Freedom: max(1, freedom)}
}

// ClusterDifference is canary minus live, each by ClusterMean; degrees of freedom after Welch and Satterthwaite.
func ClusterDifference(live, canary []Cell, unitLive, unitCanary float64) Estimate {
	l, c := ClusterMean(live, unitLive), ClusterMean(canary, unitCanary)
	v := l.Variance + c.Variance
	freedom := 1.0
	if v > 0 && !math.IsInf(v, 1) {
		freedom = max(1, v*v/(l.Variance*l.Variance/l.Freedom+c.Variance*c.Variance/c.Freedom))
	}
	return Estimate{Value: c.Value - l.Value, Variance: v, Freedom: freedom}
}

// fewestFreedom bounds what few heavy keys cost: a variance that is known this badly is mostly too large already, since the
// jackknife errs upwards.
const fewestFreedom = 4

// RateDesignEffect is the variance of the difference of two rates between cells over the one of independent requests, at
// least 1. It is the larger of two estimates. One is the jackknife of each arm over what it would show for independent
// requests; its part above 1 has few degrees of freedom if few keys carry the traffic, and is widened as Student's
// distribution is against the normal one at the distance that a test at level alpha works at (Korn and Graubard 1998). The
// other takes the variance between keys from both arms together, as if the arms were alike in it, because a canary of
// few keys cannot know its own. Without one of the arms it is the other one's. It is 1 where nothing happened, and +Inf
// where an arm has its requests in a single cell and some failed, some not.
func RateDesignEffect(live, canary []Cell, alpha float64) float64 {
	var own, expected, spread, excess, squares float64 // squares: Σ N_c² of the arms that show their variance
	l, c := Total(live), Total(canary)
	pooled := (l.Sum + c.Sum) / (l.N + c.N)
	var independent, between float64 // of the difference; between per unit of variance between keys
	for _, cells := range [][]Cell{live, canary} {
		t := Total(cells)
		if t.N <= 0 {
			continue
		}
		unit, n2 := t.Mean()*(1-t.Mean()), sumOfSquares(cells)
		between += n2 / (t.N * t.N)
		if unit <= 0 { // all alike in this arm: no variance to be seen
			independent += pooled * (1 - pooled) / t.N
			continue
		}
		independent += unit / t.N
		e := ClusterMean(cells, unit)
		if math.IsInf(e.Variance, 1) {
			return e.Variance
		}
		alike := unit * jackknifed(cells, t.N)
		own += e.Variance
		expected += alike
		spread += e.Variance * e.Variance / e.Freedom
		excess += (e.Variance - alike) * t.N * t.N
		squares += n2
	}
	effect := 1.0
	if expected > 0 && own > expected {
		effect += (own/expected - 1) * studentFactor(max(fewestFreedom, own*own/spread), alpha)
	}
	if squares > 0 && independent > 0 {
		effect = max(effect, 1+excess/squares*between/independent)
	}
	return effect
}

func sumOfSquares(cells []Cell) float64 {
	var sum float64
	for _, c := range cells {
		sum += c.N * c.N
	}
	return sum
}

// jackknifed is the expected variance that ClusterMean finds for independent requests of variance 1: residuals have the
// variance N_c·(1−h_c), so it is (m−1)/m·Σ N_c/(1−h_c)/N².
func jackknifed(cells []Cell, n float64) float64 {
	var m, sum float64
	for _, c := range cells {
		if c.N > 0 {
			m++
			sum += c.N / (1 - c.N/n)
		}
	}
	return (m - 1) / m * sum / (n * n)
}

// studentFactor is (t/z)² where z = √(2 ln(1/α)) and t has the same tail in Student's distribution, by the approximation of
// Wallace (1959), z ≈ (8ν+1)/(8ν+3)·√(ν ln(1+t²/ν)).
func studentFactor(freedom, alpha float64) float64 {
	z2 := 2 * math.Log(1/alpha)
	if !(z2 > 0) {
		return 1
	}
	w := (8*freedom + 3) / (8*freedom + 1)
	return freedom * math.Expm1(min(700, z2*w*w/freedom)) / z2
}
