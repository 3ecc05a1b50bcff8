package compare

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/compat"
	"github.com/fairlead-ml/fairlead/watch/drift"
	"github.com/fairlead-ml/fairlead/watch/profile"
	"github.com/fairlead-ml/fairlead/watch/quality"
	"github.com/fairlead-ml/fairlead/watch/shape"
)

// Number is a measure; NaN, where there is none, and infinities are null in JSON.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if !finite(float64(n)) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Column is what was measured on one column.
type Column struct {
	Name string `json:"name"`
	Kind string `json:"kind"`           // numeric or categorical
	Role string `json:"role,omitempty"` // score or label
	Why  string `json:"why,omitempty"`  // it could not be measured; everything below is empty

	PSI         Number `json:"psi"` // half rule, ten alert bins frozen at the reference, missing values included
	PSIDebiased Number `json:"psi_debiased"`
	PSIFloor    Number `json:"psi_floor"` // one undrifted column in a thousand lies above
	P           Number `json:"p"`         // chance of at least this PSI without drift
	KS          Number `json:"ks"`        // at the edges of 64 bins; null of categories
	KSFloor     Number `json:"ks_floor"`
	D1          Number `json:"d1"` // Σ|p−q|, 0 to 2
	LInf        Number `json:"l_inf"`
	JSDistance  Number `json:"js_distance"` // √JS, natural logarithm
	Hellinger   Number `json:"hellinger"`
	W1          Number `json:"w1"`            // in the column's unit, of the sample of rows; null of categories
	W1Deviation Number `json:"w1_deviations"` // in standard deviations of the reference
	ChiSquareP  Number `json:"chi_square_p"`

	Significant bool `json:"significant"` // beyond chance, all columns considered
	Drifted     bool `json:"drifted"`     // significant and above the tolerance

	Reference Summary `json:"reference"`
	Current   Summary `json:"current"`
	Bins      []Bin   `json:"bins"`

	Compat []ToolNumber `json:"compat,omitempty"` // what other tools give, where that was asked for

	// DriftedWindows is in how many windows the rule of the live monitor found drift; where it is not 0, the rest is about these.
	DriftedWindows int `json:"drifted_windows,omitempty"`

	Series []Number     `json:"series,omitempty"` // PSI of each of the report's windows; null where there are too few rows
	Shape  *shape.Drift `json:"shape,omitempty"`  // what the drift looks like over time
	Since  string       `json:"since,omitempty"`  // the first window that differs
}

// Summary describes a column of one side.
type Summary struct {
	Missing Number `json:"missing"` // share of the rows
	Unseen  Number `json:"unseen"`  // share outside of what the reference has
	Mean    Number `json:"mean"`
	Std     Number `json:"std"`
	Min     Number `json:"min"`
	Max     Number `json:"max"`
}

// ToolNumber is another tool's number of a column.
type ToolNumber struct {
	Tool      compat.Tool `json:"tool"`
	Measure   string      `json:"measure"`
	Value     Number      `json:"value"`
	Threshold float64     `json:"threshold,omitempty"` // the tool's default
	Default   bool        `json:"default,omitempty"`   // the measure that it takes if nobody says which
	Drifted   bool        `json:"drifted"`             // what it would say
}

// Bin is one bar of the two distributions.
type Bin struct {
	Label     string `json:"label"`
	Kind      string `json:"kind"` // as of profile.Bin
	Low       Number `json:"low"`
	High      Number `json:"high"`
	Reference Number `json:"reference"` // share of the rows
	Current   Number `json:"current"`
}

// measured is what one column gave.
type measured struct {
	column             *Column // nil: a time
	projected          []Column
	rules              int // that were checked
	broken             []quality.Result
	notes              []string
	reference, current []float64 // values of the sample's rows, nil: it is left out
}

