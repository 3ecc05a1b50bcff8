package watch

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// task is a window to evaluate and the changed hours in it.
type task struct {
	Window
	changes []Change
	closed  bool
}

// deploymentPlan is the work of one step on one deployment.
type deploymentPlan struct {
	name    fairlead.Name
	changes []Change
	tasks   []*task // in order of end, hours before the day they belong to
	closed  func(Window) bool
}

// memory is what the Watcher knows of a window it evaluated. Windows that are not listed as changed any more are
// forgotten, so it is bounded by what the Source lists.
type memory struct {
	seqs     map[time.Time]uint64 // by hour
	closed   bool
	complete bool // nothing failed

	failures int
	retry    uint64 // step of the next attempt, after a failure
	next     time.Time
}

// pace is how many times as long as its evaluation took an open window rests: a tenth of the time at most goes into
// windows that are looked at again.
const pace = 10

// maxBackoff bounds the steps between two attempts at a window that fails.
const maxBackoff = 64

// plan groups changes into windows, leaves out those that need no look, and shares MaxWindows among the deployments.
func (w *Watcher) plan(changes []Change) []*deploymentPlan {
	byName := map[fairlead.Name]*deploymentPlan{}
	var plans []*deploymentPlan
	for _, c := range changes {
		d := byName[c.Deployment]
		if d == nil {
			d = &deploymentPlan{name: c.Deployment}
			byName[c.Deployment] = d
			plans = append(plans, d)
		}
		c.Hour = Hour.Start(c.Hour)
		d.changes = append(d.changes, c)
		if mark := w.capped(c.Watermark); mark.After(w.watermarks[c.Deployment]) {
			w.watermarks[c.Deployment] = mark
		}
	}
	slices.SortFunc(plans, func(a, b *deploymentPlan) int { return strings.Compare(string(a.name), string(b.name)) })
	current := map[Window]*memory{}
	for _, d := range plans {
		slices.SortFunc(d.changes, Change.compare)
		mark := w.watermarks[d.name]
		d.closed = func(win Window) bool { return !mark.Before(win.End().Add(w.opt.Lateness)) }
		d.tasks = tasks(d.changes, d.closed)
		for _, t := range d.tasks {
			if m := w.seen[t.Window]; m != nil {
				current[t.Window] = m
			}
		}
	}
	w.seen = current
	share := max(1, w.opt.MaxWindows/max(1, len(plans)))
	for _, d := range plans {
		d.tasks = slices.DeleteFunc(d.tasks, func(t *task) bool { return !w.due(t) })
		d.tasks = d.tasks[:min(share, len(d.tasks))]
	}
	return plans
}

// compare orders by hour, version and role.
func (c Change) compare(o Change) int {
	return cmp.Or(c.Hour.Compare(o.Hour), cmp.Compare(c.Version, o.Version), strings.Compare(string(c.Role), string(o.Role)))
}

// capped keeps a client whose clock runs ahead from closing the windows of everybody else.
func (w *Watcher) capped(mark time.Time) time.Time {
	if w.opt.Now == nil {
		return mark
	}
	if now := w.opt.Now(); mark.After(now) {
		return now
	}
	return mark
}

// tasks gives the hour and day windows of the changes. The watermark is one for all versions of a deployment, because
// a version that was replaced gets no more rows that could close its last windows.
func tasks(changes []Change, closed func(Window) bool) []*task {
	byWindow := map[Window]*task{}
	var list []*task
	for _, c := range changes {
		for _, grain := range []Grain{Hour, Day} {
			win := Window{c.Deployment, c.Version, c.Role, grain, grain.Start(c.Hour)}
			t := byWindow[win]
			if t == nil {
				t = &task{Window: win, closed: closed(win)}
				byWindow[win] = t
				list = append(list, t)
			}
			t.changes = append(t.changes, c)
		}
	}
	slices.SortFunc(list, func(a, b *task) int {
		return cmp.Or(a.End().Compare(b.End()), -strings.Compare(string(a.Grain), string(b.Grain)),
			cmp.Compare(a.Version, b.Version), strings.Compare(string(a.Role), string(b.Role)))
	})
	return list
}

// due says whether the window has to be evaluated in this step.
func (w *Watcher) due(t *task) bool {
	m := w.seen[t.Window]
	switch {
	case m == nil:
		return true
	case !m.complete:
		return w.step >= m.retry
	case t.closed != m.closed:
		return true
	case m.covers(t.changes):
		return false
	}
	return w.opt.Now == nil || !w.opt.Now().Before(m.next)
}

// covers says whether the changes were there when the window was evaluated.
func (m *memory) covers(changes []Change) bool {
	for _, c := range changes {
		if seq, ok := m.seqs[c.Hour]; !ok || seq != c.Seq {
			return false
		}
	}
	return true
}

// remember notes what was evaluated.
func (w *Watcher) remember(t *task, e evaluation) *memory {
	m := &memory{seqs: make(map[time.Time]uint64, len(t.changes)), closed: t.closed, complete: e.err == nil}
	for _, c := range t.changes {
		m.seqs[c.Hour] = c.Seq
	}
	if e.err != nil {
		if old := w.seen[t.Window]; old != nil {
			m.failures = old.failures
		}
		m.failures++
		m.retry = w.step + uint64(min(maxBackoff, 1<<min(m.failures-1, 10)))
	}
	if w.opt.Now != nil {
		m.next = w.opt.Now().Add(pace * e.took)
	}
	return m
}

// done lists the changes whose hour and day are closed and evaluated, in this step or before.
func (w *Watcher) done(d *deploymentPlan, fresh map[Window]*memory) []Change {
	var done []Change
	for _, c := range d.changes {
		finished := true
		for _, grain := range []Grain{Hour, Day} {
			win := Window{c.Deployment, c.Version, c.Role, grain, grain.Start(c.Hour)}
			m := fresh[win]
			if m == nil {
				m = w.seen[win]
			}
			finished = finished && m != nil && m.complete && m.closed && m.covers([]Change{c})
		}
		if finished {
			done = append(done, c)
		}
	}
	return done
}
