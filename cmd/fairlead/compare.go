package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/reference"
	"github.com/fairlead-ml/fairlead/watch/compare"
	"github.com/fairlead-ml/fairlead/watch/compat"
	"github.com/fairlead-ml/fairlead/watch/report"
)

// compareFlags are the flags of fairlead compare.
type compareFlags struct {
	o                   compare.Options
	task                string
	html, markdown, out string
	text, compat        []string
	seed                uint64
	all, failOnDrift    bool
}

func compareCommand() *cobra.Command {
	var f compareFlags
	cmd := &cobra.Command{
		Use:   "compare REFERENCE CURRENT",
		Short: "Compare two files of rows: drift, broken rules, performance; no server needed",
		Long: `Compare the rows of two Parquet or CSV files: what a model was made of against what it gets now. Each column is measured
against frozen bins of the reference, with the noise that so many rows give by chance, all columns judged together at a stated
rate of false alarms. With an event time the drift is followed and named; with scores and labels the performance is measured,
and estimated where labels are missing.`,
		Example: "  fairlead compare reference.parquet current.parquet\n  fairlead compare may.parquet june.parquet --html report.html --score probability --label late",
		Args:    cobra.ExactArgs(2),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.html, "html", "", "write a page to this file; it needs nothing else")
	flags.StringVar(&f.markdown, "markdown", "", "write Markdown for a pull request to this file; - for the standard output")
	flags.StringVarP(&f.out, "output", "o", "", "json: the whole report")
	flags.StringSliceVar(&f.o.Columns, "columns", nil, "only these")
	flags.StringSliceVar(&f.text, "text", nil, "columns whose digits are codes, not numbers")
	flags.StringVar(&f.o.Time, "time", "", "column of event time (default: the first that holds times)")
	flags.StringVar(&f.o.Score, "score", "", "column of what the model said")
	flags.StringVar(&f.o.Label, "label", "", "column of the truth")
	flags.StringVar(&f.task, "task", "binary", "binary or regression, with --score")
	flags.StringVar(&f.o.Positive, "positive", "", "label of the positive class")
	flags.Float64Var(&f.o.Threshold, "threshold", 0.5, "of the decision")
	flags.Float64Var(&f.o.Tolerance, "tolerance", 0.02, "debiased PSI that is no drift yet")
	flags.Float64Var(&f.o.FDR, "fdr", 0.01, "share of false alarms among the drifted columns")
	flags.IntVar(&f.o.Sample, "sample", 5000, "rows of each file for what looks at whole rows; -1: none")
	flags.StringSliceVar(&f.compat, "compat", nil, "the numbers of other tools too: evidently, nannyml, deepchecks, tfdv, fiddler, deequ")
	flags.Uint64Var(&f.seed, "seed", 1, "of the sample")
	flags.BoolVar(&f.all, "all", false, "print all columns, not only the first 30")
	flags.BoolVar(&f.failOnDrift, "fail", false, "exit with status 1 if a column drifted or a rule is broken")
	return cmd
}

func (f *compareFlags) run(cmd *cobra.Command, refPath, curPath string) error {
	if f.out != "" && f.out != "json" {
		return fairlead.Invalid("-o %s is not known", f.out).Hintf("json is; --html and --markdown write to files")
	}
	task, err := fairlead.ParseTask(f.task)
	if err != nil {
		return err
	}
	f.o.Task = task
	for _, name := range f.compat {
		tool, err := compat.ParseTool(name)
		if err != nil {
			return err
		}
		f.o.Compat = append(f.o.Compat, tool)
	}
	ref, err := openSide(refPath, f.text)
	if err != nil {
		return err
	}
	cur, err := openSide(curPath, f.text)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(f.seed, f.seed)) // #nosec G404 -- a sample, repeatable on purpose
	f.o.Perm = rng.Perm
	f.o.Pick = func(n, k int) []int { return pickRows(rng, n, k) }
	f.o.Workers = runtime.GOMAXPROCS(0)
	bar := newColumnBar(cmd.ErrOrStderr())
	f.o.Progress = bar.show
	r, err := compare.Compare(ref, cur, f.o)
	bar.close()
	if err != nil {
		return err
	}
	if err := f.write(cmd, r); err != nil {
		return err
	}
	if f.failOnDrift && (r.Drifted > 0 || len(r.Quality) > 0) {
		return errDiffers
	}
	return nil
}

var errDiffers = fairlead.Errorf(fairlead.CodeConflict, "the current rows differ from the reference")

func openSide(path string, text []string) (compare.Side, error) {
	b, err := os.ReadFile(path) // #nosec G304 -- named by the user
	if err != nil {
		return compare.Side{}, fairlead.Invalid("cannot read %s", path).Hintf("it takes Parquet and CSV files").Cause(err)
	}
	f, err := reference.Open(filepath.Base(path), b, text...)
	if err != nil {
		return compare.Side{}, err
	}
	return compare.Side{Name: filepath.Base(path), Rows: f.Rows, Source: f}, nil
}

// pickRows draws k of n rows, ascending (Floyd).
func pickRows(rng *rand.Rand, n, k int) []int {
	chosen := make(map[int]bool, k)
	for j := n - k; j < n; j++ {
		if t := rng.IntN(j + 1); chosen[t] {
			chosen[j] = true
		} else {
			chosen[t] = true
		}
	}
	rows := make([]int, 0, k)
	for row := range chosen {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	return rows
}

func (f *compareFlags) write(cmd *cobra.Command, r *compare.Report) error {
	out := cmd.OutOrStdout()
	if f.html != "" {
		page, err := report.HTML(r, time.Now().Format("2 January 2006"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.html, page, 0o644); err != nil { // #nosec G306 -- a report to be read
			return err
		}
	}
	switch {
	case f.markdown == "-":
		_, err := out.Write(report.Markdown(r))
		return err
	case f.markdown != "":
		if err := os.WriteFile(f.markdown, report.Markdown(r), 0o644); err != nil { // #nosec G306 -- a report to be read
			return err
		}
	}
	if f.out == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	most := 30
	if f.all {
		most = 0
	}
	if _, err := out.Write(report.Text(r, most)); err != nil {
		return err
	}
	if f.html != "" {
		_, err := fmt.Fprintf(out, "\nThe page is in %s.\n", f.html)
		return err
	}
	return nil
}

// columnBar shows how far the comparison is, where a person looks.
type columnBar struct{ bar *progressbar.ProgressBar }

func newColumnBar(w io.Writer) *columnBar {
	f, ok := w.(*os.File)
	if !ok {
		return &columnBar{}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &columnBar{}
	}
	return &columnBar{progressbar.NewOptions(1, progressbar.OptionSetWriter(f), progressbar.OptionSetDescription("comparing"),
		progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())}
}

func (b *columnBar) show(done, of int) {
	if b.bar != nil {
		b.bar.ChangeMax(of)
		_ = b.bar.Set(done) // a bar that cannot be drawn stops nothing
	}
}

func (b *columnBar) close() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}
