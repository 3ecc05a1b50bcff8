// Package report renders comparisons for people: one HTML file that needs nothing else, Markdown for pull requests, and text
// for a terminal. All of it is a pure function of the report.
package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/fairlead-ml/fairlead/watch/compare"
	"github.com/fairlead-ml/fairlead/watch/shape"
)

// Verdict is the report in one sentence.
func Verdict(r *compare.Report) string {
	n := len(r.Columns)
	text := fmt.Sprintf("%s of %s drifted", count(r.Drifted, "column"), thousands(n))
	if r.Drifted == 0 {
		text = fmt.Sprintf("No drift in %s", count(n, "column"))
	}
	if len(r.Quality) > 0 {
		text += fmt.Sprintf(", %s of %s broken", count(len(r.Quality), "rule"), thousands(r.Rules))
	}
	if t := r.Together; t != nil && t.Drifted && r.Drifted == 0 {
		text += ", but taken together the columns have changed"
	}
	return text + "."
}

// count writes "1 column", "3 columns".
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(n) + " " + noun
}

// thousands writes 3,000,000.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// number writes a measure with three digits that matter; a dash where there is none.
func number(v compare.Number) string {
	x := float64(v)
	switch a := math.Abs(x); {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return "–"
	case x == 0:
		return "0"
	case a >= 1e6 || a < 1e-4:
		return fmt.Sprintf("%.2g", x)
	case a >= 100:
		return fmt.Sprintf("%.0f", x)
	case a >= 10:
		return fmt.Sprintf("%.1f", x)
	case a >= 1:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}

// percent writes a share.
func percent(v compare.Number) string {
	x := 100 * float64(v)
	switch {
	case math.IsNaN(x):
		return "–"
	case x == 0 || x == 100:
		return fmt.Sprintf("%.0f%%", x)
	case x < 0.1:
		return "<0.1%"
	}
	return fmt.Sprintf("%.1f%%", x)
}

// chance writes a p-value.
func chance(v compare.Number) string {
	if x := float64(v); x < 1e-4 {
		return "<0.0001"
	}
	return number(v)
}

// state is what is said of a column in a word.
func state(c compare.Column) string {
	switch {
	case c.Why != "":
		return "not measured"
	case c.Drifted:
		return "drifted"
	case c.Significant:
		return "small"
	}
	return "ok"
}

// course tells what the drift looks like over time.
func course(r *compare.Report, c compare.Column) string {
	text := named(r, c)
	if c.DriftedWindows == 0 || r.Windows == nil {
		return text
	}
	in := fmt.Sprintf("in %d of %s", c.DriftedWindows, count(len(r.Windows.Starts), r.Windows.Length))
	if text == "" {
		return in
	}
	return text + ", " + in
}

// named is the name of the course, and since when.
func named(r *compare.Report, c compare.Column) string {
	d := c.Shape
	if d == nil || d.Kind == shape.None || !c.Drifted {
		return ""
	}
	text := string(d.Kind)
	at := func(i int) string {
		if r.Windows == nil || i < 0 || i >= len(r.Windows.Starts) {
			return "the end"
		}
		return moment(r.Windows.Starts[i], r.Windows.Length)
	}
	switch d.Kind {
	case shape.Periodic:
		text += fmt.Sprintf(", every %d %ss", d.Period, r.Windows.Length)
	case shape.Temporary:
		text += fmt.Sprintf(", %s to %s", at(d.Onset), at(d.End))
	case shape.Gradual:
		text += fmt.Sprintf(", %s to %s", at(d.Onset), at(d.End))
	default:
		if d.Onset == 0 {
			return "from the start"
		}
		text += " since " + at(d.Onset)
	}
	if d.Provisional {
		text += " (provisional)"
	}
	return text
}

// moment is the start of a window as people write it.
func moment(rfc3339, length string) string {
	if len(rfc3339) < 16 {
		return rfc3339
	}
	if length == "hour" {
		return strings.Replace(rfc3339[:16], "T", " ", 1)
	}
	return rfc3339[:10]
}

// change tells in words what moved in a column.
func change(c compare.Column) string {
	var parts []string
	a, b := c.Reference, c.Current
	if gap := float64(b.Missing - a.Missing); math.Abs(gap) >= 0.01 {
		parts = append(parts, fmt.Sprintf("missing %s → %s", percent(a.Missing), percent(b.Missing)))
	}
	if b.Unseen >= 0.001 {
		parts = append(parts, "unseen "+percent(b.Unseen))
	}
	if c.Kind == "numeric" {
		parts = append(parts, fmt.Sprintf("mean %s → %s", number(a.Mean), number(b.Mean)))
	} else if bin := largest(c.Bins); bin != nil {
		parts = append(parts, fmt.Sprintf("%s %s → %s", bin.Label, percent(bin.Reference), percent(bin.Current)))
	}
	return strings.Join(parts, ", ")
}

// largest is the bin that moved most.
func largest(bins []compare.Bin) *compare.Bin {
	var most *compare.Bin
	for i := range bins {
		if bins[i].Kind == "null" || bins[i].Kind == "nan" || bins[i].Kind == "unseen" {
			continue // said in shares already
		}
		if most == nil || math.Abs(float64(bins[i].Current-bins[i].Reference)) > math.Abs(float64(most.Current-most.Reference)) {
			most = &bins[i]
		}
	}
	return most
}

// together tells what whole rows say.
func together(t *compare.Together) string {
	text := fmt.Sprintf("A classifier that has to tell current rows from reference rows reaches an AUROC of %s (0.5 is guessing; ±%s by chance), on %s and %s rows",
		number(t.AUROC), number(2*t.SE), thousands(t.Rows.Reference), thousands(t.Rows.Current))
	if len(t.Drivers) > 0 && t.Drifted {
		var names []string
		for i, d := range t.Drivers {
			if i == 3 {
				break
			}
			names = append(names, d.Column)
		}
		text += ", by " + strings.Join(names, ", ")
	}
	return text + "."
}
