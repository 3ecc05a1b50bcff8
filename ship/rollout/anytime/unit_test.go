package anytime

import (
	"math"
	"testing"
)

func even(n, sum, squares float64, m int) []Cell {
	cells := make([]Cell, m)
	for i := range cells {
		cells[i] = Cell{n / float64(m), sum / float64(m), squares / float64(m)}
	}
	return cells
}

// TestNothingIsSaidWithoutData: no panics, no NaN, no finding where there is nothing to compare.
func TestNothingIsSaidWithoutData(t *testing.T) {
	q := Question{Alpha: 0.01, Tolerance: Limit{0.25, 0.002}, Margin: Limit{0.25, 0.002}, Interval: true}
	bounds, none := []float64{1, 2, math.Inf(1)}, make([]uint64, 3)
	some := []uint64{5, 5, 0}
	for name, v := range map[string]Verdict{
		"rates of nothing":         Rates(nil, nil, q),
		"rates without live":       Rates(nil, even(100, 50, 0, 10), q),
		"rates without canary":     Rates(even(100, 50, 0, 10), nil, q),
		"rates in one cell":        Rates([]Cell{{N: 1e6, Sum: 10}}, []Cell{{N: 1e5, Sum: 5e4}}, q),
		"one request each":         RatesOf(Cell{N: 1}, Cell{N: 1, Sum: 1}, 1, q),
		"means of nothing":         Means(nil, nil, q),
		"means in one cell":        Means([]Cell{{10, 10, 10}}, []Cell{{10, 20, 40}}, q),
		"one outcome each":         MeansOf(Cell{1, 1, 1}, Cell{1, 2, 4}, 1, q),
		"no pairs":                 Tolerated(0, 0, 1, q),
		"ratio of nothing":         Ratio(nil, nil, 0.1, q),
		"ratio of one request":     Ratio([]Cell{{N: 1}}, nil, 0.1, q),
		"quantiles of nothing":     Quantiles(bounds, none, none, 0.9, 1, q),
		"quantiles without live":   Quantiles(bounds, none, some, 0.9, 1, q),
		"no bins":                  Quantiles(nil, nil, nil, 0.9, 1, q),
		"distributions of nothing": Distributions(none, none, 1, q),
		"no canary's scores":       Distributions(some, none, 1, q),
		"one bin":                  Distributions([]uint64{5}, []uint64{7}, 1, q),
	} {
		if v.Finding != Undecided {
			t.Errorf("%s: %s", name, v.Finding)
		}
		for _, x := range []float64{v.LogE, v.LogSafe, v.Live, v.Canary, v.Difference, v.Lower, v.Upper, v.DesignEffect} {
			if math.IsNaN(x) {
				t.Errorf("%s: NaN in %+v", name, v)
				break
			}
		}
	}
}

