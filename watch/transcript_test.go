package watch

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/alert"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// The spine as a text: 300 flights an hour, the distance in kilometres from 10:00 to 13:00, labels two hours later,
// late rows that change an hour that was decided, and a restart of the watcher.
func TestTranscript(t *testing.T) {
	s := newStore()
	s.refs[versionKey{"flights", 1}] = reference(t, false)
	opt := Options{Rule: func(fairlead.Name) alert.Rule {
		return alert.Rule{Measure: alert.MeasurePSI, Threshold: 0.1, Grain: "hour", For: 1, Clear: 2}
	}}
	w := s.watcher(opt)
	r := rand.New(rand.NewPCG(2, 2))
	start := time.Date(2001, 3, 8, 0, 0, 0, 0, time.UTC)
	at := func(hour int) time.Time { return start.Add(time.Duration(hour) * time.Hour) }
	var out strings.Builder
	step := func(format string, args ...any) {
		t.Helper()
		fmt.Fprintf(&out, "# "+format+"\n", args...)
		seen := len(s.saved)
		before := map[string]alert.State{}
		for _, a := range s.alerts(t, "flights") {
			before[a.ID] = a.State
		}
		if _, err := w.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, res := range s.saved[seen:] {
			write(&out, res)
		}
		for _, a := range s.alerts(t, "flights") {
			if before[a.ID] != a.State {
				fmt.Fprintf(&out, "alert %s: %s\n", a.State, a.Message)
			}
			delete(before, a.ID)
		}
		for id := range before {
			fmt.Fprintf(&out, "alert gone: %s\n", id)
		}
		out.WriteString("\n")
	}

	var predicted [][]flight
	for hour := 8; hour < 17; hour++ {
		rows := flights(r, at(hour), time.Hour, 300)
		if hour >= 10 && hour < 13 {
			rows = inKilometres(rows)
		}
		predicted = append(predicted, rows)
		s.predict(t, "flights", 1, rows)
		if labelled := len(predicted) - 3; labelled >= 0 {
			s.label("flights", 1, predicted[labelled])
		}
		step("%02d:00 to %02d:00 is predicted", hour, hour+1)
	}
	step("nothing new")
	s.predict(t, "flights", 1, inKilometres(flights(r, at(14), time.Hour, 900)))
	step("900 late rows of 14:00, in kilometres too: the alert goes on")
	w = s.watcher(opt)
	step("a new watcher looks at everything that is not done")
	s.predict(t, "flights", 1, flights(r, at(25), time.Minute, 1))
	step("a single row of the next night closes the day")
	s.label("flights", 1, predicted[len(predicted)-2])
	s.label("flights", 1, predicted[len(predicted)-1])
	step("the labels of the last two hours, and so of all but the late rows")
	step("nothing new")

	golden(t, "testdata/step.txt", out.String())
}

// golden compares got with the file, or rewrites it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the watcher says otherwise now (go test -update rewrites %s):\n%s", file, got)
	}
}

func write(out *strings.Builder, res Result) {
	for _, win := range res.Windows {
		fmt.Fprintf(out, "%s\n", win)
		var columns []string
		provisional := false
		for _, f := range res.Findings {
			if f.Window == win {
				columns = append(columns, fmt.Sprintf("%s %s %.2f", f.Column, f.Verdict, math.Round(100*f.PSIDebiased)/100+0)) // no -0.00
				provisional = f.Provisional
			}
		}
		if columns != nil {
			fmt.Fprintf(out, "  drift%s: %s\n", note(provisional), strings.Join(columns, ", "))
		}
		for _, m := range res.Metrics {
			if m.Window == win {
				fmt.Fprintf(out, "  metrics%s: %d of %d labelled", note(m.Provisional), m.Labelled, m.N)
				for _, name := range []string{"accuracy", "auroc", "positive_rate", "predicted_rate"} {
					if v, ok := m.Values[name]; ok {
						fmt.Fprintf(out, ", %s %.3f", name, v)
					}
				}
				out.WriteString("\n")
			}
		}
	}
	for _, c := range res.Done {
		fmt.Fprintf(out, "done: %s\n", c.Hour.Format("2006-01-02 15:04"))
	}
}

func note(provisional bool) string {
	if provisional {
		return " (provisional)"
	}
	return ""
}
