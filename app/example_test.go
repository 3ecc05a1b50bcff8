package app

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

func TestRequestOf(t *testing.T) {
	features := fairlead.TensorSpec{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"hour", "distance"}}
	city := fairlead.TensorSpec{Name: "city", Type: fairlead.Bytes, Shape: []int64{-1, 1}}
	image := fairlead.TensorSpec{Name: "image", Type: fairlead.Uint8, Shape: []int64{-1, 2, 2}}
	nan := float32(math.NaN())
	for want, inputs := range map[string][]fairlead.TensorSpec{
		`{"instances":[{"distance":null,"hour":0.1}]}`:                                      {features},
		`{"instances":[{"city":"ATL","distance":null,"hour":0.1}]}`:                         {features, city},
		`{"inputs":[{"data":[1,2,3,4],"datatype":"UINT8","name":"image","shape":[1,2,2]}]}`: {image},
	} {
		var in []fairlead.Tensor
		for _, spec := range inputs {
			in = append(in, map[string]fairlead.Tensor{
				"x":     {Name: "x", Type: fairlead.FP32, Shape: []int64{1, 2}, Data: []float32{0.1, nan}},
				"city":  {Name: "city", Type: fairlead.Bytes, Shape: []int64{1, 1}, Data: []string{"ATL"}},
				"image": {Name: "image", Type: fairlead.Uint8, Shape: []int64{1, 2, 2}, Data: []uint8{1, 2, 3, 4}},
			}[spec.Name])
		}
		raw, err := json.Marshal(requestOf(fairlead.Signature{Inputs: inputs}, in))
		if err != nil || string(raw) != want {
			t.Errorf("%s, %v; want %s", raw, err, want)
		}
	}
	made, err := json.Marshal(requestOf(fairlead.Signature{Inputs: []fairlead.TensorSpec{features}}, made(fairlead.Signature{Inputs: []fairlead.TensorSpec{features}})))
	if err != nil || string(made) != `{"instances":[{"distance":0,"hour":0}]}` {
		t.Errorf("%s, %v", made, err)
	}
}
