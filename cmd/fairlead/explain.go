package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

func explainAlertCommand() *cobra.Command {
	var t talk
	var brief bool
	cmd := t.command(&cobra.Command{
		Use: "explain ID", Short: "Say what is known of an alert: its course, which rows carry it, what it does to predictions, what to do",
		Long: `Say what is known of an alert: its course, which rows carry it, what moved with it, what it does to predictions, what to do.

Unless it is to be brief, the server reads recorded rows and asks the model about 2,000 of them once more, with values of before in
place of theirs. That takes seconds, half a minute at most.`,
		Example: "  fairlead alerts explain flights/distance/2001-03-08T14:00:00Z", Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			ask := c.ExplainAlert
			if brief {
				ask = c.ExplainAlertBriefly
			}
			e, err := ask(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if t.out.format != "table" {
				return t.out.print(cmd.OutOrStdout(), e, "", nil)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), explanationText(e))
			return err
		}),
	}, true)
	cmd.Flags().BoolVar(&brief, "brief", false, "only what the monitor has measured: read no rows, ask no model")
	cmd.GroupID = "" // groups are the root's
	return cmd
}

// explanationText is for a terminal.
func explanationText(e api.AlertExplanation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\ncourse    %s", e.Text, e.Course.Kind)
	if e.Course.Kind != "none" {
		fmt.Fprintf(&b, ", %.0f%% sure", 100*e.Course.Confidence)
	}
	if e.Course.Provisional {
		b.WriteString(", provisional")
	}
	fmt.Fprintf(&b, "\nharm      %s\nrests on  %d rows in %d of %d windows; PSI %.3f, chance alone gives up to %.3f; rule: %s\n",
		e.Harm, e.Sure.Rows, e.Sure.Drifted, e.Sure.Windows, e.Sure.PSI, e.Sure.Floor, e.Sure.Rule)
	if len(e.Shares) > 0 {
		b.WriteString("\nvalues    before                now\n")
		sharesText(&b, e.Shares)
	}
	carriedText(&b, e.Carried)
	impactText(&b, e.Impact)
	for i, f := range e.Effects {
		if i == 0 {
			b.WriteString("\nthe model before and since\n")
		}
		fmt.Fprintf(&b, "  %.3f → %.3f  %s", f.Before, f.Since, f.What)
		if !f.Clear {
			b.WriteString(" (may be chance)")
		}
		b.WriteByte('\n')
	}
	for i, x := range e.Examples {
		if i == 0 {
			b.WriteString("\nexamples\n")
		}
		exampleText(&b, e.Alert.Column, &x)
	}
	if len(e.Advice) > 0 {
		b.WriteString("\nwhat to do\n")
	}
	for _, a := range e.Advice {
		fmt.Fprintf(&b, "- %s\n", a)
	}
	if len(e.Together) > 0 {
		fmt.Fprintf(&b, "one incident with %s\n", strings.Join(e.Together, ", "))
	}
	return b.String()
}

// bar is a share as a bar of ten cells.
func bar(share float64) string {
	eighths := int(math.Round(80 * min(max(share, 0), 1)))
	if eighths == 0 && share > 0 {
		eighths = 1
	}
	text := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		text += string([]rune("▏▎▍▌▋▊▉")[rest-1])
	}
	return text + strings.Repeat(" ", 10-(eighths+7)/8)
}

func sharesText(b *strings.Builder, shares []api.ValueShare) {
	for _, s := range shares {
		fmt.Fprintf(b, "          %s %5.1f%%     %s %5.1f%%  %s (%.0f%% of the drift)\n", bar(s.Before), 100*s.Before, bar(s.Now), 100*s.Now, s.Label, 100*s.Part)
	}
}

// percents is a share with its interval.
func percents(e api.Estimate) string {
	text := fmt.Sprintf("%.1f%%", 100*e.Value)
	if e.Low != nil && e.High != nil {
		text += fmt.Sprintf(" (%.1f%% to %.1f%%)", 100**e.Low, 100**e.High)
	}
	return text
}

