package probe

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fairlead-ml/fairlead"
)

// tolerance is how far a row's answer in a batch may be from the answer alone: relative to the larger of the value and the
// largest value of that output over all probe rows, for sums that nearly cancel lose digits. Integers, booleans and texts
// must be equal.
const tolerance = 1e-5

// testSizes are the batches of the self-test. Of a model so slow that they take more than selfTestBudget, the larger ones are
// left out, and then it gets no larger batches either.
var testSizes = []int{2, 3, 8, largestProbe}

const selfTestBudget = time.Second

// plan is the sizes to test of a model whose row takes one.
func plan(one time.Duration) []int {
	sizes := testSizes
	for len(sizes) > 2 {
		rows := 0
		for _, n := range sizes {
			rows += n
		}
		if largest := sizes[len(sizes)-1]; time.Duration(rows+2*min(largest, syntheticRows))*one <= selfTestBudget {
			break
		}
		sizes = sizes[:len(sizes)-1]
	}
	return sizes
}

// selfTest says why rows must not be run together, "" if they may: probe rows are run alone, in batches of several sizes
// and orders, and with padding behind them, and must get the same answers. The error is the context's.
func (p *prober) selfTest() (off string, err error) {
	if p.rows.separate != "" {
		return p.rows.separate, nil
	}
	sizes := plan(p.one)
	p.tested = sizes[len(sizes)-1]
	n := min(len(p.rows.single), p.tested)
	alone := make([][]fairlead.Tensor, n)
	for i := range alone {
		if alone[i], _, err = p.run(p.rows.batch(i)); err != nil {
			return fmt.Sprintf("a run of one row fails: %v", err), p.ctx.Err()
		}
		if d := rowless(alone[i], 1); d != "" {
			return d, nil
		}
	}
	scales := scale(alone)
	again, _, err := p.run(p.rows.batch(0))
	if err != nil {
		return fmt.Sprintf("a run of one row fails: %v", err), p.ctx.Err()
	}
	if d := differs(alone, scales, []int{0}, 1, again); d != "" {
		return "the model is not deterministic, so it cannot be tested: the same row again, " + d, nil
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, size := range sizes {
		indices := sequence(size)
		for i := range indices {
			indices[i] %= n
		}
		rng.Shuffle(size, func(i, k int) { indices[i], indices[k] = indices[k], indices[i] })
		off, err = p.compare(alone, scales, indices, size, p.rows.batch(indices...))
		if off != "" || err != nil {
			return off, err
		}
	}
	indices := []int{2 % n, 0, 1 % n}
	return p.compare(alone, scales, indices, 5, p.rows.padded(2, indices...))
}

// rowless names an output without a row for each of the rows of a run.
func rowless(out []fairlead.Tensor, rows int) string {
	for i := range out {
		if t := &out[i]; len(t.Shape) == 0 || t.Rows() != rows {
			of := "one row"
			if rows != 1 {
				of = fmt.Sprintf("%d rows", rows)
			}
			return fmt.Sprintf("output %q has shape %s for %s: it has no row for each row of the input", t.Name, fairlead.ShapeString(t.Shape), of)
		}
	}
	return ""
}

func (p *prober) compare(alone [][]fairlead.Tensor, scales map[string]float64, indices []int, size int, in []fairlead.Tensor) (off string, err error) {
	out, _, err := p.run(in)
	if err != nil {
		return fmt.Sprintf("a run of %d rows fails: %v", size, err), p.ctx.Err()
	}
	padding := ""
	if size > len(indices) {
		padding = fmt.Sprintf(" and %d of padding", size-len(indices))
	}
	if d := differs(alone, scales, indices, size, out); d != "" {
		return fmt.Sprintf("answers depend on what is run together: with %d rows%s, %s", len(indices), padding, d), nil
	}
	return "", nil
}

// differs holds the first rows of out, a run of size rows, against the answers of those rows alone.
func differs(alone [][]fairlead.Tensor, scales map[string]float64, indices []int, size int, out []fairlead.Tensor) string {
	if d := rowless(out, size); d != "" {
		return d
	}
	for _, t := range out {
		for row, index := range indices {
			want := fairlead.Find(alone[index], t.Name)
			if want == nil || !slices.Equal(want.Shape[1:], t.Shape[1:]) {
				return fmt.Sprintf("output %q has another width than alone", t.Name)
			}
			for k := range want.Len() {
				at := row*want.Len() + k
				if !near(want, k, &t, at, tolerance*scales[t.Name], tolerance) {
					return fmt.Sprintf("output %q of a row is %s, and %s alone", t.Name, element(&t, at), element(want, k))
				}
			}
		}
	}
	return ""
}

// scale is the largest finite absolute value of each output.
func scale(answers [][]fairlead.Tensor) map[string]float64 {
	scales := map[string]float64{}
	for _, out := range answers {
		for i := range out {
			for k := range out[i].Len() {
				if v, ok := out[i].Float(k); ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
					scales[out[i].Name] = max(scales[out[i].Name], math.Abs(v))
				}
			}
		}
	}
	return scales
}
