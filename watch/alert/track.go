package alert

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// keep is how many of the latest windows of a column a Book remembers. A late row can change the verdict of those;
// what an older window said stands.
const keep = 48

// track is the memory of one column: the state before the remembered windows, and these.
type track struct {
	Base   state   `json:"base"`
	Recent []point `json:"recent"` // in order of start and version, without repetition
}

// point is what one closed window said about a column.
type point struct {
	start                time.Time // UTC
	version              int
	psi, debiased, floor float64
	n                    uint64
	gone                 bool // the version has no such column
}

func (p point) compare(o point) int {
	if c := p.start.Compare(o.start); c != 0 {
		return c
	}
	return p.version - o.version
}

// insert puts p in its place and says whether that changed anything. late is true when p is older than everything
// the track still remembers; it is left out then.
func (t *track) insert(p point) (changed, late bool) {
	i, found := slices.BinarySearchFunc(t.Recent, p, point.compare)
	switch {
	case found && t.Recent[i].same(p):
		return false, false
	case found:
		t.Recent[i] = p
	case i == 0 && t.Base.Folded > 0:
		return false, true
	default:
		t.Recent = slices.Insert(t.Recent, i, p)
	}
	return true, false
}

func (p point) same(o point) bool {
	eq := func(a, b float64) bool { return a == b || !finite(a) && !finite(b) } // Judge makes no difference between those
	return eq(p.psi, o.psi) && eq(p.debiased, o.debiased) && eq(p.floor, o.floor) && p.n == o.n && p.gone == o.gone
}

// fold forgets the oldest windows beyond keep; the alerts that ended in them are returned.
func (t *track) fold(r Rule) []Alert {
	var ended []Alert
	for len(t.Recent) > keep {
		a, over := t.Base.step(r, t.Recent[0])
		if over {
			ended = append(ended, a)
		}
		t.Base.Folded++
		t.Recent = slices.Delete(t.Recent, 0, 1)
	}
	return ended
}

// replay runs the remembered windows and gives the alerts that ended in them and, last, the one that is open.
func (t *track) replay(r Rule) []Alert {
	var alerts []Alert
	s := t.Base
	for _, p := range t.Recent {
		if a, over := s.step(r, p); over {
			alerts = append(alerts, a)
		}
	}
	if s.Open.State != "" {
		alerts = append(alerts, s.Open)
	}
	return alerts
}

// state is where the machine of one column stands between two windows.
type state struct {
	Open   Alert `json:"open,omitzero"` // pending or firing; zero: none
	Run    int   `json:"run,omitempty"` // drifted windows in a row
	Folded int   `json:"folded,omitempty"`
}

// step takes the next window. over is true when it ended a firing alert, which is returned.
func (s *state) step(r Rule, p point) (ended Alert, over bool) {
	verdict := r.Judge(p.psi, p.debiased, p.floor)
	if p.gone {
		verdict = OK
	}
	switch {
	case verdict == TooFew:
	case verdict == Drifted:
		if s.Open.State == "" {
			s.Open = Alert{State: Pending, Measure: r.Measure, Grain: r.Grain, Onset: p.start, Worst: math.Inf(-1)}
		}
		s.Run++
		a := &s.Open
		a.count(r, p)
		a.Last, a.Worst, a.Clean = p.start, max(a.Worst, p.debiased), 0
		if a.State == Pending && s.Run >= r.For {
			a.State, a.Fired = Firing, r.end(p.start)
		}
	case s.Open.State == Firing:
		s.Run = 0
		a := &s.Open
		if !p.gone {
			a.count(r, p)
		}
		a.Clean, a.Gone = a.Clean+1, p.gone
		if a.Clean >= r.Clear {
			a.State, a.Resolved = Resolved, r.end(p.start)
			ended, s.Open = *a, Alert{}
			return ended, true
		}
	default:
		s.Run, s.Open = 0, Alert{}
	}
	return Alert{}, false
}

// count notes the numbers of a window that counted.
func (a *Alert) count(r Rule, p point) {
	a.Value, a.Floor, a.N, a.Threshold, a.Clear = p.debiased, p.floor, p.n, r.Threshold, r.Clear
}

// MarshalJSON writes a point as [start, version, psi, debiased, floor, n, gone], start in seconds since 1970 and null
// for NaN: a Book holds thousands of them.
func (p point) MarshalJSON() ([]byte, error) {
	number := func(x float64) any {
		if !finite(x) {
			return nil
		}
		return x
	}
	row := []any{p.start.Unix(), p.version, number(p.psi), number(p.debiased), number(p.floor), p.n}
	if p.gone {
		row = append(row, true)
	}
	return json.Marshal(row)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *point) UnmarshalJSON(b []byte) error {
	var row []json.RawMessage
	if err := json.Unmarshal(b, &row); err != nil {
		return err
	}
	if len(row) < 6 || len(row) > 7 {
		return fmt.Errorf("a window of an alert book has %d numbers, 6 or 7 expected", len(row))
	}
	var start int64
	var psi, debiased, floor *float64
	into := []any{&start, &p.version, &psi, &debiased, &floor, &p.n, &p.gone}
	for i, raw := range row {
		if err := json.Unmarshal(raw, into[i]); err != nil {
			return err
		}
	}
	value := func(x *float64) float64 {
		if x == nil {
			return math.NaN()
		}
		return *x
	}
	p.start, p.psi, p.debiased, p.floor = time.Unix(start, 0).UTC(), value(psi), value(debiased), value(floor)
	return nil
}
