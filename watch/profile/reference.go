package profile

import (
	"fmt"
	"time"
)

// Reference is what live windows of a model version are compared with: frozen bins and the counts of the reference
// data, in total and by hour of the week. It is not changed after Learn or ParseReference.
type Reference struct {
	Layout   *Layout
	Total    *Counts
	Phases   []*Counts // nil, or one per hour of the week from Monday 00h UTC; nil where the reference has no rows
	Rows     int
	From, To time.Time // of the event times; zero without a time column
	Skipped  []string  // fields of the model that the reference data lacks
	Truth    *Truth    // nil: the reference has no labels of a binary task
}

// For gives the counts that a window [start, end) of event time is compared with, and its description.
//
// A window of whole UTC hours shorter than a week is compared with the same hours of the week, "same phase: Mon 14h",
// "same phase: Mon" (a day) or "same phase: Mon 14h to Mon 20h". Columns that follow the clock, such as the hour
// itself, would otherwise look drifted in every window. A phase with few rows is still the right one: its own row
// count raises the noise floor, while the whole reference would make those columns drift again. If the reference has
// no phases, or no rows in these hours, it is the whole reference, "all". The counts must not be changed.
func (r *Reference) For(start, end time.Time) (*Counts, string) {
	start, end = start.UTC(), end.UTC()
	hours := int(end.Sub(start) / time.Hour)
	whole := start.Equal(start.Truncate(time.Hour)) && end.Equal(end.Truncate(time.Hour))
	if r.Phases == nil || !whole || hours < 1 || hours >= hoursOfWeek {
		return r.Total, "all"
	}
	first := hourOfWeek(start)
	if hours == 1 {
		if c := r.Phases[first]; c != nil {
			return c, describe(start, end, hours)
		}
		return r.Total, "all"
	}
	sum := NewCounts(r.Layout)
	for h := first; h < first+hours; h++ {
		if c := r.Phases[h%hoursOfWeek]; c != nil {
			if err := sum.Merge(c); err != nil { // cannot be: one layout
				return r.Total, "all"
			}
		}
	}
	if sum.N == 0 {
		return r.Total, "all"
	}
	return sum, describe(start, end, hours)
}

func describe(start, end time.Time, hours int) string {
	hour := func(t time.Time) string { return fmt.Sprintf("%s %02dh", t.Format("Mon"), t.Hour()) }
	switch {
	case hours == 1:
		return "same phase: " + hour(start)
	case hours == 24 && start.Hour() == 0:
		return "same phase: " + start.Format("Mon")
	}
	return "same phase: " + hour(start) + " to " + hour(end)
}
