// Package wasm runs WebAssembly modules that turn tensors into tensors: the steps of a pipeline that no graph can express.
// A module reaches no file, no network, no environment and no real clock; it has a limit of memory and of time, and one
// that breaks them, traps or answers nonsense fails its own request only.
//
// A module exports its memory as "memory" and two functions:
//
//	allocate(size: u32) -> pointer: u32      room for the inputs; what was answered before may be overwritten
//	transform(pointer: u32, size: u32) -> u64   the pointer of the answer in the high half, its size in the low one
//
// Inputs and answer are frames (see appendFrame). "_initialize" is called first, where it is exported. Modules for WASI
// (wasi_snapshot_preview1) find it empty: no arguments, no files, a clock that only counts. Instances are used again, one
// request at a time, in any order.
package wasm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// What a module has if nobody says otherwise.
const (
	DefaultMemory = 64 << 20
	DefaultTime   = time.Second
)

// MaxModule bounds the bytes of a module.
const MaxModule = 64 << 20

const pageSize = 64 << 10

// Options say what a module may use.
type Options struct {
	Name      string // of the module, for messages
	Signature fairlead.Signature
	Memory    int64         // bytes of one instance; 0: DefaultMemory
	Time      time.Duration // of one call, and of the start of an instance; 0: DefaultTime
	Instances int           // at work at the same time; 0: 1
}

// Session is a loaded module; it implements engine.Session.
type Session struct {
	options  Options
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	slots    chan struct{} // one for each instance at work

	mu     sync.RWMutex // held for reading by every run
	closed bool
	idleMu sync.Mutex
	idle   []*instance
}

var _ engine.Session = (*Session)(nil)

// instance is a module with a memory of its own.
type instance struct {
	module              api.Module
	allocate, transform api.Function
}

// Load compiles a module and starts a first instance of it. Errors are CodeInvalid: what the module lacks, or wants that
// there is not.
func Load(ctx context.Context, module []byte, o Options) (*Session, error) {
	if o.Memory == 0 {
		o.Memory = DefaultMemory
	}
	if o.Time == 0 {
		o.Time = DefaultTime
	}
	o.Instances = max(1, o.Instances)
	if len(module) > MaxModule {
		return nil, fairlead.Errorf(fairlead.CodeTooLarge, "module %s has %d bytes; %d is the most", o.Name, len(module), MaxModule)
	}
	pages := min(max(o.Memory/pageSize, 1), math.MaxUint16+1)
	s := &Session{options: o, slots: make(chan struct{}, o.Instances)}
	s.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(true).
		WithMemoryLimitPages(uint32(pages)).WithDebugInfoEnabled(false))
	if err := s.load(ctx, module); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Session) load(ctx context.Context, module []byte) (err error) {
	if s.compiled, err = s.runtime.CompileModule(ctx, module); err != nil {
		return fairlead.Invalid("%s is not a WebAssembly module that can be run: %v", s.options.Name, err).Cause(err)
	}
	if err := s.imports(ctx); err != nil {
		return err
	}
	if err := s.exports(); err != nil {
		return err
	}
	i, err := s.start(ctx)
	if err != nil {
		return err
	}
	s.idle = append(s.idle, i)
	return nil
}

// imports gives a module the empty WASI if it wants it. It gets nothing else.
func (s *Session) imports(ctx context.Context) error {
	wasi := false
	var foreign []string
	for _, f := range s.compiled.ImportedFunctions() {
		from, name, _ := f.Import()
		if from == wasi_snapshot_preview1.ModuleName {
			wasi = true
		} else {
			foreign = append(foreign, from+"."+name)
		}
	}
	for _, m := range s.compiled.ImportedMemories() {
		from, name, _ := m.Import()
		foreign = append(foreign, from+"."+name)
	}
	if len(foreign) > 0 {
		slices.Sort(foreign)
		return fairlead.Invalid("module %s imports %s, which it is not given", s.options.Name, strings.Join(foreign[:min(5, len(foreign))], ", ")).
			Hintf("a transform works on its tensors alone; of the outside it may import wasi_snapshot_preview1, which is empty")
	}
	if !wasi {
		return nil
	}
	_, err := wasi_snapshot_preview1.Instantiate(ctx, s.runtime)
	return err
}

