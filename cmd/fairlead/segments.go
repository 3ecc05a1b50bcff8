package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
)

func segmentsCommand() *cobra.Command {
	var t talk
	var remove bool
	cmd := t.command(&cobra.Command{
		Use:   "segments DEPLOYMENT [SEGMENT [PREDICATE]]",
		Short: "List, save and remove segments: predicates on a deployment's rows under a name",
		Long: `A segment is some of a deployment's rows, by a predicate in CEL's syntax on the columns that SQL knows them by. Its metrics over time
are those of ` + "`fairlead metrics DEPLOYMENT --segment SEGMENT`" + `, its rows the view segments."<deployment>/<segment>" in SQL (docs/segments.md).`,
		Example: "  fairlead segments flights\n  fairlead segments flights far 'distance > 1000 && origin in [\"ATL\", \"ORD\"]'\n  fairlead segments flights far --rm",
		Args:    cobra.RangeArgs(1, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			switch {
			case remove && len(args) != 2:
				return fairlead.Invalid("--rm needs the name of one segment").Hintf("fairlead segments %s SEGMENT --rm", args[0])
			case remove:
				gone, err := c.RemoveSegment(cmd.Context(), args[0], args[1])
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s is no segment of %s any more; it was %s\n", gone.Name, args[0], gone.Where)
				}
				return err
			case len(args) == 3:
				set, err := c.SetSegment(cmd.Context(), args[0], args[1], api.SegmentRequest{Where: args[2], By: whoami()})
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "%s is %s; in SQL segments.\"%s/%s\"\n", set.Name, set.Where, args[0], set.Name)
				}
				return err
			}
			return listSegments(cmd, &t, c, args)
		},
	}, true)
	cmd.Flags().BoolVar(&remove, "rm", false, "remove the segment")
	return cmd
}

func listSegments(cmd *cobra.Command, t *talk, c *client.Client, args []string) error {
	all, err := c.Segments(cmd.Context(), args[0])
	if err != nil {
		return err
	}
	if len(args) == 2 {
		for _, s := range all {
			if s.Name == args[1] {
				return t.out.print(cmd.OutOrStdout(), s, "SEGMENT|PREDICATE|SET|BY", func(add func(...any)) { add(s.Name, s.Where, s.Set, s.By) })
			}
		}
		return fairlead.NotFound("%s has no segment %q", args[0], args[1]).Hintf("fairlead segments %s %s 'distance > 1000' makes one", args[0], args[1])
	}
	if len(all) == 0 && t.out.format == "table" {
		fmt.Fprintf(cmd.OutOrStdout(), "%s has no saved segments: fairlead segments %s NAME 'distance > 1000' makes one\n", args[0], args[0])
		return nil
	}
	return t.out.print(cmd.OutOrStdout(), all, "SEGMENT|PREDICATE|SET|BY", func(add func(...any)) {
		for _, s := range all {
			add(s.Name, s.Where, s.Set, s.By)
		}
	})
}

// cubeFlags make `fairlead metrics` ask for segments.
type cubeFlags struct {
	segments []string
	by       string
	saved    bool
	version  int
}

func (f *cubeFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.segments, "segment", nil, "metrics of a saved segment, of all rows (all), or of those of a predicate; may be given several times")
	cmd.Flags().StringVar(&f.by, "by", "", "metrics for each of the 50 most frequent values of a column")
	cmd.Flags().BoolVar(&f.saved, "segments", false, "metrics of all rows and of every saved segment")
	cmd.Flags().IntVar(&f.version, "version", 0, "with segments: of one version (default: every version)")
}

func (f *cubeFlags) wanted() bool { return f.saved || f.by != "" || len(f.segments) > 0 }

// print shows the latest windows of each segment and version.
func (f *cubeFlags) print(cmd *cobra.Command, t *talk, c *client.Client, deployment string, w windows) error {
	cube, err := c.Cube(cmd.Context(), deployment, api.CubeQuery{Segments: f.segments, By: f.by, Version: f.version, Grain: w.grain, Limit: w.limit})
	if err != nil {
		return err
	}
	header := "SEGMENT|VERSION|WINDOW|N|LABELLED"
	for _, n := range cube.Names {
		header += "|" + n
	}
	return t.out.print(cmd.OutOrStdout(), cube, header, func(add func(...any)) {
		for _, x := range cube.Cells {
			cells := []any{x.Segment, x.Version, x.Start, x.N, x.Labelled}
			for _, n := range cube.Names {
				cells = append(cells, promise(x.Metrics, n))
			}
			add(cells...)
		}
	})
}
