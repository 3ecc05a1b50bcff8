package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// result is the record of one pair.
type result struct {
	Name    string    `json:"name"`
	Title   string    `json:"title"`
	Model   string    `json:"model"`
	Mode    string    `json:"mode"`
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds_per_run"`
	Machine machine   `json:"machine"`
	Commit  string    `json:"commit,omitempty"`
	A       sideRuns  `json:"a"`
	B       sideRuns  `json:"b"`
	Ratios  []float64 `json:"ratios"` // a over b, round by round
	Median  float64   `json:"median"`
	Least   float64   `json:"wanted,omitempty"`
}

type sideRuns struct {
	Server      string     `json:"server"`
	Form        string     `json:"form,omitempty"`
	Versions    string     `json:"versions,omitempty"`
	Connections int        `json:"connections"`
	Runs        []measured `json:"runs"`
}

type machine struct {
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	System  string `json:"system"`
	Go      string `json:"go"`
	LoadAvg string `json:"load_before,omitempty"`
}

func (s *sideRuns) column(of func(measured) float64) float64 {
	var values []float64
	for _, r := range s.Runs {
		values = append(values, of(r))
	}
	return median(values)
}

func (s *sideRuns) median() float64 { return s.column(func(m measured) float64 { return m.PerSecond }) }

func (b *bench) newResult(p *pair, first, second *contestant) *result {
	of := func(c *contestant) sideRuns {
		s := sideRuns{Server: c.side.server, Form: c.side.form, Connections: c.connections}
		if c.server != nil {
			s.Versions = b.versions(c.server)
		}
		if c.side.form == openLoop {
			s.Connections = 256
		}
		return s
	}
	return &result{Name: p.name, Title: p.title, Model: p.model, Mode: b.mode, Time: time.Now().UTC().Truncate(time.Second), Seconds: b.duration.Seconds(),
		Machine: thisMachine(), Commit: os.Getenv("BENCH_COMMIT"), A: of(first), B: of(second), Least: p.least}
}

func (r *result) add(a, b measured) {
	r.A.Runs, r.B.Runs = append(r.A.Runs, a), append(r.B.Runs, b)
	r.Ratios = append(r.Ratios, a.PerSecond/b.PerSecond)
	r.Median = median(r.Ratios)
}

func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), CPU: "unknown"}
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	if raw, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.LoadAvg = strings.Join(strings.Fields(string(raw))[:3], " ")
	}
	return m
}

// The table in docs/benchmarks.md stands between these lines.
const (
	tableFrom = "<!-- from bench/results, written by bench/run.sh -->"
	tableTo   = "<!-- end -->"
)

// report prints the table of the results; a full one goes into the docs, too.
func (b *bench) report(w io.Writer) error {
	results, err := b.load()
	if err != nil {
		return err
	}
	table := markdown(results)
	fmt.Fprintln(w, table)
	if b.mode != "full" || len(results) == 0 {
		return nil
	}
	file := filepath.Join(b.root, "..", "docs", "benchmarks.md")
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(raw), tableFrom)
	_, after, closed := strings.Cut(rest, tableTo)
	if !ok || !closed {
		return fmt.Errorf("%s has lost the lines %q and %q around its table", file, tableFrom, tableTo)
	}
	return os.WriteFile(file, []byte(before+tableFrom+"\n"+table+tableTo+after), 0o644)
}

// load reads the results in the order of the pairs.
func (b *bench) load() ([]result, error) {
	var results []result
	for _, p := range pairs {
		raw, err := os.ReadFile(filepath.Join(b.results, p.name+".json"))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var r result
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, fmt.Errorf("%s.json: %w", p.name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

func markdown(results []result) string {
	var b strings.Builder
	b.WriteString("\n| comparison | ratio | of each round | wanted | first /s | p50 ms | p99 ms | second /s | p50 ms | p99 ms |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range results {
		r := &results[i]
		rounds := make([]string, len(r.Ratios))
		for j, x := range r.Ratios {
			rounds[j] = fmt.Sprintf("%.2f", x)
		}
		wanted := ""
		if r.Least > 0 {
			wanted = fmt.Sprintf("≥ %g", r.Least)
			if r.Median < r.Least {
				wanted += " missed"
			}
		}
		fmt.Fprintf(&b, "| %s | **%.2f** | %s | %s |%s|%s|\n", r.Title, r.Median, strings.Join(rounds, " "), wanted, cells(&r.A), cells(&r.B))
	}
	if len(results) > 0 {
		m := results[0].Machine
		fmt.Fprintf(&b, "\n%d cores of %s, %s, %s; runs of %g s.\n", m.Cores, m.CPU, m.System, m.Go, results[0].Seconds)
	}
	return b.String()
}

func cells(s *sideRuns) string {
	ms := func(of func(measured) float64) string {
		if x := s.column(of); x > 0 {
			return fmt.Sprintf("%.2f", x)
		}
		return ""
	}
	return fmt.Sprintf(" %.0f | %s | %s ", s.median(), ms(func(m measured) float64 { return m.P50 }), ms(func(m measured) float64 { return m.P99 }))
}
