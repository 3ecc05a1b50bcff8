// Package detect holds streaming change detectors: each takes one value after the other, keeps a little state, and says
// when the stream no longer looks like it did. Nothing here reads a clock or draws by itself; all state is in exported
// fields, so that a detector can be stored as JSON and goes on where it stood.
//
// What to use: EDetector where an alarm must mean something, because it has a tolerance and a stated time between false
// alarms; TolerantKS for "is it still the same?" asked at any time; ADWIN for scores and errors without a reference;
// PageHinkley and CUSUM on statistics of windows. DDM and EDDM are here for their names: on 2,000 stationary values they
// raise several false alarms, so they should not wake anybody alone.
//
// A detector starts anew after it said Drift: what follows is judged by what follows. Values that are no finite numbers
// are left out and counted in Skipped.
package detect

import "math"

// State is what a detector says after a value.
type State int

// The states in order of severity.
const (
	Stable State = iota
	Warning
	Drift
)

// String is "stable", "warning" or "drift".
func (s State) String() string {
	switch s {
	case Warning:
		return "warning"
	case Drift:
		return "drift"
	}
	return "stable"
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
