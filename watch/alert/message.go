package alert

import (
	"fmt"
	"math"
	"time"
)

// message says in a person's words what the alert says.
func (a *Alert) message() string {
	now := fmt.Sprintf("%s %s (threshold %s, noise %s) over %d rows",
		measureName(a.Measure), short(a.Value), short(a.Threshold), short(a.Floor), a.N)
	drifted := fmt.Sprintf("drifted since %s, at worst %s %s", minute(a.Onset), measureName(a.Measure), short(a.Worst))
	switch {
	case a.State == Resolved && a.Gone:
		return fmt.Sprintf("%s is no longer measured in the live version; it had %s", a.Column, drifted)
	case a.State == Resolved && a.Clean < a.Clear:
		return fmt.Sprintf("%s: the alert rule changed at %s; it had %s", a.Column, minute(a.Resolved), drifted)
	case a.State == Resolved:
		return fmt.Sprintf("%s is back to normal at %s: %s; it had %s", a.Column, minute(a.Resolved), now, drifted)
	case a.State == Pending:
		return fmt.Sprintf("%s may drift: %s since %s", a.Column, now, minute(a.Onset))
	case a.Gone:
		return fmt.Sprintf("%s %s; %d of %d windows without it", a.Column, drifted, a.Clean, a.Clear)
	case a.Clean > 0:
		return fmt.Sprintf("%s %s; now %s, %d of %d clean windows", a.Column, drifted, now, a.Clean, a.Clear)
	}
	return fmt.Sprintf("%s drifted: %s since %s", a.Column, now, minute(a.Onset))
}

func measureName(m string) string {
	if m == "psi" {
		return "PSI"
	}
	return m
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// short writes two significant digits: 0.031, 4.2, 137.
func short(x float64) string {
	if math.Abs(x) >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	if math.Abs(x) < 0.0005 {
		return "0"
	}
	return fmt.Sprintf("%.2g", x)
}
