package notify

import (
	"maps"
	"slices"
	"time"
)

// Telling is what a receiver knows of an incident.
type Telling struct {
	Receiver string
	State    State // "": nothing yet
	At, Next time.Time
	Tries    int // in vain since
}

// Tellings are what receivers know of an incident, by name.
func (l *Ledger) Tellings(id string) []Telling {
	r := l.Incidents[id]
	if r == nil {
		return nil
	}
	var out []Telling
	for _, name := range slices.Sorted(maps.Keys(r.Told)) {
		t := r.Told[name]
		out = append(out, Telling{Receiver: name, State: t.State, At: t.At, Next: t.Next, Tries: t.Tries})
	}
	return out
}

// Retrying is how many incidents a receiver could not be told of yet.
func (l *Ledger) Retrying(receiver string) (n int) {
	for _, r := range l.Incidents {
		if r.Told[receiver].Tries > 0 {
			n++
		}
	}
	return n
}