// column measures one column of both sides. The error is that of a Source.
func (c *comparison) column(name string) (m measured, err error) {
	ref, err := c.reference.Column(name)
	if err != nil {
		return m, err
	}
	cur, err := c.current.Column(name)
	if err != nil {
		return m, err
	}
	if ref.Times != nil || cur.Times != nil {
		c.rules(&m, ref, cur)
		return m, nil // a time moves on: that is no drift
	}
	if (ref.Strings != nil) != (cur.Strings != nil) {
		ref, cur = alike(ref, cur, c.reference.Rows, c.current.Rows)
		m.notes = append(m.notes, fmt.Sprintf("column %s holds text on one side and numbers on the other: compared as text", name))
	}
	c.rules(&m, ref, cur)
	c.draw(&m, ref, cur)
	col, err := c.measure(name, ref, cur)
	if err != nil { // it stops no other
		col = unmeasured(name, err)
		m.column = &col
		return m, nil
	}
	col.w1(&m)
	switch name {
	case c.o.Score:
		col.Role = "score"
	case c.o.Label:
		col.Role = "label"
	}
	m.column = &col
	m.projected = c.projections(ref, cur)
	if m.projected != nil { // rows that are told apart by texts that never come again would look like another world
		m.reference, m.current = nil, nil
	}
	return m, nil
}

// unmeasured is a column that could not be measured.
func unmeasured(name string, err error) Column {
	nan := Number(math.NaN())
	return Column{Name: name, Why: err.Error(), Bins: []Bin{}, PSI: nan, PSIDebiased: nan, PSIFloor: nan, P: nan, KS: nan,
		KSFloor: nan, D1: nan, LInf: nan, JSDistance: nan, Hellinger: nan, W1: nan, W1Deviation: nan, ChiSquareP: nan}
}

// alike makes texts of the numbers of one side, where the other has texts.
func alike(ref, cur *fairlead.TableColumn, n, m int) (a, b *fairlead.TableColumn) {
	if ref.Strings == nil {
		ref = texts(ref, n)
	}
	if cur.Strings == nil {
		cur = texts(cur, m)
	}
	return ref, cur
}

func texts(c *fairlead.TableColumn, rows int) *fairlead.TableColumn {
	out := &fairlead.TableColumn{Name: c.Name, Strings: make([]string, rows), Null: c.Null}
	for i := range rows {
		out.Strings[i] = strconv.FormatFloat(c.Floats[i], 'g', -1, 64)
	}
	return out
}

// measure freezes bins at the reference and counts both sides. A panic is an error of this column.
func (c *comparison) measure(name string, ref, cur *fairlead.TableColumn) (col Column, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("measure: %v", p)
		}
	}()
	field := fairlead.Field{Name: name, Type: fairlead.FP64}
	if ref.Strings != nil {
		field.Type = fairlead.Bytes
	}
	reference, err := profile.Learn([]fairlead.Field{field}, &fairlead.Table{Rows: c.reference.Rows, Columns: []fairlead.TableColumn{*ref}}, profile.Options{})
	if err != nil {
		return col, err
	}
	layout, total := reference.Layout, reference.Total
	table := &fairlead.Table{Rows: c.current.Rows, Columns: []fairlead.TableColumn{*cur}}
	counts, windows := c.times.count(layout, table)
	col = Column{Name: name, Kind: string(layout.Columns[0].Kind), Reference: summary(layout, total), Current: summary(layout, counts)}
	col.Bins = bins(layout, total, counts)
	col.fill(layout, total, counts)
	col.Compat = toolNumbers(c.o.Compat, ref, cur, c.reference.Rows, c.current.Rows)
	c.follow(&col, layout, total, windows)
	return col, nil
}

// toolNumbers are the numbers of other tools, which look at the values themselves.
func toolNumbers(tools []compat.Tool, ref, cur *fairlead.TableColumn, n, m int) []ToolNumber {
	var out []ToolNumber
	var a, b []uint64
	if ref.Strings != nil && len(tools) > 0 {
		a, b = categories(ref, cur, n, m)
	}
	for _, tool := range tools {
		results := compat.Numeric(tool, ref.Floats, cur.Floats)
		if ref.Strings != nil {
			results = compat.Categories(tool, a, b)
		}
		for _, r := range results {
			out = append(out, ToolNumber{tool, r.Measure, Number(r.Value), r.Threshold, r.Default, r.Drifted()})
		}
	}
	return out
}

