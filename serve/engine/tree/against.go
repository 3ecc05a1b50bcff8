package tree

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/serve/engine"
)

// Verdict is how a model compares with another engine's session of the same file.
type Verdict struct {
	Rows       int     // that were compared
	Difference string  // the first between the two; "" if there is none
	Faster     float64 // the other's time for a row over this model's; 0 after a difference
}

// What is compared, and how near two scores must be: |a-b| <= relative·|b| + absolute, which leaves room for the rounding
// of exp and of 1-p next to p = 1.
const (
	comparedRows = 256
	comparedRun  = 32 // rows at a time
	timedRuns    = 128
	relative     = 1e-6
	absolute     = 2e-7
	seed         = 20260101
)

// Against asks both the given requests and 256 rows of thresholds, their neighbours, missing, infinite and ordinary values,
// and then times single rows. The error is the context's.
func (m *Model) Against(ctx context.Context, other engine.Session, given [][]fairlead.Tensor, now func() time.Time) (Verdict, error) {
	var v Verdict
	ours, theirs := m.Signature(), other.Signature()
	if a, b := fmt.Sprintf("%+v", ours), fmt.Sprintf("%+v", theirs); a != b {
		v.Difference = fmt.Sprintf("the signature is %s, not %s", a, b)
		return v, nil
	}
	requests := slices.Clone(given)
	r := &rowMaker{rng: rand.New(rand.NewPCG(seed, 0)), in: &m.sig.Inputs[0], thresholds: m.thresholds()}
	for rows := 0; rows < comparedRows; rows += requests[len(requests)-1][0].Rows() {
		requests = append(requests, []fairlead.Tensor{r.make(comparedRun)})
	}
	for _, in := range requests {
		want, err := other.Run(ctx, in, nil)
		if ctx.Err() != nil {
			return v, engine.ContextError(ctx)
		}
		if err != nil {
			v.Difference = fmt.Sprintf("it fails with %v", err)
			return v, nil
		}
		got, err := m.Run(ctx, in, nil)
		if err != nil {
			v.Difference = fmt.Sprintf("this one fails with %v", err)
			return v, nil
		}
		if v.Difference = difference(got, want); v.Difference != "" {
			return v, nil
		}
		v.Rows += in[0].Rows()
	}
	single := make([][]fairlead.Tensor, timedRuns)
	for i := range single {
		single[i] = []fairlead.Tensor{r.make(1)}
	}
	var err error
	v.Faster, err = faster(ctx, m, other, single, now)
	return v, err
}

// faster takes the runs of both in turn, so that a busy moment falls on both alike, and compares their medians.
func faster(ctx context.Context, m, other engine.Session, requests [][]fairlead.Tensor, now func() time.Time) (float64, error) {
	var took [2][]time.Duration
	for range 2 { // the first round warms up
		took = [2][]time.Duration{}
		for _, in := range requests {
			for k, s := range []engine.Session{m, other} {
				start := now()
				if _, err := s.Run(ctx, in, nil); err != nil {
					return 0, err
				}
				took[k] = append(took[k], now().Sub(start))
			}
		}
	}
	for k := range took {
		slices.Sort(took[k])
	}
	return float64(took[1][len(requests)/2]) / float64(max(1, took[0][len(requests)/2])), nil
}

func difference(got, want []fairlead.Tensor) string {
	for i := range want {
		g, w := &got[i], &want[i]
		if !slices.Equal(g.Shape, w.Shape) {
			return fmt.Sprintf("output %q has shape %s, not %s", w.Name, fairlead.ShapeString(g.Shape), fairlead.ShapeString(w.Shape))
		}
		same := func(k int) bool { return false }
		switch a := g.Data.(type) {
		case []float32:
			b, ok := w.Data.([]float32)
			same = func(k int) bool { return ok && near(a[k], b[k]) }
		case []int64:
			b, ok := w.Data.([]int64)
			same = func(k int) bool { return ok && a[k] == b[k] }
		case []string:
			b, ok := w.Data.([]string)
			same = func(k int) bool { return ok && a[k] == b[k] }
		}
		for k := range w.Len() {
			if !same(k) {
				return fmt.Sprintf("output %q differs in value %d", w.Name, k)
			}
		}
	}
	return ""
}

func near(a, b float32) bool {
	return a == b || a != a && b != b || math.Abs(float64(a)-float64(b)) <= relative*math.Abs(float64(b))+absolute
}

// thresholds are the values that the trees compare each column with.
func (m *Model) thresholds() [][]float32 {
	f := m.forest
	all := make([][]float32, f.features)
	collect(all, f.narrow)
	collect(all, f.wide)
	return all
}

func collect[F uint16 | uint32, K int16 | int32](all [][]float32, cells []cell[F, K]) {
	for i := range cells {
		if c := &cells[i]; c.kid != 0 {
			column := int(c.feature) % len(all)
			all[column] = append(all[column], c.threshold)
		}
	}
}

// rowMaker makes rows that try the trees out.
type rowMaker struct {
	rng        *rand.Rand
	in         *fairlead.TensorSpec
	thresholds [][]float32 // by column
}

var extremes = []float32{
	float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), 1e-45, -1e-45, math.MaxFloat32,
}

// make gives so many rows, or as many as the input's fixed batch has.
func (r *rowMaker) make(rows int64) fairlead.Tensor {
	width := r.in.Shape[1]
	if r.in.Shape[0] >= 0 {
		rows = r.in.Shape[0]
	}
	if width < 0 {
		width = int64(len(r.thresholds))
	}
	t := fairlead.Tensor{Name: r.in.Name, Type: r.in.Type, Shape: []int64{rows, width}, Data: fairlead.MakeData(r.in.Type, int(rows*width))}
	for i := range int(rows * width) {
		v := r.value(i % int(width))
		whole := v
		if v != v || v > 1<<20 || v < -1<<20 {
			whole = 0
		}
		switch d := t.Data.(type) {
		case []float32:
			d[i] = v
		case []float64:
			d[i] = float64(v)
		case []int64:
			d[i] = int64(whole)
		case []int32:
			d[i] = int32(whole)
		}
	}
	return t
}

func (r *rowMaker) value(column int) float32 {
	if column < len(r.thresholds) && len(r.thresholds[column]) > 0 {
		t := r.thresholds[column][r.rng.IntN(len(r.thresholds[column]))]
		switch r.rng.IntN(8) {
		case 0, 1, 2:
			return t
		case 3:
			return math.Nextafter32(t, float32(math.Inf(1-2*r.rng.IntN(2))))
		case 4, 5:
			return t + float32(r.rng.NormFloat64())
		}
	}
	if r.rng.IntN(4) == 0 {
		return extremes[r.rng.IntN(len(extremes))]
	}
	return float32(r.rng.NormFloat64())
}
