package bundle

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
)

// GoldenFile is the file of golden vectors in a bundle folder. Without one they are made when the version is pushed.
const GoldenFile = "golden.json"

// Limits on golden vectors.
const (
	MaxGolden      = 16 << 20 // bytes
	maxGoldenCases = 1000
)

// Tolerances of golden vectors that give none: a float32 answer on another processor differs in its last digits.
const (
	DefaultAbsolute = 1e-5
	DefaultRelative = 1e-4
)

// Golden are inputs with the outputs that the model must give for them, checked whenever the version is loaded.
type Golden struct {
	Absolute float64 // a floating-point output may differ by Absolute + Relative·|expected|; others must be equal
	Relative float64
	Cases    []GoldenCase
}

// GoldenCase is one call of the model: all of its inputs, and those of its outputs that are checked. One without outputs
// gets the model's when it is pushed.
type GoldenCase struct {
	Inputs  []fairlead.Tensor
	Outputs []fairlead.Tensor
}

// The form in JSON. Tensors are as in the Open Inference Protocol; NaN and the infinities, which JSON lacks, are the
// texts "NaN", "Infinity" and "-Infinity", and a BYTES element that is not UTF-8 is {"b64": "…"}.
type goldenJSON struct {
	Tolerance *toleranceJSON   `json:"tolerance,omitempty"`
	Cases     []goldenCaseJSON `json:"cases"`
}

type toleranceJSON struct {
	Absolute *float64 `json:"absolute,omitempty"`
	Relative *float64 `json:"relative,omitempty"`
}

type goldenCaseJSON struct {
	Inputs  []tensorJSON `json:"inputs"`
	Outputs []tensorJSON `json:"outputs"`
}

type tensorJSON struct {
	Name     string            `json:"name"`
	Datatype fairlead.DataType `json:"datatype"`
	Shape    []int64           `json:"shape"`
	Data     any               `json:"data"` // flat when written, flat or nested when read
}

// MarshalJSON gives the form that ParseGolden reads.
func (g *Golden) MarshalJSON() ([]byte, error) {
	out := goldenJSON{Tolerance: &toleranceJSON{&g.Absolute, &g.Relative}, Cases: make([]goldenCaseJSON, len(g.Cases))}
	for i, c := range g.Cases {
		out.Cases[i] = goldenCaseJSON{tensorsJSON(c.Inputs), tensorsJSON(c.Outputs)}
	}
	return json.Marshal(out)
}

func tensorsJSON(ts []fairlead.Tensor) []tensorJSON {
	out := make([]tensorJSON, len(ts))
	for i := range ts {
		t := &ts[i]
		values := make([]any, t.Len())
		for k := range values {
			values[k] = elementJSON(t, k)
		}
		out[i] = tensorJSON{t.Name, t.Type, append([]int64{}, t.Shape...), values}
	}
	return out
}

func elementJSON(t *fairlead.Tensor, i int) any {
	switch d := t.Data.(type) {
	case []string:
		if utf8.ValidString(d[i]) {
			return d[i]
		}
		return map[string]string{"b64": base64.StdEncoding.EncodeToString([]byte(d[i]))}
	case []bool:
		return d[i]
	case []int64:
		return d[i]
	case []uint64:
		return d[i]
	}
	v, _ := t.Float(i)
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	case t.Type == fairlead.FP32:
		return json.Number(strconv.FormatFloat(v, 'g', -1, 32))
	}
	return v
}

