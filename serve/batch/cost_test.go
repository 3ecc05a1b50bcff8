package batch

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/serve/route"
)

// TestCost learns models of known cost from noisy runs.
func TestCost(t *testing.T) {
	const us = time.Microsecond
	r := rand.New(rand.NewPCG(3, 1))
	for name, c := range map[string]struct {
		seed  route.Cost
		took  func(rows int) time.Duration
		sizes int // runs of 1 to so many rows
		limit int // of at most 64, -1: 16 to 48
	}{
		"dense, from nothing":       {route.Cost{}, func(b int) time.Duration { return 80*us + time.Duration(b)*20*us }, 64, 64},
		"dense, gains early":        {route.Cost{}, func(b int) time.Duration { return 30*us + time.Duration(b)*20*us }, 64, -1},
		"trees":                     {route.Cost{}, func(b int) time.Duration { return us/2 + time.Duration(b)*22*us }, 8, 1},
		"only single rows":          {route.Cost{Fixed: 40 * us, PerRow: 10 * us}, func(int) time.Duration { return 100 * us }, 1, 64},
		"became three times slower": {route.Cost{Fixed: us, PerRow: 20 * us}, func(b int) time.Duration { return us + time.Duration(b)*60*us }, 4, 1},
		"a step at 17 rows": {route.Cost{}, func(b int) time.Duration {
			if b > 16 {
				return time.Duration(b) * 60 * us
			}
			return 100 * us
		}, 64, 8}, // the table knows sizes by powers of two: 16 is among those with the step
	} {
		t.Run(name, func(t *testing.T) {
			var l cost
			l.seed(c.seed, 64)
			over := 0
			for i := range 4000 {
				b := 1 + r.IntN(c.sizes)
				took := time.Duration(float64(c.took(b)) * math.Exp(0.05*r.NormFloat64()))
				if i >= 2000 && took > l.of(b)+l.residual() {
					over++
				}
				l.observe(b, took)
				l.limit(64)
			}
			for _, b := range []int{1, min(4, c.sizes), c.sizes} {
				if got, want := float64(l.of(b)), float64(c.took(b)); math.Abs(got-want) > 0.15*want {
					t.Errorf("L(%d) = %v, want about %v", b, l.of(b), c.took(b))
				}
			}
			limit := l.limit(64)
			if c.limit > 0 && limit != c.limit || c.limit < 0 && (limit < 16 || limit > 48) {
				t.Errorf("batches of %d, want %d; a=%.0f c=%.0f table %v", limit, c.limit, l.a, l.c, l.table)
			}
			if !l.table && (over < 2 || over > 80) {
				t.Errorf("%d of 2000 runs took longer than L(b)+r, want about 20", over)
			}
		})
	}
}

// TestResidualHeals: a model that was measured while the machine was busy elsewhere is believed to be unsteady for some
// thousand runs, and not for longer.
func TestResidualHeals(t *testing.T) {
	const us = time.Microsecond
	var l cost
	l.seed(route.Cost{Fixed: 60 * us, PerRow: 40 * us, Residual: 30 * time.Millisecond}, 1)
	if l.residual() > time.Millisecond {
		t.Errorf("at load %v, of a run of 100 µs", l.residual())
	}
	l.r = float64(30 * time.Millisecond) // as after a bad hour
	for range 8000 {
		l.observe(1, 100*us)
	}
	if l.residual() > 200*us {
		t.Errorf("still %v after 8000 runs of 100 µs", l.residual())
	}
}
