package rollout

import (
	"fmt"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/rollout/anytime"
)

// An experiment and a bandit compare versions by what comes of them, which says nothing of a version that cannot answer: the
// live one answers in its place, and nothing comes of it at all. So each arm is held against the live version by the gates
// errors and invalid, and closed when it is shown to be worse.

// seen is what was observed of a version.
func (m *machine) seen(v fairlead.Version) ArmOutcome {
	for _, o := range m.o.Arms {
		if o.Version == v {
			return o
		}
	}
	return ArmOutcome{}
}

// open lists the numbers of the arms that are not closed.
func (m *machine) open() []int {
	var open []int
	for i, a := range m.s.Arms {
		if !slices.ContainsFunc(m.s.Closed, func(c ClosedArm) bool { return c.Version == a.Version }) {
			open = append(open, i)
		}
	}
	return open
}

// close takes arms out that cannot answer, or are shown to fail more often than is tolerated. Their share goes to the live
// version. true: something was decided.
func (m *machine) close() bool {
	live := slices.IndexFunc(m.s.Arms, func(a ArmWeight) bool { return m.seen(a.Version).Live })
	if live < 0 {
		return false
	}
	for _, i := range m.open() {
		if i == live {
			continue
		}
		arm := m.seen(m.s.Arms[i].Version)
		reason, why, evidence := ReasonBroken, arm.Unavailable, []Evidence(nil)
		if why == "" {
			e := m.worse(m.seen(m.s.Arms[live].Version).Tally, arm.Tally)
			if e.Finding != Harm {
				continue
			}
			reason, why, evidence = ReasonHarm+e.Gate, harmText(e, false), []Evidence{e}
			if e.Mode == ModeReport {
				m.tell(arm.Version, e)
				continue
			}
		}
		m.s.Closed = append(slices.Clone(m.s.Closed), ClosedArm{arm.Version, why})
		m.s.Arms[live].Traffic += m.s.Arms[i].Traffic
		m.s.Arms[i].Traffic = 0
		m.s.Moves++
		text := fmt.Sprintf("Version %d gets no traffic any more: ", arm.Version) + why + "."
		if reason == ReasonBroken {
			text = fmt.Sprintf("Version %d gets no traffic any more: it cannot answer: %s.", arm.Version, why)
		}
		if len(m.open()) > 1 {
			m.decide(Decision{Action: ActWeights, Reason: reason, Text: text + " Now " + m.shares() + ".", Evidence: evidence})
		} else {
			m.finish(Ended, Decision{Action: ActEnd, Reason: reason, Text: text + " Nothing is left to compare the live version with.", Evidence: evidence})
		}
		return true
	}
	return false
}

// tell says once that an arm is worse where the policy wants no more.
func (m *machine) tell(v fairlead.Version, e Evidence) {
	name := fmt.Sprintf("%s/v%d", e.Gate, v)
	if slices.Contains(m.s.Reported, name) {
		return
	}
	m.s.Reported = append(m.s.Reported, name)
	m.decide(Decision{Action: ActReport, Reason: ReasonHarm + e.Gate, Text: fmt.Sprintf("Worth knowing of version %d: %s; the policy says report.", v, harmText(e, false)), Evidence: []Evidence{e}})
}

// worse is the evidence of the first of the two gates that shows harm. Each change of weights begins a new counting, which
// has a part of the budget; the arms and the gates share it.
func (m *machine) worse(live, arm *fairlead.Tally) Evidence {
	if live == nil || arm == nil {
		return Evidence{}
	}
	alpha := anytime.SpendOnce(m.p.Budget, m.s.Moves) / float64(2*max(1, len(m.p.Arms)-1))
	l := look{p: m.p, o: Observation{Live: live, Canary: arm}, stage: Stage{Slack: 1}, promote: m.p.Promotion}
	for _, name := range []string{GateErrors, GateInvalid} {
		g := m.p.Gates[name]
		if g.Mode == ModeOff || g.Mode == "" {
			continue
		}
		events := func(b *fairlead.TallyBucket) float64 { return float64(b.Errors) }
		if name == GateInvalid {
			events = func(b *fairlead.TallyBucket) float64 { return float64(b.Invalid) }
		}
		if e := l.rates(g, cells(live, events), cells(arm, events), alpha); e.Finding == Harm {
			l.bounds = true
			e = l.rates(g, cells(live, events), cells(arm, events), alpha)
			e.Gate, e.Mode = name, g.Mode
			return e
		}
	}
	return Evidence{}
}
