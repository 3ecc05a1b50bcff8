package alert

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead/watch/drift"
)

// Seven columns of a model, hourly windows with as many rows as a day of flights has them (a handful at night), the
// same distribution as the reference, for four weeks: whoever is called for that switches the alerts off. References
// are whole or of the same hour of the week.
func TestNoFalseAlarms(t *testing.T) {
	const weeks = 4
	bins := []int{10, 10, 7, 10, 51, 51, 10} // numeric columns have ten, weekday seven, airports fifty and other
	for _, m := range []int{100_000, 6_000} {
		some, low := single(), DefaultRule()
		some.Threshold, low.Threshold = 0.1, 0.05
		for _, rule := range []Rule{single(), some, DefaultRule(), low} {
			t.Run(fmt.Sprintf("reference %d threshold %v in %s, fdr %v", m, rule.Threshold, rule.Windows(), rule.FDR), func(t *testing.T) {
				r := rand.New(rand.NewPCG(uint64(m), math.Float64bits(rule.Threshold)))
				book := Book{Deployment: "flights"}
				judged := 0
				for h := range weeks * 7 * 24 {
					w := Window{Version: 1, Start: day0.Add(time.Duration(h) * time.Hour)}
					n := rowsAt(r, h%24)
					p := make([]float64, len(bins))
					for i, b := range bins {
						q := shares(b)
						ref, cur := draw(r, q, m), draw(r, q, n)
						d := drift.Measure(ref, cur, nil, nil, uint64(n), uint64(m))
						o := Observation{fmt.Sprint("column", i), Measured{Value: d.PSI, Effect: d.PSIDebiased, Floor: d.PSIFloor}, uint64(n)}
						w.Observations, p[i] = append(w.Observations, o), d.P
					}
					for i, q := range drift.Adjusted(p) {
						o := &w.Observations[i]
						o.Q = q
						if rule.Judge(o.Measured) == OK {
							judged++
						}
					}
					for _, e := range book.Apply(rule, w) {
						t.Errorf("%s: %s", e.Kind, e.Alert.Message)
					}
				}
				all := weeks * 7 * 24 * len(bins)
				t.Logf("%d of %d column windows had enough rows", judged, all)
				if judged < all/4 {
					t.Errorf("only %d of %d column windows had enough rows to say anything", judged, all)
				}
			})
		}
	}
}

// rowsAt is the number of rows in an hour: 3 to 12 from one to four, 600 to 1,000 by day.
func rowsAt(r *rand.Rand, hour int) int {
	switch {
	case hour >= 1 && hour <= 4:
		return 3 + r.IntN(10)
	case hour == 0 || hour == 5 || hour >= 22:
		return 60 + r.IntN(150)
	}
	return 600 + r.IntN(400)
}

// shares are equal for ten bins, Zipf's for more, close to equal for fewer.
func shares(bins int) []float64 {
	p := make([]float64, bins)
	sum := 0.
	for i := range p {
		p[i] = 1
		if bins > 10 {
			p[i] = 1 / float64(i+1)
		}
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// draw is a multinomial sample of n rows.
func draw(r *rand.Rand, p []float64, n int) []uint64 {
	counts := make([]uint64, len(p))
	if n > 2_000 { // Gaussian is near enough, and quick
		for i, share := range p {
			x := float64(n)*share + r.NormFloat64()*math.Sqrt(float64(n)*share*(1-share))
			counts[i] = uint64(max(0, math.Round(x)))
		}
		return counts
	}
	cumulative := make([]float64, len(p))
	sum := 0.
	for i, share := range p {
		sum += share
		cumulative[i] = sum
	}
	for range n {
		i, _ := slices.BinarySearch(cumulative, r.Float64())
		counts[min(i, len(p)-1)]++
	}
	return counts
}
