package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairlead-ml/fairlead"
)

// printer writes a listing as a table for people or as JSON for programs.
type printer struct{ format string }

func (p *printer) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&p.format, "output", "o", "table", "table or json")
}

// check says whether the format is known; a command without the flag has none.
func (p *printer) check() error {
	switch p.format {
	case "", "table", "json":
		return nil
	}
	return fairlead.Invalid("output %q is not known", p.format).Hintf("use table or json")
}

// print writes value as JSON, or the table that rows gives.
func (p *printer) print(w io.Writer, value any, header string, rows func(add func(cells ...any))) error {
	if p.format == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(value)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.ReplaceAll(header, "|", "\t"))
	rows(func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, cell(c))
		}
		fmt.Fprintln(tw)
	})
	return tw.Flush()
}

func cell(v any) string {
	switch x := v.(type) {
	case *float64:
		if x == nil {
			return "-"
		}
		return number(*x)
	case float64:
		return number(x)
	case time.Time:
		if x.IsZero() {
			return "-"
		}
		return x.UTC().Format("2006-01-02 15:04")
	case nil:
		return "null"
	case []string:
		return strings.Join(x, ", ")
	case map[string]any, []any:
		b, err := json.Marshal(x)
		if err != nil {
			return fmt.Sprint(x)
		}
		return string(b)
	}
	return fmt.Sprint(v)
}

// number writes counts in full and everything else with four digits.
func number(x float64) string {
	if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		return strconv.FormatInt(int64(x), 10)
	}
	return fmt.Sprintf("%.4g", x)
}
