package report

import (
	"bytes"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/fairlead-ml/fairlead/watch/compare"
	"github.com/fairlead-ml/fairlead/watch/estimate"
)

// causes say what a cause means.
var causes = map[estimate.Cause]string{
	estimate.Unchanged:      "The model does as well as on the reference.",
	estimate.ConceptDrift:   "Concept drift: the labels differ from what the scores promise, so what is being predicted has changed. Retrain on new labels.",
	estimate.CovariateShift: "Covariate shift: the model does as the scores promise and not as on the reference, so its inputs have moved to where it does differently.",
	estimate.Unclear:        "Performance moved, and neither the scores nor the labels say by which cause.",
}

// Text renders for a terminal, at most so many columns; 0: all.
func Text(r *compare.Report, most int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s (%s) against %s (%s)\n\n", Verdict(r), r.Current.Name, count(r.Current.Rows, "row"), r.Reference.Name, count(r.Reference.Rows, "row"))
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COLUMN\tVERDICT\tPSI\tNOISE\tKS\tCHANGE\tCOURSE")
	for i, c := range r.Columns {
		if most > 0 && i == most {
			break
		}
		what := change(c)
		if c.Why != "" {
			what = c.Why
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, state(c), number(c.PSI), number(c.PSIFloor), number(c.KS), what, course(r, c))
	}
	_ = w.Flush() // into a buffer
	if most > 0 && len(r.Columns) > most {
		fmt.Fprintf(&b, "… %d more\n", len(r.Columns)-most)
	}
	otherTools(&b, r, most)
	var rest bytes.Buffer
	schema(&rest, r)
	b.WriteString(strings.NewReplacer("\\_", "_", "\\*", "*", "\\`", "`", "\\|", "|", "&lt;", "<").Replace(rest.String()))
	if len(r.Quality) > 0 {
		fmt.Fprintf(&b, "\nRules that the reference keeps and the current rows break:\n")
		for _, q := range r.Quality {
			fmt.Fprintf(&b, "  %s\n", q.Text)
		}
	}
	if r.Together != nil {
		fmt.Fprintf(&b, "\n%s\n", together(r.Together))
	}
	if p := r.Performance; p != nil {
		fmt.Fprintln(&b)
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PERFORMANCE\tREFERENCE\tESTIMATED\tUNDER SHIFT\tREALISED")
		for _, m := range p.Metrics {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.Name, number(m.Reference), estimated(m), number(m.Shifted), number(m.Realised))
		}
		_ = w.Flush() // into a buffer
		if p.Cause != "" {
			fmt.Fprintf(&b, "%s\n", causes[p.Cause])
		}
	}
	return b.Bytes()
}

// otherTools lists what other tools say of each column by their default measure.
func otherTools(b *bytes.Buffer, r *compare.Report, most int) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	begun := false
	for i, c := range r.Columns {
		if most > 0 && i == most {
			break
		}
		for _, n := range c.Compat {
			if !n.Default {
				continue
			}
			if !begun {
				fmt.Fprintln(b)
				fmt.Fprintln(w, "COLUMN\tTOOL\tMEASURE\tVALUE\tTHRESHOLD\tSAYS")
				begun = true
			}
			says, threshold := "ok", number(compare.Number(n.Threshold))
			switch {
			case n.Threshold == 0:
				says, threshold = "", "–"
			case n.Drifted:
				says = "drift"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, n.Tool, n.Measure, number(n.Value), threshold, says)
		}
	}
	_ = w.Flush() // into a buffer
}
