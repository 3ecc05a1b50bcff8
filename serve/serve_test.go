package serve_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/route"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type recorder struct {
	mu  sync.Mutex
	got []*fairlead.Prediction
}

func (r *recorder) Record(p *fairlead.Prediction) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, p)
}

func routerTo(t testing.TB, target *route.Target) *route.Router {
	t.Helper()
	r := &route.Router{}
	swap(t, r, target)
	return r
}

func swap(t testing.TB, r *route.Router, target *route.Target) {
	t.Helper()
	table, err := route.NewTable([]route.Deployment{{Name: "m", Live: target}})
	if err != nil {
		t.Fatal(err)
	}
	r.Swap(table)
}

func target(version fairlead.Version, s engine.Session) *route.Target {
	return &route.Target{Model: "m", Version: version, Signature: s.Signature(), Session: s}
}

func x(data ...float32) serve.Input {
	return serve.Input{Tensors: []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{int64(len(data) / 2), 2}, Data: data}}}
}

// TestConcurrentSwaps sends tagged rows from many goroutines while versions are swapped and the old ones closed: each gets
// its own rows back, none fails, and each is recorded once.
func TestConcurrentSwaps(t *testing.T) {
	const callers, requests = 16, 300
	first := fake.Echo(2)
	router := routerTo(t, target(1, first))
	rec := &recorder{}
	s := serve.New(serve.Options{Router: router, Recorder: rec, Queue: callers})
	var stop atomic.Bool
	var swaps int
	var wg, swapper sync.WaitGroup
	swapper.Go(func() {
		old := first
		for v := fairlead.Version(2); !stop.Load(); v++ {
			next := fake.Echo(2)
			swap(t, router, target(v, next))
			if err := old.Close(); err != nil {
				t.Error(err)
			}
			old = next
			swaps++
			time.Sleep(50 * time.Microsecond)
		}
	})
	for c := range callers {
		wg.Go(func() {
			for i := range requests {
				n := 1 + i%3
				var data []float32
				for range n {
					data = append(data, float32(c), float32(i))
				}
				runtime.Gosched() // let the swapper in
				in := x(data...)
				in.ID = fmt.Sprintf("%d-%d", c, i)
				resp, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: in})
				if err != nil {
					t.Errorf("caller %d, request %d: %v", c, i, err)
					return
				}
				y := resp.Outputs[0]
				if got := y.Data.([]float32); resp.ID != in.ID || fmt.Sprint(got) != fmt.Sprint(data) || len(resp.Rows) != n {
					t.Errorf("caller %d, request %d: got %s %v, want %v", c, i, resp.ID, got, data)
					return
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	swapper.Wait()
	t.Logf("%d swaps", swaps)
	if swaps < 10 {
		t.Errorf("only %d swaps", swaps)
	}
	seen := map[string]bool{}
	for _, p := range rec.got {
		for i, row := range p.Rows {
			var c, r int
			if _, err := fmt.Sscanf(p.ID, "%d-%d", &c, &r); err != nil || p.Outputs[0].Data.([]float32)[2*i] != float32(c) {
				t.Fatalf("prediction %s has outputs %v", p.ID, p.Outputs[0].Data)
			}
			if seen[row.ID] {
				t.Fatalf("row %s was recorded twice", row.ID)
			}
			seen[row.ID] = true
		}
	}
	if want := callers * requests * 2; len(rec.got) != callers*requests || len(seen) != want {
		t.Errorf("%d predictions of %d rows recorded, want %d of %d", len(rec.got), len(seen), callers*requests, want)
	}
}

// blocking is a model that runs until its context ends or release is closed.
func blocking(release chan struct{}) *fake.Session {
	return fake.New(fake.Echo(2).Signature(), func(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-release:
			y := in[0]
			y.Name = "y"
			return []fairlead.Tensor{y}, nil
		}
	})
}

func TestDeadline(t *testing.T) {
	session := blocking(nil)
	s := serve.New(serve.Options{Router: routerTo(t, target(1, session)), Runs: 1})
	in := x(1, 2)
	in.Deadline = 30 * time.Millisecond
	_, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: in})
	if fairlead.CodeOf(err) != fairlead.CodeDeadline || !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "the deadline of 30ms passed") {
		t.Errorf("in the model: %v", err)
	}
	// One that arrived long ago does not run at all.
	_, err = s.Predict(t.Context(), serve.Request{Deployment: "m", Input: in, Received: time.Now().Add(-time.Second)})
	if fairlead.CodeOf(err) != fairlead.CodeDeadline || session.Runs() != 1 {
		t.Errorf("past its deadline: %v after %d runs", err, session.Runs())
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = s.Predict(ctx, serve.Request{Deployment: "m", Input: x(1, 2)})
	if fairlead.CodeOf(err) != fairlead.CodeCanceled {
		t.Errorf("canceled: %v", err)
	}
	l := s.Meter().History("m", time.Now().Add(2*time.Second), 10)
	var errs uint64
	for _, p := range l {
		errs += p.Errors
	}
	if errs != 3 {
		t.Errorf("%d errors metered, want 3", errs)
	}
}

