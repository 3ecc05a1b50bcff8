package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/reference"
	"github.com/fairlead-ml/fairlead/ship/registry"
	"github.com/fairlead-ml/fairlead/watch/profile"
	"github.com/fairlead-ml/fairlead/watch/realised"
)

// Push implements admin.Models: read → check against the graph → profile the reference → golden vectors → seal → store → put live.
// Nothing is stored unless everything before it worked.
func (a *App) Push(ctx context.Context, name fairlead.Name, alias string, tar bool, body []byte) (api.PushAnswer, error) {
	if alias != "" {
		if err := registry.CheckAlias(alias); err != nil {
			return api.PushAnswer{}, err
		}
	}
	b, err := a.seal(ctx, name, tar, body)
	if err != nil {
		return api.PushAnswer{}, err
	}
	entry, existing, err := a.registry.Add(ctx, name, b, time.Now().UTC(), "")
	if err != nil {
		return api.PushAnswer{}, err
	}
	if err := a.deployer.deploy(ctx, name, entry.Version); err != nil {
		return api.PushAnswer{}, err
	}
	if err := a.point(ctx, entry, alias); err != nil {
		return api.PushAnswer{}, err
	}
	a.log.Info("pushed", "model", name, "version", entry.Version, "digest", entry.Digest.Short(), "existing", existing)
	v, err := a.modelVersion(ctx, name, entry)
	return api.PushAnswer{ModelVersion: v, Deployment: string(name), Existing: existing}, err
}

// point lets an alias, if there is one, lead to a version that serves, whether or not the client still waits.
func (a *App) point(ctx context.Context, e registry.Entry, alias string) error {
	if alias == "" {
		return nil
	}
	if err := a.registry.SetAlias(context.WithoutCancel(ctx), e.Model, alias, e.Version); err != nil {
		return err
	}
	a.deployer.refresh()
	return nil
}

// seal makes a bundle of what was uploaded.
func (a *App) seal(ctx context.Context, name fairlead.Name, tar bool, body []byte) (*bundle.Bundle, error) {
	src := bundle.FromModel(name, body)
	if tar {
		var err error
		if src, err = bundle.ReadTar(bytes.NewReader(body), a.config.MaxUpload); err != nil {
			return nil, err
		}
		src.File.Name = name // the name it is pushed under wins over the folder's
	}
	session, err := a.runtime.Load(src.Model, ort.Options{})
	if err != nil {
		return nil, err
	}
	defer session.Close()
	sig, notes, err := bundle.Merge(session.Signature(), src.File)
	if err != nil {
		return nil, err
	}
	var ref []byte
	var table *fairlead.Table
	if len(src.Reference) > 0 {
		var r *profile.Reference
		var more []string
		if r, table, more, err = learnReference(ctx, session, sig, src); err != nil {
			return nil, err
		}
		notes = append(notes, more...)
		if ref, err = r.MarshalBinary(); err != nil {
			return nil, err
		}
	}
	var note string
	if src.Golden, note, err = goldenFor(ctx, session, sig, src.Golden, table); err != nil {
		return nil, err
	}
	if note != "" {
		notes = append(notes, note)
	}
	return bundle.Seal(src, sig, ref, notes)
}

// learnReference reads the reference and freezes the bins. Outputs that it lacks are computed by the model itself.
func learnReference(ctx context.Context, session engine.Session, sig fairlead.Signature, src *bundle.Source) (*profile.Reference, *fairlead.Table, []string, error) {
	table, err := reference.Read(src.ReferenceName, src.Reference, bundle.TextColumns(sig)...)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := bundle.CheckReference(sig, table); err != nil {
		return nil, nil, nil, err
	}
	var notes []string
	if missing := missingOutputs(sig, table); len(missing) > 0 {
		if err := score(ctx, session, sig, table, missing); err != nil {
			return nil, nil, nil, err
		}
		notes = append(notes, fmt.Sprintf("the reference has no %s: the model computed it", strings.Join(names(missing), ", ")))
	}
	clock, err := bundle.TimeColumn(src.File, sig, table)
	if err != nil {
		return nil, nil, nil, err
	}
	r, err := profile.Learn(sig.Fields(), table, profile.Options{TimeColumn: clock})
	if err != nil {
		return nil, nil, nil, err
	}
	if r.Phases == nil {
		notes = append(notes, "the reference has no two weeks of event time: windows are compared with all of it, "+
			"and features that follow the clock will look drifted by the hour")
	}
	src.Metrics = referenceMetrics(sig, table)
	return r, table, notes, nil
}

