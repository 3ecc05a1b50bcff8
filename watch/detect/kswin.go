package detect

import "github.com/fairlead-ml/fairlead/watch/drift"

// KSWIN compares the newest values of a window with as many drawn from the older ones by the Kolmogorov-Smirnov test (Raab,
// Heusinger, Schleif 2020). Every value is a test, so the level of one says little about the stream.
type KSWIN struct {
	Alpha  float64 `json:"alpha"`
	Least  float64 `json:"least"`  // distance that is worth a word, however sure
	Size   int     `json:"size"`   // values in the window
	Newest int     `json:"newest"` // of them the newest, which are compared

	Window  []float64 `json:"window"` // oldest first
	Skipped int       `json:"skipped"`
}

// NewKSWIN makes a detector with the field's usual settings: level 0.005, the newest 30 of 100, distance above 0.1.
func NewKSWIN() *KSWIN { return &KSWIN{Alpha: 0.005, Least: 0.1, Size: 100, Newest: 30} }

// Add takes the next value; pick draws an integer in [0,n) and decides which older values are compared.
func (k *KSWIN) Add(x float64, pick func(n int) int) State {
	if !finite(x) {
		k.Skipped++
		return Stable
	}
	if len(k.Window) == k.Size {
		k.Window = append(k.Window[:0], k.Window[1:]...)
	}
	k.Window = append(k.Window, x)
	if len(k.Window) < k.Size {
		return Stable
	}
	old := append([]float64(nil), k.Window[:k.Size-k.Newest]...)
	for i := range min(k.Newest, len(old)) { // the first steps of Fisher and Yates: without replacement
		j := i + pick(len(old)-i)
		old[i], old[j] = old[j], old[i]
	}
	old = old[:min(k.Newest, len(old))]
	newest := k.Window[k.Size-k.Newest:]
	d := drift.KS(old, newest)
	if d <= k.Least || drift.KSP(d, uint64(len(newest)), uint64(len(old))) > k.Alpha {
		return Stable
	}
	k.Window = append(k.Window[:0], newest...)
	return Drift
}
