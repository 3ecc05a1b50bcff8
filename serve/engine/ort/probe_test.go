package ort_test

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
	"github.com/fairlead-ml/fairlead/serve/probe"
)

// The probe on real models: what can be batched and what cannot. How many rows are worth it is a matter of timing, so it is
// only printed.
func TestProbe(t *testing.T) {
	rt := open(t)
	graphs := map[string]func(testing.TB) []byte{}
	for _, m := range benches {
		if m.name != "mobilenet" || os.Getenv("FAIRLEAD_BENCH") != "" { // it takes seconds
			graphs[m.name] = m.onnx
		}
	}
	for _, name := range []string{"tree", "tree_zipmap_words", "strings", "batch1", "scalar", "loop", "two_inputs", "sequence_rows"} {
		graphs[name] = func(t testing.TB) []byte { return model(t, name) }
	}
	off := map[string]string{
		"batch1": "the model was exported with a fixed batch of 1",
		"scalar": `output "mean" has shape [] for one row`,
		"loop":   "the model was exported with a fixed batch of 1",
	}
	for name, onnx := range graphs {
		t.Run(name, func(t *testing.T) {
			graph := onnx(t)
			start := time.Now()
			r, err := probe.Run(t.Context(), probe.Options{
				Load: func(threads int) (engine.Session, error) { return rt.Load(graph, ort.Options{Threads: threads}) },
				Now:  time.Now, Cores: runtime.GOMAXPROCS(0), Memory: rt.Memory,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := r.Session.Close(); err != nil {
					t.Error(err)
				}
			}()
			t.Logf("in %v:\n%s", time.Since(start).Round(time.Millisecond), strings.Join(r.Report, "\n"))
			want, cannot := off[name]
			if cannot && (r.Settings.MaxBatch != 1 || !strings.Contains(r.Settings.Batching, want)) {
				t.Errorf("%d rows, %q; want one and %q", r.Settings.MaxBatch, r.Settings.Batching, want)
			}
			if !cannot && (strings.Contains(r.Settings.Batching, "depend") || strings.Contains(r.Settings.Batching, "could not")) {
				t.Errorf("%q", r.Settings.Batching)
			}
			if cost := r.Settings.Cost; cost.Fixed+cost.PerRow <= 0 || cost.Fixed < 0 || cost.PerRow < 0 {
				t.Errorf("cost %+v", cost)
			}
		})
	}
}
