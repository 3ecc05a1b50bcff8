// Package enginetest is the conformance suite of engine.Session.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// Golden is one run of one model and the answer it must give.
type Golden struct {
	Name      string
	Open      func(t *testing.T) engine.Session
	In        []fairlead.Tensor
	Want      []fairlead.Tensor // all outputs in the signature's order
	Tolerance float64           // of floating-point values, absolute; 0 is exact
}

// Suite is what an engine is tested with.
type Suite struct {
	Goldens []Golden
	Slow    *Golden // a run that takes more than ten seconds unless it is cancelled; Want is not used
}

// Run runs the suite.
func Run(t *testing.T, suite Suite) {
	for _, g := range suite.Goldens {
		t.Run(g.Name, func(t *testing.T) {
			s := g.Open(t)
			defer closeSession(t, s)
			t.Run("signature", func(t *testing.T) { testSignature(t, s, g) })
			t.Run("golden", func(t *testing.T) { testGolden(t, s, g) })
			t.Run("inputs unchanged", func(t *testing.T) { testUnchanged(t, s, g) })
			t.Run("outputs chosen", func(t *testing.T) { testOutputs(t, s, g) })
			t.Run("concurrent", func(t *testing.T) { testConcurrent(t, s, g) })
			t.Run("wrong input", func(t *testing.T) { testWrongInput(t, s, g) })
			t.Run("canceled before", func(t *testing.T) { testCanceled(t, s, g) })
			t.Run("canceled at any moment", func(t *testing.T) { testCanceledAnytime(t, s, g) })
			t.Run("closed", func(t *testing.T) { testClosed(t, g) })
			t.Run("closed under load", func(t *testing.T) { testClosedUnderLoad(t, g) })
		})
	}
	if suite.Slow != nil {
		t.Run("cancel", func(t *testing.T) { testCancel(t, *suite.Slow) })
		t.Run("close waits", func(t *testing.T) { testCloseWaits(t, *suite.Slow) })
	}
}

func closeSession(t *testing.T, s engine.Session) {
	t.Helper()
	for range 2 { // the second does nothing
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func testSignature(t *testing.T, s engine.Session, g Golden) {
	sig := s.Signature()
	if len(sig.Inputs) != len(g.In) || len(sig.Outputs) != len(g.Want) {
		t.Fatalf("signature has %d inputs and %d outputs, want %d and %d",
			len(sig.Inputs), len(sig.Outputs), len(g.In), len(g.Want))
	}
	if err := engine.Check(&sig, g.In); err != nil {
		t.Errorf("inputs do not fit the signature: %v", err)
	}
	for i, spec := range sig.Outputs {
		w := g.Want[i]
		if spec.Name != w.Name || spec.Type != w.Type || !engine.Fits(spec.Shape, w.Shape) {
			t.Errorf("output %d is %q %s %v, want %q %s %v", i, spec.Name, spec.Type, spec.Shape, w.Name, w.Type, w.Shape)
		}
	}
}

func testGolden(t *testing.T, s engine.Session, g Golden) {
	out, err := s.Run(t.Context(), g.In, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(out, g.Want, g.Tolerance); diff != "" {
		t.Error(diff)
	}
	reversed := slices.Clone(g.In)
	slices.Reverse(reversed)
	out, err = s.Run(context.Background(), reversed, nil) // without a Done channel
	if err != nil {
		t.Fatalf("inputs in another order: %v", err)
	}
	if diff := Diff(out, g.Want, g.Tolerance); diff != "" {
		t.Errorf("inputs in another order: %s", diff)
	}
}

func testUnchanged(t *testing.T, s engine.Session, g Golden) {
	before := fmt.Sprint(g.In)
	out, err := s.Run(t.Context(), g.In, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := fmt.Sprint(out)
	if _, err := s.Run(t.Context(), g.In, nil); err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprint(g.In); after != before {
		t.Errorf("inputs were changed from %s to %s", before, after)
	}
	if again := fmt.Sprint(out); again != answer {
		t.Errorf("an answer was changed by a later run from %s to %s", answer, again)
	}
}

func testOutputs(t *testing.T, s engine.Session, g Golden) {
	want := slices.Clone(g.Want)
	slices.Reverse(want)
	var names []string
	for _, w := range want {
		names = append(names, w.Name)
	}
	out, err := s.Run(t.Context(), g.In, names)
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(out, want, g.Tolerance); diff != "" {
		t.Error(diff)
	}
	out, err = s.Run(t.Context(), g.In, names[:1])
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(out, want[:1], g.Tolerance); diff != "" {
		t.Error(diff)
	}
	_, err = s.Run(t.Context(), g.In, []string{"no such output"})
	wantCode(t, err, fairlead.CodeInvalid)
}

func testConcurrent(t *testing.T, s engine.Session, g Golden) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				out, err := s.Run(t.Context(), g.In, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if diff := Diff(out, g.Want, g.Tolerance); diff != "" {
					t.Error(diff)
					return
				}
			}
		})
	}
	wg.Wait()
}

