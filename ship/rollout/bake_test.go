package rollout

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// baking is a world whose new version has just been promoted.
func baking(policy string, seed uint64) *world {
	w := newWorld(mustParse(policy), seed)
	w.until(func() bool { return w.state.Phase == Baking })
	return w
}

// A harmless version in a bake of two hours, 24 windows, a look a minute: the windows spend no more than the bake has.
func TestHarmlessBake(t *testing.T) {
	const first, looks = 21000, 120
	n, aborted, by := runs(t, 200), 0, map[string]int{}
	for i := range n {
		w := baking(`{stages: [50%, 100%], bake: 2h}`, uint64(first+i))
		for range looks {
			if w.step(); w.state.Phase.Over() {
				break
			}
		}
		if w.state.Phase == RolledBack {
			aborted++
			by[w.decisions[len(w.decisions)-1].Reason]++
		}
	}
	t.Logf("%d of %d harmless versions rolled back in a bake of 2 h %v (seeds from %d)", aborted, n, by, first)
	if float64(aborted) > max(1, 0.01*float64(n)) {
		t.Errorf("%d of %d harmless versions were rolled back in the bake %v; at most 1 %% may be (seeds from %d)", aborted, n, by, first)
	}
}

// After five good hours of a bake the errors double. The present window shows it while the average of the whole bake still
// hides it.
func TestLateRegressionInTheBake(t *testing.T) {
	const first = 23000
	n := max(10, runs(t, 20))
	var found, diluted []float64
	for i := range n {
		w := baking(`{stages: [10%, 50%, 100%], bake: 6h}`, uint64(first+i))
		w.look = 5 * time.Minute
		w.run(60)
		if w.state.Phase != Baking || w.state.Window < 15 {
			t.Fatalf("seed %d: it stands at %s in window %d:\n%s", first+i, w.state.Phase, w.state.Window, Explain(w.decisions))
		}
		w.look = time.Minute
		w.run(i % 15) // somewhere in a window
		w.canary.errors = 0.02
		began := w.obs.Now
		average := math.Inf(1)
		for w.step(); !w.state.Phase.Over(); w.step() {
			if math.IsInf(average, 1) && averageShows(w) {
				average = w.obs.Now.Sub(began).Minutes()
			}
		}
		last := w.decisions[len(w.decisions)-1]
		if w.state.Phase != RolledBack || last.Evidence[0].Span == 0 {
			t.Fatalf("seed %d: not found in the window:\n%s", first+i, Explain(w.decisions))
		}
		found, diluted = append(found, w.obs.Now.Sub(began).Minutes()), append(diluted, average)
	}
	slices.Sort(found)
	slices.Sort(diluted)
	t.Logf("found after %g minutes (median), %g at the latest; by the average of the whole bake, with all of the level: %g when it was found", found[n/2], found[n-1], diluted[n/2])
	if found[n/2] > 15 || found[n-1] > 30 {
		t.Errorf("half of %d took more than %g minutes, the slowest %g (seeds from %d)", n, found[n/2], found[n-1], first)
	}
	if !math.IsInf(diluted[n/2], 1) {
		t.Errorf("the average would have found it after %g minutes: the test shows nothing", diluted[n/2])
	}
}

// averageShows says whether the whole bake as one, with the level to itself, shows more errors than are tolerated.
func averageShows(w *world) bool {
	s, o := w.state, w.obs
	o.Canary = together(s.Watched, o.Canary)
	s.Watched, s.Window = nil, 0
	for _, e := range Judge(w.policy, s, o) {
		if e.Gate == GateErrors {
			return e.LogE+math.Ln2 >= e.Threshold && e.Difference > e.Tolerance
		}
	}
	return false
}

// A bake is time in which somebody looked. A server that is down for its whole length has not watched anything, and the
// windows before that are not lost.
func TestDowntimeIsNoBake(t *testing.T) {
	w := baking(`{stages: [50%, 100%], bake: 1h}`, 25000)
	w.run(31)
	if w.state.Window != 6 {
		t.Fatalf("after half an hour it is in window %d", w.state.Window)
	}
	w.obs.Now = w.obs.Now.Add(10 * time.Hour)
	w.obs.Epoch += "'"
	w.obs.Canary, w.obs.Live = &fairlead.Tally{}, &fairlead.Tally{}
	w.decide()
	w.run(26)
	if w.state.Phase != Baking {
		t.Errorf("ten hours without a server counted:\n%s", Explain(w.decisions))
	}
	w.run(10)
	if w.state.Phase != Completed {
		t.Errorf("it has not ended in window %d:\n%s", w.state.Window, Explain(w.decisions))
	}
}

// A bake that somebody has paused goes on to be watched, window after window.
func TestPausedBakeIsWatched(t *testing.T) {
	w := baking(`{stages: [50%, 100%], bake: 1h}`, 26000)
	if err := w.command(DoPause, "ada", "until Monday"); err != nil {
		t.Fatal(err)
	}
	w.look = 5 * time.Minute
	w.run(60)
	if w.state.Phase != Baking || w.state.Window < 50 {
		t.Fatalf("it stands at %s in window %d:\n%s", w.state.Phase, w.state.Window, Explain(w.decisions))
	}
	w.canary.errors = 0.05
	if w.run(6); w.state.Phase != RolledBack {
		t.Errorf("not found:\n%s", Explain(w.decisions))
	}
}
