package batch_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/batch"
	"github.com/fairlead-ml/fairlead/serve/engine"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/route"
)

// dense is a cost that makes batches worth it.
var dense = route.Cost{Fixed: time.Millisecond, PerRow: 10 * time.Microsecond}

// row is a request of one row of two values.
func row(v float32) batch.Request { return rows(1, v) }

func rows(n int, v float32) batch.Request {
	data := make([]float32, 2*n)
	for i := range data {
		data[i] = v
	}
	return batch.Request{Rows: n, Inputs: []fairlead.Tensor{{Name: "x", Type: fairlead.FP32, Shape: []int64{int64(n), 2}, Data: data}}}
}

// gated is an echo whose runs of a single row of value 0 wait for open, or for their context.
func gated(open chan struct{}, f fake.Func) *fake.Session {
	return fake.New(fake.Echo(2).Signature(), func(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		if d := in[0].Data.([]float32); len(d) == 2 && d[0] == 0 {
			select {
			case <-open:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return f(ctx, in)
	})
}

func echo(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
	y := in[0]
	y.Name, y.Data = "y", slices.Clone(y.Data.([]float32))
	return []fairlead.Tensor{y}, nil
}

// crowd keeps the only core busy while n requests gather, lets them go, and gives their answers.
func crowd(t *testing.T, q *batch.Queue, open chan struct{}, n int, request func(i int) batch.Request) ([]batch.Answer, []error) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := q.Run(t.Context(), row(0)); err != nil {
			t.Error(err)
		}
	})
	until(t, func() bool { return q.State().Running == 1 })
	answers, errs := make([]batch.Answer, n), make([]error, n)
	for i := range n {
		wg.Go(func() { answers[i], errs[i] = q.Run(t.Context(), request(i)) })
	}
	until(t, func() bool { return q.State().Waiting == n })
	close(open)
	wg.Wait()
	return answers, errs
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it did not come to that in two seconds")
}

func TestTogether(t *testing.T) {
	open := make(chan struct{})
	session := gated(open, echo)
	q := batch.New(batch.Options{Slots: 1}).Queue("m", session, route.Settings{MaxBatch: 64, Cost: dense})
	answers, errs := crowd(t, q, open, 10, func(i int) batch.Request { return rows(1+i%3, float32(i+1)) })
	first := 0
	for i, a := range answers {
		y := a.Outputs[0].Data.([]float32)
		if errs[i] != nil || a.Rows != 19 || len(y) != 2*(1+i%3) || y[0] != float32(i+1) || cap(y) != len(y) {
			t.Errorf("request %d: %+v, %v", i, a, errs[i])
		}
		if a.First {
			first++
		}
	}
	if session.Runs() != 2 || first != 1 {
		t.Errorf("%d runs, %d are first; want 2 and 1", session.Runs(), first)
	}
}

