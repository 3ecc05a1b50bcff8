package batch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/batch"
	"github.com/fairlead-ml/fairlead/serve/engine/fake"
	"github.com/fairlead-ml/fairlead/serve/route"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var taggedSignature = fairlead.Signature{
	Inputs: []fairlead.TensorSpec{
		{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, -1}},
		{Name: "tag", Type: fairlead.Int64, Shape: []int64{-1}},
	},
	Outputs: []fairlead.TensorSpec{
		{Name: "y", Type: fairlead.FP32, Shape: []int64{-1, -1}},
		{Name: "minus", Type: fairlead.Int64, Shape: []int64{-1}},
		{Name: "text", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
	},
}

// poison is the part of all tags whose rows make a run fail.
const poison = 7777

// tagged is a model that gives x back, the negative tag, and the tag as text; the runs take some 50 µs, as a real model's
// would, so that others gather meanwhile. A poisoned row fails its run with its tag.
func tagged(largest *atomic.Int64) *fake.Session {
	return fake.New(taggedSignature, func(ctx context.Context, in []fairlead.Tensor) ([]fairlead.Tensor, error) {
		x, tags := in[0], in[1].Data.([]int64)
		for n := int64(len(tags)); ; {
			if old := largest.Load(); n <= old || largest.CompareAndSwap(old, n) {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Microsecond):
		}
		minus, text := make([]int64, len(tags)), make([]string, len(tags))
		for i, tag := range tags {
			if tag%poison == 0 {
				return nil, fmt.Errorf("poison %d", tag)
			}
			minus[i], text[i] = -tag, fmt.Sprint(tag)
		}
		y := fairlead.Tensor{Name: "y", Type: fairlead.FP32, Shape: x.Shape, Data: slices.Clone(x.Data.([]float32))}
		return []fairlead.Tensor{
			y,
			{Name: "minus", Type: fairlead.Int64, Shape: []int64{int64(len(tags))}, Data: minus},
			{Name: "text", Type: fairlead.Bytes, Shape: []int64{int64(len(tags)), 1}, Data: text},
		}, nil
	})
}

// tally counts what became of the requests.
type tally struct {
	answered, together, poisoned, canceled, late, refused atomic.Int64
}

