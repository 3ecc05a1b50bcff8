package drift

import (
	"math"
	"math/rand/v2"
	"testing"
)

// randomCounts draws counts of bins with a random shape, some of them empty.
func randomCounts(rng *rand.Rand, bins, most int) []uint64 {
	counts := make([]uint64, bins)
	for i := range counts {
		if rng.IntN(5) > 0 {
			counts[i] = uint64(rng.IntN(most))
		}
	}
	counts[rng.IntN(bins)]++ // never all empty
	return counts
}

func permuted(counts []uint64, order []int) []uint64 {
	out := make([]uint64, len(counts))
	for i, j := range order {
		out[i] = counts[j]
	}
	return out
}

func near(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-12*(1+math.Abs(a)) }

func TestMeasuresOnCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	psi := func(a, b []uint64) float64 { v, _ := PSI(a, b); return v }
	chi := func(a, b []uint64) float64 { v, _ := ChiSquare(a, b); return v }
	shares := func(f func(p, q []float64) float64) func(a, b []uint64) float64 {
		return func(a, b []uint64) float64 { return f(Shares(a), Shares(b)) }
	}
	for _, m := range []struct {
		name     string
		f        func(a, b []uint64) float64
		top      float64
		lopsided bool // not symmetric
		ordered  bool // depends on the order of bins
	}{
		{name: "PSI", f: psi, top: math.Inf(1)},
		{name: "ChiSquare", f: chi, top: math.Inf(1)},
		{name: "KL", f: shares(KL), top: math.Inf(1), lopsided: true},
		{name: "PSIShares", f: shares(PSIShares), top: math.Inf(1)},
		{name: "JS", f: shares(JS), top: math.Ln2},
		{name: "JSDistance", f: shares(JSDistance), top: math.Sqrt(math.Ln2)},
		{name: "D1", f: shares(D1), top: 2},
		{name: "TVD", f: shares(TVD), top: 1},
		{name: "LInf", f: shares(LInf), top: 1},
		{name: "Hellinger", f: shares(Hellinger), top: 1},
		{name: "KSBins", f: KSBins, top: 1, ordered: true},
	} {
		t.Run(m.name, func(t *testing.T) {
			for range 300 {
				bins := 1 + rng.IntN(12)
				a, b := randomCounts(rng, bins, 50), randomCounts(rng, bins, 500)
				v := m.f(a, b)
				if math.IsNaN(v) || v < 0 || v > m.top+1e-12 {
					t.Fatalf("%v %v: %g is not in [0,%g]", a, b, v, m.top)
				}
				if !m.lopsided && !near(v, m.f(b, a)) {
					t.Fatalf("%v %v: %g one way, %g the other", a, b, v, m.f(b, a))
				}
				if same := m.f(a, a); math.Abs(same) > 1e-12 {
					t.Fatalf("%v against itself: %g", a, same)
				}
				order := rng.Perm(bins)
				if w := m.f(permuted(a, order), permuted(b, order)); !m.ordered && !near(v, w) {
					t.Fatalf("%v %v: %g, in another order %g", a, b, v, w)
				}
			}
			if v := m.f([]uint64{1, 2}, []uint64{0, 0}); !math.IsNaN(v) {
				t.Errorf("without current rows: %g, want NaN", v)
			}
			if v := m.f([]uint64{0, 0}, []uint64{1, 2}); !math.IsNaN(v) {
				t.Errorf("without reference rows: %g, want NaN", v)
			}
		})
	}
}

