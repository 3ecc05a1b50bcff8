// Command fairlead ships, serves, watches and learns from machine-learning models in production.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
)

var version = "dev" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends a stop that takes too long
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return 130
	}
	fmt.Fprintf(os.Stderr, "fairlead: %s\n", message(err))
	return 1
}

// message puts the hint of an Error on a line of its own.
func message(err error) string {
	var e *fairlead.Error
	if errors.As(err, &e) && e.Hint != "" {
		return e.Message + "\n  " + e.Hint
	}
	return err.Error()
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "fairlead",
		Short:         "Ship, serve, watch and learn from machine-learning models in production",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddGroup(
		&cobra.Group{ID: "server", Title: "Run a server:"},
		&cobra.Group{ID: "client", Title: "Talk to a server (--server or FAIRLEAD_SERVER):"},
	)
	root.AddCommand(serveCommand(), demoCommand(), doctorCommand())
	root.AddCommand(clientCommands()...)
	root.AddCommand(conformanceCommand(), compareCommand(), suggestCommand(), qualityCommand())
	return root
}
