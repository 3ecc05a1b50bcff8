package watch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/detect"
	"github.com/fairlead-ml/fairlead/watch/drift"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// A year of a model with fifty features, in counts of bins: nothing happens that a person would want to hear of. Traffic and
// every distribution follow the hour of the week, which the reference of the same phase knows, and each distribution wobbles
// by up to 0.01 (KS), slowly, for days in the same direction.
const (
	yearFeatures = 50
	yearFine     = 20 // bins of KS, two in each bin of PSI
	yearWeeks    = 8  // of reference
	yearWobble   = 0.01
)

// simulation draws the counts. It is for one goroutine.
type simulation struct {
	r      *rand.Rand
	phase  []float64                   // of each feature's daily season
	wobble []float64                   // of each feature, now
	ref    [yearFeatures][168][]uint64 // same-phase reference, fine bins
	start  time.Time
}

func newSimulation(seed uint64) *simulation {
	s := &simulation{
		r: rand.New(rand.NewPCG(seed, 77)), phase: make([]float64, yearFeatures), wobble: make([]float64, yearFeatures),
		start: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), // a Monday
	}
	for f := range yearFeatures {
		s.phase[f] = 2 * math.Pi * s.r.Float64()
		for h := range 168 {
			s.ref[f][h] = s.draw(yearWeeks*rowsOf(h), s.season(f, h))
		}
	}
	return s
}

// rowsOf is the traffic of an hour: about a hundred rows at night, a thousand by day, less at weekends.
func rowsOf(hour int) int {
	day := 550 - 450*math.Cos(2*math.Pi*float64(hour%24)/24)
	if hour%168 >= 120 {
		day *= 0.7
	}
	return int(day)
}

// season is how far the distribution of a feature is tilted at that hour of the week.
func (s *simulation) season(feature, hour int) float64 {
	at := float64(hour % 168)
	return 0.08*math.Sin(2*math.Pi*at/24+s.phase[feature]) + 0.02*math.Sin(2*math.Pi*at/168+s.phase[feature])
}

// drift moves the wobbles on by an hour.
func (s *simulation) drift() {
	for f := range s.wobble {
		s.wobble[f] = max(-yearWobble, min(yearWobble, 0.99*s.wobble[f]+0.001*s.r.NormFloat64()))
	}
}

// draw is a multinomial sample over the fine bins, which are as likely as each other when tilt is 0. The distribution function is
// u + tilt·4u(1−u), at a KS distance of |tilt| from it.
func (s *simulation) draw(n int, tilt float64) []uint64 {
	counts := make([]uint64, yearFine)
	left, share := n, 1.0
	for i := range yearFine {
		a, b := float64(i)/yearFine, float64(i+1)/yearFine
		p := b - a + tilt*4*(b*(1-b)-a*(1-a))
		k := left
		if i < yearFine-1 && left > 0 {
			k = s.binomial(left, min(1, p/share))
		}
		counts[i] = uint64(k)
		left, share = left-k, share-p
	}
	return counts
}

func (s *simulation) binomial(n int, p float64) int {
	return int(distuv.Binomial{N: float64(n), P: p, Src: s.r}.Rand())
}

// pairs are the bins of PSI.
func pairs(fine []uint64) []uint64 {
	out := make([]uint64, len(fine)/2)
	for i, k := range fine {
		out[i/2] += k
	}
	return out
}

// below counts the rows at or below the inner edges of the bins of PSI.
func below(fine []uint64) []uint64 {
	var sum uint64
	out := make([]uint64, 0, len(fine)/2-1)
	for i, k := range fine[:len(fine)-2] {
		if sum += k; i%2 == 1 {
			out = append(out, sum)
		}
	}
	return out
}

func sharesOf(counts []uint64, n uint64) []float64 {
	out := make([]float64, len(counts))
	for i, k := range counts {
		out[i] = float64(k) / float64(n)
	}
	return out
}

func totalOf(counts []uint64) (n uint64) {
	for _, k := range counts {
		n += k
	}
	return n
}

