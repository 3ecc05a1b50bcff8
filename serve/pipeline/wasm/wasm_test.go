package wasm

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var hashing = fairlead.Signature{
	Inputs:  []fairlead.TensorSpec{{Name: "text", Type: fairlead.Bytes, Shape: []int64{-1, 1}}},
	Outputs: []fairlead.TensorSpec{{Name: "counts", Type: fairlead.FP32, Shape: []int64{-1, 256}}},
}

func example(t testing.TB) []byte {
	module, err := os.ReadFile("../../../examples/pipelines/reviews/hash.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func text(lines ...string) fairlead.Tensor {
	return fairlead.Tensor{Name: "text", Type: fairlead.Bytes, Shape: []int64{int64(len(lines)), 1}, Data: lines}
}

func fnv(word string) int {
	h := uint32(2166136261)
	for _, b := range []byte(word) {
		h = (h ^ uint32(b)) * 16777619
	}
	return int(h % 256)
}

// TestTheExampleIsAnEngine runs the committed module through the suite that every engine passes.
func TestTheExampleIsAnEngine(t *testing.T) {
	want := make([]float32, 2*256)
	for _, word := range []string{"so", "good", "good"} {
		want[fnv(word)]++
	}
	want[256+fnv("schön")]++
	module := example(t)
	enginetest.Run(t, enginetest.Suite{Goldens: []enginetest.Golden{{
		Name: "hash.wasm",
		Open: func(t *testing.T) engine.Session {
			s, err := Load(t.Context(), module, Options{Name: "hash.wasm", Signature: hashing, Instances: 2, Time: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		In:   []fairlead.Tensor{text("So good, GOOD!", "schön")},
		Want: []fairlead.Tensor{{Name: "counts", Type: fairlead.FP32, Shape: []int64{2, 256}, Data: want}},
	}}})
}

func TestAModuleRefusesInputsInItsOwnWords(t *testing.T) {
	s, err := Load(t.Context(), example(t), Options{Name: "hash.wasm", Signature: hashing})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Run(t.Context(), []fairlead.Tensor{text("\xff")}, nil); fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), "hash.wasm: a text is not UTF-8") {
		t.Errorf("%v", err)
	}
	if _, err := s.Run(t.Context(), []fairlead.Tensor{text("fine")}, nil); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

// WebAssembly's opcodes that the hostile modules are made of.
const (
	opUnreachable, opLoop, opEnd, opBranch, opCall = 0x00, 0x03, 0x0b, 0x0c, 0x10
	opDrop, opI32, opI64, opGrow                   = 0x1a, 0x41, 0x42, 0x40
)

func leb(v int64) (out []byte) { // signed
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func vec(items ...[]byte) []byte { return append(uleb(len(items)), slices.Concat(items...)...) }

func uleb(n int) (out []byte) {
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

func sized(b []byte) []byte { return append(uleb(len(b)), b...) }

// crafted is a module with one page of memory, data at 1024, and two functions of that code.
func crafted(allocate, transform, data []byte) []byte {
	section := func(id byte, body []byte) []byte { return append([]byte{id}, sized(body)...) }
	export := func(name string, kind byte, index int) []byte {
		return slices.Concat(sized([]byte(name)), []byte{kind}, uleb(index))
	}
	code := func(body []byte) []byte { return sized(slices.Concat([]byte{0}, body, []byte{opEnd})) }
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vec([]byte{0x60, 1, 0x7f, 1, 0x7f}, []byte{0x60, 2, 0x7f, 0x7f, 1, 0x7e})),
		section(3, vec([]byte{0}, []byte{1})),
		section(5, vec([]byte{0, 1})),
		section(7, vec(export("memory", 2, 0), export("allocate", 0, 0), export("transform", 0, 1))),
		section(10, vec(code(allocate), code(transform))),
		section(11, vec(slices.Concat([]byte{0, opI32}, leb(1024), []byte{opEnd}, sized(data)))))
}

func i64(v int64) []byte { return append([]byte{opI64}, leb(v)...) }

func at(pointer, size int) []byte { return i64(int64(pointer)<<32 | int64(size)) }

var fine = append([]byte{opI32}, leb(32768)...) // an allocate that gives the second half of the page

func answering(frame []byte) []byte { return crafted(fine, at(1024, len(frame)), frame) }

func frameOf(t *testing.T, tensors ...fairlead.Tensor) []byte {
	f, err := appendFrame(nil, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestHostileModules(t *testing.T) {
	sig := fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1}}},
	}
	x := fairlead.Tensor{Name: "x", Type: fairlead.FP32, Shape: []int64{2}, Data: []float32{1, 2}}
	y := fairlead.Tensor{Name: "y", Type: fairlead.FP32, Shape: []int64{2}, Data: []float32{3, 4}}
	forever := []byte{opLoop, 0x40, opBranch, 0, opEnd}
	greedy := slices.Concat([]byte{opLoop, 0x40, opI32}, leb(16), []byte{opGrow, 0, opDrop, opBranch, 0, opEnd})
	endless := slices.Clone(frameOf(t, y))
	binary.LittleEndian.PutUint32(endless[4:], 1<<31)
	for _, test := range []struct {
		name   string
		module []byte
		code   fairlead.Code
		want   string
	}{
		{"honest", answering(frameOf(t, y)), "", ""},
		{"loops", crafted(fine, slices.Concat(forever, i64(0)), nil), fairlead.CodeDeadline, "module m did not run within the 50ms it has"},
		{"loops in allocate", crafted(slices.Concat(forever, fine), i64(0), nil), fairlead.CodeDeadline, "did not run within"},
		{"takes all memory", crafted(fine, slices.Concat(greedy, i64(0)), nil), fairlead.CodeDeadline, "did not run within"},
		{"traps", crafted(fine, []byte{opUnreachable}, nil), fairlead.CodeInternal, "module m failed: wasm error: unreachable"},
		{"calls itself", crafted(fine, append([]byte{opI32, 0, opI32, 0, opCall}, 1), nil), fairlead.CodeInternal, "stack overflow"},
		{"allocates nowhere", crafted(slices.Concat([]byte{opI32}, leb(65530)), i64(0), nil), fairlead.CodeInternal, "allocate(41) gave 65530, where there is no room"},
		{"answers from nowhere", crafted(fine, at(1<<30, 64), nil), fairlead.CodeInternal, "beyond its memory of 65536"},
		{"answers everything", crafted(fine, i64(-1), nil), fairlead.CodeInternal, "beyond its memory"},
		{"answers nothing", crafted(fine, i64(0), nil), fairlead.CodeInternal, "its answer cannot be read: it ends 4 bytes early"},
		{"answers garbage", answering([]byte("hello, world")), fairlead.CodeInternal, `it starts with "hell"`},
		{"answers too little", answering(frameOf(t, y)[:20]), fairlead.CodeInternal, "its answer cannot be read: tensor 0:"},
		{"answers too much", answering(append(frameOf(t, y), 7)), fairlead.CodeInternal, "1 bytes are left"},
		{"answers two billion tensors", answering(endless), fairlead.CodeInternal, "2147483648 tensors"},
		{"answers another name", answering(frameOf(t, x)), fairlead.CodeInternal, `it answered without the output "y"`},
		{"answers another type", answering(frameOf(t, fairlead.Tensor{Name: "y", Type: fairlead.Int8, Shape: []int64{1}, Data: []int8{1}})), fairlead.CodeInternal, `it answered "y" as INT8 [1]; its signature says FP32 [?]`},
		{"answers a word", answering(append([]byte("FLE1\x05\x00\x00\x00"), "no\x1b[m"...)), fairlead.CodeInvalid, "m: no [m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			limit := 50 * time.Millisecond
			if test.name == "calls itself" {
				limit = time.Minute // its stack is bounded by size
			}
			s, err := Load(t.Context(), test.module, Options{Name: "m", Signature: sig, Memory: 1 << 20, Time: limit, Instances: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for range 3 { // it is as bad the second time, and as good
				out, err := s.Run(t.Context(), []fairlead.Tensor{x}, nil)
				if test.code == "" {
					if err != nil || !slices.Equal(out[0].Data.([]float32), []float32{3, 4}) {
						t.Fatalf("%v, %v", out, err)
					}
					continue
				}
				if fairlead.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("%s: %v, want %s: %s", fairlead.CodeOf(err), err, test.code, test.want)
				}
			}
		})
	}
}

func TestModulesThatAreNotLoaded(t *testing.T) {
	sig := fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1}}},
	}
	importing := slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		append([]byte{1}, sized(vec([]byte{0x60, 0, 0}))...),
		append([]byte{2}, sized(vec(slices.Concat(sized([]byte("env")), sized([]byte("open_socket")), []byte{0, 0})))...))
	hungry := slices.Concat([]byte("\x00asm\x01\x00\x00\x00"), append([]byte{5}, sized(vec(append([]byte{0}, uleb(1000)...)))...))
	for name, test := range map[string]struct {
		module []byte
		want   string
	}{
		"nothing":     {nil, "is not a WebAssembly module"},
		"text":        {[]byte("#!/bin/sh"), "is not a WebAssembly module"},
		"no exports":  {[]byte("\x00asm\x01\x00\x00\x00"), "does not export its memory"},
		"imports":     {importing, "imports env.open_socket, which it is not given"},
		"too hungry":  {hungry, "m"},
		"no function": {slices.Concat([]byte("\x00asm\x01\x00\x00\x00"), append([]byte{5}, sized(vec([]byte{0, 1}))...), append([]byte{7}, sized(vec(slices.Concat(sized([]byte("memory")), []byte{2, 0})))...)), "does not export allocate(i32) -> i32"},
	} {
		s, err := Load(t.Context(), test.module, Options{Name: "m", Signature: sig, Memory: 1 << 20})
		if err == nil {
			_ = s.Close()
		}
		if fairlead.CodeOf(err) != fairlead.CodeInvalid || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}