// exports checks the two functions and the memory.
func (s *Session) exports() error {
	if s.compiled.ExportedMemories()["memory"] == nil {
		return fairlead.Invalid("module %s does not export its memory", s.options.Name).Hintf(`export it under the name "memory"`)
	}
	functions := s.compiled.ExportedFunctions()
	for _, want := range []struct {
		name            string
		params, results []api.ValueType
		as              string
	}{
		{"allocate", []api.ValueType{api.ValueTypeI32}, []api.ValueType{api.ValueTypeI32}, "(i32) -> i32"},
		{"transform", []api.ValueType{api.ValueTypeI32, api.ValueTypeI32}, []api.ValueType{api.ValueTypeI64}, "(i32, i32) -> i64"},
	} {
		f := functions[want.name]
		if f == nil || !slices.Equal(f.ParamTypes(), want.params) || !slices.Equal(f.ResultTypes(), want.results) {
			return fairlead.Invalid("module %s does not export %s%s", s.options.Name, want.name, want.as).
				Hintf("a transform exports allocate(i32) -> i32 and transform(i32, i32) -> i64; docs/pipelines.md describes them")
		}
	}
	return nil
}

// start makes an instance.
func (s *Session) start(ctx context.Context) (*instance, error) {
	limited, cancel := context.WithTimeout(ctx, s.options.Time)
	defer cancel()
	m, err := s.runtime.InstantiateModule(limited, s.compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions("_initialize"))
	if err != nil {
		return nil, s.broken(ctx, limited, "start", err)
	}
	return &instance{m, m.ExportedFunction("allocate"), m.ExportedFunction("transform")}, nil
}

// Signature implements engine.Session: it is the one given to Load.
func (s *Session) Signature() fairlead.Signature { return s.options.Signature }

// Run implements engine.Session. What the module says is wrong with the inputs is CodeInvalid; what is wrong with the
// module is CodeInternal.
func (s *Session) Run(ctx context.Context, in []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error) {
	if ctx.Err() != nil {
		return nil, engine.ContextError(ctx)
	}
	if err := engine.Check(&s.options.Signature, in); err != nil {
		return nil, err
	}
	if err := engine.CheckOutputs(&s.options.Signature, outputs); err != nil {
		return nil, err
	}
	ordered := make([]fairlead.Tensor, len(in))
	for i := range s.options.Signature.Inputs {
		ordered[i] = *fairlead.Find(in, s.options.Signature.Inputs[i].Name)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, engine.Closed()
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, engine.ContextError(ctx)
	}
	answer, err := s.call(ctx, ordered)
	if err != nil {
		return nil, err
	}
	return s.choose(answer, outputs)
}

// call runs an idle instance, or a new one. One that failed is not used again.
func (s *Session) call(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
	frame, err := appendFrame(nil, in)
	if err != nil {
		return nil, err
	}
	i := s.take()
	if i == nil {
		if i, err = s.start(ctx); err != nil {
			return nil, err
		}
	}
	limited, cancel := context.WithTimeout(ctx, s.options.Time)
	defer cancel()
	answer, err := s.transform(limited, i, frame)
	var refused *refusal
	switch {
	case err == nil || errors.As(err, &refused):
		s.idleMu.Lock()
		s.idle = append(s.idle, i)
		s.idleMu.Unlock()
	default:
		_ = i.module.Close(context.WithoutCancel(ctx)) // it is broken already
	}
	if refused != nil {
		return nil, fairlead.Invalid("%s: %s", s.options.Name, refused.text)
	}
	if err != nil {
		return nil, s.broken(ctx, limited, "run", err)
	}
	return answer, nil
}

