package tree_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// TestRatio prints how long the fastest tenth of the runs take, here and with ONNX Runtime, in turn: a figure that a busy
// machine does not change much. It asserts nothing; FAIRLEAD_RATIO=1 runs it.
func TestRatio(t *testing.T) {
	if os.Getenv("FAIRLEAD_RATIO") == "" {
		t.Skip("set FAIRLEAD_RATIO=1 to measure")
	}
	rt := runtime(t)
	for name, onnx := range benches(t) {
		ours := open(t, onnx)
		sessions := []engine.Session{ours, load(t, rt, onnx)}
		in := ours.Signature().Inputs[0]
		for _, rows := range []int{1, 64} {
			rng := rand.New(rand.NewPCG(6, 6))
			requests := make([][]fairlead.Tensor, 128)
			for i := range requests {
				requests[i] = []fairlead.Tensor{{Name: in.Name, Type: in.Type, Shape: []int64{int64(rows), int64(in.Width())}, Data: ordinary(rng, rows*in.Width(), name)}}
			}
			var took [2][]time.Duration
			var seen [2]int
			burst := max(1, 256/rows/ours.Trees()*10)
			for start := time.Now(); time.Since(start) < 400*time.Millisecond; {
				for k, s := range sessions {
					from := time.Now()
					for range burst {
						if _, err := s.Run(t.Context(), requests[seen[k]%len(requests)], nil); err != nil {
							t.Fatal(err)
						}
						seen[k]++
					}
					took[k] = append(took[k], time.Since(from)/time.Duration(burst*rows))
				}
			}
			var fast [2]float64
			for k := range took {
				slices.Sort(took[k])
				fast[k] = float64(took[k][len(took[k])/10]) / 1e3
			}
			t.Logf("%-30s %2d rows: %7.2f µs a row, ONNX Runtime %7.2f: %.1f times as fast", name, rows, fast[0], fast[1], fast[1]/fast[0])
		}
	}
}