func carriedText(b *strings.Builder, c *api.Concentration) {
	if c == nil {
		return
	}
	if len(c.Segments) == 0 {
		fmt.Fprintf(b, "\nrows      %s\n", c.Says)
		return
	}
	fmt.Fprintf(b, "\nrows      of the change    of the rows\n")
	for _, s := range c.Segments {
		fmt.Fprintf(b, "          %s %3.0f%%  %s %3.0f%%  %s\n", bar(s.Part.Value), 100*s.Part.Value, bar(s.Rows), 100*s.Rows, s.Label)
		switch {
		case s.Kind == "rows":
			fmt.Fprintf(b, "          there are other numbers of these rows: %.1f%% before, %.1f%% now\n", 100*s.RowsBefore, 100*s.Rows)
		case s.Inside != nil && s.Outside != nil:
			fmt.Fprintf(b, "          PSI %.3f within, %.3f in all other rows\n", *s.Inside, *s.Outside)
		}
		if s.Where != "" && s.Name == "" {
			fmt.Fprintf(b, "          where %s\n", s.Where)
		}
	}
	fmt.Fprintf(b, "          %d segments looked at, in %d rows now and %d of %s\n", c.Looked, c.Now, c.Before, c.Compared)
}

func impactText(b *strings.Builder, m *api.Counterfactual) {
	if m == nil {
		return
	}
	fmt.Fprintf(b, "\npredictions  %s\n", m.Says)
	if m.Reason != "" {
		return
	}
	fmt.Fprintf(b, "          version %d asked again about %d rows, with values of %s in %.0f%% of them\n", m.Version, m.Rows, m.Compared, 100*m.Replaced)
	line := func(name string, p *api.PutBack) {
		if p == nil {
			return
		}
		fmt.Fprintf(b, "          %-24s %.4f now, %.4f back", name, p.Now, p.Back)
		if p.Change.Low != nil && p.Change.High != nil {
			fmt.Fprintf(b, ": %+.4f (%+.4f to %+.4f)", p.Change.Value, *p.Change.Low, *p.Change.High)
		}
		b.WriteByte('\n')
	}
	line("mean score", m.Score)
	for i := range m.Classes {
		line("share of "+m.Classes[i].Class, &m.Classes[i].PutBack)
	}
	if m.Flips != nil {
		fmt.Fprintf(b, "          %-24s %s", "decided otherwise", percents(*m.Flips))
		if m.Chance != nil {
			fmt.Fprintf(b, "; %.1f%% by the method alone", 100**m.Chance)
		}
		b.WriteByte('\n')
	}
	line("accuracy, estimated", m.Accuracy)
	if m.Fault != nil {
		fmt.Fprintf(b, "          %-24s %s\n", "lost if values are false", percents(m.Fault.Lost))
	}
}

// exampleText is a row on one line, its inputs on another.
func exampleText(b *strings.Builder, column string, x *api.ExampleRow) {
	value := func(v any, redacted bool) string {
		switch {
		case redacted:
			return "(redacted)"
		case v == nil:
			return "-"
		}
		return fmt.Sprint(v)
	}
	score := func(s *float64) string {
		if s == nil {
			return "-"
		}
		return fmt.Sprintf("%.3g", *s)
	}
	fmt.Fprintf(b, "  %s  %s  %s", cmp.Or(x.ID, "(no id)"), x.Time.UTC().Format("2006-01-02 15:04"), value(x.Value, false))
	if x.Scored != nil || x.Decided != "" {
		fmt.Fprintf(b, " → %s: score %s → %s", value(x.Back, false), score(x.Score), score(x.Scored))
		if x.Decision != "" {
			fmt.Fprintf(b, ", %s → %s", x.Decision, cmp.Or(x.Decided, "-"))
		}
	} else if x.Score != nil {
		fmt.Fprintf(b, ": score %s", score(x.Score))
	}
	var parts []string
	for _, in := range x.Inputs {
		if in.Name != column {
			parts = append(parts, in.Name+" "+value(in.Value, in.Redacted))
		}
	}
	b.WriteByte('\n')
	if len(parts) > 0 {
		fmt.Fprintf(b, "      %s\n", strings.Join(parts, ", "))
	}
}
