package detect

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func normals(seed uint64, n int, mean float64) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float64, n)
	for i := range out {
		out[i] = r.NormFloat64() + mean
	}
	return out
}

// TestBothDirections: a mean that falls is a change as well as one that rises (river's issue 810).
func TestBothDirections(t *testing.T) {
	detectors := map[string]func() func(float64) State{
		"ADWIN":        func() func(float64) State { return NewADWIN(0.002).Add },
		"Page-Hinkley": func() func(float64) State { return NewPageHinkley(50).Add },
		"CUSUM":        func() func(float64) State { return NewCUSUM().Add },
		"KSWIN": func() func(float64) State {
			k, r := NewKSWIN(), rand.New(rand.NewPCG(5, 5))
			return func(x float64) State { return k.Add(x, r.IntN) }
		},
	}
	for name, make := range detectors {
		for _, shift := range []float64{1.5, -1.5} {
			stream := append(normals(11, 1000, 0), normals(12, 400, shift)...)
			found := watch(stream, make()).Drift
			if !slices.ContainsFunc(found, func(i int) bool { return i >= 1000 && i < 1300 }) {
				t.Errorf("%s, mean %+.1f from 1,000 on: drift at %v, want one soon after", name, shift, found)
			}
		}
	}
}

// TestFalseAlarms says how often each cries wolf in 1,000 stationary values, over 400 seeded streams, and holds it there.
func TestFalseAlarms(t *testing.T) {
	const streams, n = 400, 1000
	alarmed := func(add func() func(float64) State) float64 {
		count := 0
		for seed := range uint64(streams) {
			if len(watch(normals(1000+seed, n, 0), add()).Drift) > 0 {
				count++
			}
		}
		return float64(count) / streams
	}
	for _, c := range []struct {
		name string
		most float64
		make func() func(float64) State
	}{
		{"ADWIN", 0.02, func() func(float64) State { return NewADWIN(0.002).Add }},
		{"Page-Hinkley", 0.35, func() func(float64) State { return NewPageHinkley(50).Add }},
		{"CUSUM", 0.05, func() func(float64) State { return NewCUSUM().Add }},
	} {
		got := alarmed(c.make)
		t.Logf("%s: %.3f of stable streams alarm", c.name, got)
		if got > c.most {
			t.Errorf("%s: %.3f of stable streams alarm, want at most %v", c.name, got, c.most)
		}
	}
	textbook := alarmed(func() func(float64) State {
		c := NewCUSUM()
		c.Threshold, c.BurnIn = 5, 30
		return c.Add
	})
	if textbook < 0.7 {
		t.Errorf("the textbook's CUSUM alarms in %.3f of stable streams; its comment says 88 %%", textbook)
	}
}

func sixteenths() []float64 {
	f := make([]float64, 15)
	for j := range f {
		f[j] = float64(j+1) / 16
	}
	return f
}

// below counts the values of n draws from a uniform, moved by shift within the tolerance or beyond it, under each point.
func below(r *rand.Rand, n int, shift float64) []uint64 {
	counts := make([]uint64, 15)
	for range n {
		x := r.Float64() - shift
		for j := range counts {
			if x <= float64(j+1)/16 {
				counts[j]++
			}
		}
	}
	return counts
}

// TestEDetectorBudget: with a stream at the very edge of the tolerance, the mean time between alarms stays above the
// budget. The budget is small, so that alarms happen at all; blocks and single values keep it alike.
func TestEDetectorBudget(t *testing.T) {
	const budget, values = 2000.0, 100_000
	for _, size := range []int{1, 50} {
		for _, shift := range []float64{0, 0.02} {
			t.Run(fmt.Sprintf("blocks of %d, distance %v", size, shift), func(t *testing.T) {
				r := rand.New(rand.NewPCG(7, uint64(size)))
				e, err := NewEDetector(sixteenths(), 0.02, budget)
				if err != nil {
					t.Fatal(err)
				}
				alarms := 0
				for range values / size {
					if e.Add(uint64(size), below(r, size, shift)) == Drift {
						alarms++
					}
				}
				t.Logf("%d alarms in %d values: one in %.0f", alarms, values, values/math.Max(1, float64(alarms)))
				if float64(alarms)*budget > values {
					t.Errorf("%d alarms in %d values: more than one in %v", alarms, values, budget)
				}
			})
		}
	}
}

// TestEDetectorFinds: a shift of the distribution by 0.1 is found within some 1,000 values at a budget of a million.
func TestEDetectorFinds(t *testing.T) {
	var delays []int
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 9))
		e, err := NewEDetector(sixteenths(), 0.02, 1e6)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if e.Add(100, below(r, 100, 0)) == Drift {
				t.Fatalf("seed %d: alarm before the change", seed)
			}
		}
		n := 0
		for state := Stable; state != Drift && n < 10_000; n += 100 {
			state = e.Add(100, below(r, 100, 0.1))
		}
		delays = append(delays, n)
	}
	slices.Sort(delays)
	t.Logf("found after %d values (median), %d at worst", delays[25], delays[49])
	if delays[25] > 1000 || delays[49] >= 10_000 {
		t.Errorf("found after %d values (median), %d at worst; want at most 1,000 and always", delays[25], delays[49])
	}
}

