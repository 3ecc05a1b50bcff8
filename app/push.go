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

// Push implements admin.Models: read → check against the graph → profile the reference → golden vectors → seal → check against
// the clients' signature → store → put live. Nothing is stored unless everything before it worked.
func (a *App) Push(ctx context.Context, name fairlead.Name, tar bool, body []byte, o api.PushOptions) (api.PushAnswer, error) {
	if a.pipelines.get(name) != nil {
		return api.PushAnswer{}, fairlead.Errorf(fairlead.CodeConflict, "%s is a pipeline", name).
			Hintf("give the model another name, or delete the pipeline first: fairlead pipeline delete %s", name)
	}
	if o.Alias != "" {
		if err := registry.CheckAlias(o.Alias); err != nil {
			return api.PushAnswer{}, err
		}
	}
	b, err := a.seal(ctx, name, tar, body, o)
	if err != nil {
		return api.PushAnswer{}, err
	}
	if err := a.passes(ctx, name, b, o.Test); err != nil {
		return api.PushAnswer{}, err
	}
	return a.install(ctx, name, b, o)
}

// install stores a sealed version, puts it live and lets the alias lead to it.
func (a *App) install(ctx context.Context, name fairlead.Name, b *bundle.Bundle, o api.PushOptions) (api.PushAnswer, error) {
	if err := a.fitsClients(ctx, name, b, o); err != nil {
		return api.PushAnswer{}, err
	}
	if err := a.deployer.busy(name, "nothing was pushed"); err != nil {
		return api.PushAnswer{}, err
	}
	entry, existing, err := a.registry.Add(ctx, name, b, time.Now().UTC(), "")
	if err != nil {
		return api.PushAnswer{}, err
	}
	if err := a.goLive(ctx, name, entry, o); err != nil {
		return api.PushAnswer{}, err
	}
	if err := a.point(ctx, entry, o); err != nil {
		return api.PushAnswer{}, err
	}
	a.log.Info("pushed", "model", name, "version", entry.Version, "digest", entry.Digest.Short(), "existing", existing, "by", o.By)
	v, err := a.modelVersion(ctx, name, entry)
	return api.PushAnswer{ModelVersion: v, Deployment: string(name), Existing: existing, Rollout: a.rollouts.standing(name)}, err
}

// goLive puts a version live at once, or by a rollout where that is asked for and another version is live.
func (a *App) goLive(ctx context.Context, name fairlead.Name, e registry.Entry, o api.PushOptions) error {
	if dep := a.deployer.get(name); !o.Rollout || dep == nil {
		return a.deployer.deploy(ctx, name, e.Version)
	}
	_, err := a.rollouts.StartRollout(ctx, name, api.RolloutStart{Version: e.Version.String(), Policy: o.Policy, Force: o.Force, By: o.By})
	return err
}

// fitsClients refuses a version that breaks the clients of the one it takes the place of: the live one, and the one that
// the alias points at.
func (a *App) fitsClients(ctx context.Context, name fairlead.Name, b *bundle.Bundle, o api.PushOptions) error {
	if o.Force {
		return nil
	}
	check := func(old fairlead.Signature, v fairlead.Version, is string) error {
		return bundle.Breaking(fmt.Sprintf("the new version does not fit the clients of %s@%d, which is %s", name, v, is), bundle.Compatible(old, b.Signature))
	}
	if live, err := a.deployer.Live(name); err == nil {
		// A version that cannot be read any more has no clients to break.
		if _, old, err := a.deployer.Reference(ctx, name, live); err == nil {
			if err := check(old, live, "live"); err != nil {
				return err
			}
		}
	}
	if o.Alias == "" {
		return nil
	}
	e, err := a.registry.Resolve(ctx, name, o.Alias)
	if err != nil {
		return nil // nothing has that alias
	}
	old, err := a.registry.Describe(ctx, e.Digest)
	if err != nil {
		return ctx.Err()
	}
	return check(old.Signature, e.Version, "its "+o.Alias)
}

// point lets an alias, if there is one, lead to a version that serves, whether or not the client still waits. Its signature
// has been checked.
func (a *App) point(ctx context.Context, e registry.Entry, o api.PushOptions) error {
	if o.Alias == "" {
		return nil
	}
	_, err := a.registry.Point(context.WithoutCancel(ctx), e.Model, registry.Pointing{
		Alias: o.Alias, To: e.Version, Force: true, By: o.By, At: time.Now().UTC(),
	})
	if err != nil {
		return err
	}
	a.deployer.refresh(e.Model)
	return nil
}

