package flights

import (
	"testing"
	"time"
)

func TestFaults(t *testing.T) {
	flight := func(when, origin string) Flight {
		d, err := time.Parse("2006-01-02 15:04", when)
		if err != nil {
			t.Fatal(err)
		}
		return Flight{Minute: minuteOf(d), Distance: 733, Departures: 12, Origin: origin, Destination: "ATL"}
	}
	for _, c := range []struct {
		incident   Incident
		when       string
		origin     string
		distance   int
		departures int
		gone       bool
	}{
		{IncidentUnit, "2001-03-07 23:59", "LAX", 733, 12, false},
		{IncidentUnit, "2001-03-08 00:00", "LAX", 1180, 12, false},
		{IncidentUnit, "2001-03-10 23:59", "LAX", 1180, 12, false},
		{IncidentUnit, "2001-03-11 00:00", "LAX", 733, 12, false},
		{IncidentAirport, "2001-03-19 23:59", "ATL", 733, 12, false},
		{IncidentAirport, "2001-03-20 00:00", "ATL", 733, 12, true},
		{IncidentAirport, "2001-03-21 23:59", "ATL", 733, 12, true},
		{IncidentAirport, "2001-03-21 23:59", "LAX", 733, 12, false},
		{IncidentAirport, "2001-03-22 00:00", "ATL", 733, 12, false},
		{IncidentFrozen, "2001-03-28 23:59", "LAX", 733, 12, false},
		{IncidentFrozen, "2001-03-29 00:00", "LAX", 733, 60, false},
		{IncidentFrozen, "2001-03-31 23:59", "LAX", 733, 60, false},
		{IncidentFrozen, "2001-04-01 00:00", "LAX", 733, 12, false},
		{IncidentNone, "2001-03-08 12:00", "LAX", 733, 12, false},
		{IncidentNone, "2001-03-20 12:00", "ATL", 733, 12, false},
		{IncidentAll, "2001-03-08 12:00", "ATL", 1180, 12, false},
		{IncidentAll, "2001-03-20 12:00", "ATL", 733, 12, true},
		{IncidentAll, "2001-03-29 12:00", "ATL", 733, 60, false},
	} {
		f := flight(c.when, c.origin)
		gone := !plant(c.incident.Faults(), &f)
		if gone != c.gone || f.Distance != c.distance || f.Departures != c.departures {
			t.Errorf("%s at %s from %s: distance %d, departures %d, gone %v", c.incident, c.when, c.origin, f.Distance, f.Departures, gone)
		}
	}
}

func TestAnnotations(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range IncidentAll.Faults() {
		a := f.Annotation()
		if a.Kind != "planted" || a.ID == "" || seen[a.ID] || a.Title == "" || len(a.Title) > 120 || a.Text == "" || !a.Start.Before(a.End) {
			t.Errorf("annotation %+v", a)
		}
		seen[a.ID] = true
		if a.Start.Before(Start) || a.End.After(End) {
			t.Errorf("%s lies outside the replay", a.ID)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d faults", len(seen))
	}
}

func TestParseIncident(t *testing.T) {
	for _, s := range []string{"none", "unit", "airport", "frozen", "all"} {
		if i, err := ParseIncident(s); err != nil || string(i) != s {
			t.Errorf("%q: %q, %v", s, i, err)
		}
	}
	if i, err := ParseIncident(""); err != nil || i != IncidentNone {
		t.Errorf("empty: %q, %v", i, err)
	}
	if _, err := ParseIncident("fire"); err == nil {
		t.Error("fire is taken for an incident")
	}
}