func TestQueue(t *testing.T) {
	release := make(chan struct{})
	session := blocking(release)
	s := serve.New(serve.Options{Router: routerTo(t, target(1, session)), Runs: 2, Queue: 1})
	var wg sync.WaitGroup
	var queued atomic.Int64
	for range 3 {
		wg.Go(func() {
			resp, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: x(1, 2)})
			if err != nil {
				t.Error(err)
			} else if resp.Latency.Queue > 5*time.Millisecond {
				queued.Add(1)
			}
		})
	}
	var err error
	for range 200 { // until two run and one waits
		time.Sleep(5 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err = s.Predict(ctx, serve.Request{Deployment: "m", Input: x(1, 2)})
		cancel()
		if fairlead.CodeOf(err) == fairlead.CodeExhausted {
			break
		}
	}
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code != fairlead.CodeExhausted || e.Retry == 0 {
		t.Errorf("a full queue: %v", err)
	}
	if session.Runs() > 2 {
		t.Errorf("%d runs at once, want at most 2", session.Runs())
	}
	close(release)
	wg.Wait()
	if queued.Load() != 1 {
		t.Errorf("%d requests say that they waited, want 1", queued.Load())
	}
}

// TestFit: vectors and columns stand for each other, and the answer says so; scalars are not recorded.
func TestFit(t *testing.T) {
	sig := fairlead.Signature{
		Inputs: []fairlead.TensorSpec{
			{Name: "a", Type: fairlead.Int64, Shape: []int64{-1, 1}},
			{Name: "b", Type: fairlead.Int64, Shape: []int64{-1}},
		},
		Outputs: []fairlead.TensorSpec{
			{Name: "sum", Type: fairlead.Int64, Shape: []int64{-1}},
			{Name: "n", Type: fairlead.Int64, Shape: []int64{}},
		},
	}
	session := fake.New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		a, b := in[0].Data.([]int64), in[1].Data.([]int64)
		if len(a) != len(b) {
			return nil, errors.New("Add: dimensions do not match")
		}
		sum := make([]int64, len(a))
		for i := range a {
			sum[i] = a[i] + b[i]
		}
		return []fairlead.Tensor{
			{Name: "sum", Type: fairlead.Int64, Shape: []int64{int64(len(a))}, Data: sum},
			{Name: "n", Type: fairlead.Int64, Shape: []int64{}, Data: []int64{int64(len(a))}},
		}, nil
	})
	rec := &recorder{}
	s := serve.New(serve.Options{Router: routerTo(t, target(1, session)), Recorder: rec})
	in := func(a, b fairlead.Tensor) serve.Input {
		a.Name, a.Type, b.Name, b.Type = "a", fairlead.Int64, "b", fairlead.Int64
		return serve.Input{Tensors: []fairlead.Tensor{a, b}}
	}
	resp, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: in(
		fairlead.Tensor{Shape: []int64{2}, Data: []int64{1, 2}}, fairlead.Tensor{Shape: []int64{2, 1}, Data: []int64{10, 20}})})
	if err != nil {
		t.Fatal(err)
	}
	if want := `input "a" came with shape [2] and was read as [2,1]; input "b" came with shape [2,1] and was read as [2]`; resp.Note != want {
		t.Errorf("note %q", resp.Note)
	}
	p := rec.got[0]
	if len(p.Outputs) != 1 || p.Outputs[0].Name != "sum" || len(p.Inputs) != 2 || len(resp.Outputs) != 2 {
		t.Errorf("recorded %v", p)
	}
	if len(p.ID) != 26 || p.Rows[1].ID != p.ID+".1" || p.Rows[0].Time != p.Received {
		t.Errorf("ids %q %v", p.ID, p.Rows)
	}
	_, err = s.Predict(t.Context(), serve.Request{Deployment: "m", Input: in(
		fairlead.Tensor{Shape: []int64{2, 1}, Data: []int64{1, 2}}, fairlead.Tensor{Shape: []int64{3}, Data: []int64{1, 2, 3}})})
	if want := `the inputs have different numbers of rows ("a" 2, "b" 3), and the model cannot compute that`; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// TestStages runs the whole spine with a transport's callbacks and a clock that moves a second at each look.
