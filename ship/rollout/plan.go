package rollout

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Load is the traffic that a plan is made for, as people know it or the server measured it.
type Load struct {
	RequestsPerMinute float64  `json:"requests_per_minute"`
	Keys              float64  `json:"keys,omitempty"`              // different routing keys in all; 0: a new one for each request
	ErrorRate         float64  `json:"error_rate"`                  // of the live version
	Latency           []uint64 `json:"latency,omitempty"`           // of the live version, in the bins of a Tally; nil: latency is not part of the plan
	LabelsPerMinute   float64  `json:"labels_per_minute,omitempty"` // of each metric, both arms together
	LabelDelay        Duration `json:"label_delay,omitempty"`
}

// Forecast is what a policy means at a load. Times are in minutes; -1 means not within the stage's longest time.
type Forecast struct {
	Runs       int             `json:"runs"`
	FalseAbort float64         `json:"false_abort"` // bound on the probability that a harmless version is rolled back, by construction
	Aborted    int             `json:"aborted"`     // harmless rollouts that were, of Runs
	Promoted   int             `json:"promoted"`    // harmless rollouts that got to the end without a person, of Runs
	Minutes    float64         `json:"minutes"`     // median from start to the end of the bake, of those
	Late       float64         `json:"late"`        // the slowest tenth takes longer
	Stages     []StageForecast `json:"stages"`
}

// StageForecast is the part of one stage.
type StageForecast struct {
	Stage      string  `json:"stage"`
	FalseAbort float64 `json:"false_abort"`
	Minutes    float64 `json:"minutes"`   // median until a harmless version leaves the stage
	Late       float64 `json:"late"`      // nine in ten have left
	Undecided  float64 `json:"undecided"` // share that is still there after the longest time
	Waits      string  `json:"waits"`     // the gate, or "requests" or "time", that most of them waited for at last
	Detect     float64 `json:"detect"`    // median until twice the error rate is rolled back, where it begins with this stage
	DetectLate float64 `json:"detect_late"`
	Missed     float64 `json:"missed"`   // share that passed the stage or was not found within its longest time
	Affected   float64 `json:"affected"` // requests that such a version answers until then (median)
}

// Plan says what the policy means at this traffic, by simulating runs rollouts of a harmless version and as many of one with
// twice the errors with the gates that will judge the real one. Latency and scores of both versions are alike; approval
// and freeze windows are left out; looks are 15 % of the stage's age apart, so that times are that coarse. chance gives uniform
// numbers in [0, 1).
func Plan(p Policy, load Load, runs int, chance func() float64) (Forecast, error) {
	switch {
	case p.Kind != KindRollout:
		return Forecast{}, fairlead.Invalid("a plan is for a rollout; kind %s has fixed weights or none to test", p.Kind)
	case !(load.RequestsPerMinute > 0) || math.IsInf(load.RequestsPerMinute, 0):
		return Forecast{}, fairlead.Invalid("a plan needs the requests per minute, got %g", load.RequestsPerMinute)
	case !(load.ErrorRate >= 0 && load.ErrorRate <= 0.5):
		return Forecast{}, fairlead.Invalid("the error rate of the live version is %g; expected 0 to 0.5", load.ErrorRate)
	case runs < 1 || runs > 100_000:
		return Forecast{}, fairlead.Invalid("a plan of %d runs makes no sense; 200 are usual", runs)
	}
	s := &simulation{p: p, load: load, chance: chance}
	s.p.Freeze, s.p.Stages = nil, slices.Clone(p.Stages)
	for i := range s.p.Stages {
		s.p.Stages[i].Approve, s.p.Stages[i].Undecided = false, Hold
	}
	f := Forecast{Runs: runs, FalseAbort: p.Budget}
	fates := make([][]fate, len(p.Stages)) // of the harmless, by stage
	var totals []float64
	for range runs {
		sum, live := 0.0, (*Baseline)(nil)
		for i := range p.Stages {
			one := s.stage(i, 1, live)
			fates[i] = append(fates[i], one)
			if one.harm {
				f.Aborted++
			}
			if !one.passed {
				sum = -1
				break
			}
			sum += one.minutes
			live = one.live
		}
		if sum >= 0 {
			f.Promoted++
			totals = append(totals, sum)
		}
	}
	f.Minutes, f.Late = at(totals, 0.5), at(totals, 0.9)
	var live *Baseline
	for i, stage := range p.Stages {
		f.Stages = append(f.Stages, s.forecast(i, fates[i], runs, live))
		if stage.Traffic < 1 && len(fates[i]) > 0 {
			live = fates[i][0].live
		}
	}
	return f, nil
}

