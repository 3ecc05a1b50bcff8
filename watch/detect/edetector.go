package detect

import (
	"fmt"
	"math"
)

// EDetector is the Shiryaev-Roberts e-detector for the distribution of a stream against a known reference (Shin, Ramdas and
// Rinaldo 2022). It bets at each of the reference's quantiles x_j, on both sides, that the share of values ≤ x_j has left
// F₀(x_j) by more than Tolerance. While the whole distribution stays within Tolerance of the reference at those points, the mean
// number of values between false alarms is at least Budget.
//
// A block of n values may be added at once, with the same guarantee in values: it costs a delay of a few blocks at most.
type EDetector struct {
	Tolerance float64   `json:"tolerance"` // change of the distribution function that is nobody's business
	Budget    float64   `json:"budget"`    // values between false alarms, on average at least
	Reference []float64 `json:"reference"` // F₀ at the points, ascending

	// Log is ln M of each cell: points × sides (+1, −1) × bets; the smallest float64 stands for M = 0.
	Log []float64 `json:"log"`
	N   uint64    `json:"n"` // values since the start or the last alarm
}

// The three bets find large, middle and small changes; cells whose expectation lies outside the range have no fair coin.
var (
	bets         = [...]float64{0.05, 0.2, 0.6}
	sides        = [...]float64{1, -1}
	shareLow     = 0.01
	shareHigh    = 0.99
	fresh        = -math.MaxFloat64 // ln of nothing, which JSON can hold
	cellsOfPoint = len(bets) * len(sides)
)

// NewEDetector makes a detector for a reference that has the shares f at or below its points: 15 sixteenths are usual. To share a
// budget among several columns multiply it by their number.
func NewEDetector(f []float64, tolerance, budget float64) (*EDetector, error) {
	for i, v := range f {
		if !(v > 0 && v < 1) || i > 0 && v < f[i-1] {
			return nil, fmt.Errorf("the reference's shares must rise within (0,1); number %d is %v", i, v)
		}
	}
	if len(f) == 0 || !(tolerance >= 0 && tolerance < 1) || !(budget > 1) {
		return nil, fmt.Errorf("an e-detector needs points, a tolerance in [0,1) and a budget above 1; it has %d, %v and %v", len(f), tolerance, budget)
	}
	e := &EDetector{Tolerance: tolerance, Budget: budget, Reference: append([]float64(nil), f...), Log: make([]float64, len(f)*cellsOfPoint)}
	e.restart()
	return e, nil
}

func (e *EDetector) restart() {
	e.N = 0
	for i := range e.Log {
		e.Log[i] = fresh
	}
}

// Add takes a block of n values of which below[j] are at or below the j-th point. It panics when the counts are impossible.
func (e *EDetector) Add(n uint64, below []uint64) State {
	if len(below) != len(e.Reference) {
		panic("detect: as many counts as points are needed")
	}
	if n == 0 {
		return Stable
	}
	e.N += n
	for j, k := range below {
		if k > n {
			panic("detect: more values below a point than values")
		}
		for s, side := range sides {
			center := e.Reference[j] + side*e.Tolerance
			if center < shareLow || center > shareHigh {
				continue
			}
			for b, bet := range bets {
				cell := &e.Log[(j*len(sides)+s)*len(bets)+b]
				in, out := math.Log1p(bet*side*(1-center)), math.Log1p(-bet*side*center)
				*cell = logAdd(*cell, float64(n)) + float64(k)*in + float64(n-k)*out // M ← (M + n)·in^k·out^(n−k)
			}
		}
	}
	if e.Level() < math.Log(e.Budget) {
		return Stable
	}
	e.restart()
	return Drift
}

// Level is ln of the mean of all cells; the alarm is at ln Budget. A page may show it as the share of the way there.
func (e *EDetector) Level() float64 {
	top := fresh
	for _, l := range e.Log {
		top = math.Max(top, l)
	}
	if top == fresh {
		return fresh
	}
	sum := 0.0
	for _, l := range e.Log {
		if l != fresh {
			sum += math.Exp(l - top)
		}
	}
	return top + math.Log(sum/float64(len(e.Log)))
}

// logAdd is ln(exp(l) + x).
func logAdd(l, x float64) float64 {
	if l == fresh {
		return math.Log(x)
	}
	a, b := math.Max(l, math.Log(x)), math.Min(l, math.Log(x))
	return a + math.Log1p(math.Exp(b-a))
}
