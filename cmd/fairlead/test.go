package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/app"
	"github.com/fairlead-ml/fairlead/client"
)

func testCommand() *cobra.Command {
	var t talk
	var in api.TestRequest
	var junit, library string
	var here, all bool
	cmd := t.command(&cobra.Command{
		Use:   "test FOLDER|FILE|NAME[@VERSION]",
		Short: "Run the tests of a bundle: exit status 1 if it fails them",
		Long: `Run the tests that a bundle brings in its fairlead.yaml: metric floors on the evaluation set, overall and by segment,
comparisons with another version, invariance and direction, examples, latency and size budgets. docs/testing.md describes
them. A bundle without tests is asked what needs no numbers: golden vectors, finite answers, batches, missing values.

A folder, an .onnx file and a file that ` + "`fairlead models export`" + ` wrote are tested on this machine, without a server. NAME@VERSION
is tested on the server, or with --here on this machine. A test that compares with the champion finds it on the server, if
--server or FAIRLEAD_SERVER names one, or is told by --against.`,
		Example: "  fairlead test bundle/\n  fairlead test bundle/ --against flights:champion --junit report.xml\n  fairlead test flights@4 --skip latency",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			var report api.TestReport
			if here || local(args[0]) {
				report, err = testHere(cmd, fetcher(cmd, c, in.Against, args[0]), library, args[0], in, t.out.format)
			} else {
				name, version := split(args[0])
				done := waiting(cmd.ErrOrStderr(), t.out.format, "testing "+args[0]+" on the server")
				report, err = c.Test(cmd.Context(), name, orNewest(cmd, c, name, version), in)
				done()
			}
			if err != nil {
				return err
			}
			if junit != "" {
				if err := writeJUnit(junit, report); err != nil {
					return err
				}
			}
			if t.out.format == "json" {
				err = t.out.print(cmd.OutOrStdout(), report, "", nil)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), testTable(report, all))
			}
			return errors.Join(err, app.CheckTests(report))
		},
	}, true)
	cmd.Flags().StringSliceVar(&in.Skip, "skip", nil, "kinds of tests that are not asked: latency")
	cmd.Flags().StringSliceVar(&in.Only, "only", nil, "kinds of tests that are asked (default: all)")
	cmd.Flags().StringVar(&in.Against, "against", "", "what not_worse_than compares with: a folder, a file or a version")
	cmd.Flags().StringVar(&in.Variant, "variant", "", "variant to test (default: the one that runs here)")
	cmd.Flags().StringVar(&junit, "junit", "", "write the report as JUnit XML, for CI")
	cmd.Flags().BoolVar(&here, "here", false, "test NAME@VERSION on this machine instead of the server's")
	cmd.Flags().BoolVar(&all, "all", false, "show every segment, not only those that fail")
	cmd.Flags().StringVar(&library, "library", "", "ONNX Runtime's shared library (default: beside the binary)")
	return cmd
}

// local says whether what the user named lies on this machine, or would if it was there.
func local(what string) bool {
	_, err := os.Stat(what)
	return err == nil || app.NamesFile(what)
}

// fetcher brings versions from a server. Without a wish for one a folder is tested without asking anybody.
func fetcher(cmd *cobra.Command, c *client.Client, what ...string) func(context.Context, string, io.Writer) error {
	wanted := cmd.Flags().Changed("server") || os.Getenv("FAIRLEAD_SERVER") != ""
	for _, w := range what {
		wanted = wanted || w != "" && !local(w)
	}
	if !wanted {
		return nil
	}
	return func(ctx context.Context, reference string, w io.Writer) error {
		name, version := split(reference)
		_, err := c.Export(ctx, name, orNewest(cmd, c, name, version), w)
		return err
	}
}

// orNewest is the version that a bare name means; what goes wrong shows when it is asked for.
func orNewest(cmd *cobra.Command, c *client.Client, name, version string) string {
	if version != "" {
		return version
	}
	if m, err := c.Model(cmd.Context(), name); err == nil {
		if v, err := pick(m, ""); err == nil {
			return strconv.Itoa(v.Version)
		}
	}
	return "champion"
}

func testHere(cmd *cobra.Command, fetch func(context.Context, string, io.Writer) error, library, what string, in api.TestRequest, format string) (report api.TestReport, err error) {
	w, err := workbench(library, fetch)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	begin, done := testBar(cmd.ErrOrStderr(), format)
	defer done()
	return w.Test(cmd.Context(), what, in, begin)
}

// testBar draws which test is being asked, where a person looks; done clears it.
func testBar(w io.Writer, format string) (begin func(name string, at, of int), done func()) {
	if format == "json" || !watched(w) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionShowCount(), progressbar.OptionSetWidth(20),
		progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false), progressbar.OptionClearOnFinish())
	return func(name string, at, of int) {
		bar.ChangeMax(of)
		bar.Describe(clip(name, 44))
		_ = bar.Set(at) // a bar that cannot be drawn stops nothing
	}, func() { _ = bar.Finish() }
}

// waiting draws that the server is at work, where a person looks; done clears it.
func waiting(w io.Writer, format, what string) (done func()) {
	if format == "json" || !watched(w) {
		return func() {}
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionSpinnerType(14),
		progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish())
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				_ = bar.Finish()
				return
			case <-tick.C:
				_ = bar.Add(1)
			}
		}
	}()
	return func() { close(quit); <-gone }
}

// watched says that a person looks at w.
func watched(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) // #nosec G115 -- a file descriptor is small
}

func workbench(library string, fetch func(context.Context, string, io.Writer) error) (*app.Workbench, error) {
	config := app.Defaults()
	config.Library = library
	w, err := app.OpenWorkbench(config)
	if err == nil {
		w.Fetch = fetch
	}
	return w, err
}

func writeJUnit(path string, r api.TestReport) error {
	var b bytes.Buffer
	if err := junitXML(&b, r); err != nil {
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil { // #nosec G306 -- a report for others to read
		return fairlead.Invalid("the report cannot be written: %v", err)
	}
	return nil
}
