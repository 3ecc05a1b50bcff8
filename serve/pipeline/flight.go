package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// flight is one request on its way through the steps. A step is computed when somebody needs it, and once.
type flight struct {
	*Pipeline
	part  serve.Part
	ctx   context.Context //nolint:containedctx // it is the request's, and ends with it
	cells []cell          // of the nodes

	mu    sync.Mutex
	notes []string
}

// cell is what became of a step.
type cell struct {
	begun atomic.Bool
	done  chan struct{}
	out   []fairlead.Tensor
	err   error
}

// need computes the steps that sources name, at the same time, and waits for them. The error is that of the first one
// that failed, or of the context.
func (f *flight) need(sources []source) error {
	var nodes []*node
	for _, s := range sources {
		if s.node != nil && !slices.Contains(nodes, s.node) {
			nodes = append(nodes, s.node)
		}
	}
	switch len(nodes) {
	case 0:
		return nil
	case 1:
		return f.await(nodes[0])
	}
	results := make(chan error, len(nodes)) // has room for all: nobody blocks when the first error has been taken
	for _, n := range nodes {
		f.flights.Add(1)
		go func() {
			defer f.flights.Done()
			results <- f.await(n)
		}()
	}
	for range nodes {
		select {
		case err := <-results:
			if err != nil {
				return err
			}
		case <-f.ctx.Done():
			return engine.ContextError(f.ctx)
		}
	}
	return nil
}

// await computes a step, or waits for whoever does.
func (f *flight) await(n *node) error {
	c := f.cell(n)
	if c.begun.CompareAndSwap(false, true) {
		c.out, c.err = f.step(n)
		close(c.done)
		return c.err
	}
	select {
	case <-c.done:
		return c.err
	case <-f.ctx.Done():
		return engine.ContextError(f.ctx)
	}
}

// ended is the error of a request whose context has ended: it names the steps that it waited for.
func (f *flight) ended(err error) error {
	if !errors.Is(f.ctx.Err(), context.DeadlineExceeded) {
		if f.ctx.Err() != nil {
			return engine.ContextError(f.ctx)
		}
		return err
	}
	var waited []string
	for _, n := range f.nodes {
		if c := f.cell(n); c.begun.Load() {
			select {
			case <-c.done:
				if c.err == nil {
					continue
				}
			default:
			}
			waited = append(waited, n.Name)
		}
	}
	e := fairlead.Errorf(fairlead.CodeDeadline, "the deadline passed before the pipeline had answered; it waited for %s", strings.Join(waited, ", ")).Cause(err)
	e.Reason = "deadline_expired"
	return e
}

// cell is that of a node; its channel is made when it is first asked for.
func (f *flight) cell(n *node) *cell {
	c := &f.cells[n.index]
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
	}
	return c
}

// tensor is a source that has been computed.
func (f *flight) tensor(s source) (*fairlead.Tensor, error) {
	from := f.part.Tensors
	if s.node != nil {
		from = f.cells[s.node.index].out
	}
	t := fairlead.Find(from, s.tensor)
	if t == nil {
		return nil, fairlead.Errorf(fairlead.CodeInternal, "%s is not there", Ref{nameOf(s.node), s.tensor})
	}
	return t, nil
}

func nameOf(n *node) string {
	if n == nil {
		return ""
	}
	return n.Name
}

// step computes a node for all rows, by its fallback if need be.
func (f *flight) step(n *node) ([]fairlead.Tensor, error) {
	out, err := f.own(n, nil)
	if err == nil || n.fallback == nil || f.ctx.Err() != nil {
		return out, err
	}
	return f.fallBack(n, err)
}

// fallBack answers for a step that failed, with its fallback's outputs.
func (f *flight) fallBack(n *node, failed error) ([]fairlead.Tensor, error) {
	if err := f.await(n.fallback); err != nil {
		return nil, prefixed(fmt.Sprintf("step %s failed (%v), and so did its fallback", n.Name, failed), err)
	}
	n.counts.fallbacks.Add(1)
	f.remark(fmt.Sprintf("step %s: fallback %s answered (%s)", n.Name, n.Fallback, reason(n, failed)))
	return f.cells[n.fallback.index].out, nil
}

// reason is why a step failed, without its name.
func reason(n *node, err error) string {
	var e *fairlead.Error
	text := err.Error()
	if errors.As(err, &e) {
		text = e.Message
	}
	return strings.TrimPrefix(text, "step "+n.Name+": ")
}

func (f *flight) remark(note string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.notes, note) {
		f.notes = append(f.notes, note)
	}
}

func (f *flight) note() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.notes, "; ")
}

