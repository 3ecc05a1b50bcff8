package probe

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead/serve/route"
)

// Samples are the times of runs of one number of rows.
type Samples struct {
	Rows  int
	Times []time.Duration
}

func (s Samples) median() time.Duration { return quantile(s.Times, 0.5) }

const (
	rounds = 25 // samples of each size at most

	// Handoff is what it costs to hand a request to a batch and to take its rows out again. It counts against batching, so
	// that a model whose runs are as short gains nothing.
	Handoff = time.Microsecond
	// WorthIt is the gain in rows per second from which requests are run together.
	WorthIt = 1.05
	// NearPeak is the share of the best throughput at which a batch is large enough.
	NearPeak = 0.95
)

// measure times runs of 1, 2, 4 … rows, fits the cost, and decides how many rows are worth a run. off is why they must not
// be run together.
func (p *prober) measure(off string) error {
	set := &p.result.Settings
	sizes := []int{1}
	for b := 2; b <= p.tested && off == "" && p.MaxBatch != 1; b *= 2 {
		sizes = append(sizes, b)
	}
	samples, err := p.sample(sizes)
	if err != nil {
		return err
	}
	if len(samples) == 0 {
		set.Batching = "off: its runs could not be timed"
		p.report("batching: %s", set.Batching)
		return nil
	}
	set.Cost = Fit(samples)
	if p.rows.whole != nil { // there is one size only
		set.Cost.Fixed, set.Cost.PerRow = samples[0].median(), 0
	}
	p.report("cost: a run takes %s and %s for each row; 99 of 100 stay within %s of that (%d sizes up to %d rows)",
		short(set.Cost.Fixed), short(set.Cost.PerRow), short(set.Cost.Residual), len(samples), samples[len(samples)-1].Rows)
	set.MaxBatch, set.Batching = Choose(samples, set.Cost, p.MaxBatch, off)
	p.report("batching: %s", set.Batching)
	return nil
}

// sample measures round by round, so that a busy moment of the machine falls on all sizes alike, until the budget is spent.
// Sizes that would take too much of it are left out.
func (p *prober) sample(sizes []int) ([]Samples, error) {
	var samples []Samples
	var spent time.Duration
	for _, b := range sizes {
		in := p.rows.batch(sequence(b)...)
		_, took, err := p.run(in) // the first run of a size finds its memory cold
		if err != nil {
			return samples, p.ctx.Err()
		}
		spent += took
		if b > 1 && spent+2*took > p.Budget {
			break
		}
		_, took, err = p.run(in)
		if err != nil {
			return samples, p.ctx.Err()
		}
		spent += took
		samples = append(samples, Samples{b, []time.Duration{took}})
	}
	for range rounds - 1 {
		for i := range samples {
			if spent > p.Budget {
				return samples, nil
			}
			_, took, err := p.run(p.rows.batch(sequence(samples[i].Rows)...))
			if err != nil {
				return samples, p.ctx.Err()
			}
			spent += took
			samples[i].Times = append(samples[i].Times, took)
		}
	}
	return samples, nil
}

// Fit is the L(b) = a + c·b through the medians that is nearest by relative squares, with neither below 0, and the 99th
// percentile of what runs took beyond it. One size gives a cost per row only.
func Fit(samples []Samples) route.Cost {
	var s, sb, sbb, sl, sbl float64 // sums weighted by 1/L²
	for _, x := range samples {
		b, l := float64(x.Rows), max(1, float64(x.median()))
		w := 1 / (l * l)
		s, sb, sbb, sl, sbl = s+w, sb+w*b, sbb+w*b*b, sl+w*l, sbl+w*b*l
	}
	var a, c float64
	if det := s*sbb - sb*sb; det > 1e-9*s*sbb {
		a, c = (sl*sbb-sbl*sb)/det, (s*sbl-sb*sl)/det
	} else if sbb > 0 {
		c = sbl / sbb
	}
	switch {
	case a < 0:
		a, c = 0, sbl/sbb
	case c < 0:
		a, c = sl/s, 0
	}
	cost := route.Cost{Fixed: time.Duration(math.Round(a)), PerRow: time.Duration(math.Round(c))}
	var beyond []time.Duration
	for _, x := range samples {
		for _, d := range x.Times {
			beyond = append(beyond, d-cost.Fixed-cost.PerRow*time.Duration(x.Rows))
		}
	}
	cost.Residual = max(0, quantile(beyond, 0.99))
	return cost
}

// Choose decides how many rows a run may have and says why. want is the author's wish, 0 for none; off is why it must be
// one.
func Choose(samples []Samples, cost route.Cost, want int, off string) (rows int, why string) {
	switch {
	case off != "" && want > 1:
		return 1, fmt.Sprintf("off, although batching.max is %d: %s", want, off)
	case off != "":
		return 1, "off: " + off
	case want == 1:
		return 1, "off: batching.max is 1"
	}
	gains := gains(samples, cost)
	best := slices.Max(gains)
	i := slices.IndexFunc(gains, func(g float64) bool { return g >= NearPeak*best })
	switch {
	case want > 1:
		return want, fmt.Sprintf("up to %d rows, as batching.max says; measured, %d together are %.1f times as many per second as single ones",
			want, samples[i].Rows, gains[i])
	case len(samples) == 1:
		return 1, fmt.Sprintf("off: one row takes %s, too long to measure several", short(samples[0].median()))
	case best < WorthIt:
		return 1, fmt.Sprintf("off: run together, rows take as long as one by one (%.2f times as many per second, %.2f would be worth it)",
			slices.Max(gains[1:]), WorthIt)
	}
	return samples[i].Rows, fmt.Sprintf("up to %d rows, %.1f times as many per second as single ones", samples[i].Rows, gains[i])
}

// gains are how many times as many rows per second a run of each size brings as runs of one row, with the handing over
// counted against it: the smaller of what was measured and what the fit says. Where the fit misses a median by a fifth,
// because the kernels work in steps, what was measured counts alone.
func gains(samples []Samples, cost route.Cost) []float64 {
	fit := func(b int) float64 { return float64(cost.Fixed) + float64(cost.PerRow)*float64(b) }
	steps := slices.ContainsFunc(samples, func(x Samples) bool {
		return math.Abs(float64(x.median())-fit(x.Rows)) > 0.2*float64(x.median())
	})
	gains := make([]float64, len(samples))
	for i, x := range samples {
		b := float64(x.Rows)
		gains[i] = float64(samples[0].median()) / (float64(x.median())/b + float64(Handoff))
		if !steps {
			gains[i] = min(gains[i], fit(1)/(fit(x.Rows)/b+float64(Handoff)))
		}
		if x.Rows == 1 {
			gains[i] = 1
		}
	}
	return gains
}

// quantile is the smallest of d that a share q of them does not exceed.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
