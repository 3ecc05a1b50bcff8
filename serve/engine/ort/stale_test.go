package ort

import (
	"context"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// TestInputsAreForgotten collects garbage while runs end and begin: C's memory must not keep pointers into Go's that the
// next run's stores would show to the collector.
func TestInputsAreForgotten(t *testing.T) {
	r, err := Open(os.Getenv("FAIRLEAD_ORT_LIBRARY"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	model, err := os.ReadFile("../../../conformance/testdata/identity_fp32.onnx")
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Load(model, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	until := time.Now().Add(3 * time.Second)
	var workers sync.WaitGroup
	workers.Go(func() {
		for time.Now().Before(until) {
			runtime.GC()
		}
	})
	for range 3 {
		workers.Go(func() {
			for i := 0; time.Now().Before(until); i++ {
				n := 1 << (8 + i%12)
				in := []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{int64(n / 4), 4}, Data: make([]float32, n)}}
				if _, err := s.Run(context.Background(), in, nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
}
