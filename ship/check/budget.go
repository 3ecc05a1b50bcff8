package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// rounds of a latency test; the median over them counts, so that one disturbance does not decide.
const rounds = 5

// patience bounds what a latency test takes. Slow models get fewer runs.
const patience = 10 * time.Second

// latency measures runs of so many rows, after a warm-up.
func (e *evaluation) latency(ctx context.Context, l *Latency, now func() time.Time) (Result, error) {
	if f := e.model.fixed(); f > 0 && l.Rows != f {
		return skipped("the graph takes %d rows a run, not %d", f, l.Rows)
	}
	if e.Rows == nil {
		return noRows()
	}
	calls, err := e.calls(l.Rows)
	if err != nil {
		return Result{}, err
	}
	at := 0
	run := func() (time.Duration, error) {
		in := calls[at%len(calls)]
		at++
		began := now()
		_, err := e.model.run.Run(ctx, in, nil)
		took := now().Sub(began)
		if err != nil && ctx.Err() == nil {
			err = fairlead.Invalid("the model fails: %v", err).Cause(err)
		}
		return took, err
	}
	began, runs, warm := now(), l.Runs, 0
	for warm < max(5, l.Runs/10) && (warm < 5 || now().Sub(began) < patience/rounds) {
		if _, err := run(); err != nil {
			return Result{}, err
		}
		warm++
	}
	if each := now().Sub(began) / time.Duration(warm); each > 0 { // the 99th percentile wants runs, the user an end
		runs = min(runs, max(20, int(patience/rounds/each)))
	}
	var p50, p99 []time.Duration
	for range rounds {
		times := make([]time.Duration, runs)
		for i := range times {
			if times[i], err = run(); err != nil {
				return Result{}, err
			}
		}
		slices.Sort(times)
		p50, p99 = append(p50, times[(runs-1)/2]), append(p99, times[(runs-1)*99/100])
	}
	slices.Sort(p50)
	slices.Sort(p99)
	return l.result(p50[rounds/2], p99[rounds/2], runs), nil
}

func (l *Latency) result(p50, p99 time.Duration, runs int) Result {
	r := verdictOf(0, rounds*runs, 0)
	var parts []string
	for _, x := range []struct {
		name             string
		measured, budget time.Duration
	}{{"p50", p50, l.P50}, {"p99", p99, l.P99}} {
		text := fmt.Sprintf("%s %s", x.name, short(x.measured))
		if x.budget > 0 {
			text += fmt.Sprintf(" of at most %s", short(x.budget))
			if x.measured > x.budget {
				r.Verdict, r.Fails = Failed, true
			}
			if r.Value == nil || x.measured > x.budget {
				r.Value, r.Bound = finite(x.measured.Seconds()), finite(x.budget.Seconds())
			}
		}
		parts = append(parts, text)
	}
	r.Text = fmt.Sprintf("%s, %d × %d runs", strings.Join(parts, ", "), rounds, runs)
	return r
}

// short is a time in three digits.
func short(d time.Duration) string {
	step := time.Duration(1)
	for d/step >= 1000 {
		step *= 10
	}
	return d.Round(step).String()
}

// calls are requests of so many rows, up to 64 different ones.
func (e *evaluation) calls(rows int) ([][]fairlead.Tensor, error) {
	var out [][]fairlead.Tensor
	for k := range min(64, max(1, e.Rows.Rows/rows)) {
		at := make([]int, rows)
		for i := range at {
			at[i] = (k*rows + i) % e.Rows.Rows
		}
		in, err := bundle.Inputs(e.Signature, gather(e.Rows, at), 0, rows)
		if err != nil {
			return nil, err
		}
		out = append(out, in)
	}
	return out, nil
}

// size holds what is known against the budgets.
func (e *evaluation) size(s *Size) (Result, error) {
	r := verdictOf(0, 0, 0)
	var parts []string
	for _, x := range []struct {
		name           string
		actual, budget int64
	}{{"model", e.ModelBytes, s.Model}, {"bundle", e.BundleBytes, s.Bundle}, {"memory", e.Memory, s.Memory}} {
		switch {
		case x.budget == 0:
			continue
		case x.actual == 0:
			parts = append(parts, x.name+" is not known here")
			continue
		case x.actual > x.budget:
			r.Verdict, r.Fails = Failed, true
		}
		if r.Value == nil || x.actual > x.budget {
			r.Value, r.Bound = finite(float64(x.actual)), finite(float64(x.budget))
		}
		parts = append(parts, fmt.Sprintf("%s %s of at most %s", x.name, Bytes(x.actual), Bytes(x.budget)))
	}
	if r.Value == nil {
		return skipped("%s", strings.Join(parts, ", "))
	}
	r.Text = strings.Join(parts, ", ")
	return r, nil
}

// Bytes is a size for people.
func Bytes(n int64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}} {
		if float64(n) >= u.size {
			return fmt.Sprintf("%.3g %s", float64(n)/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
