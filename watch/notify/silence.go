package notify

import (
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Silence keeps alerts from being told: until a time, or in a part of each week. Its times are those of the clock.
type Silence struct {
	ID         string    `json:"id"`
	Deployment string    `json:"deployment"` // a pattern
	Column     string    `json:"column"`     // a pattern
	From       time.Time `json:"from"`
	Until      time.Time `json:"until,omitzero"`
	Weekly     string    `json:"weekly,omitempty"` // "sat 22:00 - sun 06:00"
	Zone       string    `json:"zone,omitempty"`   // whose clock Weekly goes by; "": UTC
	Reason     string    `json:"reason"`
	By         string    `json:"by"`
	Created    time.Time `json:"created"`
	EndedBy    string    `json:"ended_by,omitempty"`
}

// Check says what is wrong with a new silence; the error is CodeInvalid.
func (s *Silence) Check(now time.Time) error {
	switch {
	case s.Deployment == "" || s.Column == "":
		return fairlead.Invalid("a silence needs a deployment and a column").Hintf("* stands for any")
	case strings.TrimSpace(s.Reason) == "":
		return fairlead.Invalid("a silence needs a reason").Hintf("whoever wonders later why nobody was told reads it")
	case s.Until.IsZero() && s.Weekly == "":
		return fairlead.Invalid("a silence needs an end").Hintf("only a weekly one may go on until it is removed")
	case !s.Until.IsZero() && !s.Until.After(now):
		return fairlead.Invalid("the silence is over: until is %s", minute(s.Until)).Hintf("it is %s now, times are those of the clock", minute(now))
	case !s.Until.IsZero() && !s.Until.After(s.From):
		return fairlead.Invalid("the silence ends (%s) before it begins (%s)", minute(s.Until), minute(s.From))
	case s.Zone != "" && s.Weekly == "":
		return fairlead.Invalid("a zone goes with weekly silences").Hintf("from and until have zones of their own")
	}
	if s.Weekly != "" {
		_, _, err := week(s.Weekly)
		return err
	}
	return nil
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// Covers says whether it is about a column of a deployment, at whatever time.
func (s *Silence) Covers(deployment, column string) bool {
	return Match(s.Deployment, deployment) && Match(s.Column, column)
}

// State at a time: active, waiting or ended. zone is that of Zone, nil for UTC.
func (s *Silence) State(now time.Time, zone *time.Location) string {
	switch {
	case !s.Until.IsZero() && !now.Before(s.Until):
		return "ended"
	case now.Before(s.From):
		return "waiting"
	case s.Weekly == "":
		return "active"
	}
	from, to, err := week(s.Weekly)
	if err != nil {
		return "waiting" // Check refused it
	}
	if zone == nil {
		zone = time.UTC
	}
	t := now.In(zone)
	at := minuteOfWeek(int(t.Weekday()), t.Hour(), t.Minute())
	if from < to && from <= at && at < to || from >= to && (at >= from || at < to) {
		return "active"
	}
	return "waiting"
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func minuteOfWeek(day, hour, minute int) int { return (day*24+hour)*60 + minute }

// week reads "sat 22:00 - sun 06:00" as minutes since Sunday 00:00.
func week(text string) (from, to int, err error) {
	a, b, ok := strings.Cut(text, "-")
	from, ok1 := momentOfWeek(a)
	to, ok2 := momentOfWeek(b)
	if !ok || !ok1 || !ok2 || from == to {
		return 0, 0, fairlead.Invalid("%q is no part of a week", text).Hintf("for example sat 22:00 - sun 06:00")
	}
	return from, to, nil
}

func momentOfWeek(text string) (int, bool) {
	parts := strings.Fields(strings.ToLower(text))
	if len(parts) != 2 {
		return 0, false
	}
	day := slices.Index(weekdays, parts[0])
	clock, err := time.Parse("15:04", parts[1])
	return minuteOfWeek(day, clock.Hour(), clock.Minute()), day >= 0 && err == nil
}

// Ack says that somebody takes care of an incident.
type Ack struct {
	Incident string    `json:"incident"`
	Alerts   []Member  `json:"alerts"` // of it, then
	By       string    `json:"by"`
	Note     string    `json:"note,omitempty"`
	At       time.Time `json:"at"` // by the clock
}

// Acked is the latest of acks that is about these alerts, nil if there is none.
func Acked(acks []Ack, alerts []Member) *Ack {
	for i := len(acks) - 1; i >= 0; i-- {
		if same(acks[i].Alerts, alerts) {
			return &acks[i]
		}
	}
	return nil
}

// Mute says why nobody is to be told of an incident that fires: it is acknowledged, or silences cover every column of it that drifts.
// Columns that are covered beside others are left out of what is told.
func (i *Incident) Mute(acks []Ack, silenced func(column string) *Silence) {
	if i.State != Firing {
		return
	}
	if a := Acked(acks, i.Alerts); a != nil {
		i.Muted = "acknowledged by " + a.By
		return
	}
	loud, covered := false, map[string]bool{}
	var by *Silence
	for _, m := range i.Alerts {
		if s := silenced(m.Column); s != nil {
			covered[m.Column] = true
			if m.Firing {
				by = s
			}
			continue
		}
		loud = loud || m.Firing
	}
	switch {
	case !loud && by != nil:
		i.Muted = "silenced by " + by.By + ": " + by.Reason
	case loud && len(covered) > 0:
		i.Columns = slices.DeleteFunc(slices.Clone(i.Columns), func(c string) bool { return covered[c] })
	}
}