// TestOneBadInput: the others of the batch get their answers, and the bad one its own error, even a panic.
func TestOneBadInput(t *testing.T) {
	open := make(chan struct{})
	session := gated(open, func(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		if d := in[0].Data.([]float32); slices.Contains(d, 3) {
			return nil, errors.New("there is a three")
		} else if slices.Contains(d, 4) {
			panic("there is a four")
		}
		return echo(ctx, in)
	})
	q := batch.New(batch.Options{Slots: 1}).Queue("m", session, route.Settings{MaxBatch: 64, Cost: dense})
	var panicked atomic.Int32
	safely := func(i int) batch.Request { return row(float32(i + 1)) }
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = q.Run(t.Context(), row(0)) })
	until(t, func() bool { return q.State().Running == 1 })
	errs := make([]error, 6)
	for i := range errs {
		wg.Go(func() {
			defer func() {
				if recover() != nil {
					panicked.Add(1)
				}
			}()
			_, errs[i] = q.Run(t.Context(), safely(i))
		})
	}
	until(t, func() bool { return q.State().Waiting == len(errs) })
	close(open)
	wg.Wait()
	for i, err := range errs {
		if (err != nil) != (i == 2) {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if s := q.State(); panicked.Load() != 1 || s.Counts.Rerun != 6 || s.Running != 0 {
		t.Errorf("%d panics, %+v", panicked.Load(), s)
	}
}

// TestFakeBatchDimension: a model that gives one value for a whole batch ends batching, with the reason; nobody is hurt.
func TestFakeBatchDimension(t *testing.T) {
	open := make(chan struct{})
	session := gated(open, func(_ context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		sum := float32(0)
		for _, v := range in[0].Data.([]float32) {
			sum += v
		}
		return []fairlead.Tensor{{Name: "y", Type: fairlead.FP32, Shape: []int64{1, 2}, Data: []float32{sum, 0}}}, nil
	})
	q := batch.New(batch.Options{Slots: 1}).Queue("m", session, route.Settings{MaxBatch: 64, Cost: dense})
	answers, errs := crowd(t, q, open, 5, func(i int) batch.Request { return row(float32(i + 1)) })
	for i, a := range answers {
		if errs[i] != nil || a.Rows != 1 || a.Outputs[0].Data.([]float32)[0] != float32(2*i+2) {
			t.Errorf("request %d: %+v, %v", i, a, errs[i])
		}
	}
	s := q.State()
	if want := `output "y" of a run of 5 rows has shape [1,2]: requests cannot be run together`; s.Reason != want || s.BatchLimit != 1 ||
		s.Counts.Mismatched != 1 {
		t.Errorf("%+v", s)
	}
}

// TestNobodyWaits: a run goes on while one of its requests waits for it, and ends when none does.
func TestNobodyWaits(t *testing.T) {
	open := make(chan struct{})
	ended := make(chan error, 1)
	session := gated(open, func(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		if in[0].Rows() == 3 {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}
		return echo(ctx, in)
	})
	q := batch.New(batch.Options{Slots: 1}).Queue("m", session, route.Settings{MaxBatch: 64, Cost: dense})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = q.Run(t.Context(), row(0)) })
	until(t, func() bool { return q.State().Running == 1 })
	var leave []context.CancelFunc
	for i := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		leave = append(leave, cancel)
		wg.Go(func() {
			if _, err := q.Run(ctx, row(float32(i+1))); fairlead.CodeOf(err) != fairlead.CodeCanceled {
				t.Error(err)
			}
		})
	}
	until(t, func() bool { return q.State().Waiting == 3 })
	close(open)
	until(t, func() bool { return session.Runs() == 2 })
	leave[0]()
	leave[1]()
	until(t, func() bool { return q.State().Counts.Canceled == 2 })
	select {
	case <-ended:
		t.Error("the run was ended while one waited")
	case <-time.After(20 * time.Millisecond):
	}
	leave[2]()
	<-ended
	wg.Wait()
	until(t, func() bool { return q.State().Running == 0 })
}

