package ort_test

import (
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
)

// rss is the process's resident memory in MiB.
func rss(t *testing.T) float64 {
	t.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kB float64
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		t.Fatal(err)
	}
	return kB / 1024
}

// Unloading gives memory back: a model of eighty layers of 1 MiB, too small to be mapped one by one, is loaded, run and
// closed many times.
func TestMemoryReturnsOnUnload(t *testing.T) {
	if testing.Short() {
		t.Skip("loads 80 MiB many times")
	}
	rt := open(t)
	widths := slices.Repeat([]int64{512}, 81)
	onnx := mlpGraph(widths...)
	row := []fairlead.Tensor{tensor("x", fairlead.FP32, make([]float32, 512), 1, 512)}
	const rounds = 12
	start, heap := rss(t), rt.Memory()
	var loaded, unloaded []float64
	for range rounds {
		s, err := rt.Load(onnx, ort.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Run(t.Context(), row, nil); err != nil {
			t.Fatal(err)
		}
		loaded = append(loaded, rss(t))
		if grown := rt.Memory() - heap; heap > 0 && grown < 70<<20 {
			t.Errorf("80 MiB of weights count as %d bytes", grown)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		unloaded = append(unloaded, rss(t))
	}
	first, last := median(unloaded[:rounds/3]), median(unloaded[rounds-rounds/3:])
	t.Logf("resident: %.0f MiB before, %.0f loaded, %.0f after the first unloads, %.0f after the last", start, median(loaded), first, last)
	if median(loaded)-start < 70 {
		t.Errorf("a loaded model takes %.0f MiB: the test measures nothing", median(loaded)-start)
	}
	if last-start > 30 || last-first > 10 {
		t.Errorf("of 80 MiB, %.0f stay after unloading; %.0f more after each further rounds", last-start, last-first)
	}
}

func TestThreads(t *testing.T) {
	rt := open(t)
	onnx := mlpGraph(64, 64, 8)
	row := []fairlead.Tensor{tensor("x", fairlead.FP32, make([]float32, 64), 1, 64)}
	tasks := func() int {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Skipf("no /proc here: %v", err)
		}
		return len(entries)
	}
	run := func(threads int) *ort.Session {
		s, err := rt.Load(onnx, ort.Options{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Run(t.Context(), row, nil); err != nil {
			t.Fatal(err)
		}
		return s
	}
	defer run(1).Close() // what the library and Go's runtime start once is there afterwards
	before := tasks()
	s := run(9)
	if got := tasks(); got < before+8 {
		t.Errorf("a session of 9 threads brings %d", got-before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := tasks(); got >= before+8 {
		t.Errorf("%d of them stay after Close", got-before)
	}
}
