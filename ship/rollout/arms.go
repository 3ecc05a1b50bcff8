package rollout

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/rollout/anytime"
)

// arms is a step of an experiment or a bandit.
func (m *machine) arms() {
	if m.s.Phase == Waiting {
		m.beginArms()
		return
	}
	if d := m.p.Duration; d > 0 && m.o.Now.Sub(m.s.Started) >= time.Duration(d) {
		m.finish(Ended, Decision{Action: ActEnd, Reason: ReasonTimeOver, Text: fmt.Sprintf("The %s is over after %s. %s", m.p.Kind, d, m.report()), Evidence: Report(m.p, m.o)})
		return
	}
	if m.close() {
		return
	}
	b := m.p.Bandit
	if m.p.Kind != KindBandit || b == nil || m.s.Paused != nil || m.o.Chance == nil || m.o.Now.Sub(m.s.Moved) < time.Duration(b.Every) || m.frozen() != nil {
		return
	}
	m.s.Moved = m.o.Now
	open := m.open()
	weights := Thompson(*b, m.outcomes(b.Event, open), m.o.Chance)
	moved := false
	for i, arm := range open {
		w := Share(math.Round(float64(weights[i])*1000) / 1000) // fewer moves of keys for nothing
		moved = moved || math.Abs(float64(w-m.s.Arms[arm].Traffic)) >= 0.01
		weights[i] = w
	}
	if !moved {
		return
	}
	for i, arm := range open {
		m.s.Arms[arm].Traffic = weights[i]
	}
	m.s.Moves++
	m.decide(Decision{Action: ActWeights, Reason: ReasonMoreTraffic, Text: m.weightsText(b.Event)})
}

func (m *machine) beginArms() {
	if m.s.Paused != nil {
		return
	}
	if f := m.frozen(); f != nil {
		m.hold(ReasonFrozen, func() string {
			return fmt.Sprintf("The %s waits: no version gets more traffic %s.", m.p.Kind, f.text())
		}, nil)
		return
	}
	m.s.Phase, m.s.Stage, m.s.Held = Running, 0, ""
	m.s.Entered, m.s.Moved, m.s.Arms = m.o.Now, m.o.Now, slices.Clone(m.p.Arms)
	m.decide(Decision{Action: ActWeights, Reason: ReasonStarted, Text: fmt.Sprintf("The %s begins: %s.", m.p.Kind, m.shares())})
}

func (m *machine) shares() string {
	var parts []string
	for _, a := range m.s.Arms {
		parts = append(parts, fmt.Sprintf("v%d %s", a.Version, a.Traffic))
	}
	return strings.Join(parts, ", ")
}

// outcomes of an event, of the arms with these numbers.
func (m *machine) outcomes(event string, arms []int) []Moments {
	all := make([]Moments, len(arms))
	for i, arm := range arms {
		all[i] = m.seen(m.s.Arms[arm].Version).Outcomes[event]
	}
	return all
}

func (m *machine) weightsText(event string) string {
	var parts []string
	open := m.open()
	for i, o := range m.outcomes(event, open) {
		parts = append(parts, fmt.Sprintf("v%d %.4g on average of %s", m.s.Arms[open[i]].Version, o.mean(), count(float64(o.N))))
	}
	return fmt.Sprintf("Traffic follows %s: now %s (%s).", event, m.shares(), strings.Join(parts, "; "))
}

func (m *machine) report() string {
	var parts []string
	for _, e := range Report(m.p, m.o) {
		verdict := "no difference was shown"
		if e.Lower > 0 || e.Upper < 0 {
			verdict = "the difference is real"
		}
		parts = append(parts, fmt.Sprintf("%s of %s: %.4g against %.4g, difference in [%.4g, %.4g], %s", e.Gate, e.Segment, e.Canary.Value, e.Live.Value, e.Lower, e.Upper, verdict))
	}
	if len(parts) == 0 {
		return "No outcome came."
	}
	return strings.Join(parts, "; ") + "."
}

