package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Answer is what a model says of a row.
type Answer struct {
	Score float64 // NaN: none
	Class string  // "": none
}

// Pair is a row as it was answered, and with the value of before. Places are bins of the column, of each of the two values.
type Pair struct {
	Weight         float64
	Place, PutBack int
	Now, Back      Answer
}

// Scale is what scores mean.
type Scale struct {
	Classes  []string // in the order in which they are shown
	Positive string   // class of a binary task, which a score at or above Threshold is
	// Right is the calibrated probability of Positive at a score; nil: the task is not binary, or the scores promise nothing.
	Right func(score float64) float64
}

// Difference is a number now, with values of before, and between the two.
type Difference struct {
	Now, Back float64
	Change    Interval
}

// ClassDifference is the share of the rows that get a class.
type ClassDifference struct {
	Class string
	Difference
}

// Impact is what a change does to predictions.
type Impact struct {
	Reason   string // why nothing can be said; then there are no numbers
	Rows     int
	Score    *Difference
	Classes  []ClassDifference
	Flips    *Interval // share of the rows that are decided otherwise
	Chance   float64   // share of flips where nothing has changed
	Accuracy *Difference
	Fault    *Interval // accuracy lost if the values are false and those of before like the true ones
	Clear    bool      // predictions moved by more than chance and by enough to matter

	mostChance float64 // share of flips that is no news
}

// Smallest changes that matter.
const (
	leastShare = 0.005 // of rows, or of a probability
	leastScore = 0.05  // of a regression's deviation
)

// Summarise compares answers. chance are pairs where nothing has changed, which say how many flip by the method alone; pool is how
// many rows the values of before rest on.
//
// An interval has two parts: rows differ in what the values do to them, and both sets of values are samples. The second is the
// variance of the mean answer between the column's bins, over the rows of each sample.
func Summarise(pairs, chance []Pair, pool float64, scale Scale) *Impact {
	m := &Impact{Rows: len(pairs)}
	if len(pairs) == 0 {
		m.Reason = "there are no rows"
		return m
	}
	n := effective(pairs)
	difference := func(of func(Answer) float64) Difference { return differ(pairs, n, pool, of) }
	binary := scale.Positive != ""
	if d := difference(func(a Answer) float64 { return a.Score }); !math.IsNaN(d.Now) && !math.IsNaN(d.Back) {
		m.Score = &d
		least := leastShare
		if !binary && len(scale.Classes) == 0 {
			least = leastScore * spreadOf(pairs)
		}
		m.Clear = m.Clear || d.Change.beyond(least)
	}
	for _, class := range scale.Classes {
		d := difference(func(a Answer) float64 { return truth(a.Class == class) })
		m.Classes = append(m.Classes, ClassDifference{class, d})
		m.Clear = m.Clear || d.Change.beyond(leastShare)
	}
	if len(scale.Classes) > 0 {
		f := wilson(flips(pairs), n)
		m.Flips = &f
		m.mostChance = leastShare
		if len(chance) > 0 {
			m.Chance = flips(chance)
			m.mostChance += wilson(m.Chance, effective(chance)).High
		}
		m.Clear = m.Clear || f.Low > m.mostChance
	}
	if scale.Right != nil && m.Score != nil {
		d := difference(func(a Answer) float64 { return scale.correct(a.Class, a.Score) })
		m.Accuracy = &d
		lost := faulty(pairs, n, scale)
		m.Fault = &lost
	}
	return m
}

// beyond says that zero is outside, and that the value is not small.
func (i Interval) beyond(least float64) bool {
	return (i.Low > 0 || i.High < 0) && math.Abs(i.Value) >= least
}

// correct is the probability that a class is right at a score.
func (s *Scale) correct(class string, score float64) float64 {
	if class == s.Positive {
		return s.Right(score)
	}
	return 1 - s.Right(score)
}

// effective is the number of equally weighted rows that say as much (Kish).
func effective(pairs []Pair) float64 {
	sum, square := 0.0, 0.0
	for _, p := range pairs {
		sum, square = sum+p.Weight, square+p.Weight*p.Weight
	}
	return sum * sum / square
}

