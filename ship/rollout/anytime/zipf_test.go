package anytime

import (
	"math"
	"math/rand/v2"
	"testing"
)

// traffic has keys of very different weight that stay in their arm and in their cell.
type traffic struct {
	random *rand.Rand
	guide  []int // of uniform chance to key
	keys   []key
	arms   [2][]Cell // live, canary
}

type key struct {
	canary bool
	cell   *Cell
	rate   float64 // of errors
}

const cells = 256

func newTraffic(random *rand.Rand, guide []int, keys int, share float64, rate func() float64) *traffic {
	z := &traffic{random: random, guide: guide, keys: make([]key, keys)}
	z.arms = [2][]Cell{make([]Cell, cells), make([]Cell, cells)}
	for i := range z.keys {
		k, arm := &z.keys[i], 0
		if k.canary = random.Float64() < share; k.canary {
			arm = 1
		}
		k.cell = &z.arms[arm][random.IntN(cells)]
		k.rate = rate()
	}
	return z
}

// zipfGuide spreads 2^16 slots over keys with weight 1/rank^s.
func zipfGuide(keys int, s float64) []int {
	weights, total := make([]float64, keys), 0.0
	for k := range weights {
		weights[k] = math.Pow(float64(k+1), -s)
		total += weights[k]
	}
	guide, sum, k := make([]int, 1<<16), 0.0, 0
	for i := range guide {
		for sum+weights[k] < (float64(i)+0.5)/float64(len(guide))*total && k < keys-1 {
			sum += weights[k]
			k++
		}
		guide[i] = k
	}
	return guide
}

// come adds requests; worse is a factor on the canary's error rate. An error is retried at once, retries times.
func (z *traffic) come(requests int, worse float64, retries int) {
	for range requests {
		k := z.keys[z.guide[z.random.Uint32()>>16]]
		k.cell.N++
		if k.rate == 0 {
			continue
		}
		rate := k.rate
		if k.canary {
			rate *= worse
		}
		if z.random.Float64() < rate {
			k.cell.Sum += 1 + float64(retries)
			k.cell.N += float64(retries)
		}
	}
}

// TestKeysThatAreAlikeInsideDoNotAlarm has Zipf traffic whose keys have error rates of their own, or retry what failed. A
// test that takes requests for independent is fooled; this one is not, and finds a real regression still.
func TestKeysThatAreAlikeInsideDoNotAlarm(t *testing.T) {
	const runs, looks, requests = 120, 15, 800
	q := Question{Alpha: 0.01}
	for i, c := range []struct {
		name    string
		keys    int
		zipf    float64
		share   float64
		retries int
		fooled  bool // the independent test errs too often
		rate    func(*rand.Rand) float64
	}{
		{"one rate for all", 2000, 1.1, 0.1, 0, false, func(*rand.Rand) float64 { return 0.02 }},
		{"every fiftieth key fails half the time", 2000, 1.1, 0.1, 0, true, mostlyFine},
		{"and half the traffic is the canary's", 2000, 1.1, 0.5, 0, true, mostlyFine},
		{"a few keys carry everything", 40, 1.0, 0.3, 0, true, mostlyFine},
		{"twenty keys with rates of their own", 20, 0, 0.3, 0, true, func(r *rand.Rand) float64 { return 0.3 * r.Float64() }},
		{"failures are retried nine times", 2000, 0.8, 0.1, 9, true, func(*rand.Rand) float64 { return 0.005 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			random := chance(t, uint64(400+i))
			guide := zipfGuide(c.keys, c.zipf)
			var aborted, fooled float64
			for range runs {
				z := newTraffic(random, guide, c.keys, c.share, func() float64 { return c.rate(random) })
				naive, robust := false, false
				for range looks {
					z.come(requests, 1, c.retries)
					robust = robust || Rates(z.arms[0], z.arms[1], q).Finding == Harm
					naive = naive || RatesOf(Total(z.arms[0]), Total(z.arms[1]), 1, q).Finding == Harm
				}
				if robust {
					aborted += 1. / runs
				}
				if naive {
					fooled += 1. / runs
				}
			}
			t.Logf("with independent requests assumed: %.3f", fooled)
			atMost(t, "aborted", aborted, q.Alpha, runs)
			if c.fooled && fooled < 0.05 {
				t.Errorf("the traffic is too tame to tell: %.3f", fooled)
			}
		})
	}
}

func mostlyFine(random *rand.Rand) float64 {
	if random.IntN(50) == 0 {
		return 0.5
	}
	return 0.005
}

// TestRegressionIsFoundInZipfTraffic compares the time with that of the test that knows that requests are independent.
func TestRegressionIsFoundInZipfTraffic(t *testing.T) {
	const runs, looks, requests = 80, 50, 600
	random := chance(t, 500)
	guide := zipfGuide(2000, 1.1)
	q := Question{Alpha: 0.01}
	var robust, naive []float64
	for range runs {
		z := newTraffic(random, guide, 2000, 0.1, func() float64 { return 0.02 })
		r, n := 0., 0.
		for look := 1.; look <= looks && (r == 0 || n == 0); look++ {
			z.come(requests, 2, 0)
			if r == 0 && Rates(z.arms[0], z.arms[1], q).Finding == Harm {
				r = look
			}
			if n == 0 && RatesOf(Total(z.arms[0]), Total(z.arms[1]), 1, q).Finding == Harm {
				n = look
			}
		}
		for _, x := range []*float64{&r, &n} { // a canary of few requests: later
			if *x == 0 {
				*x = looks + 1
			}
		}
		robust, naive = append(robust, r), append(naive, n)
	}
	ratio := median(robust) / median(naive)
	t.Logf("median look %g, with independence known %g", median(robust), median(naive))
	if ratio > 1.3 {
		t.Errorf("robustness costs a factor of %.2f", ratio)
	}
}
