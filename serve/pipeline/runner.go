package pipeline

import (
	"context"
	"slices"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// runner computes a step's used outputs from its inputs. rows are those of the request that the inputs are of; nil: all.
type runner interface {
	run(ctx context.Context, f *flight, n *node, in []fairlead.Tensor, rows []int) ([]fairlead.Tensor, error)
}

// modelRunner asks a deployment, like any other client of it.
type modelRunner struct {
	models Models
	model  Model
}

// protocol is how a step's request came, for traces and logs.
const protocol = "pipeline"

func (r modelRunner) run(ctx context.Context, f *flight, n *node, in []fairlead.Tensor, rows []int) ([]fairlead.Tensor, error) {
	request := serve.Request{
		Deployment: r.model.Name, Version: r.model.Version, Protocol: protocol,
		Input: serve.Input{ID: f.part.ID, Tensors: in, Outputs: n.used, Priority: f.part.Priority, RoutingKey: f.part.RoutingKey, Unrecorded: f.part.Unrecorded},
	}
	metas := f.part.Rows
	if rows != nil && metas != nil {
		metas = make([]fairlead.RowMeta, len(rows))
		for i, row := range rows {
			metas[i] = f.part.Rows[row]
		}
	}
	switch {
	case len(metas) == 0:
	case rowCount(&n.sig, in) == len(metas):
		request.Input.Rows = metas
	default: // the step has rows of its own
		request.Input.Default = fairlead.RowMeta{Time: metas[0].Time, Key: metas[0].Key, Tags: metas[0].Tags}
	}
	resp, err := r.models.Predict(ctx, request)
	if err != nil {
		return nil, err
	}
	return resp.Outputs, nil
}

// rowCount is the number of rows that a model will see, as the serve room counts them.
func rowCount(sig *fairlead.Signature, in []fairlead.Tensor) int {
	count := -1
	for i := range sig.Inputs {
		t := fairlead.Find(in, sig.Inputs[i].Name)
		if t == nil || len(t.Shape) == 0 {
			continue
		}
		if shape := sig.Inputs[i].Shape; shape == nil || shape[0] < 0 {
			return t.Rows()
		}
		if count < 0 {
			count = t.Rows()
		}
	}
	if count < 0 {
		return 1
	}
	return count
}

// sessionRunner asks a transform or a process.
type sessionRunner struct{ session engine.Session }

func (r sessionRunner) run(ctx context.Context, _ *flight, n *node, in []fairlead.Tensor, _ []int) ([]fairlead.Tensor, error) {
	out, err := r.session.Run(ctx, in, n.used)
	return slices.Clip(out), err
}