// Report compares each arm of an experiment or bandit with the first, metric by metric (a bandit's event too), with
// always-valid intervals of the difference of means at level 1 - Promotion/(comparisons). Segment names the two versions.
// Under a bandit the weights depend on the outcomes, so that means are slightly biased; the intervals are a guide there.
func Report(p Policy, o Observation) []Evidence {
	metrics := slices.Clone(p.Metrics)
	if b := p.Bandit; b != nil && !slices.ContainsFunc(metrics, func(m Metric) bool { return m.Name == b.Event }) {
		metrics = append(metrics, Metric{Name: b.Event, Better: b.Better, Gate: Gate{Relative: 0.05}})
	}
	find := func(v fairlead.Version) ArmOutcome {
		for _, a := range o.Arms {
			if a.Version == v {
				return a
			}
		}
		return ArmOutcome{}
	}
	var all []Evidence
	alpha := p.Promotion / float64(max(1, len(metrics)*(len(p.Arms)-1)))
	for _, m := range metrics {
		for _, arm := range p.Arms[min(1, len(p.Arms)):] {
			first, other := find(p.Arms[0].Version).Outcomes[m.Name], find(arm.Version).Outcomes[m.Name]
			if min(first.N, other.N) < 2 {
				continue
			}
			e := Evidence{
				Gate: m.Name, Segment: fmt.Sprintf("v%d against v%d", arm.Version, p.Arms[0].Version), Mode: ModeReport, Unit: "mean", Finding: Open,
				Live: Side{N: float64(first.N), Value: first.mean()}, Canary: Side{N: float64(other.N), Value: other.mean()},
				Difference: other.mean() - first.mean(), Alpha: alpha, Threshold: math.Log(1 / alpha), Better: m.Better,
			}
			e.Tolerance = math.Max(m.Absolute, m.Relative*math.Abs(first.mean()))
			e.Margin = e.Tolerance
			v := first.variance()/float64(first.N) + other.variance()/float64(other.N)
			tau := e.Tolerance
			if tau == 0 {
				tau = math.Sqrt(first.variance()) / 10
			}
			half := anytime.HalfWidth(v, tau, alpha)
			e.LogE, e.Lower, e.Upper = anytime.LogLambda(e.Difference, v, tau), e.Difference-half, e.Difference+half
			all = append(all, e.finite())
		}
	}
	return all
}

const thompsonDraws = 2000

// Thompson gives each arm the probability that it is the best, by draws from the posteriors of its event, and no arm less
// than the floor. The beta posterior has a uniform prior and takes events in 0..1; the normal one is that of the mean with a
// flat prior, and as wide as all values together where an arm has fewer than two. An arm of which fewer than leastOutcomes
// events came gets an equal share at most: one that nothing is known of looks good where the others are known to be modest,
// and would keep the traffic as long as nothing comes. chance gives uniform numbers in [0, 1).
func Thompson(b Bandit, arms []Moments, chance func() float64) []Share {
	draw := posterior(b, arms, chance)
	wins := make([]float64, len(arms))
	for range thompsonDraws {
		best, at := math.Inf(-1), 0
		for i := range arms {
			v := draw(i)
			if b.Better == Lower {
				v = -v
			}
			if v > best {
				best, at = v, i
			}
		}
		wins[at]++
	}
	shares := make([]Share, len(arms))
	rest := 1 - float64(b.Floor)*float64(len(arms))
	for i, w := range wins {
		shares[i] = b.Floor + Share(rest*w/thompsonDraws)
	}
	return modest(shares, arms)
}

// leastOutcomes that an arm needs to get more than an equal share.
const leastOutcomes = 30

// modest takes from arms that too little is known of what they have beyond an equal share, and gives it to the others in
// proportion.
func modest(shares []Share, arms []Moments) []Share {
	equal := 1 / Share(len(shares))
	var over, known Share
	for i, s := range shares {
		switch {
		case arms[i].N >= leastOutcomes:
			known += s
		case s > equal:
			over += s - equal
		}
	}
	for i := range shares {
		switch {
		case known == 0:
			shares[i] = equal
		case arms[i].N >= leastOutcomes:
			shares[i] += over * shares[i] / known
		case shares[i] > equal:
			shares[i] = equal
		}
	}
	return shares
}

func posterior(b Bandit, arms []Moments, chance func() float64) func(arm int) float64 {
	if b.Posterior == "beta" {
		return func(i int) float64 {
			n, hits := float64(arms[i].N), math.Max(0, math.Min(arms[i].Sum, float64(arms[i].N)))
			x, y := gamma(1+hits, chance), gamma(1+n-hits, chance)
			return x / (x + y)
		}
	}
	var all Moments
	for _, a := range arms {
		all.N, all.Sum, all.SumSquares = all.N+a.N, all.Sum+a.Sum, all.SumSquares+a.SumSquares
	}
	wide := math.Max(math.Sqrt(all.variance()), math.SmallestNonzeroFloat64)
	return func(i int) float64 {
		if arms[i].N < 2 {
			return all.mean() + wide*normal(chance)
		}
		return arms[i].mean() + math.Sqrt(arms[i].variance()/float64(arms[i].N))*normal(chance)
	}
}

// normal is a standard normal number (Box and Muller).
func normal(chance func() float64) float64 {
	return math.Sqrt(-2*math.Log(1-chance())) * math.Cos(2*math.Pi*chance())
}

// gamma is a gamma number of shape a ≥ 1 (Marsaglia and Tsang, "A simple method for generating gamma variables", 2000).
func gamma(a float64, chance func() float64) float64 {
	d := a - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := normal(chance)
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-chance()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}