func TestStages(t *testing.T) {
	now := time.Date(2001, 3, 1, 0, 0, 0, 0, time.UTC)
	rec := &recorder{}
	clock := func() time.Time { now = now.Add(time.Second); return now }
	s := serve.New(serve.Options{Router: routerTo(t, target(7, fake.Echo(2))), Recorder: rec, Now: clock})
	encoded := false
	resp, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Version: "v7",
		Decode: func(target *route.Target) (serve.Input, error) {
			if target.Version != 7 {
				t.Errorf("decode for version %d", target.Version)
			}
			return x(1, 2), nil
		},
		Encode: func(r *serve.Response) error { encoded = r.Outputs[0].Name == "y"; return nil },
	})
	// The executor looks before and after the run.
	want := fairlead.Anatomy{Decode: time.Second, Queue: 2 * time.Second, Run: time.Second, Encode: time.Second}
	if err != nil || !encoded || resp.Latency != want || rec.got[0].Latency != want {
		t.Errorf("%v, encoded %v, latency %+v", err, encoded, resp)
	}
	_, err = s.Predict(t.Context(), serve.Request{Deployment: "m", Input: x(1, 2),
		Encode: func(*serve.Response) error { return fairlead.Invalid("no") }})
	if fairlead.CodeOf(err) != fairlead.CodeInvalid || len(rec.got) != 1 {
		t.Errorf("an answer that cannot be encoded: %v, %d recorded", err, len(rec.got))
	}
}

func TestPanicIsCounted(t *testing.T) {
	session := fake.New(fake.Echo(2).Signature(), func(context.Context, []fairlead.Tensor) ([]fairlead.Tensor, error) {
		panic("a bug")
	})
	s := serve.New(serve.Options{Router: routerTo(t, target(1, session)), Runs: 1})
	for range 3 { // the run is given back each time
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			_, _ = s.Predict(t.Context(), serve.Request{Deployment: "m", Input: x(1, 2)})
		}()
	}
	var errs uint64
	for _, p := range s.Meter().History("m", time.Now().Add(2*time.Second), 10) {
		errs += p.Errors
	}
	if errs != 3 {
		t.Errorf("%d errors metered, want 3", errs)
	}
}

