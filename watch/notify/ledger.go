package notify

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"
)

// Ledger is what everybody has been told of the incidents of one deployment. It is JSON-serialisable; the zero value is an empty one.
type Ledger struct {
	Incidents map[string]*record `json:"incidents,omitempty"` // by id
}

// UnmarshalJSON leaves out what is null: there is nothing to know of it.
func (l *Ledger) UnmarshalJSON(raw []byte) error {
	type plain Ledger
	if err := json.Unmarshal(raw, (*plain)(l)); err != nil {
		return err
	}
	maps.DeleteFunc(l.Incidents, func(_ string, r *record) bool { return r == nil })
	return nil
}

// record is what is known of an incident. Its times are those of the clock.
type record struct {
	Incident Incident        `json:"incident"` // as it was last listed, without its text
	Seen     time.Time       `json:"seen"`     // it fires since
	Over     time.Time       `json:"over,omitzero"`
	Gone     time.Time       `json:"gone,omitzero"` // it is not listed since
	Told     map[string]told `json:"told,omitempty"`
}

// told is what a receiver knows of an incident.
type told struct {
	State State     `json:"state,omitempty"` // "": nothing yet
	Harm  string    `json:"harm,omitempty"`  // the worst it was told of
	At    time.Time `json:"at,omitzero"`
	Tries int       `json:"tries,omitempty"` // in vain, since
	Next  time.Time `json:"next,omitzero"`
}

const (
	// goneFor is how long an incident is not listed before it is taken for withdrawn: a server that has just begun to lead may have
	// measured less than the one before.
	goneFor = 2 * time.Minute
	// keepFor is how long what is over is remembered, and tried to be told.
	keepFor = 7 * 24 * time.Hour
	// maxRecords bounds a ledger; what was over first goes first.
	maxRecords = 200
	// maxRemembered is how many alerts of an incident are.
	maxRemembered = 16
)

// Adopt gives incidents, as they are listed now, the ids under which they were told, and adds those that were told and are no longer
// listed: late rows, or a new rule, took away what they rested on. It takes over and changes its argument.
func (l *Ledger) Adopt(now time.Time, incidents []Incident) []Incident {
	names := l.match(incidents)
	listed := map[string]bool{}
	for i := range incidents {
		in := &incidents[i]
		if names[i] != "" {
			in.ID = names[i]
		}
		r := l.Incidents[in.ID]
		if r == nil {
			if in.State != Firing {
				continue // over before anybody looked
			}
			r = &record{Seen: now}
			if l.Incidents == nil {
				l.Incidents = map[string]*record{}
			}
			l.Incidents[in.ID] = r
		}
		listed[in.ID] = true
		in.Harm, in.Title, in.Link = cmp.Or(in.Harm, r.Incident.Harm), cmp.Or(in.Title, r.Incident.Title), cmp.Or(in.Link, r.Incident.Link)
		r.Gone, r.Incident = time.Time{}, in.remembered()
		switch {
		case in.State == Firing:
			r.Over = time.Time{}
		case r.Over.IsZero():
			r.Over = now
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.Incidents)) {
		r := l.Incidents[id]
		if listed[id] {
			continue
		}
		if r.Gone.IsZero() {
			r.Gone = now
		}
		if now.Sub(r.Gone) < goneFor {
			continue
		}
		in := r.Incident
		if r.Over.IsZero() {
			r.Over = now
		}
		if in.State == Firing {
			in.State, in.Until = Resolved, in.Since
			for _, m := range in.Alerts {
				in.Until = latest(in.Until, m.Last)
			}
		}
		in.Text = "It is taken back: rows that came late, or another rule, took away what it rested on."
		incidents = append(incidents, in)
	}
	return incidents
}

