package rollout

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Default is the policy of "{}": shadow, 1, 5, 25, 50 and 100 %, then an hour of bake; one harmless version in a hundred
// is rolled back.
func Default() Policy {
	p := Policy{Gates: defaultGates()}
	p.fill()
	return p
}

// defaultGates are on out of the box. The latency margins are wide enough for two runs of the same graph on a busy
// host; the distance of the scores is that of a version retrained on similar data.
func defaultGates() map[string]Gate {
	abort := func(required bool, relative, absolute, weight float64) Gate {
		return Gate{Mode: ModeAbort, Required: required, Relative: relative, Absolute: absolute, Weight: weight}
	}
	return map[string]Gate{
		GateErrors:     abort(true, 0.25, 0.002, 3),
		GateInvalid:    abort(true, 0.25, 0.002, 1),
		GateLatencyP50: abort(true, 0.25, 0, 1),
		GateLatencyP95: abort(true, 0.25, 0, 1),
		GateLatencyP99: abort(true, 0.5, 0, 1),
		GateDrift:      abort(true, 0, 0.05, 1),
		GateSegments:   abort(false, 0.25, 0.005, 1),
		GateFlips:      abort(true, 0, 0.1, 1),

		GateSegmentLatency:    abort(false, 1, 0, 0.5),
		GateSegmentDifference: abort(false, 0, 0.5, 0.5),

		GateDifference: abort(false, 0, 0.5, 1),
		GateMismatch:   abort(true, 0, 0.001, 1),
		GateRatio:      {Mode: ModeHold},
	}
}

// fill sets what is not said.
func (p *Policy) fill() {
	def := func(d *Duration, v time.Duration) {
		if *d == 0 {
			*d = Duration(v)
		}
	}
	if p.Kind == "" {
		p.Kind = KindRollout
	}
	if p.Budget == 0 {
		p.Budget = 0.01
	}
	if p.Promotion == 0 {
		p.Promotion = 0.05
	}
	if p.Undecided == "" {
		p.Undecided = Hold
	}
	if p.Kind == KindBandit && p.Bandit != nil {
		b := p.Bandit
		if b.Better == "" {
			b.Better = Higher
		}
		if b.Posterior == "" {
			b.Posterior = "beta"
		}
		if b.Floor == 0 {
			b.Floor = 0.05
		}
		def(&b.Every, 5*time.Minute)
	}
	if p.Kind == KindBandit && weightless(p.Arms) {
		for i := range p.Arms {
			p.Arms[i].Traffic = Share(1 / float64(len(p.Arms)))
		}
	}
	if p.Kind != KindRollout {
		return
	}
	def(&p.Bake, time.Hour)
	if p.Stages == nil {
		for _, w := range []Share{0, 0.01, 0.05, 0.25, 0.5, 1} {
			p.Stages = append(p.Stages, Stage{Traffic: w})
		}
	}
	for i := range p.Stages {
		s := &p.Stages[i]
		if s.Requests == 0 {
			s.Requests = 500
		}
		if s.Traffic < 1 {
			def(&s.Time, 5*time.Minute)
		}
		def(&s.Max, max(24*time.Hour, 4*time.Duration(p.Bake)))
		if s.Undecided == "" {
			s.Undecided = p.Undecided
		}
		if s.Slack == 0 {
			s.Slack = slack(s.Traffic)
		}
	}
}

// slack of a stage: with a hundredth of the traffic a version is shown not to be a disaster, with half of it not to be
// a nuisance.
func slack(w Share) float64 {
	switch {
	case w == 0 || w > 0.25:
		return 1
	case w <= 0.01:
		return 4
	case w <= 0.05:
		return 2
	}
	return 1.5
}

func weightless(arms []ArmWeight) bool {
	return !slices.ContainsFunc(arms, func(a ArmWeight) bool { return a.Traffic != 0 })
}

