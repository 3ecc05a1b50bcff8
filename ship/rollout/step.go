package rollout

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Start is the state of a rollout that was just asked for by actor, and the decision to note. The next Step enters the first
// stage, unless it waits for a person or for the end of a freeze window.
func Start(p Policy, now time.Time, actor, why string) (State, []Decision) {
	m := &machine{p: p, s: State{Format: Format, Phase: Waiting, Stage: -1, Started: now}, o: Observation{Now: now}}
	m.decide(Decision{Action: ActStart, Reason: ReasonStarted, Text: startText(p), Actor: actor, Why: why})
	return m.s, m.decisions
}

// Step looks at o and says what to do. It is pure: the same arguments give the same result, neither s nor o is changed, and
// the returned state has to be stored before the decisions are acted on. Where nothing changes it returns s and no
// decisions. A state of an unknown Format, or one that does not fit the policy, comes back as it is, with no decisions.
func Step(p Policy, s State, o Observation) (State, []Decision) {
	if s.Format != Format || s.Phase.Over() || s.Stage >= len(p.Stages) && p.Kind == KindRollout {
		return s, nil
	}
	m := &machine{p: p, s: s.clone(), o: o}
	switch {
	case p.Kind != KindRollout:
		m.arms()
	case s.Phase == Waiting:
		if o.Unavailable != "" {
			m.rollBack(ReasonBroken, "Given up before the start: the new version cannot answer: "+o.Unavailable+".", nil)
			break
		}
		m.advance(nil)
	default:
		m.step()
	}
	return m.s, m.decisions
}

// Waits says in a sentence what keeps the rollout in its stage at this moment, "" where nothing does: Step says it only
// once.
func Waits(p Policy, s State, o Observation) string {
	if s.Held == "" {
		return ""
	}
	if s.Held != ReasonRatio { // its evidence lasts longer than its alarm
		s.Held = ""
	}
	_, decisions := Step(p, s, o)
	for _, d := range decisions {
		if d.Action == ActHold {
			return d.Text
		}
	}
	return ""
}

// machine is one step in progress.
type machine struct {
	p         Policy
	s         State
	o         Observation
	decisions []Decision
}

func (s State) clone() State {
	s.Approved = maps.Clone(s.Approved)
	s.Reported = slices.Clone(s.Reported)
	s.Arms = slices.Clone(s.Arms)
	return s
}

// decide numbers and dates a decision.
func (m *machine) decide(d Decision) {
	m.s.Sequence++
	d.Sequence, d.Time = m.s.Sequence, m.o.Now
	if d.Stage == "" {
		d.Stage = m.s.StageName(m.p)
	}
	if d.Actor == "" {
		d.Actor = ActorSelf
	}
	for i := range d.Evidence {
		d.Evidence[i] = d.Evidence[i].finite()
	}
	m.decisions = append(m.decisions, d)
}

func (m *machine) step() {
	m.countAgain()
	if m.o.Unavailable != "" {
		m.rollBack(ReasonBroken, "Rolled back: the new version cannot answer: "+m.o.Unavailable+".", nil)
		return
	}
	evidence := newLook(m.p, m.s, m.o, false).judge(m.s)
	for _, e := range evidence {
		if e.Finding == Harm && e.Mode == ModeAbort {
			full := m.withBounds(e)
			m.rollBack(ReasonHarm+e.Gate, "Rolled back: "+harmText(full, m.s.Phase == Baking)+".", []Evidence{full})
			return
		}
	}
	for _, e := range evidence {
		if e.Finding == Harm && e.Mode == ModeReport && !slices.Contains(m.s.Reported, e.Gate) {
			full := m.withBounds(e)
			m.s.Reported = append(m.s.Reported, e.Gate)
			m.decide(Decision{Action: ActReport, Reason: ReasonHarm + e.Gate, Text: "Worth knowing: " + harmText(full, m.s.Phase == Baking) + "; the policy says report.", Evidence: []Evidence{full}})
		}
	}
	reason, text := m.missing(evidence)
	if (m.s.Paused != nil || reason != "") && m.turn() || m.s.Paused != nil {
		return
	}
	if reason != "" {
		m.undecided(reason, text, evidence)
		return
	}
	if m.s.Phase == Baking {
		m.complete(ReasonBaked, fmt.Sprintf("Done: no harm was shown in %s at 100%%; the new version is live and the old one may go.", m.age()))
		return
	}
	m.advance(evidence)
}

