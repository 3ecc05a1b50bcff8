package alert

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// State is where an alert is in its life.
type State string

// States of an alert. One that never got beyond pending is forgotten.
const (
	Pending  State = "pending"
	Firing   State = "firing"
	Resolved State = "resolved"
)

// Alert is one stretch of drift of one column. Value, Worst and Threshold are in its measure, PSI debiased.
type Alert struct {
	ID         string        `json:"id"` // deployment/column/onset, the same in every replay
	Deployment fairlead.Name `json:"deployment"`
	Column     string        `json:"column"`
	State      State         `json:"state"`
	Measure    string        `json:"measure"`
	Grain      string        `json:"grain"`
	Value      float64       `json:"value"` // of the last window that counted, like Floor and N
	Worst      float64       `json:"worst"`
	Threshold  float64       `json:"threshold"`
	Floor      float64       `json:"floor"`
	N          uint64        `json:"n"`
	Onset      time.Time     `json:"onset"`             // start of the first drifted window
	Last       time.Time     `json:"last"`              // start of the last drifted window
	Fired      time.Time     `json:"fired,omitzero"`    // end of the window that made it fire
	Resolved   time.Time     `json:"resolved,omitzero"` // end of the window that resolved it
	Clean      int           `json:"clean,omitempty"`   // clean windows in a row since Last
	Clear      int           `json:"clear,omitempty"`   // clean windows needed
	Gone       bool          `json:"gone,omitempty"`    // it ended because the column is no longer there
	Message    string        `json:"message,omitempty"`
}

// Book holds the alerts of one deployment. It is JSON-serialisable and belongs to one goroutine; its zero value with
// a Deployment is an empty book.
type Book struct {
	Deployment fairlead.Name     `json:"deployment"`
	Rule       Rule              `json:"rule"` // the one last applied
	Columns    map[string]*track `json:"columns,omitempty"`
	Archive    []Alert           `json:"archive,omitempty"` // resolved, too long ago to change
	Dropped    int               `json:"dropped,omitempty"` // oldest of the archive that were let go
	Late       int               `json:"late,omitempty"`    // windows left out because newer ones were decided long ago
}

// UnmarshalJSON reads a book that was marshalled before. A damaged one is an error.
func (b *Book) UnmarshalJSON(data []byte) error {
	type plain Book
	if err := json.Unmarshal(data, (*plain)(b)); err != nil {
		return fmt.Errorf("alert book: %w", err)
	}
	if b.Rule != (Rule{}) {
		if err := b.Rule.Validate(); err != nil {
			return fmt.Errorf("alert book: %w", err)
		}
	}
	for column, t := range b.Columns {
		inOrder := t != nil && slices.IsSortedFunc(t.Recent, point.compare) && len(t.Recent) <= keep
		if !inOrder || b.Rule == (Rule{}) {
			return fmt.Errorf("alert book: the windows of column %q are damaged", column)
		}
	}
	return nil
}

// maxArchive is how many resolved alerts a book keeps.
const maxArchive = 500

// Window is one closed window of a live version, at the grain of the rule.
type Window struct {
	Version      fairlead.Version
	Start        time.Time
	Observations []Observation // one for each column of the version
}

// Observation is what the window says about a column by the measure of the rule; NaN where nothing could be measured.
type Observation struct {
	Column string
	Measured
	N uint64
}

// Event is a change that a person may want to hear of.
type Event struct {
	Kind  EventKind
	Alert Alert
}

// EventKind says what happened to an alert.
type EventKind string

// Kinds of events.
const (
	Fired     EventKind = "fired"
	Ended     EventKind = "resolved"
	Reopened  EventKind = "reopened"  // it had resolved, but late rows show that it goes on
	Revised   EventKind = "revised"   // late rows or a new rule moved the onset of an alert that had fired, and so its id
	Withdrawn EventKind = "withdrawn" // late rows or a new rule took away what it rested on
)

// Apply takes a closed window into account and returns what changed. Windows may come in any order and repeatedly: a
// window of the same version and start replaces what was known about it, and only the last 48 windows of a column
// are open to that. A column that a different, later version lacks counts as clean. The rule must be valid; a rule
// with another grain or measure starts afresh and ends what is firing, other changes of the rule apply to the remembered windows
// as well.
func (b *Book) Apply(r Rule, w Window) []Event {
	var events []Event
	if b.Columns == nil {
		b.Columns = map[string]*track{}
	}
	if b.Rule.Grain != "" && (b.Rule.Grain != r.Grain || b.Rule.Measure != r.Measure) {
		events = b.restart(w.Start)
	}
	old := b.Rule
	b.Rule = r
	seen := make(map[string]bool, len(w.Observations))
	for _, o := range w.Observations {
		seen[o.Column] = true
		p := point{start: w.Start.UTC(), version: int(w.Version), Measured: o.Measured, n: o.N}
		events = append(events, b.observe(o.Column, old, p)...)
	}
	for _, column := range b.columns() {
		if last, ok := b.Columns[column].last(); !seen[column] && ok && last.version != int(w.Version) && last.start.Before(w.Start) {
			p := point{start: w.Start.UTC(), version: int(w.Version), Measured: nothing, gone: true}
			events = append(events, b.observe(column, old, p)...)
		}
	}
	return events
}

