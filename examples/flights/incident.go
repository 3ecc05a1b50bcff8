package flights

import (
	"math"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

// Incident names the faults that a replay plants in the stream.
type Incident string

// Incidents.
const (
	IncidentNone    Incident = "none"
	IncidentUnit    Incident = "unit"    // distance in kilometres
	IncidentAirport Incident = "airport" // the flights from one airport are missing
	IncidentFrozen  Incident = "frozen"  // a feature keeps one value
	IncidentAll     Incident = "all"
)

// ParseIncident reads an incident's name; the empty string is none.
func ParseIncident(s string) (Incident, error) {
	switch i := Incident(s); i {
	case "":
		return IncidentNone, nil
	case IncidentNone, IncidentUnit, IncidentAirport, IncidentFrozen, IncidentAll:
		return i, nil
	}
	return "", fairlead.Invalid("incident %q is not known", s).Hintf("use none, unit, airport, frozen or all")
}

// Fault is something that went wrong upstream over a span of event time.
type Fault struct {
	Incident Incident
	Title    string
	Text     string
	Start    time.Time
	End      time.Time // exclusive

	apply func(f *Flight) bool
}

const (
	missingAirport   = "ATL"
	frozenDepartures = 60
	kmPerMile        = 1.609344
)

// faults are planted where people see them soon: one a week in March, the stream healthy between them.
var faults = []Fault{
	{
		Incident: IncidentUnit,
		Title:    "distance in kilometres",
		Text: "From 8 to 10 March the upstream feed sends distance in kilometres instead of miles: every value is multiplied by " +
			"1.609344 and rounded. Nothing else is changed.",
		Start: time.Date(2001, 3, 8, 0, 0, 0, 0, time.UTC),
		End:   time.Date(2001, 3, 11, 0, 0, 0, 0, time.UTC),
		apply: func(f *Flight) bool {
			f.Distance = int(math.Round(float64(f.Distance) * kmPerMile))
			return true
		},
	},
	{
		Incident: IncidentAirport,
		Title:    "no flights from ATL",
		Text: "On 20 and 21 March the flights that leave Atlanta (ATL, about one in twenty-five) never reach the model: no prediction " +
			"is asked for them and no label comes. All other flights are unchanged.",
		Start: time.Date(2001, 3, 20, 0, 0, 0, 0, time.UTC),
		End:   time.Date(2001, 3, 22, 0, 0, 0, 0, time.UTC),
		apply: func(f *Flight) bool { return f.Origin != missingAirport },
	},
	{
		Incident: IncidentFrozen,
		Title:    "departures stuck at 60",
		Text: "From 29 to 31 March the counter behind the feature departures hangs: every flight is sent with 60, whatever the " +
			"number of departures from its origin in the last hour. Nothing else is changed.",
		Start: time.Date(2001, 3, 29, 0, 0, 0, 0, time.UTC),
		End:   time.Date(2001, 4, 1, 0, 0, 0, 0, time.UTC),
		apply: func(f *Flight) bool {
			f.Departures = frozenDepartures
			return true
		},
	},
}

// Faults lists what i plants, in order of time.
func (i Incident) Faults() []Fault {
	if i == IncidentAll {
		return slices.Clone(faults)
	}
	return slices.DeleteFunc(slices.Clone(faults), func(f Fault) bool { return f.Incident != i })
}

// Apply changes f if it leaves while the fault lasts, and says whether it reaches the model at all.
func (p *Fault) Apply(f *Flight) bool {
	if t := at(f.Minute); t.Before(p.Start) || !t.Before(p.End) {
		return true
	}
	return p.apply(f)
}

// Annotation marks the fault's span. Its id is fixed: sending it again changes nothing.
func (p *Fault) Annotation() api.Annotation {
	return api.Annotation{
		ID: "planted-" + string(p.Incident), Kind: "planted", Title: p.Title, Text: p.Text, Start: p.Start, End: p.End,
	}
}

// plant applies all faults to f and says whether it reaches the model.
func plant(faults []Fault, f *Flight) bool {
	for i := range faults {
		if !faults[i].Apply(f) {
			return false
		}
	}
	return true
}
