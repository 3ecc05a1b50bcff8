package rollout

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// runs is how often a simulation is repeated; each has its own seed, first + i.
func runs(t *testing.T, n int) int {
	if raceDetector { // each look takes ten times as long
		return n / 20
	}
	if testing.Short() {
		return n / 10
	}
	return n
}

// A harmless canary, sixty looks, every default gate on, a budget of 1 %: at most one rollout in a hundred may be rolled back.
// The stages last as long as the looks do, so that all of them count.
func TestHarmlessCanary(t *testing.T) {
	for name, policy := range map[string]string{
		"one stage of 10%":  `stages: [{traffic: 10%, time: 24h}, 100%]`,
		"the default":       `{}`,
		"straight to 50%":   `stages: [{traffic: 50%, time: 24h}, 100%]`,
		"a stage of 1%":     `stages: [{traffic: 1%, time: 24h}, 100%]`,
		"an hour of shadow": `stages: [{traffic: shadow, time: 24h}, 100%]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const first, looks = 1000, 60
			p, n := mustParse(policy), runs(t, 500)
			aborted, held, by := 0, 0, map[string]int{}
			for i := range n {
				w := newWorld(p, uint64(first+i))
				w.run(looks)
				if w.state.Phase == RolledBack {
					aborted++
					by[w.decisions[len(w.decisions)-1].Reason]++
				}
				if slices.ContainsFunc(w.decisions, func(d Decision) bool { return d.Reason == ReasonRatio }) {
					held++
				}
			}
			t.Logf("%d of %d harmless rollouts rolled back %v, %d held for a sample ratio (seeds from %d)", aborted, n, by, held, first)
			if float64(aborted) > 0.01*float64(n) {
				t.Errorf("%d of %d harmless rollouts were rolled back %v; at most 1 %% may be (seeds from %d)", aborted, n, by, first)
			}
			if float64(held) > max(1, 0.005*float64(n)) {
				t.Errorf("%d of %d were held for a sample-ratio mismatch that is none", held, n)
			}
		})
	}
}

// A canary that fails twice as often: caught in every run, in a median time of at most 1.3 times that of the best test which
// looks once, at the end, and has the same power. The one-look test gets the whole budget for itself; power 99.9 % is the
// least that "every run of a thousand" means.
func TestDoubledErrors(t *testing.T) {
	const first = 5000
	for name, at := range map[string]struct {
		share     float64
		perMinute float64
	}{"10%": {0.1, 6000}, "50%": {0.5, 1200}, "5%": {0.05, 6000}, "1%": {0.01, 30000}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, n := mustParse(`stages: [{traffic: `+name+`, time: 24h}, 100%]`), runs(t, 300)
			var looks []float64
			for i := range n {
				w := newWorld(p, uint64(first+i))
				w.perMinute, w.canary.errors = at.perMinute, 0.02
				w.step()
				k := w.run(240)
				last := w.decisions[len(w.decisions)-1]
				if w.state.Phase != RolledBack || last.Reason != ReasonHarm+GateErrors && last.Reason != ReasonHarm+GateSegments {
					t.Fatalf("seed %d: not caught in %d looks:\n%s", first+i, k, Explain(w.decisions))
				}
				looks = append(looks, float64(k))
			}
			slices.Sort(looks)
			median, fixed := looks[n/2], fixedHorizon(0.01, 0.02, at.share, at.perMinute, p.Budget, 0.999)
			t.Logf("median %g minutes, slowest of %d %g; one look with power 99.9%% needs %.1f (ratio %.2f), with 80%% %.1f",
				median, n, looks[n-1], fixed, median/fixed, fixedHorizon(0.01, 0.02, at.share, at.perMinute, p.Budget, 0.8))
			if median > 1.3*fixed {
				t.Errorf("the median of %d runs (seeds from %d) is %g minutes, more than 1.3 times %.1f", n, first, median, fixed)
			}
		})
	}
}

// fixedHorizon is the minutes that a one-sided z-test of two proportions at level alpha needs to find p1 against p0 with the
// power given.
func fixedHorizon(p0, p1, share, perMinute, alpha, power float64) float64 {
	pooled := p0*(1-share) + p1*share
	n := perMinute
	null := math.Sqrt(pooled * (1 - pooled) * (1/(n*share) + 1/(n*(1-share))))
	alternative := math.Sqrt(p1*(1-p1)/(n*share) + p0*(1-p0)/(n*(1-share)))
	z := quantileNormal(1-alpha)*null + quantileNormal(power)*alternative
	return math.Pow(z/(p1-p0), 2)
}

func quantileNormal(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// Each fault is caught, whichever gate sees it first, before it could get more than the stage's traffic.
func TestFaults(t *testing.T) {
	faults := map[string]struct {
		canary arm
		reason string // "" any
		looks  int
	}{
		"NaN answers":       {healthy.with(func(a *arm) { a.invalid = 0.05 }), GateInvalid, 15},
		"latency tripled":   {healthy.with(func(a *arm) { a.latency *= 3 }), "latency", 5},
		"scores shifted":    {healthy.with(func(a *arm) { a.score = 0.1 }), GateDrift, 60},
		"one is slow":       {healthy.with(func(a *arm) { a.slowSegment = 5 }), GateSegmentLatency, 60},
		"one segment fails": {healthy.with(func(a *arm) { a.badSegment = 0.2 }), "", 40},
		"errors times four": {healthy.with(func(a *arm) { a.errors *= 4 }), GateErrors, 10},
		"all fails":         {healthy.with(func(a *arm) { a.errors = 0.9 }), GateErrors, 1},
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const first = 9000
			p := mustParse(`stages: [{traffic: 10%, time: 24h}, 100%]`)
			for i := range runs(t, 100) {
				w := newWorld(p, uint64(first+i))
				w.canary = f.canary
				w.step()
				k := w.run(f.looks)
				last := w.decisions[len(w.decisions)-1]
				if w.state.Phase != RolledBack || !strings.HasPrefix(last.Reason, ReasonHarm+f.reason) {
					t.Fatalf("seed %d: not caught in %d looks:\n%s", first+i, k, Explain(w.decisions))
				}
			}
		})
	}
}

// In shadow the faults that a comparison of answers can see are found before a client sees them.
func TestFaultsInShadow(t *testing.T) {
	for name, canary := range map[string]arm{
		"NaN answers":     healthy.with(func(a *arm) { a.invalid = 0.02 }),
		"latency tripled": healthy.with(func(a *arm) { a.latency *= 3 }),
		"scores shifted":  healthy.with(func(a *arm) { a.score = 0.1 }),
		"errors doubled":  healthy.with(func(a *arm) { a.errors *= 2 }),
		"one is slow":     healthy.with(func(a *arm) { a.slowSegment = 12 }), // copies wait, and the bins of segments are octaves
		"one is moved":    healthy.with(func(a *arm) { a.movedSegment = 0.2 }),
	} {
		t.Run(name, func(t *testing.T) {
			const first = 7000
			p := mustParse(`{}`)
			for i := range runs(t, 50) {
				w := newWorld(p, uint64(first+i))
				w.canary = canary
				w.run(60)
				if w.state.Phase != RolledBack || w.decisions[len(w.decisions)-1].Stage != "shadow" {
					t.Fatalf("seed %d: not caught in shadow:\n%s", first+i, Explain(w.decisions))
				}
			}
		})
	}
}

// One request in a hundred of the canary is lost on the way to the counters: the rollout holds and says so, and nothing is
// rolled back for it.
func TestSampleRatioMismatch(t *testing.T) {
	const first = 11000
	p := mustParse(`stages: [{traffic: 50%, time: 24h}, 100%]`)
	n := runs(t, 100)
	for i := range n {
		w := newWorld(p, uint64(first+i))
		w.perMinute, w.skew = 60000, 0.01
		w.step()
		k := w.run(60)
		if w.state.Held != ReasonRatio || w.state.Phase != Running {
			t.Fatalf("seed %d: the mismatch was not found in %d looks of 60,000 requests:\n%s", first+i, k, Explain(w.decisions))
		}
	}
}
