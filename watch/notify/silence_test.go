package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

func TestSilenceStates(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	once := Silence{Deployment: "*", Column: "*", From: noon, Until: noon.Add(time.Hour)}
	weekly := Silence{Deployment: "*", Column: "*", From: noon.AddDate(0, -1, 0), Weekly: "sat 22:00 - sun 06:00"}
	over := Silence{Deployment: "*", Column: "*", Weekly: "Fri 18:00-mon 08:00", Until: noon.AddDate(0, 1, 0)} // over the end of the week
	at := func(text string) time.Time {
		x, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, x := range []struct {
		s    Silence
		at   string
		zone *time.Location
		want string
	}{
		{once, "2026-03-05 11:59", nil, "waiting"}, {once, "2026-03-05 12:00", nil, "active"}, {once, "2026-03-05 13:00", nil, "ended"},
		{weekly, "2026-03-07 21:59", nil, "waiting"}, {weekly, "2026-03-07 22:00", nil, "active"}, {weekly, "2026-03-08 05:59", nil, "active"}, {weekly, "2026-03-08 06:00", nil, "waiting"},
		{weekly, "2026-03-07 21:00", berlin, "active"},                                                  // 22:00 there
		{weekly, "2026-03-29 04:00", berlin, "waiting"}, {weekly, "2026-03-29 03:59", berlin, "active"}, // summer time began that night
		{over, "2026-03-06 18:00", nil, "active"}, {over, "2026-03-08 00:00", nil, "active"}, {over, "2026-03-09 07:59", nil, "active"}, {over, "2026-03-09 08:00", nil, "waiting"},
		{over, "2026-05-09 08:00", nil, "ended"},
	} {
		if got := x.s.State(at(x.at), x.zone); got != x.want {
			t.Errorf("%s%s at %s: %s, want %s", x.s.Weekly, x.s.From, x.at, got, x.want)
		}
	}
}

func TestBadSilences(t *testing.T) {
	good := Silence{Deployment: "flights", Column: "*", From: noon, Until: noon.Add(time.Hour), Reason: "storm"}
	if err := good.Check(noon); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Silence){
		"needs a deployment and a column":  func(s *Silence) { s.Column = "" },
		"needs a reason":                   func(s *Silence) { s.Reason = " " },
		"needs an end":                     func(s *Silence) { s.Until = time.Time{} },
		"the silence is over":              func(s *Silence) { s.Until = noon },
		"before it begins":                 func(s *Silence) { s.From = noon.Add(2 * time.Hour) },
		"a zone goes with weekly":          func(s *Silence) { s.Zone = "Europe/Berlin" },
		`"sat 22:00" is no part of a week`: func(s *Silence) { s.Weekly = "sat 22:00" },
		`"someday 1:00 - sat 2:00" is no`:  func(s *Silence) { s.Weekly = "someday 1:00 - sat 2:00" },
		`"sat 25:00 - sun 2:00" is no`:     func(s *Silence) { s.Weekly = "sat 25:00 - sun 2:00" },
		`"sat 2:00 - sat 02:00" is no`:     func(s *Silence) { s.Weekly = "sat 2:00 - sat 02:00" },
	} {
		s := good
		change(&s)
		if err := s.Check(noon); fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestMute(t *testing.T) {
	storm := Silence{Deployment: "flights", Column: "dist*", By: "ann", Reason: "storm"}
	by := func(silences ...Silence) func(string) *Silence {
		return func(column string) *Silence {
			for i := range silences {
				if silences[i].Covers("flights", column) {
					return &silences[i]
				}
			}
			return nil
		}
	}
	in := incident(Firing)
	if in.Mute(nil, by()); in.Muted != "" || len(in.Columns) != 2 {
		t.Errorf("nobody silenced it: %q", in.Muted)
	}
	if in.Mute(nil, by(storm)); in.Muted != "" || strings.Join(in.Columns, " ") != "probability" {
		t.Errorf("one of two columns is silenced: %q %v", in.Muted, in.Columns)
	}
	other := storm
	other.Column = "*"
	if in = incident(Firing); true {
		in.Mute(nil, by(other))
	}
	if in.Muted != "silenced by ann: storm" {
		t.Errorf("all is silenced: %q", in.Muted)
	}
	in = incident(Firing)
	in.Alerts[1].Firing = false // and only what is silenced still fires
	if in.Mute(nil, by(storm)); in.Muted == "" {
		t.Error("what fires is silenced")
	}
	moved := incident(Firing) // late rows moved the onset, and so the id
	moved.Alerts = []Member{{ID: "x", Column: "distance", Onset: noon.Add(-9 * time.Hour), Last: noon, Firing: true}}
	later := incident(Firing)
	later.Alerts = []Member{{ID: "y", Column: "distance", Onset: noon.Add(9 * time.Hour), Last: noon.Add(10 * time.Hour), Firing: true}}
	acks := []Ack{{Alerts: incident(Firing).Alerts, By: "bob"}}
	if moved.Mute(acks, by()); moved.Muted != "acknowledged by bob" {
		t.Errorf("the incident is the same: %q", moved.Muted)
	}
	if later.Mute(acks, by()); later.Muted != "" {
		t.Errorf("the incident is another one: %q", later.Muted)
	}
}
