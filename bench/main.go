// Command bench compares fairlead with its peers and with two limits, on one machine, in pairs of runs that take turns.
// bench/run.sh installs the peers and starts it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// bench is one call of the command.
type bench struct {
	root     string // the folder bench
	cache    string // what is made or fetched: never committed
	results  string
	library  string // ONNX Runtime
	cores    int
	mode     string
	duration time.Duration // of one run
	rounds   int
	binary   bool // the pair being measured sends binary tensors
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	root := flags.String("root", "bench", "the folder bench")
	library := flags.String("library", "bin/libonnxruntime.so.1", "ONNX Runtime's shared library")
	quick := flags.Bool("quick", false, "two rounds of two seconds; the results go to .cache/quick and not into the docs")
	only := flags.String("only", "*", "pairs to run, a pattern such as 'iris-*'")
	again := flags.Bool("again", false, "measure also what has a result already")
	tableOnly := flags.Bool("table", false, "run nothing, write the table of the results")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b := &bench{cores: runtime.NumCPU(), mode: "full", duration: 8 * time.Second, rounds: 5}
	var err error
	if b.root, err = filepath.Abs(*root); err != nil {
		return err
	}
	if b.library, err = filepath.Abs(*library); err != nil {
		return err
	}
	b.cache, b.results = filepath.Join(b.root, ".cache"), filepath.Join(b.root, "results")
	if *quick {
		b.mode, b.duration, b.rounds, b.results = "quick", 2*time.Second, 2, filepath.Join(b.cache, "quick")
	}
	if err := os.MkdirAll(b.results, 0o755); err != nil {
		return err
	}
	var failed []string
	if !*tableOnly {
		if failed, err = b.all(ctx, *only, *again); err != nil {
			return err
		}
	}
	if err := b.report(os.Stdout); err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("not measured: %s; what failed stands above and in %s", strings.Join(failed, ", "), filepath.Join(b.cache, "run"))
	}
	return nil
}

// all measures the pairs; one that fails does not stop the others.
func (b *bench) all(ctx context.Context, only string, again bool) (failed []string, err error) {
	if load, err := os.ReadFile("/proc/loadavg"); err == nil && !strings.HasPrefix(string(load), "0.") {
		fmt.Fprintf(os.Stderr, "bench: the machine is busy (load %s): the numbers will be noisy\n", strings.Fields(string(load))[0])
	}
	for i := range pairs {
		p := &pairs[i]
		fits, err := path.Match(only, p.name)
		if err != nil {
			return failed, fmt.Errorf("-only %q: %w", only, err)
		}
		file := filepath.Join(b.results, p.name+".json")
		if _, err := os.Stat(file); !fits || err == nil && !again {
			continue
		}
		began := time.Now()
		r, err := b.compare(ctx, p)
		if ctx.Err() != nil {
			return failed, ctx.Err()
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s: %v\n", p.name, err)
			failed = append(failed, p.name)
			continue
		}
		fmt.Fprintf(os.Stderr, "%-24s %.2f  (%.0f/s and %.0f/s, %s)\n", p.name, r.Median, r.A.median(), r.B.median(), time.Since(began).Round(time.Second))
		raw, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return failed, err
		}
		if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
			return failed, err
		}
	}
	return failed, nil
}

// compare starts both sides of a pair and lets them take turns.
func (b *bench) compare(ctx context.Context, p *pair) (r *result, err error) {
	b.binary = p.a.form == asBinary
	port, err := freePorts(20)
	if err != nil {
		return nil, err
	}
	first, err := b.begin(ctx, p, p.a, port, nil)
	if err != nil {
		return nil, err
	}
	defer first.process.stop()
	second, err := b.begin(ctx, p, p.b, port+10, first)
	if err != nil {
		return nil, err
	}
	if second.process != nil && second.process != first.process {
		defer second.process.stop()
	}
	turn := func(c, other *contestant, f func() error) error {
		if c.process != other.process {
			other.awake(false)
			defer other.awake(true)
		}
		return f()
	}
	for _, sides := range [][2]*contestant{{first, second}, {second, first}} {
		if err := turn(sides[0], sides[1], func() error { return sides[0].calibrate(ctx) }); err != nil {
			return nil, err
		}
	}
	r = b.newResult(p, first, second)
	for range b.rounds {
		var one, two measured
		runFirst := func() (err error) { one, err = first.measure(ctx, two.PerSecond); return err }
		runSecond := func() (err error) { two, err = second.measure(ctx, 0); return err }
		// An open loop offers twice what the closed one of its round has shown.
		order := []func() error{
			func() error { return turn(second, first, runSecond) },
			func() error { return turn(first, second, runFirst) },
		}
		for _, f := range order {
			if err := f(); err != nil {
				return nil, err
			}
		}
		r.add(one, two)
	}
	return r, nil
}

// freePorts finds n ports in a row on which nobody listens.
func freePorts(n int) (int, error) {
search:
	for first := 19000; first < 30000; first += n {
		for port := first; port < first+n; port++ {
			l, err := net.Listen("tcp", host(port))
			if err != nil {
				continue search
			}
			if err := l.Close(); err != nil {
				continue search
			}
		}
		return first, nil
	}
	return 0, errors.New("no free ports between 19000 and 30000")
}
