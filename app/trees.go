package app

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	trees "github.com/fairlead-ml/fairlead/serve/engine/tree"
	"github.com/fairlead-ml/fairlead/ship/bundle"
)

// loadFastest loads a model with ONNX Runtime and, where it is an ensemble of trees, with our own walker too: that one
// serves if the two give the same answers to the golden vectors and to rows made to try them, and it is the faster. The
// second answer is what the report says of it, "" where there was no choice.
func (d *deployer) loadFastest(ctx context.Context, onnx []byte, threads int, golden *bundle.Golden) (engine.Session, string, error) {
	session, err := d.load(onnx, threads)
	if err != nil || !d.trees {
		return session, "", err
	}
	walker, why, err := trees.Open(onnx)
	if walker == nil { // ONNX Runtime has taken the file, whatever is wrong with it
		d.log.Debug("not for the tree walker", "why", why, "err", err)
		return session, "", nil
	}
	var given [][]fairlead.Tensor
	if golden != nil {
		for _, c := range golden.Cases {
			given = append(given, c.Inputs)
		}
	}
	v, err := walker.Against(ctx, session, given, time.Now)
	switch {
	case err != nil:
		_ = session.Close()
		return nil, "", err
	case v.Difference != "":
		return session, "engine: ONNX Runtime, for our tree walker does not give its answers: " + v.Difference, nil
	case v.Faster <= 1:
		return session, fmt.Sprintf("engine: ONNX Runtime; on one row our tree walker is %.1f times as fast", v.Faster), nil
	}
	if err := session.Close(); err != nil {
		return nil, "", err
	}
	return walker, fmt.Sprintf("engine: own tree walker, %d trees, %.1f times as fast as ONNX Runtime on one row; the same answers to %d rows",
		walker.Trees(), v.Faster, v.Rows), nil
}
