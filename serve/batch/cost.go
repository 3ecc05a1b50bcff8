package batch

import (
	"math"
	"math/bits"
	"sort"
	"time"

	"github.com/fairlead-ml/fairlead/serve/route"
)

const (
	forget  = 0.995 // weight of what is known when one more run is seen: about 200 runs are remembered
	share   = 0.95  // of the peak throughput that the batch limit must reach
	minGain = 1.05  // below this gain of the largest batch over single rows, batching is not worth a wait
	misfit  = 0.15  // mean relative error of the line from which on the measured table is used instead
	fresh   = 4096  // runs after which a size that was not seen again is forgotten
	enough  = 16    // runs before a cost that was not measured at load is believed

	preempted = 8 // times the expected cost: a run that took longer was not the model's own
)

// cost is what a run of b rows takes. It learns L(b) = a + c·b from the runs themselves by least squares of the relative
// error with forgetting (the profile of InferLine, SoCC'20, refitted online), and keeps the means by size beside it,
// because kernels have steps that no line fits. Times are nanoseconds.
type cost struct {
	w, b, bb, t, bt float64 // decayed sums of weight, rows, rows², time, rows·time
	a, c            float64 // the line
	r               float64 // 99 of 100 runs stay under L(b)+r
	runs            uint64
	learnt          bool // a and c are told apart: from the load, or by runs of different sizes
	seeded          bool // from the load
	sizes           [20]size
	table           bool // the line does not fit: interpolate between the sizes
}

// size is the runs of 2^i up to 2^(i+1)-1 rows.
type size struct {
	n    float64
	rows float64 // mean
	took float64 // mean
	last uint64
}

// seed starts from what was measured at load, for batches up to largest.
func (l *cost) seed(from route.Cost, largest int) {
	if from.Fixed <= 0 && from.PerRow <= 0 {
		return
	}
	l.learnt, l.seeded = true, true
	l.a, l.c = float64(from.Fixed), float64(from.PerRow)
	l.r = min(float64(from.Residual), preempted*l.line(1))
	for _, rows := range []float64{1, float64(max(largest, 2))} {
		l.add(rows, l.line(rows), 20)
	}
}

func (l *cost) line(rows float64) float64 { return l.a + l.c*rows }

// of is L(rows), 0 while nothing is known.
func (l *cost) of(rows int) time.Duration {
	if l.table {
		return time.Duration(math.Round(l.interpolate(float64(rows))))
	}
	return time.Duration(math.Round(l.line(float64(rows))))
}

// residual is what 99 of 100 runs stay under beyond of.
func (l *cost) residual() time.Duration { return time.Duration(l.r) }

// observe learns from one run.
func (l *cost) observe(rows int, took time.Duration) {
	if rows < 1 || took <= 0 {
		return
	}
	b, t := float64(rows), float64(took)
	l.runs++
	known := l.learnt || l.runs > enough
	expected := float64(l.of(rows))
	if known && expected > 0 {
		l.learnResidual(t, expected)
		t = min(t, preempted*expected) // it says little about the model
	}
	l.learnSize(b, t)
	l.w, l.b, l.bb, l.t, l.bt = l.w*forget, l.b*forget, l.bb*forget, l.t*forget, l.bt*forget
	l.add(b, t, 1)
	l.fit()
}

// add weighs a run by the square of its inverse time, so that the error is relative and long runs do not decide alone.
func (l *cost) add(b, t, n float64) {
	expected := l.line(b)
	if expected <= 0 {
		expected = t
	}
	w := n / (expected * expected)
	l.w += w
	l.b += w * b
	l.bb += w * b * b
	l.t += w * t
	l.bt += w * b * t
}

