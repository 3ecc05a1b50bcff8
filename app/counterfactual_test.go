package app

import (
	"math"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/explain"
)

// What a row's answer is, for each task and form of output.
func TestAnswerOf(t *testing.T) {
	score := func(name string, classes ...string) fairlead.TensorSpec {
		return fairlead.TensorSpec{Name: name, Type: fairlead.FP32, Shape: []int64{-1, int64(max(len(classes), 1))}, Role: fairlead.RoleScore, Classes: classes}
	}
	label := fairlead.TensorSpec{Name: "label", Type: fairlead.Int64, Shape: []int64{-1}, Role: fairlead.RoleLabel}
	numbers := func(name string, width int64, v ...float32) fairlead.Tensor {
		return fairlead.Tensor{Name: name, Type: fairlead.FP32, Shape: []int64{2, width}, Data: v}
	}
	labels := fairlead.Tensor{Name: "label", Type: fairlead.Int64, Shape: []int64{2}, Data: []int64{1, 0}}
	for _, c := range []struct {
		name    string
		sig     fairlead.Signature
		outputs []fairlead.Tensor
		want    [2]explain.Answer
	}{
		{"a probability", fairlead.Signature{Task: fairlead.TaskBinary, Outputs: []fairlead.TensorSpec{score("p")}},
			[]fairlead.Tensor{numbers("p", 1, 0.25, 0.5)}, [2]explain.Answer{{Score: 0.25, Class: "negative"}, {Score: 0.5, Class: "positive"}}},
		{"two columns with names", fairlead.Signature{Task: fairlead.TaskBinary, Outputs: []fairlead.TensorSpec{score("p", "ok", "late")}},
			[]fairlead.Tensor{numbers("p", 2, 0.75, 0.25, 0.25, 0.75)}, [2]explain.Answer{{Score: 0.25, Class: "ok"}, {Score: 0.75, Class: "late"}}},
		{"a label of its own", fairlead.Signature{Task: fairlead.TaskBinary, Outputs: []fairlead.TensorSpec{score("p"), label}},
			[]fairlead.Tensor{numbers("p", 1, 0.25, 0.75), labels}, [2]explain.Answer{{Score: 0.25, Class: "positive"}, {Score: 0.75, Class: "negative"}}},
		{"three classes", fairlead.Signature{Task: fairlead.TaskMulticlass, Outputs: []fairlead.TensorSpec{score("p", "a", "b", "c")}},
			[]fairlead.Tensor{numbers("p", 3, 0.1, 0.7, 0.2, 0.5, 0.1, 0.4)}, [2]explain.Answer{{Score: math.NaN(), Class: "p.b"}, {Score: math.NaN(), Class: "p.a"}}},
		{"classes as a label", fairlead.Signature{Task: fairlead.TaskMulticlass, Outputs: []fairlead.TensorSpec{label}},
			[]fairlead.Tensor{labels}, [2]explain.Answer{{Score: math.NaN(), Class: "1"}, {Score: math.NaN(), Class: "0"}}},
		{"a value", fairlead.Signature{Task: fairlead.TaskRegression, Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleValue}}},
			[]fairlead.Tensor{numbers("y", 1, 12, -3)}, [2]explain.Answer{{Score: 12}, {Score: -3}}},
	} {
		for row, want := range c.want {
			got := answerOf(&c.sig, c.outputs, row)
			if got.Class != want.Class || !(got.Score == want.Score || math.IsNaN(got.Score) && math.IsNaN(want.Score)) {
				t.Errorf("%s, row %d: %+v, want %+v", c.name, row, got, want)
			}
		}
	}
}