// last is the newest window in which the column existed.
func (t *track) last() (point, bool) {
	for _, p := range slices.Backward(t.Recent) {
		if !p.gone {
			return p, true
		}
	}
	return point{}, false
}

func (b *Book) observe(column string, old Rule, p point) []Event {
	t := b.Columns[column]
	if t == nil {
		t = &track{}
		b.Columns[column] = t
	}
	before := t.replay(old)
	changed, late := t.insert(p)
	if late {
		b.Late++
	}
	if !changed && old == b.Rule {
		return nil
	}
	after := t.replay(b.Rule)
	ended := t.fold(b.Rule)
	for i := range ended {
		b.finish(column, &ended[i])
	}
	b.archive(ended)
	return b.compare(column, before, after)
}

// compare gives the events between two replays of one column. Both are in order of onset.
func (b *Book) compare(column string, before, after []Alert) []Event {
	was, is := map[time.Time]State{}, map[time.Time]bool{}
	for _, a := range before {
		was[a.Onset] = a.State
	}
	for _, a := range after {
		is[a.Onset] = a.State != Pending
	}
	var lost []Alert // had fired and are not there any more
	for _, a := range before {
		if a.State != Pending && !is[a.Onset] {
			lost = append(lost, a)
		}
	}
	var events []Event
	add := func(kind EventKind, a Alert) {
		b.finish(column, &a)
		events = append(events, Event{kind, a})
	}
	for _, a := range after {
		state, known := was[a.Onset]
		switch {
		case a.State == Pending || known && state == a.State:
		case !known && len(lost) > 0:
			lost = lost[1:]
			add(Revised, a)
		case state == Resolved:
			add(Reopened, a)
		case a.State == Firing:
			add(Fired, a)
		case state == Firing:
			add(Ended, a)
		default: // late rows showed a whole alert in the past
			add(Fired, a)
			add(Ended, a)
		}
	}
	for _, a := range lost {
		b.finish(column, &a)
		a.Message = fmt.Sprintf("%s: there is no alert since %s any more, late rows or a new rule changed the verdict", column, minute(a.Onset))
		events = append(events, Event{Withdrawn, a})
	}
	return events
}

// restart ends what is firing at event time now and forgets the windows.
func (b *Book) restart(now time.Time) []Event {
	var events []Event
	for _, column := range b.columns() {
		for _, a := range b.Columns[column].replay(b.Rule) {
			b.finish(column, &a)
			switch a.State {
			case Firing:
				a.State, a.Resolved = Resolved, now.UTC()
				b.finish(column, &a)
				events = append(events, Event{Ended, a})
				fallthrough
			case Resolved:
				b.archive([]Alert{a})
			}
		}
	}
	clear(b.Columns)
	return events
}

func (b *Book) archive(alerts []Alert) {
	b.Archive = append(b.Archive, alerts...)
	slices.SortStableFunc(b.Archive, func(x, y Alert) int {
		return cmp.Or(x.Resolved.Compare(y.Resolved), strings.Compare(x.ID, y.ID))
	})
	if over := len(b.Archive) - maxArchive; over > 0 {
		b.Archive = slices.Delete(b.Archive, 0, over)
		b.Dropped += over
	}
}

// Alerts lists pending, firing and resolved alerts: the latest onset first, then by column.
func (b *Book) Alerts() []Alert {
	alerts := slices.Clone(b.Archive)
	for _, column := range b.columns() {
		for _, a := range b.Columns[column].replay(b.Rule) {
			b.finish(column, &a)
			alerts = append(alerts, a)
		}
	}
	slices.SortStableFunc(alerts, func(x, y Alert) int {
		return cmp.Or(y.Onset.Compare(x.Onset), strings.Compare(x.Column, y.Column))
	})
	return alerts
}

func (b *Book) columns() []string {
	names := make([]string, 0, len(b.Columns))
	for name := range b.Columns {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// finish fills in what the machine of a column does not know: names, id and message.
func (b *Book) finish(column string, a *Alert) {
	a.Deployment, a.Column = b.Deployment, column
	a.ID = fmt.Sprintf("%s/%s/%s", b.Deployment, column, a.Onset.UTC().Format(time.RFC3339))
	a.Message = a.message()
}
