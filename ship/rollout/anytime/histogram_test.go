package anytime

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestQuantileBoundsHoldTheQuantile(t *testing.T) {
	const runs, looks, alpha = 80, 30, 0.05
	random := chance(t, 600)
	for _, p := range []float64{0.5, 0.95, 0.99} {
		truth := 0.02 * math.Exp(0.5*normalQuantile(p))
		var below, above float64
		for range runs {
			var counts []uint64
			missed := [2]bool{}
			for range looks {
				bounds, more := drawLatencies(1, 100, random)
				counts = add(counts, more)
				low, high := QuantileBounds(bounds, counts, p, 1, alpha, alpha)
				missed[0] = missed[0] || low > truth
				missed[1] = missed[1] || high < truth
			}
			if missed[0] {
				below += 1. / runs
			}
			if missed[1] {
				above += 1. / runs
			}
		}
		atMost(t, "the lower end above the quantile", below, alpha, runs)
		atMost(t, "the upper end below the quantile", above, alpha, runs)
	}
}

func add(a, b []uint64) []uint64 {
	if a == nil {
		a = make([]uint64, len(b))
	}
	for i, n := range b {
		a[i] += n
	}
	return a
}

func TestSlowCanaryIsFoundAndAnEqualOneIsNot(t *testing.T) {
	q := Question{Alpha: 0.001, Beta: 0.05, Tolerance: Limit{Relative: 0.1}, Margin: Limit{Relative: 0.3}, Interval: true}
	for _, p := range []float64{0.5, 0.95, 0.99} {
		for _, c := range []struct {
			scale float64
			want  Finding
		}{{1, NonInferior}, {3, Harm}, {1.6, Harm}, {0.5, NonInferior}} {
			bounds, live := latencies(1, 95000)
			_, canary := latencies(c.scale, 20000)
			v := Quantiles(bounds, live, canary, p, 1, q)
			if v.Finding != c.want {
				t.Errorf("p%g ×%g: %+v", 100*p, c.scale, v)
			}
			truth := 0.02 * math.Exp(0.5*normalQuantile(p))
			if math.Abs(math.Log2(v.Live/truth)) > 0.2 || math.Abs(math.Log2(v.Canary/truth/c.scale)) > 0.25 {
				t.Errorf("p%g ×%g: estimates %g and %g of %g", 100*p, c.scale, v.Live, v.Canary, truth)
			}
			if !(v.Lower <= truth*(c.scale-1) && truth*(c.scale-1) <= v.Upper) {
				t.Errorf("p%g ×%g: %g..%g misses %g", 100*p, c.scale, v.Lower, v.Upper, truth*(c.scale-1))
			}
		}
	}
	// A canary three times as slow: so many requests of it until its p95 is found out, live ones being ten times as many.
	bounds, _ := latencies(1, 1)
	n := Least(func(n float64) bool {
		_, live := latencies(1, int(10*n))
		_, canary := latencies(3, int(n))
		return Quantiles(bounds, live, canary, 0.95, 1, q).Finding == Harm
	})
	if n > 100 {
		t.Errorf("three times slower needs %g requests", n)
	}
	t.Logf("three times slower at p95: %g requests", n)
}

// TestEqualLatencySeldomAborts: sixty looks at two equal arms without a tolerance; and at a canary that is slower by just
// the margin, which must seldom pass.
func TestEqualLatencySeldomAborts(t *testing.T) {
	const runs, looks = 40, 60
	random := chance(t, 610)
	q := Question{Alpha: 0.01, Beta: 0.05, Margin: Limit{Relative: 0.3}}
	var aborted, passed float64
	for range runs {
		var live, equal, slow []uint64
		harm, safe := false, false
		for range looks {
			bounds, l := drawLatencies(1, 180, random)
			_, e := drawLatencies(1, 20, random)
			_, s := drawLatencies(1.3, 20, random)
			live, equal, slow = add(live, l), add(equal, e), add(slow, s)
			harm = harm || Quantiles(bounds, live, equal, 0.9, 1, q).Finding == Harm
			safe = safe || Quantiles(bounds, live, slow, 0.9, 1, q).Finding == NonInferior
		}
		if harm {
			aborted += 1. / runs
		}
		if safe {
			passed += 1. / runs
		}
	}
	atMost(t, "aborted", aborted, 0.01, runs)
	atMost(t, "passed", passed, 0.05, runs)
}