// detector is the e-detector of a feature of the simulation.
func detector(t *testing.T) *detect.EDetector {
	t.Helper()
	e, err := detect.NewEDetector([]float64{.1, .2, .3, .4, .5, .6, .7, .8, .9}, yearTolerance, yearBudget)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The e-detectors tolerate the wobble. Their budget is a false alarm in a year, over all features together.
const (
	yearTolerance = yearWobble
	yearBudget    = yearFeatures * 8760 * 500.0 // some 500 rows an hour
)

// feed gives a block to a detector: what the reference of the hour expects changes with the phase.
func (s *simulation) feed(e *detect.EDetector, feature, hour int, counts []uint64) detect.State {
	ref := s.ref[feature][hour%168]
	e.Reference = sharesOf(below(ref), totalOf(ref))
	return e.Add(totalOf(counts), below(counts))
}

// yearSeeds is 1, or FAIRLEAD_YEAR_SEEDS.
func yearSeeds(t *testing.T) int {
	s := os.Getenv("FAIRLEAD_YEAR_SEEDS")
	if s == "" {
		return 1
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSimulatedYear(t *testing.T) {
	for seed := range yearSeeds(t) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { simulateYear(t, uint64(seed)) })
	}
}

func simulateYear(t *testing.T, seed uint64) {
	hours := 8760
	if raceDetector {
		hours = 4 * 168
	}
	s := newSimulation(seed)
	layout := &profile.Layout{Columns: make([]profile.Column, yearFeatures)}
	detectors := make([]*detect.EDetector, yearFeatures)
	for f := range yearFeatures {
		layout.Columns[f].Name = fmt.Sprint("feature ", f)
		detectors[f] = detector(t)
	}
	ks := alert.DefaultRule()
	ks.Measure, ks.Threshold = alert.MeasureKS, 0.05
	rules := []alert.Rule{alert.DefaultRule(), ks}
	books := make([]alert.Book, len(rules))
	fired := make([]int, len(rules))
	var alarms, loudKS, loudPSI, judged int
	type floorKey struct {
		n, m uint64
		bins int
	}
	floors := map[floorKey]float64{} // quantiles are slow, and the same for all features
	for h := range hours {
		s.drift()
		findings := make([]Finding, yearFeatures)
		p := make([]float64, yearFeatures)
		n := rowsOf(h)
		for f := range yearFeatures {
			cur, ref := s.draw(n, s.season(f, h)+s.wobble[f]), s.ref[f][h%168]
			n, m := uint64(n), totalOf(ref)
			psi, bins := drift.PSI(pairs(ref), pairs(cur))
			findings[f] = Finding{
				Column: layout.Columns[f].Name, Kind: string(profile.Numeric), N: n, M: m,
				PSI: psi, PSIDebiased: drift.PSIDebiased(psi, n, m, bins), PSIFloor: floors[floorKey{n, m, bins}],
				KS: drift.KSBins(ref, cur), KSFloor: drift.KSFloor(n, m, drift.FloorAlpha),
			}
			if findings[f].PSIFloor == 0 {
				findings[f].PSIFloor = drift.PSIFloor(n, m, bins, drift.FloorAlpha)
				floors[floorKey{n, m, bins}] = findings[f].PSIFloor
			}
			p[f] = drift.PSIP(psi, n, m, bins)
			if drift.KSP(findings[f].KS, n, m) < 0.05 {
				loudKS++
			}
			if psi > 0.2 {
				loudPSI++
			}
			if s.feed(detectors[f], f, h, cur) == detect.Drift {
				alarms++
			}
		}
		for i, rule := range rules {
			measured := make([]alert.Measured, yearFeatures)
			for f := range findings {
				measured[f] = findings[f].by(rule.Measure)
			}
			e := evaluation{findings: findings}
			judge(layout, rule, measured, p, uint64(n), &e)
			for f := range findings {
				if i == 0 && findings[f].Verdict != TooFew {
					judged++
				}
			}
			w := alert.Window{Version: 1, Start: s.start.Add(time.Duration(h) * time.Hour), Observations: e.observations}
			for _, event := range books[i].Apply(rule, w) {
				t.Logf("%s: %s", event.Kind, event.Alert.Message)
				fired[i]++
			}
		}
	}
	t.Logf("%d hours, %d features, seed %d: default policy %d alerts (%.0f %% of the windows had rows enough); KS 0.05 in 2 of 3 hours %d; e-detectors %d; "+
		"in the same windows KS p < 0.05 %d times, PSI > 0.2 %d times", hours, yearFeatures, seed, fired[0], 100*float64(judged)/float64(hours*yearFeatures),
		fired[1], alarms, loudKS, loudPSI)
	for name, n := range map[string]int{"the default policy": fired[0], "KS 0.05": fired[1], "the e-detectors": alarms} {
		if n > 1 {
			t.Errorf("%s gives %d false alerts in a year", name, n)
		}
	}
	if judged < hours*yearFeatures/2 || loudKS < hours*yearFeatures/60 {
		t.Errorf("the year is too easy: %d windows judged, KS p < 0.05 in %d", judged, loudKS)
	}
}

// A feature whose distribution moves by KS 0.1 at a random time, in blocks of a minute, after days without anything.
func TestPlantedShiftIsCaught(t *testing.T) {
	streams := 200 * yearSeeds(t)
	if raceDetector {
		streams = 20
	}
	s := newSimulation(5)
	var delays []int
	for i := range streams {
		f := i % yearFeatures
		e := detector(t)
		at := 48 + s.r.IntN(14*24)
		for h := range at {
			s.drift()
			if s.feed(e, f, h, s.draw(rowsOf(h), s.season(f, h)+s.wobble[f])) == detect.Drift {
				t.Errorf("stream %d: false alarm after %d hours", i, h)
			}
		}
		side := 0.1
		if i%2 == 1 {
			side = -side
		}
		rows, caught := 0, false
		for minute := 0; minute < 60*72 && !caught; minute++ {
			h := at + minute/60
			n := max(1, rowsOf(h)/60)
			rows += n
			caught = s.feed(e, f, h, s.draw(n, s.season(f, h)+s.wobble[f]+side)) == detect.Drift
		}
		if !caught {
			t.Errorf("stream %d: not caught in %d rows", i, rows)
		}
		delays = append(delays, rows)
	}
	slices.Sort(delays)
	median := delays[len(delays)/2]
	t.Logf("KS 0.1 in %d streams: caught in %d rows (median), %d (nine of ten), %d (all)", streams, median, delays[len(delays)*9/10], delays[len(delays)-1])
	if median > 1000 {
		t.Errorf("a shift of KS 0.1 takes %d rows (median), 1000 wanted", median)
	}
}
