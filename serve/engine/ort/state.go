package ort

// #include "shim.h"
import "C"

import (
	"runtime"
	"unsafe"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// state is what one run needs: C's part of it, reused from run to run, and how to end the run from outside.
type state struct {
	c         *C.fl_state
	in        []C.fl_input // in C's memory, in the signature's order
	out       []C.fl_value
	names     []*C.char // of the outputs asked for
	pinner    runtime.Pinner
	terminate func()        // ends the run in flight
	ended     chan struct{} // terminate has done so; holds one
}

// acquire gives a state that no other run uses. The error is engine.ErrClosed's.
func (s *Session) acquire() (*state, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, engine.Closed()
	}
	s.running++
	if n := len(s.free); n > 0 {
		st := s.free[n-1]
		s.free = s.free[:n-1]
		s.mu.Unlock()
		return st, nil
	}
	s.mu.Unlock()
	st, err := s.newState()
	if err != nil {
		s.release(nil)
	}
	return st, err
}

// release gives a state back; nil is one that could not be made.
func (s *Session) release(st *state) {
	s.mu.Lock()
	if st != nil {
		s.free = append(s.free, st)
	}
	if s.running--; s.running == 0 && s.closed {
		s.idle.Broadcast()
	}
	s.mu.Unlock()
}

func (s *Session) newState() (*state, error) {
	inputs, outputs := len(s.sig.Inputs), len(s.sig.Outputs)
	var cErr C.fl_error
	c := C.fl_state_new(s.r, C.size_t(inputs), C.size_t(outputs), &cErr)
	if c == nil {
		return nil, fairlead.Errorf(fairlead.CodeInternal, "ONNX Runtime: %s", message(&cErr))
	}
	st := &state{
		c: c, in: unsafe.Slice(c.in, inputs), out: unsafe.Slice(c.out, outputs), names: unsafe.Slice(c.out_names, outputs),
		ended: make(chan struct{}, 1),
	}
	copy(unsafe.Slice(c.in_names, inputs), s.names)
	st.terminate = func() {
		C.fl_terminate(s.r, c)
		st.ended <- struct{}{}
	}
	return st, nil
}