// own computes a node itself, for all rows or for those given.
func (f *flight) own(n *node, rows []int) (out []fairlead.Tensor, err error) {
	if err := f.need(slices.Concat(n.sources, n.members)); err != nil {
		return nil, err // it names the step that failed
	}
	if n.Kind == KindSwitch {
		out, err = f.decide(n) // its cases take their own time
	} else {
		out, err = f.timed(n, rows)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// timed computes a node within its time, counts it, and keeps a panic from the other requests.
func (f *flight) timed(n *node, rows []int) ([]fairlead.Tensor, error) {
	began := f.options.Now()
	out, err := f.bounded(n, rows)
	n.counts.add(f.options.Now().Sub(began), f.rowsOf(rows), err)
	if err == nil {
		err = n.promised(out)
	}
	if err != nil {
		return nil, inStep(n.Name, unavailable(err))
	}
	return out, nil
}

// rowsOf is how many rows are computed.
func (f *flight) rowsOf(rows []int) int {
	if rows != nil {
		return len(rows)
	}
	if f.part.Rows != nil {
		return len(f.part.Rows)
	}
	if len(f.part.Tensors) > 0 {
		return f.part.Tensors[0].Rows()
	}
	return 1
}

// unavailable keeps a client from reading a missing step as a missing pipeline.
func unavailable(err error) error {
	var e *fairlead.Error
	if errors.As(err, &e) && e.Code == fairlead.CodeNotFound {
		named := *e
		named.Code = fairlead.CodeUnavailable
		return &named
	}
	return err
}

// bounded gives a step that has a time of its own no more than that: who waits goes on without it.
func (f *flight) bounded(n *node, rows []int) ([]fairlead.Tensor, error) {
	if n.Within == 0 {
		return f.compute(f.ctx, n, rows)
	}
	ctx, cancel := context.WithTimeout(f.ctx, n.Within)
	defer cancel()
	type answer struct {
		out []fairlead.Tensor
		err error
	}
	answers := make(chan answer, 1)
	f.flights.Add(1)
	go func() {
		defer f.flights.Done()
		out, err := f.compute(ctx, n, rows)
		answers <- answer{out, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil && ctx.Err() != nil && f.ctx.Err() == nil {
			return nil, late(n.Within, a.err)
		}
		return a.out, a.err
	case <-ctx.Done():
		if f.ctx.Err() != nil {
			return nil, engine.ContextError(f.ctx)
		}
		return nil, late(n.Within, ctx.Err())
	}
}

func late(within time.Duration, cause error) error {
	e := fairlead.Errorf(fairlead.CodeDeadline, "it took longer than the %v it has", within).Cause(cause)
	e.Reason = "step_late"
	return e
}

// compute runs a step on its inputs.
func (f *flight) compute(ctx context.Context, n *node, rows []int) (out []fairlead.Tensor, err error) {
	defer func() {
		if p := recover(); p != nil {
			if f.options.Log != nil {
				f.options.Log("a step panicked", "pipeline", f.def.Name, "step", n.Name, "panic", p, "stack", string(debug.Stack()))
			}
			err = fairlead.Errorf(fairlead.CodeInternal, "it failed inside the server; the log says why")
		}
	}()
	if n.Kind == KindEnsemble {
		return f.ensemble(ctx, n)
	}
	in := make([]fairlead.Tensor, len(n.sources))
	for i, s := range n.sources {
		t, err := f.tensor(s)
		if err != nil {
			return nil, err
		}
		if rows != nil {
			if t, err = gather(t, rows, f.rowsOf(nil)); err != nil {
				return nil, err
			}
		}
		in[i] = seen(t, n.sig.Inputs[i].Name, n.sig.Inputs[i].Shape)
	}
	return n.run.run(ctx, f, n, in, rows)
}

// promised checks what a step gave against what it said when the pipeline was made: a model may have been swapped for one
// that answers otherwise.
func (n *node) promised(out []fairlead.Tensor) error {
	for _, name := range n.used {
		t, spec := fairlead.Find(out, name), n.sig.Output(name)
		switch {
		case t == nil:
			return fairlead.Errorf(fairlead.CodeUnavailable, "%s does not give %q any more", what(n.Step), name).
				Hintf("push the pipeline again")
		case t.Type != spec.Type || !engine.Fits(spec.Shape, t.Shape) && !fits(t.Shape, spec.Shape):
			return fairlead.Errorf(fairlead.CodeUnavailable, "%s gave %q as %s %s; when the pipeline was made it was %s %s", what(n.Step), name,
				t.Type, fairlead.ShapeString(t.Shape), spec.Type, fairlead.ShapeString(spec.Shape)).Hintf("push the pipeline again")
		}
	}
	return nil
}
