package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
)

func exportCommand() *cobra.Command {
	var t talk
	var e exporter
	var to string
	var s3 s3Flags
	cmd := t.command(&cobra.Command{
		Use:   "export DEPLOYMENT --to FOLDER|s3://BUCKET/PREFIX",
		Short: "Copy what is stored of a deployment to Parquet files that any engine reads",
		Long: `Copy what is stored of a deployment to zstd Parquet files in a folder or an S3-compatible store, one folder for each
table, deployment and day: rows/deployment=flights/date=2026-01-31/part-….parquet. DuckDB, Spark, pandas and Polars read
them as they are (docs/export.md, docs/format/partitions.md).

Files have their names only once they are whole. What is there already with the same content is left alone, so the same command
again copies what is new, and goes on after an interruption. A day that changed is replaced; days that the server
has dropped since stay. manifest.DEPLOYMENT.json, written last, lists the files.

For S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where they are needed, AWS_SESSION_TOKEN, AWS_REGION and AWS_ENDPOINT_URL.`,
		Example: `  fairlead export flights --to /archive/fairlead
  fairlead export flights --from 2026-01-01 --until 2026-01-31 --tables rows,outcomes --to s3://lake/fairlead
  fairlead export flights --to s3://lake/fairlead --endpoint http://minio:9000`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			e.deployment = args[0]
			if err := e.check(to); err != nil {
				return err
			}
			if e.server, err = t.client(); err != nil {
				return err
			}
			ctx := cmd.Context()
			if e.to, err = openTarget(ctx, to, s3); err != nil {
				return err
			}
			defer e.to.close()
			e.bar = newDataBar(cmd.ErrOrStderr(), "rows")
			done, err := e.run(ctx)
			e.bar.close()
			if err != nil {
				if n := done.written(); n > 0 {
					fmt.Fprintf(cmd.ErrOrStderr(), "%d files are in %s and stay; the same command goes on from there\n", n, e.to)
				}
				return err
			}
			return printExported(cmd, t.out, e.to, done)
		},
	}, true)
	cmd.Flags().StringVar(&to, "to", "", "folder, or s3://BUCKET/PREFIX")
	cmd.Flags().StringVar(&e.from, "from", "", "first day, 2006-01-02 (default: the first there is)")
	cmd.Flags().StringVar(&e.until, "until", "", "last day, included (default: the last there is)")
	cmd.Flags().StringSliceVar(&e.tables, "tables", nil, "rows, labels, outcomes, events, profiles, findings, metrics, hours (default: all)")
	cmd.Flags().StringVar(&s3.endpoint, "endpoint", "", "address of an S3-compatible store, for example http://minio:9000 (default: AWS_ENDPOINT_URL, else Amazon's)")
	return cmd
}

// check looks at the flags that no server needs to be asked about.
func (e *exporter) check(to string) error {
	if to == "" {
		return fairlead.Invalid("--to is missing").Hintf("name a folder or s3://BUCKET/PREFIX")
	}
	if _, err := fairlead.ParseName(e.deployment); err != nil {
		return err
	}
	var days [2]time.Time
	for i, s := range []string{e.from, e.until} {
		if s == "" {
			continue
		}
		var err error
		if days[i], err = time.Parse(time.DateOnly, s); err != nil {
			return fairlead.Invalid("%q is no day", s).Hintf("write it as 2006-01-02")
		}
	}
	if e.from != "" && e.until != "" && days[1].Before(days[0]) {
		return fairlead.Invalid("--until %s is before --from %s", e.until, e.from).Hintf("--until is the last day, included")
	}
	return nil
}

// exportTarget is where an export goes. Paths have slashes and begin below the target.
type exportTarget interface {
	fmt.Stringer
	// list gives the sizes of the files below a folder; none where there is no such folder.
	list(ctx context.Context, folder string) (map[string]int64, error)
	// digest is the hexadecimal SHA-256 of a file, "" where it is not known.
	digest(ctx context.Context, path string) (string, error)
	// spool is a new file to collect content in before put; its user calls drop.
	spool() (*spooled, error)
	// put makes a spooled file one of the target's under a path, whole or not at all.
	put(ctx context.Context, f *spooled, path string) error
	read(ctx context.Context, path string) ([]byte, error) // nil: there is no such file
	remove(ctx context.Context, path string) error
	close()
}

func openTarget(ctx context.Context, to string, s3 s3Flags) (exportTarget, error) {
	if rest, ok := strings.CutPrefix(to, "s3://"); ok {
		return openBucket(ctx, rest, s3)
	}
	if scheme, _, ok := strings.Cut(to, "://"); ok {
		return nil, fairlead.Invalid("--to %s: %q is not known", to, scheme+"://").Hintf("name a folder or s3://BUCKET/PREFIX; other stores speak S3 with --endpoint")
	}
	if s3.endpoint != "" {
		return nil, fairlead.Invalid("--endpoint goes with --to s3://BUCKET/PREFIX, and %s is a folder", to)
	}
	return openFolder(to)
}

// exported says what a run did.
type exported struct {
	To       string           `json:"to"`
	Manifest string           `json:"manifest"`
	Tables   []*exportedTable `json:"tables"`
}

type exportedTable struct {
	Table   string `json:"table"`
	Days    int    `json:"days"`
	Files   int    `json:"files"`
	Rows    uint64 `json:"rows"`
	Bytes   uint64 `json:"bytes"`
	Written int    `json:"written"` // of the files; the others were there
	Removed int    `json:"removed"` // files that others have taken the place of
}

func (x *exported) of(table string) *exportedTable {
	i := slices.IndexFunc(x.Tables, func(t *exportedTable) bool { return t.Table == table })
	if i < 0 {
		i = len(x.Tables)
		x.Tables = append(x.Tables, &exportedTable{Table: table})
	}
	return x.Tables[i]
}

// add counts a day's files.
func (t *exportedTable) add(files []exportFile) {
	if len(files) > 0 {
		t.Days++
	}
	for _, f := range files {
		t.Files, t.Rows, t.Bytes = t.Files+1, t.Rows+f.Rows, t.Bytes+uint64(max(f.Bytes, 0))
	}
}

func (x *exported) written() (n int) {
	for _, t := range x.Tables {
		n += t.Written
	}
	return n
}

func printExported(cmd *cobra.Command, out printer, to exportTarget, done *exported) error {
	if err := out.print(cmd.OutOrStdout(), done, "TABLE|DAYS|FILES|ROWS|BYTES|WRITTEN", func(add func(...any)) {
		for _, t := range done.Tables {
			add(t.Table, t.Days, t.Files, t.Rows, t.Bytes, t.Written)
		}
	}); err != nil || out.format == "json" {
		return err
	}
	switch n := done.written(); n {
	case 0:
		fmt.Fprintf(cmd.OutOrStdout(), "nothing new; %s has it all\n", to)
	default:
		fmt.Fprintf(cmd.OutOrStdout(), "%d files written to %s\n", n, to)
	}
	return nil
}
