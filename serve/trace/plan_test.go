package trace_test

import (
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/route"
	"github.com/fairlead-ml/fairlead/serve/trace"
	"github.com/google/go-cmp/cmp"
)

// TestStepsAreUnderTheirPipeline: those that a request asks are observed before it, and stand under it all the same.
func TestStepsAreUnderTheirPipeline(t *testing.T) {
	of := func(name string, composite bool, run time.Duration) *serve.Finished {
		f := finished()
		f.Target, f.Composite, f.Stages = &route.Target{Deployment: fairlead.Name(name), Version: 1}, composite, fairlead.Anatomy{Run: run}
		f.Received = received.Add(100*time.Microsecond - run) // it has just ended
		return f
	}
	for _, ratio := range []float64{1, 0} {
		r := listen(t)
		tr := start(t, trace.Options{Endpoint: r.URL, Ratio: ratio})
		outer := tr.Begin(t.Context())
		inner := tr.Begin(outer) // a pipeline that is a step
		tr.Observe(inner, of("model", false, 20*time.Microsecond))
		tr.Observe(inner, of("inner", true, 40*time.Microsecond))
		tr.Observe(outer, of("outer", true, 80*time.Microsecond))
		stop(t, tr)
		r.mu.Lock()
		for _, s := range r.spans {
			s.Attributes = nil
		}
		if n := len(r.spans); ratio == 0 && n > 0 {
			t.Errorf("%d spans of a request that is not traced", n)
		}
		for _, s := range r.spans[min(1, len(r.spans)):] {
			if string(s.TraceId) != string(r.spans[0].TraceId) {
				t.Error("the spans are of several traces")
			}
		}
		r.mu.Unlock()
		if ratio == 0 {
			continue
		}
		want := `predict outer 0s..80µs server
  run 0s..80µs
  predict inner 40µs..80µs server
    run 40µs..80µs
    predict model 60µs..80µs server
      run 60µs..80µs
`
		if diff := cmp.Diff(want, r.text()); diff != "" {
			t.Error(diff)
		}
	}
}
