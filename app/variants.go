package app

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/ort"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// admit tries a version that was sealed elsewhere: the variants that run here have the signature it claims and give its
// golden answers. What does not run here is taken on trust, as is a version none of whose variants does.
func (a *App) admit(ctx context.Context, b *bundle.Bundle) error {
	for i, v := range b.Variants {
		if v.Requires.Lacks(a.deployer.host) != "" {
			continue
		}
		at, err := b.Select(i)
		if err != nil {
			return err
		}
		if err := a.admitVariant(ctx, at); err != nil {
			return about("variant "+v.Name, err)
		}
	}
	return nil
}

func (a *App) admitVariant(ctx context.Context, b *bundle.Bundle) error {
	session, err := a.runtime.Load(b.Model(), ort.Options{})
	if err != nil {
		return err
	}
	defer session.Close()
	sig, _, err := bundle.Merge(session.Signature(), b.File)
	if err != nil {
		return err
	}
	if b.Variant().Model == b.File.Model && !reflect.DeepEqual(sig, b.Signature) {
		return fairlead.Invalid("its signature is not that of its graph").Hintf("it was not made by fairlead, or was changed: push the model itself")
	}
	if err := sameSignature(b.Variant().Name, b.Signature, sig); err != nil {
		return err
	}
	golden, err := b.Golden()
	if golden == nil || err != nil {
		return err
	}
	return probeGolden(golden).Check(func(in []fairlead.Tensor) ([]fairlead.Tensor, error) { return session.Run(ctx, in, nil) })
}

// about puts what an error is about before its message, which is all that clients see of it.
func about(what string, err error) error {
	var e *fairlead.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", what, err)
	}
	told := *e
	told.Message, told.Err = what+": "+e.Message, err
	return &told
}

// sameSignature says where a variant is not called, or does not answer, as the version says.
func sameSignature(variant string, want, got fairlead.Signature) error {
	breaks := bundle.Compatible(want, got)
	if len(breaks) == 0 {
		return nil
	}
	return fairlead.Invalid("variant %s has another signature than the model: %s", variant, breaks[0].Message).
		Hintf("variants are the same model in another precision; a model with other inputs or outputs gets a name of its own")
}

// trySideVariants runs the variants of a source other than the one that gives the golden answers: they must have its
// signature and give its answers, within their own tolerance. The notes tell which could not run here.
func (a *App) trySideVariants(ctx context.Context, src *bundle.Source, sig fairlead.Signature) ([]string, error) {
	var notes []string
	variants, graphs, base := src.Variants()
	for i, v := range variants {
		if i == base {
			continue
		}
		if lacks := v.Requires.Lacks(a.deployer.host); lacks != "" {
			notes = append(notes, fmt.Sprintf("variant %s was not tried: it %s", v.Name, lacks))
			continue
		}
		session, err := a.runtime.Load(graphs[i], ort.Options{})
		if err != nil {
			return nil, about("variant "+v.Name, err)
		}
		err = tryVariant(ctx, session, src, v, sig)
		session.Close()
		if err != nil {
			return nil, err
		}
	}
	return notes, nil
}

func tryVariant(ctx context.Context, session engine.Session, src *bundle.Source, v bundle.VariantFile, sig fairlead.Signature) error {
	got, _, err := bundle.Merge(session.Signature(), src.File)
	if err != nil {
		return about("variant "+v.Name, err)
	}
	if err := sameSignature(v.Name, sig, got); err != nil {
		return err
	}
	if src.Golden == nil {
		return nil
	}
	golden := *src.Golden
	if v.Tolerance != nil {
		golden.Absolute, golden.Relative = v.Tolerance.Absolute, v.Tolerance.Relative
	}
	err = probeGolden(&golden).Check(func(in []fairlead.Tensor) ([]fairlead.Tensor, error) { return session.Run(ctx, in, nil) })
	if err == nil {
		return nil
	}
	worst := worstDifference(ctx, session, src.Golden)
	var e *fairlead.Error
	if !errors.As(err, &e) {
		return err
	}
	return fairlead.Invalid("variant %s: %s", v.Name, e.Message).
		Hintf("its answers differ by up to %.3g; if that is the price of its precision, give it a tolerance: {name: %s, model: %s, tolerance: {absolute: %.1g}}",
			worst, v.Name, v.Model, worst*1.5).Cause(err)
}

// worstDifference is the largest difference of a floating-point answer from its golden one.
func worstDifference(ctx context.Context, session engine.Session, g *bundle.Golden) float64 {
	worst := 0.0
	for _, c := range g.Cases {
		out, err := session.Run(ctx, c.Inputs, nil)
		if err != nil {
			continue
		}
		for i := range c.Outputs {
			want := &c.Outputs[i]
			got := fairlead.Find(out, want.Name)
			if got == nil || got.Len() != want.Len() {
				continue
			}
			for k := range want.Len() {
				x, ok := want.Float(k)
				y, also := got.Float(k)
				if ok && also {
					worst = max(worst, max(x-y, y-x))
				}
			}
		}
	}
	return worst
}

// variantsOf describes the variants of a version for the control API.
func (a *App) variantsOf(b *bundle.Bundle) []api.Variant {
	serves, err := bundle.Choose(b.Variants, "", a.deployer.host)
	out := make([]api.Variant, len(b.Variants))
	for i, v := range b.Variants {
		out[i] = api.Variant{
			Name: v.Name, File: v.Model, Digest: string(v.Digest), Lacking: v.Requires.Lacks(a.deployer.host), Serves: err == nil && i == serves,
			Tolerance: (*api.Tolerance)(v.Tolerance),
		}
		if r := v.Requires; !reflect.ValueOf(r).IsZero() {
			out[i].Requires = &api.Requires{OS: r.OS, Arch: r.Arch, ISA: r.ISA, Memory: r.Memory, Runtime: r.Runtime, Accelerator: r.Accelerator}
		}
	}
	return out
}
