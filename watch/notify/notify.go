// Package notify decides who is told of which incident, and when again after a failure. It keeps no queue: a Ledger remembers what
// each receiver has been told, and whoever calls Due hears what is missing. So a restart loses nothing, the same is not told twice, and
// what was resolved while a receiver was out of reach is told as what it is. It is pure: time and chance are arguments.
package notify

import (
	"cmp"
	"maps"
	"math"
	"path"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// State of an incident.
type State string

// States.
const (
	Firing   State = "firing"
	Resolved State = "resolved"
)

// Incident is alerts of one deployment that began together.
type Incident struct {
	ID         string    `json:"id"` // of its first alert
	Deployment string    `json:"deployment"`
	State      State     `json:"state"`
	Harm       string    `json:"harm"` // hurts, moves, unknown, quiet
	Title      string    `json:"title"`
	Text       string    `json:"text"`
	Advice     []string  `json:"advice,omitempty"`
	Columns    []string  `json:"columns"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until,omitzero"` // event time
	Link       string    `json:"link,omitempty"`
	Muted      string    `json:"-"` // why nobody is to be told: acknowledged, silenced; "": somebody is
}

// harms are ordered by what they do.
var harms = []string{"quiet", "unknown", "moves", "hurts"}

// Receiver is somebody who is told.
type Receiver struct {
	Name        string        `yaml:"name"`
	Type        string        `yaml:"type"`        // webhook, slack, email, alertmanager
	URL         string        `yaml:"url"`         // of all but email; smtp://host:port of email
	Secret      string        `yaml:"secret"`      // webhook: key of the signature; email: password; ${NAME} is taken from the environment
	User        string        `yaml:"user"`        // email
	From        string        `yaml:"from"`        // email
	To          []string      `yaml:"to"`          // email
	Deployments []string      `yaml:"deployments"` // patterns; none: all
	MinHarm     string        `yaml:"min_harm"`    // quiet, unknown, moves, hurts; "": all
	Repeat      time.Duration `yaml:"repeat"`      // tell again while it fires; 0: not (alertmanager: 3m)
}

// wants says whether a receiver is to be told of an incident at all.
func (r *Receiver) wants(i *Incident) bool {
	if r.MinHarm != "" && slices.Index(harms, i.Harm) < slices.Index(harms, r.MinHarm) {
		return false
	}
	return len(r.Deployments) == 0 || slices.ContainsFunc(r.Deployments, func(pattern string) bool {
		ok, err := path.Match(pattern, i.Deployment)
		return ok && err == nil
	})
}

// Check says what is wrong with receivers; the error is CodeInvalid.
func Check(receivers []Receiver) error {
	names := map[string]bool{}
	for n, r := range receivers {
		fail := func(hint, format string, args ...any) error {
			return fairlead.Invalid("notify: receiver %s: "+format, append([]any{cmp.Or(r.Name, "number "+string(rune('1'+n)))}, args...)...).Hintf("%s", hint)
		}
		switch {
		case r.Name == "" || names[r.Name]:
			return fail("each needs a name of its own", "it has no name, or another one's")
		case r.MinHarm != "" && !slices.Contains(harms, r.MinHarm):
			return fail("quiet, unknown, moves or hurts", "min_harm %q is not known", r.MinHarm)
		case !slices.Contains([]string{"webhook", "slack", "email", "alertmanager"}, r.Type):
			return fail("webhook, slack, email or alertmanager", "type %q is not known", r.Type)
		case r.URL == "":
			return fail("for example https://hooks.example.com/x, or smtp://mail.example.com:587", "it has no url")
		case r.Type == "email" && (r.From == "" || len(r.To) == 0):
			return fail("from: fairlead@example.com, to: [oncall@example.com]", "an e-mail needs from and to")
		case r.Repeat < 0:
			return fail("for example 4h", "repeat is negative")
		}
		for _, p := range r.Deployments {
			if _, err := path.Match(p, ""); err != nil {
				return fail("* stands for any text, as in shop-*", "pattern %q is broken", p)
			}
		}
		names[r.Name] = true
	}
	return nil
}

// told is what a receiver knows of an incident.
type told struct {
	State State     `json:"state,omitempty"` // "": nothing yet
	At    time.Time `json:"at,omitzero"`
	Tries int       `json:"tries,omitempty"` // in vain, since
	Next  time.Time `json:"next,omitzero"`
}

// Ledger is what everybody has been told. It is JSON-serialisable; the zero value is an empty one.
type Ledger struct {
	Told map[string]map[string]told `json:"told,omitempty"` // by incident, then receiver
}

// Delivery is one message to one receiver.
type Delivery struct {
	Receiver string
	Incident Incident
	Again    bool // it was told before and still fires
}

// Due are the messages that are to be sent now, in the order of the incidents. An incident that was over before anybody heard of it
// is not news.
func (l *Ledger) Due(now time.Time, incidents []Incident, receivers []Receiver) []Delivery {
	var due []Delivery
	for i := range incidents {
		in := &incidents[i]
		for r := range receivers {
			to := &receivers[r]
			known := l.Told[in.ID][to.Name]
			news := known.State != in.State
			switch {
			case !to.wants(in) || now.Before(known.Next):
				continue
			case in.Muted != "" && in.State == Firing: // the end of what was told is told all the same
				continue
			case known.State == "" && in.State == Resolved:
				continue
			case !news && !(in.State == Firing && to.Repeat > 0 && now.Sub(known.At) >= to.Repeat):
				continue
			}
			due = append(due, Delivery{to.Name, *in, !news})
		}
	}
	return due
}

// First and longest wait after a failure.
const (
	firstWait = 5 * time.Second
	lastWait  = 15 * time.Minute
)

// Sent takes the result of a delivery. After a failure it is due again later, ever more rarely; chance, in [0,1), spreads receivers that
// failed together.
func (l *Ledger) Sent(d Delivery, now time.Time, failed bool, chance float64) {
	if l.Told == nil {
		l.Told = map[string]map[string]told{}
	}
	if l.Told[d.Incident.ID] == nil {
		l.Told[d.Incident.ID] = map[string]told{}
	}
	t := l.Told[d.Incident.ID][d.Receiver]
	if failed {
		wait := math.Min(float64(lastWait), float64(firstWait)*math.Pow(2, float64(min(t.Tries, 20))))
		t.Tries++
		t.Next = now.Add(time.Duration(wait * (0.75 + 0.5*chance)))
	} else {
		t = told{State: d.Incident.State, At: now}
	}
	l.Told[d.Incident.ID][d.Receiver] = t
}

// Forget drops incidents that are not listed any more.
func (l *Ledger) Forget(incidents []Incident) {
	listed := map[string]bool{}
	for _, i := range incidents {
		listed[i.ID] = true
	}
	maps.DeleteFunc(l.Told, func(id string, _ map[string]told) bool { return !listed[id] })
}
