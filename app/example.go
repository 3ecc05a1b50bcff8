package app

import (
	"context"
	"encoding/base64"
	"math"
	"unicode/utf8"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/api"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/reference"
)

// Example implements admin.Models: the first row of the reference data, or values that fit the signature where the
// bundle holds none.
func (a *App) Example(ctx context.Context, name, version string) (api.ModelExample, error) {
	entry, err := a.registry.Resolve(ctx, fairlead.Name(name), version)
	if err != nil {
		return api.ModelExample{}, err
	}
	if known, ok := a.examples.Load(entry.Digest); ok {
		return known.(api.ModelExample), nil
	}
	b, err := a.registry.Open(ctx, entry.Digest)
	if err != nil {
		return api.ModelExample{}, err
	}
	e := example(b)
	a.examples.Store(entry.Digest, e)
	return e, nil
}

func example(b *bundle.Bundle) api.ModelExample {
	if file, data := b.Reference(); data != nil {
		table, err := reference.Read(file, data, bundle.TextColumns(b.Signature)...)
		if err == nil {
			if in, err := bundle.Inputs(b.Signature, table, 0, 1); err == nil {
				return api.ModelExample{Source: "reference", Request: requestOf(b.Signature, in)}
			}
		}
	}
	if in := b.Example(); in != nil {
		return api.ModelExample{Source: "golden", Request: requestOf(b.Signature, in)}
	}
	return api.ModelExample{Source: "made", Request: requestOf(b.Signature, made(b.Signature))}
}

// made is one row of zeros or empty strings; a free dimension other than the first counts as one.
func made(sig fairlead.Signature) []fairlead.Tensor {
	ts := make([]fairlead.Tensor, len(sig.Inputs))
	for i, in := range sig.Inputs {
		shape := make([]int64, len(in.Shape))
		for d, n := range in.Shape {
			shape[d] = max(n, 1)
		}
		ts[i] = fairlead.Tensor{Name: in.Name, Type: in.Type, Shape: shape, Data: fairlead.MakeData(in.Type, int(fairlead.Elements(shape)))}
	}
	return ts
}

// requestOf writes one row as a client would: named features where every input has them, tensors else.
func requestOf(sig fairlead.Signature, in []fairlead.Tensor) map[string]any {
	row := map[string]any{}
	for i := range in {
		spec := sig.Input(in[i].Name)
		values := jsonValues(&in[i])
		switch {
		case spec != nil && len(spec.Features) == len(values) && len(values) > 0:
			for c, feature := range spec.Features {
				row[feature] = values[c]
			}
		case len(values) == 1 && len(in[i].Shape) <= 2:
			row[in[i].Name] = values[0]
		default:
			return tensorRequest(in)
		}
	}
	return map[string]any{"instances": []any{row}}
}

func tensorRequest(in []fairlead.Tensor) map[string]any {
	inputs := make([]any, len(in))
	for i := range in {
		inputs[i] = map[string]any{"name": in[i].Name, "datatype": in[i].Type, "shape": in[i].Shape, "data": jsonValues(&in[i])}
	}
	return map[string]any{"inputs": inputs}
}

// jsonValues are the elements as JSON can hold them: NaN and the infinities are null.
func jsonValues(t *fairlead.Tensor) []any {
	values := make([]any, t.Len())
	for i := range values {
		switch d := t.Data.(type) {
		case []string:
			if values[i] = d[i]; !utf8.ValidString(d[i]) {
				values[i] = map[string]string{"b64": base64.StdEncoding.EncodeToString([]byte(d[i]))}
			}
		case []bool:
			values[i] = d[i]
		case []int64:
			values[i] = d[i]
		case []uint64:
			values[i] = d[i]
		case []float32:
			values[i] = finite(float64(d[i]), d[i])
		default:
			f, _ := t.Float(i)
			values[i] = finite(f, f)
		}
	}
	return values
}

func finite(f float64, v any) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return v
}
