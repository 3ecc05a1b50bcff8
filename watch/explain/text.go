package explain

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/shape"
)

// sentence is the explanation in a few words.
func sentence(in Input, e Explanation) string {
	text := fmt.Sprintf("%s has drifted", in.Column)
	if e.Shape.Kind != shape.None {
		text += " (" + string(e.Shape.Kind)
		if e.Shape.Provisional {
			text += ", provisional"
		}
		text += ")"
	}
	text += " since " + moment(e.Since, in.Grain)
	if in.Over {
		text = fmt.Sprintf("%s drifted from %s to %s", in.Column, moment(e.Since, in.Grain), moment(e.Until, in.Grain))
	}
	if len(e.Shares) > 0 {
		s := e.Shares[0]
		text += fmt.Sprintf(": %s makes %s of the rows, %s before", s.Label, percent(s.Now), percent(s.Before))
	}
	text += "."
	if names := relatedNames(e.Related); names != "" {
		text += " With it: " + names + "."
	}
	if c := in.Carried; c != nil && len(c.Carriers) > 0 {
		text += " It is in " + c.Says() + "."
	}
	if m := in.Impact; m != nil && m.Reason == "" && m.Clear {
		says := m.Says()
		text += " " + strings.ToUpper(says[:1]) + says[1:] + "."
	}
	for _, f := range e.Effects {
		if f.Clear {
			text += fmt.Sprintf(" The %s went from %s to %s.", f.What, percent(f.Before), percent(f.Since))
		}
	}
	if e.Harm == Quiet && !slices.ContainsFunc(e.Effects, func(f Effect) bool { return f.Clear }) {
		text += " Neither predictions nor performance show it."
	}
	return text
}

func relatedNames(related []Related) string {
	text := ""
	for i, r := range related {
		if i == 3 {
			return text + fmt.Sprintf(" and %d more", len(related)-3)
		}
		if i > 0 {
			text += ", "
		}
		text += r.Column
		if r.Output {
			text += " (what the model says)"
		}
	}
	return text
}

func percent(x float64) string {
	if math.Abs(x) < 0.0005 && x != 0 {
		return "<0.1%"
	}
	return fmt.Sprintf("%.1f%%", 100*x)
}

// moment is the start of a window.
func moment(t time.Time, grain time.Duration) string {
	if grain >= 24*time.Hour {
		return t.UTC().Format("2 January 2006")
	}
	return t.UTC().Format("2 January 2006 15:04")
}

// Name of a deployment's alert, as people write it.
func Name(d fairlead.Name, column string) string { return string(d) + "/" + column }
