// Package fake is an engine for tests: a model that is a Go function.
package fake

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// Session computes with Func; it implements engine.Session.
type Session struct {
	sig  fairlead.Signature
	f    Func
	runs atomic.Int64

	mu     sync.RWMutex // held for reading by every run
	closed bool
}

// Func computes all outputs of a signature, in its order, from inputs in its order. It should return when ctx ends.
type Func func(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error)

// New makes a session of that signature.
func New(sig fairlead.Signature, f Func) *Session { return &Session{sig: sig, f: f} }

// Runs counts the runs that reached Func.
func (s *Session) Runs() int { return int(s.runs.Load()) }

// Signature is the one given to New.
func (s *Session) Signature() fairlead.Signature { return s.sig }

// Run checks the inputs and calls Func.
func (s *Session) Run(ctx context.Context, in []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error) {
	if ctx.Err() != nil {
		return nil, engine.ContextError(ctx)
	}
	if err := engine.Check(&s.sig, in); err != nil {
		return nil, err
	}
	if err := engine.CheckOutputs(&s.sig, outputs); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, engine.Closed()
	}
	s.runs.Add(1)
	ordered := make([]fairlead.Tensor, len(s.sig.Inputs))
	for i, spec := range s.sig.Inputs {
		ordered[i] = *fairlead.Find(in, spec.Name)
	}
	out, err := s.f(ctx, ordered)
	if ctx.Err() != nil {
		return nil, engine.ContextError(ctx)
	}
	if err != nil || outputs == nil {
		return out, err
	}
	chosen := make([]fairlead.Tensor, len(outputs))
	for i, name := range outputs {
		chosen[i] = *fairlead.Find(out, name)
	}
	return chosen, nil
}

// Close waits for the runs in flight.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Echo is a model with one FP32 input "x" of shape [?,width] and an output "y" equal to it.
func Echo(width int) *Session {
	sig := fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, int64(width)}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1, int64(width)}}},
	}
	return New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		y := in[0]
		y.Name, y.Data = "y", slices.Clone(in[0].Data.([]float32))
		return []fairlead.Tensor{y}, nil
	})
}
