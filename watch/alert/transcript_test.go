package alert

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// A transcript is a text of commands, one a line, each followed by what the book says, indented:
//
//	rule 0.1 hour for 1 clear 2
//	rule 0.1 hour for 2 clear 2 of 3 fdr 0.01
//	window 2001-03-08 00:00 v1: distance 4.2 noise 0.03 rows 689; origin 0.01 noise 0.03 rows 689
//	alerts            lists the book
//	restart           writes the book as JSON and reads it back
//
// A window's number is the debiased PSI; "-" is a column that could not be measured. "q 0.002" may follow the rows.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(b))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(b) && !*update {
				t.Errorf("the book says otherwise now (go test -update rewrites %s):\n%s", file, got)
			}
		})
	}
}

func play(t *testing.T, script string) string {
	t.Helper()
	book := Book{Deployment: "flights"}
	rule := single()
	var out strings.Builder
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		out.WriteString(line)
		command, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch command {
		case "", "#":
		case "rule":
			rule.Of, rule.FDR = 0, 0
			if n, err := fmt.Sscanf(rest, "%g %s for %d clear %d of %d fdr %g", &rule.Threshold, &rule.Grain, &rule.For, &rule.Clear, &rule.Of, &rule.FDR); n < 4 {
				t.Fatalf("%s: %v", line, err)
			}
			if err := rule.Validate(); err != nil {
				fmt.Fprintf(&out, "\trefused: %v\n", err)
			}
		case "window":
			for _, e := range book.Apply(rule, parseWindow(t, rest)) {
				fmt.Fprintf(&out, "\t%s: %s\n", e.Kind, e.Alert.Message)
			}
		case "alerts":
			for _, a := range book.Alerts() {
				fmt.Fprintf(&out, "\t%s %s\n\t\t%s\n", a.State, a.ID, a.Message)
			}
			if book.Late > 0 {
				fmt.Fprintf(&out, "\tcolumn windows left out as too late: %d\n", book.Late)
			}
		case "restart":
			b, err := json.Marshal(book)
			if err != nil {
				t.Fatal(err)
			}
			book = Book{}
			if err := json.Unmarshal(b, &book); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("unknown command %q", line)
		}
	}
	return out.String()
}

func parseWindow(t *testing.T, s string) Window {
	t.Helper()
	head, columns, _ := strings.Cut(s, ": ")
	at, version, _ := strings.Cut(head, " v")
	v, err := fairlead.ParseVersion(version)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	w := Window{Version: v}
	if w.Start, err = time.Parse("2006-01-02 15:04", at); err != nil {
		t.Fatal(err)
	}
	for column := range strings.SplitSeq(columns, "; ") {
		var o Observation
		var value string
		if n, err := fmt.Sscanf(column, "%s %s noise %g rows %d q %g", &o.Column, &value, &o.Floor, &o.N, &o.Q); n < 4 {
			t.Fatalf("%s: %v", column, err)
		}
		if value == "-" {
			value = "NaN"
		}
		if o.Effect, err = strconv.ParseFloat(value, 64); err != nil {
			t.Fatal(err)
		}
		o.Value = o.Effect + o.Floor/3
		w.Observations = append(w.Observations, o)
	}
	return w
}