// remembered is the incident without its text, and with the first of its alerts: enough to know it again, so that a ledger of wide
// models stays small.
func (i *Incident) remembered() Incident {
	out := *i
	out.Text, out.Advice = "", nil
	out.Columns, out.Alerts = out.Columns[:min(len(out.Columns), maxRemembered)], out.Alerts[:min(len(out.Alerts), maxRemembered)]
	return out
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Concerns says whether somebody may have to be told of an incident that Adopt gave, whatever its harm: it has fired for longer than
// wait, in which what belongs to it gathers, or it is over and somebody still takes it for firing.
func (l *Ledger) Concerns(now time.Time, in *Incident, wait time.Duration) bool {
	r := l.Incidents[in.ID]
	switch {
	case r == nil:
		return false
	case in.State == Firing:
		return in.Muted == "" && now.Sub(r.Seen) >= wait
	}
	return r.firing()
}

// firing says whether somebody takes it for firing.
func (r *record) firing() bool {
	for _, t := range r.Told {
		if t.State == Firing {
			return true
		}
	}
	return false
}

// Due are the messages that are to be sent now, in the order of the incidents, which Adopt gave. Of an incident that was over before
// anybody heard of it nobody is told; the end of what was told is told all the same when it is muted. Who was told hears again when
// it begins to hurt.
func (l *Ledger) Due(now time.Time, incidents []Incident, receivers []Receiver, wait time.Duration) []Delivery {
	var due []Delivery
	for i := range incidents {
		in := &incidents[i]
		if !l.Concerns(now, in, wait) {
			continue
		}
		r := l.Incidents[in.ID]
		for k := range receivers {
			to := &receivers[k]
			known := r.Told[to.Name]
			news := known.State != in.State || in.State == Firing && in.Harm == worst && known.Harm != worst
			switch {
			case now.Before(known.Next), known.State != Firing && (in.State == Resolved || !to.wants(in)):
				continue
			case !news && (in.State != Firing || to.repeat() <= 0 || now.Sub(known.At) < to.repeat()):
				continue
			}
			due = append(due, Delivery{ID: deliveryID(to.Name, in, r.Seen, known.At), Receiver: to.Name, Incident: *in, Again: !news, hurt: known.Harm == worst})
		}
	}
	return due
}

// deliveryID is the same for every attempt to tell the same.
func deliveryID(receiver string, in *Incident, seen, told time.Time) string {
	h := sha256.New()
	for _, part := range []string{receiver, in.ID, string(in.State), seen.UTC().Format(time.RFC3339Nano), told.UTC().Format(time.RFC3339Nano)} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// First and longest wait after a failure.
const (
	firstWait = 5 * time.Second
	lastWait  = 15 * time.Minute
)

// Result is what came of a delivery.
type Result struct {
	Failed bool
	After  time.Duration // the receiver asks not to be tried again before
}

// Sent takes the result of a delivery. After a failure it is due again later, ever more rarely; chance, in [0,1), spreads receivers that
// failed together.
func (l *Ledger) Sent(d Delivery, now time.Time, result Result, chance float64) {
	r := l.Incidents[d.Incident.ID]
	if r == nil { // another server has led meanwhile
		r = &record{Incident: d.Incident.remembered(), Seen: now}
		if l.Incidents == nil {
			l.Incidents = map[string]*record{}
		}
		l.Incidents[d.Incident.ID] = r
	}
	if r.Told == nil {
		r.Told = map[string]told{}
	}
	t := r.Told[d.Receiver]
	if result.Failed {
		wait := math.Min(float64(lastWait), float64(firstWait)*math.Pow(2, float64(min(t.Tries, 20))))
		wait = math.Max(wait*(0.75+0.5*chance), math.Min(float64(lastWait), float64(result.After)))
		t.Tries++
		t.Next = now.Add(time.Duration(wait))
	} else {
		harm := d.Incident.Harm
		if d.Incident.State == Firing && t.State == Firing && t.Harm == worst {
			harm = worst
		}
		t = told{State: d.Incident.State, Harm: harm, At: now}
		r.Incident.Harm, r.Incident.Title, r.Incident.Link = d.Incident.Harm, d.Incident.Title, d.Incident.Link
	}
	r.Told[d.Receiver] = t
}

// Forget drops what there is nothing to say of any more, and counts what could not be told to receivers in the whole of keepFor.
func (l *Ledger) Forget(now time.Time, receivers []Receiver) (lost int) {
	drop := func(id string) {
		for _, to := range receivers {
			if l.Incidents[id].Told[to.Name].State == Firing {
				lost++
			}
		}
		delete(l.Incidents, id)
	}
	var over []string
	for id, r := range l.Incidents {
		switch {
		case !r.Over.IsZero() && (now.Sub(r.Over) >= keepFor || len(r.Told) == 0), len(r.Told) == 0 && !r.Gone.IsZero() && now.Sub(r.Gone) >= goneFor:
			drop(id)
		case !r.Over.IsZero():
			over = append(over, id)
		}
	}
	slices.SortFunc(over, func(a, b string) int {
		return cmp.Or(l.Incidents[a].Over.Compare(l.Incidents[b].Over), cmp.Compare(a, b))
	})
	for _, id := range over {
		if len(l.Incidents) > maxRecords {
			drop(id)
		}
	}
	return lost
}