// countAgain notices that counting began anew.
func (m *machine) countAgain() {
	if m.o.Epoch == m.s.Epoch {
		return
	}
	if m.s.Epoch != "" {
		m.s.Restarts++
		m.s.WindowFrom = time.Time{}
		if m.s.Phase == Baking {
			m.s.WindowFrom = m.o.Now
		}
		m.decide(Decision{Action: ActReport, Reason: ReasonRestarted, Text: m.restartedText()})
	}
	m.s.Epoch = m.o.Epoch
}

func (m *machine) age() Duration { return Duration(m.o.Now.Sub(m.s.Entered).Truncate(time.Second)) }

// missing says what the stage still needs, "" if nothing. The text is made when it is said.
func (m *machine) missing(evidence []Evidence) (reason string, text func() string) {
	stage := m.p.Stages[m.s.Stage]
	for _, e := range evidence {
		// A mismatch once shown stays until the evidence for it is gone: it must not flicker at the threshold.
		if e.Finding == Harm && e.Mode == ModeHold || e.Gate == GateRatio && m.s.Held == ReasonRatio && e.LogE > 0 {
			if e.Gate == GateRatio {
				return ReasonRatio, func() string { return ratioText(m.withBounds(e)) }
			}
			return ReasonHarm + e.Gate, func() string { return harmText(m.withBounds(e), m.s.Phase == Baking) }
		}
	}
	least, age := stage.Time, m.o.Now.Sub(m.s.Entered)
	if m.s.Phase == Baking {
		least, age = m.p.Bake, m.watched()
	}
	name := m.s.StageName(m.p)
	if age < time.Duration(least) {
		return ReasonTime, func() string { return fmt.Sprintf("stage %s lasts at least %s", name, least) }
	}
	if n := m.requests(); n < stage.Requests {
		return ReasonWaiting, func() string {
			return fmt.Sprintf("%s of the %s %s that stage %s needs have come", count(float64(n)), count(float64(stage.Requests)), m.unit(), name)
		}
	}
	if m.s.Phase == Baking { // non-inferiority was shown on the way here
		return "", nil
	}
	open := func(e Evidence) bool { return e.Required && e.Mode != ModeReport && e.Finding == Open }
	if slices.ContainsFunc(evidence, open) {
		return ReasonGathering, func() string {
			return openText(slices.DeleteFunc(m.boundsOf(evidence), func(e Evidence) bool { return !open(e) }))
		}
	}
	return "", nil
}

// requests that the stage's minimum counts: the fewer of both arms' (the live arm is allowed to be small at high weights),
// pairs in shadow.
func (m *machine) requests() uint64 {
	if m.p.Stages[m.s.Stage].Traffic == 0 {
		if p := m.o.Pairs; p != nil {
			return p.Requests + p.ShadowErrors + p.LiveErrors + p.Mismatched
		}
		return 0
	}
	if m.o.Canary == nil {
		return 0
	}
	n := m.o.Canary.Total().Requests
	if m.s.Watched != nil {
		n += m.s.Watched.Total().Requests
	}
	if m.s.Phase != Baking {
		if m.o.Live == nil {
			return 0
		}
		n = min(n, m.o.Live.Total().Requests)
	}
	return n
}

func (m *machine) unit() string {
	if m.p.Stages[m.s.Stage].Traffic == 0 {
		return "compared copies"
	}
	if m.s.Phase == Baking {
		return "requests"
	}
	return "requests per version"
}

// undecided holds, and after the stage's longest time does what the policy says.
func (m *machine) undecided(reason string, text func() string, evidence []Evidence) {
	stage, name := m.p.Stages[m.s.Stage], m.s.StageName(m.p)
	over := stage.Max > 0 && m.o.Now.Sub(m.s.Entered) >= time.Duration(stage.Max)
	switch {
	case reason == ReasonTime:
	case !over || reason == ReasonRatio:
		m.hold(reason, func() string { return holdText(reason, text(), name) }, evidence)
	case stage.Undecided == Abort:
		m.rollBack(ReasonUndecided, fmt.Sprintf("Rolled back: after %s stage %s is still undecided (%s), and the policy says abort.", m.age(), name, text()), m.boundsOf(evidence))
	case stage.Undecided == Promote && reason == ReasonGathering:
		m.proceed(ReasonUndecided, fmt.Sprintf("No harm was shown in %s, though %s; the policy says promote", m.age(), text()), evidence)
	default:
		m.hold(ReasonUndecided, func() string {
			also := ""
			if stage.Undecided == Promote {
				also = "; the policy says promote, but not without data"
			}
			return fmt.Sprintf("Undecided after %s in stage %s: %s%s. A person has to promote or abort.", m.age(), name, text(), also)
		}, evidence)
	}
}