// categories counts the values of both sides, in one order; nulls are left out.
func categories(ref, cur *fairlead.TableColumn, n, m int) (a, b []uint64) {
	at := map[string]int{}
	count := func(c *fairlead.TableColumn, rows int, into *[]uint64) {
		for i := range rows {
			if c.IsNull(i) {
				continue
			}
			k, ok := at[c.Strings[i]]
			if !ok {
				k = len(at)
				at[c.Strings[i]] = k
				a, b = append(a, 0), append(b, 0)
			}
			(*into)[k]++
		}
	}
	count(ref, n, &a)
	count(cur, m, &b)
	return a, b
}

func (col *Column) fill(layout *profile.Layout, ref, cur *profile.Counts) {
	a, b := ref.AlertBins(layout, 0), cur.AlertBins(layout, 0)
	m := drift.Measure(a, b, ref.FineBins(layout, 0), cur.FineBins(layout, 0), cur.N, ref.N)
	pooledRef, pooledCur := drift.Pool(a, b, cur.N, ref.N)
	p, q := drift.Shares(pooledRef), drift.Shares(pooledCur)
	col.PSI, col.PSIDebiased, col.PSIFloor, col.P = Number(m.PSI), Number(m.PSIDebiased), Number(m.PSIFloor), Number(m.P)
	col.KS, col.KSFloor, col.D1 = Number(m.KS), Number(m.KSFloor), Number(m.D1)
	col.LInf, col.Hellinger, col.JSDistance = Number(drift.LInf(p, q)), Number(drift.Hellinger(p, q)), Number(math.Sqrt(math.Max(m.JS, 0)))
	col.ChiSquareP = Number(drift.ChiSquareP(pooledRef, pooledCur))
}

func summary(l *profile.Layout, c *profile.Counts) Summary {
	nan := Number(math.NaN())
	s := Summary{Missing: Number(c.Missing(l, 0)), Unseen: Number(c.Unseen(l, 0)), Mean: nan, Std: nan, Min: nan, Max: nan}
	if v, ok := c.Mean(0); ok {
		s.Mean = Number(v)
	}
	if v, ok := c.Std(0); ok {
		s.Std = Number(v)
	}
	if low, high, ok := c.Range(0); ok {
		s.Min, s.Max = Number(low), Number(high)
	}
	return s
}

func bins(l *profile.Layout, ref, cur *profile.Counts) []Bin {
	a, b := ref.BinCounts(l, 0), cur.BinCounts(l, 0)
	out := []Bin{}
	for i, bin := range l.Bins(0) {
		if a[i]+b[i] == 0 && bin.Kind != "range" {
			continue
		}
		out = append(out, Bin{
			Label: bin.Label, Kind: bin.Kind, Low: Number(bin.Low), High: Number(bin.High),
			Reference: Number(float64(a[i]) / float64(ref.N)), Current: Number(float64(b[i]) / float64(max(cur.N, 1))),
		})
	}
	return out
}

// rules proposes what the reference keeps and asks whether the current rows do.
func (c *comparison) rules(m *measured, ref, cur *fairlead.TableColumn) {
	rules := quality.Suggest(&fairlead.Table{Rows: c.reference.Rows, Columns: []fairlead.TableColumn{*ref}})
	if ref.Name == c.o.Label {
		rules = slices.DeleteFunc(rules, func(r quality.Rule) bool { return r.Kind == quality.NotNull }) // labels come late
	}
	m.rules = len(rules)
	for _, found := range quality.Check(rules, &fairlead.Table{Rows: c.current.Rows, Columns: []fairlead.TableColumn{*cur}}, quality.Context{}) {
		if !found.OK && beyondChance(found) {
			m.broken = append(m.broken, found)
		}
	}
}

// beyondChance says whether more rows break a rule than so many rows would by chance, one time in a thousand, where the share
// that may break it is as promised. Rules that allow nothing are broken by one row.
func beyondChance(r quality.Result) bool {
	allowed := 1 - r.Rule.Mostly
	if r.Skipped != "" || !r.Rule.PerRow() || r.Rule.Mostly == 0 || allowed <= 0 {
		return true
	}
	n := float64(r.Rows)
	// The Poisson tail, by Wilson and Hilferty's normal approximation of the gamma distribution.
	k := float64(r.Unexpected)
	z := 3 * math.Sqrt(k) * (1 - 1/(9*k) - math.Cbrt(n*allowed/k))
	return z > 3.09
}
