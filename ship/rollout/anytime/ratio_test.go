package anytime

import "testing"

// TestSampleRatioMismatch: a right split seldom looks wrong, whatever the weight of its keys; a lost hundredth of all
// requests is found.
func TestSampleRatioMismatch(t *testing.T) {
	const runs, looks, alpha = 80, 12, 0.01
	for i, c := range []struct {
		keys  int
		zipf  float64
		share float64
	}{{50000, 0, 0.5}, {2000, 1.1, 0.1}, {100, 1, 0.3}, {20000, 1, 0.05}} {
		random := chance(t, uint64(700+i))
		guide := zipfGuide(c.keys, c.zipf)
		var wrong, fooled float64
		for range runs {
			z := newTraffic(random, guide, c.keys, c.share, func() float64 { return 0 })
			alarm, naive := false, false
			for range looks {
				z.come(800, 1, 0)
				alarm = alarm || Ratio(z.arms[0], z.arms[1], c.share, Question{Alpha: alpha}).Finding == Harm
				k, n := Total(z.arms[1]).N, Total(z.arms[1]).N+Total(z.arms[0]).N
				naive = naive || LogBetaBinomial(k, n, c.share, 10*c.share, 10*(1-c.share)) > 4.605
			}
			if alarm {
				wrong += 1. / runs
			}
			if naive {
				fooled += 1. / runs
			}
		}
		t.Logf("%d keys, Zipf %g: requests taken as independent %.3f", c.keys, c.zipf, fooled)
		atMost(t, "a right split called wrong", wrong, alpha, runs)
	}
}

// TestMismatchOfOnePercentIsFound loses every hundredth request of all, all of them the canary's; and sends every
// hundredth request of the canary to the live version.
func TestMismatchOfOnePercentIsFound(t *testing.T) {
	const looks, alpha = 200, 0.001
	for i, c := range []struct{ share, seen, requests float64 }{
		{0.5, 0.49 / 0.99, 5000}, {0.1, 0.09 / 0.99, 1000}, {0.5, 0.495, 10000}, {0.05, 0.0495, 200000},
	} {
		random := chance(t, uint64(710+i))
		expected := LeastRatio(c.share, c.seen-c.share, 1, alpha)
		var found []float64
		for range 10 {
			live, canary := make([]Cell, cells), make([]Cell, cells)
			at := 0.
			for look := 1.; look <= looks && at == 0; look++ {
				for j := range cells {
					n := binomial(4*c.requests/cells, 0.25, random)
					k := binomial(n, c.seen, random)
					canary[j].N += k
					live[j].N += n - k
				}
				if Ratio(live, canary, c.share, Question{Alpha: alpha}).Finding == Harm {
					at = look
					if _, p := RatioChiSquare(live, canary, c.share); p > 0.001 {
						t.Errorf("the continuous test alarms at look %g, chi-squared says %g", look, p)
					}
				}
			}
			if at == 0 {
				t.Fatalf("%g seen for %g: not found in %g requests", c.seen, c.share, looks*c.requests)
			}
			found = append(found, at*c.requests)
		}
		ratio := median(found) / expected
		t.Logf("%.4f seen for %g: found after %.0f requests (median), %.2f of the plan", c.seen, c.share, median(found), ratio)
		if ratio < 0.5 || ratio > 1.5 {
			t.Errorf("the plan said %.0f requests", expected)
		}
	}
}
