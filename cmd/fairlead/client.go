package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead/client"
)

// talk is a subcommand that calls a server.
type talk struct {
	server string
	out    printer
}

// client checks the flags: nothing is asked of the server when the answer could not be printed.
func (t *talk) client() (*client.Client, error) {
	if err := t.out.check(); err != nil {
		return nil, err
	}
	return client.New(t.server)
}

// command adds the flags that every such subcommand has.
func (t *talk) command(cmd *cobra.Command, listing bool) *cobra.Command {
	cmd.GroupID = "client"
	server := os.Getenv("FAIRLEAD_SERVER")
	if server == "" {
		server = "http://127.0.0.1:8080"
	}
	cmd.Flags().StringVar(&t.server, "server", server, "address of the server")
	if listing {
		t.out.register(cmd)
	}
	return cmd
}

func clientCommands() []*cobra.Command {
	return []*cobra.Command{
		pushCommand(), modelsCommand(), deploymentsCommand(), rolloutCommand(), rollbackCommand(), applyCommand(), predictCommand(),
		labelCommand(), labelsCommand(), eventCommand(), publishCommand(), pullCommand(), importCommand(), signCommand(), keysCommand(), testCommand(), verifyCommand(), driftCommand(), metricsCommand(), segmentsCommand(), alertsCommand(), sqlCommand(), exportCommand(), replayCommand(), benchCommand(), pipelineCommand(),
	}
}

func deploymentsCommand() *cobra.Command {
	var t talk
	return t.command(&cobra.Command{
		Use: "deployments", Short: "List what runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			all, err := c.Deployments(cmd.Context())
			if err != nil {
				return err
			}
			return t.out.print(cmd.OutOrStdout(), all, "DEPLOYMENT|MODEL|STATE|ROWS/S|P50 MS|P99 MS|ROWS|LABELLED|FIRING|DRIFTED", func(add func(...any)) {
				for _, d := range all {
					add(d.Name, fmt.Sprintf("%s@%d", d.Model, d.Version), d.State, d.Live.RowsPerSecond, d.Live.P50, d.Live.P99,
						d.Rows, d.Labelled, d.Firing, d.Drifted)
				}
			})
		},
	}, true)
}

func rollbackCommand() *cobra.Command {
	var t talk
	return t.command(&cobra.Command{
		Use: "rollback DEPLOYMENT", Short: "Put the version that was live before back, at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			r, err := c.Rollback(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: version %d is live again, %d is not\n", r.Deployment, r.To, r.From)
			return nil
		},
	}, false)
}

func predictCommand() *cobra.Command {
	var t talk
	var file string
	cmd := t.command(&cobra.Command{
		Use:   "predict DEPLOYMENT [JSON]",
		Short: "Ask for predictions",
		Long: `Ask for predictions. The body is JSON: {"instances":[{"feature":value,…}]} by feature names,
or {"inputs":[…]} as in the Open Inference Protocol. Without JSON it is read from --file or standard input.`,
		Example: `  fairlead predict flights '{"instances":[{"hour":17,"weekday":4,"distance":733,"departures":60,"origin":"ATL","destination":"ORD"}]}'`,
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			body, err := bodyOf(cmd, args, file)
			if err != nil {
				return err
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			answer, err := c.Predict(cmd.Context(), args[0], body)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), string(answer))
			return nil
		},
	}, false)
	cmd.Flags().StringVarP(&file, "file", "f", "", "read the body from this file")
	return cmd
}

func bodyOf(cmd *cobra.Command, args []string, file string) ([]byte, error) {
	switch {
	case len(args) == 2:
		return []byte(args[1]), nil
	case file != "":
		return os.ReadFile(file)
	}
	return io.ReadAll(cmd.InOrStdin())
}