func TestMeasuresOnSamples(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	draw := func(ties bool) []float64 {
		x := make([]float64, 1+rng.IntN(40))
		for i := range x {
			x[i] = rng.NormFloat64()
			if ties {
				x[i] = math.Round(x[i] * 2)
			}
		}
		return x
	}
	for name, f := range map[string]func(x, y []float64) float64{"KS": KS, "W1": W1, "Energy": Energy} {
		t.Run(name, func(t *testing.T) {
			for i := range 300 {
				x, y := draw(i%2 == 0), draw(i%3 == 0)
				v := f(x, y)
				if !(v >= 0) || !near(v, f(y, x)) || f(x, x) != 0 {
					t.Fatalf("%v %v: %g, reversed %g, with itself %g", x, y, v, f(y, x), f(x, x))
				}
				rng.Shuffle(len(x), func(i, j int) { x[i], x[j] = x[j], x[i] })
				if w := f(x, y); w != v {
					t.Fatalf("%g, shuffled %g", v, w)
				}
			}
			if !math.IsNaN(f(nil, []float64{1})) || !math.IsNaN(f([]float64{1}, []float64{math.NaN()})) {
				t.Error("an empty side and a NaN should give NaN")
			}
		})
	}
	if !math.IsNaN(W1([]float64{0, 1}, []float64{math.Inf(1)})) {
		t.Error("W1 with an infinity should be NaN")
	}
}

// The distance of samples lies between that of their bins and its upper bound, with and without ties.
func TestKSBinsBracketsKS(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 500 {
		x, y := make([]float64, 1+rng.IntN(200)), make([]float64, 1+rng.IntN(200))
		shift := rng.Float64()
		for j := range x {
			x[j] = rng.NormFloat64()
		}
		for j := range y {
			y[j] = rng.NormFloat64() + shift
		}
		if i%2 == 0 {
			for _, s := range [][]float64{x, y} {
				for j := range s {
					s[j] = math.Round(s[j] * 5)
				}
			}
		}
		bin := func(s []float64) []uint64 {
			counts := make([]uint64, 18)
			for _, v := range s {
				counts[int(math.Floor(max(min(v, 1.99), -2)*4))+9]++
			}
			return counts
		}
		a, b := bin(x), bin(y)
		d, low, high := KS(x, y), KSBins(a, b), KSBinsBound(a, b)
		if d < low-1e-12 || d > high+1e-12 {
			t.Fatalf("KS %g is not in [%g,%g]", d, low, high)
		}
	}
}

// Between near distributions KL ≈ PSI/2, JS ≈ PSI/8 and Hellinger ≈ JS distance ≈ √(PSI/8).
func TestSmallDriftRelations(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for range 100 {
		p, q := make([]float64, 10), make([]float64, 10)
		var sp, sq float64
		for i := range p {
			p[i] = 1 + rng.Float64()
			q[i] = p[i] * (1 + .01*(rng.Float64()-.5))
			sp, sq = sp+p[i], sq+q[i]
		}
		for i := range p {
			p[i], q[i] = p[i]/sp, q[i]/sq
		}
		psi := PSIShares(p, q)
		for what, ratio := range map[string]float64{
			"KL":         KL(p, q) / (psi / 2),
			"JS":         JS(p, q) / (psi / 8),
			"JSDistance": JSDistance(p, q) / math.Sqrt(psi/8),
			"Hellinger":  Hellinger(p, q) / math.Sqrt(psi/8),
		} {
			if math.Abs(ratio-1) > .01 {
				t.Fatalf("%s is %g of its approximation", what, ratio)
			}
		}
	}
}

func TestKolmogorovQ(t *testing.T) {
	// Both series agree where they meet.
	below, above := KolmogorovQ(math.Nextafter(1.18, 0)), KolmogorovQ(1.18)
	if math.Abs(below-above) > 1e-14 {
		t.Errorf("at 1.18 the series give %.17g and %.17g", below, above)
	}
	last := 1.0
	for l := 0.0; l < 5; l += .01 {
		q := KolmogorovQ(l)
		if q > last+1e-15 || q < 0 {
			t.Fatalf("Q(%g) = %g after %g", l, q, last)
		}
		last = q
	}
	for _, alpha := range []float64{.05, .01, .001, 1e-6} {
		if q := KolmogorovQ(KSCritical(alpha)); q > alpha || q < alpha*(1-2e-5) {
			t.Errorf("Q(c(%g)) = %g", alpha, q)
		}
	}
}