func TestEDetectorRefusesNonsense(t *testing.T) {
	for _, c := range []struct {
		f                 []float64
		tolerance, budget float64
	}{
		{nil, 0.02, 1e6}, {[]float64{0.5, 0.4}, 0.02, 1e6}, {[]float64{0, 0.5}, 0.02, 1e6}, {[]float64{math.NaN()}, 0.02, 1e6},
		{[]float64{0.5}, -1, 1e6}, {[]float64{0.5}, 0.02, 0}, {[]float64{0.5}, math.NaN(), 1e6},
	} {
		if _, err := NewEDetector(c.f, c.tolerance, c.budget); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

// TestGoesOn: a detector that was stored in the middle says the same as one that was not.
func TestGoesOn(t *testing.T) {
	stream := append(normals(3, 700, 0), normals(4, 700, 2)...)
	resume := func(whole, first, second interface{ Add(float64) State }) {
		t.Helper()
		want := watch(stream, whole.Add)
		got := watch(stream[:650], first.Add)
		b, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, second); err != nil {
			t.Fatal(err)
		}
		for _, i := range watch(stream[650:], second.Add).Drift {
			got.Drift = append(got.Drift, 650+i)
		}
		if !reflect.DeepEqual(got, want) || len(want.Drift) == 0 {
			t.Errorf("%T: %v, want %v", whole, got, want)
		}
	}
	resume(NewADWIN(0.002), NewADWIN(0.002), &ADWIN{})
	resume(NewPageHinkley(50), NewPageHinkley(50), &PageHinkley{})
	resume(NewCUSUM(), NewCUSUM(), &CUSUM{})

	e, err := NewEDetector(sixteenths(), 0.02, 1e6)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(e) // before the first value: nothing in it that JSON cannot hold
	if err != nil {
		t.Fatal(err)
	}
	var stored EDetector
	if err := json.Unmarshal(b, &stored); err != nil || !reflect.DeepEqual(&stored, e) {
		t.Errorf("%v: %+v, want %+v", err, stored, e)
	}
}

// TestNoNumbers: values that are no numbers are counted and change nothing.
func TestNoNumbers(t *testing.T) {
	k := NewKSWIN()
	a, p, c := NewADWIN(0.002), NewPageHinkley(50), NewCUSUM()
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, s := range []State{a.Add(x), p.Add(x), c.Add(x), k.Add(x, func(int) int { return 0 })} {
			if s != Stable {
				t.Errorf("%v: %s", x, s)
			}
		}
	}
	if a.Skipped != 3 || p.Skipped != 3 || c.Skipped != 3 || k.Skipped != 3 || a.N+p.N+c.N+len(k.Window) != 0 {
		t.Errorf("not counted, or taken: %+v %+v %+v %+v", a, p, c, k)
	}
	if !math.IsNaN(NewADWIN(0.002).Mean()) {
		t.Error("an empty window has no mean")
	}
}

// TestADWINWindow: the window's mean and variance are those of its values, however many were cut.
func TestADWINWindow(t *testing.T) {
	stream := append(normals(1, 3000, 0), normals(2, 1000, 3)...)
	a := NewADWIN(0.002)
	for i, x := range stream {
		a.Add(x)
		if i%97 != 0 {
			continue
		}
		window := stream[i+1-a.N : i+1]
		mean, squares := 0.0, 0.0
		for _, v := range window {
			mean += v / float64(len(window))
		}
		for _, v := range window {
			squares += (v - mean) * (v - mean)
		}
		if math.Abs(a.Mean()-mean) > 1e-9 || math.Abs(a.Variance-squares) > 1e-6*(1+squares) {
			t.Fatalf("after %d values: mean %v and squares %v, want %v and %v", i+1, a.Mean(), a.Variance, mean, squares)
		}
	}
	if a.Mean() < 2.9 {
		t.Errorf("the window still remembers what was before: mean %v", a.Mean())
	}
}

func TestTolerantKSExtremes(t *testing.T) {
	for _, r := range []float64{Radius(0, 0.05), Radius(10, 0), Radius(10, 1), ReferenceRadius(0, 0.05)} {
		if !math.IsInf(r, 1) {
			t.Errorf("%v: nothing is known without values or with a level of 0 or 1", r)
		}
	}
	rule := TolerantKS{Tolerance: 0.02, Alpha: 0.01, Slack: 0.01}
	if got := rule.Judge(0.9, 0, 100); got != Unknown {
		t.Errorf("no values: %s", got)
	}
	if with, without := rule.Judge(0.0743, 5000, 100_000), (TolerantKS{Tolerance: 0.02, Alpha: 0.01}).Judge(0.0743, 5000, 100_000); with != Unknown || without != Drifted {
		t.Errorf("the slack of bins counts: %s and %s", with, without)
	}
}
