package probe

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"

	"github.com/fairlead-ml/fairlead"
)

// rows are the inputs that a model is probed with: single rows that can be put together, or whole requests where the
// model's batch is fixed or a request is no list of rows.
type rows struct {
	sig       *fairlead.Signature
	single    [][]fairlead.Tensor // each of one row
	whole     []fairlead.Tensor   // nil, or a request of the only size there is
	separate  string              // why rows cannot be put together; "" where they can
	synthetic bool
	free      int    // index in freeSizes
	unfit     string // why the model cannot be probed
}

// How synthetic rows are made.
const (
	syntheticRows = 16
	seed          = 20260101
)

// freeSizes are tried in turn for dimensions that the signature leaves free, the rows aside.
var freeSizes = []int64{16, 1, 64, 224}

// findRows takes the golden vectors, or else makes values up.
func findRows(sig *fairlead.Signature, golden *Golden) *rows {
	r := &rows{sig: sig, separate: separate(sig)}
	if golden != nil && len(golden.Cases) > 0 {
		r.fromGolden(golden.Cases)
		return r
	}
	r.synthetic = true
	for _, in := range sig.Inputs {
		if in.Shape == nil {
			r.unfit = fmt.Sprintf("it has no golden vectors, and the graph does not say what shape input %q has", in.Name)
			return r
		}
	}
	r.make()
	return r
}

// Synthetic gives up to n requests of one row, or of the model's fixed batch, with seeded values that fit the signature;
// none where it does not say enough. A model may well refuse them.
func Synthetic(sig *fairlead.Signature, n int) [][]fairlead.Tensor {
	r := findRows(sig, nil)
	switch {
	case r.unfit != "":
		return nil
	case r.whole != nil:
		return [][]fairlead.Tensor{r.whole}
	}
	return r.single[:min(n, len(r.single))]
}

// separate says why requests cannot be put together, by the signature alone.
func separate(sig *fairlead.Signature) string {
	for _, in := range sig.Inputs {
		switch {
		case in.Shape == nil:
		case len(in.Shape) == 0:
			return fmt.Sprintf("input %q is a scalar: it belongs to a request, not to a row", in.Name)
		case in.Shape[0] == 1:
			return "the model was exported with a fixed batch of 1"
		case in.Shape[0] >= 0:
			return fmt.Sprintf("the model was exported with a fixed batch of %d", in.Shape[0])
		}
	}
	if len(sig.Inputs) == 0 {
		return "the model has no inputs"
	}
	return ""
}

func (r *rows) fromGolden(cases []Case) {
	if r.separate == "" && slices.ContainsFunc(cases[0].Inputs, func(t fairlead.Tensor) bool { return len(t.Shape) == 0 }) {
		r.separate = "an input is a scalar: it belongs to a request, not to a row"
	}
	if r.separate != "" {
		r.whole = cases[0].Inputs
		return
	}
	for _, c := range cases {
		n := rowsOf(c.Inputs)
		for i := range max(n, 0) {
			row := make([]fairlead.Tensor, len(c.Inputs))
			for k := range c.Inputs {
				row[k] = c.Inputs[k].Slice(i, i+1)
			}
			// Only rows of one shape can be put together.
			if len(r.single) < largestProbe && (len(r.single) == 0 || sameShapes(row, r.single[0])) {
				r.single = append(r.single, row)
			}
		}
	}
	if len(r.single) == 0 {
		r.separate = "the inputs of the golden vectors have different numbers of rows"
		r.whole = cases[0].Inputs
	}
}

// rowsOf is the rows that all tensors have, -1 if they differ.
func rowsOf(ts []fairlead.Tensor) int {
	n := -1
	for i := range ts {
		if len(ts[i].Shape) == 0 || n >= 0 && ts[i].Rows() != n {
			return -1
		}
		n = ts[i].Rows()
	}
	return n
}

func sameShapes(a, b []fairlead.Tensor) bool {
	return slices.EqualFunc(a, b, func(x, y fairlead.Tensor) bool { return x.Name == y.Name && slices.Equal(x.Shape, y.Shape) })
}

