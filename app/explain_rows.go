package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/evalstore"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/explain"
	"github.com/fairlead-ml/fairlead/watch/profile"
	"github.com/fairlead-ml/fairlead/watch/segment"
)

// Bounds of a look at rows.
const (
	lookRows    = 20_000    // of each side
	lookCells   = 2_000_000 // values of each side
	lookLeast   = 500       // rows; wide inputs are left out where fewer would fit
	lookWindows = 7 * 24    // the latest drifted ones
	lookTakes   = 30 * time.Second
	beforeRows  = 300 // fewer say too little of before
	mostFacets  = 200
)

// look is what recorded rows say of an alert.
type look struct {
	app     *App
	alert   alert.Alert
	version fairlead.Version
	ref     *profile.Reference
	sig     fairlead.Signature
	column  int // of the reference's layout
	target  int // of fields
	fields  []evalstore.RecordedField
	inputs  int             // how many of fields are inputs, in the signature's order; they come first
	wide    string          // an input that is left out; then the model cannot be asked
	hidden  map[string]bool // redacted
	windows []evalstore.Span

	saved       []evalstore.SavedSegment
	now, before *evalstore.Sample
	compared    string // what before is; "": there are no rows of before
	carried     explain.Concentration
}

// lookAtRows opens a look; the reason says why there is none.
func (a *App) lookAtRows(ctx context.Context, x alert.Alert, in *explain.Input, v fairlead.Version, book *alert.Book) (l *look, reason string, err error) {
	l = &look{app: a, alert: x, version: v, hidden: map[string]bool{}}
	if v == 0 {
		return nil, "no version has measured windows at its onset", nil
	}
	if l.ref, l.sig, err = a.deployer.Reference(ctx, x.Deployment, v); err != nil {
		return nil, fmt.Sprintf("version %d cannot be opened: %v", v, err), nil
	}
	if l.ref == nil {
		return nil, fmt.Sprintf("version %d has no reference", v), nil
	}
	l.column = slices.IndexFunc(l.ref.Layout.Columns, func(c profile.Column) bool { return c.Name == x.Column })
	if l.column < 0 {
		return nil, fmt.Sprintf("%s is no column of version %d", x.Column, v), nil
	}
	l.plan()
	if err := l.sample(ctx, in, book); err != nil {
		return nil, "", err
	}
	if err := l.redactions(ctx); err != nil {
		return nil, "", err
	}
	switch {
	case l.hidden[x.Column]:
		return nil, fmt.Sprintf("%s is redacted: its values are not recorded", x.Column), nil
	case len(l.now.ID) == 0:
		return nil, "no rows of its windows are recorded (record.sample of the bundle says which share is), or they were dropped", nil
	case l.now.Columns[l.target] == "" && !l.ref.Layout.Columns[l.column].Output:
		return nil, fmt.Sprintf("rows are recorded without %s", x.Column), nil
	}
	return l, "", nil
}

// plan lists the fields that are read.
func (l *look) plan() {
	cells := 0
	for _, in := range l.sig.Inputs {
		if w := max(in.Width(), 1); len(in.Features) == 0 && w > 1 && lookCells/(cells+w) < lookLeast {
			l.wide = in.Name
			continue
		}
		cells += max(in.Width(), 1)
		names := in.Features
		if len(names) == 0 {
			names = []string{in.Name}
		}
		for _, n := range names {
			l.fields = append(l.fields, evalstore.RecordedField{Name: n})
		}
	}
	l.inputs = len(l.fields)
	f := evalstore.RecordedField{Name: l.alert.Column, Output: l.ref.Layout.Columns[l.column].Output}
	if l.target = slices.Index(l.fields, f); l.target < 0 {
		l.target = len(l.fields)
		l.fields = append(l.fields, f)
	}
}

// rows is how many rows a side may have.
func (l *look) rows() int {
	cells := 8
	for _, in := range l.sig.Inputs {
		if in.Name != l.wide {
			cells += max(in.Width(), 1)
		}
	}
	return min(lookRows, max(lookCells/cells, lookLeast))
}

// redactions are the inputs that a version of these rows did not store as they came.
func (l *look) redactions(ctx context.Context) error {
	dep := l.app.deployer.get(l.alert.Deployment)
	versions := slices.Sorted(slices.Values(append([]fairlead.Version{l.version}, l.before.Version...)))
	for _, v := range slices.Compact(versions) {
		e, err := l.app.registry.Resolve(ctx, dep.Model, v.String())
		if err != nil {
			continue // it is gone, and with it what it redacted
		}
		b, err := l.app.registry.Describe(ctx, e.Digest)
		if err != nil {
			return err
		}
		for _, r := range b.File.Redactions() {
			l.hidden[r.Name] = true
		}
	}
	return nil
}

