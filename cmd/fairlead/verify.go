package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/app"
)

func verifyCommand() *cobra.Command {
	var t talk
	var variant, library string
	var there bool
	cmd := t.command(&cobra.Command{
		Use:   "verify FOLDER|FILE|NAME[@VERSION]",
		Short: "Run the golden vectors of a version on this host: exit status 1 if it computes otherwise",
		Long: `Run the golden vectors of a version on this host, and say how far every output is from what was recorded. A host whose
arithmetic differs beyond the tolerance must not serve the version; a server refuses to load it there. NAME@VERSION is
brought here from the server and verified here, with --there on the server. A file is one that ` + "`fairlead models export`" + ` wrote;
a folder needs a golden.json.`,
		Example: "  fairlead verify flights@3\n  fairlead verify flights-3.tar",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			var v api.Verification
			if there {
				name, version := split(args[0])
				v, err = c.Verify(cmd.Context(), name, orNewest(cmd, c, name, version), variant)
			} else {
				w, failed := workbench(library, fetcher(cmd, c, args[0]))
				if failed != nil {
					return failed
				}
				defer func() { _ = w.Close() }()
				v, err = w.Verify(cmd.Context(), args[0], variant)
			}
			if err != nil {
				return err
			}
			if t.out.format == "json" {
				err = t.out.print(cmd.OutOrStdout(), v, "", nil)
			} else {
				fmt.Fprint(cmd.OutOrStdout(), verified(v))
			}
			if refusal := app.CheckVerification(v); refusal != nil {
				return refusal
			}
			return err
		},
	}, true)
	cmd.Flags().StringVar(&variant, "variant", "", "variant to verify (default: the one that runs here)")
	cmd.Flags().BoolVar(&there, "there", false, "verify on the server instead of here")
	cmd.Flags().StringVar(&library, "library", "", "ONNX Runtime's shared library (default: beside the binary)")
	return cmd
}

// verified is a verification for people.
func verified(v api.Verification) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", v.Subject)
	if v.Digest != "" {
		fmt.Fprintf(&b, " (%s)", fairlead.Digest(v.Digest).Short())
	}
	fmt.Fprintf(&b, " on %s\n", v.Host)
	if v.Engine != "" {
		fmt.Fprintln(&b, v.Engine)
	}
	fmt.Fprintf(&b, "tolerance %g + %g·|expected|\n\n", v.Absolute, v.Relative)
	width := len("OUTPUT")
	for _, o := range v.Outputs {
		width = max(width, len(o.Output))
	}
	fmt.Fprintf(&b, "  CASE  %-*s  ELEMENTS  LARGEST DIFFERENCE  OF THE TOLERANCE\n", width, "OUTPUT")
	for _, o := range v.Outputs {
		sign, share, largest := "✓", "-", "-"
		if !o.OK {
			sign = "✗"
		}
		if o.Largest != nil {
			largest = fmt.Sprintf("%.3g", *o.Largest)
		}
		if o.Share != nil {
			share = fmt.Sprintf("%.3g %%", 100**o.Share)
		}
		fmt.Fprintf(&b, "%s %4d  %-*s  %8d  %18s  %16s\n", sign, o.Case, width, o.Output, o.Elements, largest, share)
		switch {
		case o.Problem != "":
			fmt.Fprintf(&b, "        %s\n", o.Problem)
		case !o.OK:
			fmt.Fprintf(&b, "        %d beyond the tolerance; element %d: expected %s, got %s\n", o.Beyond, o.Element, o.Expected, o.Got)
		}
	}
	if v.OK {
		fmt.Fprintf(&b, "\nthis host computes as recorded: %d cases\n", v.Cases)
	}
	return b.String()
}
