package report

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/fairlead-ml/fairlead/watch/compare"
)

// mostRows bounds a Markdown table; pull requests have a limit of their own.
const mostRows = 50

// Markdown renders for a pull request.
func Markdown(r *compare.Report) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "### %s\n\n", Verdict(r))
	fmt.Fprintf(&b, "%s (%s) against %s (%s).\n", cell(r.Current.Name), count(r.Current.Rows, "row"), cell(r.Reference.Name), count(r.Reference.Rows, "row"))
	fmt.Fprintf(&b, "\n| column | | PSI | noise | KS | change | course |\n|---|---|--:|--:|--:|---|---|\n")
	for i, c := range r.Columns {
		if i == mostRows {
			fmt.Fprintf(&b, "\n%d more columns are not shown, none of them drifted more.\n", len(r.Columns)-mostRows)
			break
		}
		name := cell(c.Name)
		if c.Drifted {
			name = "**" + name + "**"
		}
		what := cell(change(c))
		if c.Why != "" {
			what = cell(c.Why)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", name, state(c), number(c.PSI), number(c.PSIFloor), number(c.KS), what, course(r, c))
	}
	schema(&b, r)
	if len(r.Quality) > 0 {
		fmt.Fprintf(&b, "\n**Rules that the reference keeps and the current rows break**\n\n")
		for _, q := range r.Quality {
			fmt.Fprintf(&b, "- %s\n", cell(q.Text))
		}
	}
	if r.Together != nil {
		fmt.Fprintf(&b, "\n%s\n", together(r.Together))
	}
	if p := r.Performance; p != nil {
		fmt.Fprintf(&b, "\n| performance | reference | estimated | realised |\n|---|--:|--:|--:|\n")
		for _, m := range p.Metrics {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", m.Name, number(m.Reference), estimated(m), number(m.Realised))
		}
		if p.Cause != "" {
			fmt.Fprintf(&b, "\n%s\n", causes[p.Cause])
		}
	}
	fmt.Fprintf(&b, "\n<sub>Drifted: beyond chance at a false discovery rate of %v over all columns, and debiased PSI at least %v.</sub>\n", r.FDR, r.Tolerance)
	return b.Bytes()
}

func schema(b *bytes.Buffer, r *compare.Report) {
	if len(r.Missing) > 0 {
		fmt.Fprintf(b, "\nOnly in the reference: %s.\n", cell(strings.Join(r.Missing, ", ")))
	}
	if len(r.Added) > 0 {
		fmt.Fprintf(b, "\nOnly in the current rows: %s.\n", cell(strings.Join(r.Added, ", ")))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(b, "\nNote: %s.\n", cell(n))
	}
}

// estimated is a value with its interval.
func estimated(m compare.Metric) string {
	if number(m.Estimated) == "–" {
		return "–"
	}
	return fmt.Sprintf("%s (%s to %s)", number(m.Estimated), number(m.Low), number(m.High))
}

// cell keeps a text inside its cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ", "<", "&lt;", "*", "\\*", "_", "\\_", "`", "\\`").Replace(s)
}