func (s *Session) take() *instance {
	s.idleMu.Lock()
	defer s.idleMu.Unlock()
	n := len(s.idle)
	if n == 0 {
		return nil
	}
	i := s.idle[n-1]
	s.idle = s.idle[:n-1]
	return i
}

// transform passes a frame to an instance and reads its answer.
func (s *Session) transform(ctx context.Context, i *instance, frame []byte) ([]fairlead.Tensor, error) {
	if uint64(len(frame)) > math.MaxUint32 {
		return nil, &refusal{fmt.Sprintf("the inputs have %d bytes, more than a module can address", len(frame))}
	}
	size := uint64(len(frame))
	got, err := i.allocate.Call(ctx, size)
	if err != nil {
		return nil, err
	}
	at := uint32(got[0])
	if !i.module.Memory().Write(at, frame) {
		return nil, fmt.Errorf("allocate(%d) gave %d, where there is no room for that", size, at)
	}
	if got, err = i.transform.Call(ctx, uint64(at), size); err != nil {
		return nil, err
	}
	pointer, length := uint32(got[0]>>32), uint32(got[0])
	b, ok := i.module.Memory().Read(pointer, length)
	if !ok {
		return nil, fmt.Errorf("transform says that its answer is %d bytes at %d, beyond its memory of %d", length, pointer, i.module.Memory().Size())
	}
	tensors, err := readFrame(b)
	var refused *refusal
	if err != nil && !errors.As(err, &refused) {
		err = fmt.Errorf("its answer cannot be read: %w", err)
	}
	return tensors, err
}

// broken is the error of a module that was ended or ended itself.
func (s *Session) broken(ctx, limited context.Context, verb string, err error) error {
	if ctx.Err() != nil {
		return engine.ContextError(ctx)
	}
	if limited.Err() != nil {
		e := fairlead.Errorf(fairlead.CodeDeadline, "module %s did not %s within the %v it has", s.options.Name, verb, s.options.Time).Cause(err)
		e.Reason = "transform_time"
		return e.Hintf("time: in the step allows more")
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	e := fairlead.Errorf(fairlead.CodeInternal, "module %s failed: %s", s.options.Name, printable([]byte(first))).Cause(err)
	e.Reason = "transform_failed"
	return e
}

// choose checks the answer against the signature and picks the outputs asked for.
func (s *Session) choose(answer []fairlead.Tensor, outputs []string) ([]fairlead.Tensor, error) {
	wrong := func(format string, args ...any) error {
		e := fairlead.Errorf(fairlead.CodeInternal, "module %s: %s", s.options.Name, fmt.Sprintf(format, args...))
		e.Reason = "transform_failed"
		return e
	}
	for i := range s.options.Signature.Outputs {
		spec := &s.options.Signature.Outputs[i]
		t := fairlead.Find(answer, spec.Name)
		switch {
		case t == nil:
			return nil, wrong("it answered without the output %q", spec.Name)
		case t.Type != spec.Type || !engine.Fits(spec.Shape, t.Shape):
			return nil, wrong("it answered %q as %s %s; its signature says %s %s", spec.Name, t.Type, fairlead.ShapeString(t.Shape), spec.Type,
				fairlead.ShapeString(spec.Shape))
		}
	}
	if outputs == nil {
		outputs = make([]string, len(s.options.Signature.Outputs))
		for i := range outputs {
			outputs[i] = s.options.Signature.Outputs[i].Name
		}
	}
	chosen := make([]fairlead.Tensor, len(outputs))
	for i, name := range outputs {
		chosen[i] = *fairlead.Find(answer, name)
	}
	return chosen, nil
}

// Close implements engine.Session.
func (s *Session) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.idle = nil
	return s.runtime.Close(context.Background())
}
