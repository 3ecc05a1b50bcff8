package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/conformance"
)

func conformanceCommand() *cobra.Command {
	var out printer
	var o conformance.Options
	var all bool
	cmd := &cobra.Command{
		Use:     "conformance URL",
		GroupID: "client",
		Short:   "Check any server against the Open Inference Protocol v2",
		Long: fmt.Sprintf(`Check any server against the Open Inference Protocol v2, ours or another: %d rules of its REST and gRPC faces and of
the extensions that it says it has. Where it takes uploads, tiny identity models of every datatype are brought and taken
away again; elsewhere --model, or the first model that it lists, is asked.

The exit status is 1 if a rule is broken. What is only advice (widely used servers deviate, or the text is open) does
not count.`, conformance.Count()),
		Example: "  fairlead conformance http://127.0.0.1:8080 --grpc 127.0.0.1:8081",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if o.URL = args[0]; !strings.Contains(o.URL, "://") {
				o.URL = "http://" + o.URL
			}
			r, err := conformance.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if err := printConformance(cmd.OutOrStdout(), out.format, r, all); err != nil {
				return err
			}
			if r.Failed > 0 {
				return fairlead.Invalid("%s breaks %d of %d rules", r.URL, r.Failed, len(r.Results)-r.Skipped)
			}
			return nil
		},
	}
	out.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.GRPC, "grpc", "", "address of the server's gRPC (default: gRPC is not checked)")
	flags.StringVar(&o.Model, "model", "", "model to ask where the server takes no uploads (default: the first that it lists)")
	flags.StringSliceVar(&o.Only, "only", nil, "groups to check: "+strings.Join(conformance.Groups(), ", ")+" (default: all)")
	flags.DurationVar(&o.Timeout, "timeout", 10*time.Second, "for the answer to one request")
	flags.BoolVar(&all, "all", false, "list what passed as well")
	return cmd
}

// printConformance writes the report: as JSON, or what did not pass and a line of counts.
func printConformance(w io.Writer, format string, r conformance.Report, all bool) error {
	if format == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s\nextensions: %s\nmodels: %s\n\n", r.URL, r.Server, r.Version, strings.Join(r.Extensions, ", "), r.Models)
	skipped := map[string]int{}
	var reasons []string
	for _, c := range r.Results {
		switch {
		case c.Verdict == conformance.Fail:
			word := "FAIL"
			if c.Level == conformance.Advice {
				word = "advice"
			}
			fmt.Fprintf(&b, "%-7s %s: %s\n        rule      %s\n        expected  %s\n        came      %s\n", word, c.Group, c.Name, c.Rule, c.Expected, c.Came)
		case c.Verdict == conformance.Skip:
			if skipped[c.Reason]++; skipped[c.Reason] == 1 {
				reasons = append(reasons, c.Reason)
			}
		case all:
			fmt.Fprintf(&b, "%-7s %s: %s (%.1f ms)\n", "pass", c.Group, c.Name, c.Millis)
		}
	}
	for _, reason := range reasons {
		fmt.Fprintf(&b, "skipped %d: %s\n", skipped[reason], reason)
	}
	fmt.Fprintf(&b, "%d passed, %d failed, %d against advice, %d skipped\n", r.Passed, r.Failed, r.Advice, r.Skipped)
	_, err := io.WriteString(w, b.String())
	return err
}