func testWrongInput(t *testing.T, s engine.Session, g Golden) {
	ctx := t.Context()
	change := func(f func(*fairlead.Tensor)) []fairlead.Tensor {
		in := slices.Clone(g.In)
		in[0].Shape = slices.Clone(in[0].Shape)
		f(&in[0])
		return in
	}
	for name, in := range map[string][]fairlead.Tensor{
		"none":      nil,
		"unknown":   append(slices.Clone(g.In), fairlead.Tensor{Name: "no such input", Type: fairlead.FP32}),
		"twice":     append(slices.Clone(g.In), g.In[0]),
		"rank":      change(func(t *fairlead.Tensor) { t.Shape = append(t.Shape, 1) }),
		"too short": change(func(t *fairlead.Tensor) { t.Data = fairlead.MakeData(t.Type, t.Len()-1) }),
		"negative":  change(func(t *fairlead.Tensor) { t.Shape[0] = -1 }),
		"type": change(func(t *fairlead.Tensor) {
			if t.Type == fairlead.FP64 {
				t.Type = fairlead.FP32
			} else {
				t.Type = fairlead.FP64
			}
			t.Data = fairlead.MakeData(t.Type, t.Len())
		}),
	} {
		_, err := s.Run(ctx, in, nil)
		if fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("%s: %v, want an error of code invalid", name, err)
		}
	}
}

func testCanceled(t *testing.T, s engine.Session, g Golden) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Run(ctx, g.In, nil)
	wantCode(t, err, fairlead.CodeCanceled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not wrap context.Canceled", err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	_, err = s.Run(ctx, g.In, nil)
	wantCode(t, err, fairlead.CodeDeadline)
}

func testClosed(t *testing.T, g Golden) {
	s := g.Open(t)
	closeSession(t, s)
	_, err := s.Run(t.Context(), g.In, nil)
	wantCode(t, err, fairlead.CodeUnavailable)
	if !errors.Is(err, engine.ErrClosed) {
		t.Errorf("%v is not ErrClosed", err)
	}
}

func testCancel(t *testing.T, g Golden) {
	s := g.Open(t)
	defer closeSession(t, s)
	for code, timeout := range map[fairlead.Code]bool{fairlead.CodeDeadline: true, fairlead.CodeCanceled: false} {
		ctx, cancel := context.WithCancel(t.Context())
		if timeout {
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		} else {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		start := time.Now()
		_, err := s.Run(ctx, g.In, nil)
		cancel()
		wantCode(t, err, code)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the run went on for %v after its context ended", took)
		}
	}
}

func testCloseWaits(t *testing.T, g Golden) {
	s := g.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := s.Run(ctx, g.In, nil)
		if code := fairlead.CodeOf(err); code != fairlead.CodeCanceled && code != fairlead.CodeUnavailable {
			t.Errorf("run during Close: %v", err)
		}
	})
	time.AfterFunc(50*time.Millisecond, cancel)
	closeSession(t, s)
	wg.Wait()
}

func wantCode(t *testing.T, err error, code fairlead.Code) {
	t.Helper()
	if fairlead.CodeOf(err) != code {
		t.Errorf("error is %v (%s), want code %s", err, fairlead.CodeOf(err), code)
	}
}

// Diff says where two lists of tensors differ, "" if they do not. NaN equals NaN.
func Diff(got, want []fairlead.Tensor, tolerance float64) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d tensors, want %d", len(got), len(want))
	}
	var b strings.Builder
	for i := range got {
		g, w := &got[i], &want[i]
		if g.Name != w.Name || g.Type != w.Type || !slices.Equal(g.Shape, w.Shape) || g.Len() != w.Len() {
			fmt.Fprintf(&b, "tensor %d is %q %s %v of %d, want %q %s %v of %d\n", i,
				g.Name, g.Type, g.Shape, g.Len(), w.Name, w.Type, w.Shape, w.Len())
			continue
		}
		if !equal(g, w, tolerance) {
			fmt.Fprintf(&b, "tensor %q is %v, want %v\n", g.Name, g.Data, w.Data)
		}
	}
	return b.String()
}

func equal(g, w *fairlead.Tensor, tolerance float64) bool {
	if d, ok := g.Data.([]string); ok {
		return slices.Equal(d, w.Data.([]string))
	}
	if d, ok := g.Data.([]int64); ok {
		return slices.Equal(d, w.Data.([]int64)) // beyond 2^53 too
	}
	if d, ok := g.Data.([]uint64); ok {
		return slices.Equal(d, w.Data.([]uint64))
	}
	for i := range g.Len() {
		x, _ := g.Float(i)
		y, _ := w.Float(i)
		if x != y && !(math.IsNaN(x) && math.IsNaN(y)) && !(math.Abs(x-y) <= tolerance) {
			return false
		}
	}
	return true
}
