package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead/api"
)

// windows are the flags that choose windows.
type windows struct {
	grain string
	limit int
}

func (w *windows) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.grain, "grain", "day", "hour or day")
	cmd.Flags().IntVar(&w.limit, "limit", 7, "the latest so many windows")
}

var emptyText = map[string]string{
	"no_reference": "This version has no reference to compare with: push it with --reference FILE.",
	"no_data": "No window has been measured yet: predictions show up a second or two after they are made,\n" +
		"in a day's window once its first hour of event time is over. --grain hour shows them sooner.",
	"no_labels": "No label has arrived yet: send them with `fairlead label` or POST …/labels.",
	"no_task":   "The bundle does not say what the model's task is: set task in fairlead.yaml.",
}

func metricsCommand() *cobra.Command {
	var t talk
	var w windows
	var cube cubeFlags
	cmd := t.command(&cobra.Command{
		Use: "metrics DEPLOYMENT", Short: "Show realised metrics as labels arrive, beside what the scores promised", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if cube.wanted() {
				return cube.print(cmd, &t, c, args[0], w)
			}
			m, err := c.Metrics(cmd.Context(), args[0], w.grain, w.limit)
			if err != nil {
				return err
			}
			promised := promisedMetrics(m)
			if t.out.format == "table" && m.Empty != "" && len(promised) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), emptyText[m.Empty])
				return nil
			}
			header := "WINDOW|N|LABELLED"
			for _, n := range m.Names {
				header += "|" + n
			}
			for _, n := range promised {
				header += "|estimated " + n
			}
			if len(promised) > 0 {
				header += "|CAUSE"
			}
			return t.out.print(cmd.OutOrStdout(), m, header, func(add func(...any)) {
				for _, p := range m.Points {
					cells := []any{p.Start, p.N, p.Labelled}
					for _, n := range m.Names {
						cells = append(cells, p.Metrics[n])
					}
					for _, n := range promised {
						cells = append(cells, promise(p.Estimated, n))
					}
					if len(promised) > 0 {
						cells = append(cells, p.Cause)
					}
					add(cells...)
				}
			})
		},
	}, true)
	w.register(cmd)
	cube.register(cmd)
	return cmd
}

// promisedMetrics are the metrics that were estimated in some window.
func promisedMetrics(m api.Metrics) []string {
	var names []string
	for _, n := range []string{"accuracy", "auroc"} {
		if slices.ContainsFunc(m.Points, func(p api.MetricsPoint) bool { _, ok := p.Estimated[n]; return ok }) {
			names = append(names, n)
		}
	}
	return names
}

// promise is an estimate with its interval.
func promise(all map[string]api.Estimate, name string) string {
	e, ok := all[name]
	switch {
	case !ok:
		return ""
	case e.Low == nil || e.High == nil:
		return fmt.Sprintf("%.4g", e.Value)
	}
	return fmt.Sprintf("%.3f (%.3f to %.3f)", e.Value, *e.Low, *e.High)
}

func alertsCommand() *cobra.Command {
	var t talk
	var state string
	cmd := t.command(&cobra.Command{
		Use: "alerts", Short: "List alerts; acknowledge, silence and explain them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			alerts, err := c.Alerts(cmd.Context(), state)
			if err != nil {
				return err
			}
			return t.out.print(cmd.OutOrStdout(), alerts, "STATE|DEPLOYMENT|COLUMN|ONSET|LAST|RESOLVED|WHO|MESSAGE|ID", func(add func(...any)) {
				for _, a := range alerts {
					add(a.State, a.Deployment, a.Column, a.Onset, a.Last, a.Resolved, whoCares(a.Acknowledged, a.Silenced), a.Message, a.ID)
				}
			})
		},
	}, true)
	cmd.Flags().StringVar(&state, "state", "", "only pending, firing or resolved ones")
	cmd.AddCommand(alertsSubcommands()...)
	return cmd
}