// hold says once why it goes no further.
func (m *machine) hold(reason string, text func() string, evidence []Evidence) {
	if m.s.Held == reason {
		return
	}
	said := text()
	m.s.Held = reason
	m.decide(Decision{Action: ActHold, Reason: reason, Text: said, Evidence: m.boundsOf(evidence)})
}

func (m *machine) advance(evidence []Evidence) {
	if m.s.Paused != nil {
		return
	}
	text := ""
	if evidence != nil {
		text = passText(evidence, m.requests(), m.unit(), m.age())
	}
	m.proceed(ReasonEvidence, text, evidence)
}

// proceed enters the next stage, if no freeze window and no missing approval stands in the way. why is a clause without a
// full stop.
func (m *machine) proceed(reason, why string, evidence []Evidence) {
	next := m.s.Stage + 1
	if m.s.Phase == Baking {
		m.complete(reason, why+". The new version is live and the old one may go.")
		return
	}
	stage := m.p.Stages[next]
	name := stage.Traffic.String()
	if _, approved := m.s.Approved[next]; stage.Approve && !approved {
		m.hold(ReasonApproval, func() string { return sentence(why, fmt.Sprintf("Stage %s waits for a person's approval", name)) }, evidence)
		return
	}
	if f := m.frozen(); f != nil && stage.Traffic > 0 {
		m.hold(ReasonFrozen, func() string {
			return sentence(why, fmt.Sprintf("Stage %s waits: no version gets more traffic %s", name, f.text()))
		}, evidence)
		return
	}
	if who, approved := m.s.Approved[next]; approved && stage.Approve {
		reason, why = ReasonApproved, joinClauses(why, "approved by "+who.Who)
	}
	m.enter(next, Decision{Reason: reason, Evidence: m.boundsOf(evidence)}, why)
}

// enter moves to a stage. d carries reason, evidence and actor.
func (m *machine) enter(next int, d Decision, why string) {
	d.Stage = m.s.StageName(m.p)
	stage := m.p.Stages[next]
	d.Action, d.Next = ActEnter, stage.Traffic.String()
	m.s.Baseline = m.s.Baseline.plus(baseline(m.o.Live))
	m.s.Phase, m.s.Stage, m.s.Entered = Running, next, m.o.Now
	m.s.Epoch, m.s.Restarts, m.s.Held, m.s.Reported = m.o.Epoch, 0, "", nil
	m.s.Window, m.s.WindowFrom, m.s.Watched = 0, time.Time{}, nil
	text := "The canary gets " + d.Next + " of the traffic"
	switch stage.Traffic {
	case 0:
		text = "The new version gets copies of the requests; clients see live answers only"
	case 1:
		d.Action = ActPromote
		m.s.Phase = Baking
		text = fmt.Sprintf("Promoted: the new version gets all traffic, the old one stays warm for a bake of %s", m.p.Bake)
	}
	d.Text = sentence(why, text)
	m.decide(d)
}

func (m *machine) rollBack(reason, text string, evidence []Evidence) {
	m.finish(RolledBack, Decision{Action: ActRollBack, Reason: reason, Text: text, Evidence: evidence})
}

func (m *machine) complete(reason, text string) {
	m.finish(Completed, Decision{Action: ActComplete, Reason: reason, Text: text, Evidence: m.boundsOf(newLook(m.p, m.s, m.o, false).judge(m.s))})
}

func (m *machine) finish(phase Phase, d Decision) {
	d.Stage = m.s.StageName(m.p)
	m.s.Phase, m.s.Held, m.s.Paused = phase, "", nil
	m.decide(d)
}

// boundsOf computes the intervals that a stored decision needs, for the gates that evidence names.
func (m *machine) boundsOf(evidence []Evidence) []Evidence {
	if len(evidence) == 0 {
		return nil
	}
	return newLook(m.p, m.s, m.o, true).judge(m.s)
}

func (m *machine) withBounds(e Evidence) Evidence {
	for _, full := range newLook(m.p, m.s, m.o, true).judge(m.s) {
		if full.Gate == e.Gate {
			return full
		}
	}
	return e
}

// finite keeps evidence encodable: JSON has no infinities.
func (e Evidence) finite() Evidence {
	for _, v := range []*float64{
		&e.Live.N, &e.Live.Events, &e.Live.Value, &e.Canary.N, &e.Canary.Events, &e.Canary.Value,
		&e.Difference, &e.Lower, &e.Upper, &e.Margin, &e.Tolerance, &e.LogE, &e.Threshold, &e.Alpha,
	} {
		switch {
		case math.IsNaN(*v):
			*v = 0
		case math.IsInf(*v, 0):
			*v = math.Copysign(math.MaxFloat64, *v)
		}
	}
	return e
}