// TestABadModuleDoesNotHurtAGoodOne runs one that loops beside one that works.
func TestABadModuleDoesNotHurtAGoodOne(t *testing.T) {
	sig := fairlead.Signature{Inputs: hashing.Inputs, Outputs: hashing.Outputs}
	bad, err := Load(t.Context(), crafted(fine, slices.Concat([]byte{opLoop, 0x40, opBranch, 0, opEnd}, i64(0)), nil), Options{Name: "bad", Signature: sig, Time: 30 * time.Millisecond, Instances: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	good, err := Load(t.Context(), example(t), Options{Name: "good", Signature: sig, Instances: 2, Time: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 3 {
				if _, err := bad.Run(t.Context(), []fairlead.Tensor{text("x")}, nil); fairlead.CodeOf(err) != fairlead.CodeDeadline {
					t.Errorf("the bad one: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				if _, err := good.Run(t.Context(), []fairlead.Tensor{text("x y z")}, nil); err != nil {
					t.Errorf("the good one: %v", err)
				}
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(5*time.Millisecond, cancel)
	if _, err := bad.Run(ctx, []fairlead.Tensor{text("x")}, nil); fairlead.CodeOf(err) != fairlead.CodeCanceled {
		t.Errorf("a client that leaves: %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, tensors := range [][]fairlead.Tensor{
		{text("a", "bc")},
		{{Name: "x", Type: fairlead.FP32, Shape: []int64{2, 1}, Data: []float32{1, 2}}, {Name: "b", Type: fairlead.Bool, Shape: nil, Data: []bool{true}}},
		{{Name: "empty", Type: fairlead.Int64, Shape: []int64{0, 7}, Data: []int64{}}},
	} {
		frame, err := appendFrame(nil, tensors)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
		f.Add(frame[:len(frame)-1])
	}
	f.Add([]byte("FLE1\x02\x00\x00\x00no"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tensors, err := readFrame(b)
		if err != nil {
			return
		}
		again, err := appendFrame(nil, tensors)
		if err != nil {
			t.Fatal(err)
		}
		second, err := readFrame(again)
		var refused *refusal
		if err != nil && !errors.As(err, &refused) || len(second) != len(tensors) {
			t.Fatalf("%d tensors come back as %d: %v", len(tensors), len(second), err)
		}
		for i := range tensors {
			if int64(tensors[i].Len()) != fairlead.Elements(tensors[i].Shape) {
				t.Fatalf("%d values of shape %v", tensors[i].Len(), tensors[i].Shape)
			}
		}
	})
}
