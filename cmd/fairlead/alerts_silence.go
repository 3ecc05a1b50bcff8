package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

// silenceFlags say when a silence holds.
type silenceFlags struct {
	in          api.SilenceRequest
	from, until string
	lasts       time.Duration
}

func silenceCommand() *cobra.Command {
	var t talk
	var f silenceFlags
	cmd := t.command(&cobra.Command{
		Use: "silence DEPLOYMENT [COLUMN]", Short: "Keep alerts from being told, for a time or in a part of each week",
		Long: `Alerts go on being found, listed and resolved; receivers are not told while a silence covers every column of an incident that drifts.
DEPLOYMENT and COLUMN are names or patterns: * stands for any text, ? for one character.`,
		Example: "  fairlead alerts silence flights distance --for 4h --reason 'backfill of the feed'\n" +
			"  fairlead alerts silence 'shop-*' --weekly 'sat 22:00 - sun 06:00' --zone Europe/Berlin --reason 'nightly maintenance'",
		Args: cobra.RangeArgs(1, 2),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			in, err := f.request(args, time.Now())
			if err != nil {
				return err
			}
			s, err := c.Silence(cmd.Context(), in)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: nobody is told of %s of %s %s", s.ID, columnText(s.Column), s.Deployment, whenText(&s))
			if n := len(s.Alerts); n > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "; it covers %d of the alerts that fire now", n)
			}
			fmt.Fprintln(cmd.OutOrStdout())
			return nil
		}),
	}, false)
	cmd.Flags().DurationVar(&f.lasts, "for", 0, "how long, from now or --from")
	cmd.Flags().StringVar(&f.until, "until", "", "its end, for example 2026-03-05T22:00:00Z")
	cmd.Flags().StringVar(&f.from, "from", "", "its beginning (default: now)")
	cmd.Flags().StringVar(&f.in.Weekly, "weekly", "", "only in this part of each week: sat 22:00 - sun 06:00")
	cmd.Flags().StringVar(&f.in.Zone, "zone", "", "whose clock --weekly goes by, for example Europe/Berlin (default: UTC)")
	cmd.Flags().StringVar(&f.in.Reason, "reason", "", "why; whoever wonders later reads it")
	return cmd
}

func (f *silenceFlags) request(args []string, now time.Time) (api.SilenceRequest, error) {
	in := f.in
	in.Deployment, in.By = args[0], whoami()
	if len(args) == 2 {
		in.Column = args[1]
	}
	if strings.TrimSpace(in.Reason) == "" {
		return in, fairlead.Invalid("a silence needs a reason").Hintf("--reason 'backfill of the feed'")
	}
	for _, x := range []struct {
		flag, text string
		at         *time.Time
	}{{"from", f.from, &in.From}, {"until", f.until, &in.Until}} {
		if x.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, x.text)
		if err != nil {
			return in, fairlead.Invalid("--%s %q is no moment", x.flag, x.text).Hintf("for example %s", now.UTC().Add(time.Hour).Format(time.RFC3339))
		}
		*x.at = at
	}
	switch {
	case f.lasts < 0:
		return in, fairlead.Invalid("--for %s is no length of time", f.lasts).Hintf("for example --for 4h")
	case f.lasts > 0 && f.until != "":
		return in, fairlead.Invalid("--for and --until both say when it ends").Hintf("leave one of them out")
	case f.lasts > 0 && in.From.IsZero():
		in.Until = now.Add(f.lasts)
	case f.lasts > 0:
		in.Until = in.From.Add(f.lasts)
	case f.until == "" && in.Weekly == "":
		return in, fairlead.Invalid("a silence needs an end").Hintf("--for 4h, --until %s, or --weekly 'sat 22:00 - sun 06:00'", now.UTC().Add(4*time.Hour).Format(time.RFC3339))
	}
	return in, nil
}

func columnText(column string) string {
	if column == "*" {
		return "any column"
	}
	return column
}

// whenText says when a silence holds.
func whenText(s *api.Silence) string {
	var parts []string
	if s.Weekly != "" {
		zone := s.Zone
		if zone == "" {
			zone = "UTC"
		}
		parts = append(parts, fmt.Sprintf("each week %s (%s)", s.Weekly, zone))
	}
	if s.From.After(s.Created) {
		parts = append(parts, "from "+s.From.UTC().Format("2006-01-02 15:04"))
	}
	if !s.Until.IsZero() {
		parts = append(parts, "until "+s.Until.UTC().Format("2006-01-02 15:04"))
	}
	return strings.Join(parts, " ")
}

func silencesCommand() *cobra.Command {
	var t talk
	var ended bool
	cmd := t.command(&cobra.Command{
		Use: "silences", Short: "List silences and downtimes", Args: cobra.NoArgs,
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			all, err := c.Silences(cmd.Context(), ended)
			if err != nil {
				return err
			}
			if len(all) == 0 && t.out.format == "table" {
				fmt.Fprintln(cmd.OutOrStdout(), "there are none")
				return nil
			}
			return t.out.print(cmd.OutOrStdout(), all, "STATE|DEPLOYMENT|COLUMN|WHEN|COVERS|BY|REASON|ID", func(add func(...any)) {
				for i := range all {
					s := &all[i]
					by := s.By
					if s.EndedBy != "" {
						by += ", ended by " + s.EndedBy
					}
					add(s.State, s.Deployment, s.Column, whenText(s), len(s.Alerts), by, s.Reason, s.ID)
				}
			})
		}),
	}, true)
	cmd.Flags().BoolVar(&ended, "ended", false, "also those of the last month that are over")
	return cmd
}

func unsilenceCommand() *cobra.Command {
	var t talk
	return t.command(&cobra.Command{
		Use: "unsilence ID", Short: "End a silence now", Args: cobra.ExactArgs(1),
		RunE: t.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			s, err := c.Unsilence(cmd.Context(), args[0], whoami())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s of %s is told again; it was silenced by %s: %s\n", columnText(s.Column), s.Deployment, s.By, s.Reason)
			return nil
		}),
	}, false)
}
