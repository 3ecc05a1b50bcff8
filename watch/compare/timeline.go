package compare

import (
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/drift"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// Windows are the spans of event time over which the drift is followed.
type Windows struct {
	Column string   `json:"column"` // of the event time
	Length string   `json:"length"` // hour, day or week
	Starts []string `json:"starts"` // RFC 3339, UTC
	Rows   []int    `json:"rows"`
}

// timeline says which window each current row belongs to.
type timeline struct {
	of     []int32 // by row, −1: none; nil: there is no time
	rows   []int
	starts []time.Time
	length time.Duration
}

// lengths of windows, the shortest first.
var lengths = []struct {
	name string
	time.Duration
}{{"hour", time.Hour}, {"day", 24 * time.Hour}, {"week", 7 * 24 * time.Hour}}

// fewWindows is the least number that a type of drift can be told from.
const fewWindows = 12

// timeline reads the event time of both sides.
func (c *comparison) timeline() error {
	name, cur, ref, err := c.timeColumn()
	if err != nil || cur == nil {
		return err
	}
	c.o.Time = name
	if ref != nil && ref.Times != nil {
		c.r.Reference.From, c.r.Reference.To = span(ref)
		c.timeRules(ref, cur)
	}
	c.r.Current.From, c.r.Current.To = span(cur)
	if len(cur.Times) == 0 {
		return nil
	}
	first, last := bounds(cur)
	if first.IsZero() {
		return nil
	}
	for i, l := range lengths {
		n := int(last.Sub(first.Truncate(l.Duration))/l.Duration) + 1
		if n > c.o.Windows && i < len(lengths)-1 || n > 10*c.o.Windows {
			continue
		}
		if l.Duration > time.Hour && n < fewWindows || c.current.Rows/n < 50 && i < len(lengths)-1 {
			continue
		}
		c.divide(cur, first.Truncate(l.Duration), l.Duration, n)
		w := &Windows{Column: name, Length: l.name, Rows: c.times.rows}
		for _, at := range c.times.starts {
			w.Starts = append(w.Starts, at.Format(time.RFC3339))
		}
		c.r.Windows = w
		break
	}
	return nil
}

// timeRules asks for the rules of the time, which is not read a second time for them.
func (c *comparison) timeRules(ref, cur *fairlead.TableColumn) {
	var m measured
	c.rules(&m, ref, cur)
	c.r.Rules += m.rules
	c.r.Quality = append(c.r.Quality, m.broken...)
	c.names = slices.DeleteFunc(c.names, func(name string) bool { return name == ref.Name })
}

// timeColumn is the column of event time that was asked for, or the first that holds times, on both sides.
func (c *comparison) timeColumn() (name string, cur, ref *fairlead.TableColumn, err error) {
	names := c.current.Names()
	if c.o.Time != "" {
		names = []string{c.o.Time}
	}
	for _, name := range names {
		if timed, ok := c.current.Source.(interface{ HoldsTimes(name string) bool }); ok && !timed.HoldsTimes(name) {
			continue // known without decoding
		}
		var wg sync.WaitGroup
		var failed error
		wg.Go(func() { ref, failed = c.reference.Column(name) })
		cur, err := c.current.Column(name)
		wg.Wait()
		if err = errors.Join(err, failed); err != nil {
			return "", nil, nil, err
		}
		if cur != nil && cur.Times != nil {
			return name, cur, ref, nil
		}
	}
	if c.o.Time != "" {
		return "", nil, nil, fairlead.Invalid("column %q of %s holds no times", c.o.Time, c.current.Name).Hintf("store it as a timestamp")
	}
	return "", nil, nil, nil
}

func bounds(c *fairlead.TableColumn) (first, last time.Time) {
	for i, t := range c.Times {
		switch {
		case c.IsNull(i):
		case first.IsZero():
			first, last = t, t
		case t.Before(first):
			first = t
		case t.After(last):
			last = t
		}
	}
	return first, last
}

func span(c *fairlead.TableColumn) (from, to string) {
	first, last := bounds(c)
	if first.IsZero() {
		return "", ""
	}
	return first.Format(time.RFC3339), last.Format(time.RFC3339)
}

func (c *comparison) divide(col *fairlead.TableColumn, start time.Time, length time.Duration, n int) {
	t := timeline{of: make([]int32, len(col.Times)), rows: make([]int, n), length: length}
	for i := range n {
		t.starts = append(t.starts, start.Add(time.Duration(i)*length))
	}
	for i, at := range col.Times {
		t.of[i] = -1
		if !col.IsNull(i) {
			w := int32(at.Sub(start) / length) // #nosec G115 -- below n
			t.of[i] = w
			t.rows[w]++
		}
	}
	c.times = t
}

// count counts the current rows, in all and by window; the windows are nil without a time.
func (t *timeline) count(l *profile.Layout, table *fairlead.Table) (total *profile.Counts, windows []*profile.Counts) {
	total = profile.NewCounts(l)
	if t.of == nil {
		total.AddTable(l, table, 0, table.Rows)
		return total, nil
	}
	windows = make([]*profile.Counts, len(t.rows))
	for from := 0; from < table.Rows; {
		w, to := t.of[from], from+1
		for to < table.Rows && t.of[to] == w {
			to++
		}
		into := total // rows without a time count, but in no window
		if w >= 0 {
			if windows[w] == nil {
				windows[w] = profile.NewCounts(l)
			}
			into = windows[w]
		}
		into.AddTable(l, table, from, to)
		from = to
	}
	for _, w := range windows {
		if w != nil {
			_ = total.Merge(w) // of one layout: it cannot fail
		}
	}
	return total, windows
}

// follow measures a column window by window and names the shape of it.
func (c *comparison) follow(col *Column, l *profile.Layout, ref *profile.Counts, windows []*profile.Counts) {
	if windows == nil {
		return
	}
	series, weight := make([]float64, len(windows)), make([]float64, len(windows))
	for i, w := range windows {
		series[i] = math.NaN()
		col.Series = append(col.Series, Number(math.NaN()))
		if w == nil || w.N == 0 {
			continue
		}
		m := drift.Measure(ref.AlertBins(l, 0), w.AlertBins(l, 0), nil, nil, w.N, ref.N)
		series[i], weight[i] = math.Sqrt(math.Max(m.PSI, 0)), float64(w.N)
		if m.PSIFloor <= 1 {
			col.Series[i] = Number(m.PSI)
		}
	}
	c.name(col, series, weight)
}

// periods are the seasons to look for.
func (c *comparison) periods() []int {
	switch c.times.length {
	case time.Hour:
		return []int{24, 168}
	case 24 * time.Hour:
		return []int{7}
	}
	return []int{}
}

func sortDrivers(d []Driver) {
	slices.SortStableFunc(d, func(a, b Driver) int {
		switch {
		case a.Importance > b.Importance:
			return -1
		case a.Importance < b.Importance:
			return 1
		}
		return 0
	})
}
