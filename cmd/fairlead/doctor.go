package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead/app"
)

func doctorCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:     "doctor",
		GroupID: "server",
		Short:   "Check that this machine can run a server",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.load(cmd.Flags()); err != nil {
				return err
			}
			failed := 0
			for _, c := range app.Doctor(cmd.Context(), f.config) {
				mark := "ok  "
				if c.Err != nil {
					mark = "FAIL"
					failed++
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %-24s %s\n", mark, c.Name, c.Detail)
				if c.Err != nil {
					fmt.Fprintf(cmd.OutOrStdout(), "      %s\n", message(c.Err))
				}
			}
			if failed > 0 {
				return fmt.Errorf("%d of the checks failed", failed)
			}
			return nil
		},
	}
	f.register(cmd.Flags())
	return cmd
}
