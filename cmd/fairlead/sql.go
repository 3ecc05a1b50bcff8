package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
)

func sqlCommand() *cobra.Command {
	var t talk
	var limit int
	var file, input string
	var tables bool
	cmd := t.command(&cobra.Command{
		Use: "sql QUERY", Short: "Ask the evaluation store in SQL", Args: cobra.MaximumNArgs(1),
		Long: `Ask the evaluation store in SQL: one SELECT in DuckDB's dialect, read-only. --tables lists what there is to ask;
docs/sql.md has examples. With --to the answer goes to a file, whose ending says how it is written: .csv, .parquet or
.arrow.`,
		Example: `  fairlead sql 'SELECT origin, count(*) AS n, avg(probability) FROM rows."flights" GROUP BY origin ORDER BY n DESC LIMIT 5'
  fairlead sql --tables
  fairlead sql 'FROM labelled."flights"' --to flights.parquet --limit 5000000`,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := sqlFormat(t.out.format, file, cmd.Flags().Changed("output"))
			if err != nil {
				return err
			}
			t.out.format = map[bool]string{true: "json", false: "table"}[format == "json"]
			c, err := t.client()
			if err != nil {
				return err
			}
			if tables {
				list, err := c.SQLSchema(cmd.Context())
				if err != nil {
					return err
				}
				return printTables(cmd, t.out, list)
			}
			query, err := queryOf(cmd, args, input)
			if err != nil {
				return err
			}
			if format == "table" || format == "json" && file == "" {
				answer, err := c.SQL(cmd.Context(), query, limit)
				if err != nil {
					return err
				}
				return printAnswer(cmd, t.out, answer)
			}
			return saveAnswer(cmd, file, format != "csv", func(w io.Writer) (api.SQLWritten, error) {
				return c.WriteSQL(cmd.Context(), w, query, format, limit)
			})
		},
	}, true)
	cmd.Flags().Lookup("output").Usage = "table, json, csv, arrow or parquet"
	cmd.Flags().IntVar(&limit, "limit", 1000, "rows at most")
	cmd.Flags().StringVar(&file, "to", "", "write the answer to this file")
	cmd.Flags().StringVarP(&input, "file", "f", "", "read the query from this file; - is standard input")
	cmd.Flags().BoolVar(&tables, "tables", false, "list the tables and their columns")
	return cmd
}

// sqlFormat is the format that the flags ask for.
func sqlFormat(format, file string, said bool) (string, error) {
	if file != "" && !said {
		format = strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), ".")
	}
	switch format {
	case "csv", "arrow", "parquet":
		return format, nil
	case "json", "table":
		if file != "" {
			return "", fairlead.Invalid("--to writes csv, arrow or parquet, not %s", format).Hintf("send the output elsewhere: fairlead sql … -o %s > FILE", format)
		}
		return format, nil
	}
	return "", fairlead.Invalid("format %q is not known", format).Hintf("use table, json, csv, arrow or parquet")
}

func queryOf(cmd *cobra.Command, args []string, file string) (string, error) {
	switch {
	case len(args) == 1 && file == "":
		return args[0], nil
	case file == "-":
		b, err := io.ReadAll(cmd.InOrStdin())
		return string(b), err
	case file != "" && len(args) == 0:
		b, err := os.ReadFile(file) // #nosec G304 -- named by the user
		return string(b), err
	}
	return "", fairlead.Invalid("expected one query").Hintf("fairlead sql 'SELECT …', fairlead sql -f FILE, or fairlead sql --tables")
}

func printAnswer(cmd *cobra.Command, out printer, answer api.SQLAnswer) error {
	err := out.print(cmd.OutOrStdout(), answer, strings.Join(answer.Columns, "|"), func(add func(...any)) {
		for _, row := range answer.Rows {
			add(row...)
		}
	})
	if err == nil && answer.Truncated && out.format == "table" {
		fmt.Fprintf(cmd.ErrOrStderr(), "only the first %d rows; ask for more with --limit\n", len(answer.Rows))
	}
	return err
}

func printTables(cmd *cobra.Command, out printer, tables []api.SQLTable) error {
	return out.print(cmd.OutOrStdout(), tables, "TABLE|ABOUT|COLUMNS", func(add func(...any)) {
		for _, t := range tables {
			names := make([]string, len(t.Columns))
			for i, c := range t.Columns {
				names[i] = c.Name
			}
			add(t.Name, t.About, strings.Join(names, " "))
		}
	})
}

// saveAnswer writes to a file, or to standard output if that is no terminal or the format is text.
func saveAnswer(cmd *cobra.Command, file string, binary bool, write func(io.Writer) (api.SQLWritten, error)) (err error) {
	w := cmd.OutOrStdout()
	if file == "" {
		if f, ok := w.(*os.File); ok && binary && term.IsTerminal(int(f.Fd())) { //nolint:gosec // a descriptor
			return fairlead.Invalid("a terminal cannot show this format").Hintf("write it to a file with --to FILE")
		}
	} else {
		f, cannot := os.Create(file) // #nosec G304 -- named by the user
		if cannot != nil {
			return cannot
		}
		defer func() { err = cmp.Or(err, f.Close()) }()
		w = f
	}
	written, err := write(w)
	if err != nil {
		return err
	}
	if written.Truncated {
		fmt.Fprintf(cmd.ErrOrStderr(), "only the first %d rows; ask for more with --limit\n", written.Rows)
	} else if file != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d rows in %s\n", written.Rows, file)
	}
	return nil
}
