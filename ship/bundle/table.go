package bundle

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fairlead-ml/fairlead"
)

// TextColumns are the features and outputs of type BYTES: the columns that a reader of reference data must not take
// for numbers, however they look.
func TextColumns(sig fairlead.Signature) []string {
	var names []string
	for _, f := range sig.Fields() {
		if f.Type == fairlead.Bytes {
			names = append(names, f.Name)
		}
	}
	return names
}

// CheckReference says whether t can be the reference of a model: every feature is a column of a fitting type, and so
// is every output that t has. Other columns do not matter. The error, CodeInvalid, lists all that is missing and all
// that does not fit, with what came.
func CheckReference(sig fairlead.Signature, t *fairlead.Table) error {
	names := t.Names()
	var missing, unfit []string
	known := 0
	for _, f := range sig.Fields() {
		c := t.Column(f.Name)
		switch {
		case c != nil:
			known++
			if problem := fits(f, c); problem != "" {
				unfit = append(unfit, problem)
			}
		case !f.Output:
			missing = append(missing, f.Name+closeTo(f.Name, names))
		}
	}
	switch {
	case len(missing) > 0:
		return fairlead.Invalid("the reference lacks %d of the model's features: %s", len(missing), list(missing)).
			Hintf("its columns are %s; a column has the name of its feature", list(names))
	case len(unfit) > 0:
		return fairlead.Invalid("the reference has columns of another type than the model takes: %s", strings.Join(unfit, "; ")).
			Hintf("convert them before writing the reference")
	case known == 0:
		return fairlead.Invalid("the reference has none of the model's columns, because the model has no named features").
			Hintf("name the columns of its inputs in %s: inputs: [{name: %s, features: […]}]", FileName, firstName(sig.Inputs))
	}
	return nil
}

func closeTo(name string, names []string) string {
	if n := near(name, names); n != "" {
		return fmt.Sprintf(" (%q is close)", n)
	}
	return ""
}

// fits is "" or what is wrong.
func fits(f fairlead.Field, c *fairlead.TableColumn) string {
	want := "numbers"
	switch {
	case f.Type == fairlead.Bytes && c.Strings != nil:
		return ""
	case f.Type == fairlead.Bytes:
		want = "text"
		// A column without a single value has no type of its own.
		if allNull(c) {
			return ""
		}
	case c.Floats != nil:
		return ""
	}
	return fmt.Sprintf("%s: expected %s for %s, got %s", f.Name, want, f.Type, describe(c))
}

func allNull(c *fairlead.TableColumn) bool { return c.Null != nil && !slices.Contains(c.Null, false) }

// describe says what a column holds; of text, the first value that is not a number, which is what makes it text.
func describe(c *fairlead.TableColumn) string {
	switch {
	case c.Floats != nil:
		return "numbers"
	case c.Times != nil:
		return "timestamps"
	}
	for i, s := range c.Strings {
		if _, err := strconv.ParseFloat(s, 64); err != nil && !c.IsNull(i) {
			if len(s) > 40 {
				s = s[:40] + "…"
			}
			return fmt.Sprintf("text (row %d: %q)", i+1, s)
		}
	}
	return "text"
}

// TimeColumn is the reference's column of timestamps: the one the file names, else one called time that is not a
// feature; "" if there is none. A named one that is absent or holds no timestamps is an error.
func TimeColumn(f *File, sig fairlead.Signature, t *fairlead.Table) (string, error) {
	const usual = "time"
	if name := f.Reference.Time; name != "" {
		c := t.Column(name)
		if c == nil {
			return "", fairlead.Invalid("reference.time is %q, but the reference has no such column%s", name, didYouMean(name, t.Names())).
				Hintf("its columns are %s", list(t.Names()))
		}
		if c.Times == nil {
			return "", fairlead.Invalid("reference.time: column %q holds %s, expected timestamps", name, describe(c)).
				Hintf("timestamps are a timestamp column in Parquet, or text like 2001-03-01T12:00:00Z in CSV")
		}
		return name, nil
	}
	isFeature := slices.ContainsFunc(sig.Fields(), func(f fairlead.Field) bool { return f.Name == usual })
	if c := t.Column(usual); c != nil && c.Times != nil && !isFeature {
		return usual, nil
	}
	return "", nil
}