// referenceMetrics holds the labels of the reference data against the model's outputs; nil without labels.
func referenceMetrics(sig fairlead.Signature, t *fairlead.Table) map[string]float64 {
	score, ok := sig.Score()
	label, scores := t.Column(sig.Label.Name), t.Column(score.Name)
	if !ok || label == nil || scores == nil || scores.Floats == nil {
		return nil
	}
	outcomes := make([]realised.Outcome, t.Rows)
	for i := range outcomes {
		outcomes[i].Score = scores.Float(i)
		switch {
		case label.IsNull(i):
		case label.Strings != nil:
			outcomes[i].Label = label.Strings[i]
		case label.Floats != nil:
			outcomes[i].Label = strconv.FormatFloat(label.Floats[i], 'f', -1, 64) // as a label that comes by JSON
		}
	}
	metrics := realised.Compute(sig.Task, sig.Output(score.Tensor).Classes, realised.Threshold, outcomes).Values
	maps.DeleteFunc(metrics, func(_ string, x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
	return metrics
}

func missingOutputs(sig fairlead.Signature, t *fairlead.Table) []fairlead.Field {
	return slices.DeleteFunc(sig.Fields(), func(f fairlead.Field) bool { return !f.Output || t.Column(f.Name) != nil })
}

func names(fields []fairlead.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}

// scoreRows is how many reference rows go into one run of the model.
const scoreRows = 1024

// score runs the model over the reference and adds the outputs as columns.
func score(ctx context.Context, session engine.Session, sig fairlead.Signature, t *fairlead.Table, fields []fairlead.Field) error {
	columns := make([]fairlead.TableColumn, len(fields))
	for i, f := range fields {
		columns[i].Name = f.Name
		if f.Type == fairlead.Bytes {
			columns[i].Strings = make([]string, t.Rows)
		} else {
			columns[i].Floats = make([]float64, t.Rows)
		}
	}
	step, fixed := scoreRows, fixedBatch(sig)
	if fixed > 0 {
		step = fixed
	}
	for at := 0; at < t.Rows; at += step {
		from, to := at, min(at+step, t.Rows)
		if fixed > 0 {
			from = max(0, to-step) // a fixed batch is full: the last one computes some rows again
		}
		in, err := bundle.Inputs(sig, t, from, to)
		if err != nil {
			return err
		}
		out, err := session.Run(ctx, in, nil)
		if err != nil {
			return fairlead.Invalid("the model fails on rows %d to %d of the reference: %v", from, to-1, err).Cause(err)
		}
		if err := take(columns, fields, out, from, to); err != nil {
			return err
		}
	}
	t.Columns = append(t.Columns, columns...)
	return nil
}

// fixedBatch is the first dimension that the graph fixes for its inputs, 0 if it is free.
func fixedBatch(sig fairlead.Signature) int {
	for _, in := range sig.Inputs {
		if len(in.Shape) > 0 && in.Shape[0] > 0 {
			return int(in.Shape[0])
		}
	}
	return 0
}

func take(columns []fairlead.TableColumn, fields []fairlead.Field, out []fairlead.Tensor, from, to int) error {
	for i, f := range fields {
		t := fairlead.Find(out, f.Tensor)
		if t == nil || t.Rows() < to-from {
			return fairlead.Errorf(fairlead.CodeInternal, "the model gave no %d rows of %q", to-from, f.Tensor)
		}
		for row := from; row < to; row++ {
			at := (row-from)*t.Width() + f.Index
			if s, ok := t.Data.([]string); ok {
				columns[i].Strings[row] = s[at]
				continue
			}
			x, ok := t.Float(at)
			if !ok {
				x = math.NaN()
			}
			columns[i].Floats[row] = x
		}
	}
	return nil
}

// modelVersion describes a stored version for the control API.
// Opening a bundle reads and verifies all of it, so what was said once is kept: a digest's content never changes.
func (a *App) modelVersion(ctx context.Context, name fairlead.Name, e registry.Entry) (api.ModelVersion, error) {
	if known, ok := a.described.Load(e); ok {
		return known.(api.ModelVersion), nil
	}
	v, err := a.describeVersion(ctx, name, e)
	if err == nil {
		a.described.Store(e, v)
	}
	return v, err
}

func (a *App) describeVersion(ctx context.Context, name fairlead.Name, e registry.Entry) (api.ModelVersion, error) {
	b, err := a.registry.Open(ctx, e.Digest)
	if err != nil {
		return api.ModelVersion{}, err
	}
	sig := b.Signature
	v := api.ModelVersion{
		Model: string(name), Version: int(e.Version), Digest: string(e.Digest), Created: e.Created, Size: e.Size,
		Task: string(sig.Task), Label: sig.Label.Name, Notes: b.Notes, Inputs: tensorsOf(sig.Inputs), Outputs: tensorsOf(sig.Outputs),
	}
	if p := b.Profile(); p != nil {
		ref, err := profile.ParseReference(p)
		if err != nil {
			return v, errors.Join(fmt.Errorf("reference of %s@%d", name, e.Version), err)
		}
		v.Reference = &api.RefInfo{Rows: ref.Rows, From: ref.From, To: ref.To, Phases: ref.Phases != nil}
	}
	return v, nil
}

func tensorsOf(specs []fairlead.TensorSpec) []api.Tensor {
	out := make([]api.Tensor, len(specs))
	for i, s := range specs {
		out[i] = api.Tensor{
			Name: s.Name, Datatype: string(s.Type), Shape: s.Shape, Features: s.Features, Role: string(s.Role), Classes: s.Classes,
		}
	}
	return out
}
