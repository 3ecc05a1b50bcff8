package rollout

import (
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// The bake is watched in windows, because what begins late is lost in the average of a long good time. Every gate asks twice:
// of everything since the promotion, against the old version before it, with half of its level; and of the present window
// alone, with a part of the other half, against all that was before it: the old version, and the new one in the windows that
// are over. That past is long, so that nothing but the window is left to chance. A window's counts begin at zero, so each is a test of its own, and the parts of all windows add up to that half: the
// probability that a harmless version is rolled back in the bake is bounded as before, whatever the number of looks.
//
// The caller begins to count anew with every window: State.Window is part of what it counts by.

// Bounds of the windows: as many as fit, each of leastWindow or more.
const (
	leastWindow = 5 * time.Minute
	mostWindows = 24
)

// windows of the bake.
func (p Policy) windows() int {
	return int(min(max(time.Duration(p.Bake)/leastWindow, 1), mostWindows))
}

// window is how long one lasts.
func (p Policy) window() time.Duration { return time.Duration(p.Bake) / time.Duration(p.windows()) }

// windowLevel is the part of the windows' level that window i, from 0, has: equal parts of three quarters for those of the
// bake, and parts of the rest that add up to it for those that come while it waits for requests or for a person.
func (p Policy) windowLevel(i int) float64 {
	n := p.windows()
	if i < n {
		return 0.75 / float64(n)
	}
	over := float64(i - n)
	return 0.25 / ((over + 1) * (over + 2))
}

// windowFrom is when the present window began. States of before there were windows have none.
func (s State) windowFrom() time.Time {
	if s.WindowFrom.IsZero() {
		return s.Entered
	}
	return s.WindowFrom
}

// watched is how long the bake has been looked at: finished windows and the present one. Time in which the server was
// down, or the deployment unloaded, is not in it.
func (m *machine) watched() time.Duration {
	return time.Duration(m.s.Window)*m.p.window() + m.o.Now.Sub(m.s.windowFrom())
}

// turn ends the window, where its time is over: what it counted joins what was counted before.
func (m *machine) turn() bool {
	if m.s.Phase != Baking || m.o.Now.Sub(m.s.windowFrom()) < m.p.window() {
		return false
	}
	m.s.Watched = together(m.s.Watched, m.o.Canary)
	m.s.Window, m.s.WindowFrom, m.s.Restarts = m.s.Window+1, m.o.Now, 0
	return true
}

// together is the sum of two tallies, either of which may be nil.
func together(a, b *fairlead.Tally) *fairlead.Tally {
	if a == nil {
		return b
	}
	sum := &fairlead.Tally{}
	sum.Add(a)
	if b != nil {
		sum.Add(b)
	}
	return sum
}

// halves are the two questions of the bake: of all of it, and of the present window, which is nil where that is all.
func (l look) halves(s State) (all look, window *look) {
	all = l
	all.budget /= 2
	all.o.Canary = together(s.Watched, l.o.Canary)
	if s.Window == 0 {
		return all, nil
	}
	w := l
	w.base = l.base.plus(baseline(s.Watched))
	w.budget *= l.p.windowLevel(s.Window) / 2
	w.span = Duration(l.o.Now.Sub(s.windowFrom()).Truncate(time.Second))
	return all, &w
}

// ofWindow judges a gate in the present window too, and gives what says more. Scores are left out: where nobody answers
// beside the new version, a shift of the scores within an hour is one of the inputs.
func (w *look) ofWindow(name string, g Gate, all Evidence) Evidence {
	if w == nil || name == GateDrift {
		return all
	}
	e := w.gate(name, g)
	harm, was := e.Finding == Harm, all.Finding == Harm
	if harm == was && (e.LogE <= 0 || e.LogE-e.Threshold <= all.LogE-all.Threshold) || was && !harm {
		return all
	}
	e.Span = w.span
	return e
}

// restartedText says that counting began anew.
func (m *machine) restartedText() string {
	if m.s.Phase != Baking {
		return fmt.Sprintf("Counting began anew in stage %s (a restart); the stage needs its evidence again, with what is left of the error budget.", m.s.StageName(m.p))
	}
	text := fmt.Sprintf("Counting began anew in the bake (a restart): its present window of %s begins again", Duration(m.p.window()))
	if m.s.Window > 0 {
		text += fmt.Sprintf("; what came before it (%s) still counts", plural(m.s.Window, "window"))
	}
	return text + "."
}
