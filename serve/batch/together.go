package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// together computes a batch and answers its members. Where the run fails, each that still waits runs once more, alone:
// the input of one must not fail the others.
func (q *Queue) together(ctx context.Context, r *run) {
	defer r.cancel()
	e := q.executor
	started := e.now()
	out, err := q.compute(ctx, r)
	end := e.now()
	took := end.Sub(started)
	var mismatch *rowsError
	closed := errors.Is(err, engine.ErrClosed)

	e.mu.Lock()
	defer e.mu.Unlock()
	e.finish(q, r, took, err == nil || errors.As(err, &mismatch))
	switch {
	case err == nil:
		// The core is free for others while the answers are cut.
		e.dispatch(end)
		e.mu.Unlock()
		answers := q.cut(r, out, took)
		e.mu.Lock()
		first := true
		for i, t := range r.members {
			if t.gone {
				continue
			}
			answers[i].First, first = first, false
			t.reply(answers[i], nil)
		}
		return
	case closed:
		for _, t := range r.members {
			t.reply(Answer{}, err)
		}
	default:
		if mismatch != nil {
			q.queue.batchingOff()
			q.queue.count.Mismatched++
			q.reason = mismatch.Error()
		}
		for _, t := range r.members {
			if t.gone {
				continue
			}
			q.queue.count.Rerun++
			t.run = nil
			t.setAlone()
			e.core.push(t)
		}
	}
	e.dispatch(end)
}

// compute gathers the inputs and runs them. A panic of the model is an error here: each member meets its own when it
// runs alone.
func (q *Queue) compute(ctx context.Context, r *run) (out []fairlead.Tensor, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("run of %d requests together: panic: %v\n%s", len(r.members), p, debug.Stack())
		}
	}()
	outputs := q.union(r.members)
	if out, err = q.session.Run(ctx, q.gather(r), outputs); err != nil {
		return nil, err
	}
	for i := range out {
		if len(out[i].Shape) == 0 || out[i].Shape[0] != int64(r.rows) {
			return nil, &rowsError{out[i].Name, slices.Clone(out[i].Shape), r.rows}
		}
	}
	return out, nil
}

// rowsError says that an output cannot be divided between the members.
type rowsError struct {
	output string
	shape  []int64
	rows   int
}

func (e *rowsError) Error() string {
	return fmt.Sprintf("output %q of a run of %d rows has shape %s: requests cannot be run together",
		e.output, e.rows, fairlead.ShapeString(e.shape))
}

// union is what any member asks for, in the signature's order; nil where one asks for all.
func (q *Queue) union(members []*ticket) []string {
	asked := map[string]bool{}
	for _, t := range members {
		if t.request.Outputs == nil {
			return nil
		}
		for _, name := range t.request.Outputs {
			asked[name] = true
		}
	}
	outputs := make([]string, 0, len(asked))
	for i := range q.spec.Outputs {
		if name := q.spec.Outputs[i].Name; asked[name] {
			outputs = append(outputs, name)
		}
	}
	return outputs
}

// gather lays the members' inputs end to end, in the signature's order.
func (q *Queue) gather(r *run) []fairlead.Tensor {
	in := make([]fairlead.Tensor, len(q.spec.Inputs))
	parts := make([]*fairlead.Tensor, len(r.members))
	for i := range q.spec.Inputs {
		for k, t := range r.members {
			parts[k] = fairlead.Find(t.request.Inputs, q.spec.Inputs[i].Name)
		}
		in[i] = join(parts, r.rows)
	}
	return in
}

// cut gives each member its rows of the outputs that it asked for.
func (q *Queue) cut(r *run, out []fairlead.Tensor, took time.Duration) []Answer {
	answers := make([]Answer, len(r.members))
	from := 0
	for i, t := range r.members {
		to := from + t.rows
		a := Answer{Rows: r.rows, Took: took}
		if t.request.Outputs == nil {
			a.Outputs = make([]fairlead.Tensor, len(out))
			for k := range out {
				a.Outputs[k] = part(&out[k], from, to)
			}
		} else {
			a.Outputs = make([]fairlead.Tensor, len(t.request.Outputs))
			for k, name := range t.request.Outputs {
				a.Outputs[k] = part(fairlead.Find(out, name), from, to)
			}
		}
		answers[i], from = a, to
	}
	return answers
}
