package rollout

import (
	"math"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/rollout/anytime"
)

// counted is k events in n trials of one arm.
type counted struct{ n, k float64 }

func (c counted) rate() float64 {
	if c.n <= 0 {
		return 0
	}
	return c.k / c.n
}

func total(counts []uint64) float64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return float64(n)
}

// scoreEffect is the design effect of the scores: how much more their mean varies between buckets of keys than it would if
// requests were independent. At least 1.
func scoreEffect(t *fairlead.Tally) float64 {
	if t == nil {
		return 1
	}
	all := make([]anytime.Cell, len(t.Buckets))
	for i := range t.Buckets {
		all[i] = anytime.Cell{N: float64(t.Buckets[i].Scored), Sum: t.Buckets[i].Sum}
	}
	sum := t.Total()
	sd := standardDeviation(sum)
	if sd == 0 {
		return 1
	}
	unit := sd * sd
	v := anytime.ClusterMean(all, unit).Variance
	if math.IsInf(v, 1) {
		return 1
	}
	return math.Max(1, v*float64(sum.Scored)/unit)
}

// standardDeviation of the scores, 0 if there are none.
func standardDeviation(b fairlead.TallyBucket) float64 {
	if b.Scored < 2 {
		return 0
	}
	n := float64(b.Scored)
	mean := b.Sum / n
	return math.Sqrt(math.Max(0, b.SumSquares/n-mean*mean))
}
