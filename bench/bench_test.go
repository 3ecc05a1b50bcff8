package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEveryPairHasItsServersAndItsOwnName(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range pairs {
		if seen[p.name] {
			t.Errorf("two pairs are called %s: the second would never be measured", p.name)
		}
		seen[p.name] = true
		for _, s := range []side{p.a, p.b} {
			if s.server == ortLoop {
				continue
			}
			found, err := serverOf(s.server)
			if err != nil {
				t.Errorf("%s: %v", p.name, err)
			} else if s.form == asBinary && found.binary == "" {
				t.Errorf("%s: %s takes no binary tensors", p.name, s.server)
			}
		}
		if _, err := time.ParseDuration(p.deadline); p.a.form == openLoop && err != nil {
			t.Errorf("%s: deadline %q: %v", p.name, p.deadline, err)
		}
	}
}

func TestVersionsComeFromThePins(t *testing.T) {
	b := &bench{root: "."}
	for _, s := range servers {
		if got := b.versions(&s); strings.Count(got, " ") < len(s.packages) {
			t.Errorf("%s: versions %q of %v: the requirements do not pin them all", s.name, got, s.packages)
		}
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{0: nil, 3: {3}, 2.5: {4, 1, 3, 2}, 7: {9, 1, 7}} {
		if got := median(values); got != want {
			t.Errorf("median of %v is %g, want %g", values, got, want)
		}
	}
}

// The table in the docs is replaced, and what stands around it stays.
func TestReport(t *testing.T) {
	root := t.TempDir()
	docs := filepath.Join(root, "docs", "benchmarks.md")
	b := &bench{root: filepath.Join(root, "bench"), results: filepath.Join(root, "bench", "results"), mode: "full"}
	for _, folder := range []string{filepath.Dir(docs), b.results} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(docs, "before\n"+tableFrom+"\nold table\n"+tableTo+"\nafter\n")
	write(filepath.Join(b.results, "iris-echo.json"), `{"name":"iris-echo","title":"iris ÷ echo","seconds_per_run":8,"machine":{"cpu":"a CPU","cores":2},
		"a":{"server":"fairlead","runs":[{"per_second":100,"p50_ms":1},{"per_second":300,"p50_ms":3}]},
		"b":{"server":"echo","runs":[{"per_second":400,"p50_ms":1},{"per_second":400,"p50_ms":1}]},"ratios":[0.25,0.75],"median":0.5,"wanted":0.8}`)
	var printed strings.Builder
	if err := b.report(&printed); err != nil {
		t.Fatal(err)
	}
	const row = "| iris ÷ echo | **0.50** | 0.25 0.75 | ≥ 0.8 missed | 200 | 2.00 |  | 400 | 1.00 |  |\n"
	got, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	text := string(got)
	if !strings.HasPrefix(text, "before\n"+tableFrom) || !strings.HasSuffix(text, tableTo+"\nafter\n") || strings.Contains(text, "old") || !strings.Contains(text, row) {
		t.Errorf("the page is now\n%s\nwant the row\n%s", text, row)
	}
	if !strings.Contains(printed.String(), row) {
		t.Errorf("printed %s", &printed)
	}
	write(docs, "no lines")
	if err := b.report(&printed); err == nil || !strings.Contains(err.Error(), "has lost the lines") {
		t.Errorf("error %v for a page without the lines", err)
	}
}

// Whatever a server starts ends with it, also what has left its process group.
func TestStopEndsTheFamily(t *testing.T) {
	folder := t.TempDir()
	p, err := launch("family", filepath.Join(folder, "log"), folder, nil, "sh", "-c", "setsid sleep 600 & setsid sleep 600 & exec sleep 600")
	if err != nil {
		t.Fatal(err)
	}
	if err := waitFor(t.Context(), func() bool { return p.signal(syscall.Signal(0)) >= 3 }); err != nil {
		t.Errorf("%d processes carry the mark, want 3", p.signal(syscall.Signal(0)))
	}
	p.stop()
	if n := p.signal(syscall.Signal(0)); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

func waitFor(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}
