package detect

import "math"

// ADWIN keeps a window of the stream that grows while its mean stays and is cut where two parts of it differ: Bifet and
// Gavaldà 2007. The window is an exponential histogram, so it costs O(log n) in memory and time. The cut between an old part of
// n₀ and a new part of n₁ values is made where |μ₀−μ₁| > √(2·m·σ²·d) + ⅔·d·m with d = ln(2·ln(W)/Delta) and
// m = 1/(n₀−Least+1) + 1/(n₁−Least+1).
type ADWIN struct {
	Delta float64 `json:"delta"` // confidence: smaller is slower and surer
	Clock int     `json:"clock"` // cuts are looked for at every so many values
	Least int     `json:"least"` // values in each part of a cut, at least
	Grace int     `json:"grace"` // no cut while the window has no more values than this

	Rows     [][]Bucket `json:"rows"` // Rows[i] has buckets of 2^i values, the oldest first
	N        int        `json:"n"`    // values in the window
	Sum      float64    `json:"sum"`
	Variance float64    `json:"variance"` // times N
	Seen     int        `json:"seen"`     // values since the beginning
	Skipped  int        `json:"skipped"`
}

// Bucket is a run of neighbouring values.
type Bucket struct {
	Sum      float64 `json:"sum"`
	Variance float64 `json:"variance"` // times the number of values
}

// perRow is how many buckets of one size there may be.
const perRow = 5

// NewADWIN makes a detector with the field's usual settings: a cut is looked for at every 32nd value, in parts of at
// least 5 values, in a window of more than 10. The usual delta is 0.002.
func NewADWIN(delta float64) *ADWIN { return &ADWIN{Delta: delta, Clock: 32, Least: 5, Grace: 10} }

// Mean is that of the window, NaN before the first value.
func (a *ADWIN) Mean() float64 {
	if a.N == 0 {
		return math.NaN()
	}
	return a.Sum / float64(a.N)
}

// Add takes the next value. It says Drift when the window was cut; the mean of what is left is Mean.
func (a *ADWIN) Add(x float64) State {
	if !finite(x) {
		a.Skipped++
		return Stable
	}
	a.Seen++
	a.N++
	if a.N > 1 {
		before := float64(a.N - 1)
		d := x - a.Sum/before
		a.Variance += before * d * d / float64(a.N)
	}
	a.Sum += x
	if len(a.Rows) == 0 {
		a.Rows = append(a.Rows, nil)
	}
	a.Rows[0] = append(a.Rows[0], Bucket{Sum: x})
	a.compress()
	if a.Seen%a.Clock != 0 || a.N <= a.Grace {
		return Stable
	}
	state := Stable
	for a.differs() {
		a.forget()
		state = Drift
	}
	return state
}

// compress merges the two oldest buckets of a size where there are too many.
func (a *ADWIN) compress() {
	for i := 0; i < len(a.Rows) && len(a.Rows[i]) > perRow; i++ {
		size := float64(int(1) << i)
		old, young := a.Rows[i][0], a.Rows[i][1]
		d := (old.Sum - young.Sum) / size
		merged := Bucket{Sum: old.Sum + young.Sum, Variance: old.Variance + young.Variance + d*d*size/2}
		a.Rows[i] = append(a.Rows[i][:0], a.Rows[i][2:]...)
		if i+1 == len(a.Rows) {
			a.Rows = append(a.Rows, nil)
		}
		a.Rows[i+1] = append(a.Rows[i+1], merged)
	}
}

// differs says whether some cut of the window has two sides too far apart. The newest bucket is never in the old side.
func (a *ADWIN) differs() bool {
	n0, sum0 := 0, 0.0
	d := math.Log(2 * math.Log(float64(a.N)) / a.Delta)
	variance := a.Variance / float64(a.N)
	for i := len(a.Rows) - 1; i >= 0; i-- {
		for j, b := range a.Rows[i] {
			if i == 0 && j == len(a.Rows[0])-1 {
				return false
			}
			n0 += 1 << i
			sum0 += b.Sum
			n1 := a.N - n0
			if n0 < a.Least || n1 < a.Least {
				continue
			}
			m := 1/float64(n0-a.Least+1) + 1/float64(n1-a.Least+1)
			gap := math.Abs(sum0/float64(n0) - (a.Sum-sum0)/float64(n1))
			if gap > math.Sqrt(2*m*variance*d)+2./3*d*m {
				return true
			}
		}
	}
	return false
}

// forget drops the oldest bucket.
func (a *ADWIN) forget() {
	last := len(a.Rows) - 1
	b, n := a.Rows[last][0], 1<<last
	a.Rows[last] = append(a.Rows[last][:0], a.Rows[last][1:]...)
	for len(a.Rows) > 0 && len(a.Rows[len(a.Rows)-1]) == 0 {
		a.Rows = a.Rows[:len(a.Rows)-1]
	}
	a.N -= n
	a.Sum -= b.Sum
	if a.N == 0 {
		a.Variance = 0
		return
	}
	size, rest := float64(n), float64(a.N)
	d := b.Sum/size - a.Sum/rest
	a.Variance = math.Max(0, a.Variance-b.Variance-size*rest*d*d/(size+rest))
}
