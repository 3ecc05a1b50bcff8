package serve_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// spin is a model that computes for d, as a small tree ensemble does.
func spin(d time.Duration) *fake.Session {
	y := make([]float32, 2)
	return fake.New(fake.Echo(2).Signature(), func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		for start := time.Now(); time.Since(start) < d; {
		}
		return []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: in[0].Shape, Data: y}}, nil
	})
}

type discard struct{}

func (discard) Record(*fairlead.Prediction) {}

// BenchmarkSpine is a request through the server without a transport, with a model of 1 µs. "model" is the model alone: the
// difference is what the server costs.
func BenchmarkSpine(b *testing.B) {
	session := spin(time.Microsecond)
	s := serve.New(serve.Options{Router: routerTo(b, target(1, session)), Recorder: discard{}})
	in := x(1, 2)
	ctx, cancel := context.WithCancel(context.Background()) // a transport's context can end
	defer cancel()
	call := func(b *testing.B) {
		if _, err := s.Predict(ctx, serve.Request{Deployment: "m", Input: in}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("model", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := session.Run(ctx, in.Tensors, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			call(b)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				call(b)
			}
		})
	})
	for _, d := range []time.Duration{20 * time.Microsecond, 100 * time.Microsecond} {
		s := serve.New(serve.Options{Router: routerTo(b, target(1, spin(d))), Recorder: discard{}})
		b.Run("parallel-"+d.String(), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Predict(ctx, serve.Request{Deployment: "m", Input: in}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkSplit is BenchmarkSpine's request where a deployment's calls are divided: what assigning and counting cost, and
// what handing copies to a shadow does.
func BenchmarkSplit(b *testing.B) {
	one := func() *route.Target { return splitTarget(1, scored(0.25)) }
	other := func() *route.Target { return splitTarget(2, scored(0.75)) }
	live := one()
	none, err := route.NewTable([]route.Deployment{{Name: "m", Live: live}})
	if err != nil {
		b.Fatal(err)
	}
	canary, _ := divided(b, one(), other(), 0.05)
	dark, _ := shadowed(b, one(), other())
	for _, test := range []struct {
		name  string
		table *route.Table
	}{{"none", none}, {"canary", canary}, {"shadow", dark}} {
		s := serving(b, test.table, serve.Options{Recorder: discard{}})
		b.Run(test.name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := s.Predict(ctx, serve.Request{Deployment: "m", Input: keyed(keys[i%len(keys)])}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

var keys = func() (all [1024]string) {
	for i := range all {
		all[i] = fmt.Sprint("customer-", i)
	}
	return all
}()