// seal makes a bundle of what was uploaded.
func (a *App) seal(ctx context.Context, name fairlead.Name, tar bool, body []byte, o api.PushOptions) (*bundle.Bundle, error) {
	src := bundle.FromModel(name, body)
	if tar {
		var err error
		if src, err = bundle.ReadTar(bytes.NewReader(body), a.config.MaxUpload); err != nil {
			return nil, err
		}
	}
	return a.sealSource(ctx, name, src, o)
}

// sealSource makes a bundle of a model and what its author says of it.
func (a *App) sealSource(ctx context.Context, name fairlead.Name, src *bundle.Source, o api.PushOptions) (*bundle.Bundle, error) {
	src.File.Name = name // the name it is pushed under wins over the folder's
	if err := a.pinLineage(ctx, src.File, o); err != nil {
		return nil, err
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
	if err := describesTests(src.File, sig); err != nil {
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
	more, err := a.trySideVariants(ctx, src, sig)
	if err != nil {
		return nil, err
	}
	return bundle.Seal(src, sig, ref, append(notes, more...))
}

// pinLineage joins what the file and the push say of the version's origins, and turns names of versions into ones that
// last: an alias moves, a digest does not.
func (a *App) pinLineage(ctx context.Context, f *bundle.File, o api.PushOptions) error {
	l := &f.Lineage
	l.TrainedOn = append(slices.Clone(l.TrainedOn), o.TrainedOn...)
	slices.Sort(l.TrainedOn)
	l.TrainedOn = slices.Compact(l.TrainedOn)
	if o.QuantizedFrom != "" {
		l.QuantizedFrom = o.QuantizedFrom
	}
	if o.DistilledFrom != "" {
		l.DistilledFrom = o.DistilledFrom
	}
	for what, reference := range map[string]*string{"quantized_from": &l.QuantizedFrom, "distilled_from": &l.DistilledFrom} {
		if *reference == "" {
			continue
		}
		pinned, err := a.registry.Pin(ctx, *reference)
		if err != nil {
			return about("lineage: "+what, err)
		}
		*reference = pinned
	}
	return nil
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
	r, err := profile.Learn(sig.Fields(), table, labelled(sig, table, profile.Options{TimeColumn: clock, Inputs: sig.Inputs}))
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

// labelled adds the labels of the reference, where there are some: with them windows are estimated before they have any.
func labelled(sig fairlead.Signature, t *fairlead.Table, o profile.Options) profile.Options {
	score, ok := sig.Score()
	label := t.Column(sig.Label.Name)
	if sig.Task != fairlead.TaskBinary || !ok || label == nil || label.Times != nil {
		return o
	}
	classes := sig.Output(score.Tensor).Classes
	o.Score, o.Threshold = score.Name, realised.Threshold
	o.Label = func(row int) (positive, known bool) {
		text, ok := labelText(label, row)
		if !ok {
			return false, false
		}
		return realised.Positive(text, classes)
	}
	return o
}

// labelText is a label of the reference as one that comes by JSON; false where there is none.
func labelText(c *fairlead.TableColumn, row int) (string, bool) {
	switch {
	case c.IsNull(row):
	case c.Strings != nil:
		return c.Strings[row], true
	case c.Floats != nil:
		return strconv.FormatFloat(c.Floats[row], 'f', -1, 64), true
	}
	return "", false
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
		outcomes[i].Label, _ = labelText(label, i)
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
	key := describedKey{name, e.Version, e.Digest}
	if known, ok := a.described.Load(key); ok {
		return known.(api.ModelVersion), nil
	}
	v, err := a.describeVersion(ctx, name, e)
	if err == nil {
		a.described.Store(key, v)
	}
	return v, err
}

type describedKey struct {
	model   fairlead.Name
	version fairlead.Version
	digest  fairlead.Digest
}

func (a *App) describeVersion(ctx context.Context, name fairlead.Name, e registry.Entry) (api.ModelVersion, error) {
	b, err := a.registry.Describe(ctx, e.Digest)
	if err != nil {
		return api.ModelVersion{}, err
	}
	sig := b.Signature
	v := api.ModelVersion{
		Model: string(name), Version: int(e.Version), Digest: string(e.Digest), Created: e.Created, Size: e.Size,
		Task: string(sig.Task), Label: sig.Label.Name, LabelDelay: sig.Label.Delay.Seconds(), Notes: b.Notes, Inputs: tensorsOf(sig.Inputs), Outputs: tensorsOf(sig.Outputs),
		Variants: a.variantsOf(b), Tests: len(b.File.Tests),
	}
	v.Card, _ = b.Card()
	up, err := a.registry.Ancestors(ctx, e)
	if err != nil {
		return v, err
	}
	for _, x := range up {
		if x.Depth == 1 {
			v.Origins = append(v.Origins, originOf(x))
		}
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
