package codec

import (
	"testing"

	"github.com/fairlead-ml/fairlead"
)

// BenchmarkSmallRequest is one row of a small model, the request that most servers see most.
func BenchmarkSmallRequest(b *testing.B) {
	sig := &fairlead.Signature{Inputs: []fairlead.TensorSpec{{Name: "input", Type: fairlead.FP32, Shape: []int64{-1, 4}}}}
	s := NewSchema(sig)
	body := []byte(`{"inputs":[{"name":"input","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeInferOwned(body, -1, s); err != nil {
			b.Fatal(err)
		}
	}
}
