package anytime

import "math"

// bettingSteps is the number of hypotheses between 0 and 1, so that an interval is sharp to half a hundredth.
const bettingSteps = 200

// Betting is a confidence sequence for the mean of values between 0 and 1 that come one by one: the hedged capital process
// of Waudby-Smith and Ramdas (2024, theorem 3). For each hypothetical mean m one gambler bets that values are above it,
// another that they are below; a mean at which their joint wealth reaches 1/α is ruled out. It adapts to a small variance,
// which counts alone cannot show, and is exact for any number of values, dependent ones too as long as each has the same mean
// given those before. Unlike the rest of the package it depends on the order, so it is state: keep it, it is plain JSON. The
// zero value is not usable, see NewBetting.
//
// For two arms feed (1+c−l)/2 for the values c and l of a canary and a live request paired in order of arrival: its mean is
// 1/2 if the arms are alike.
type Betting struct {
	Alpha  float64   `json:"alpha"`
	N      float64   `json:"n"`
	Sum    float64   `json:"sum"`
	Spread float64   `json:"spread"` // Σ squared distance from the running mean, starting at 1/4
	Up     []float64 `json:"up"`     // ln wealth of the bet on "above m" for m = i/200
	Down   []float64 `json:"down"`
	Out    []bool    `json:"out"` // ruled out at some time
}

// NewBetting begins with no values. Bets are tuned for intervals at level 1−alpha.
func NewBetting(alpha float64) *Betting {
	return &Betting{
		Alpha: alpha, Spread: 0.25,
		Up: make([]float64, bettingSteps+1), Down: make([]float64, bettingSteps+1), Out: make([]bool, bettingSteps+1),
	}
}

// Add takes a value into account; values outside 0..1 are cut to it, NaN is ignored.
func (b *Betting) Add(x float64) {
	if math.IsNaN(x) {
		return
	}
	x = min(1, max(0, x))
	t := b.N + 1
	// The bet may depend only on what came before: λ = √(2 ln(2/α)/(σ²·t·ln(1+t))) with σ²·t = Spread, at most half of what
	// could be lost.
	bet := math.Sqrt(2 * math.Log(2/b.Alpha) / (b.Spread * math.Log(1+t)))
	for i := range b.Up {
		m := float64(i) / bettingSteps
		b.Up[i] += math.Log1p(min(bet, 0.5/m) * (x - m))
		b.Down[i] += math.Log1p(-min(bet, 0.5/(1-m)) * (x - m))
		if b.logWealth(i) >= math.Log(1/b.Alpha) {
			b.Out[i] = true
		}
	}
	b.N = t
	b.Sum += x
	d := x - (0.5+b.Sum)/(t+1)
	b.Spread += d * d
}

// logWealth is that of both gamblers, who share the stake.
func (b *Betting) logWealth(i int) float64 {
	return max(b.Up[i], b.Down[i]) - math.Ln2
}

// Mean of the values, 0 without any.
func (b *Betting) Mean() float64 { return Cell{N: b.N, Sum: b.Sum}.Mean() }

// Interval holds the mean at all looks with probability 1−Alpha. It never widens.
func (b *Betting) Interval() (low, high float64) {
	first, last := 0, len(b.Out)-1
	for first < last && b.Out[first] {
		first++
	}
	for last > first && b.Out[last] {
		last--
	}
	// The mean lies between two hypotheses of which the outer one was ruled out, so the interval ends there.
	return max(0, float64(first-1)/bettingSteps), min(1, float64(last+1)/bettingSteps)
}

// LogAbove is the evidence that the mean is above m: the wealth of the gambler who bets on it, at the next hypothesis that
// is not below m. Unlike Interval's it stakes everything on one side.
func (b *Betting) LogAbove(m float64) float64 {
	return b.Up[min(bettingSteps, max(0, int(math.Ceil(m*bettingSteps-1e-9))))]
}

// LogBelow is the evidence that the mean is below m.
func (b *Betting) LogBelow(m float64) float64 {
	return b.Down[min(bettingSteps, max(0, int(math.Floor(m*bettingSteps+1e-9))))]
}
