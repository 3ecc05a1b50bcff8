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
	rt     *Runtime
	r      *C.fl_runtime
	sig    fairlead.Signature
	maps   map[string]mapOutput // outputs that come as a sequence of maps
	inputs map[string]*C.char   // names in C's memory
	output map[string]*C.char

	mu sync.RWMutex // held for reading by every run
	s  unsafe.Pointer
}

// mapOutput is an output that a ZipMap node makes.
type mapOutput struct {
	keyType   fairlead.DataType // INT64 or BYTES
	valueType fairlead.DataType
}

// Load makes a session of an ONNX model. A file that ONNX Runtime refuses, or an input or output that fairlead cannot
// carry, gives CodeInvalid. The bytes are not kept.
func (rt *Runtime) Load(onnx []byte) (*Session, error) {
	if len(onnx) == 0 {
		return nil, fairlead.Invalid("the model is empty").Hintf("expected the bytes of an .onnx file")
	}
	r := rt.acquire()
	if r == nil {
		return nil, errRuntimeClosed
	}
	s := &Session{rt: rt, r: r, maps: map[string]mapOutput{}, inputs: map[string]*C.char{}, output: map[string]*C.char{}}
	var cErr C.fl_error
	if C.fl_load(r, unsafe.Pointer(&onnx[0]), C.size_t(len(onnx)), &s.s, &cErr) != 0 {
		s.s = nil
		_ = s.Close()
		return nil, fairlead.Invalid("ONNX Runtime %s refused the model: %s", rt.version, message(&cErr)).
			Hintf("the file must be a complete ONNX model; check it with onnx.checker.check_model")
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
		name := C.GoString(info.name)
		if isOutput {
			s.output[name] = info.name
		} else {
			s.inputs[name] = info.name
		}
		spec, err := s.spec(&info, name, isOutput, classes[name])
		if err != nil {
			return err
		}
		if isOutput {
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
	switch {
	case info.kind == C.FL_TENSOR && known:
		spec := fairlead.TensorSpec{Name: name, Type: t}
		if info.has_shape != 0 {
			spec.Shape = shapeOf(&info.dims, info.rank)
		}
		return spec, nil
	case info.kind == C.FL_TENSOR:
		return fairlead.TensorSpec{}, fairlead.Invalid("%s %q of the model has element type %s, which cannot be served",
			what, name, foreignTypes[int(info._type)]).
			Hintf("add a Cast to the graph, for example to float32")
	case output && info.kind == C.FL_SEQUENCE && info.element == C.FL_MAP && known:
		// One map of class and score per row: served as a tensor, a column per class.
		s.maps[name] = mapOutput{keyType: types[int(info.key_type)], valueType: t}
		width := int64(-1)
		if len(classes) > 0 {
			width = int64(len(classes))
		}
		return fairlead.TensorSpec{Name: name, Type: t, Shape: []int64{-1, width}, Classes: classes}, nil
	}
	err := fairlead.Invalid("%s %q of the model is %s, and only tensors can be served", what, name,
		foreignKinds[int(info.kind)])
	switch {
	case output && (info.kind == C.FL_MAP || info.element == C.FL_MAP):
		return fairlead.TensorSpec{}, err.Hintf("export the model without ZipMap: skl2onnx options={%q: False}", "zipmap")
	case output:
		return fairlead.TensorSpec{}, err.Hintf("make it a tensor in the graph, for example with ConcatFromSequence")
	}
	return fairlead.TensorSpec{}, err.Hintf("export the model with tensor inputs")
}

func shapeOf(dims *[C.FL_MAX_RANK]C.int64_t, rank C.size_t) []int64 {
	shape := make([]int64, rank)
	for i := range shape {
		shape[i] = int64(dims[i])
	}
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

// Close waits for the runs in flight and frees the model.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inputs == nil {
		return nil
	}
	C.fl_unload(s.r, s.s)
	for _, name := range s.inputs {
		C.free(unsafe.Pointer(name))
	}
	for _, name := range s.output {
		C.free(unsafe.Pointer(name))
	}
	s.s, s.inputs, s.output = nil, nil, nil
	s.rt.release()
	return nil
}
