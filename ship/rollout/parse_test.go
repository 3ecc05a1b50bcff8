package rollout

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

func TestEmptyPolicyIsTheDefault(t *testing.T) {
	for _, text := range []string{"{}", "", "  \n", "# only a comment\n", "null", "stages:\n"} {
		p, err := Parse([]byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !reflect.DeepEqual(p, Default()) {
			t.Errorf("%q is not the default: %+v", text, p)
		}
	}
	var names []string
	for _, s := range Default().Stages {
		names = append(names, s.Traffic.String())
	}
	if got := strings.Join(names, " "); got != "shadow 1% 5% 25% 50% 100%" {
		t.Errorf("the default stages are %s", got)
	}
}

const full = `
kind: rollout
stages:
  - shadow
  - {traffic: 5%, requests: 2_000, time: 10m, max: 6h, undecided: promote, slack: 3}
  - {traffic: 100%, approve: true, requests: 100, max: 3d}
bake: 2h
budget: 0.5%
promotion: 0.1
undecided: abort
gates:
  errors: {relative: 50%, absolute: 0.001, weight: 5}
  latency_p99: report
  drift: off
  flips: {mode: hold, absolute: 2%, required: false}
metrics:
  - {name: accuracy, better: higher, absolute: 1%, required: true, least: 1000}
  - {name: refunds, better: lower}
zone: Europe/Berlin
freeze:
  - {weekly: fri 16:00 - mon 08:00, why: weekend}
  - {from: 2026-12-24T00:00:00+01:00, to: 2027-01-02T00:00:00+01:00}
`

// What is parsed can be written as JSON and parsed again without a change; the stored policy is the policy.
func TestPolicyRoundTrip(t *testing.T) {
	for _, text := range []string{
		full, "{}", "kind: experiment\narms: [{version: 3, traffic: 80%}, {version: v4, traffic: 20%}]\nduration: 7d",
		"kind: bandit\narms: [{version: 3}, {version: 4}, {version: 5}]\nbandit: {event: purchase}",
	} {
		p, err := Parse([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, indent := range []string{"", "\t"} {
			encoded, err := json.MarshalIndent(p, "", indent)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse(encoded)
			if err != nil {
				t.Fatalf("%s: %v", encoded, err)
			}
			if got, _ := json.Marshal(again); string(got) != strings.Join(strings.Fields(string(mustJSON(t, p))), " ") && string(got) != string(mustJSON(t, p)) {
				t.Errorf("not the same after a round trip:\n%s\n%s", mustJSON(t, p), got)
			}
			var direct Policy
			if err := json.Unmarshal(encoded, &direct); err != nil {
				t.Errorf("a stored policy is read with encoding/json: %v", err)
			} else if string(mustJSON(t, direct)) != string(mustJSON(t, p)) {
				t.Errorf("not the same through encoding/json:\n%s\n%s", mustJSON(t, p), mustJSON(t, direct))
			}
		}
	}
}

func mustJSON(t *testing.T, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBadPolicies(t *testing.T) {
	for text, want := range map[string]string{
		"stage: [1%, 100%]":                                `line 1: unknown key "stage"; did you mean "stages"?`,
		"stages: [1%, 100%]\nbudgte: 1%":                   `line 2: unknown key "budgte"; did you mean "budget"?`,
		"stages: [1, 100%]":                                "write the unit: 1%",
		"stages: [0%, 100%]":                               "expected a share of the traffic",
		"stages: [120%]":                                   "expected a share of the traffic",
		"stages: [NaN%]":                                   "expected a share of the traffic",
		"stages: [5%, 1%, 100%]":                           "stage 2 (1%) does not get more traffic than the one before (5%)",
		"stages: [5%]":                                     "the last stage is not 100%",
		"stages: []":                                       "the last stage is not 100%",
		"stages: {}":                                       "stages: expected a list of stages",
		"stages: [{requests: 5}, 100%]":                    "stages[0]: the key traffic is missing",
		"stages: [{traffic: 5%, tme: 5m}, 100%]":           `unknown key "tme" in stages[0]; did you mean "time"?`,
		"stages: [{traffic: 5%, time: 5}, 100%]":           "stages[0].time: expected a duration such as 30s, 15m, 24h or 7d",
		"stages: [{traffic: 5%, time: -5m}, 100%]":         "expected a duration",
		"stages: [{traffic: 5%, time: 2d, max: 1h}, 100%]": "takes at least 2d but at most 1h",
		"stages: [{traffic: 100%, time: 1h}]":              "the key bake says",
		"stages: [{traffic: 100%, max: 1h}]\nbake: 2h":     "bake is 2h but the stage 100% lasts at most 1h",
		"budget: 2":                                        "budget: expected a number from 1e-06 to 0.5",
		"budget: NaN":                                      "budget: expected a number",
		"undecided: hodl":                                  `expected hold, promote or abort, got "hodl"; did you mean "hold"?`,
		"gates: {error: off}":                              `unknown key "error" in gates; did you mean "errors"?`,
		"gates: {errors: {weight: 0}}":                     "the gate errors has no weight",
		"gates: {errors: maybe}":                           "gates.errors: expected abort, hold, report or off",
		"gates: {segments: {required: true}}":              "the gate segments cannot be required",
		"gates: {errors: {relative: 0, absolute: 0}}":      "the gate errors is required but has no margin",
		"metrics: [{better: higher}]":                      "metrics[0]: the key name is missing",
		"metrics: [{name: accuracy}]":                      "say which direction is good",
		"metrics: [{name: errors, better: lower}]":         `the metric "errors" is given twice, or has the name of a gate`,
		"freeze: [{weekly: fri - mon}]":                    "expected a weekly range such as fri 16:00 - mon 08:00",
		"freeze: [{weekly: fri 25:00 - mon 08:00}]":        "expected a weekly range",
		"freeze: [{from: 2026-12-24}]":                     "expected a time such as",
		"freeze: [{from: 2026-12-24T00:00:00Z}]":           "expected either from and to, or weekly",
		"freeze: [{from: 2026-12-24T00:00:00Z, to: 2026-12-23T00:00:00Z}]": "is not before to",
		"kind: canary":                     "kind: expected rollout, experiment or bandit",
		"kind: experiment":                 "kind experiment needs at least two arms",
		"kind: experiment\nstages: [100%]": "stages belong to a rollout",
		"kind: experiment\narms: [{version: 1, traffic: 50%}, {version: 2, traffic: 40%}]": "add up to 90%",
		"kind: experiment\narms: [{version: 1, traffic: 50%}, {version: 1, traffic: 50%}]": "version 1 is listed twice",
		"kind: bandit\narms: [{version: 1}, {version: 2}]":                                 "needs to know what to maximise",
		"kind: bandit\narms: [{version: 1}, {version: 2}]\nbandit: {event: a, floor: 50%}": "leaves nothing to move",
		"kind: bandit\narms: [{version: x}]":                                               "expected a version such as 3 or v3",
		"arms: [{version: 1, traffic: 50%}]":                                               "belong to an experiment or a bandit",
		"budget: 1%\nbudget: 2%":                                                           "budget",
		"- a":                                                                              "expected a mapping with the keys kind, stages",
		"a: [":                                                                             "the rollout policy is not YAML",
		"zone: [a]":                                                                        "zone: expected a time zone",
		"bake: *x":                                                                         "the rollout policy is not YAML",
	} {
		_, err := Parse([]byte(text))
		if err == nil {
			t.Errorf("%q was taken", text)
			continue
		}
		if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %s: %v\nwant %s", text, fairlead.CodeOf(err), err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{full, "{}", `{"stages":["shadow",{"traffic":"5%"},"100%"]}`, "stages: [&a 1%, *a]", "freeze: [{weekly: mon 00:00-sun 24:00}]", "budget: 1e400", "bake: 9e99d"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		p, err := Parse(document)
		if err != nil {
			return
		}
		encoded, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("a policy that was taken cannot be stored: %v", err)
		}
		again, err := Parse(encoded)
		if err != nil {
			t.Fatalf("%s\nis not taken again: %v", encoded, err)
		}
		if second, _ := json.Marshal(again); string(second) != string(encoded) {
			t.Fatalf("not the same after a round trip:\n%s\n%s", encoded, second)
		}
		s, _ := Start(p, epoch, "fuzz", "")
		Step(p, s, Observation{Now: epoch.Add(time.Minute)})
	})
}

func TestFreezeWindows(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	weekend := Freeze{Weekly: "fri 16:00 - mon 08:00"}
	day := func(d, h, m int) time.Time { return time.Date(2026, 3, d, h, m, 0, 0, berlin) } // the 2nd is a Monday
	for at, want := range map[time.Time]bool{
		day(6, 15, 59): false, day(6, 16, 0): true, day(7, 12, 0): true, day(8, 23, 59): true, day(9, 7, 59): true, day(9, 8, 0): false, day(4, 12, 0): false,
	} {
		if got := weekend.Holds(at.UTC(), berlin); got != want {
			t.Errorf("%s: frozen %v, want %v", at.Format("Mon 15:04"), got, want)
		}
	}
	if !weekend.Holds(time.Date(2026, 3, 6, 16, 0, 0, 0, time.UTC), nil) || weekend.Holds(day(6, 16, 0), nil) {
		t.Error("without a zone the clock is UTC's")
	}
}