// TestExpiresInTheQueue: the error comes at the deadline, not when a core is free.
func TestExpiresInTheQueue(t *testing.T) {
	open := make(chan struct{})
	q := batch.New(batch.Options{Slots: 1}).Queue("m", gated(open, echo), route.Settings{MaxBatch: 64})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = q.Run(t.Context(), row(0)) })
	until(t, func() bool { return q.State().Running == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := q.Run(ctx, row(1))
	var e *fairlead.Error
	if !errors.As(err, &e) || e.Code != fairlead.CodeDeadline || e.Reason != "deadline_expired" {
		t.Error(err)
	}
	if s := q.State(); s.Counts.Expired != 1 || s.Waiting != 0 || s.Running != 1 {
		t.Errorf("%+v", s)
	}
	close(open)
	wg.Wait()
}

// TestClose: what waits is answered, what comes is sent away.
func TestClose(t *testing.T) {
	open := make(chan struct{})
	e := batch.New(batch.Options{Slots: 1})
	q := e.Queue("m", gated(open, echo), route.Settings{MaxBatch: 64, Cost: dense})
	other := e.Queue("other", fake.Echo(2), route.Settings{})
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			if _, err := q.Run(t.Context(), row(float32(i))); err != nil {
				t.Error(err)
			}
		})
		if i == 0 {
			until(t, func() bool { return q.State().Running == 1 })
		}
	}
	until(t, func() bool { return q.State().Waiting == 4 })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Close(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Close while requests wait: %v", err)
	}
	_, err := q.Run(t.Context(), row(9))
	var refused *fairlead.Error
	if !errors.As(err, &refused) || refused.Code != fairlead.CodeUnavailable || refused.Reason != "draining" || !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a request after Close: %v", err)
	}
	close(open)
	if err := q.Close(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if _, err := other.Run(t.Context(), row(1)); err != nil {
		t.Errorf("the other queue: %v", err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := other.Run(t.Context(), row(1)); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after the executor's Close: %v", err)
	}
}

// TestDelay: where it is set, requests wait for each other beside idle cores.
func TestDelay(t *testing.T) {
	session := fake.New(fake.Echo(2).Signature(), echo)
	e := batch.New(batch.Options{Slots: 4})
	q := e.Queue("m", session, route.Settings{MaxBatch: 8, Cost: dense, MaxDelay: 50 * time.Millisecond})
	var wg sync.WaitGroup
	started := time.Now()
	for i := range 3 {
		wg.Go(func() {
			if a, err := q.Run(t.Context(), row(float32(i+1))); err != nil || a.Rows != 3 {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(started); took < 50*time.Millisecond || session.Runs() != 1 {
		t.Errorf("%d runs after %v", session.Runs(), took)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDelayWithAStandingClock: the timer counts, whatever the clock that decisions go by says.
func TestDelayWithAStandingClock(t *testing.T) {
	noon := time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)
	e := batch.New(batch.Options{Slots: 1, Now: func() time.Time { return noon }})
	q := e.Queue("m", fake.Echo(2), route.Settings{MaxBatch: 8, Cost: dense, MaxDelay: 5 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	defer time.AfterFunc(2*time.Second, cancel).Stop()
	if _, err := q.Run(ctx, row(1)); err != nil {
		t.Errorf("a request whose delay has passed: %v", err)
	}
}

// TestWrongCostBesideADelay: a cost that was learnt wrong refuses nobody while the cores are idle, be it that requests wait
// for each other, and is learnt anew.
func TestWrongCostBesideADelay(t *testing.T) {
	e := batch.New(batch.Options{Slots: 1})
	wrong := route.Cost{Fixed: 300 * time.Millisecond, PerRow: time.Millisecond}
	delayed := e.Queue("delayed", fake.Echo(2), route.Settings{MaxBatch: 8, Cost: wrong, MaxDelay: time.Millisecond})
	ask := func(q *batch.Queue) error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := q.Run(ctx, row(1))
		return err
	}
	for range 20 {
		if err := ask(delayed); err != nil {
			t.Fatalf("on an idle server: %v", err)
		}
	}
	waits := e.Queue("waits", fake.Echo(2), route.Settings{MaxBatch: 8, Cost: dense, MaxDelay: time.Second})
	other := e.Queue("other", fake.Echo(2), route.Settings{MaxBatch: 8, Cost: wrong})
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := waits.Run(t.Context(), row(1)); err != nil {
			t.Error(err)
		}
	})
	until(t, func() bool { return waits.State().Waiting == 1 })
	if err := ask(other); err != nil {
		t.Errorf("beside a request that waits for others: %v", err)
	}
	if waits.State().Waiting != 1 {
		t.Error("the delay was over before")
	}
	wg.Wait()
}

// TestCloseSendsAwayFromAQuickModel: a model that never waits is refused after Close like the others.
func TestCloseSendsAwayFromAQuickModel(t *testing.T) {
	e := batch.New(batch.Options{Slots: 1})
	q := e.Queue("m", fake.Echo(2), route.Settings{Cost: route.Cost{PerRow: time.Microsecond}})
	if _, err := q.Run(t.Context(), row(1)); err != nil || !q.State().Quick {
		t.Fatal(err, q.State())
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Run(t.Context(), row(1)); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after the executor's Close: %v", err)
	}
}

// TestNothingIsKept: when a run is over, the executor holds neither its requests nor its model.
func TestNothingIsKept(t *testing.T) {
	e := batch.New(batch.Options{Slots: 2})
	input, session := make(chan struct{}), make(chan struct{})
	func() {
		open := make(chan struct{})
		s := gated(open, echo)
		q := e.Queue("m", s, route.Settings{MaxBatch: 64, Cost: dense})
		runtime.AddCleanup(s, func(struct{}) { close(session) }, struct{}{})
		r := row(0)
		runtime.AddCleanup(&r.Inputs[0].Data.([]float32)[0], func(struct{}) { close(input) }, struct{}{})
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() { _, _ = q.Run(t.Context(), row(0)) })
			until(t, func() bool { return q.State().Running == i+1 })
		}
		for range 2 {
			wg.Go(func() { _, _ = q.Run(t.Context(), r) })
		}
		until(t, func() bool { return q.State().Waiting == 2 })
		close(open)
		wg.Wait()
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for _, freed := range []chan struct{}{input, session} {
		for range 100 {
			runtime.GC()
			select {
			case <-freed:
			case <-time.After(5 * time.Millisecond):
				continue
			}
			break
		}
	}
	for name, freed := range map[string]chan struct{}{"a request's input": input, "a closed model": session} {
		select {
		case <-freed:
		default:
			t.Errorf("%s is kept", name)
		}
	}
	if err := e.Close(t.Context()); err != nil { // the executor lives until here
		t.Error(err)
	}
}

// TestQuickModel: a model quicker than a hand-over learns to run beside the executor.
func TestQuickModel(t *testing.T) {
	at := time.Date(2001, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { at = at.Add(time.Microsecond); return at } // each run takes one
	q := batch.New(batch.Options{Slots: 1, Now: clock}).Queue("m", fake.Echo(2), route.Settings{MaxBatch: 64})
	for range 1000 {
		if _, err := q.Run(t.Context(), row(1)); err != nil {
			t.Fatal(err)
		}
	}
	if s := q.State(); !s.Quick || s.Counts.Runs != 1000 || !strings.Contains(s.Reason, "none waits for others") {
		t.Errorf("%+v", s)
	}
}

// TestSmallPartOfALargeBatch: an answer that is kept does not keep the whole batch's.
func TestSmallPartOfALargeBatch(t *testing.T) {
	open := make(chan struct{})
	q := batch.New(batch.Options{Slots: 1}).Queue("m", gated(open, echo), route.Settings{MaxBatch: 4096, Cost: dense})
	answers, errs := crowd(t, q, open, 2, func(i int) batch.Request { return rows([]int{1, 1800}[i], float32(i+1)) })
	if errs[0] != nil || errs[1] != nil || answers[0].Rows != 1801 {
		t.Fatal(answers[0].Rows, errs)
	}
	small, large := answers[0].Outputs[0].Data.([]float32), answers[1].Outputs[0].Data.([]float32)
	freed := make(chan struct{})
	runtime.AddCleanup(&large[0], func(struct{}) { close(freed) }, struct{}{})
	answers[1], large = batch.Answer{}, nil
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			runtime.KeepAlive(small)
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Error("the large answer is not freed while the small one is kept")
	runtime.KeepAlive(small)
}

func TestUnbatchable(t *testing.T) {
	for want, shape := range map[string][]int64{
		`input "x" has shape [1,2]: its first dimension is not free`:              {1, 2},
		`input "x" has no known shape, so its first dimension may not be the row`: nil,
		"requests of this model are never run together":                           {-1, 2},
	} {
		sig := fake.Echo(2).Signature()
		sig.Inputs[0].Shape = shape
		settings := route.Settings{MaxBatch: 64}
		if shape != nil && shape[0] < 0 {
			settings.MaxBatch = 1
		}
		q := batch.New(batch.Options{}).Queue("m", fake.New(sig, echo), settings)
		if s := q.State(); s.BatchLimit != 1 || s.Reason != want {
			t.Errorf("%+v, want %s", s, want)
		}
	}
}
