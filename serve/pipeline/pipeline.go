package pipeline

import (
	"context"
	"errors"
	"sync"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// Pipeline is a loaded pipeline: a session of its own signature. It may be used by many goroutines at once.
type Pipeline struct {
	def      *Definition
	options  Options
	sig      fairlead.Signature
	nodes    []*node // each after those that it needs
	outputs  []source
	sessions []engine.Session // of transforms and processes

	mu      sync.Mutex
	closed  bool
	flights sync.WaitGroup // answers, and steps that go on after their answer
}

var (
	_ engine.Session  = (*Pipeline)(nil)
	_ serve.Composite = (*Pipeline)(nil)
)

// Definition is what the pipeline was made of.
func (p *Pipeline) Definition() *Definition { return p.def }

// Signature implements engine.Session. It was derived from the steps when the pipeline was made.
func (p *Pipeline) Signature() fairlead.Signature { return p.sig }

// Run implements engine.Session, for callers who know nothing but tensors.
func (p *Pipeline) Run(ctx context.Context, in []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error) {
	if ctx.Err() != nil {
		return nil, engine.ContextError(ctx)
	}
	if err := engine.Check(&p.sig, in); err != nil {
		return nil, err
	}
	if err := engine.CheckOutputs(&p.sig, outputs); err != nil {
		return nil, err
	}
	out, _, err := p.Answer(ctx, serve.Part{Tensors: in, Outputs: outputs})
	return out, err
}

// Answer implements serve.Composite. The tensors fit the signature. The note names the fallbacks that answered.
func (p *Pipeline) Answer(ctx context.Context, part serve.Part) ([]fairlead.Tensor, string, error) {
	if !p.enter() {
		return nil, "", engine.Closed()
	}
	defer p.flights.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &flight{Pipeline: p, part: part, ctx: ctx, cells: make([]cell, len(p.nodes))}
	sources, names := p.wanted(part.Outputs)
	if err := f.need(sources); err != nil {
		return nil, f.note(), f.ended(err)
	}
	out := make([]fairlead.Tensor, len(sources))
	for i, s := range sources {
		t, err := f.tensor(s)
		if err != nil {
			return nil, f.note(), inOutput(names[i], err)
		}
		out[i] = seen(t, names[i], nil)
	}
	return out, f.note(), nil
}

// wanted are the outputs asked for, nil for all.
func (p *Pipeline) wanted(outputs []string) (sources []source, names []string) {
	for i := range p.sig.Outputs {
		if outputs == nil {
			sources, names = append(sources, p.outputs[i]), append(names, p.sig.Outputs[i].Name)
		}
	}
	for _, name := range outputs {
		for i := range p.sig.Outputs {
			if p.sig.Outputs[i].Name == name {
				sources, names = append(sources, p.outputs[i]), append(names, name)
			}
		}
	}
	return sources, names
}

func (p *Pipeline) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.flights.Add(1)
	return true
}

// Close waits for the answers under way and ends the pipeline's transforms and processes.
func (p *Pipeline) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	p.flights.Wait()
	if !first {
		return nil
	}
	var errs []error
	for _, s := range p.sessions {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
