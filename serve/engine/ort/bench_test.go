package ort_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
)

// bench is a model and one row of input.
type bench struct {
	name  string
	onnx  func(t testing.TB) []byte
	shape []int64
}

var benches = []bench{
	{"identity", func(testing.TB) []byte { return identityGraph(10) }, []int64{1, 10}},
	{"forest", func(t testing.TB) []byte { return model(t, "forest") }, []int64{1, 4}},
	{"mlp", func(testing.TB) []byte { return mlpGraph(256, 1024, 640, 16) }, []int64{1, 256}},
	{"mobilenet", func(testing.TB) []byte { return mobileNetGraph() }, []int64{1, 3, 224, 224}},
}

func (m bench) open(t testing.TB, rt *ort.Runtime, o ort.Options) (*ort.Session, []fairlead.Tensor) {
	s, err := rt.Load(m.onnx(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	x := make([]float32, fairlead.Elements(m.shape))
	for i := range x {
		x[i] = float32(i%13) / 13
	}
	return s, []fairlead.Tensor{tensor(s.Signature().Inputs[0].Name, fairlead.FP32, x, m.shape...)}
}

// BenchmarkRun is what a request pays: a context that can end, inputs described anew, outputs copied.
func BenchmarkRun(b *testing.B) {
	rt := open(b)
	for _, m := range benches {
		b.Run(m.name, func(b *testing.B) {
			s, in := m.open(b, rt, ort.Options{})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Run(ctx, in, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBare is the limit: ONNX Runtime's Run in a loop in C.
func BenchmarkBare(b *testing.B) {
	rt := open(b)
	for _, m := range benches {
		b.Run(m.name, func(b *testing.B) {
			s, in := m.open(b, rt, ort.Options{})
			b.ResetTimer()
			if _, err := s.BareLoop(in, b.N); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// TestRatio prints how near Run comes to the bare loop: medians of paired slices, so that a busy machine slows both. It is
// run by hand: FAIRLEAD_BENCH=1 go test -run TestRatio -v ./serve/engine/ort
func TestRatio(t *testing.T) {
	if os.Getenv("FAIRLEAD_BENCH") == "" {
		t.Skip("FAIRLEAD_BENCH is not set")
	}
	rt := open(t)
	for _, m := range benches {
		s, in := m.open(t, rt, ort.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		run := func(n int) time.Duration {
			start := time.Now()
			for range n {
				if _, err := s.Run(ctx, in, nil); err != nil {
					t.Fatal(err)
				}
			}
			return time.Since(start)
		}
		bare := func(n int) time.Duration {
			took, err := s.BareLoop(in, n)
			if err != nil {
				t.Fatal(err)
			}
			return took
		}
		run(3)
		one := bare(3) / 3
		n := max(1, int(20*time.Millisecond/max(one, 1)))
		var ours, theirs, ratios []float64
		for range 41 {
			a, b := run(n), bare(n)
			ours = append(ours, float64(a.Nanoseconds())/float64(n))
			theirs = append(theirs, float64(b.Nanoseconds())/float64(n))
			ratios = append(ratios, float64(b)/float64(a))
		}
		cancel()
		t.Logf("%-10s Run %9.2f µs, bare loop %9.2f µs, ratio %.3f", m.name, median(ours)/1e3, median(theirs)/1e3, median(ratios))
	}
}

func median(xs []float64) float64 {
	slices.Sort(xs)
	return xs[len(xs)/2]
}
