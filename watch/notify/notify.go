// Package notify decides who is told of which incident, and when again after a failure. It keeps no queue: a Ledger remembers what
// each receiver has been told, and whoever calls Due hears what is missing. So a restart loses nothing, the same is not told twice, and
// what was resolved while a receiver was out of reach is told as what it is. It is pure: time and chance are arguments.
package notify

import (
	"slices"
	"time"
)

// State of an incident.
type State string

// States.
const (
	Firing   State = "firing"
	Resolved State = "resolved"
)

// Member is one alert of an incident. Times are event time.
type Member struct {
	ID     string    `json:"id"`
	Column string    `json:"column"`
	Onset  time.Time `json:"onset"`
	Last   time.Time `json:"last"` // start of the last drifted window
	Firing bool      `json:"firing"`
}

// Incident is alerts of one deployment that began together.
type Incident struct {
	ID         string    `json:"id"` // of its first alert when somebody was first told of it
	Deployment string    `json:"deployment"`
	State      State     `json:"state"`
	Harm       string    `json:"harm"` // hurts, moves, unknown, quiet
	Title      string    `json:"title"`
	Text       string    `json:"text"`
	Advice     []string  `json:"advice,omitempty"`
	Columns    []string  `json:"columns"`
	Alerts     []Member  `json:"alerts"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until,omitzero"` // event time
	Link       string    `json:"link,omitempty"`
	Muted      string    `json:"-"` // why nobody is to be told: acknowledged, silenced; "": somebody is
}

// same says whether two lists of alerts are of one incident: they share an alert, or one of a column at the same time. Late rows move
// an onset, and with it the alert's id.
func same(a, b []Member) bool {
	return shares(a, b) || slices.ContainsFunc(a, func(x Member) bool {
		return slices.ContainsFunc(b, func(y Member) bool {
			return x.Column == y.Column && overlap(x, y)
		})
	})
}

func overlap(x, y Member) bool { return !x.Onset.After(y.Last) && !y.Onset.After(x.Last) }

func shares(a, b []Member) bool {
	return slices.ContainsFunc(a, func(x Member) bool {
		return slices.ContainsFunc(b, func(y Member) bool { return x.ID == y.ID })
	})
}

// harms are ordered by what they do.
var harms = []string{"quiet", "unknown", "moves", "hurts"}

// worst is the harm that receivers hear of even when they were told already.
const worst = "hurts"

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
	return len(r.Deployments) == 0 || slices.ContainsFunc(r.Deployments, func(pattern string) bool { return Match(pattern, i.Deployment) })
}

// repeat is how often it is told again.
func (r *Receiver) repeat() time.Duration {
	if r.Repeat == 0 && r.Type == "alertmanager" {
		return alertmanagerRepeat
	}
	return r.Repeat
}

// alertmanagerRepeat is shorter than the five minutes after which an Alertmanager takes for resolved what it does not hear of.
const alertmanagerRepeat = 3 * time.Minute

// Match says whether a text fits a pattern: * stands for any text, ? for one character.
func Match(pattern, text string) bool {
	p, t := []rune(pattern), []rune(text)
	star, mark := -1, 0
	i, k := 0, 0
	for k < len(t) {
		switch {
		case i < len(p) && p[i] == '*':
			star, mark = i, k
			i++
		case i < len(p) && (p[i] == '?' || p[i] == t[k]):
			i, k = i+1, k+1
		case star >= 0: // the last * takes one more
			mark++
			i, k = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i] == '*' {
		i++
	}
	return i == len(p)
}

// Delivery is one message to one receiver.
type Delivery struct {
	ID       string // the same when it is sent again after a failure, so that a receiver may know it
	Receiver string
	Incident Incident
	Again    bool // it was told before and still fires
	Test     bool // somebody tries the receiver out
	hurt     bool // it was told that it hurts
}
