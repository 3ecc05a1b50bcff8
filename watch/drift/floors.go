package drift

import "math"

// JSFloor is the value that the Jensen-Shannon divergence exceeds with probability alpha without drift.
//
// Derivation: with ten and more expected rows in a bin, JS = PSI/8 + O(|p−q|³), so JS is k/8 times a χ² variable with
// as many degrees of freedom as bins less one. With fewer rows the divergence, which is not smoothed, runs higher: at
// three rows a bin its 1 % point is passed five times as often. So each bin contributes the mean and variance of its
// term for a Poisson count of its expected rows (jsTerm), times 1−w for the bound total, and the law of the sum is
// taken to be c·χ²_ν with both moments (Satterthwaite). For many rows this is the formula above. In simulations at
// .01 and .001 it is passed at .1 to 1.2 times that rate from two expected rows in a typical bin, four times as often
// at half a row, and up to sixteen times when nearly all rows are in one bin and less than one expected elsewhere.
//
// Without rows on one side it is NaN; with a single non-empty bin it is 0.
func JSFloor(ref, cur []uint64, alpha float64) float64 {
	sameLength(len(ref), len(cur))
	m, n := total(ref), total(cur)
	k := nullScale(n, m)
	if math.IsNaN(k) {
		return k
	}
	var mean, variance float64 // of 8·JS/k
	for i := range ref {
		w := (float64(ref[i]) + float64(cur[i])) / float64(n+m)
		if w > 0 && w < 1 {
			e, v := jsTerm(w / k)
			mean += e * (1 - w)
			variance += v * (1 - w)
		}
	}
	if mean == 0 {
		return 0
	}
	return k / 8 * variance / (2 * mean) * chiSquareQuantile(1-alpha, 2*mean*mean/variance)
}

// jsTerm gives mean and variance of 8λ·f(c/λ) for a Poisson count c of expectation λ, with f the term of a bin in the
// divergence from an exact share, f(r) = ½(r ln r − (1+r) ln((1+r)/2)). A χ² variable of one degree has 1 and 2. Above
// λ = 15 the first correction in 1/λ is used, rounded up.
func jsTerm(lambda float64) (mean, variance float64) {
	if lambda > 15 {
		return 1 + .4/lambda, 2 + 3.2/lambda
	}
	pmf := math.Exp(-lambda)
	var square float64
	for c := 0.0; c <= lambda || pmf > 1e-12; c++ {
		r := c / lambda
		f := -(1 + r) * math.Log((1+r)/2)
		if c > 0 {
			f += r * math.Log(r)
		}
		f *= 4 * lambda
		mean += pmf * f
		square += pmf * f * f
		pmf *= lambda / (c + 1)
	}
	return mean, square - mean*mean
}

// D1Floor is the value that D1 exceeds with probability alpha without drift.
//
// Derivation: let w be the pooled shares, d = p̂−q̂ and k = 1/n+1/m. Without drift d is near normal with
// Var dᵢ = k·wᵢ(1−wᵢ) and Cov(dᵢ,dⱼ) = −k·wᵢwⱼ. Hence
//
//	E Σ|dᵢ|    = Σ σᵢ √(2/π)
//	E (Σ|dᵢ|)² = Σᵢⱼ (2/π) σᵢσⱼ (√(1−ρᵢⱼ²) + ρᵢⱼ asin ρᵢⱼ)
//
// with the second line's terms the absolute moments of a bivariate normal. D1 is a norm of d, so its law is taken to
// be c·χ_ν with c and ν matching both moments: exact for two bins (ν = 1, a half-normal), near normal for many.
// In simulations at .01 and .001 it is passed at .8 to 1.8 times that rate, with ten equal bins from 20 rows on and
// with a hundred Zipf categories from 100. A window with nearly all rows in one bin and less than one expected in the
// others passes it up to eight times as often.
//
// Without rows on one side it is NaN; with a single non-empty bin it is 0.
func D1Floor(ref, cur []uint64, alpha float64) float64 {
	sameLength(len(ref), len(cur))
	m, n := total(ref), total(cur)
	k := nullScale(n, m)
	if math.IsNaN(k) {
		return k
	}
	first, second := d1Moments(ref, cur, float64(n+m))
	if second == 0 {
		return 0
	}
	nu := chiDegrees(first * first / second)
	// c²ν = second, and the (1−alpha) quantile of χ_ν is the root of that of χ².
	return math.Sqrt(k * second / nu * chiSquareQuantile(1-alpha, nu))
}

// d1Moments gives the first and second moment of D1/√k without drift.
func d1Moments(ref, cur []uint64, rows float64) (first, second float64) {
	var sigma, odds []float64 // σ/√k and √(w/(1−w)) of bins with some but not all rows
	for i := range ref {
		w := (float64(ref[i]) + float64(cur[i])) / rows
		if w > 0 && w < 1 {
			sigma = append(sigma, math.Sqrt(w*(1-w)))
			odds = append(odds, math.Sqrt(w/(1-w)))
		}
	}
	for i, s := range sigma {
		first += s * math.Sqrt(2/math.Pi)
		second += s * s
		for j := range i {
			rho := min(odds[i]*odds[j], 1) // −Cov/(σσ) = √(wᵢwⱼ/((1−wᵢ)(1−wⱼ))); the sign does not matter
			second += 2 * (2 / math.Pi) * s * sigma[j] * (math.Sqrt(1-rho*rho) + rho*math.Asin(rho))
		}
	}
	return first, second
}

// chiDegrees is the ν at which a χ_ν variable has (E X)²/E X² = ratio, i.e. 2Γ((ν+1)/2)²/(νΓ(ν/2)²) = ratio. The
// left side rises from 2/π at ν = 1 to 1; ratios outside are taken as the nearest end.
func chiDegrees(ratio float64) float64 {
	at := func(nu float64) float64 {
		a, _ := math.Lgamma((nu + 1) / 2)
		b, _ := math.Lgamma(nu / 2)
		return 2 / nu * math.Exp(2*(a-b))
	}
	low, high := 1.0, 1e6
	if ratio <= at(low) {
		return low
	}
	for range 60 {
		mid := math.Sqrt(low * high)
		if at(mid) < ratio {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}
