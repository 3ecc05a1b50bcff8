// Package compare holds two sets of rows against each other, offline: the data a model was made of against what it gets
// today, last month against this one. It measures every column with the measures, noise floors and rules of the live monitor,
// asks whether the columns have parted company, follows the drift over time where there is one, and says how well the model
// does on both, with labels and without.
//
// Columns pass one at a time, so that memory holds two of them and a sample of rows, whatever the size. All of it is a pure
// function of the data and of the chance it is given, whatever the number of columns that are measured at the same time.
package compare

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/compat"
	"github.com/fairlead-ml/fairlead/watch/drift"
	"github.com/fairlead-ml/fairlead/watch/quality"
)

// Source gives rows column by column. A column that it lacks is nil.
type Source interface {
	Names() []string
	Column(name string) (*fairlead.TableColumn, error)
}

// Table is a Source of what is in memory.
type Table struct{ *fairlead.Table }

// Column implements Source.
func (t Table) Column(name string) (*fairlead.TableColumn, error) { return t.Table.Column(name), nil }

// Side is one of the two sets.
type Side struct {
	Name string
	Rows int
	Source
}

// Options say what the columns mean. The zero value compares everything with everything.
type Options struct {
	Columns   []string // to compare; nil: all
	Time      string   // event time: the drift is followed over it; "": the first column of times in both
	Score     string   // what the model said: a probability of the positive class, or a number
	Label     string   // the truth
	Task      fairlead.Task
	Positive  string  // which label is the positive class; "": 1, true, or the last of two in order
	Threshold float64 // of the decision; 0: 0.5

	Tolerance float64 // of debiased PSI: less is no drift whatever its significance; 0: 0.02
	FDR       float64 // expected share of false alarms among the drifted columns; 0: 0.01
	Sample    int     // rows of each side for what looks at whole rows; 0: 5000, negative: none
	Windows   int     // most windows over time; 0: 400
	// Compat asks for the numbers of other tools too.
	Compat []compat.Tool
	// Pick draws so many of n rows without returning them, in ascending order; Perm a permutation. Both are chance.
	Pick func(n, k int) []int
	Perm func(n int) []int
	// Workers measure columns at the same time; 0: one. Each holds a column of both sides in memory. The report is the same
	// whatever their number.
	Workers int
	// Progress is told how many columns are done, one call at a time; nil: nobody.
	Progress func(done, of int)
}

func (o *Options) defaults() {
	o.Tolerance = cmp.Or(o.Tolerance, 0.02)
	o.FDR = cmp.Or(o.FDR, 0.01)
	o.Sample = cmp.Or(o.Sample, 5000)
	o.Windows = cmp.Or(o.Windows, 400)
	o.Threshold = cmp.Or(o.Threshold, 0.5)
}

// Report is what was found.
type Report struct {
	Reference SideReport `json:"reference"`
	Current   SideReport `json:"current"`

	// Columns are in order of debiased PSI, the largest first; those that could not be measured come last.
	Columns []Column `json:"columns"`
	Drifted int      `json:"drifted"` // columns
	Missing []string `json:"missing"` // columns that only the reference has
	Added   []string `json:"added"`   // columns that only the current rows have

	Quality []quality.Result `json:"quality"` // rules that the reference keeps and the current rows break
	Rules   int              `json:"rules"`   // that were checked

	Together    *Together    `json:"together,omitempty"`
	Performance *Performance `json:"performance,omitempty"`
	Windows     *Windows     `json:"windows,omitempty"`

	Tolerance float64  `json:"tolerance"` // as of Options
	FDR       float64  `json:"fdr"`
	Notes     []string `json:"notes,omitempty"`
}

// SideReport says what was compared.
type SideReport struct {
	Name string `json:"name"`
	Rows int    `json:"rows"`
	From string `json:"from,omitempty"` // of the event times
	To   string `json:"to,omitempty"`
}

// Compare measures. The error is that of a Source, or CodeInvalid where the sides or the options make no sense; a column that
// cannot be measured says so in its place and stops nothing.
func Compare(reference, current Side, o Options) (*Report, error) {
	o.defaults()
	r := &Report{
		Reference: SideReport{Name: reference.Name, Rows: reference.Rows}, Current: SideReport{Name: current.Name, Rows: current.Rows},
		Missing: []string{}, Added: []string{}, Quality: []quality.Result{}, Tolerance: o.Tolerance, FDR: o.FDR,
	}
	c := &comparison{r: r, o: o, reference: reference, current: current}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	if err := c.columns(); err != nil {
		return nil, err
	}
	c.judge()
	if err := c.together(); err != nil {
		return nil, err
	}
	if err := c.performance(); err != nil {
		return nil, err
	}
	return r, nil
}

