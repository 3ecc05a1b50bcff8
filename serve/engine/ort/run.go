package ort

// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// keptOutput is how many bytes of a run's outputs stay in C's memory until the next run on the same state, to save a
// call; larger ones are freed at once.
const keptOutput = 64 << 10

// Run computes the named outputs, all of them for nil. When ctx ends, the computation stops at the next node of the
// graph. Numeric inputs are read where they lie; outputs are copied once.
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
	st, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.release(st)
	if err := s.fill(st, in); err != nil {
		return nil, err
	}
	defer st.forget()
	n := s.choose(st, outputs)
	if err := s.compute(ctx, st, n); err != nil {
		return nil, err
	}
	return s.answers(st, outputs, n)
}

// choose writes down which outputs are wanted and says how many.
func (s *Session) choose(st *state, outputs []string) int {
	if outputs == nil {
		return copy(st.names, s.names[len(s.sig.Inputs):])
	}
	for i, name := range outputs {
		st.names[i] = s.names[len(s.sig.Inputs)+s.outputs[name]]
	}
	return len(outputs)
}

// compute is the run itself; its values are in st.out.
func (s *Session) compute(ctx context.Context, st *state, n int) error {
	var bad C.int
	if ctx.Done() == nil {
		bad = C.fl_run(s.r, s.s, st.c, C.size_t(n))
	} else {
		stop := context.AfterFunc(ctx, st.terminate)
		bad = C.fl_run(s.r, s.s, st.c, C.size_t(n))
		if !stop() {
			<-st.ended // it is using the options
			C.fl_unset_terminate(s.r, st.c)
		}
	}
	if bad == 0 {
		return nil
	}
	code, text := st.c.error.code, message(&st.c.error)
	switch {
	case ctx.Err() != nil:
		return engine.ContextError(ctx)
	case code == 2: // ORT_INVALID_ARGUMENT
		return fairlead.Invalid("the model cannot compute these inputs: %s", text)
	}
	return fairlead.Errorf(fairlead.CodeInternal, "the model failed: %s", text).
		Hintf("the graph itself gave up on these inputs")
}

// answers copies what the run left in C's memory.
func (s *Session) answers(st *state, outputs []string, n int) ([]fairlead.Tensor, error) {
	answers := make([]fairlead.Tensor, n)
	var kept C.size_t
	var err error
	for i := range answers {
		spec, v := &s.sig.Outputs[i], &st.out[i]
		if outputs != nil {
			spec = &s.sig.Outputs[s.outputs[outputs[i]]]
		}
		m, isMap := s.maps[spec.Name]
		switch {
		case isMap:
			answers[i], err = s.columns(v, *spec, m)
		case v.kind == C.FL_SEQUENCE:
			answers[i], err = s.stack(v, spec)
		default:
			answers[i], err = s.tensor(v, spec.Name)
		}
		if err != nil {
			break
		}
		kept += v.count*8 + v.bytes // at least
	}
	if kept > keptOutput || err != nil {
		C.fl_drop(s.r, st.c)
	}
	if err != nil {
		return nil, err
	}
	return answers, nil
}

// BareLoop runs the same inputs n times in C, with nothing of this package in between, and gives the time that took: the
// limit that benchmarks compare Run with.
func (s *Session) BareLoop(in []fairlead.Tensor, n int) (time.Duration, error) {
	if err := engine.Check(&s.sig, in); err != nil {
		return 0, err
	}
	st, err := s.acquire()
	if err != nil {
		return 0, err
	}
	defer s.release(st)
	if err := s.fill(st, in); err != nil {
		return 0, err
	}
	defer st.forget()
	outputs := s.choose(st, nil)
	start := time.Now()
	if C.fl_run_loop(s.r, s.s, st.c, C.size_t(outputs), C.size_t(n)) != 0 {
		return 0, fmt.Errorf("run the model: %s", message(&st.c.error))
	}
	return time.Since(start), nil
}

// fill describes the inputs for C, in the signature's order, and pins what they point to.
func (s *Session) fill(st *state, in []fairlead.Tensor) error {
	for i := range s.sig.Inputs {
		t := &in[i]
		if t.Name != s.sig.Inputs[i].Name {
			t = fairlead.Find(in, s.sig.Inputs[i].Name)
		}
		to := &st.in[i]
		if len(t.Shape) > len(to.dims) {
			st.forget()
			return fairlead.Invalid("input %q has %d dimensions, at most %d can be served", t.Name, len(t.Shape), len(to.dims))
		}
		to._type = C.int(typeNumbers[t.Type])
		to.rank = C.size_t(len(t.Shape))
		for d, size := range t.Shape {
			to.dims[d] = C.int64_t(size)
		}
		st.fillData(to, t)
	}
	return nil
}

// forget unpins the inputs. Their pointers leave C's memory first, while they are valid: a store over a stale one would show
// it to the garbage collector, which ends the process.
func (st *state) forget() {
	for i := range st.in {
		st.in[i].data, st.in[i].offsets = nil, nil
	}
	st.pinner.Unpin()
}

func (st *state) fillData(to *C.fl_input, t *fairlead.Tensor) {
	to.data, to.bytes, to.offsets = nil, 0, nil
	switch d := t.Data.(type) {
	case []bool:
		pin(st, to, d)
	case []int8:
		pin(st, to, d)
	case []int16:
		pin(st, to, d)
	case []int32:
		pin(st, to, d)
	case []int64:
		pin(st, to, d)
	case []uint8:
		pin(st, to, d)
	case []uint16:
		pin(st, to, d)
	case []uint32:
		pin(st, to, d)
	case []uint64:
		pin(st, to, d)
	case []float32:
		pin(st, to, d)
	case []float64:
		pin(st, to, d)
	case []string:
		st.fillStrings(to, d)
	}
}

func pin[T any](st *state, to *C.fl_input, d []T) {
	if len(d) == 0 {
		return
	}
	st.pinner.Pin(&d[0])
	to.data = unsafe.Pointer(&d[0])
	to.bytes = C.size_t(uintptr(len(d)) * unsafe.Sizeof(d[0]))
}

// fillStrings lays the strings end to end, because C must not see pointers to each of them.
func (st *state) fillStrings(to *C.fl_input, d []string) {
	size := 0
	for _, s := range d {
		size += len(s)
	}
	blob := make([]byte, 0, size)
	offsets := make([]uint64, 1, len(d)+1)
	for _, s := range d {
		blob = append(blob, s...)
		offsets = append(offsets, uint64(len(blob)))
	}
	pin(st, to, blob)
	st.pinner.Pin(&offsets[0])
	to.offsets = (*C.uint64_t)(&offsets[0])
}
