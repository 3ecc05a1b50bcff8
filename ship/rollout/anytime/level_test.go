package anytime

import (
	"math"
	"testing"
)

// TestLevelsAreKept looks after every value, or every few, at data on the border of each hypothesis. The tests below are
// exact, so it does not matter how few values there are.
func TestLevelsAreKept(t *testing.T) {
	const runs, alpha = 400, 0.05
	random := chance(t, 800)
	limit := math.Log(1 / alpha)
	for _, p := range []float64{0.01, 0.1, 0.5, 0.9} {
		var above, below, missed float64
		for range runs {
			k, a, b, m := 0., false, false, false
			for n := 1.; n <= 300; n++ {
				if random.Float64() < p {
					k++
				}
				if n > 30 && int(n)%10 != 0 {
					continue
				}
				a = a || LogShareAbove(k, n, p) >= limit
				b = b || LogShareBelow(k, n, p) >= limit
				m = m || LogBetaBinomial(k, n, p, 1, 1) >= limit
			}
			for _, x := range []struct {
				was bool
				sum *float64
			}{{a, &above}, {b, &below}, {m, &missed}} {
				if x.was {
					*x.sum += 1. / runs
				}
			}
		}
		atMost(t, "above", above, alpha, runs)
		atMost(t, "below", below, alpha, runs)
		atMost(t, "two-sided", missed, alpha, runs)
	}
}

// TestBettingKeepsItsLevelAndSharpens feeds values of small variance, which counts could not tell from coin flips.
func TestBettingKeepsItsLevelAndSharpens(t *testing.T) {
	const runs, alpha, values = 60, 0.05, 200
	random := chance(t, 810)
	var missed, above, width float64
	for range runs {
		b := NewBetting(alpha)
		out, bet := false, false
		for range values {
			b.Add(0.3 + 0.2*(random.Float64()-0.5))
			low, high := b.Interval()
			out = out || low > 0.3 || high < 0.3
			bet = bet || b.LogAbove(0.3) >= math.Log(1/alpha)
		}
		if out {
			missed += 1. / runs
		}
		if bet {
			above += 1. / runs
		}
		low, high := b.Interval()
		width += (high - low) / runs
	}
	atMost(t, "the interval missed the mean", missed, alpha, runs)
	atMost(t, "shown above its own mean", above, alpha, runs)
	low, high := ShareBounds(0.3*values, values, alpha/2, alpha/2)
	t.Logf("mean width %.3f, of counts alone %.3f", width, high-low)
	if width > (high-low)/2 {
		t.Errorf("mean width %.3f, of counts alone %.3f", width, high-low)
	}
}

// TestBettingOnPairsFindsAWorseArm is the construction for two arms: (1+c−l)/2 against 1/2.
func TestBettingOnPairsFindsAWorseArm(t *testing.T) {
	random := chance(t, 820)
	alike, worse := NewBetting(0.01), NewBetting(0.01)
	for range 400 {
		live, same, bad := random.Float64(), random.Float64(), 0.3+0.7*random.Float64()
		alike.Add((1 + same - live) / 2)
		worse.Add((1 + bad - live) / 2)
	}
	if alike.LogAbove(0.5) >= math.Log(100) || worse.LogAbove(0.5) < math.Log(100) || worse.LogBelow(0.5) > 0 {
		t.Errorf("alike %g, worse %g", alike.LogAbove(0.5), worse.LogAbove(0.5))
	}
	alike.Add(math.NaN())
	alike.Add(7)
	if alike.N != 401 || math.IsNaN(alike.Mean()) {
		t.Errorf("n %g, mean %g", alike.N, alike.Mean())
	}
	if low, high := NewBetting(0.01).Interval(); low != 0 || high != 1 {
		t.Errorf("without values %g..%g", low, high)
	}
}

// TestMeansSeldomAbort draws values that keys have in common, sixty looks, from few outcomes on.
func TestMeansSeldomAbort(t *testing.T) {
	const runs, looks, alpha = 150, 60, 0.01
	random := chance(t, 830)
	for _, effect := range []float64{0.1, 1} {
		var aborted float64
		for range runs {
			arms := [2][]Cell{make([]Cell, 64), make([]Cell, 64)}
			var own [2][64]float64
			for a := range own {
				for i := range own[a] {
					own[a][i] = random.NormFloat64()
				}
			}
			harm := false
			for range looks {
				for range 60 {
					a, i := 0, random.IntN(64)
					if random.IntN(5) == 0 {
						a = 1
					}
					x := 3 + own[a][i] + random.NormFloat64()
					c := &arms[a][i]
					c.N, c.Sum, c.SumSquares = c.N+1, c.Sum+x, c.SumSquares+x*x
				}
				harm = harm || Means(arms[0], arms[1], Question{Alpha: alpha, Effect: effect}).Finding == Harm
			}
			if harm {
				aborted += 1. / runs
			}
		}
		atMost(t, "aborted", aborted, alpha, runs)
	}
}

func TestDKWHoldsTheDistribution(t *testing.T) {
	const runs, looks, alpha = 200, 100, 0.05
	random := chance(t, 840)
	var missed float64
	for range runs {
		var counts [20]float64
		out, n := false, 0.
		for range looks {
			for range 20 {
				counts[random.IntN(20)]++
				n++
			}
			sum := 0.
			for i, c := range counts {
				sum += c
				out = out || math.Abs(sum/n-float64(i+1)/20) > DKW(n, alpha)
			}
		}
		if out {
			missed += 1. / runs
		}
	}
	atMost(t, "the band missed", missed, alpha, runs)
}
