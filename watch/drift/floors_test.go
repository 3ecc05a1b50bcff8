package drift

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// multinomial draws n rows over shares given as their running sum.
func multinomial(rng *rand.Rand, n int, running []float64) []uint64 {
	counts := make([]uint64, len(running))
	for range n {
		i, _ := slices.BinarySearch(running, rng.Float64()*running[len(running)-1])
		counts[i]++
	}
	return counts
}

func running(weights []float64) []float64 {
	out := make([]float64, len(weights))
	var sum float64
	for i, w := range weights {
		sum += w
		out[i] = sum
	}
	return out
}

func equal(bins int) []float64 {
	w := make([]float64, bins)
	for i := range w {
		w[i] = 1
	}
	return w
}

// zipf has one frequent value and a long tail, as categories have.
func zipf(bins int) []float64 {
	w := make([]float64, bins)
	for i := range w {
		w[i] = 1 / float64(i+1)
	}
	return w
}

// Without drift each measure must lie above its floor about as often as alpha says, and never much more often.
func TestFalseAlarms(t *testing.T) {
	const alpha = .01
	const draws = 4000
	for _, c := range []struct {
		name    string
		weights []float64
		n, m    int
		dense   bool // ten expected rows a bin: the floors are sharp, not only safe
	}{
		{"two bins", []float64{.3, .7}, 200, 1000, true},
		{"ten equal bins", equal(10), 200, 2000, true},
		{"one big bin", []float64{.9, .04, .03, .03}, 500, 2000, true},
		{"zipf, few rows", zipf(50), 100, 2000, false},
		{"ten bins, few rows", equal(10), 30, 2000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(11, 12))
			shares := running(c.weights)
			above := map[string]int{}
			for range draws {
				ref, cur := multinomial(rng, c.m, shares), multinomial(rng, c.n, shares)
				n, m := uint64(c.n), uint64(c.m)
				psi, kept := PSI(ref, cur)
				p, q := Shares(ref), Shares(cur)
				count := func(what string, yes bool) {
					if yes {
						above[what]++
					}
				}
				count("PSI", psi > PSIFloor(n, m, kept, alpha))
				count("JS", JS(p, q) > JSFloor(ref, cur, alpha))
				count("D1", D1(p, q) > D1Floor(ref, cur, alpha))
				count("KS", KSBins(ref, cur) > KSFloor(n, m, alpha))
			}
			for _, what := range []string{"PSI", "JS", "D1", "KS"} {
				share := float64(above[what]) / float64(draws)
				t.Logf("%s: %.4f above the floor at %g", what, share, alpha)
				if share > 1.7*alpha {
					t.Errorf("%s: %.4f of windows without drift lie above the floor, want about %g", what, share, alpha)
				}
				if c.dense && what != "KS" && share < alpha/2 {
					t.Errorf("%s: only %.4f lie above the floor, want about %g", what, share, alpha)
				}
			}
		})
	}
}

func BenchmarkD1Floor(b *testing.B) {
	for _, bins := range []int{14, 103} {
		rng := rand.New(rand.NewPCG(1, 1))
		ref, cur := multinomial(rng, 10_000, running(zipf(bins))), multinomial(rng, 1000, running(zipf(bins)))
		b.Run(fmt.Sprint(bins), func(b *testing.B) {
			for b.Loop() {
				D1Floor(ref, cur, FloorAlpha)
			}
		})
	}
}
