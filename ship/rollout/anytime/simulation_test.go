package anytime

import (
	"math"
	"math/rand/v2"
	"testing"
)

const seed = 20240607

func chance(t *testing.T, n uint64) *rand.Rand {
	t.Helper()
	t.Logf("seed %d, %d", seed, n)
	return rand.New(rand.NewPCG(seed, n))
}

// atMost fails when a share seen in runs is more than three standard errors above what is allowed.
func atMost(t *testing.T, what string, share, allowed float64, runs int) {
	t.Helper()
	t.Logf("%s: %.4f, allowed %.4f", what, share, allowed)
	if limit := allowed + 3*math.Sqrt(allowed*(1-allowed)/float64(runs)); share > limit {
		t.Errorf("%s: %.4f in %d runs, more than %.4f", what, share, runs, allowed)
	}
}

// TestHarmlessCanaryIsSeldomAborted looks sixty times at a canary that is as good as the live version, at the traffic of the
// smallest stage and of the largest, for rare and frequent errors.
func TestHarmlessCanaryIsSeldomAborted(t *testing.T) {
	const runs, looks = 500, 60
	for i, c := range []struct{ rate, share, requests float64 }{
		{0.01, 0.1, 6000}, {0.01, 0.5, 6000}, {0.01, 0.01, 6000}, {0.0005, 0.05, 2000}, {0.2, 0.1, 400}, {0.5, 0.5, 60}, {0.03, 0.1, 50},
	} {
		random := chance(t, uint64(i))
		p := RatePlan{Live: c.rate, Canary: c.rate, Share: c.share, Question: Question{Alpha: 0.01}}
		s := p.Simulate(c.requests, looks, runs, true, random)
		atMost(t, "aborted", s.Harm, 0.01, runs)
		// With a tolerance the worst harmless canary stands on it.
		p.Question.Tolerance = Limit{Relative: 0.25, Absolute: 0.002}
		p.Canary = c.rate + p.Question.Tolerance.Over(c.rate)
		s = p.Simulate(c.requests, looks, runs, true, random)
		atMost(t, "aborted at the tolerance", s.Harm, 0.01, runs)
	}
}

// TestBadCanaryIsSeldomPromoted is the other error: a canary worse by the margin found non-inferior.
func TestBadCanaryIsSeldomPromoted(t *testing.T) {
	const runs, looks = 250, 60
	for i, c := range []struct{ rate, share, requests float64 }{
		{0.01, 0.1, 6000}, {0.01, 0.5, 6000}, {0.0005, 0.05, 2000}, {0.2, 0.1, 400}, {0, 0.1, 1000},
	} {
		for j, margin := range []Limit{{Absolute: 0.002}, {Relative: 0.25}, {Relative: 0.25, Absolute: 0.002}} {
			random := chance(t, uint64(100+10*i+j))
			q := Question{Alpha: 1e-9, Beta: 0.05, Margin: margin}
			p := RatePlan{Live: c.rate, Canary: c.rate + margin.Over(c.rate), Share: c.share, Question: q}
			s := p.Simulate(c.requests, looks, runs, false, random)
			atMost(t, "promoted", s.NonInferior, 0.05, runs)
		}
	}
}

// TestRegressionIsFoundAlmostAsSoonAsByTheBestSingleLook is the price of looking all the time: the median number of requests
// until twice the error rate is found, over what the z-test that looks once needs for the power of 80 %. Every run finds it.
func TestRegressionIsFoundAlmostAsSoonAsByTheBestSingleLook(t *testing.T) {
	const runs = 400
	for i, c := range []struct{ rate, share, alpha float64 }{
		{0.01, 0.1, 0.01}, {0.01, 0.5, 0.01}, {0.01, 0.1, 0.001}, {0.01, 0.5, 0.001}, {0.01, 0.01, 0.01}, {0.001, 0.05, 0.01}, {0.1, 0.1, 0.01},
	} {
		p := RatePlan{Live: c.rate, Canary: 2 * c.rate, Share: c.share, Question: Question{Alpha: c.alpha}}
		best := p.FixedHorizon(0.8)
		step := math.Ceil(best / 20)
		s := p.Simulate(step, 120, runs, true, chance(t, uint64(200+i)))
		ratio := s.MedianHarm * step / best
		t.Logf("rate %g, share %g, alpha %g: fixed horizon %.0f requests; ratio of the median %.2f (power .80), %.2f (.90), %.2f (.99); expected by the plan %.2f",
			c.rate, c.share, c.alpha, best, ratio, s.MedianHarm*step/p.FixedHorizon(0.9), s.MedianHarm*step/p.FixedHorizon(0.99), p.Expected(Harm)/best)
		if s.Harm < 1 {
			t.Errorf("found in %.4f of the runs only", s.Harm)
		}
		if ratio > 1.3 {
			t.Errorf("the median is %.2f times the fixed horizon", ratio)
		}
		if expected := p.Expected(Harm) / best; math.Abs(expected/ratio-1) > 0.25 {
			t.Errorf("the plan expected %.2f, it was %.2f", expected, ratio)
		}
	}
}

func TestEqualCanaryIsPromoted(t *testing.T) {
	const runs = 300
	p := RatePlan{Live: 0.01, Canary: 0.01, Share: 0.1, Question: Question{Alpha: 0.01, Beta: 0.05, Margin: Limit{Relative: 0.25}}}
	n := p.Expected(NonInferior)
	s := p.Simulate(math.Ceil(n/20), 80, runs, false, chance(t, 300))
	t.Logf("expected %.0f requests, median %.0f, promoted %.3f, aborted %.3f", n, s.MedianSafe*n/20, s.NonInferior, s.Harm)
	if s.NonInferior < 0.95 || math.Abs(s.MedianSafe/20-1) > 0.3 {
		t.Errorf("promoted %.3f, at %.2f of the time expected", s.NonInferior, s.MedianSafe/20)
	}
}
