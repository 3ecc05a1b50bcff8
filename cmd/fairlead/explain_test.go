package main

import (
	"os"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/api"
)

func pointer(x float64) *float64 { return &x }

func TestExplanationOnATerminal(t *testing.T) {
	part := func(x, low, high float64) api.Estimate {
		return api.Estimate{Value: x, Low: pointer(low), High: pointer(high)}
	}
	e := api.AlertExplanation{
		Text: "hour has drifted since 8 March 2001 14:00.", Harm: "moves", Alert: api.Alert{Column: "hour"},
		Course: api.Course{Kind: "instantaneous", Confidence: 0.97, Provisional: true},
		Sure:   api.Sureness{Windows: 5, Drifted: 4, Rows: 2800, PSI: 1.31, Floor: 0.06, Rule: "psi 0.2, 2 of 3 hours"},
		Shares: []api.ValueShare{{Label: "20 … 23", Before: 0.001, Now: 0.229, Part: 0.98}},
		Carried: &api.Concentration{
			Compared: "the same hours of the weeks before", Before: 2800, Now: 2800, Looked: 367,
			Segments: []api.CarryingSegment{
				{Where: `origin in ["ATL", "ORD"]`, Label: "origin ATL, ORD", Part: part(0.98, 0.96, 1), Rows: 0.229, Kind: "values", Inside: pointer(12.9), Outside: pointer(0)},
				{Name: "the coast", Where: "x", Label: "the coast", Part: part(0.3, 0.2, 0.4), Rows: 0.1, RowsBefore: 0.4, Kind: "rows"},
			},
		},
		Impact: &api.Counterfactual{
			Says: "with values of before, 8.2% of the decisions (7.0% to 9.4%) would be others", Clear: true, Version: 3, Rows: 2000, Replaced: 0.23, Method: "quantiles",
			Compared: "the same hours of the weeks before", Score: &api.PutBack{Now: 0.296, Back: 0.254, Change: part(0.042, 0.036, 0.048)},
			Flips: &api.Estimate{Value: 0.082, Low: pointer(0.07), High: pointer(0.094)}, Chance: pointer(0.002),
			Classes: []api.ClassPutBack{{Class: "late", PutBack: api.PutBack{Now: 0.082, Back: 0, Change: part(0.082, 0.07, 0.094)}}},
			Fault:   &api.AccuracyIfFault{Lost: part(0.013, 0.009, 0.016)},
		},
		Effects: []api.Effect{{What: "accuracy", Before: 0.8, Since: 0.811}, {What: "estimated accuracy", Before: 0.783, Since: 0.754, Clear: true}},
		Examples: []api.ExampleRow{
			{ID: "f1", Time: time.Date(2001, 3, 8, 14, 5, 0, 0, time.UTC), Value: 22.0, Back: 14.0, Score: pointer(0.51), Scored: pointer(0.31), Decision: "late", Decided: "on_time",
				Inputs: []api.ExampleValue{{Name: "hour", Value: 22.0}, {Name: "origin", Value: "ATL"}, {Name: "name", Redacted: true}, {Name: "gate"}}},
			{Time: time.Date(2001, 3, 8, 14, 6, 0, 0, time.UTC), Value: 22.0, Score: pointer(0.2)},
		},
		Advice: []string{"look first at what feeds hour of origin ATL, ORD"}, Together: []string{"flights/departures/2001-03-08T14:00:00Z"},
	}
	even := api.AlertExplanation{
		Text: "x has drifted.", Harm: "unknown", Course: api.Course{Kind: "none"},
		Carried: &api.Concentration{Says: "all rows move alike: none of 20 segments holds much more of the change than of the rows", Even: true},
		Impact:  &api.Counterfactual{Says: "destination is redacted, which the model needs", Reason: "destination is redacted, which the model needs"},
	}
	got := explanationText(e) + "\n----\n" + explanationText(even) + "\n----\n" + explanationText(api.AlertExplanation{Text: "brief"})
	const path = "testdata/explained.txt"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the text differs (-update rewrites it):\n%s", got)
	}
}

func TestBar(t *testing.T) {
	for share, want := range map[float64]string{0: "          ", 1e-6: "▏         ", 0.5: "█████     ", 1: "██████████", 7: "██████████", -1: "          "} {
		if got := bar(share); got != want {
			t.Errorf("%v: %q, want %q", share, got, want)
		}
	}
}
