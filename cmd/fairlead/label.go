package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/client"
	"github.com/fairlead-ml/fairlead/learn/backfill"
)

func labelCommand() *cobra.Command {
	var t talk
	var w backfill.Wanted
	var retract bool
	cmd := t.command(&cobra.Command{
		Use: "label DEPLOYMENT PREDICTION-ID VALUE | DEPLOYMENT FILE", Short: "Say what was true: one label, or a file of them", Args: cobra.RangeArgs(2, 3),
		Long: `Say what was true of a prediction, or of a file of them: Parquet, CSV or JSON Lines. --id, --value and --time name the
columns of a file; without them they are found by their usual names. With --key the labels are about an entity instead of a
prediction, and the model's label.join and label.within say which of its predictions (docs/labels.md).

Labels are on disk when they are counted. A row that cannot be read is listed and keeps no other back; one without a value
is not known yet. Sending the same file again adds nothing, so after an interruption the same command goes on.`,
		Example: `  fairlead label flights 01J8Z5T4N8W9V6Y0M2K7R3Q1XA late
  fairlead label flights 01J8Z5T4N8W9V6Y0M2K7R3Q1XA --retract
  fairlead label flights late.parquet --id prediction_id --value late
  fairlead label credit defaults.csv --key customer --time defaulted_on --value defaulted`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if retract && len(args) == 3 {
				return fairlead.Invalid("--retract takes back a label, so it takes no value").Hintf("fairlead label %s %s --retract", args[0], args[1])
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			if len(args) == 2 && !retract {
				return labelFile(cmd, c, args[0], args[1], w)
			}
			label := api.Label{PredictionID: args[1], Retract: retract}
			if len(args) == 3 {
				label.Value = args[2]
			}
			if w.Time != "" {
				if label.Time, err = time.Parse(time.RFC3339, w.Time); err != nil {
					return fairlead.Invalid("--time %q is not a time", w.Time).Hintf("write it as in RFC 3339: 2001-03-08T14:05:00Z")
				}
			}
			answer, err := c.Label(cmd.Context(), args[0], []api.Label{label})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d label on disk\n", answer.Accepted)
			return nil
		},
	}, false)
	f := cmd.Flags()
	f.StringVar(&w.Time, "time", "", "when the outcome happened (RFC 3339); with a file, the column that says so")
	f.StringVar(&w.ID, "id", "", "column with the prediction's id")
	f.StringVar(&w.Key, "key", "", "column with the entity key, instead of --id")
	f.StringVar(&w.Value, "value", "", "column with the label")
	f.BoolVar(&retract, "retract", false, "take back what was said of one prediction")
	return cmd
}

// labelFile sends a file of labels.
func labelFile(cmd *cobra.Command, c *client.Client, deployment, path string, w backfill.Wanted) error {
	src, f, err := openData(path)
	if err != nil {
		var e *fairlead.Error
		if errors.As(err, &e) && os.IsNotExist(e.Err) {
			e.Hint = "a label is DEPLOYMENT PREDICTION-ID VALUE, or DEPLOYMENT FILE; " + e.Hint
		}
		return err
	}
	defer f.Close()
	name, err := labelName(cmd.Context(), c, deployment)
	if err != nil {
		return err
	}
	m, err := backfill.Labels(src.Columns(), name, w)
	if err != nil {
		return err
	}
	r := backfill.NewLabelReader(src, fairlead.Name(deployment), m)
	bar := newDataBar(cmd.ErrOrStderr(), "labels")
	var accepted, repeated int
	for {
		labels, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			bar.close()
			return err
		}
		for len(labels) > 0 { // a message is one portion of the server's
			n := min(len(labels), labelsPerRequest)
			var answer api.BulkLabelsAnswer
			err = insist(cmd.Context(), func() (err error) {
				answer, err = c.LabelMessage(cmd.Context(), deployment, backfill.LabelMessage(labels[:n]))
				return err
			})
			if err != nil {
				bar.close()
				fmt.Fprintf(cmd.ErrOrStderr(), "%d labels are on disk; the same command goes on from there\n", accepted+repeated)
				return err
			}
			accepted, repeated, labels = accepted+answer.Accepted, repeated+answer.Repeated, labels[n:]
		}
		bar.show(src)
	}
	bar.close()
	faults(cmd.ErrOrStderr(), &r.Faults)
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%d labels on disk", accepted)
	if repeated > 0 {
		fmt.Fprintf(out, ", %d were there already", repeated)
	}
	if r.Unknown > 0 {
		fmt.Fprintf(out, ", %d rows have no value yet", r.Unknown)
	}
	fmt.Fprintln(out)
	if accepted+repeated == 0 && r.Faults.N > 0 {
		return fairlead.Invalid("no row of %s could be read as a label", path)
	}
	return nil
}

// labelsPerRequest keeps a message small even where ids are long.
const labelsPerRequest = 10_000

// labelName is what the deployment's live model calls its label; "" for one that does not say.
func labelName(ctx context.Context, c *client.Client, deployment string) (string, error) {
	all, err := c.Deployments(ctx)
	if err != nil {
		return "", err
	}
	for _, d := range all {
		if d.Name == deployment {
			return d.Label, nil
		}
	}
	return "", nil // a pipeline, or nothing: the server says it with the names that there are
}

func labelsCommand() *cobra.Command {
	var t talk
	var w windows
	cmd := t.command(&cobra.Command{
		Use: "labels DEPLOYMENT", Short: "Show how late labels come, and how complete each window is", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			lag, err := c.LabelLag(cmd.Context(), args[0], w.grain, w.limit)
			if err != nil {
				return err
			}
			if t.out.format == "table" {
				fmt.Fprint(cmd.OutOrStdout(), lagText(lag))
				if len(lag.Windows) == 0 {
					return nil
				}
			}
			return t.out.print(cmd.OutOrStdout(), lag, "WINDOW|N|LABELLED|SHARE|IN THE END|COMPLETE|STATE", func(add func(...any)) {
				for _, x := range lag.Windows {
					state := "final"
					if x.Provisional {
						state = "provisional"
					}
					add(x.Start, x.N, x.Labelled, x.Share, x.Final, x.Completeness, state)
				}
			})
		},
	}, true)
	w.register(cmd)
	return cmd
}

func lagText(lag api.LabelLag) string {
	if lag.N == 0 {
		return "No prediction is in the store yet.\n"
	}
	if lag.Median == nil {
		return fmt.Sprintf("None of %d predictions has a label yet: send them with `fairlead label`.\n", lag.N)
	}
	return fmt.Sprintf("Of 100 predictions %.3g get a label; half of the labels are there after %s, 95 %% after %s.\n",
		100*lag.Final, span(*lag.Median), span(*lag.P95))
}

// span writes seconds for a person.
func span(seconds float64) string { return (time.Duration(seconds) * time.Second).String() }
