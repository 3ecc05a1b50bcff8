package rollout

import (
	"strings"
	"time"
)

// frozen is the freeze window that now lies in, nil if none.
func (m *machine) frozen() *Freeze {
	for i := range m.p.Freeze {
		if m.p.Freeze[i].Holds(m.o.Now, m.o.Zone) {
			return &m.p.Freeze[i]
		}
	}
	return nil
}

// Holds says whether t lies in the window: From ≤ t < To, or the weekly range by the clock of zone (UTC if nil).
func (f Freeze) Holds(t time.Time, zone *time.Location) bool {
	if f.Weekly == "" {
		return !t.Before(f.From) && t.Before(f.To)
	}
	from, to, err := parseWeekly(f.Weekly)
	if err != nil {
		return false // Parse refused it
	}
	if zone == nil {
		zone = time.UTC
	}
	t = t.In(zone)
	minute := (int(t.Weekday())+6)%7*24*60 + t.Hour()*60 + t.Minute()
	if from < to {
		return from <= minute && minute < to
	}
	return minute >= from || minute < to
}

// text says which window it is: "from fri 16:00 to mon 08:00 (weekend)".
func (f Freeze) text() string {
	var s string
	if f.Weekly != "" {
		from, to, _ := strings.Cut(f.Weekly, "-")
		s = "from " + strings.TrimSpace(from) + " to " + strings.TrimSpace(to)
	} else {
		s = "until " + f.To.Format("2006-01-02 15:04 MST")
	}
	if f.Why != "" {
		s += " (" + f.Why + ")"
	}
	return s
}
