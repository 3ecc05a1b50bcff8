package app

import (
	"context"
	"fmt"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/probe"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// Golden vectors made at push: so many cases of one row each, fewer of wide rows.
const (
	goldenCases    = 8
	goldenElements = 200_000
	goldenMost     = 500_000 // of a single case
)

// goldenFor checks the golden vectors of golden.json, or makes some: of rows of the reference (nil: none), spread over it, else
// of values made up to fit the signature. A model that answers the same row in two ways, or cannot take such values, gets
// none; the note says so.
func goldenFor(ctx context.Context, session engine.Session, sig fairlead.Signature, given *bundle.Golden, table *fairlead.Table) (*bundle.Golden, string, error) {
	if given != nil {
		if err := answer(ctx, session, given); err != nil {
			return nil, "", err
		}
		return given, "", probeGolden(given).Check(func(in []fairlead.Tensor) ([]fairlead.Tensor, error) { return session.Run(ctx, in, nil) })
	}
	inputs, source := referenceRows(sig, table), "of the reference"
	if len(inputs) == 0 {
		graph := session.Signature()
		inputs, source = probe.Synthetic(&graph, goldenCases), "made up to fit the signature"
	}
	g := &bundle.Golden{Absolute: bundle.DefaultAbsolute, Relative: bundle.DefaultRelative}
	elements := 0
	for _, in := range inputs {
		out, err := session.Run(ctx, in, nil)
		if err != nil {
			if ctx.Err() != nil {
				return nil, "", err
			}
			return nil, fmt.Sprintf("there are no golden vectors: the model fails on rows %s: %v", source, err), nil
		}
		again, err := session.Run(ctx, in, nil)
		if err != nil {
			return nil, "", err
		}
		if d := (&probe.Golden{}).Difference(out, again); d != "" {
			return nil, "there are no golden vectors: the model gives two answers to the same row: " + d, nil
		}
		size := count(in) + count(out)
		if size > goldenMost || len(g.Cases) > 0 && elements+size > goldenElements {
			break
		}
		elements += size
		g.Cases = append(g.Cases, bundle.GoldenCase{Inputs: in, Outputs: out})
	}
	if len(g.Cases) == 0 {
		return nil, "there are no golden vectors: give some in " + bundle.GoldenFile, nil
	}
	return g, fmt.Sprintf("%d golden vectors were made of rows %s: they are checked whenever the version is loaded", len(g.Cases), source), nil
}

// answer gives the cases without outputs those of the model.
func answer(ctx context.Context, session engine.Session, g *bundle.Golden) error {
	for i := range g.Cases {
		c := &g.Cases[i]
		if len(c.Outputs) > 0 {
			continue
		}
		out, err := session.Run(ctx, c.Inputs, nil)
		if err != nil {
			return fairlead.Invalid("the model fails on case %d of %s: %v", i, bundle.GoldenFile, err).Cause(err)
		}
		c.Outputs = out
	}
	return nil
}

func count(ts []fairlead.Tensor) int {
	n := 0
	for i := range ts {
		n += ts[i].Len()
	}
	return n
}

// referenceRows are requests of one row each, or of a fixed batch, spread over the reference. Rows that the model's types
// cannot hold are passed over.
func referenceRows(sig fairlead.Signature, table *fairlead.Table) [][]fairlead.Tensor {
	if table == nil {
		return nil
	}
	size := max(1, fixedBatch(sig))
	var requests [][]fairlead.Tensor
	step := max(size, table.Rows/goldenCases)
	for at := 0; at+size <= table.Rows && len(requests) < goldenCases; at += step {
		if in, err := bundle.Inputs(sig, table, at, at+size); err == nil {
			requests = append(requests, in)
		}
	}
	return requests
}

// probeGolden is the same for the probe, which knows no bundles.
func probeGolden(g *bundle.Golden) *probe.Golden {
	if g == nil {
		return nil
	}
	out := &probe.Golden{Absolute: g.Absolute, Relative: g.Relative}
	for _, c := range g.Cases {
		out.Cases = append(out.Cases, probe.Case(c))
	}
	return out
}
