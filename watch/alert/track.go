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
	start   time.Time // UTC
	version int
	Measured
	n    uint64
	gone bool // the version has no such column
}

// nothing is what a window says that holds no such column.
var nothing = Measured{math.NaN(), math.NaN(), math.NaN(), math.NaN()}

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
	q := p.Q == o.Q || !(p.Q > 0) && !(o.Q > 0)                                 // nor between those
	return eq(p.Value, o.Value) && eq(p.Effect, o.Effect) && eq(p.Floor, o.Floor) && q && p.n == o.n && p.gone == o.gone
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
	Open   Alert `json:"open,omitzero"`  // pending or firing; zero: none
	Hits   []hit `json:"hits,omitempty"` // the drifted windows that a pending alert counts, oldest first; never changed in place
	Run    int   `json:"run,omitempty"`  // of books written when drifted windows had to be in a row: how many there were
	Folded int   `json:"folded,omitempty"`
}

// hit is a drifted window that may become part of an alert.
type hit struct {
	Start  time.Time `json:"start"`
	Effect float64   `json:"effect"`
	Age    int       `json:"age,omitempty"` // windows that counted since
}

// step takes the next window. over is true when it ended a firing alert, which is returned.
func (s *state) step(r Rule, p point) (ended Alert, over bool) {
	verdict := r.Judge(p.Measured)
	if p.gone {
		verdict = OK
	}
	switch {
	case verdict == TooFew:
	case s.Open.State != Firing:
		s.collect(r, p, verdict == Drifted)
	case verdict == Drifted:
		a := &s.Open
		a.count(r, p)
		a.Last, a.Worst, a.Clean = p.start, max(a.Worst, p.Effect), 0
	default:
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
	}
	return Alert{}, false
}

// collect counts a window for or against an alert that does not fire yet. Hits from which no alert can come any more are
// forgotten: with two in a row, at the first clean window.
func (s *state) collect(r Rule, p point, drifted bool) {
	if !drifted && s.Open.State == "" {
		return // nothing to count, as nearly always
	}
	hits := make([]hit, 0, r.For)
	for _, h := range s.hits() {
		h.Age++
		hits = append(hits, h)
	}
	if drifted {
		hits = append(hits, hit{Start: p.start, Effect: p.Effect})
	}
	for len(hits) > 0 && hits[0].Age+r.For-len(hits) > r.of()-1 {
		hits = hits[1:]
	}
	s.Hits, s.Run = hits, 0
	if len(hits) == 0 {
		s.Hits, s.Open = nil, Alert{}
		return
	}
	a := &s.Open
	if a.State == "" {
		*a = Alert{State: Pending, Measure: r.Measure, Grain: r.Grain}
	}
	if drifted {
		a.count(r, p)
	}
	a.Onset, a.Last, a.Worst = hits[0].Start, hits[len(hits)-1].Start, math.Inf(-1)
	for _, h := range hits {
		a.Worst = max(a.Worst, h.Effect)
	}
	if drifted && len(hits) >= r.For {
		a.State, a.Fired, s.Hits = Firing, r.end(p.start), nil
	}
}

// hits are those of the state, made up for a book that only counted them.
func (s *state) hits() []hit {
	if len(s.Hits) > 0 || s.Open.State != Pending {
		return s.Hits
	}
	var hits []hit
	run := min(s.Run, maxRun)
	for i := range run {
		hits = append(hits, hit{Start: s.Open.Onset, Effect: s.Open.Worst, Age: run - 1 - i})
	}
	return hits
}

// count notes the numbers of a window that counted.
func (a *Alert) count(r Rule, p point) {
	a.Value, a.Floor, a.N, a.Threshold, a.Clear = p.Effect, p.Floor, p.n, r.Threshold, r.Clear
}

// MarshalJSON writes a point as [start, version, value, effect, floor, n, gone, q], start in seconds since 1970 and null
// for NaN: a Book holds thousands of them. gone and q are left out where they say nothing.
func (p point) MarshalJSON() ([]byte, error) {
	number := func(x float64) any {
		if !finite(x) {
			return nil
		}
		return x
	}
	row := []any{p.start.Unix(), p.version, number(p.Value), number(p.Effect), number(p.Floor), p.n}
	switch {
	case p.Q > 0:
		row = append(row, p.gone, p.Q)
	case p.gone:
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
	if len(row) < 6 || len(row) > 8 {
		return fmt.Errorf("a window of an alert book has %d numbers, 6 to 8 expected", len(row))
	}
	var start int64
	var value, effect, floor, q *float64
	into := []any{&start, &p.version, &value, &effect, &floor, &p.n, &p.gone, &q}
	for i, raw := range row {
		if err := json.Unmarshal(raw, into[i]); err != nil {
			return err
		}
	}
	or := func(x *float64) float64 {
		if x == nil {
			return math.NaN()
		}
		return *x
	}
	p.start, p.Measured = time.Unix(start, 0).UTC(), Measured{or(value), or(effect), or(floor), or(q)}
	return nil
}
