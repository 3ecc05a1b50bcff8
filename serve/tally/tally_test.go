package tally

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
)

var binary = fairlead.Signature{
	Task: fairlead.TaskBinary,
	Inputs: []fairlead.TensorSpec{
		{Name: "x", Type: fairlead.FP32, Shape: []int64{-1, 2}, Features: []string{"distance", "hour"}},
		{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1}},
	},
	Outputs:  []fairlead.TensorSpec{{Name: "p", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleScore}},
	Segments: []string{"origin", "hour"},
}

func gauge(t testing.TB, sig fairlead.Signature) *Gauge {
	t.Helper()
	g, err := NewGauge(&sig, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func floats(name string, width int, data ...float32) fairlead.Tensor {
	return fairlead.Tensor{Name: name, Type: fairlead.FP32, Shape: []int64{int64(len(data) / width), int64(width)}, Data: data}
}

func inputs(origin string, hour float32) []fairlead.Tensor {
	return []fairlead.Tensor{floats("x", 2, 733, hour), {Name: "origin", Type: fairlead.Bytes, Shape: []int64{1}, Data: []string{origin}}}
}

// TestCounting counts a few requests by hand.
func TestCounting(t *testing.T) {
	g := gauge(t, binary)
	segments := NewSegments(g)
	c := NewCounter(g, segments)
	nan := float32(math.NaN())
	for _, r := range []Request{
		{Bucket: 3, Inputs: inputs("ATL", 7), Outputs: []fairlead.Tensor{floats("p", 1, 0.25)}, Rows: 1, Took: time.Millisecond},
		{Bucket: 3, Inputs: inputs("ATL", 8), Outputs: []fairlead.Tensor{floats("p", 1, 0.75)}, Rows: 1, Took: 2 * time.Millisecond},
		{Bucket: 9, Inputs: inputs("JFK", 7), Outputs: []fairlead.Tensor{floats("p", 1, nan)}, Rows: 1, Cached: true},
		{Bucket: 9, Inputs: inputs("JFK", 7), Rows: 1, Failed: true},
		{Bucket: 9, Inputs: inputs("JFK", 7), Rows: 1, Left: true},
		{Bucket: 9, Inputs: inputs("JFK", 7), Rows: 1, Late: true, Took: time.Second},
	} {
		c.Count(&r)
	}
	got := c.Tally()
	if want := (fairlead.TallyBucket{Requests: 2, Scored: 2, Sum: 1, SumSquares: 0.625}); got.Buckets[3] != want {
		t.Errorf("bucket 3: %+v", got.Buckets[3])
	}
	if want := (fairlead.TallyBucket{Requests: 4, Errors: 1, Invalid: 1}); got.Buckets[9] != want {
		t.Errorf("bucket 9: %+v", got.Buckets[9])
	}
	if total := got.Total(); total.Requests != 6 || got.Cached != 1 || got.Late != 1 {
		t.Errorf("total %+v, cached %d, late %d", total, got.Cached, got.Late)
	}
	for bin, n := range got.Latency {
		want := uint64(0)
		for _, s := range []float64{0.001, 0.002, 1} {
			if fairlead.LatencyBin(s) == bin {
				want = 1
			}
		}
		if n != want {
			t.Errorf("latency bin up to %v s: %d, want %d", fairlead.LatencyBound(bin), n, want)
		}
	}
	if got.Scores[8] != 1 || got.Scores[24] != 1 || got.Classes[0] != 1 || got.Classes[1] != 1 {
		t.Errorf("scores %v, classes %v", got.Scores, got.Classes)
	}
	if s := got.Segments["origin=JFK"]; len(got.Segments) != 4 || s.Requests != 4 || s.Errors != 1 || s.Invalid != 1 ||
		got.Segments["hour=7"].Requests != 5 || got.Segments["hour=8"].Scores[6] != 1 {
		t.Errorf("segments %v", got.Segments)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
}

// TestCountersAddUp: many goroutines lose nothing, and the tallies of two replicas are the tally of both.
func TestCountersAddUp(t *testing.T) {
	const goroutines, each = 8, 2000
	g := gauge(t, binary)
	segments := NewSegments(g)
	a, b, all := NewCounter(g, segments), NewCounter(g, segments), NewCounter(g, segments)
	var wg sync.WaitGroup
	for n := range goroutines {
		wg.Go(func() {
			for i := range each {
				r := Request{
					Bucket: i % fairlead.TallyBuckets, Inputs: inputs(fmt.Sprint(i%100), float32(n)), Rows: 1, Took: time.Duration(i) * time.Microsecond,
					Outputs: []fairlead.Tensor{floats("p", 1, float32(i%64)/64)}, Failed: i%50 == 0,
				}
				[]*Counter{a, b}[n%2].Count(&r)
				all.Count(&r)
			}
		})
	}
	wg.Wait()
	sum, want := a.Tally(), all.Tally()
	sum.Add(b.Tally())
	if !reflect.DeepEqual(sum, want) {
		t.Errorf("the sum of the halves is not the whole:\n%+v\n%+v", sum.Total(), want.Total())
	}
	if n := want.Total().Requests; n != goroutines*each {
		t.Errorf("%d requests counted, want %d", n, goroutines*each)
	}
	if n := len(want.Segments); n != fairlead.MaxSegments+1 {
		t.Errorf("%d segments, want %d and the rest", n, fairlead.MaxSegments)
	}
	var inSegments uint64
	for _, s := range want.Segments {
		inSegments += s.Requests
	}
	if inSegments != 2*goroutines*each {
		t.Errorf("%d requests in segments, want %d: one of the origin and one of the hour each", inSegments, 2*goroutines*each)
	}
}

func TestPairs(t *testing.T) {
	g := gauge(t, binary)
	p := NewPairs(g, NewSegments(g))
	pair := func(id string, live, shadow float32) *Pair {
		return &Pair{
			Rows: []fairlead.RowMeta{{ID: id}}, Inputs: inputs("ATL", 7), LiveTook: time.Millisecond, ShadowTook: 3 * time.Millisecond,
			Live: []fairlead.Tensor{floats("p", 1, live)}, Shadow: []fairlead.Tensor{floats("p", 1, shadow)},
		}
	}
	p.Compare(pair("same", 0.25, 0.25))
	p.Compare(pair("near", 0.25, 0.375))
	p.Compare(pair("flip", 0.375, 0.625))
	p.Compare(pair("nan", 0.375, float32(math.NaN())))
	wide := pair("shape", 0.25, 0.25)
	wide.Shadow[0].Shape = []int64{1}
	p.Compare(wide)
	renamed := pair("name", 0.25, 0.25)
	renamed.Shadow[0].Name = "q"
	p.Compare(renamed)
	failed := pair("failed", 0.25, 0)
	failed.Shadow, failed.ShadowFailed = nil, true
	p.Compare(failed)
	better := pair("better", 0, 0.25)
	better.Live, better.LiveFailed = nil, true
	p.Compare(better)
	both := pair("both", 0, 0)
	both.LiveFailed, both.ShadowFailed = true, true
	p.Compare(both)
	p.Drop(5)

	got := p.Tally()
	if got.Requests != 4 || got.Pairs != 4 || got.Flips != 1 || got.FlipRequests != 1 || got.Invalid != 1 || got.ShadowErrors != 1 ||
		got.LiveErrors != 1 || got.Mismatched != 2 || got.Dropped != 5 || got.Scored != 3 || got.SumDifference != 0.375 {
		t.Errorf("%+v", got)
	}
	if got.Joint[8][8] != 1 || got.Joint[8][12] != 1 || got.Joint[12][20] != 1 {
		t.Errorf("joint %v", got.Joint)
	}
	if q := fairlead.BinQuantile(got.Difference, 1, fairlead.DifferenceBound); q < 0.25 || q > 0.3 {
		t.Errorf("the largest difference is %v", q)
	}
	if q := fairlead.BinQuantile(got.ShadowLatency, 0.5, fairlead.LatencyBound); q < 0.003 || q > 0.0033 {
		t.Errorf("the shadow's median latency is %v", q)
	}
	if s := got.Segments["origin=ATL"]; s.Pairs != 4 || s.Flips != 1 || s.Invalid != 1 || s.ShadowErrors != 1 {
		t.Errorf("segment %+v", s)
	}
	var order []string
	for _, e := range got.Examples {
		order = append(order, fmt.Sprintf("%s %v→%v %s→%s", e.ID, e.Live, e.Shadow, e.LiveClass, e.ShadowClass))
	}
	if want := "[nan 0.375→0 0→ flip 0.375→0.625 0→1 near 0.25→0.375 0→0]"; fmt.Sprint(order) != want {
		t.Errorf("examples %v, want %v", order, want)
	}
	if _, err := json.Marshal(got); err != nil {
		t.Error(err)
	}
	twice := p.Tally()
	twice.Add(got)
	if twice.Pairs != 8 || twice.Joint[12][20] != 2 || len(twice.Examples) != 6 || got.Joint[12][20] != 1 {
		t.Errorf("twice: %+v", twice)
	}
}

// TestExamplesAreTheLargest keeps the largest of many disagreements, in order.
func TestExamplesAreTheLargest(t *testing.T) {
	g := gauge(t, binary)
	p := NewPairs(g, NewSegments(g))
	for i := range 500 {
		d := float32((i*7919)%500) / 1000
		p.Compare(&Pair{Rows: []fairlead.RowMeta{{ID: fmt.Sprint(i)}}, Inputs: inputs("ATL", 7),
			Live: []fairlead.Tensor{floats("p", 1, 0)}, Shadow: []fairlead.Tensor{floats("p", 1, d)}})
	}
	got := p.Tally().Examples
	if len(got) != fairlead.MaxExamples {
		t.Fatalf("%d examples", len(got))
	}
	for i, e := range got {
		if want := float64(float32(499-i) / 1000); e.Shadow != want {
			t.Errorf("example %d differs by %v, want %v", i, e.Shadow, want)
		}
	}
}

// TestClasses: what a model predicts is its label, else its largest score, else whether the score is 0.5 or more.
func TestClasses(t *testing.T) {
	text := func(s string) []fairlead.Tensor {
		return []fairlead.Tensor{{Name: "label", Type: fairlead.Bytes, Shape: []int64{1}, Data: []string{s}}, floats("p", 3, 0.2, 0.5, 0.3)}
	}
	scores := fairlead.TensorSpec{Name: "p", Type: fairlead.FP32, Shape: []int64{-1, 3}, Role: fairlead.RoleScore, Classes: []string{"a", "b", "c"}}
	label := fairlead.TensorSpec{Name: "label", Type: fairlead.Bytes, Shape: []int64{-1}, Role: fairlead.RoleLabel}
	value := fairlead.TensorSpec{Name: "p", Type: fairlead.FP32, Shape: []int64{-1, 1}, Role: fairlead.RoleValue}
	for name, test := range map[string]struct {
		sig  fairlead.Signature
		out  []fairlead.Tensor
		want string
	}{
		"largest score":    {fairlead.Signature{Task: fairlead.TaskMulticlass, Outputs: []fairlead.TensorSpec{scores}}, text("")[1:], "b 1"},
		"label first":      {fairlead.Signature{Task: fairlead.TaskMulticlass, Outputs: []fairlead.TensorSpec{scores, label}}, text("c"), "c 2"},
		"unknown label":    {fairlead.Signature{Task: fairlead.TaskMulticlass, Outputs: []fairlead.TensorSpec{scores, label}}, text("z"), "z -1"},
		"regression":       {fairlead.Signature{Task: fairlead.TaskRegression, Outputs: []fairlead.TensorSpec{value}}, []fairlead.Tensor{floats("p", 1, 0.9)}, " -1"},
		"at the threshold": {binary, []fairlead.Tensor{floats("p", 1, 0.5)}, "1 1"},
		"below":            {binary, []fairlead.Tensor{floats("p", 1, 0.49)}, "0 0"},
		"no such output":   {binary, []fairlead.Tensor{floats("q", 1, 0.5)}, " -1"},
	} {
		g := gauge(t, test.sig)
		c := g.classOf(test.out, 0)
		if got := fmt.Sprintf("%s %d", g.name(c), c.number); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestDefaultEdges(t *testing.T) {
	for _, role := range []fairlead.OutputRole{fairlead.RoleScore, fairlead.RoleValue} {
		e := DefaultEdges(role)
		for i := 1; i < len(e); i++ {
			if e[i] <= e[i-1] {
				t.Errorf("%s: edge %d is %v after %v", role, i, e[i], e[i-1])
			}
		}
		if len(e) != fairlead.JointBins-1 {
			t.Errorf("%s: %d edges", role, len(e))
		}
	}
	for _, bad := range [][]float64{{1, 1}, {math.NaN()}, {2, 1}, make([]float64, 32)} {
		if _, err := NewGauge(&binary, bad); fairlead.CodeOf(err) != fairlead.CodeInvalid {
			t.Errorf("edges %v: %v", bad, err)
		}
	}
}

func BenchmarkCount(b *testing.B) {
	g := gauge(b, binary)
	c := NewCounter(g, NewSegments(g))
	in, out := inputs("ATL", 7), []fairlead.Tensor{floats("p", 1, 0.25)}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			c.Count(&Request{Bucket: i % fairlead.TallyBuckets, Inputs: in, Outputs: out, Rows: 1, Took: time.Millisecond})
		}
	})
}
