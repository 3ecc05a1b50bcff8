package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/client"
)

type driftFlags struct {
	windows
	from, to       string
	version        int
	html, markdown string
}

func driftCommand() *cobra.Command {
	var t talk
	var f driftFlags
	cmd := t.command(&cobra.Command{
		Use: "drift DEPLOYMENT", Short: "Show drift of every feature and output, or write a report on it",
		Long: `Show what the monitor found, window by window. With --html or --markdown it writes one report on all of these windows instead,
as "fairlead compare" does for two files: made of counts, so that it takes no longer for more rows.`,
		Example: "  fairlead drift flights --grain hour --limit 24\n  fairlead drift flights --from 2001-03-01 --to 2001-04-01 --limit 31 --html march.html",
		Args:    cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			span, err := f.span()
			if err != nil {
				return err
			}
			if f.html != "" || f.markdown != "" {
				return f.report(cmd, c, args[0], span)
			}
			d, err := c.DriftIn(cmd.Context(), args[0], span)
			if err != nil {
				return err
			}
			if t.out.format == "table" && d.Empty != "" {
				fmt.Fprintln(cmd.OutOrStdout(), emptyText[d.Empty])
				return nil
			}
			return t.out.print(cmd.OutOrStdout(), d, "WINDOW|COLUMN|N|PSI|NOISE 99.9%|KS|D1|JS|MISSING|UNSEEN|VERDICT", func(add func(...any)) {
				for i, start := range d.Windows {
					for _, col := range d.Columns {
						if c := col.Cells[i]; c != nil {
							verdict := c.Verdict
							if c.Provisional {
								verdict += " (open)"
							}
							add(start, col.Name, c.N, c.PSI, c.PSIFloor, c.KS, c.D1, c.JS, c.Missing, c.Unseen, verdict)
						}
					}
				}
			})
		}),
	}, true)
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "windows that start at this time or later, as 2001-03-01 or 2001-03-01T14:00:00Z")
	flags.StringVar(&f.to, "to", "", "windows that start before this time")
	flags.IntVar(&f.version, "version", 0, "of the model; 0: the live one")
	flags.StringVar(&f.html, "html", "", "write a page on these windows to this file; it needs nothing else")
	flags.StringVar(&f.markdown, "markdown", "", "write Markdown for a pull request to this file; - for the standard output")
	return cmd
}

func (f *driftFlags) span() (client.DriftSpan, error) {
	span := client.DriftSpan{Grain: f.grain, Limit: f.limit, Version: f.version}
	for _, x := range []struct {
		flag, text string
		into       *time.Time
	}{{"--from", f.from, &span.From}, {"--to", f.to, &span.To}} {
		if x.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, x.text)
		if err != nil {
			t, err = time.Parse(time.DateOnly, x.text)
		}
		if err != nil {
			return span, fairlead.Invalid("%s %q is no time", x.flag, x.text).Hintf("write 2001-03-01 or 2001-03-01T14:00:00Z")
		}
		*x.into = t
	}
	return span, nil
}

// report writes what was asked for.
func (f *driftFlags) report(cmd *cobra.Command, c *client.Client, deployment string, span client.DriftSpan) error {
	write := func(ctx context.Context, format, file string) error {
		if file == "" {
			return nil
		}
		body, err := c.DriftReport(ctx, deployment, span, format)
		if err != nil {
			return err
		}
		if file == "-" {
			_, err = cmd.OutOrStdout().Write(body)
			return err
		}
		if err := os.WriteFile(file, body, 0o644); err != nil { // #nosec G306 -- a report to be read
			return fairlead.Invalid("%s cannot be written", file).Cause(err)
		}
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "The report is in %s.\n", file)
		return err
	}
	if err := write(cmd.Context(), "html", f.html); err != nil {
		return err
	}
	return write(cmd.Context(), "markdown", f.markdown)
}
