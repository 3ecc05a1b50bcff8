package anytime

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// golden holds what testdata/golden.py computed another way.
type golden struct {
	Lambda []struct{ D, V, Tau, Two, Above, Half05 float64 }
	Share  []struct{ K, N, P0, Two, Above, Below float64 }
	Rates  []struct{ KA, NA, KB, NB, Offset, Slope, Unit, Harm, Safe float64 }
	Jack   []struct {
		N, Y           []float64
		Mean, Variance float64
	} `json:"jackknife"`
	Student []struct{ Freedom, Alpha, Factor float64 }
	Betting struct {
		X                []float64
		Alpha, Low, High float64
	}
	Chi []struct{ K, N, W, Stat, P float64 }
}

func reference(t *testing.T) golden {
	t.Helper()
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
		t.Errorf("%s: got %.10g, want %.10g", what, got, want)
	}
}

func TestLambdaIsTheIntegralOverItsPrior(t *testing.T) {
	for _, c := range reference(t).Lambda {
		near(t, "LogLambda", LogLambda(c.D, c.V, c.Tau), c.Two, 1e-8)
		near(t, "LogLambdaAbove", LogLambdaAbove(c.D, c.V, c.Tau), c.Above, 1e-8)
		near(t, "HalfWidth", HalfWidth(c.V, c.Tau, 0.05)/c.Half05, 1, 1e-9)
		h := HalfWidthAbove(c.V, c.Tau, 0.05)
		near(t, "LogLambdaAbove at HalfWidthAbove", LogLambdaAbove(h, c.V, c.Tau), math.Log(20), 1e-6)
		if h >= c.Half05 {
			t.Errorf("one-sided half-width %g is not below the two-sided one %g", h, c.Half05)
		}
	}
}

func TestShareEvidenceIsTheIntegralOverItsPrior(t *testing.T) {
	for _, c := range reference(t).Share {
		near(t, "LogBetaBinomial", LogBetaBinomial(c.K, c.N, c.P0, 1, (1-c.P0)/c.P0), c.Two, 1e-8)
		near(t, "LogShareAbove", LogShareAbove(c.K, c.N, c.P0), c.Above, 1e-7)
		near(t, "LogShareBelow", LogShareBelow(c.K, c.N, c.P0), c.Below, 1e-7)
	}
}

func TestRatesAgainstAGeneralOptimiser(t *testing.T) {
	for _, c := range reference(t).Rates {
		table, ok := newTable(Cell{N: c.NB, Sum: c.KB}, Cell{N: c.NA, Sum: c.KA}, 1)
		if !ok {
			t.Fatal("no table")
		}
		l := line{c.Offset, c.Slope}
		near(t, "above", table.above(l, 1), c.Harm, 1e-6)
		near(t, "below", table.below(l, c.Unit), c.Safe, 1e-6)
	}
}

func TestJackknifeLeavesCellsOut(t *testing.T) {
	for _, c := range reference(t).Jack {
		cells := make([]Cell, len(c.N))
		for i := range cells {
			cells[i] = Cell{N: c.N[i], Sum: c.Y[i]}
		}
		e := ClusterMean(cells, 0)
		near(t, "mean", e.Value, c.Mean, 1e-12)
		// The jackknife is written around the mean of the left-out ones or the mean of all: here the latter.
		near(t, "variance", e.Variance/c.Variance, 1, 1e-9)
	}
}

func TestStudentFactor(t *testing.T) {
	for _, c := range reference(t).Student {
		// Wallace's approximation is close from five degrees of freedom on and on the safe side below.
		got, most := studentFactor(c.Freedom, c.Alpha), 1.08
		if c.Freedom < 5 {
			most = 3
		}
		if got < 0.97*c.Factor || got > most*c.Factor {
			t.Errorf("%g degrees of freedom at %g: factor %.4g, exactly %.4g", c.Freedom, c.Alpha, got, c.Factor)
		}
	}
}

func TestBettingAgainstThePaper(t *testing.T) {
	c := reference(t).Betting
	b := NewBetting(c.Alpha)
	for i, x := range c.X {
		b.Add(x)
		if i == len(c.X)/2 { // a restart in between
			raw, err := json.Marshal(b)
			if err != nil {
				t.Fatal(err)
			}
			b = new(Betting)
			if err := json.Unmarshal(raw, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	low, high := b.Interval()
	near(t, "low", low, c.Low, 1e-9)
	near(t, "high", high, c.High, 1e-9)
	if !(low < 0.25 && 0.25 < high) || high-low > 0.15 {
		t.Errorf("the interval %g..%g of a mean of 0.25", low, high)
	}
}

func TestRatioChiSquare(t *testing.T) {
	for _, c := range reference(t).Chi {
		// Cells alike in size and share: no more spread than the total's.
		const m = 100
		live, canary := make([]Cell, m), make([]Cell, m)
		for i := range m {
			canary[i].N, live[i].N = c.K/m, (c.N-c.K)/m
		}
		stat, p := RatioChiSquare(live, canary, c.W)
		near(t, "statistic", stat, c.Stat, 1e-9)
		near(t, "p", p, c.P, 1e-9)
	}
}