func differ(pairs []Pair, n, pool float64, of func(Answer) float64) Difference {
	var now, back, sum, variance float64
	mean, weight, counted := map[int]float64{}, map[int]float64{}, 0
	for _, p := range pairs {
		a, b := of(p.Now), of(p.Back)
		if math.IsNaN(a) || math.IsNaN(b) {
			continue
		}
		counted++
		now, back, sum = now+p.Weight*a, back+p.Weight*b, sum+p.Weight
		mean[p.Place], weight[p.Place] = mean[p.Place]+p.Weight*a, weight[p.Place]+p.Weight
		mean[p.PutBack], weight[p.PutBack] = mean[p.PutBack]+p.Weight*b, weight[p.PutBack]+p.Weight
	}
	if counted == 0 {
		return Difference{Now: math.NaN(), Back: math.NaN()}
	}
	d := Difference{Now: now / sum, Back: back / sum}
	d.Change.Value = d.Now - d.Back
	for _, p := range pairs {
		if x := of(p.Now) - of(p.Back) - d.Change.Value; !math.IsNaN(x) {
			variance += p.Weight / sum * x * x
		}
	}
	middle, between := (d.Now+d.Back)/2, 0.0
	for place, w := range weight {
		x := mean[place]/w - middle
		between += w / (2 * sum) * x * x
	}
	half := 1.96 * math.Sqrt(variance/n+between*(1/n+1/math.Max(pool, 1)))
	d.Change.Low, d.Change.High = d.Change.Value-half, d.Change.Value+half
	return d
}

// spreadOf is the standard deviation of the scores as they are.
func spreadOf(pairs []Pair) float64 {
	var v []float64
	for _, p := range pairs {
		if !math.IsNaN(p.Now.Score) {
			v = append(v, p.Now.Score)
		}
	}
	return deviation(v)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func flips(pairs []Pair) float64 {
	flipped, sum := 0.0, 0.0
	for _, p := range pairs {
		sum += p.Weight
		if p.Now.Class != p.Back.Class {
			flipped += p.Weight
		}
	}
	return flipped / sum
}

// faulty is what decisions on false values cost, as the scores of the values of before judge them.
func faulty(pairs []Pair, n float64, scale Scale) Interval {
	lost := make([]float64, len(pairs))
	mean, sum, variance := 0.0, 0.0, 0.0
	for i, p := range pairs {
		lost[i] = scale.correct(p.Back.Class, p.Back.Score) - scale.correct(p.Now.Class, p.Back.Score)
		if math.IsNaN(lost[i]) {
			lost[i] = 0
		}
		mean, sum = mean+p.Weight*lost[i], sum+p.Weight
	}
	mean /= sum
	for i, p := range pairs {
		variance += p.Weight / sum * (lost[i] - mean) * (lost[i] - mean)
	}
	half := 1.96 * math.Sqrt(variance/n)
	return Interval{mean, mean - half, mean + half}
}

// wilson is the score interval of a share at 95 %.
func wilson(p, n float64) Interval {
	const z = 1.96
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return Interval{p, math.Max(0, middle-half), math.Min(1, middle+half)}
}

// Says is the answer in a sentence.
func (m *Impact) Says() string {
	if m.Reason != "" {
		return m.Reason
	}
	if !m.Clear {
		return fmt.Sprintf("with values of before, %d rows are answered alike, or nearly so", m.Rows)
	}
	var parts []string
	if m.Flips != nil && m.Flips.Low > m.mostChance {
		parts = append(parts, fmt.Sprintf("%s of the decisions (%s to %s) would be others", percent(m.Flips.Value), percent(m.Flips.Low), percent(m.Flips.High)))
	}
	if m.Score != nil && m.Score.Change.beyond(0) {
		parts = append(parts, fmt.Sprintf("the mean score would be %.3g instead of %.3g", m.Score.Back, m.Score.Now))
	}
	moved := slices.Clone(m.Classes)
	if len(moved) == 2 { // what the one gains the other loses
		moved = moved[1:]
	}
	slices.SortStableFunc(moved, func(a, b ClassDifference) int {
		return cmp.Compare(math.Abs(b.Change.Value), math.Abs(a.Change.Value))
	})
	if len(moved) > 0 && moved[0].Change.beyond(leastShare) {
		parts = append(parts, fmt.Sprintf("%s of the rows would be %s instead of %s", percent(moved[0].Back), moved[0].Class, percent(moved[0].Now)))
	}
	return "with values of before, " + strings.Join(parts, ", ")
}
