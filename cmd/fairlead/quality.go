package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/reference"
	"github.com/fairlead-ml/fairlead/watch/quality"
)

// ruleFile is a file of rules: what suggest writes and quality reads.
type ruleFile struct {
	Quality []quality.Rule `json:"quality" yaml:"quality"`
}

func suggestCommand() *cobra.Command {
	var text []string
	var format string
	cmd := &cobra.Command{
		Use:   "suggest REFERENCE",
		Short: "Suggest rules of data quality that a file keeps; no server needed",
		Long: `Look at reference data and write rules that it keeps: what must be there, of which type, in which range or set, unique.
They are a start to be read by a person: delete what is chance, keep what is meant.`,
		Example: "  fairlead suggest reference.parquet > rules.yaml\n  fairlead quality rules.yaml today.parquet",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := readTable(args[0], text)
			if err != nil {
				return err
			}
			return writeRules(cmd.OutOrStdout(), format, args[0], quality.Suggest(t))
		},
	}
	cmd.Flags().StringSliceVar(&text, "text", nil, "columns whose digits are codes, not numbers")
	cmd.Flags().StringVarP(&format, "output", "o", "yaml", "yaml or json")
	return cmd
}

func readTable(path string, text []string) (*fairlead.Table, error) {
	b, err := os.ReadFile(path) // #nosec G304 -- named by the user
	if err != nil {
		return nil, fairlead.Invalid("cannot read %s", path).Hintf("it takes Parquet and CSV files").Cause(err)
	}
	return reference.Read(filepath.Base(path), b, text...)
}

func writeRules(w io.Writer, format, source string, rules []quality.Rule) error {
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(ruleFile{rules})
	case "yaml":
		if _, err := fmt.Fprintf(w, "# Rules that %s keeps. mostly: the share of rows that must comply; severity: error (default) or warning.\n", filepath.Base(source)); err != nil {
			return err
		}
		e := yaml.NewEncoder(w)
		e.SetIndent(2)
		return errors.Join(e.Encode(ruleFile{rules}), e.Close())
	}
	return fairlead.Invalid("-o %s is not known", format).Hintf("yaml or json")
}

func qualityCommand() *cobra.Command {
	var text []string
	var format string
	var strict bool
	cmd := &cobra.Command{
		Use:   "quality RULES FILE",
		Short: "Check a file against rules of data quality, or a Great Expectations suite; no server needed",
		Long: `Check every row of a Parquet or CSV file against rules: those of ` + "`fairlead suggest`" + ` (YAML or JSON), or a Great
Expectations suite (JSON). The exit status is 1 if a rule of severity error is broken or could not be checked; with
--strict also for warnings. One rule that makes no sense never keeps the others from being checked.`,
		Example: "  fairlead quality rules.yaml today.parquet\n  fairlead quality great_expectations/expectations/flights.json today.parquet",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			rules, left, err := readRules(args[0])
			if err != nil {
				return err
			}
			t, err := readTable(args[1], text)
			if err != nil {
				return err
			}
			results := quality.Check(rules, t, quality.Context{Now: time.Now()})
			if err := printQuality(cmd.OutOrStdout(), format, results, left); err != nil {
				return err
			}
			return verdictOn(results, strict)
		},
	}
	cmd.Flags().StringSliceVar(&text, "text", nil, "columns whose digits are codes, not numbers")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	cmd.Flags().BoolVar(&strict, "strict", false, "broken warnings fail too")
	return cmd
}

// goNames are the names of our own types in the messages of the YAML decoder.
var goNames = regexp.MustCompile(` (into|in type) \[?\]?(main|quality)\.\w+`)

// readRules reads our rules or another tool's suite; left says what has no rule here.
func readRules(path string) (rules []quality.Rule, left []string, err error) {
	b, err := os.ReadFile(path) // #nosec G304 -- named by the user
	if err != nil {
		return nil, nil, fairlead.Invalid("cannot read %s", path).Hintf("`fairlead suggest` writes a file of rules").Cause(err)
	}
	if strings.HasSuffix(path, ".json") && bytes.Contains(b, []byte(`"expectations"`)) {
		return quality.FromGreatExpectations(b)
	}
	var f ruleFile
	d := yaml.NewDecoder(bytes.NewReader(b)) // JSON is YAML
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		text := goNames.ReplaceAllString(strings.ReplaceAll(err.Error(), "\n", ""), "")
		return nil, nil, fairlead.Invalid("%s is no file of rules: %s", path, text).Hintf("it begins with quality: and a list of rules; `fairlead suggest` writes one")
	}
	if len(f.Quality) == 0 {
		return nil, nil, fairlead.Invalid("%s holds no rules", path).Hintf("it begins with quality: and a list of rules; `fairlead suggest` writes one")
	}
	for i := range f.Quality {
		if err := f.Quality[i].Check(); err != nil {
			var e *fairlead.Error
			if errors.As(err, &e) {
				return nil, nil, fairlead.Invalid("%s, rule %d: %s", path, i+1, e.Message).Hintf("%s", e.Hint)
			}
			return nil, nil, err
		}
	}
	return f.Quality, nil, nil
}

func printQuality(w io.Writer, format string, results []quality.Result, left []string) error {
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Results []quality.Result `json:"results"`
			LeftOut []string         `json:"left_out,omitempty"`
		}{results, left})
	case "table":
	default:
		return fairlead.Invalid("-o %s is not known", format).Hintf("table or json")
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "\tRULE\tEXAMPLE")
	kept := 0
	for _, r := range results {
		if r.OK {
			kept++
			continue
		}
		mark := "broken"
		switch {
		case r.Skipped != "":
			mark = "?"
		case r.Rule.Severity == quality.Warning:
			mark = "warning"
		}
		example := ""
		if len(r.Examples) > 0 {
			example = fmt.Sprintf("row %d: %s", r.Examples[0].Row, r.Examples[0].Value)
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\n", mark, r.Text, example)
	}
	if kept < len(results) {
		if err := tab.Flush(); err != nil {
			return err
		}
	}
	for _, l := range left {
		fmt.Fprintf(w, "left out: %s\n", l)
	}
	_, err := fmt.Fprintf(w, "%d of %d rules are kept\n", kept, len(results))
	return err
}

func verdictOn(results []quality.Result, strict bool) error {
	broken := 0
	for _, r := range results {
		if !r.OK && (strict || r.Rule.Severity != quality.Warning) {
			broken++
		}
	}
	if broken > 0 {
		return fairlead.Errorf(fairlead.CodeConflict, "%d of %d rules are broken", broken, len(results))
	}
	return nil
}
