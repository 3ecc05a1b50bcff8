package watch

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/alert"
	"github.com/fairlead-ml/fairlead/watch/drift"
	"github.com/fairlead-ml/fairlead/watch/estimate"
	"github.com/fairlead-ml/fairlead/watch/profile"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// enoughLabels is the share of predictions whose label makes a metric final.
const enoughLabels = 0.95

// maxModels bounds the references kept in memory.
const maxModels = 64

type modelKey struct {
	deployment fairlead.Name
	version    fairlead.Version
}

// model is what evaluating needs of a version.
type model struct {
	reference *profile.Reference // nil: none
	task      fairlead.Task
	classes   []string
}

func (w *Watcher) model(ctx context.Context, deployment fairlead.Name, version fairlead.Version) (*model, error) {
	key := modelKey{deployment, version}
	if m := w.known[key]; m != nil {
		return m, nil
	}
	ref, sig, err := w.models.Reference(ctx, deployment, version)
	if err != nil {
		return nil, fmt.Errorf("reference of %s@%d: %w", deployment, version, err)
	}
	m := &model{reference: ref, task: sig.Task}
	if score, ok := sig.Score(); ok {
		m.classes = sig.Output(score.Tensor).Classes
	}
	if len(w.known) >= maxModels {
		clear(w.known)
	}
	w.known[key] = m
	return m, nil
}

// evaluation is what one window gave.
type evaluation struct {
	findings     []Finding
	observations []alert.Observation // one per column, for the alerts
	decided      bool                // the profile was read: alerts may rest on it
	metrics      *MetricsRow
	estimates    map[string]Estimate
	took         time.Duration // wall time; 0 without a clock
	err          error         // something could not be read
}

// evaluate runs one window through profile, drift and realised. Drift and metrics do not need each other: what one of
// them could not read leaves the other standing.
func (w *Watcher) evaluate(ctx context.Context, t *task, rule alert.Rule) (e evaluation) {
	if w.opt.Now != nil {
		begin := w.opt.Now()
		defer func() { e.took = w.opt.Now().Sub(begin) }()
	}
	m, err := w.model(ctx, t.Deployment, t.Version)
	if err != nil {
		e.err = err
	} else {
		e.err = errors.Join(w.drift(ctx, t, m, rule, &e), w.realised(ctx, t, m, &e))
		if e.metrics != nil {
			e.metrics.Estimates = e.estimates
		}
	}
	if e.err != nil && ctx.Err() == nil {
		w.failed.Add(1)
		w.log.Warn("window could not be read, it will be tried again", "window", t.Window, "error", e.err)
	}
	return e
}