// TestExtremes: everything fails, nothing does, and what no estimate of a variance survives.
func TestExtremes(t *testing.T) {
	q := Question{Alpha: 0.001, Beta: 0.05, Margin: Limit{Absolute: 0.002}, Tolerance: Limit{Absolute: 0.002}, Interval: true}
	for name, c := range map[string]struct {
		live, canary []Cell
		want         Finding
	}{
		"a broken canary is found within ten requests in eighty": {even(80, 0, 0, 40), even(10, 10, 0, 5), Harm},
		"three keys that fail altogether":                        {even(900, 9, 0, 30), even(90, 90, 0, 3), Harm},
		"no error in ten thousand":                               {even(90000, 0, 0, 256), even(10000, 0, 0, 256), NonInferior},
		"no error in three hundred is too few":                   {even(90000, 0, 0, 256), even(300, 0, 0, 256), Undecided},
		"one error of the canary says nothing":                   {even(5400, 0, 0, 256), append(even(599, 0, 0, 255), Cell{N: 1, Sum: 1}), Undecided},
		"everything fails in both":                               {even(5000, 5000, 0, 100), even(5000, 5000, 0, 100), NonInferior},
		"a canary that repairs everything":                       {even(1000, 1000, 0, 100), even(1000, 0, 0, 100), NonInferior},
	} {
		v := Rates(c.live, c.canary, q)
		if v.Finding != c.want {
			t.Errorf("%s: %s, %+v", name, v.Finding, v)
		}
		if !(v.Lower <= v.Difference && v.Difference <= v.Upper) || math.IsNaN(v.LogE) || math.IsInf(v.LogE, 0) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestIntervalAndVerdictAgree: harm means that the interval lies above the tolerance, non-inferior that it lies below the
// margin.
func TestIntervalAndVerdictAgree(t *testing.T) {
	for _, rate := range []float64{0.004, 0.01, 0.0125, 0.015, 0.02, 0.05} {
		for _, n := range []float64{100, 1000, 10000, 100000} {
			q := Question{Alpha: 0.01, Beta: 0.05, Tolerance: Limit{Absolute: 0.002}, Margin: Limit{Absolute: 0.004}, Interval: true}
			v := RatesOf(Cell{N: 9 * n, Sum: 0.09 * n}, Cell{N: n, Sum: rate * n}, 1, q)
			if (v.LogE >= math.Log(100)) != (v.Lower >= v.Tolerance-1e-6) || (v.LogSafe >= math.Log(20)) != (v.Upper <= v.Margin+1e-6) {
				t.Errorf("rate %g, n %g: %+v", rate, n, v)
			}
		}
	}
}

func TestToleratedFlips(t *testing.T) {
	q := Question{Alpha: 0.01, Beta: 0.05, Tolerance: Limit{Absolute: 0.02}, Interval: true}
	for _, c := range []struct {
		k, n, effect float64
		want         Finding
	}{
		{60, 1000, 1, Harm}, {60, 1000, 10, Undecided}, {5, 1000, 1, NonInferior}, {20, 1000, 1, Undecided}, {5, 5, 1, Harm}, {1, 1, 1, Undecided},
	} {
		v := Tolerated(c.k, c.n, c.effect, q)
		if v.Finding != c.want {
			t.Errorf("%g of %g: %+v", c.k, c.n, v)
		}
		if (v.Finding == Harm) != (v.Lower >= 0.02-1e-6) || (v.Finding == NonInferior) != (v.Upper <= 0.02+1e-6) {
			t.Errorf("%g of %g: the interval does not agree: %+v", c.k, c.n, v)
		}
	}
	if v := Tolerated(1, 1000, 1, Question{Alpha: 0.01}); v.Finding != Harm {
		t.Errorf("a tolerated rate of zero and an event: %s", v.Finding)
	}
	if v := Tolerated(500, 1000, 1, Question{Alpha: 0.01, Tolerance: Limit{Absolute: 1}}); v.Finding != NonInferior {
		t.Errorf("a tolerated rate of one: %s", v.Finding)
	}
	for _, c := range []struct{ k, n float64 }{{0, 30}, {30, 30}, {3, 1e6}, {999, 1000}} {
		low, high := ShareBounds(c.k, c.n, 0.025, 0.025)
		if !(low <= c.k/c.n && c.k/c.n <= high) || low == 0 && c.k == 30 || high == 1 && c.k == 0 {
			t.Errorf("%g of %g: %g..%g", c.k, c.n, low, high)
		}
	}
}

func TestMeans(t *testing.T) {
	q := Question{Alpha: 0.01, Beta: 0.05, Margin: Limit{Absolute: 0.1}, Effect: 0.1, Interval: true}
	spread := func(n, mean float64) []Cell { // cells of mean ± 1 in turn, within variance 1
		cells := even(n, n*mean, n*(mean*mean+1), 100)
		for i := range cells {
			d := math.Sqrt(cells[i].N) * float64(1-2*(i%2))
			cells[i].Sum += d
		}
		return cells
	}
	for _, c := range []struct {
		n, mean float64
		want    Finding
	}{{300, 1, Undecided}, {20000, 1, NonInferior}, {5000, 1.2, Harm}, {5000, 0.8, NonInferior}, {50, 5, Harm}} {
		v := Means(spread(10*c.n, 1), spread(c.n, c.mean), q)
		if v.Finding != c.want {
			t.Errorf("n %g, mean %g: %+v", c.n, c.mean, v)
		}
		if (v.LogE >= math.Log(100)) != (v.Lower >= 0) || (v.LogSafe >= math.Log(20)) != (v.Upper <= 0.1) {
			t.Errorf("n %g, mean %g: the interval does not agree: %+v", c.n, c.mean, v)
		}
		near(t, "difference", v.Difference, c.mean-1, 1e-9)
	}
}

// TestDesignEffect: requests alone in their cell are independent; ten that fail together are one; a single arm is enough.
func TestDesignEffect(t *testing.T) {
	alone, together := even(1000, 0, 0, 100), even(1000, 0, 0, 100)
	for i := range 10 {
		alone[9*i].Sum = 1
	}
	together[3].Sum = 10
	if d := RateDesignEffect(nil, alone, 0.01); d > 1.1 {
		t.Errorf("ten failures of ten keys: %g", d)
	}
	if d := RateDesignEffect(nil, together, 0.01); d < 9 || d > 20 {
		t.Errorf("ten failures of one key: %g", d)
	}
	if d := RateDesignEffect(alone, together, 0.01); d < 4 {
		t.Errorf("ten failures of one key against ten of ten: %g", d)
	}
	if d := RateDesignEffect(nil, nil, 0.01); d != 1 {
		t.Errorf("nothing: %g", d)
	}
	if d := RateDesignEffect(alone, []Cell{{N: 10, Sum: 5}}, 0.01); !math.IsInf(d, 1) {
		t.Errorf("one cell: %g", d)
	}
}

func TestSpend(t *testing.T) {
	parts := Spend(0.01, []float64{3, 1, 0, -1, 1})
	for i, want := range []float64{0.006, 0.002, 0, 0, 0.002} {
		near(t, "part", parts[i], want, 1e-15)
	}
	if Spend(0.01, []float64{0})[0] != 0 || len(Spend(0.01, nil)) != 0 {
		t.Error("nothing to spend it on")
	}
	var sum float64
	for i := range 100000 {
		sum += SpendOnce(0.01, i)
	}
	near(t, "all attempts", sum, 0.01, 1e-6)
}

func TestPlans(t *testing.T) {
	// statsmodels and every textbook: 1 % against 2 %, even split, one-sided 5 %, power 80 %: about 3,650 in both arms.
	p := RatePlan{Live: 0.01, Canary: 0.02, Share: 0.5, Question: Question{Alpha: 0.05}}
	if n := p.FixedHorizon(0.8); math.Abs(n/3652-1) > 0.005 {
		t.Errorf("fixed horizon %g", n)
	}
	if n := (RatePlan{Live: 0.01, Canary: 0.01, Share: 0.5, Question: Question{Alpha: 0.05}}).Expected(Harm); !math.IsInf(n, 1) {
		t.Errorf("harm expected of an equal canary after %g", n)
	}
	// The setting of the delivery reference: +25 % of 1 %, 6,000 requests a minute, a tenth of them the canary's: 28 minutes.
	n := LeastMeans(0.01*0.99, 1, 0.1, 0.0025, 0.05)
	if minutes := n / 6000; math.Abs(minutes-28) > 1 {
		t.Errorf("%g minutes", minutes)
	}
	if n := Least(func(n float64) bool { return n >= 1234567 }); n != 1234567 {
		t.Errorf("Least found %g", n)
	}
	n = LeastRatio(0.5, 0.01, 1, 0.001)
	if n < 20000 || n > 200000 {
		t.Errorf("one point of a half is found after %g requests", n)
	}
	t.Logf("share 0.51 for 0.5: %.0f requests; 0.0505 for 0.05: %.0f; 0.06 for 0.05: %.0f",
		n, LeastRatio(0.05, 0.0005, 1, 0.001), LeastRatio(0.05, 0.01, 1, 0.001))
}
