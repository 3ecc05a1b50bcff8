// Package explain says of an alert what a person asks next: what moved, since when, what it looks like over time and how sure
// that is, what else moved with it, what it did to the predictions and to the performance, and what to do. It is a pure
// function of what the monitor has measured.
package explain

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead/watch/shape"
)

// Point is one window of a column.
type Point struct {
	Start      time.Time
	PSI, Floor float64
	N          uint64
	Drifted    bool
}

// Performance is one window of the model as a whole. What is not known is NaN.
type Performance struct {
	Start               time.Time
	N                   uint64
	Accuracy, Estimated float64 // realised, and as the scores promise it
	PredictedRate       float64 // share of positive decisions
}

// Column is a column's windows in order of time, at the grain of the alert.
type Column struct {
	Name   string
	Output bool
	Points []Point
}

// Change is something that happened to the deployment.
type Change struct {
	Time time.Time
	Text string // "version 4 went live in place of 3"
}

// Share is how much of the rows a value or a range had before and has now.
type Share struct {
	Label  string  `json:"label"`
	Before float64 `json:"before"`
	Now    float64 `json:"now"`
	Part   float64 `json:"part"` // of the PSI that it makes, in [0,1]
}

// Input is what is known.
type Input struct {
	Column      string
	Grain       time.Duration
	Onset, Last time.Time // starts of the first and of the last drifted window
	Over        bool      // it has resolved
	Columns     []Column  // all that are watched, the alert's own among them
	Performance []Performance
	Shares      []Share // of the alert's column: the reference's, and those of the drifted windows
	Changes     []Change
	Rule        string // "PSI 0.2, two hours in a row"

	Carried *Concentration // nil: nobody looked
	Impact  *Impact        // nil: nobody asked the model
}

// Sureness is what the alert rests on.
type Sureness struct {
	Windows int     `json:"windows"` // since the onset
	Drifted int     `json:"drifted"` // of them
	Rows    uint64  `json:"rows"`    // in these
	PSI     float64 `json:"psi"`     // median of the drifted windows
	Floor   float64 `json:"floor"`   // median: what chance alone exceeds in one window of 1,000
	Rule    string  `json:"rule"`
}

// Related is a column that moved at the same time.
type Related struct {
	Column string    `json:"column"`
	Output bool      `json:"output,omitempty"`
	Onset  time.Time `json:"onset"`
	PSI    float64   `json:"psi"` // median of its drifted windows
}

// Effect is a number of the model before the drift and since.
type Effect struct {
	What    string  `json:"what"`
	Before  float64 `json:"before"`
	Since   float64 `json:"since"`
	Windows int     `json:"windows"` // since
	Clear   bool    `json:"clear"`   // the difference is larger than windows before differ by chance
}

// Explanation answers.
type Explanation struct {
	Shape   shape.Drift `json:"shape"`
	Since   time.Time   `json:"since"`
	Until   time.Time   `json:"until,omitzero"` // of what is over
	Sure    Sureness    `json:"sure"`
	Shares  []Share     `json:"shares"` // that moved most, the largest part first
	Related []Related   `json:"related"`
	Effects []Effect    `json:"effects"`
	Changes []Change    `json:"changes"` // near the onset
	Harm    Harm        `json:"harm"`
	Advice  []string    `json:"advice"`
	Text    string      `json:"text"`
	Flips   float64     `json:"flips,omitempty"` // share of the decisions that the change turns, if that is clear
}

// Harm ranks alerts by what they do.
type Harm string

// Harms, the worst first.
const (
	Hurts   Harm = "hurts"   // performance, realised or estimated, has clearly fallen
	Moves   Harm = "moves"   // predictions have moved; whether they got worse is not known
	Quiet   Harm = "quiet"   // neither
	Unknown Harm = "unknown" // too few windows to tell
)

// near is how many windows apart onsets may be to belong together, and changes to be named.
const near = 3

// mostShares that are named.
const mostShares = 5