// A request without rows has an answer without rows, and nothing is recorded.
func TestNoRows(t *testing.T) {
	session := fake.Echo(5)
	table, err := route.NewTable([]route.Deployment{{Name: "m", Live: &route.Target{Model: "m", Version: 1, Signature: session.Signature(), Session: session}}})
	if err != nil {
		t.Fatal(err)
	}
	router, r := &route.Router{}, &recorder{}
	router.Swap(table)
	resp, err := serve.New(serve.Options{Router: router, Recorder: r}).Predict(t.Context(), serve.Request{Deployment: "m", Input: serve.Input{
		Tensors: []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{0, 5}, Data: []float32{}}},
	}})
	if err != nil || len(resp.Outputs) != 1 || resp.Outputs[0].Len() != 0 || len(resp.Rows) != 0 || len(r.got) != 0 {
		t.Errorf("%+v, %v, %d recorded", resp, err, len(r.got))
	}
}

// sided is a model over rows "x", with a scalar "k" and a threshold of one value beside them; it fails on k = 0.
func sided() *fake.Session {
	sig := fairlead.Signature{
		Inputs: []fairlead.TensorSpec{
			{Name: "k", Type: fairlead.Int64, Shape: []int64{}},
			{Name: "threshold", Type: fairlead.FP32, Shape: []int64{1}},
			{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}},
		},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1, 2}}},
	}
	return fake.New(sig, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		if in[0].Data.([]int64)[0] == 0 {
			return nil, errors.New("division by zero")
		}
		y := in[2]
		y.Name = "y"
		return []fairlead.Tensor{y}, nil
	})
}

// The rows of a request are those of the inputs that have rows, whatever stands first.
func TestRowsBesideScalars(t *testing.T) {
	rec := &recorder{}
	s := serve.New(serve.Options{Router: routerTo(t, target(1, sided())), Recorder: rec})
	in := func(k int64) serve.Input {
		return serve.Input{Tensors: []fairlead.Tensor{
			{Name: "k", Type: fairlead.Int64, Shape: []int64{}, Data: []int64{k}},
			{Name: "threshold", Type: fairlead.FP32, Shape: []int64{1}, Data: []float32{0.5}},
			x(1, 2, 3, 4, 5, 6).Tensors[0],
		}}
	}
	resp, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: in(1)})
	if err != nil || len(resp.Rows) != 3 || len(rec.got) != 1 || len(rec.got[0].Rows) != 3 || len(rec.got[0].Inputs) != 1 || len(rec.got[0].Outputs) != 1 {
		t.Errorf("%+v, %v, recorded %+v", resp, err, rec.got)
	}
	if _, err = s.Predict(t.Context(), serve.Request{Deployment: "m", Input: in(0)}); err == nil || fairlead.CodeOf(err) == fairlead.CodeInvalid {
		t.Errorf("a model that fails by itself: %v", err)
	}
}

// Rows without a value cost nothing to send: as many as anybody writes into the shape are refused, not made.
func TestRowsWithoutValues(t *testing.T) {
	session := fake.New(fairlead.Signature{
		Inputs:  []fairlead.TensorSpec{{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, -1}}},
		Outputs: []fairlead.TensorSpec{{Name: "y", Type: fairlead.FP32, Shape: []int64{-1, -1}}},
	}, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		y := in[0]
		y.Name = "y"
		return []fairlead.Tensor{y}, nil
	})
	s := serve.New(serve.Options{Router: routerTo(t, target(1, session))})
	ask := func(rows int64) error {
		_, err := s.Predict(t.Context(), serve.Request{Deployment: "m", Input: serve.Input{
			Tensors: []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{rows, 0}, Data: []float32{}}},
		}})
		return err
	}
	if err := ask(3); err != nil {
		t.Errorf("three rows: %v", err)
	}
	if err := ask(20_000_000); fairlead.CodeOf(err) != fairlead.CodeInvalid {
		t.Errorf("twenty million rows: %v", err)
	}
}