func (l *cost) fit() {
	spread := l.w*l.bb - l.b*l.b
	if spread < 0.01*l.w*l.bb {
		// All runs had nearly the same size: keep the proportion of a to c, which was learnt before, and scale.
		fixed := 0.5
		if l.a+l.c > 0 {
			fixed = l.a / (l.a + l.c)
		}
		scale := l.t / (fixed*l.w + (1-fixed)*l.b)
		l.a, l.c = scale*fixed, scale*(1-fixed)
		return
	}
	l.c = (l.w*l.bt - l.b*l.t) / spread
	l.a = (l.t - l.c*l.b) / l.w
	switch {
	case l.a < 0:
		l.a, l.c = 0, l.bt/l.bb
	case l.c < 0:
		l.a, l.c = l.t/l.w, 0
	}
	l.learnt = l.learnt || l.runs >= enough
}

// learnResidual moves r by a step at each run so that one in a hundred exceeds it (stochastic approximation of a
// quantile). The step follows what r is, too, so that one that is far too large is halved in some thousand runs.
func (l *cost) learnResidual(t, expected float64) {
	const over = 0.01
	step := max(0.05*expected, 0.1*l.r)
	if t-expected > l.r {
		l.r += step * (1 - over)
	} else {
		l.r = max(0, l.r-step*over)
	}
}

func (l *cost) learnSize(b, t float64) {
	s := &l.sizes[min(bits.Len(uint(b))-1, len(l.sizes)-1)]
	if l.runs-s.last > fresh {
		s.n = 0
	}
	s.last = l.runs
	s.n++
	pace := max(1/s.n, 0.05)
	s.rows += pace * (b - s.rows)
	s.took += pace * (t - s.took)
}

func (l *cost) known(i int) bool { return l.sizes[i].n >= 4 && l.runs-l.sizes[i].last <= fresh }

// check decides between the line and the table.
func (l *cost) check() {
	n, sum := 0.0, 0.0
	for i := range l.sizes {
		if s := &l.sizes[i]; l.known(i) {
			n++
			sum += math.Abs(s.took-l.line(s.rows)) / s.took
		}
	}
	l.table = n >= 3 && sum/n > misfit
}

// interpolate reads the table. Outside of it the line gives the slope.
func (l *cost) interpolate(b float64) float64 {
	var under *size
	for i := range l.sizes {
		s := &l.sizes[i]
		if !l.known(i) {
			continue
		}
		switch {
		case s.rows >= b && under == nil:
			return max(0, s.took-l.c*(s.rows-b))
		case s.rows >= b:
			return under.took + (s.took-under.took)*(b-under.rows)/(s.rows-under.rows)
		}
		under = s
	}
	if under == nil {
		return l.line(b)
	}
	return under.took + l.c*(b-under.rows)
}

// limit is how many rows a batch is worth, up to largest: the smallest that reaches the share of the peak throughput, 1
// where even the largest gains next to nothing. While the cost is unknown it is largest, and the runs will tell.
func (l *cost) limit(largest int) int {
	if largest <= 1 {
		return 1
	}
	if !l.learnt {
		return largest
	}
	l.check()
	rate := func(b int) float64 { return float64(b) / max(float64(l.of(b)), 1) }
	best, gain := 1, 1.0
	for b := 1; ; b = min(2*b, largest) {
		if g := rate(b) / rate(1); g > gain {
			best, gain = b, g
		}
		if b == largest {
			break
		}
	}
	if gain < minGain {
		return 1
	}
	if !l.table {
		if l.c <= 0 {
			return largest
		}
		// b/L(b) reaches the share f of 1/c at b = (a/c)·f/(1-f).
		return min(largest, max(2, int(math.Ceil(l.a/l.c*share/(1-share)))))
	}
	for b := 2; b < best; b *= 2 {
		if rate(b) >= share*rate(best) {
			return b
		}
	}
	return best
}

// fits is the most rows, up to most, whose run takes at most d; 0 if there is none.
func (l *cost) fits(d time.Duration, most int) int {
	return sort.Search(most, func(i int) bool { return l.of(i+1) > d })
}

// under is the most rows whose run takes at most d, 0 where the cost is not known well.
func (l *cost) under(d time.Duration) int {
	if !l.learnt && l.runs < 2*enough || l.of(1) <= 0 || l.of(1) > d {
		return 0
	}
	if l.c <= 0 || l.table {
		return 1
	}
	return max(1, int((float64(d)-l.a)/l.c))
}