// A column is rejected at every rate from its adjusted chance on, and at none below.
func TestAdjustedIsTheRateOfRejection(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 21))
	for range 300 {
		p := make([]float64, 1+rng.IntN(30))
		for i := range p {
			if p[i] = math.Pow(rng.Float64(), 3); rng.IntN(8) == 0 {
				p[i] = math.NaN()
			}
		}
		adjusted := Adjusted(p)
		for _, q := range []float64{.001, .01, .05, .3, rng.Float64()} {
			for i, rejected := range BenjaminiHochberg(p, q) {
				if near := math.Abs(adjusted[i]-q) < 1e-12; rejected != (adjusted[i] <= q) && !near {
					t.Fatalf("p %v at %v: rejected %v, adjusted %v", p, q, rejected, adjusted[i])
				}
			}
		}
	}
}

func TestBenjaminiHochbergIgnoresNaN(t *testing.T) {
	got := BenjaminiHochberg([]float64{math.NaN(), .04, .001, math.NaN()}, .05)
	want := []bool{false, true, true, false}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("rejected %v, want %v", got, want)
		}
	}
}

func TestMeasure(t *testing.T) {
	ref, cur := []uint64{100, 100, 100, 0}, []uint64{10, 40, 70, 0}
	fine, fineCur := []uint64{0, 100, 100, 100, 0}, []uint64{0, 10, 40, 70, 0}
	m := Measure(ref, cur, fine, fineCur, 120, 300)
	if m.Bins != 3 || m.KS != KSBins(fine, fineCur) || m.KSFloor != KSFloor(120, 300, FloorAlpha) {
		t.Errorf("got %+v", m)
	}
	if !(m.PSIDebiased > m.PSIFloor && m.D1 > m.D1Floor && m.JS > m.JSFloor && m.KS > m.KSFloor && m.P < FloorAlpha) {
		t.Errorf("a plain shift stays below its floors: %+v", m)
	}
	if c := Measure(ref, cur, nil, nil, 120, 300); !math.IsNaN(c.KS) || !math.IsNaN(c.KSFloor) || c.PSI != m.PSI {
		t.Errorf("without fine bins: %+v", c)
	}
	e := Measure(ref, []uint64{0, 0, 0, 0}, fine, make([]uint64, 5), 0, 300)
	for what, v := range map[string]float64{"PSI": e.PSI, "PSIFloor": e.PSIFloor, "KS": e.KS, "D1": e.D1, "JS": e.JS, "P": e.P} {
		if !math.IsNaN(v) {
			t.Errorf("%s of an empty window is %g, want NaN", what, v)
		}
	}
	// A column of missing values only has PSI but no KS.
	g := Measure([]uint64{50, 50, 0}, []uint64{0, 0, 30}, []uint64{0, 50, 50, 0}, []uint64{0, 0, 0, 0}, 30, 100)
	if !math.IsNaN(g.KS) || !(g.PSI > g.PSIFloor) {
		t.Errorf("a window of nulls: %+v", g)
	}
	// One value everywhere: nothing can differ, and the floors are 0.
	s := Measure([]uint64{0, 50, 0}, []uint64{0, 9, 0}, nil, nil, 9, 50)
	if s.PSI != 0 || s.PSIFloor != 0 || s.D1Floor != 0 || s.JSFloor != 0 || s.PSIDebiased != 0 || s.P != 1 {
		t.Errorf("a constant column: %+v", s)
	}
}

// Values that a reference never had must be seen however they are spread: 30 % of a window in a bin that is empty in
// the reference lies far above every floor.
func TestNewCategoryIsSeen(t *testing.T) {
	m := Measure([]uint64{500, 300, 200, 0}, []uint64{100, 70, 40, 90}, nil, nil, 300, 1000)
	if !(m.PSI > 5*m.PSIFloor && m.JS > 5*m.JSFloor && m.D1 > 2*m.D1Floor) {
		t.Errorf("30 %% unseen: %+v", m)
	}
}
