package bundle

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-ml/fairlead"
)

// flightsGraph is what an engine reads from the graph of the flights model.
func flightsGraph() fairlead.Signature {
	return fairlead.Signature{
		Inputs: []fairlead.TensorSpec{
			{Name: "features", Type: fairlead.FP32, Shape: []int64{-1, 3}},
			{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
		},
		Outputs: []fairlead.TensorSpec{
			{Name: "label", Type: fairlead.Int64, Shape: []int64{-1}},
			{Name: "probabilities", Type: fairlead.FP32, Shape: []int64{-1, 2}},
		},
	}
}

func parse(t *testing.T, text string) *File {
	t.Helper()
	f, err := ParseFile([]byte("name: flights\n" + text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestMerge(t *testing.T) {
	graph := flightsGraph()
	sig, notes, err := Merge(graph, parse(t, `
inputs: [{name: features, features: [hour, weekday, distance]}]
outputs: [{name: probabilities, role: score, classes: [on_time, late]}, {name: label, role: label}]
task: binary
label: {name: late, delay: 24h}
segments: [origin]
`))
	if err != nil {
		t.Fatal(err)
	}
	want := flightsGraph()
	want.Task, want.Label, want.Segments = fairlead.TaskBinary, fairlead.LabelSpec{Name: "late", Delay: 24 * time.Hour}, []string{"origin"}
	want.Inputs[0].Features = []string{"hour", "weekday", "distance"}
	want.Outputs[0].Role, want.Outputs[1].Role, want.Outputs[1].Classes = fairlead.RoleLabel, fairlead.RoleScore, []string{"on_time", "late"}
	if d := cmp.Diff(want, sig); d != "" {
		t.Error(d)
	}
	if len(notes) != 0 {
		t.Error("nothing was guessed, but:", notes)
	}
	if d := cmp.Diff(flightsGraph(), graph); d != "" {
		t.Error("the graph's signature was changed:", d)
	}
}

func TestMergeGuesses(t *testing.T) {
	one := func(specs ...fairlead.TensorSpec) fairlead.Signature {
		return fairlead.Signature{Inputs: []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, -1}}}, Outputs: specs}
	}
	score := fairlead.TensorSpec{Name: "Score", Type: fairlead.FP64, Shape: []int64{-1, 1}}
	wide := fairlead.TensorSpec{Name: "probabilities", Type: fairlead.FP32, Shape: []int64{-1, 3}}
	open := fairlead.TensorSpec{Name: "probabilities", Type: fairlead.FP32, Shape: []int64{-1, -1}}
	for name, c := range map[string]struct {
		graph fairlead.Signature
		file  string
		roles []fairlead.OutputRole
		notes []string
		check func(fairlead.Signature) bool
	}{
		"bare": {flightsGraph(), "", []fairlead.OutputRole{fairlead.RoleLabel, fairlead.RoleScore},
			[]string{"task: not given, taken as none", "output label: taken as the label", "output probabilities: taken as the score"},
			func(s fairlead.Signature) bool { return s.Task == fairlead.TaskNone && s.Outputs[1].Classes == nil }},
		"not by type": {one(fairlead.TensorSpec{Name: "label", Type: fairlead.FP32, Shape: []int64{-1, 1}}, fairlead.TensorSpec{Name: "scores", Type: fairlead.Int64, Shape: []int64{-1, 1}}),
			"", []fairlead.OutputRole{"", ""}, []string{"task: not given"}, nil},
		"binary": {one(score), "task: binary\nlabel: {name: late}", []fairlead.OutputRole{fairlead.RoleScore},
			[]string{"taken as the score", "classes not given, taken as 0, 1"},
			func(s fairlead.Signature) bool { return cmp.Equal(s.Outputs[0].Classes, []string{"0", "1"}) }},
		"multiclass": {one(wide), "task: multiclass", []fairlead.OutputRole{fairlead.RoleScore},
			[]string{"taken as the score", "classes not given, taken as 0, 1, 2", "label: not given"},
			func(s fairlead.Signature) bool { return len(s.Fields()) == 3 }},
		"regression": {one(fairlead.TensorSpec{Name: "variable", Type: fairlead.FP32, Shape: []int64{-1, 1}}), "task: regression\nlabel: {name: price}",
			[]fairlead.OutputRole{fairlead.RoleValue}, []string{"output variable: taken as the value"}, nil},
		"label only": {one(fairlead.TensorSpec{Name: "label", Type: fairlead.Bytes, Shape: []int64{-1}}), "task: multiclass\nlabel: {name: kind}",
			[]fairlead.OutputRole{fairlead.RoleLabel}, []string{"taken as the label", "AUROC"}, nil},
		"open widths": {one(open), "inputs: [{name: x, features: [a, b]}]\noutputs: [{name: probabilities, role: score, classes: [p, q, r]}]\ntask: multiclass\nlabel: {name: l}",
			[]fairlead.OutputRole{fairlead.RoleScore}, []string{"input x: the graph leaves its width open, taken as 2", "output probabilities: the graph leaves its width open, taken as 3"},
			func(s fairlead.Signature) bool { return len(s.Fields()) == 5 }},
		"redact": {flightsGraph(), "task: none\nlog: {redact: [orgin, passenger, origin]}", []fairlead.OutputRole{fairlead.RoleLabel, fairlead.RoleScore},
			[]string{"taken as the label", "taken as the score", `log.redact: "orgin" is not a feature, taken as a tag; did you mean "origin"?`, `log.redact: "passenger"`}, nil},
	} {
		file := parse(t, c.file)
		if c.file == "" {
			file = nil
		}
		sig, notes, err := Merge(c.graph, file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, want := range c.roles {
			if got := sig.Outputs[i].Role; got != want {
				t.Errorf("%s: role of %s is %q, want %q", name, sig.Outputs[i].Name, got, want)
			}
		}
		if len(notes) != len(c.notes) {
			t.Errorf("%s: notes %q", name, notes)
			continue
		}
		for i, want := range c.notes {
			if !strings.Contains(notes[i], want) {
				t.Errorf("%s: note %q, want %q", name, notes[i], want)
			}
		}
		if c.check != nil && !c.check(sig) {
			t.Errorf("%s: %+v", name, sig)
		}
	}
}

func TestMergeBad(t *testing.T) {
	for text, want := range map[string]string{
		"inputs: [{name: feature}]":                      `names the input "feature", which the graph does not have; did you mean "features"? (the graph's inputs are features, origin)`,
		"outputs: [{name: score}]":                       `names the output "score", which the graph does not have (the graph's outputs are label, probabilities)`,
		"inputs: [{name: features, features: [a, b]}]":   `input "features" has 2 features in fairlead.yaml, but the graph's shape [?,3] takes 3 values a row`,
		"outputs: [{name: probabilities, classes: [a]}]": `output "probabilities" has 1 classes in fairlead.yaml (a), but the graph's shape [?,2] gives 2 scores a row`,
		"outputs: [{name: label, role: score}]":          "has role score but type INT64",
		"outputs: [{name: probabilities, role: embedding}, {name: label, role: value}]\ntask: binary": "task binary needs an output with role score or label; the graph's outputs are label, probabilities (say which one it is in fairlead.yaml: outputs: [{name: label, role: score}])",
		"task: regression": "needs an output with role value",
		"inputs: [{name: features, features: [a, b, origin]}]": `"origin" is both a feature of input features and a feature of input origin`,
		"inputs: [{name: features, features: [a, b, label]}]":  `"label" is both a feature of input features and output label`,
		"segments: [orgin]":                   `segment "orgin" is not a feature; did you mean "origin"? (features are origin)`,
		"task: binary\nlabel: {name: origin}": `label "origin" is also a feature`,
	} {
		_, _, err := Merge(flightsGraph(), parse(t, text))
		if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
	three := flightsGraph()
	three.Outputs[1].Shape[1] = 3
	_, _, err := Merge(three, parse(t, "task: binary\noutputs: [{name: probabilities, classes: [a, b, c]}]"))
	if err == nil || !strings.Contains(err.Error(), "task binary has two classes") {
		t.Error(err)
	}
}
