package bundle

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMonitor(t *testing.T) {
	rate := 0.05
	for text, want := range map[string]MonitorFile{
		"{fdr: 0.05, tolerance: 0.1, windows: 2 of 3, grain: hour}": {FDR: &rate, Tolerance: 0.1, Windows: 2, Of: 3, Grain: "hour"},
		"{windows: 3, clear: 6}":                                    {Windows: 3, Of: 3, Clear: 6},
		"{measure: ks, tolerance: 0.05}":                            {Measure: "ks", Tolerance: 0.05},
		"{grain: day, windows: 1 of 1}":                             {Grain: "day", Windows: 1, Of: 1},
	} {
		f, err := ParseFile([]byte("name: a\nmonitor: " + text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if d := cmp.Diff(want, f.Monitor); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
}

func TestParseMonitorBad(t *testing.T) {
	for text, want := range map[string]string{
		"{fdr: 1}":                    "from 0 to 0.2",
		"{fdr: .nan}":                 "from 0 to 0.2",
		"{tolerance: 0}":              "above 0",
		"{tolerance: much}":           "above 0",
		"{measure: kl}":               "psi or ks",
		"{measure: ks}":               "needs a tolerance",
		"{measure: ks, tolerance: 2}": "needs a tolerance",
		"{grain: week}":               "hour or day",
		"{windows: 3 of 2}":           "2 of 3",
		"{windows: 0}":                "2 of 3",
		"{windows: 2 of 30}":          "at most 24",
		"{windows: 2 of 3 of 4}":      "2 of 3",
		"{windows: [2, 3]}":           "2 of 3",
		"{clear: 0}":                  "from 1 to 24",
		"{tolerence: 0.1}":            `did you mean "tolerance"`,
	} {
		_, err := ParseFile([]byte("name: a\nmonitor: " + text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
