package profile

import (
	"cmp"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// Collector sums predictions into Counts per deployment, version, role and UTC minute of event time. One goroutine
// uses it. It holds one Counts per minute seen since the last Drain; an owner that fears a wide backfill watches Len.
type Collector struct {
	windows map[windowKey]*Counts
}

type windowKey struct {
	deployment fairlead.Name
	version    fairlead.Version
	role       fairlead.Role
	minute     int64  // since 1970
	layout     uint32 // a version that was given another reference counts apart
}

// Delta is what one minute of event time got since the last Drain. Deltas of one minute add up by Counts.Merge.
type Delta struct {
	Deployment fairlead.Name
	Version    fairlead.Version
	Role       fairlead.Role
	Minute     time.Time
	Counts     *Counts
}

// NewCollector makes an empty collector.
func NewCollector() *Collector {
	return &Collector{windows: map[windowKey]*Counts{}}
}

// Len is the number of windows held.
func (c *Collector) Len() int { return len(c.windows) }

// Add counts every row of a prediction in the minute of its own event time, or of arrival where a row has none.
func (c *Collector) Add(l *Layout, p *fairlead.Prediction) {
	k := windowKey{deployment: p.Deployment, version: p.Version, role: p.Role, layout: l.id}
	if len(p.Rows) == 0 {
		return
	}
	first := minuteOf(p, 0)
	same := true
	for i := 1; i < len(p.Rows) && same; i++ {
		same = minuteOf(p, i) == first
	}
	if same {
		k.minute = first
		c.window(k, l).Add(l, p, nil)
		return
	}
	order := make([]int, len(p.Rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(minuteOf(p, a), minuteOf(p, b)) })
	for from := 0; from < len(order); {
		k.minute = minuteOf(p, order[from])
		to := from + 1
		for to < len(order) && minuteOf(p, order[to]) == k.minute {
			to++
		}
		c.window(k, l).Add(l, p, order[from:to])
		from = to
	}
}

func (c *Collector) window(k windowKey, l *Layout) *Counts {
	w := c.windows[k]
	if w == nil {
		w = NewCounts(l)
		c.windows[k] = w
	}
	return w
}

func minuteOf(p *fairlead.Prediction, row int) int64 {
	t := p.Rows[row].Time
	if t.IsZero() {
		t = p.Received
	}
	s := t.Unix()
	m := s / 60
	if s%60 < 0 { // before 1970
		m--
	}
	return m
}

// Drain gives what was counted, ordered by deployment, version, role and minute, and starts anew. The caller owns the
// counts.
func (c *Collector) Drain() []Delta {
	keys := make([]windowKey, 0, len(c.windows))
	for k := range c.windows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b windowKey) int {
		return cmp.Or(cmp.Compare(a.deployment, b.deployment), cmp.Compare(a.version, b.version),
			cmp.Compare(a.role, b.role), cmp.Compare(a.minute, b.minute), cmp.Compare(a.layout, b.layout))
	})
	deltas := make([]Delta, len(keys))
	for i, k := range keys {
		deltas[i] = Delta{k.deployment, k.version, k.role, time.Unix(k.minute*60, 0).UTC(), c.windows[k]}
	}
	clear(c.windows)
	return deltas
}
