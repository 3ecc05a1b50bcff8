package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

func replayCommand() *cobra.Command {
	var t talk
	var in api.ReplayRequest
	var from, to string
	cmd := t.command(&cobra.Command{
		Use: "replay DEPLOYMENT --against VERSION", Short: "Run recorded requests through another version and compare", Args: cobra.ExactArgs(1),
		Long: `Run recorded requests through another version, beside what serves, and report what differs: decisions that flip, how far
scores move, in which segments, and the rows on which the two disagree most. The version only needs to be in the registry.`,
		Example: "  fairlead replay flights --against 4 --from 2001-03-01 --to 2001-03-08 --sample 50000",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if in.From, err = moment("from", from); err != nil {
				return err
			}
			if in.To, err = moment("to", to); err != nil {
				return err
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			progress, done := replayBar(cmd.ErrOrStderr())
			report, err := c.Replay(cmd.Context(), args[0], in, progress)
			done()
			if err != nil {
				return err
			}
			if t.out.format == "json" {
				return t.out.print(cmd.OutOrStdout(), report, "", nil)
			}
			return printReplay(cmd.OutOrStdout(), t.out, report)
		},
	}, true)
	cmd.Flags().StringVar(&in.Against, "against", "", "the version to ask: a number, an alias or a digest")
	cmd.Flags().StringVar(&from, "from", "", "first event time: 2001-03-01 or 2001-03-01T12:00:00Z; a day before --to if absent")
	cmd.Flags().StringVar(&to, "to", "", "event time to stop before; the latest recorded row if absent")
	cmd.Flags().IntVar(&in.Sample, "sample", 0, "about how many rows, always the same ones (default 100000)")
	_ = cmd.MarkFlagRequired("against") // the flag is there
	return cmd
}

// moment reads a day or a time in UTC; "" is the zero time.
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano, "2006-01-02T15:04", time.DateTime} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fairlead.Invalid("--%s %q is no time", flag, text).Hintf("2001-03-01 or 2001-03-01T12:00:00Z")
}

// replayBar draws progress on a terminal.
func replayBar(w io.Writer) (progress func(done, total int), end func()) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) { //nolint:gosec // a descriptor
		return nil, func() {}
	}
	bar := progressbar.NewOptions(1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("replaying"), progressbar.OptionClearOnFinish(),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"), progressbar.OptionThrottle(100*time.Millisecond))
	return func(done, total int) {
		if total != bar.GetMax() {
			bar.ChangeMax(total)
		}
		_ = bar.Set(done) // only a picture
	}, func() { _ = bar.Finish() }
}

func printReplay(w io.Writer, out printer, r api.ReplayReport) error {
	fmt.Fprintf(w, "%s against %s, %s to %s\n", r.Deployment, r.Against, r.From.Format(time.DateTime), r.To.Format(time.DateTime))
	fmt.Fprintf(w, "%d rows compared in %.1f s", r.Rows, r.Seconds)
	if s := r.Skipped; s != (api.ReplaySkipped{}) {
		fmt.Fprintf(w, "; skipped: %d redacted, %d incomplete, %d failed", s.Redacted, s.Incomplete, s.Failed)
	}
	fmt.Fprintln(w)
	if r.Rows == 0 {
		return nil
	}
	fmt.Fprintln(w)
	err := out.print(w, nil, "MEASURE|VALUE|", func(add func(...any)) {
		if r.FlipRate != nil {
			add("other decision", fmt.Sprintf("%d rows", r.Flips), fmt.Sprintf("%.3f %% (%.3f to %.3f)", 100**r.FlipRate, 100**r.FlipLow, 100**r.FlipHigh))
		}
		if r.Scored > 0 {
			add("mean difference", r.Mean, "replayed - recorded")
			for _, d := range r.Difference {
				add(fmt.Sprintf("difference, %g %%", 100*d.Level), d.Signed, fmt.Sprintf("absolute %s", number(d.Absolute)))
			}
			add("rank correlation", r.Spearman, "Spearman")
			add("PSI of the scores", r.PSI, fmt.Sprintf("noise %s", cell(r.PSIFloor)))
			add("KS of the scores", r.KS, fmt.Sprintf("noise %s", cell(r.KSFloor)))
		}
		if r.Invalid > 0 {
			add("no finite score", fmt.Sprint(r.Invalid), "")
		}
		add("computing a row", fmt.Sprintf("%.1f µs", r.Run), fmt.Sprintf("recorded requests %s µs, waiting included", cell(r.Recorded)))
	})
	if err != nil {
		return err
	}
	if len(r.Segments) > 0 {
		fmt.Fprintln(w)
		err = out.print(w, nil, "SEGMENT|ROWS|FLIPS|MEAN DIFFERENCE", func(add func(...any)) {
			for _, s := range r.Segments[:min(len(r.Segments), 10)] {
				add(s.Name, s.Rows, s.Flips, s.Mean)
			}
		})
	}
	if err != nil || len(r.Examples) == 0 {
		return err
	}
	fmt.Fprintln(w)
	return out.print(w, nil, "PREDICTION|RECORDED|REPLAYED|SEGMENT", func(add func(...any)) {
		for _, e := range r.Examples[:min(len(r.Examples), 10)] {
			add(e.ID, fmt.Sprintf("%s %s", number(e.Recorded), e.RecordedClass), fmt.Sprintf("%s %s", number(e.Replayed), e.ReplayedClass), e.Segment)
		}
	})
}
