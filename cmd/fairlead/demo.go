package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/client"
	"github.com/fairlead-ml/fairlead/examples/flights"
)

func demoCommand() *cobra.Command {
	var f serveFlags
	var path, incident string
	var day time.Duration
	var quiet bool
	cmd := &cobra.Command{
		Use:     "demo",
		GroupID: "server",
		Short:   "Serve the flights example and replay real flights through the public API",
		Long: `Serve, push the flights example, and replay the US domestic flights of March to June 2001 through the public API.
Each label (more than 15 minutes late or not) is sent when that flight would have landed. Started again on the same
data folder it goes on where it was. --incident plants faults, marked as planted on the page:
  unit     distance in kilometres, March 8 to 10
  airport  the flights from Atlanta are missing, March 20 and 21
  frozen   a feature keeps one value, March 29 to 31`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt := flights.Options{Incident: flights.Incident(incident), PerDay: day}
			var err error
			if opt.Flights, err = flightsPath(path); err != nil {
				return err
			}
			if !cmd.Flags().Changed("max-lag") {
				f.config.MaxLag = 0 // people watch it, and the replay itself keeps the machine busy
			}
			a, stop, err := f.start(cmd.Context(), cmd.Flags())
			if err != nil {
				return err
			}
			opt.Server = "http://" + a.Address()
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "\n  Open  %s  and watch real flights arrive.\n  Ctrl-C stops; the same command goes on where it was.\n\n", opt.Server)
			if !quiet {
				opt.Progress = func(p flights.Progress) { fmt.Fprint(out, progressLine(p)) }
			}
			err = replay(cmd.Context(), opt, out)
			if err == nil {
				fmt.Fprintln(out, "\nThe last flight has landed. The page stays up; Ctrl-C stops.")
				select {
				case <-cmd.Context().Done():
				case err = <-a.Failed():
				}
			}
			stopErr := stop()
			if err == nil || errors.Is(err, context.Canceled) {
				return stopErr
			}
			return err
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&path, "flights", "", "flights-3m.parquet (default: beside the binary)")
	cmd.Flags().StringVar(&incident, "incident", "none", "faults to plant: none, unit, airport, frozen or all")
	cmd.Flags().DurationVar(&day, "day", 2*time.Second, "wall time of one day of flights; 0 is as fast as it goes")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "no progress line")
	return cmd
}

func flightsPath(given string) (string, error) {
	if given != "" {
		if _, err := os.Stat(given); err != nil {
			return "", fairlead.Invalid("there is no flights file at %s", given).Cause(err)
		}
		return given, nil
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(exe), "flights-3m.parquet")
	if _, err := os.Stat(beside); err != nil {
		return "", fairlead.NotFound("the flights are not at %s", beside).Hintf("`make runtime` puts them there; or name the file with --flights")
	}
	return beside, nil
}

// replay pushes the bundle like any client would, and sends the flights.
func replay(ctx context.Context, opt flights.Options, out io.Writer) error {
	c, err := client.New(opt.Server)
	if err != nil {
		return err
	}
	entries, err := readFolder(flights.Bundle)
	if err != nil {
		return err
	}
	folder, err := tarOf(entries)
	if err != nil {
		return err
	}
	answer, err := c.Push(ctx, flights.Name, "champion", "application/x-tar", bytes.NewReader(folder))
	if err != nil {
		return err
	}
	if !answer.Existing {
		fmt.Fprint(out, pushed(answer))
	}
	r, err := flights.New(opt)
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// progressLine overwrites itself: a bar over the four months and what goes through.
func progressLine(p flights.Progress) string {
	const width = 24
	span := flights.End.Sub(flights.Start)
	filled := min(width, max(0, int(width*p.Event.Sub(flights.Start)/span)))
	bar := make([]rune, width)
	for i := range bar {
		bar[i] = '░'
		if i < filled {
			bar[i] = '█'
		}
	}
	state := ""
	if p.Behind {
		state = "  (slower than asked: the machine is busy)"
	}
	return fmt.Sprintf("\r\x1b[K  %s  %s  %d rows  %.0f rows/s  %d labels%s",
		p.Event.Format("2006-01-02 15:04"), string(bar), p.Rows, p.RowsPerSecond, p.Labels, state)
}
