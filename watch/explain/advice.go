package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairlead-ml/fairlead/watch/shape"
)

// advise says what to do, the most useful first.
func advise(in Input, e Explanation) []string {
	advice := []string{}
	add := func(format string, args ...any) { advice = append(advice, fmt.Sprintf(format, args...)) }
	for _, c := range e.Changes {
		if strings.HasPrefix(c.Text, "version ") {
			add("%s at that time: compare the two, and roll back if the new one is the cause", c.Text)
		} else {
			add("%s at that time: ask whether it is the cause", c.Text)
		}
	}
	for _, s := range e.Shares {
		switch {
		case s.Label == "null" || s.Label == "NaN" || s.Label == "nan" || s.Label == "missing":
			if s.Now > s.Before {
				add("%s of the values are missing now: look at what feeds %s before at the model", percent(s.Now), in.Column)
			}
		case s.Label == "unseen":
			add("%s of the rows have values of %s that the reference never had: a new category, another spelling or another unit", percent(s.Now), in.Column)
		case s.Now > 0.95 && s.Before < 0.5:
			add("nearly all rows have one value of %s (%s): it may be frozen", in.Column, s.Label)
		}
	}
	output := slices.ContainsFunc(in.Columns, func(c Column) bool { return c.Name == in.Column && c.Output })
	if c := in.Carried; c != nil {
		for k, x := range c.Carriers {
			switch {
			case !x.Values:
				add("%s: %s of the rows now, %s before: ask whether there are to be so many; %s follows", x.Label, percent(x.Rows), percent(x.RowsBefore), in.Column)
			case k == 0 && output:
				add("look first at the rows with %s", x.Label)
			case k == 0:
				add("look first at what feeds %s of %s", in.Column, x.Label)
			}
		}
	}
	if m := in.Impact; m != nil && m.Fault != nil && m.Fault.Low > leastShare {
		add("if the new values of %s are false, they cost %s of accuracy: mend the source before you retrain", in.Column, percent(m.Fault.Value))
	}
	if len(e.Related) >= 3 {
		add("%d other columns moved at the same time: look for what they have in common, a source or a join", len(e.Related))
	}
	switch e.Harm {
	case Hurts:
		add("the model does worse since: label rows of these windows and retrain on them, or roll back to what does better")
	case Moves:
		add("predictions moved: label some rows of these windows to see whether they got worse")
	case Quiet:
		add("nothing that people see has changed so far: no hurry")
	}
	switch e.Shape.Kind {
	case shape.Periodic:
		add("it comes and goes every %d windows: take a reference that knows the season", e.Shape.Period)
	case shape.Temporary:
		add("it is over: nothing to retrain on, but keep the rows out of the next training set if they were a fault")
	case shape.Gradual:
		add("it grows slowly: plan a retraining rather than a rollback")
	}
	return advice
}