// Validate checks what cannot be said by the keys alone. Parse calls it.
func (p Policy) Validate() error {
	if p.Kind != KindRollout {
		return p.validateArms()
	}
	if len(p.Arms) > 0 || p.Bandit != nil || p.Duration != 0 {
		return fairlead.Invalid("rollout policy: arms, bandit and duration belong to an experiment or a bandit").
			Hintf("set kind: experiment or kind: bandit, or remove them")
	}
	if len(p.Stages) == 0 || p.Stages[len(p.Stages)-1].Traffic != 1 {
		return fairlead.Invalid("rollout policy: the last stage is not 100%%").Hintf("end the list with 100%%; for fixed shares without an end set kind: experiment")
	}
	for i, s := range p.Stages {
		switch {
		case i > 0 && s.Traffic <= p.Stages[i-1].Traffic:
			return fairlead.Invalid("rollout policy: stage %d (%s) does not get more traffic than the one before (%s)", i+1, s.Traffic, p.Stages[i-1].Traffic)
		case s.Traffic == 1 && s.Time != 0:
			return fairlead.Invalid("rollout policy: the stage 100%% has a time of its own").Hintf("the key bake says how long it is watched")
		case s.Max != 0 && s.Time > s.Max:
			return fairlead.Invalid("rollout policy: stage %s takes at least %s but at most %s", s.Traffic, s.Time, s.Max)
		case s.Traffic == 1 && s.Max < p.Bake:
			return fairlead.Invalid("rollout policy: bake is %s but the stage 100%% lasts at most %s", p.Bake, s.Max)
		}
	}
	names := map[string]bool{}
	for _, m := range p.Metrics {
		if names[m.Name] || slices.Contains(GateNames(), m.Name) {
			return fairlead.Invalid("rollout policy: the metric %q is given twice, or has the name of a gate", m.Name)
		}
		names[m.Name] = true
		if m.Mode == ModeAbort && m.Weight <= 0 {
			return fairlead.Invalid("rollout policy: the metric %s has no weight, so no part of the budget", m.Name).Hintf("set mode: report, or a weight")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Gates)) {
		g := p.Gates[name]
		switch {
		case g.Required && (strings.HasPrefix(name, "segment") || name == GateRatio):
			return fairlead.Invalid("rollout policy: the gate %s cannot be required: it only looks for harm", name)
		case g.Absolute >= 1 && !strings.Contains(name, "latency") && g.Mode != ModeOff:
			return fairlead.Invalid("rollout policy: the gate %s tolerates %g, and nothing it looks at exceeds 1: it would never close", name, g.Absolute).
				Hintf("a rate or a distance is below 1: write absolute: 5%%, or mode: off")
		case g.Required && (g.Mode == ModeAbort || g.Mode == ModeHold) && g.Relative <= 0 && g.Absolute <= 0:
			return fairlead.Invalid("rollout policy: the gate %s is required but has no margin, which even an equal version could not meet", name).
				Hintf("set relative or absolute, or required: false")
		case g.Mode == ModeAbort && g.Weight <= 0:
			return fairlead.Invalid("rollout policy: the gate %s has no weight, so no part of the budget", name).Hintf("set mode: report, or a weight")
		}
	}
	return nil
}

func (p Policy) validateArms() error {
	if p.Stages != nil {
		return fairlead.Invalid("rollout policy: stages belong to a rollout").Hintf("remove kind: %s, or the stages", p.Kind)
	}
	if len(p.Arms) < 2 {
		return fairlead.Invalid("rollout policy: kind %s needs at least two arms", p.Kind).
			Hintf("arms: [{version: 3, traffic: 50%%}, {version: 4, traffic: 50%%}]")
	}
	sum, seen := Share(0), map[fairlead.Version]bool{}
	for _, a := range p.Arms {
		if seen[a.Version] {
			return fairlead.Invalid("rollout policy: version %d is listed twice", a.Version)
		}
		seen[a.Version] = true
		sum += a.Traffic
	}
	if sum < 0.9999 || sum > 1.0001 {
		return fairlead.Invalid("rollout policy: the arms' shares add up to %s, not 100%%", sum)
	}
	switch {
	case p.Kind == KindExperiment && p.Bandit != nil:
		return fairlead.Invalid("rollout policy: bandit belongs to kind: bandit")
	case p.Kind == KindBandit && (p.Bandit == nil || p.Bandit.Event == ""):
		return fairlead.Invalid("rollout policy: kind bandit needs to know what to maximise").Hintf("bandit: {event: purchase, better: higher}")
	case p.Kind == KindBandit && float64(p.Bandit.Floor)*float64(len(p.Arms)) >= 1:
		return fairlead.Invalid("rollout policy: a floor of %s for %d arms leaves nothing to move", p.Bandit.Floor, len(p.Arms))
	}
	return nil
}