// Inputs builds the model's input tensors from rows [from,to) of t, by feature name. A null is NaN in a
// floating-point tensor and the empty string in BYTES; integers and booleans have no value that could stand for it,
// so there it is an error. So are numbers that an integer type cannot hold, inputs wider than one column without
// feature names, and columns that are absent or of another type. Floating-point values are rounded to the tensor's
// type.
func Inputs(sig fairlead.Signature, t *fairlead.Table, from, to int) ([]fairlead.Tensor, error) {
	if from < 0 || to < from || to > t.Rows {
		return nil, fmt.Errorf("rows %d to %d of a table of %d", from, to, t.Rows)
	}
	tensors := make([]fairlead.Tensor, 0, len(sig.Inputs))
	for _, in := range sig.Inputs {
		names := in.Features
		if len(names) == 0 && in.Width() == 1 {
			names = []string{in.Name}
		}
		if len(names) == 0 || len(names) != in.Width() {
			return nil, fairlead.Invalid("input %q of shape %s cannot be built from a table: its columns have no names", in.Name, fairlead.ShapeString(in.Shape)).
				Hintf("name them in %s: inputs: [{name: %s, features: […]}]", FileName, in.Name)
		}
		tensor := fairlead.Tensor{Name: in.Name, Type: in.Type, Shape: slices.Clone(in.Shape), Data: fairlead.MakeData(in.Type, (to-from)*len(names))}
		if tensor.Data == nil {
			return nil, fairlead.Invalid("input %q has type %s, which a table cannot hold", in.Name, in.Type)
		}
		if len(tensor.Shape) == 0 {
			return nil, fairlead.Invalid("input %q is a scalar: it has no dimension for rows", in.Name)
		}
		tensor.Shape[0] = int64(to - from)
		for i, name := range names {
			c := t.Column(name)
			field := fairlead.Field{Name: name, Type: in.Type}
			if c == nil {
				return nil, fairlead.Invalid("the table has no column %q%s", name, didYouMean(name, t.Names())).Hintf("its columns are %s", list(t.Names()))
			}
			if problem := fits(field, c); problem != "" {
				return nil, fairlead.Invalid("%s", problem)
			}
			if err := fill(&tensor, c, i, len(names), from, to); err != nil {
				return nil, err
			}
		}
		tensors = append(tensors, tensor)
	}
	return tensors, nil
}

// fill writes rows [from,to) of c into column i of width.
func fill(t *fairlead.Tensor, c *fairlead.TableColumn, i, width, from, to int) error {
	if texts, ok := t.Data.([]string); ok {
		for row := from; row < to && c.Strings != nil; row++ {
			if !c.IsNull(row) {
				texts[(row-from)*width+i] = c.Strings[row]
			}
		}
		return nil
	}
	set := setter(t)
	for row := from; row < to; row++ {
		v := c.Float(row)
		if !set((row-from)*width+i, v) {
			what := strconv.FormatFloat(v, 'g', -1, 64)
			if c.IsNull(row) {
				what = "no value"
			}
			return fairlead.Invalid("column %q, row %d has %s, which %s cannot hold", c.Name, row+1, what, t.Type).
				Hintf("fill it in, or drop the row from the reference")
		}
	}
	return nil
}

// setter gives the function that stores a number in t, false if it does not fit.
func setter(t *fairlead.Tensor) func(i int, v float64) bool {
	switch d := t.Data.(type) {
	case []float32:
		return func(i int, v float64) bool { d[i] = float32(v); return true }
	case []float64:
		return func(i int, v float64) bool { d[i] = v; return true }
	case []bool:
		return func(i int, v float64) bool { d[i] = v == 1; return v == 0 || v == 1 }
	case []int8:
		return integer(d, -1<<7, 1<<7)
	case []int16:
		return integer(d, -1<<15, 1<<15)
	case []int32:
		return integer(d, -1<<31, 1<<31)
	case []int64:
		return integer(d, -1<<63, 1<<63)
	case []uint8:
		return integer(d, 0, 1<<8)
	case []uint32:
		return integer(d, 0, 1<<32)
	case []uint64:
		return integer(d, 0, 1<<64)
	case []uint16:
		if t.Type == fairlead.Uint16 {
			return integer(d, 0, 1<<16)
		}
		return func(i int, v float64) bool { d[i] = halfBits(float32(v), t.Type); return true }
	}
	return func(int, float64) bool { return false }
}

// integer stores whole numbers in [low, high).
func integer[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64](d []T, low, high float64) func(int, float64) bool {
	return func(i int, v float64) bool {
		if !(v >= low && v < high) || v != math.Trunc(v) {
			return false
		}
		d[i] = T(v)
		return true
	}
}

// halfBits rounds v to the nearest FP16 or BF16, ties to even; too large values become infinite.
func halfBits(v float32, t fairlead.DataType) uint16 {
	bits := math.Float32bits(v)
	if t == fairlead.BF16 {
		if v != v {
			return uint16(bits>>16) | 0x40
		}
		return uint16((bits + 0x7fff + bits>>16&1) >> 16)
	}
	sign := uint16(bits >> 16 & 0x8000)
	switch abs := math.Abs(float64(v)); {
	case v != v:
		return sign | 0x7e00
	case abs >= 65520:
		return sign | 0x7c00
	case abs < 1.0/(1<<14): // subnormal: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(abs*(1<<24)))
	default:
		// Rounding may carry into the exponent, which is where it belongs.
		rounded := bits&0x7fffffff + 0xfff + bits>>13&1
		return sign | uint16(rounded>>13-112<<10)
	}
}