// sample reads rows of the drifted windows and of before.
func (l *look) sample(ctx context.Context, in *explain.Input, book *alert.Book) error {
	list, _, err := l.app.segments.list(ctx, l.alert.Deployment)
	if err != nil {
		return err
	}
	if l.saved, err = l.app.segments.compiled(ctx, l.alert.Deployment, list); err != nil {
		l.saved = nil // one names a column that is no more
	}
	drifted, past := driftedWindows(in), driftedBefore(in, book)
	for _, at := range drifted {
		l.windows = append(l.windows, evalstore.Span{From: at, To: at.Add(in.Grain)})
	}
	q := evalstore.Sampling{Deployment: l.alert.Deployment, Version: l.version, Fields: l.fields, Rows: l.rows(), Spans: evalstore.Spans(l.windows)}
	for _, s := range l.saved {
		q.Segments = append(q.Segments, s.Predicate)
	}
	if l.now, err = l.app.store.Sample(ctx, q); err != nil {
		return err
	}
	q.Version = 0
	for _, option := range beforeOptions(drifted, in.Onset, in.Grain, past) {
		q.Spans = evalstore.Spans(option.spans)
		s, err := l.app.store.Sample(ctx, q)
		if err != nil {
			return err
		}
		if len(s.ID) >= beforeRows {
			l.before, l.compared = s, option.name
			return nil
		}
	}
	l.before = &evalstore.Sample{}
	return nil
}

// scalar is a recorded value as the profile takes it.
func scalar(v any, c *profile.Column) any {
	switch {
	case v == nil:
		return nil
	case c.IsNumber():
		x, err := recordedNumber(v)
		if err != nil {
			return nil
		}
		return x
	}
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

// concentrate looks for the segments that carry the change.
func (l *look) concentrate(ctx context.Context) error {
	if l.compared == "" {
		l.carried.Reason = fmt.Sprintf("fewer than %d rows of before the onset are recorded to compare with", beforeRows)
		return nil
	}
	now, before := l.rowsOf(l.now), l.rowsOf(l.before)
	var facets []explain.Facet
	add := func(f explain.Facet, now1, before1 []int) {
		facets = append(facets, f)
		now.Parts, before.Parts = append(now.Parts, now1), append(before.Parts, before1)
	}
	for i := range l.ref.Layout.Columns {
		c := &l.ref.Layout.Columns[i]
		at := slices.Index(l.fields, evalstore.RecordedField{Name: c.Name})
		if c.Output || i == l.column || at < 0 || l.hidden[c.Name] || l.now.Columns[at] == "" || len(facets) == mostFacets {
			continue
		}
		f := explain.Facet{Name: explain.Identifier(l.now.Columns[at]), Label: c.Name}
		f.Parts, f.Ordered = l.ref.Layout.AlertPlaces(i)
		add(f, l.places(l.now, i, at), l.places(l.before, i, at))
	}
	for _, t := range tagFacets(l.now, l.before) {
		add(t.facet, t.parts(l.now), t.parts(l.before))
	}
	names := make([]string, len(l.saved))
	for i := range l.saved {
		names[i] = l.saved[i].Name
	}
	bins, _ := l.ref.Layout.AlertPlaces(l.column)
	l.carried = explain.Concentrate(bins, facets, names, before, now)
	columns, err := l.app.store.SegmentColumns(ctx, l.alert.Deployment)
	if err != nil {
		return err
	}
	for i := range l.carried.Carriers {
		c := &l.carried.Carriers[i]
		if c.Saved >= 0 {
			c.Where = l.saved[c.Saved].Predicate.String()
		} else if _, err := segment.Compile(c.Where, columns); err != nil {
			c.Where = ""
		}
	}
	return nil
}

func (l *look) rowsOf(s *evalstore.Sample) *explain.Rows {
	return &explain.Rows{Weight: s.Weight, Target: l.places(s, l.column, l.target), Saved: s.In}
}

// places are the bins of a column in rows.
func (l *look) places(s *evalstore.Sample, column, field int) []int {
	out := make([]int, len(s.ID))
	for i := range out {
		out[i] = l.ref.Layout.AlertPlace(column, scalar(s.Values[field][i], &l.ref.Layout.Columns[column]))
	}
	return out
}

func (l *look) concentration() *api.Concentration {
	c := &l.carried
	out := &api.Concentration{
		Says: c.Says(), Even: c.Even, Reason: c.Reason, Compared: l.compared, Before: len(l.before.ID), Now: len(l.now.ID), Looked: c.Looked,
		Segments: []api.CarryingSegment{},
	}
	for _, x := range c.Carriers {
		s := api.CarryingSegment{
			Where: x.Where, Label: x.Label, Part: estimateOf(x.Part), Rows: x.Rows, RowsBefore: x.RowsBefore, N: x.N, NBefore: x.NBefore, Kind: "rows",
			Inside: finitePointer(x.Inside), Outside: finitePointer(x.Outside), Shares: []api.ValueShare{},
		}
		if x.Values {
			s.Kind = "values"
		}
		if x.Saved >= 0 {
			s.Name = x.Label
		}
		for _, share := range x.Shares {
			s.Shares = append(s.Shares, api.ValueShare(share))
		}
		out.Segments = append(out.Segments, s)
	}
	return out
}

func estimateOf(i explain.Interval) api.Estimate {
	return api.Estimate{Value: i.Value, Low: finitePointer(i.Low), High: finitePointer(i.High)}
}
