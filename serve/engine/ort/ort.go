// Package ort runs ONNX models on ONNX Runtime, on the CPU. It is the only package with C in it.
//
// It binds the library itself rather than through yalue/onnxruntime_go v1.27, which has no scalars (a shape without
// dimensions is refused), cuts strings at a zero byte, fixes the outputs when a session is made, has no way to end a run
// through I/O binding, does not tell the element types of sequences and maps, loads a model a second time to learn its
// signature, and leaves Go memory in C's hands without pinning it. Here a run is one call into C: it frees the outputs
// of the run before on the same state, computes, and describes the new ones in place. Inputs are read where Go holds
// them, outputs are copied once.
//
// The library is given one thread per run, the caller's own, unless a session is loaded with more; such a pool never
// spins. How many runs go on at once is the caller's business. There is no arena: tensors come from C's heap, and what
// a session held goes back to the system when it is closed (malloc_trim, with glibc).
package ort

/*
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"github.com/fairlead-ml/fairlead"
)

// Runtime is the loaded library. It may be used by many goroutines at once.
type Runtime struct {
	version string

	mu       sync.Mutex
	r        *C.fl_runtime
	sessions int
}

// Open loads the ONNX Runtime library of that path, 1.24 or later, with its telemetry off, for the life of the process;
// only the environment inside it ends with Close. The error is CodeUnavailable and says what the loader said.
func Open(library string) (*Runtime, error) {
	// The library reads this once, when it starts. With cgo, Setenv reaches C's getenv.
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return nil, fmt.Errorf("switch telemetry off: %w", err)
	}
	path, err := filepath.Abs(library)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", library, err)
	}
	cPath := C.CString(path)
	defer C.free(unsafe.Pointer(cPath))
	var cErr C.fl_error
	var version [32]C.char
	rt := &Runtime{}
	if C.fl_open(cPath, &rt.r, &version[0], C.size_t(len(version)), &cErr) != 0 {
		return nil, fairlead.Errorf(fairlead.CodeUnavailable, "cannot load ONNX Runtime from %s: %s", path, message(&cErr)).
			Hintf("fairlead needs libonnxruntime 1.24 or later for this system; `make` fetches it into bin/")
	}
	rt.version = C.GoString(&version[0])
	return rt, nil
}

// Version is the library's own, for example "1.30.0".
func (rt *Runtime) Version() string { return rt.version }

// Memory is the bytes in use on C's heap, where models and their tensors are; 0 where the C library does not say.
func (rt *Runtime) Memory() int64 { return int64(C.fl_memory()) }

// Close ends the environment. It is an error while sessions are open.
func (rt *Runtime) Close() error {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.sessions > 0 {
		return fmt.Errorf("close ONNX Runtime: %d sessions are still open", rt.sessions)
	}
	if rt.r != nil {
		C.fl_close(rt.r)
		rt.r = nil
	}
	return nil
}

// acquire counts a session in; the answer is nil when the runtime is closed.
func (rt *Runtime) acquire() *C.fl_runtime {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.r != nil {
		rt.sessions++
	}
	return rt.r
}

func (rt *Runtime) release() {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.sessions--
}

var errRuntimeClosed = errors.New("ONNX Runtime is closed")

// message is what the library said, on one line, without its source positions, and not longer than a person reads. It
// frees e's text.
func message(e *C.fl_error) string {
	text := C.GoString(e.text)
	C.free(unsafe.Pointer(e.text))
	e.text = nil
	return trim(text)
}

func trim(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	// "/build/onnxruntime/core/graph/model.cc:151 onnxruntime::Model::Model(…) Protobuf parsing failed" and the like.
	i := strings.Index(s, ".cc:")
	if i < 0 {
		i = strings.Index(s, ".h:")
	}
	if i >= 0 {
		start := strings.LastIndexByte(s[:i], ' ') + 1
		end := i
		if j := strings.Index(s[i:], ") "); j >= 0 && strings.Contains(s[i:i+j], "(") {
			end = i + j + 2
		} else if j := strings.IndexByte(s[i:], ' '); j >= 0 {
			end = i + j + 1
		}
		s = s[:start] + s[end:]
	}
	const most = 400
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
