package check

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// window is served predictions whose labels have come.
type window struct{ s *Sample }

func (w window) Sample(_ context.Context, version string) (*Sample, error) {
	if version != "" {
		return nil, nil
	}
	return w.s, nil
}

// What was asked at the gate is asked of live windows: the same rows give the same result, and a model that went bad is
// found by the same test.
func TestMonitors(t *testing.T) {
	suite, err := ParseFile([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range suite.Monitors() {
		told = append(told, fmt.Sprintf("%s|%v|%s|%s", m.Test.Name, m.Labels, strings.Join(m.Columns, " "), m.Beside))
	}
	want := []string{
		"auroc ≥ 0.67|true|time|", "recall of late at 0.3 ≥ 0.35|true||", "accuracy ≥ 0.6 by origin|true|origin|",
		"brier ≤ 0.2 by distance where 17 ≤ hour < 20 and origin=ATL|ORD and weekday=4|true|distance hour origin weekday|",
		"log_loss not worse than champion by 0.005|true||champion", "pinball of the 0.9 quantile ≤ 4|true||", "calibration|true||", "every answer is finite|false||",
	}
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s", strings.Join(told, "\n"))
	}

	const yaml = "{metric: accuracy, at_least: 0.7, by: city, why: shown to people}, {finite: true}, {metric: auroc, not_worse_than: champion}"
	suite, err = ParseFile([]byte("tests: [" + yaml + "]"))
	if err != nil {
		t.Fatal(err)
	}
	for _, served := range []struct {
		m    *shop
		want []Verdict
	}{
		{good(), []Verdict{Passed, Passed, Skipped}},
		{&shop{sign: 1, blind: "Rome"}, []Verdict{Failed, Passed, Skipped}},
		{&shop{sign: -1, nan: func(age float64) bool { return age == 30 }}, []Verdict{Failed, Failed, Skipped}},
	} {
		rows := customers(2000)
		gate, err := Run(t.Context(), suite, Subject{Signature: shopSignature, Model: served.m, Rows: rows}, Options{Now: stopped})
		if err != nil {
			t.Fatal(err)
		}
		live := &Sample{Task: fairlead.TaskBinary, Classes: []string{"leaves", "buys"}, Rows: rows, Label: "bought", Shown: []string{"age"}, Answers: &Answers{Width: 1, Score: true}}
		in, _ := inputsOf(rows)
		out, _ := served.m.Run(t.Context(), in, nil)
		for _, p := range out[0].Data.([]float32) {
			live.Answers.Values = append(live.Answers.Values, float64(p))
		}
		for i, m := range suite.Monitors() {
			r, err := m.Judge(t.Context(), window{live})
			g := gate.Results[i]
			if err != nil || r.Verdict != served.want[i] || r.Verdict != g.Verdict || r.Text != g.Text || r.Name != g.Name || r.Why != g.Why {
				t.Errorf("live %+v, at the gate %+v, %v", r, g, err)
			}
		}
	}
}

func inputsOf(rows *fairlead.Table) ([]fairlead.Tensor, error) {
	return bundle.Inputs(shopSignature, rows, 0, rows.Rows)
}