// Explain puts together what is known of an alert.
func Explain(in Input) Explanation {
	e := Explanation{Since: in.Onset, Related: []Related{}, Effects: []Effect{}, Changes: []Change{}, Shares: []Share{}}
	if in.Over {
		e.Until = in.Last.Add(in.Grain)
	}
	for _, c := range in.Columns {
		if c.Name == in.Column {
			e.Shape = label(c.Points, in.Grain)
			e.Sure = sureness(c.Points, in)
			continue
		}
		if r, ok := related(c, in); ok {
			e.Related = append(e.Related, r)
		}
	}
	slices.SortStableFunc(e.Related, func(a, b Related) int {
		return cmp.Or(-cmp.Compare(a.PSI, b.PSI), cmp.Compare(a.Column, b.Column))
	})
	e.Effects = effects(in)
	e.Shares = moved(in.Shares)
	for _, c := range in.Changes {
		if d := c.Time.Sub(in.Onset); d.Abs() <= near*in.Grain {
			e.Changes = append(e.Changes, c)
		}
	}
	e.Harm = harmOf(harm(e), in.Impact)
	if in.Impact != nil && in.Impact.Clear && in.Impact.Flips != nil {
		e.Flips = in.Impact.Flips.Value
	}
	e.Advice = advise(in, e)
	e.Text = sentence(in, e)
	return e
}

// label names the course of a column: √PSI of its windows, those without rows left out.
func label(points []Point, grain time.Duration) shape.Drift {
	y, weight := make([]float64, 0, len(points)), make([]float64, 0, len(points))
	for i, p := range points {
		if i > 0 { // windows without a row are windows all the same
			for gap := p.Start.Sub(points[i-1].Start)/grain - 1; gap > 0 && len(y) < 2000; gap-- {
				y, weight = append(y, math.NaN()), append(weight, 0)
			}
		}
		y, weight = append(y, math.Sqrt(math.Max(p.PSI, 0))), append(weight, float64(p.N))
	}
	periods := []int{24, 168}
	if grain >= 24*time.Hour {
		periods = []int{7}
	}
	return shape.Label(y, weight, shape.Options{Periods: periods})
}

func sureness(points []Point, in Input) Sureness {
	s := Sureness{Rule: in.Rule}
	var psi, floor []float64
	for _, p := range points {
		if p.Start.Before(in.Onset) || p.Start.After(in.Last) {
			continue
		}
		s.Windows++
		s.Rows += p.N
		if p.Drifted {
			s.Drifted++
			psi, floor = append(psi, p.PSI), append(floor, p.Floor)
		}
	}
	s.PSI, s.Floor = median(psi), median(floor)
	return s
}

// related finds the stretch of drift of another column that began with the alert.
func related(c Column, in Input) (Related, bool) {
	r := Related{Column: c.Name, Output: c.Output}
	var psi []float64
	for _, p := range c.Points {
		switch {
		case !p.Drifted || p.Start.After(in.Last):
		case p.Start.Before(in.Onset.Add(-near * in.Grain)):
			if p.Start.After(in.Onset.Add(-2 * near * in.Grain)) {
				return r, false // it had drifted before
			}
		default:
			if r.Onset.IsZero() {
				r.Onset = p.Start
			}
			psi = append(psi, p.PSI)
		}
	}
	r.PSI = median(psi)
	return r, !r.Onset.IsZero() && r.Onset.Sub(in.Onset).Abs() <= near*in.Grain
}

// effects compares the model's numbers since the onset with those before, hour of the day by hour of the day: evenings are
// never like mornings.
func effects(in Input) []Effect {
	out := []Effect{}
	for _, what := range []struct {
		name string
		of   func(Performance) float64
	}{
		{"accuracy", func(p Performance) float64 { return p.Accuracy }},
		{"estimated accuracy", func(p Performance) float64 { return p.Estimated }},
		{"share of positive decisions", func(p Performance) float64 { return p.PredictedRate }},
	} {
		if e, ok := effect(in, what.of); ok {
			e.What = what.name
			out = append(out, e)
		}
	}
	return out
}

