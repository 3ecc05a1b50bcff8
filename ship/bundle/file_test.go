package bundle

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
)

const whole = `
name: flights
model: graphs/model.onnx
inputs:
  - name: features
    features: [hour, weekday, distance]
outputs:
  - {name: probability, role: score, classes: [on_time, late]}
  - {name: label, role: label, classes: [0, 1, true]}
task: binary
label: {name: late, delay: 24h}
reference: {file: reference.parquet, time: when}
segments: [weekday]
batching: {max: 64, delay: 2ms}
cache: {ttl: 7d, bytes: 64MiB}
log: {rows: 0.5, redact: [passenger_id]}
tests:
  - metric: auroc
    at_least: 0.7
    segments: [weekday, null]
`

func TestParseFile(t *testing.T) {
	delay := 2 * time.Millisecond
	want := &File{
		Name: "flights", Model: "graphs/model.onnx",
		Inputs: []InputFile{{Name: "features", Features: []string{"hour", "weekday", "distance"}}},
		Outputs: []OutputFile{
			{Name: "probability", Role: fairlead.RoleScore, Classes: []string{"on_time", "late"}},
			{Name: "label", Role: fairlead.RoleLabel, Classes: []string{"0", "1", "true"}},
		},
		Task: fairlead.TaskBinary, Label: LabelFile{Name: "late", Delay: 24 * time.Hour},
		Reference: ReferenceFile{File: "reference.parquet", Time: "when"}, Segments: []string{"weekday"},
		Batching: BatchingFile{Max: 64, Delay: &delay}, Cache: CacheFile{TTL: 7 * 24 * time.Hour, Bytes: 64 << 20},
		Log:   LogFile{Rows: 0.5, Redact: []string{"passenger_id"}},
		Tests: []any{map[string]any{"metric": "auroc", "at_least": 0.7, "segments": []any{"weekday", nil}}},
	}
	got, err := ParseFile([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	short := map[string]*File{
		"name: a": {Name: "a", Model: "model.onnx", Log: LogFile{Rows: 1}},
		"name: a\nreference: r.csv\nbatching: {max: auto, delay: auto}\ncache: {ttl: 0}\ntask:\n": {
			Name: "a", Model: "model.onnx", Log: LogFile{Rows: 1}, Reference: ReferenceFile{File: "r.csv"}},
	}
	for text, want := range short {
		got, err := ParseFile([]byte(text))
		if err != nil {
			t.Fatal(text, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(text, d)
		}
	}
}

func TestParseFileBad(t *testing.T) {
	for text, want := range map[string]string{
		"":                                               "is empty",
		"# nothing":                                      "is empty",
		"- a":                                            "line 1: expected a mapping",
		"name: a\n---\nname: b":                          "more than one document",
		"name: [a":                                       "is not YAML",
		"model: m.onnx":                                  "has no name",
		"name: Flights":                                  `line 1: "Flights" is not a name`,
		"name: 3":                                        `line 1: name: expected a name such as flights, got the number 3 (put it in quotes if it is meant as text: "3")`,
		"name: a\nnmae: b":                               `line 2: unknown key "nmae"; did you mean "name"? (known keys are name, model`,
		"name: a\nbatch: {}":                             `unknown key "batch"`,
		"name: a\nname: b":                               `the key "name" is given twice`,
		"name: a\nlabel: {name: x, dealy: 1}":            `line 2: unknown key "dealy" in label; did you mean "delay"?`,
		"name: a\nlabel: late":                           `expected a mapping such as {name: late, delay: 24h}, got the text "late"`,
		"name: a\nlabel: {delay: 24h}":                   "label has no name",
		"name: a\nlabel: {name: x, delay: 24}":           "label.delay: expected a duration such as 250ms, 24h or 7d, got the number 24 (write the unit: 24s)",
		"name: a\nlabel: {name: x, delay: -1h}":          "not negative",
		"name: a\nlabel: {name: x, delay: soon}":         `got the text "soon"`,
		"name: a\nlabel: {name: x, delay: 9e99d}":        "at most 36500d",
		"name: a\nmodel: ../m.onnx":                      `line 2: model "../m.onnx" is not a path inside`,
		"name: a\nmodel: /m.onnx":                        "is not a path inside",
		"name: a\nmodel: a/../../m.onnx":                 "is not a path inside",
		"name: a\nmodel: 'a\\m.onnx'":                    "is not a path inside",
		"name: a\nmodel: m.pkl":                          `line 2: model "m.pkl" is not an .onnx file (export the model`,
		"name: a\nreference: ../r.csv":                   `line 2: reference "../r.csv" is not a path inside`,
		"name: a\nreference: {file: /r.csv}":             "is not a path inside",
		"name: a\nreference: {time: t}":                  "reference has no file",
		"name: a\nreference: 3":                          "expected the name of a Parquet or CSV file, got the number 3",
		"name: a\ninputs: features":                      "expected a list of inputs",
		"name: a\ninputs: [x]":                           `inputs[0]: expected a mapping with the keys name, features, got the text "x"`,
		"name: a\ninputs: [{features: [b]}]":             "inputs[0] has no name",
		"name: a\ninputs: [{name: x}, {name: x}]":        `the input "x" is given twice`,
		"name: a\ninputs: [{name: x, features: [b, b]}]": `"b" is listed twice`,
		"name: a\ninputs: [{name: x, features: [1]}]":    "inputs[0].features[0]: expected a name, got the number 1",
		"name: a\ninputs: [{name: x, features: [{}]}]":   "got a mapping",
		"name: a\noutputs: [{name: x, role: scores}]":    `outputs[0].role: expected score, label, embedding or value, got the text "scores"`,
		"name: a\noutputs: [{name: x, classes: [[]]}]":   "got a list",
		"name: a\noutputs: [{name: x, classes: [null]}]": "expected a name, got nothing",
		"name: a\ntask: rank":                            `line 2: task "rank" is not known (use binary`,
		"name: a\nsegments: origin":                      "expected a list of feature names",
		"name: a\nbatching: {max: 0}":                    "expected auto or a number of rows from 1, got the number 0",
		"name: a\nbatching: {delay: 5}":                  "expected auto or a duration",
		"name: a\ncache: {ttl: yes}":                     "expected a duration",
		"name: a\ncache: {bytes: 64 mb}":                 "cache.bytes: expected a size such as 64MB or 1GiB",
		"name: a\ncache: {bytes: -1}":                    "expected a size such as 64MB or 1GiB",
		"name: a\ncache: {bytes: 9999GiB}":               "expected a size such as 64MB or 1GiB",
		"name: a\nlog: {rows: 2}":                        "the share of rows to store, from 0 to 1, got the number 2",
		"name: a\nlog: {rows: .nan}":                     "from 0 to 1",
		"name: a\ntests: {a: 1}":                         "expected a list of tests",
		"name: a\ntests: [{[a]: 1}]":                     "a key has to be text",
		"name: a\ntests: [&x {a: 1}, *x]":                "anchors, aliases",
		"name: a\ntests: " + strings.Repeat("[", 300) + strings.Repeat("]", 300): "very deep nesting",
		"name: a\ntests: " + strings.Repeat("[", 60) + strings.Repeat("]", 60):   "more than 50 deep",
		"name: a\ntests:\n  - &a [x]\n  - <<: *a":                                "anchors",
		strings.Repeat("#", maxFile+1):                                           "the limit is",
	} {
		if len(text) > 400 && !strings.HasPrefix(text, "#") {
			text = strings.TrimSpace(text)
		}
		_, err := ParseFile([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: got %v; want %q", text, err, want)
		}
		if c := fairlead.CodeOf(err); c != fairlead.CodeInvalid && c != fairlead.CodeTooLarge {
			t.Errorf("%.80q: code %s", text, c)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("name: a\ntests: [&x {a: 1}, *x, !!binary aGk=, 2001-01-01, 0x1F, .inf]"))
	f.Add([]byte("name: a\nlabel: {name: x, delay: 1.5d}\nreference: r.csv"))
	f.Add([]byte("name: a\nmonitor: {fdr: 0.01, tolerance: 0.1, windows: 2 of 3, grain: hour}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := ParseFile(b)
		if err != nil {
			if c := fairlead.CodeOf(err); c != fairlead.CodeInvalid && c != fairlead.CodeTooLarge {
				t.Fatalf("code %s: %v", c, err)
			}
			return
		}
		if checkPath("model", file.Model) != nil || file.Reference.File != "" && checkPath("reference", file.Reference.File) != nil {
			t.Fatalf("a path that escapes: %+v", file)
		}
		// What was accepted can be sealed, and comes back as it was.
		j, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		var back File
		if err := json.Unmarshal(j, &back); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(&back)
		if err != nil || string(again) != string(j) {
			t.Fatalf("%s became %s, %v", j, again, err)
		}
	})
}

func TestNear(t *testing.T) {
	names := []string{"origin", "destination", "distance", "hour"}
	for name, want := range map[string]string{
		"Origin": "origin", "orgin": "origin", "distanc": "distance", "dist": "", "weekday": "", "hours": "hour", "houer": "hour", "": "", "x": "",
	} {
		if got := near(name, names); got != want {
			t.Errorf("near %q is %q, want %q", name, got, want)
		}
	}
}
