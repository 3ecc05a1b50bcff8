package backfill

// faultsShown is how many faults are kept; the others are counted.
const faultsShown = 10

// Faults collects rows that are left out.
type Faults struct {
	N     int64
	First []Fault // in the order of the file
}

func (f *Faults) add(line int64, column, text string) {
	f.N++
	if len(f.First) < faultsShown {
		f.First = append(f.First, Fault{line, column, text})
	}
}

// Add counts a fault that a Source gave.
func (f *Faults) Add(x *Fault) { f.add(x.Line, x.Column, x.Text) }
