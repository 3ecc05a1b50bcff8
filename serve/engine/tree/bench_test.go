package tree_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// benches are grown here, or trained by `make bench`'s preparation where that has been run.
func benches(b testing.TB) map[string][]byte {
	grown := func(trees, width, leaves int, targets int64) []byte {
		rng := rand.New(rand.NewPCG(5, uint64(trees)))
		e := &ensemble{width: width, targets: targets, aggregate: "SUM"}
		for range trees {
			e.plant(rng, leaves, []string{"BRANCH_LEQ"}, 0, func(int) []int64 {
				all := make([]int64, targets)
				for i := range all {
					all[i] = int64(i)
				}
				return all
			})
		}
		return e.onnx()
	}
	models := map[string][]byte{
		"grown 10x10": grown(10, 10, 31, 1), "grown 100x4x3": grown(100, 4, 9, 3), "grown 500x28": grown(500, 28, 31, 1),
		"grown 100x20 of 20000 leaves": grown(100, 20, 20_000, 1),
	}
	for _, name := range []string{"iris", "trees"} {
		if onnx, err := os.ReadFile(filepath.Join("../../../bench/.cache/models", name+".onnx")); err == nil {
			models["trained "+name] = onnx
		} else {
			b.Logf("no trained %s: %v", name, err)
		}
	}
	return models
}

// BenchmarkRun is what a request pays, varied rows in turn, here and with ONNX Runtime.
func BenchmarkRun(b *testing.B) {
	rt := runtime(b)
	for name, onnx := range benches(b) {
		ours := open(b, onnx)
		for _, rows := range []int{1, 64} {
			for _, engine := range []struct {
				name string
				s    engine.Session
			}{{"tree", ours}, {"ort", load(b, rt, onnx)}} {
				b.Run(fmt.Sprintf("%s/%d rows/%s", name, rows, engine.name), func(b *testing.B) {
					in := ours.Signature().Inputs[0]
					rng := rand.New(rand.NewPCG(6, 6))
					requests := make([][]fairlead.Tensor, 128)
					for i := range requests {
						requests[i] = []fairlead.Tensor{{
							Name: in.Name, Type: in.Type, Shape: []int64{int64(rows), int64(in.Width())},
							Data: ordinary(rng, rows*in.Width(), name),
						}}
					}
					b.ReportAllocs()
					i := 0
					for b.Loop() {
						if _, err := engine.s.Run(b.Context(), requests[i%len(requests)], nil); err != nil {
							b.Fatal(err)
						}
						i++
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
				})
			}
		}
	}
}

// ordinary values are like those that the model was trained with.
func ordinary(rng *rand.Rand, n int, model string) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
		if model == "trained iris" {
			x[i] = 3 + 2*x[i]
		}
	}
	return x
}