// TestNeverTheWrongCaller sends a million requests from many goroutines with tagged rows: of one to seven rows, in two
// shapes, for different outputs, with priorities; some are canceled, some have deadlines, some make their run fail. Each
// gets its own rows or its own error.
func TestNeverTheWrongCaller(t *testing.T) {
	const seed = 20250301
	requests, callers := 1_000_000, 128
	if testing.Short() {
		requests = 50_000
	}
	t.Logf("seed %d", seed)
	var largest atomic.Int64
	session := tagged(&largest)
	e := batch.New(batch.Options{Slots: 8})
	q := e.Queue("tagged", session, route.Settings{MaxBatch: 48,
		Cost: route.Cost{Fixed: 100 * time.Microsecond, PerRow: time.Microsecond}})
	var n tally
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(c)))
			var kept []func() error
			for i := range requests / callers {
				if check := one(t, q, r, &n, int64(c*(requests/callers)+i+1)*8); i%997 == 0 && check != nil {
					kept = append(kept, check)
				}
			}
			for _, check := range kept {
				if err := check(); err != nil {
					t.Errorf("an answer changed afterwards: %v", err)
				}
			}
		})
	}
	wg.Wait()
	s := q.State()
	t.Logf("%d answered in %d runs, %d of them together with others, up to %d rows; %d failed by their own rows, %d canceled, "+
		"%d late, %d refused; %+v", n.answered.Load(), session.Runs(), n.together.Load(), largest.Load(), n.poisoned.Load(),
		n.canceled.Load(), n.late.Load(), n.refused.Load(), s)
	if n.together.Load() < int64(requests)/4 || n.poisoned.Load() == 0 || n.canceled.Load() == 0 || n.late.Load()+n.refused.Load() == 0 {
		t.Error("the test did not do what it is for")
	}
	if s.Waiting != 0 || s.Running != 0 {
		t.Errorf("%d wait and %d run after the end", s.Waiting, s.Running)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// one sends a request whose rows have the tags from first on and checks what comes back. It gives a check for later.
func one(t *testing.T, q *batch.Queue, r *rand.Rand, n *tally, first int64) func() error {
	rows, width := 1+r.IntN(7), 2+r.IntN(2)
	x, tags := make([]float32, rows*width), make([]int64, rows)
	sick := false
	for i := range tags {
		tags[i] = first + int64(i)
		sick = sick || tags[i]%poison == 0
		for k := range width {
			x[i*width+k] = float32(tags[i]%(1<<20)) + float32(k)/4
		}
	}
	request := batch.Request{Rows: rows, Priority: r.IntN(4), Inputs: []fairlead.Tensor{
		{Name: "x", Type: fairlead.FP32, Shape: []int64{int64(rows), int64(width)}, Data: x},
		{Name: "tag", Type: fairlead.Int64, Shape: []int64{int64(rows)}, Data: tags},
	}}
	if r.IntN(2) == 0 {
		slices.Reverse(request.Inputs)
	}
	request.Outputs = [][]string{nil, {"y"}, {"minus"}, {"text", "y"}, {"minus", "text", "y"}}[r.IntN(5)]
	ctx, cancel := context.Background(), func() {}
	switch r.IntN(20) {
	case 0:
		ctx, cancel = context.WithCancel(ctx)
		timer := time.AfterFunc(time.Duration(r.IntN(2000))*time.Microsecond, cancel)
		defer timer.Stop()
	case 1:
		ctx, cancel = context.WithTimeout(ctx, time.Duration(50+r.IntN(5000))*time.Microsecond)
	}
	defer cancel()
	a, err := q.Run(ctx, request)
	if err != nil {
		n.count(t, err, sick, tags)
		return nil
	}
	if sick {
		t.Errorf("tags %v were answered", tags)
	}
	n.answered.Add(1)
	if a.Rows > rows {
		n.together.Add(1)
	}
	check := func() error { return own(a, request, x, tags) }
	if err := check(); err != nil {
		t.Error(err)
	}
	return check
}

func (n *tally) count(t *testing.T, err error, sick bool, tags []int64) {
	switch fairlead.CodeOf(err) {
	case fairlead.CodeCanceled:
		n.canceled.Add(1)
	case fairlead.CodeDeadline:
		n.late.Add(1)
	case fairlead.CodeExhausted:
		n.refused.Add(1)
	default:
		var tag int64
		if _, scan := fmt.Sscanf(err.Error(), "poison %d", &tag); scan != nil || !sick || !slices.Contains(tags, tag) {
			t.Errorf("tags %v: %v", tags, err)
		}
		n.poisoned.Add(1)
	}
}

// own says what in an answer is not the caller's.
func own(a batch.Answer, request batch.Request, x []float32, tags []int64) error {
	names := request.Outputs
	if names == nil {
		names = []string{"y", "minus", "text"}
	}
	if len(a.Outputs) != len(names) {
		return fmt.Errorf("tags %v: %d outputs, want %v", tags, len(a.Outputs), names)
	}
	for i, name := range names {
		o := &a.Outputs[i]
		ok := o.Name == name && o.Rows() == len(tags) && int64(o.Len()) == fairlead.Elements(o.Shape)
		switch d := o.Data.(type) {
		case []float32:
			ok = ok && name == "y" && slices.Equal(d, x)
		case []int64:
			ok = ok && name == "minus"
			for k, tag := range tags {
				ok = ok && d[k] == -tag
			}
		case []string:
			ok = ok && name == "text"
			for k, tag := range tags {
				ok = ok && d[k] == fmt.Sprint(tag)
			}
		}
		if !ok {
			return fmt.Errorf("tags %v got output %s %v: %v", tags, o.Name, o.Shape, o.Data)
		}
	}
	return nil
}
