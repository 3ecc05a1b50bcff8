package explain

import (
	"fmt"
	"math"
	"strings"

	"github.com/fairlead-ml/fairlead/watch/profile"
)

// Interval is a number with its bounds of 95 %.
type Interval struct{ Value, Low, High float64 }

// Carrier is a segment that holds much more of a change than of the rows.
type Carrier struct {
	Saved            int    // of the saved segments; -1: it was found
	Where            string // predicate; "": none can say it
	Label            string
	Part             Interval // of the change that its rows make
	Rows, RowsBefore float64  // shares
	N, NBefore       int
	Values           bool    // within it the column has other values; false: there are more or fewer of its rows
	Inside, Outside  float64 // PSI of the column, debiased; NaN: too few rows
	Shares           []Share // of the column within it
	Now, Before      []bool  // the rows in it

	facet   int     // by which it was found
	choices float64 // logarithm of how many it was chosen from, beyond those looked at
}

// Concentration says which rows a change is in.
type Concentration struct {
	Reason   string // why nothing can be said
	Even     bool   // no segment stands out
	Looked   int    // segments looked at
	Carriers []Carrier
}

const (
	mostCarriers = 3
	mostValues   = 8    // of a set of categories
	leastChange  = 0.02 // PSI
	leastRows    = 30   // of a segment, and of each side
	leastGain    = 0.2  // by which the part of the change must exceed the share of the rows
	leastLift    = 1.5
	leastRest    = 0.35 // of the PSI at most may be left without the segment
	chanceOfAny  = 0.01
)

// Concentrate looks for the segments that carry the change of a column between two sets of rows, each compared as a whole with
// what is left. The change is the PSI of the bins, Σ (q−p) ln(q/p), which a segment s makes by Σ (q_s−p_s) ln(q/p): such parts
// add up. Logarithms come from the half of the rows that they are not applied to, so that chance adds nothing on average.
//
// A segment is named if its part exceeds its share of the rows by more than chance would give the best of all that were looked
// at (1 %, Bonferroni), by 0.2 and half of itself at least, and if each bin having more or fewer of the
// same rows would not make it, and if without it no more than 0.35 of the PSI is left.
func Concentrate(bins []profile.Bin, facets []Facet, saved []string, before, now *Rows) Concentration {
	root := newSearch(bins, facets, saved, before, now)
	c := Concentration{Looked: root.looked()}
	switch {
	case len(before.Target) < 10*leastRows || len(now.Target) < 10*leastRows:
		c.Reason = fmt.Sprintf("there are %d rows now and %d of before, too few to look for segments", len(now.Target), len(before.Target))
		return c
	case root.total < leastChange || root.total < 4*root.error:
		c.Reason = "the rows that are there hardly show the change"
		return c
	}
	rest, all := root, root.psi(nil, false)
	left := all
	for len(c.Carriers) < mostCarriers {
		x, ok := rest.best(left)
		if !ok {
			break
		}
		if x = root.whole(x, rest); x.Part.Value < (x.Rows+x.RowsBefore)/2 { // much of what is left, little of all
			break
		}
		c.Carriers = append(c.Carriers, x)
		rest = root.without(c.Carriers)
		left = rest.psi(nil, false)
		if len(rest.now.target) < 10*leastRows || len(rest.before.target) < 10*leastRows || rest.total < 4*rest.error || left < 0.1*all {
			break
		}
	}
	c.Even = len(c.Carriers) == 0
	return c
}

// says is a carrier in a few words.
func (c *Carrier) says() string {
	text := fmt.Sprintf("%s: %s of the change (%s to %s) in %s of the rows", c.Label, percent(math.Min(c.Part.Value, 1)),
		percent(math.Max(c.Part.Low, 0)), percent(math.Min(c.Part.High, 1)), percent(c.Rows))
	if !c.Values {
		text += fmt.Sprintf(", %s before", percent(c.RowsBefore))
	}
	return text
}

// Says is the answer in a sentence.
func (c *Concentration) Says() string {
	switch {
	case c.Reason != "":
		return c.Reason
	case c.Even:
		return fmt.Sprintf("all rows move alike: none of %d segments holds much more of the change than of the rows", c.Looked)
	}
	var parts []string
	for i := range c.Carriers {
		parts = append(parts, c.Carriers[i].says())
	}
	return strings.Join(parts, "; ")
}