// scores draws n scores in 32 bins of the unit interval, shifted and clipped.
func scores(shift float64, n int, random *rand.Rand) []uint64 {
	counts := make([]uint64, 32)
	for range n {
		x := 1/(1+math.Exp(-1.2*random.NormFloat64())) + shift
		counts[max(0, min(31, int(x*32)))]++
	}
	return counts
}

// TestShiftedScoresAreFoundAndNoiseIsNot: a shift by 0.1 moves an eighth of the scores over
// an edge in the middle.
func TestShiftedScoresAreFoundAndNoiseIsNot(t *testing.T) {
	const runs, looks = 80, 60
	random := chance(t, 620)
	q := Question{Alpha: 0.01, Beta: 0.05, Tolerance: Limit{Absolute: 0.05}, Margin: Limit{Absolute: 0.1}}
	var found, safe []float64
	var aborted, sameAborted float64
	strict := Question{Alpha: 0.01}
	for range runs {
		var live, equal, shifted []uint64
		harm, same, f, s := false, false, 0., 0.
		for look := 1.; look <= looks; look++ {
			live, equal = add(live, scores(0, 360, random)), add(equal, scores(0, 40, random))
			harm = harm || Distributions(live, equal, 1, strict).Finding == Harm
			same = same || LogSameDistribution(live, equal, 0.1, 1) >= math.Log(100)
			if s == 0 && Distributions(live, equal, 1, q).Finding == NonInferior {
				s = look
			}
			if f == 0 {
				shifted = add(shifted, scores(0.1, 40, random))
				if Distributions(live, shifted, 1, q).Finding == Harm {
					f = look
				}
			}
		}
		if f == 0 {
			t.Fatal("a shift of 0.1 was not found in sixty looks")
		}
		found = append(found, f)
		if s > 0 {
			safe = append(safe, s)
		}
		if harm {
			aborted += 1. / runs
		}
		if same {
			sameAborted += 1. / runs
		}
	}
	t.Logf("a shift of 0.1 is found after %g canary scores (median), an equal canary passes after %g in %.2f of the runs",
		40*median(found), 40*median(safe), float64(len(safe))/runs)
	atMost(t, "equal scores aborted", aborted, 0.01, runs)
	atMost(t, "equal scores different", sameAborted, 0.01, runs)
	if 40*median(found) > 1000 {
		t.Errorf("a shift of 0.1 needs %g canary scores", 40*median(found))
	}
}

func TestDistanceAndIndex(t *testing.T) {
	a, b := []uint64{10, 20, 30, 40}, []uint64{40, 30, 20, 10}
	near(t, "distance", Distance(a, b), 0.4, 1e-12)
	near(t, "distance to itself", Distance(a, a), 0, 1e-12)
	near(t, "index to itself", PSI(a, a), 0, 1e-12)
	if p := PSI(a, b); math.Abs(p-0.91) > 0.05 {
		t.Errorf("PSI %g", p)
	}
	q := Question{Alpha: 0.01, Beta: 0.05, Tolerance: Limit{Absolute: 0.05}, Margin: Limit{Absolute: 0.1}, Interval: true}
	for i := range a {
		a[i] *= 200
		b[i] *= 200
	}
	v := Distributions(a, b, 1, q)
	if v.Finding != Harm || !(0.05 < v.Lower && v.Lower < 0.4 && 0.4 < v.Upper) {
		t.Errorf("%+v", v)
	}
	if v = Distributions(a, a, 1, q); v.Finding != NonInferior || v.Lower != 0 || v.Upper > 0.1 {
		t.Errorf("%+v", v)
	}
	if LogSameDistribution(a, b, 0.5, 1) < 100 || LogSameDistribution(a, a, 0.5, 1) > 0 {
		t.Error("LogSameDistribution")
	}
}

func TestDKW(t *testing.T) {
	near(t, "DKW(10000, 0.05)", DKW(10000, 0.05), 0.85*math.Sqrt((math.Log(1+math.Log(10000))+0.8*math.Log(1612/0.05))/10000), 1e-12)
	if DKW(0, 0.05) != 1 || DKW(3, 0.05) != 1 {
		t.Error("a band without data is everything")
	}
}
