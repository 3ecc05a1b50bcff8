package compare

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/drift"
	"github.com/fairlead-ml/fairlead/watch/profile"
	"github.com/fairlead-ml/fairlead/watch/quality"
	"github.com/fairlead-ml/fairlead/watch/shape"
)

// Live is what a monitor keeps of live rows: counts by window, no row.
type Live struct {
	Name, Baseline string // of the two sides
	Reference      *profile.Reference
	Windows        []LiveWindow // in order of time
	Length         time.Duration
	Tolerance      float64 // of debiased PSI; 0: 0.02
	FDR            float64 // expected share of false alarms among the drifted columns; 0: 0.01
}

// LiveWindow is one of them. Only [Start, Until) was counted.
type LiveWindow struct {
	Start, Until time.Time
	Counts       *profile.Counts
	Drifted      []string // columns that the monitor's rule found drifted
}

// Profiles reports on live rows by their counts, as Compare does by rows, at any number of rows. A window is held against the
// same hours of the week of the reference; all of them together against the same hours too if they are less than a week, else against
// the whole reference. A column that drifted in some windows only is measured in these: three days are not lost in a year. What needs
// rows is left out: rules, the distance W1, the columns together. The error is CodeInvalid where
// there is nothing to report on.
func Profiles(l Live) (*Report, error) {
	layout := l.Reference.Layout
	total := profile.NewCounts(layout)
	c := &comparison{o: Options{Tolerance: l.Tolerance, FDR: l.FDR}}
	c.o.defaults()
	c.times.length = l.Length
	windows := &Windows{Column: "event time", Length: lengthName(l.Length)}
	for _, w := range l.Windows {
		if err := total.Merge(w.Counts); err != nil {
			return nil, err
		}
		c.times.starts = append(c.times.starts, w.Start)
		windows.Starts = append(windows.Starts, w.Start.UTC().Format(time.RFC3339))
		windows.Rows = append(windows.Rows, int(w.Counts.N)) // #nosec G115 -- rows of a window
	}
	if total.N == 0 {
		return nil, fairlead.Invalid("%s has no rows in these windows", l.Name)
	}
	first, last := l.Windows[0].Start, l.Windows[len(l.Windows)-1].Until
	baseline, phase := l.Reference.For(first, last)
	c.r = &Report{
		Reference: SideReport{Name: l.Baseline, Rows: int(baseline.N)}, // #nosec G115 -- rows of a file
		Current:   SideReport{Name: l.Name, Rows: int(total.N), From: first.UTC().Format(time.RFC3339), To: last.UTC().Format(time.RFC3339)},
		Missing:   []string{}, Added: []string{}, Quality: []quality.Result{}, Tolerance: c.o.Tolerance, FDR: c.o.FDR, Windows: windows,
	}
	if phase != "all" {
		c.r.Notes = append(c.r.Notes, "held against the "+phase+" of the reference")
	}
	for i := range layout.Columns {
		c.r.Columns = append(c.r.Columns, c.counted(i, l, baseline, total))
	}
	c.judge()
	return c.r, nil
}

func lengthName(d time.Duration) string {
	for _, l := range lengths {
		if l.Duration == d {
			return l.name
		}
	}
	return d.String()
}

// counted measures column i by its counts.
func (c *comparison) counted(i int, l Live, baseline, total *profile.Counts) (col Column) {
	one := &profile.Layout{Columns: l.Reference.Layout.Columns[i : i+1]}
	only := func(k *profile.Counts) *profile.Counts {
		return &profile.Counts{N: k.N, Columns: k.Columns[i : i+1]}
	}
	defer func() {
		if p := recover(); p != nil { // it stops no other
			col = unmeasured(one.Columns[0].Name, errorOf(p))
		}
	}()
	n, in, against := l.drifted(one.Columns[0].Name)
	if n > 0 {
		baseline, total = against, in
	}
	ref, cur := only(baseline), only(total)
	nan := Number(math.NaN())
	col = Column{Name: one.Columns[0].Name, Kind: string(one.Columns[0].Kind), W1: nan, W1Deviation: nan,
		Reference: summary(one, ref), Current: summary(one, cur), Bins: bins(one, ref, cur)}
	if one.Columns[0].Output {
		col.Role = "output"
	}
	col.fill(one, ref, cur)
	col.DriftedWindows = n
	series, weight := make([]float64, len(l.Windows)), make([]float64, len(l.Windows))
	for w, win := range l.Windows {
		series[w] = math.NaN()
		col.Series = append(col.Series, nan)
		if win.Counts.N == 0 {
			continue
		}
		same, _ := l.Reference.For(win.Start, win.Until)
		a, b := only(same), only(win.Counts)
		m := drift.Measure(a.AlertBins(one, 0), b.AlertBins(one, 0), nil, nil, b.N, a.N)
		series[w], weight[w] = math.Sqrt(math.Max(m.PSI, 0)), float64(b.N)
		if m.PSIFloor <= 1 {
			col.Series[w] = Number(m.PSI)
		}
	}
	c.name(&col, series, weight)
	return col
}

// drifted gives the windows in which a column drifted, added up, and what they are held against.
func (l *Live) drifted(column string) (n int, in, against *profile.Counts) {
	in, against = profile.NewCounts(l.Reference.Layout), profile.NewCounts(l.Reference.Layout)
	phases := map[string]bool{}
	for _, w := range l.Windows {
		if !slices.Contains(w.Drifted, column) {
			continue
		}
		n++
		same, phase := l.Reference.For(w.Start, w.Until)
		if in.Merge(w.Counts) == nil && !phases[phase] { // of one layout: it cannot fail
			phases[phase] = true
			_ = against.Merge(same) // as above
		}
	}
	return n, in, against
}

// name says what the course of a column's drift is, where there are enough windows.
func (c *comparison) name(col *Column, series, weight []float64) {
	if len(series) < fewWindows {
		return
	}
	d := shape.Label(series, weight, shape.Options{Periods: c.periods(), Season: math.Sqrt(c.o.Tolerance) / 2})
	col.Shape = &d
	if d.Kind != shape.None && d.Kind != shape.Periodic && d.Onset < len(c.times.starts) {
		col.Since = c.times.starts[d.Onset].UTC().Format(time.RFC3339)
	}
}

func errorOf(p any) error {
	return fmt.Errorf("measure: %v", p)
}