// drift compares the window's profile with the reference, column by column. A damaged profile is no error, as reading
// it again does not heal it: the window has no findings then.
func (w *Watcher) drift(ctx context.Context, t *task, m *model, rule alert.Rule, e *evaluation) error {
	if m.reference == nil {
		e.decided = true // and says nothing on any column
		return nil
	}
	layout := m.reference.Layout
	until := t.Until(m.reference, t.closed, w.watermarks[t.Deployment])
	counts, err := Merged(ctx, w.src.Profiles, layout, t.Window, until)
	if errors.Is(err, errDamaged) {
		w.badProfiles.Add(1)
		w.log.Error("the window has no findings", "window", t.Window, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	if counts.N == 0 {
		return nil
	}
	e.decided = true
	e.estimates = estimated(m.reference, counts)
	ref, description := m.reference.For(t.Start, until)
	measured := make([]alert.Measured, len(layout.Columns))
	p := make([]float64, len(layout.Columns))
	for col := range layout.Columns {
		f, chance, err := compare(layout, col, ref, counts)
		if err != nil {
			w.brokenColumns.Add(1)
			w.log.Error("column could not be measured", "window", t.Window, "column", layout.Columns[col].Name, "error", err)
			f = Finding{PSI: math.NaN(), PSIDebiased: math.NaN(), PSIFloor: math.NaN(), KS: math.NaN(), KSFloor: math.NaN()}
			chance = math.NaN()
		} else {
			f.Window, f.Reference, f.Provisional = t.Window, description, !t.closed
			e.findings = append(e.findings, f)
		}
		measured[col], p[col] = f.by(rule.Measure), chance
	}
	judge(layout, rule, measured, p, counts.N, e)
	return nil
}

// judge gives each finding its verdict and each column its observation. Chance is looked at in all columns together: among
// fifty of them, one at one in fifty is nothing.
func judge(l *profile.Layout, rule alert.Rule, measured []alert.Measured, p []float64, n uint64, e *evaluation) {
	findings := e.findings
	for col, q := range drift.Adjusted(p) {
		measured[col].Q = q
		name := l.Columns[col].Name
		if len(findings) > 0 && findings[0].Column == name { // a column that could not be measured has none
			findings[0].Verdict = rule.Judge(measured[col])
			findings = findings[1:]
		}
		e.observations = append(e.observations, alert.Observation{Column: name, Measured: measured[col], N: n})
	}
}

// by is the finding in the measure of a rule. Categories have no order and so no KS: the total variation distance, half of
// D1, is the largest difference that any set of them shows.
func (f *Finding) by(measure string) alert.Measured {
	switch {
	case measure != alert.MeasureKS:
		return alert.Measured{Value: f.PSI, Effect: f.PSIDebiased, Floor: f.PSIFloor}
	case f.Kind == string(profile.Categorical):
		return alert.Measured{Value: f.D1 / 2, Effect: f.D1 / 2, Floor: f.D1Floor / 2}
	}
	return alert.Measured{Value: f.KS, Effect: f.KS, Floor: f.KSFloor}
}

// estimated are the metrics that the window's scores promise, with no label looked at; nil where the reference has no labels.
func estimated(ref *profile.Reference, counts *profile.Counts) map[string]Estimate {
	t := ref.Truth
	if t == nil {
		return nil
	}
	b := estimate.FromCounts(estimate.Slots{
		Rows: t.Rows, Positive: t.Positive, Predicted: t.Predicted, Correct: t.Correct,
		Ordered: ref.Layout.Columns[t.Column].Kind == profile.Numeric,
	}, t.Slots(counts), 0.95)
	out := map[string]Estimate{}
	for name, i := range map[string]estimate.Interval{"accuracy": b.Accuracy, "auroc": b.AUROC} {
		if !math.IsNaN(i.Value) && !math.IsNaN(i.SE) && !math.IsInf(i.SE, 0) {
			out[name] = Estimate{i.Value, i.Low, i.High}
		}
	}
	if n := b.TP + b.FN; b.Rows > 0 {
		out["positive_rate"] = Estimate{Value: n / float64(b.Rows), Low: math.NaN(), High: math.NaN()}
	}
	return out
}

// compare measures one column. A panic in it is an error of this column: counters of an older layout or a defect in a
// measure must not take the other columns along. chance is that of at least this PSI without drift.
func compare(l *profile.Layout, col int, ref, cur *profile.Counts) (f Finding, chance float64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("measure: %v", p)
		}
	}()
	c := l.Columns[col]
	m := drift.Measure(ref.AlertBins(l, col), cur.AlertBins(l, col), ref.FineBins(l, col), cur.FineBins(l, col), cur.N, ref.N)
	return Finding{
		Column: c.Name, Output: c.Output, Kind: string(c.Kind), N: cur.N, M: ref.N,
		PSI: m.PSI, PSIDebiased: m.PSIDebiased, PSIFloor: m.PSIFloor,
		KS: m.KS, KSFloor: m.KSFloor, D1: m.D1, D1Floor: m.D1Floor, JS: m.JS, JSFloor: m.JSFloor,
		Missing: cur.Missing(l, col), Unseen: cur.Unseen(l, col),
	}, m.P, nil
}

// realised holds the labels that have arrived against the predictions.
func (w *Watcher) realised(ctx context.Context, t *task, m *model, e *evaluation) error {
	total, outcomes, err := w.src.Outcomes(ctx, t.Window)
	if err != nil {
		return fmt.Errorf("read outcomes: %w", err)
	}
	if total == 0 {
		return nil
	}
	s := realised.Compute(m.task, m.classes, realised.Threshold, outcomes)
	for name, v := range s.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			delete(s.Values, name)
		}
	}
	if s.Unknown > 0 {
		w.unknownLabels.Add(uint64(s.Unknown))
		w.log.Warn("labels mean nothing to the model's task", "window", t.Window, "task", m.task, "labels", s.Unknown)
	}
	e.metrics = &MetricsRow{
		Window: t.Window, N: total, Labelled: uint64(s.Labelled), Values: s.Values,
		Provisional: !t.closed || float64(s.Labelled) < enoughLabels*float64(total),
	}
	return nil
}
