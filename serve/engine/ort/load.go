package ort

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/fairlead-ml/fairlead"
)

// Session is one loaded model; it implements engine.Session.
type Session struct {
	rt   *Runtime
	r    *C.fl_runtime
	s    unsafe.Pointer
	sig  fairlead.Signature
	maps map[string]mapOutput // outputs that come as a sequence of maps

	names   []*C.char // of the inputs, then of the outputs, in C's memory
	outputs map[string]int

	mu      sync.Mutex
	idle    *sync.Cond // no run is in flight
	free    []*state   // as many as runs were ever in flight at once
	running int
	closed  bool
}

// mapOutput is an output that a ZipMap node makes.
type mapOutput struct {
	keyType   fairlead.DataType // INT64 or BYTES
	valueType fairlead.DataType
}

// Options say how a model is run.
type Options struct {
	// Threads is how many threads compute one run, the caller's included; 0 and 1 are the caller's alone. More are a pool
	// of this session that sleeps between runs.
	Threads int
}

// Load makes a session of an ONNX model. A file that ONNX Runtime refuses, or an input or output that fairlead cannot
// carry, gives CodeInvalid. The bytes are not kept.
func (rt *Runtime) Load(onnx []byte, o Options) (*Session, error) {
	if len(onnx) == 0 {
		return nil, fairlead.Invalid("the model is empty").Hintf("expected the bytes of an .onnx file")
	}
	if name := externalWeights(onnx); name != "" {
		return nil, fairlead.Invalid("weights %q of the model are in another file", name).
			Hintf("put everything into one file: onnx.save(model, path, save_as_external_data=False)")
	}
	r := rt.acquire()
	if r == nil {
		return nil, errRuntimeClosed
	}
	s := &Session{rt: rt, r: r, maps: map[string]mapOutput{}, outputs: map[string]int{}}
	s.idle = sync.NewCond(&s.mu)
	var cErr C.fl_error
	if C.fl_load(r, unsafe.Pointer(&onnx[0]), C.size_t(len(onnx)), C.int(max(o.Threads, 1)), &s.s, &cErr) != 0 {
		s.s = nil
		_ = s.Close()
		return nil, refusal(rt.version, message(&cErr))
	}
	if err := s.readSignature(onnx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Session) readSignature(onnx []byte) error {
	var inputs, outputs C.size_t
	var cErr C.fl_error
	if C.fl_count(s.r, s.s, &inputs, &outputs, &cErr) != 0 {
		return fmt.Errorf("read the model's signature: %s", message(&cErr))
	}
	s.sig.Task = fairlead.TaskNone
	classes := zipMapClasses(onnx)
	for i := range int(inputs + outputs) {
		isOutput, at := i >= int(inputs), i
		if isOutput {
			at -= int(inputs)
		}
		var info C.fl_info
		if C.fl_describe(s.r, s.s, cBool(isOutput), C.size_t(at), &info, &cErr) != 0 {
			return fmt.Errorf("read the model's signature: %s", message(&cErr))
		}
		s.names = append(s.names, info.name)
		name := C.GoString(info.name)
		spec, err := s.spec(&info, name, isOutput, classes[name])
		if err != nil {
			return err
		}
		if isOutput {
			s.outputs[name] = at
			s.sig.Outputs = append(s.sig.Outputs, spec)
		} else {
			s.sig.Inputs = append(s.sig.Inputs, spec)
		}
	}
	return nil
}

func (s *Session) spec(info *C.fl_info, name string, output bool, classes []string) (fairlead.TensorSpec, error) {
	what := "input"
	if output {
		what = "output"
	}
	t, known := types[int(info._type)]
	isTensor := info.kind == C.FL_TENSOR || output && info.kind == C.FL_SEQUENCE && info.element == C.FL_TENSOR
	switch {
	case isTensor && !known:
		return fairlead.TensorSpec{}, fairlead.Invalid("%s %q of the model has element type %s, which cannot be served",
			what, name, foreignTypes[int(info._type)]).
			Hintf("add a Cast to the graph, for example to float32")
	case isTensor:
		spec := fairlead.TensorSpec{Name: name, Type: t}
		if info.has_shape != 0 {
			spec.Shape = shapeOf(&info.dims[0], info.rank)
		}
		if info.kind == C.FL_SEQUENCE && spec.Shape != nil {
			// Served as one tensor: the members are its first dimension.
			spec.Shape = append([]int64{-1}, spec.Shape...)
		}
		return spec, nil
	case output && info.kind == C.FL_SEQUENCE && info.element == C.FL_MAP && known:
		// One map of class and score per row: served as a tensor, a column per class.
		s.maps[name] = mapOutput{keyType: types[int(info.key_type)], valueType: t}
		width := int64(-1)
		if len(classes) > 0 {
			width = int64(len(classes))
		}
		return fairlead.TensorSpec{Name: name, Type: t, Shape: []int64{-1, width}, Classes: classes}, nil
	}
	return fairlead.TensorSpec{}, foreign(info, what, name)
}

// foreign is the error of an input or output that is no tensor and cannot become one.
func foreign(info *C.fl_info, what, name string) error {
	kind := foreignKinds[int(info.kind)]
	if info.kind == C.FL_SEQUENCE && info.element != C.FL_TENSOR {
		kind += " of " + foreignKinds[int(info.element)]
	}
	err := fairlead.Invalid("%s %q of the model is %s, which cannot be served", what, name, kind)
	switch {
	case info.kind == C.FL_OPTIONAL:
		return err.Hintf("make it a plain tensor in the graph: OptionalGetElement takes an optional apart")
	case what == "output" && (info.kind == C.FL_MAP || info.element == C.FL_MAP):
		return err.Hintf("export the model without ZipMap: skl2onnx options={%q: False}", "zipmap")
	case what == "output":
		return err.Hintf("make it a tensor in the graph, for example with ConcatFromSequence")
	case info.kind == C.FL_SEQUENCE:
		return err.Hintf("inputs are tensors: give the graph a tensor and take it apart inside with SplitToSequence")
	}
	return err.Hintf("export the model with tensor inputs")
}

func shapeOf(dims *C.int64_t, rank C.size_t) []int64 {
	shape := make([]int64, rank)
	copy(shape, unsafe.Slice((*int64)(dims), rank))
	return shape
}

func cBool(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// Signature is the graph's own.
func (s *Session) Signature() fairlead.Signature { return s.sig }

// Close waits for the runs in flight and frees the model; what the C heap can spare goes back to the system.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	for s.running > 0 {
		s.idle.Wait()
	}
	for _, st := range s.free {
		C.fl_state_free(s.r, st.c)
	}
	C.fl_unload(s.r, s.s)
	for _, name := range s.names {
		C.free(unsafe.Pointer(name))
	}
	s.s, s.names, s.free = nil, nil, nil
	s.rt.release()
	return nil
}