func (s *simulation) forecast(i int, fates []fate, runs int, live *Baseline) StageForecast {
	f := StageForecast{Stage: s.p.Stages[i].Traffic.String(), FalseAbort: s.p.Budget / float64(len(s.p.Stages))}
	if s.p.Stages[i].Traffic == 1 {
		f.Stage = "bake"
	}
	var minutes, detect, affected []float64
	waits := map[string]int{}
	for _, one := range fates {
		if one.passed {
			minutes = append(minutes, one.minutes)
		} else if !one.harm {
			f.Undecided += 1 / float64(len(fates))
		}
		if waits[one.waits]++; waits[one.waits] > waits[f.Waits] || f.Waits == "" {
			f.Waits = one.waits
		}
	}
	for range runs {
		if one := s.stage(i, 2, live); one.harm {
			detect, affected = append(detect, one.minutes), append(affected, one.answered)
		} else {
			f.Missed += 1 / float64(runs)
		}
	}
	if len(fates) == 0 {
		f.Waits = "not reached"
	}
	f.Minutes, f.Late = at(minutes, 0.5), at(minutes, 0.9)
	if f.Undecided >= 0.5 {
		f.Minutes = -1
	}
	f.Detect, f.DetectLate, f.Affected = at(detect, 0.5), at(detect, 0.9), at(affected, 0.5)
	if f.Missed >= 0.5 {
		f.Detect = -1
	}
	return f
}

// at is a quantile, -1 of nothing.
func at(values []float64, q float64) float64 {
	if len(values) == 0 {
		return -1
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(q*float64(len(values))))]
}

// fate is how one simulated stage ends.
type fate struct {
	minutes, answered float64
	passed, harm      bool
	waits             string
	live              *Baseline
}

type simulation struct {
	p      Policy
	load   Load
	chance func() float64
}

// stage simulates one stage with a canary that has times the live version's errors.
func (s *simulation) stage(i int, times float64, live *Baseline) fate {
	begin := time.Unix(0, 0).UTC()
	state := State{Format: Format, Phase: Running, Stage: i, Started: begin, Entered: begin, Baseline: live}
	stage := s.p.Stages[i]
	if stage.Traffic == 1 {
		state.Phase = Baking
	}
	obs := Observation{Live: &fairlead.Tally{}, Canary: &fairlead.Tally{}, Pairs: &fairlead.PairTally{}}
	out := fate{waits: "time"}
	for t, last := 1.0/12, 0.0; last < time.Duration(stage.Max).Minutes(); t = math.Max(t*1.15, t+1.0/60) {
		for _, edge := range []Duration{stage.Time, stage.Max} { // what is due is looked at when it is due
			if m := time.Duration(edge).Minutes(); last < m && m < t {
				t = m
			}
		}
		if bake := time.Duration(s.p.Bake).Minutes(); stage.Traffic == 1 && last < bake && bake < t {
			t = bake
		}
		s.serve(&obs, float64(stage.Traffic), t-last, times, t)
		last = t
		obs.Now = begin.Add(time.Duration(t * float64(time.Minute)))
		next, decisions := Step(s.p, state, obs)
		out.minutes, out.answered = t, s.load.RequestsPerMinute*t*float64(stage.Traffic)
		if next.Phase == RolledBack {
			out.harm = true
			return out
		}
		if next.Stage != i || next.Phase != state.Phase {
			out.passed, out.live = true, baseline(obs.Live)
			if stage.Traffic == 1 {
				out.live = live
			}
			return out
		}
		for _, d := range decisions {
			if d.Action == ActHold {
				out.waits = waitingFor(d)
			}
		}
		if next.Window != state.Window {
			obs.Canary = &fairlead.Tally{}
		}
		state = next
	}
	out.live = baseline(obs.Live)
	return out
}

// waitingFor names what a hold is about.
func waitingFor(d Decision) string {
	if d.Reason == ReasonWaiting {
		return "requests"
	}
	for _, e := range d.Evidence {
		if e.Required && e.Finding == Open {
			return e.Gate
		}
	}
	return d.Reason
}

// serve adds the requests of some minutes.
func (s *simulation) serve(o *Observation, share, minutes, times, age float64) {
	n := s.load.RequestsPerMinute * minutes
	if share == 0 {
		p, c := o.Pairs, s.poisson(n)
		failed := math.Min(c, s.poisson(c*s.load.ErrorRate*times))
		p.Requests, p.Pairs = p.Requests+uint64(c-failed), p.Pairs+uint64(c-failed)
		p.ShadowErrors += uint64(failed)
		p.LiveErrors += uint64(s.poisson(c * s.load.ErrorRate))
		p.LiveLatency = s.latency(p.LiveLatency, c)
		p.ShadowLatency = s.latency(p.ShadowLatency, c)
	}
	s.count(o.Live, n*(1-share), s.load.ErrorRate, s.load.Keys*(1-share))
	s.count(o.Canary, n*share, s.load.ErrorRate*times, s.load.Keys*share)
	o.Outcomes = o.Outcomes[:0]
	for _, m := range s.p.Metrics {
		labels := s.load.LabelsPerMinute * math.Max(0, age-time.Duration(s.load.LabelDelay).Minutes())
		moments := func(n float64) Moments { // right nine times in ten
			return Moments{N: uint64(n), Sum: 0.9 * math.Floor(n), SumSquares: 0.9 * math.Floor(n)}
		}
		o.Outcomes = append(o.Outcomes, Outcome{Metric: m.Name, Live: moments(labels * (1 - share)), Canary: moments(labels * share)})
	}
}