// comparison is the work in progress.
type comparison struct {
	r                  *Report
	o                  Options
	reference, current Side
	names              []string // to compare, in order

	times  timeline
	rows   struct{ reference, current []int } // of the sample, ascending
	sample struct {
		names              []string
		reference, current [][]float64 // by column, then row of the sample
	}
}

// rowNumbers are the columns into which pandas writes an index without a name.
var rowNumbers = regexp.MustCompile(`^__index_level_\d+__$`)

// columns measures all columns, some at a time, and puts together what was found in their order.
func (c *comparison) columns() error {
	found := make([]measured, len(c.names))
	errs := make([]error, len(c.names))
	var next, done atomic.Int64
	var progress sync.Mutex
	var wg sync.WaitGroup
	for range max(1, min(c.o.Workers, len(c.names))) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(c.names)); i = next.Add(1) - 1 {
				found[i], errs[i] = c.column(c.names[i])
				if c.o.Progress != nil {
					progress.Lock()
					c.o.Progress(int(done.Add(1)), len(c.names))
					progress.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, m := range found {
		c.r.Rules += m.rules
		c.r.Quality = append(c.r.Quality, m.broken...)
		c.r.Notes = append(c.r.Notes, m.notes...)
		if m.column != nil {
			c.r.Columns = append(append(c.r.Columns, *m.column), m.projected...)
		}
		if m.reference != nil {
			c.sample.names = append(c.sample.names, c.names[i])
			c.sample.reference, c.sample.current = append(c.sample.reference, m.reference), append(c.sample.current, m.current)
		}
	}
	return nil
}

// prepare decides what to compare, and what to draw.
func (c *comparison) prepare() error {
	switch {
	case c.reference.Rows == 0 || c.current.Rows == 0:
		return fairlead.Invalid("there is nothing to compare: %s has %d rows, %s has %d", c.reference.Name, c.reference.Rows, c.current.Name, c.current.Rows)
	case (c.o.Label != "" || c.o.Score != "") && c.o.Task == "":
		c.o.Task = fairlead.TaskBinary
	}
	ref, cur := c.reference.Names(), c.current.Names()
	for _, name := range append(slices.Clone(c.o.Columns), c.o.Time, c.o.Score, c.o.Label) {
		if name != "" && !slices.Contains(ref, name) && !slices.Contains(cur, name) {
			return fairlead.Invalid("neither %s nor %s has a column %q", c.reference.Name, c.current.Name, name).Hintf("they have %s", list(ref))
		}
	}
	for _, name := range ref {
		switch wanted := len(c.o.Columns) == 0 || slices.Contains(c.o.Columns, name); {
		case rowNumbers.MatchString(name) && len(c.o.Columns) == 0:
			c.r.Notes = append(c.r.Notes, fmt.Sprintf("column %s, the row numbers that pandas writes, is left out", name))
		case !slices.Contains(cur, name):
			c.r.Missing = append(c.r.Missing, name)
		case wanted:
			c.names = append(c.names, name)
		}
	}
	for _, name := range cur {
		if !slices.Contains(ref, name) && !rowNumbers.MatchString(name) {
			c.r.Added = append(c.r.Added, name)
		}
	}
	if len(c.names) == 0 {
		return fairlead.Invalid("%s and %s have no column in common", c.reference.Name, c.current.Name).
			Hintf("the first has %s; the second %s", list(ref), list(cur))
	}
	if c.o.Sample > 0 && c.o.Pick != nil {
		c.rows.reference = c.o.Pick(c.reference.Rows, min(c.o.Sample, c.reference.Rows))
		c.rows.current = c.o.Pick(c.current.Rows, min(c.o.Sample, c.current.Rows))
	}
	return c.timeline()
}

// list names some columns.
func list(names []string) string {
	const most = 12
	text := ""
	for i, n := range names {
		switch {
		case i == most:
			return fmt.Sprintf("%s and %d more", text, len(names)-most)
		case i > 0:
			text += ", "
		}
		text += n
	}
	return text
}

// judge says which columns drifted: all of them are looked at together, so that a hundred columns do not alarm a hundred times
// as often (Benjamini and Hochberg 1995).
func (c *comparison) judge() {
	r := c.r
	p := make([]float64, len(r.Columns))
	for i := range r.Columns {
		p[i] = float64(r.Columns[i].P)
	}
	for i, beyond := range drift.BenjaminiHochberg(p, c.o.FDR) {
		col := &r.Columns[i]
		col.Significant = beyond
		col.Drifted = beyond && float64(col.PSIDebiased) >= c.o.Tolerance || col.DriftedWindows > 0
		if col.Drifted {
			r.Drifted++
		}
	}
	slices.SortStableFunc(r.Columns, func(a, b Column) int {
		rank := func(c Column) float64 {
			if !finite(float64(c.PSIDebiased)) {
				return -1e300
			}
			return float64(c.PSIDebiased)
		}
		return cmp.Or(-compareBool(a.Drifted, b.Drifted), cmp.Compare(rank(b), rank(a)))
	})
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