// another makes the synthetic rows again with other sizes; false when all have been tried.
func (r *rows) another() bool {
	free := slices.ContainsFunc(r.sig.Inputs, func(in fairlead.TensorSpec) bool {
		return len(in.Shape) > 1 && slices.ContainsFunc(in.Shape[1:], func(d int64) bool { return d < 0 })
	})
	if !free || r.free+1 == len(freeSizes) {
		return false
	}
	r.free++
	r.make()
	return true
}

// make fills the inputs with seeded values: floating-point ones from a standard normal distribution; integers, booleans
// and texts 0 or 1, which most tables can be asked for.
func (r *rows) make() {
	rng := rand.New(rand.NewPCG(seed, 0))
	one := func() []fairlead.Tensor {
		ts := make([]fairlead.Tensor, len(r.sig.Inputs))
		for i, in := range r.sig.Inputs {
			shape := slices.Clone(in.Shape)
			for d := range shape {
				if shape[d] < 0 && d == 0 {
					shape[d] = 1
				} else if shape[d] < 0 {
					shape[d] = freeSizes[r.free]
				}
			}
			ts[i] = synthetic(rng, in.Name, in.Type, shape)
		}
		return ts
	}
	if r.separate != "" {
		r.whole = one()
		return
	}
	r.single = nil
	for range syntheticRows {
		r.single = append(r.single, one())
	}
}

func synthetic(rng *rand.Rand, name string, t fairlead.DataType, shape []int64) fairlead.Tensor {
	out := fairlead.Tensor{Name: name, Type: t, Shape: shape, Data: fairlead.MakeData(t, int(fairlead.Elements(shape)))}
	switch d := out.Data.(type) {
	case []float32:
		for i := range d {
			d[i] = float32(rng.NormFloat64())
		}
	case []float64:
		for i := range d {
			d[i] = rng.NormFloat64()
		}
	case []string:
		for i := range d {
			d[i] = [2]string{"0", "1"}[rng.IntN(2)]
		}
	case []bool:
		for i := range d {
			d[i] = rng.IntN(2) == 1
		}
	case []uint16:
		one := uint16(1)
		switch t {
		case fairlead.FP16:
			one = 0x3c00
		case fairlead.BF16:
			one = 0x3f80
		}
		for i := range d {
			d[i] = one * uint16(rng.IntN(2))
		}
	default:
		values := reflect.ValueOf(d)
		for i := range values.Len() {
			if e := values.Index(i); e.CanInt() {
				e.SetInt(rng.Int64N(2))
			} else {
				e.SetUint(rng.Uint64N(2))
			}
		}
	}
	return out
}

func (r *rows) source() string {
	if r.synthetic {
		return "values made up to fit the signature"
	}
	return "rows of the golden vectors"
}

// batch puts these rows together, or gives the whole request that there is.
func (r *rows) batch(indices ...int) []fairlead.Tensor {
	if r.whole != nil {
		return r.whole
	}
	parts := make([][]fairlead.Tensor, len(indices))
	for i, k := range indices {
		parts[i] = r.single[k%len(r.single)]
	}
	return join(parts)
}

// padded is these rows and then n of zeros or empty texts.
func (r *rows) padded(n int, indices ...int) []fairlead.Tensor {
	zero := make([]fairlead.Tensor, len(r.single[0]))
	for i, t := range r.single[0] {
		zero[i] = t
		zero[i].Data = fairlead.MakeData(t.Type, t.Len())
	}
	parts := [][]fairlead.Tensor{r.batch(indices...)}
	for range n {
		parts = append(parts, zero)
	}
	return join(parts)
}

// join puts requests together along the first dimension.
func join(parts [][]fairlead.Tensor) []fairlead.Tensor {
	if len(parts) == 1 {
		return parts[0]
	}
	out := slices.Clone(parts[0])
	for i := range out {
		data := reflect.MakeSlice(reflect.TypeOf(out[i].Data), 0, len(parts)*out[i].Len())
		count := int64(0)
		for _, p := range parts {
			data = reflect.AppendSlice(data, reflect.ValueOf(p[i].Data))
			count += p[i].Shape[0]
		}
		out[i].Data = data.Interface()
		out[i].Shape = append([]int64{count}, out[i].Shape[1:]...)
	}
	return out
}

// sequence is 0, 1 … n-1.
func sequence(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}