// count spreads requests evenly over the buckets that the keys occupy, and errors by chance.
func (s *simulation) count(t *fairlead.Tally, n, errors, keys float64) {
	if n <= 0 {
		return
	}
	occupied := fairlead.TallyBuckets
	if s.load.Keys > 0 {
		occupied = int(math.Max(1, math.Min(fairlead.TallyBuckets, math.Round(keys))))
	}
	n = s.poisson(n)
	each, rest := uint64(n)/uint64(occupied), int(uint64(n)%uint64(occupied))
	from := int(s.chance() * float64(occupied))
	for i := range occupied {
		t.Buckets[i].Requests += each
		if (i+from)%occupied < rest {
			t.Buckets[i].Requests++
		}
	}
	for range int(math.Min(n, s.poisson(n*errors))) {
		t.Buckets[int(s.chance()*float64(occupied))].Errors++
	}
	t.Latency = s.latency(t.Latency, n)
}

func (s *simulation) latency(counts []uint64, n float64) []uint64 {
	all := total(s.load.Latency)
	if all == 0 {
		return nil
	}
	if counts == nil {
		counts = make([]uint64, len(s.load.Latency))
	}
	for i, c := range s.load.Latency {
		if c > 0 {
			counts[i] += uint64(s.poisson(n * float64(c) / all))
		}
	}
	return counts
}

// poisson draws a count of mean l; above 40 by the normal distribution.
func (s *simulation) poisson(l float64) float64 {
	if l > 40 {
		return math.Max(0, math.Round(l+math.Sqrt(l)*normal(s.chance)))
	}
	k, product, limit := 0.0, s.chance(), math.Exp(-l)
	for product > limit {
		k++
		product *= s.chance()
	}
	return k
}

// Text is the forecast for people.
func (f Forecast) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "A harmless version is rolled back with a probability of at most %s; in %d simulated rollouts it was %d times.\n", short(f.FalseAbort), f.Runs, f.Aborted)
	switch {
	case f.Promoted == 0:
		b.WriteString("At this traffic no rollout gets to the end without a person: see the stages that stay undecided.\n")
	case f.Promoted < f.Runs-f.Aborted:
		fmt.Fprintf(&b, "%s of the harmless versions get to the end by themselves, half of them within %s; the others need a person.\n", percent(float64(f.Promoted)/float64(f.Runs)), minutes(f.Minutes))
	default:
		fmt.Fprintf(&b, "A harmless version is live, its bake over, after %s; one in ten takes more than %s.\n", minutes(f.Minutes), minutes(f.Late))
	}
	fmt.Fprintf(&b, "\n%-7s  %-11s  %-10s  %-12s  %-22s  %s\n", "stage", "to leave it", "one in ten", "waits for", "twice the errors found", "such answers until then")
	for _, s := range f.Stages {
		late := "> " + minutes(s.Late)
		switch {
		case s.Waits == "not reached":
			late = "-"
		case s.Minutes < 0 || s.Undecided > 0.1:
			late = fmt.Sprintf("%.0f%% stay", s.Undecided*100)
		}
		found := "after " + minutes(s.Detect)
		if s.Detect < 0 {
			found = "not in this stage"
		}
		affected := count(s.Affected)
		switch {
		case s.Stage == "shadow":
			affected = "none: copies only"
		case s.Affected < 0:
			affected = "-"
		}
		fmt.Fprintf(&b, "%-7s  %-11s  %-10s  %-12s  %-22s  %s\n", s.Stage, minutes(s.Minutes), late, s.Waits, found, affected)
	}
	return b.String()
}

func short(r float64) string { return strings.TrimSuffix(fmt.Sprintf("%.3g", r*100), ".0") + "%" }

// minutes writes a time as people say it.
func minutes(m float64) string {
	switch {
	case m < 0:
		return "never"
	case m < 2:
		return fmt.Sprintf("%.0f s", m*60)
	case m < 120:
		return fmt.Sprintf("%.0f min", m)
	case m < 48*60:
		return fmt.Sprintf("%.1f h", m/60)
	}
	return fmt.Sprintf("%.1f days", m/60/24)
}
