package rollout

import (
	"fmt"

	"github.com/fairlead-ml/fairlead"
)

// Apply does what a person asks for; o gives the time and the numbers that are stored with it. As with Step, the state is
// stored before the decisions are acted on. Errors are CodeInvalid (no such command, nobody's name) and CodeConflict (it is
// over, it is paused already, nothing waits for approval).
func Apply(p Policy, s State, o Observation, c Command) (State, []Decision, error) {
	conflict := func(format string, args ...any) (State, []Decision, error) {
		return s, nil, fairlead.Errorf(fairlead.CodeConflict, format, args...)
	}
	switch {
	case c.Who == "":
		return s, nil, fairlead.Invalid("a command to a rollout needs the name of the person who gives it").Hintf("set who")
	case s.Format != Format:
		return conflict("the stored rollout has format %d; this version reads %d", s.Format, Format)
	case s.Phase.Over():
		return conflict("the rollout is over: %s", s.Phase)
	}
	m := &machine{p: p, s: s.clone(), o: o}
	if !c.Time.IsZero() {
		m.o.Now = c.Time
	}
	note := Note{Who: c.Who, Why: c.Why, Time: m.o.Now}
	d := Decision{Reason: ReasonByHand, Actor: c.Who, Why: c.Why}
	switch c.Do {
	case DoPause:
		if s.Paused != nil {
			return conflict("the rollout is paused already, by %s", s.Paused.Who)
		}
		m.s.Paused = &note
		d.Action, d.Text = ActPause, "Paused: nothing is promoted until somebody resumes; harm still rolls back."
		m.decide(d)
	case DoResume:
		if s.Paused == nil {
			return conflict("the rollout is not paused")
		}
		m.s.Paused, m.s.Held = nil, ""
		d.Action, d.Reason, d.Text = ActResume, ReasonResumed, "Resumed."
		m.decide(d)
	case DoApprove:
		next, err := m.approvable()
		if err != nil {
			return s, nil, err
		}
		if m.s.Approved == nil {
			m.s.Approved = map[int]Note{}
		}
		m.s.Approved[next], m.s.Held = note, ""
		d.Action, d.Reason = ActApprove, ReasonApproved
		d.Text = fmt.Sprintf("Stage %s may be entered when the evidence is there.", p.Stages[next].Traffic)
		m.decide(d)
	case DoPromote:
		if p.Kind != KindRollout {
			return s, nil, fairlead.Errorf(fairlead.CodeConflict, "nothing is promoted in kind %s", p.Kind).Hintf("abort ends it; then start a rollout of the better version")
		}
		m.promote(d)
	case DoAbort:
		m.abort(d)
	default:
		return s, nil, fairlead.Invalid("%q is not a command to a rollout", c.Do).Hintf("use pause, resume, approve, promote or abort")
	}
	return m.s, m.decisions, nil
}

// approvable is the next stage that needs a person and has none.
func (m *machine) approvable() (int, error) {
	if m.p.Kind == KindRollout {
		for i := m.s.Stage + 1; i < len(m.p.Stages); i++ {
			if _, done := m.s.Approved[i]; m.p.Stages[i].Approve && !done {
				return i, nil
			}
		}
	}
	return 0, fairlead.Errorf(fairlead.CodeConflict, "no stage ahead waits for approval").Hintf("promote enters the next stage by hand")
}

func (m *machine) promote(d Decision) {
	d.Evidence = newLook(m.p, m.s, m.o, true).judge(m.s)
	m.s.Paused = nil
	if m.s.Phase == Baking {
		d.Action, d.Text = ActComplete, fmt.Sprintf("Done: the bake was ended by hand after %s; the new version is live and the old one may go.", m.age())
		m.finish(Completed, d)
		return
	}
	why := "Promoted by hand"
	if f := m.frozen(); f != nil {
		why += ", though no version gets more traffic " + f.text()
	}
	m.enter(m.s.Stage+1, d, why)
}

func (m *machine) abort(d Decision) {
	d.Evidence = newLook(m.p, m.s, m.o, true).judge(m.s)
	if m.p.Kind != KindRollout {
		d.Action, d.Text = ActEnd, fmt.Sprintf("The %s was ended by hand. %s", m.p.Kind, m.report())
		m.finish(Ended, d)
		return
	}
	d.Action, d.Text = ActRollBack, "Rolled back by hand: the old version gets all traffic."
	m.finish(RolledBack, d)
}