// ParseGolden reads golden vectors. An error is CodeInvalid and says which tensor of which case it is about. Whether they
// fit the model shows when they are checked.
func ParseGolden(b []byte) (*Golden, error) {
	if len(b) > MaxGolden {
		return nil, tooLarge(GoldenFile, MaxGolden)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	d.DisallowUnknownFields()
	var in goldenJSON
	if err := d.Decode(&in); err != nil {
		return nil, goldenError("%v", err).Hintf(`expected {"cases": [{"inputs": [{"name", "datatype", "shape", "data"}], "outputs": […]}]}`)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, goldenError("there is something after the end of the object")
	}
	g := &Golden{Absolute: DefaultAbsolute, Relative: DefaultRelative}
	if in.Tolerance != nil {
		for _, v := range []struct {
			to   *float64
			from *float64
		}{{&g.Absolute, in.Tolerance.Absolute}, {&g.Relative, in.Tolerance.Relative}} {
			if v.from != nil {
				*v.to = *v.from
			}
		}
	}
	if g.Absolute < 0 || g.Relative < 0 {
		return nil, goldenError("the tolerance is negative")
	}
	if len(in.Cases) == 0 || len(in.Cases) > maxGoldenCases {
		return nil, goldenError("it has %d cases; expected 1 to %d", len(in.Cases), maxGoldenCases)
	}
	for i, c := range in.Cases {
		var made GoldenCase
		var err error
		if made.Inputs, err = readTensors(c.Inputs); err == nil {
			made.Outputs, err = readTensors(c.Outputs)
		}
		if err != nil {
			return nil, goldenError("case %d: %v", i, err)
		}
		g.Cases = append(g.Cases, made)
	}
	return g, nil
}

func goldenError(format string, args ...any) *fairlead.Error {
	return fairlead.Invalid("%s: %s", GoldenFile, fmt.Sprintf(format, args...))
}

func readTensors(in []tensorJSON) ([]fairlead.Tensor, error) {
	out := make([]fairlead.Tensor, len(in))
	for i, t := range in {
		out[i] = fairlead.Tensor{Name: t.Name, Type: t.Datatype, Shape: append([]int64{}, t.Shape...)}
		if fairlead.MakeData(t.Datatype, 0) == nil {
			return nil, fmt.Errorf("tensor %q has the datatype %q, which does not exist", t.Name, t.Datatype)
		}
		if slices.ContainsFunc(out[:i], func(o fairlead.Tensor) bool { return o.Name == t.Name }) {
			return nil, fmt.Errorf("tensor %q is given twice", t.Name)
		}
		values, err := leaves(nil, t.Data, 0)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		if n := product(t.Shape); n != int64(len(values)) {
			return nil, fmt.Errorf("tensor %q has shape %s and %d values", t.Name, fairlead.ShapeString(t.Shape), len(values))
		}
		if out[i].Data, err = elements(t.Datatype, values); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	return out, nil
}

// product is the number of elements of a shape, -1 for one that no data can have.
func product(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		if d < 0 || d > MaxGolden || n*d > MaxGolden {
			return -1
		}
		n *= d
	}
	return n
}

// leaves flattens nested lists; a value that is no list is one leaf.
func leaves(to []any, v any, depth int) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		if depth == 0 {
			return nil, fmt.Errorf("data is not a list")
		}
		return append(to, v), nil
	}
	if depth > 32 {
		return nil, fmt.Errorf("data is nested more than 32 deep")
	}
	var err error
	for _, e := range list {
		if to, err = leaves(to, e, depth+1); err != nil {
			return nil, err
		}
	}
	return to, nil
}

func elements(t fairlead.DataType, values []any) (any, error) {
	out := fairlead.Tensor{Type: t, Data: fairlead.MakeData(t, len(values))}
	for i, v := range values {
		if !setElement(&out, i, v) {
			return nil, fmt.Errorf("value %d is %v, which is not a %s", i, v, t)
		}
	}
	return out.Data, nil
}

// setElement stores a value as JSON gives it, false if it does not fit.
func setElement(t *fairlead.Tensor, i int, v any) bool {
	switch d := t.Data.(type) {
	case []string:
		s, ok := v.(string)
		if b, isMap := v.(map[string]any); isMap {
			var raw []byte
			text, _ := b["b64"].(string)
			raw, err := base64.StdEncoding.DecodeString(text)
			s, ok = string(raw), err == nil && len(b) == 1
		}
		d[i] = s
		return ok
	case []bool:
		b, ok := v.(bool)
		d[i] = b
		return ok
	case []int64:
		n, err := strconv.ParseInt(number(v), 10, 64)
		d[i] = n
		return err == nil
	case []uint64:
		n, err := strconv.ParseUint(number(v), 10, 64)
		d[i] = n
		return err == nil
	}
	bits := 64
	if t.Type == fairlead.FP32 {
		bits = 32
	}
	f, err := strconv.ParseFloat(number(v), bits)
	switch v {
	case "NaN":
		f, err = math.NaN(), nil
	case "Infinity":
		f, err = math.Inf(1), nil
	case "-Infinity":
		f, err = math.Inf(-1), nil
	}
	return err == nil && setter(t)(i, f)
}

func number(v any) string {
	n, _ := v.(json.Number)
	return n.String()
}

// Example is the inputs of the first golden case cut to one row, nil if the version has no golden vectors.
func (b *Bundle) Example() []fairlead.Tensor {
	g, err := b.Golden()
	if g == nil || err != nil {
		return nil
	}
	row := slices.Clone(g.Cases[0].Inputs)
	for i := range row {
		spec := b.Signature.Input(row[i].Name)
		if spec != nil && len(spec.Shape) > 0 && spec.Shape[0] < 0 && len(row[i].Shape) > 0 && row[i].Rows() > 1 {
			row[i] = row[i].Slice(0, 1)
		}
	}
	return row
}

// Instance is the first golden row by feature name, as the "instances" of a request take it: false where an input has no
// names for its columns, or more than one element without a name.
func (b *Bundle) Instance() (map[string]any, bool) {
	instance := map[string]any{}
	example := b.Example()
	for i := range example {
		t := &example[i]
		spec := b.Signature.Input(t.Name)
		switch {
		case spec != nil && len(spec.Features) > 0 && len(spec.Features) == t.Len():
			for k, name := range spec.Features {
				instance[name] = elementJSON(t, k)
			}
		case t.Len() == 1:
			instance[t.Name] = elementJSON(t, 0)
		default:
			return nil, false
		}
	}
	return instance, len(instance) > 0
}
