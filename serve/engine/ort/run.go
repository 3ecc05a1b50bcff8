package ort

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"context"
	"runtime"
	"unsafe"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// Run computes the named outputs, all of them for nil. When ctx ends, the computation stops at the next node of the
// graph.
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
	if s.s == nil {
		return nil, engine.Closed()
	}
	specs := s.selected(outputs)
	values, err := s.compute(ctx, in, specs)
	if err != nil {
		return nil, err
	}
	defer func() {
		for i := range values {
			C.fl_release(s.r, values[i].value)
		}
	}()
	answers := make([]fairlead.Tensor, len(specs))
	for i, spec := range specs {
		if m, ok := s.maps[spec.Name]; ok {
			answers[i], err = s.columns(&values[i], spec, m)
		} else {
			answers[i], err = s.tensor(&values[i], spec.Name)
		}
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

func (s *Session) selected(outputs []string) []fairlead.TensorSpec {
	if outputs == nil {
		return s.sig.Outputs
	}
	specs := make([]fairlead.TensorSpec, len(outputs))
	for i, name := range outputs {
		specs[i] = *s.sig.Output(name)
	}
	return specs
}

// compute is the run itself. The caller releases the values.
func (s *Session) compute(ctx context.Context, in []fairlead.Tensor, specs []fairlead.TensorSpec) ([]C.fl_value, error) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	inputs := make([]C.fl_input, len(in))
	names := make([]*C.char, len(in)+len(specs))
	for i := range in {
		names[i] = s.inputs[in[i].Name]
		fill(&inputs[i], &in[i], &pinner)
	}
	for i, spec := range specs {
		names[len(in)+i] = s.output[spec.Name]
	}
	values := make([]C.fl_value, len(specs))

	var cErr C.fl_error
	var options unsafe.Pointer
	if ctx.Done() != nil {
		if C.fl_run_options(s.r, &options, &cErr) != 0 {
			return nil, fairlead.Errorf(fairlead.CodeInternal, "ONNX Runtime: %s", message(&cErr))
		}
		done := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			C.fl_terminate(s.r, options)
			close(done)
		})
		defer func() {
			if !stop() {
				<-done // it is using the options
			}
			C.fl_release_run_options(s.r, options)
		}()
	}
	bad := C.fl_run(s.r, s.s, options, unsafe.SliceData(names), unsafe.SliceData(inputs), C.size_t(len(in)),
		unsafe.SliceData(names[len(in):]), unsafe.SliceData(values), C.size_t(len(specs)), &cErr)
	switch {
	case bad == 0:
		return values, nil
	case ctx.Err() != nil:
		return nil, engine.ContextError(ctx)
	case cErr.code == 2: // ORT_INVALID_ARGUMENT
		return nil, fairlead.Invalid("the model cannot compute these inputs: %s", message(&cErr))
	}
	return nil, fairlead.Errorf(fairlead.CodeInternal, "the model failed: %s", message(&cErr)).
		Hintf("the graph itself gave up on these inputs")
}

// fill describes a tensor for C and pins what it points to.
func fill(to *C.fl_input, t *fairlead.Tensor, pinner *runtime.Pinner) {
	to._type = C.int(typeNumbers[t.Type])
	to.rank = C.size_t(len(t.Shape))
	if len(t.Shape) > 0 {
		pinner.Pin(&t.Shape[0])
		to.dims = (*C.int64_t)(&t.Shape[0])
	}
	switch d := t.Data.(type) {
	case []bool:
		pin(to, d, pinner)
	case []int8:
		pin(to, d, pinner)
	case []int16:
		pin(to, d, pinner)
	case []int32:
		pin(to, d, pinner)
	case []int64:
		pin(to, d, pinner)
	case []uint8:
		pin(to, d, pinner)
	case []uint16:
		pin(to, d, pinner)
	case []uint32:
		pin(to, d, pinner)
	case []uint64:
		pin(to, d, pinner)
	case []float32:
		pin(to, d, pinner)
	case []float64:
		pin(to, d, pinner)
	case []string:
		fillStrings(to, d, pinner)
	}
}

func pin[T any](to *C.fl_input, d []T, pinner *runtime.Pinner) {
	if len(d) == 0 {
		return
	}
	pinner.Pin(&d[0])
	to.data = unsafe.Pointer(&d[0])
	to.bytes = C.size_t(uintptr(len(d)) * unsafe.Sizeof(d[0]))
}

// fillStrings lays the strings end to end, because C must not see pointers to each of them.
func fillStrings(to *C.fl_input, d []string, pinner *runtime.Pinner) {
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
	pin(to, blob, pinner)
	pinner.Pin(&offsets[0])
	to.offsets = (*C.uint64_t)(&offsets[0])
}
