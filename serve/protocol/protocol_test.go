package protocol

import (
	"slices"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/codec"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// TestClassify: labels are those of the columns; the only column of a model with two classes is the score of the second.
func TestClassify(t *testing.T) {
	for name, test := range map[string]struct {
		width   int64
		classes []string
		data    []float32
		want    []string
	}{
		"one column":    {1, []string{"on_time", "late"}, []float32{0.25, 0.75}, []string{"0.250000:0:late", "0.750000:0:late"}},
		"two columns":   {2, []string{"on_time", "late"}, []float32{0.25, 0.75}, []string{"0.750000:1:late"}},
		"three columns": {3, []string{"a", "b", "c"}, []float32{3, 1, 2}, []string{"3.000000:0:a"}},
		"no labels":     {1, nil, []float32{0.25}, []string{"0.250000:0"}},
	} {
		p := fairlead.TensorSpec{Name: "p", Type: fairlead.FP32, Shape: []int64{-1, test.width}, Role: fairlead.RoleScore, Classes: test.classes}
		rows := int64(len(test.data)) / test.width
		resp := &serve.Response{
			Target:  &route.Target{Signature: fairlead.Signature{Outputs: []fairlead.TensorSpec{p}}},
			Outputs: []fairlead.Tensor{{Name: "p", Type: fairlead.FP32, Shape: []int64{rows, test.width}, Data: test.data}},
		}
		got, err := Classify(resp, []codec.OutputOption{{Name: "p", Classes: 1}})
		if err != nil || !slices.Equal(got[0].Data.([]string), test.want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, test.want)
		}
	}
}