func effect(in Input, of func(Performance) float64) (e Effect, ok bool) {
	before, since := map[int][]float64{}, map[int][]float64{}
	for _, p := range in.Performance {
		v, hour := of(p), p.Start.UTC().Hour()
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0) || p.N == 0:
		case p.Start.Before(in.Onset):
			before[hour] = append(before[hour], v)
		case !p.Start.After(in.Last):
			since[hour] = append(since[hour], v)
		}
	}
	var usual, now, residuals []float64
	for hour, values := range before {
		for _, v := range values {
			if n := float64(len(values)); n > 1 { // one alone differs from its own mean by nothing
				residuals = append(residuals, (v-mean(values))*math.Sqrt(n/(n-1)))
			}
		}
		for _, v := range since[hour] {
			usual, now = append(usual, mean(values)), append(now, v)
		}
	}
	if len(residuals) < 6 || len(now) == 0 {
		return e, false
	}
	past := 0
	for hour, values := range before {
		if len(since[hour]) > 0 {
			past += len(values)
		}
	}
	e = Effect{Before: mean(usual), Since: mean(now), Windows: len(now)}
	noise := deviation(residuals) * math.Sqrt(1/float64(past)+1/float64(len(now)))
	e.Clear = math.Abs(e.Since-e.Before) > 4*noise && math.Abs(e.Since-e.Before) > 0.002
	return e, true
}

// moved are the values that make most of the drift.
func moved(shares []Share) []Share {
	total := 0.0
	out := []Share{}
	for _, s := range shares {
		p, q := math.Max(s.Before, 1e-4), math.Max(s.Now, 1e-4)
		s.Part = (q - p) * math.Log(q/p)
		total += s.Part
		out = append(out, s)
	}
	for i := range out {
		if total > 0 {
			out[i].Part /= total
		}
	}
	slices.SortStableFunc(out, func(a, b Share) int { return -cmp.Compare(a.Part, b.Part) })
	out = out[:min(len(out), mostShares)]
	return slices.DeleteFunc(out, func(s Share) bool { return s.Part < 0.02 })
}

func harm(e Explanation) Harm {
	if len(e.Effects) == 0 {
		return Unknown
	}
	worst := Quiet
	labelled := slices.ContainsFunc(e.Effects, func(f Effect) bool { return f.What == "accuracy" })
	for _, f := range e.Effects {
		switch {
		case !f.Clear || labelled && f.What == "estimated accuracy": // labels know better
		case f.What == "share of positive decisions":
			if worst == Quiet {
				worst = Moves
			}
		case f.Since < f.Before:
			worst = Hurts
		}
	}
	if worst == Quiet && slices.ContainsFunc(e.Related, func(r Related) bool { return r.Output }) {
		return Moves
	}
	return worst
}

// harmOf is the harm with what the model says when it is asked again: it knows of a move before windows show it, and that there is
// none where there are too few windows.
func harmOf(seen Harm, asked *Impact) Harm {
	switch {
	case asked == nil || asked.Reason != "" || seen == Hurts:
		return seen
	case asked.Clear:
		return Moves
	case seen == Unknown && asked.Rows >= enoughAsked:
		return Quiet
	}
	return seen
}

// enoughAsked is how many rows show that predictions do not move.
const enoughAsked = 500

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// deviation is that of a sample.
func deviation(v []float64) float64 {
	m, sum := mean(v), 0.0
	for _, x := range v {
		sum += (x - m) * (x - m)
	}
	return math.Sqrt(sum / float64(max(len(v)-1, 1)))
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Rank orders explained alerts: what hurts first, then what turns more decisions, then the larger drift above its noise.
func Rank(a, b Explanation) int {
	order := []Harm{Hurts, Moves, Unknown, Quiet}
	return cmp.Or(cmp.Compare(slices.Index(order, a.Harm), slices.Index(order, b.Harm)),
		-cmp.Compare(a.Flips, b.Flips), -cmp.Compare(a.Sure.PSI-a.Sure.Floor, b.Sure.PSI-b.Sure.Floor))
}

// Incident groups alerts of one deployment whose onsets lie near each other: what happens together has most often one cause.
// It gives for each alert the index of the incident's first one, by onset.
func Incident(onsets []time.Time, grain time.Duration) []int {
	order := make([]int, len(onsets))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return onsets[a].Compare(onsets[b]) })
	out := make([]int, len(onsets))
	for k, i := range order {
		out[i] = i
		if k > 0 && onsets[i].Sub(onsets[order[k-1]]) <= near*grain {
			out[i] = out[order[k-1]]
		}
	}
	return out
}
