package app

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// Counting joined predictions gives what counting each of them gives, whatever their forms.
func TestJoinCountsTheSame(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	layout := layoutOfX(t, rng)
	noonish := time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC)
	var preds []*fairlead.Prediction
	for i := range 3000 {
		p := prediction(fmt.Sprint("p", i), 1+rng.IntN(3))
		p.Received = noonish.Add(time.Duration(i) * 50 * time.Millisecond)
		for k := range p.Rows {
			p.Inputs[0].Data.([]float32)[k] = float32(rng.NormFloat64())
			p.Rows[k].Time = p.Received.Add(-time.Duration(rng.IntN(2)) * time.Minute)
		}
		switch rng.IntN(20) {
		case 0:
			p.Rows[0].Time = time.Time{} // its arrival counts
		case 1:
			p.Role = fairlead.RoleShadow
		case 2:
			p.Inputs = nil
		case 3:
			p.Inputs[0].Shape[0]++ // wrong
		case 4:
			p.Inputs[0].Type, p.Inputs[0].Data = fairlead.FP64, make([]float64, len(p.Rows))
		case 5:
			p.Inputs[0].Shape = nil
		}
		preds = append(preds, p)
	}
	preds = append(preds, prediction("large", 2*joinRows), prediction("last", 1))
	want, got := profile.NewCollector(), profile.NewCollector()
	for _, p := range preds {
		want.Add(layout, p)
	}
	calls := 0
	for rest := preds; len(rest) > 0; calls++ {
		var p *fairlead.Prediction
		p, rest = join(rest)
		got.Add(layout, p)
	}
	if calls > len(preds)/2 {
		t.Errorf("%d calls for %d predictions", calls, len(preds))
	}
	a, b := want.Drain(), got.Drain()
	if len(a) != len(b) {
		t.Fatalf("%d deltas, want %d", len(b), len(a))
	}
	for i := range a {
		if a[i].Minute != b[i].Minute || a[i].Role != b[i].Role || a[i].Counts.N != b[i].Counts.N {
			t.Fatalf("delta %d is %v, want %v", i, b[i], a[i])
		}
		x, y := a[i].Counts.Columns[0], b[i].Counts.Columns[0]
		if !reflect.DeepEqual(x.Slots, y.Slots) || x.Null != y.Null || x.NaN != y.NaN {
			t.Errorf("delta %d counts %+v, want %+v", i, y, x)
		}
	}
}

// layoutOfX is the layout of one column x.
func layoutOfX(t *testing.T, rng *rand.Rand) *profile.Layout {
	t.Helper()
	table := &fairlead.Table{Rows: 500, Columns: []fairlead.TableColumn{{Name: "x"}}}
	for range table.Rows {
		table.Columns[0].Floats = append(table.Columns[0].Floats, float64(float32(rng.NormFloat64())))
	}
	ref, err := profile.Learn([]fairlead.Field{{Name: "x", Tensor: "x", Type: fairlead.FP32}}, table, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return ref.Layout
}

// A join keeps every type's values in their order.
func TestJoinTensors(t *testing.T) {
	for _, dt := range []fairlead.DataType{fairlead.Bool, fairlead.Int8, fairlead.Int16, fairlead.Int32, fairlead.Int64, fairlead.Uint8,
		fairlead.Uint16, fairlead.Uint32, fairlead.Uint64, fairlead.FP16, fairlead.BF16, fairlead.FP32, fairlead.FP64, fairlead.Bytes} {
		all := fairlead.MakeData(dt, 6)
		v := reflect.ValueOf(all)
		for i := range v.Len() {
			switch e := v.Index(i); e.Kind() {
			case reflect.Bool:
				e.SetBool(i%2 == 1)
			case reflect.String:
				e.SetString(fmt.Sprint(i))
			default:
				e.Set(reflect.ValueOf(i).Convert(e.Type()))
			}
		}
		whole := fairlead.Tensor{Name: "x", Type: dt, Shape: []int64{3, 2}, Data: all}
		part := func(from, to int) *fairlead.Prediction {
			return &fairlead.Prediction{Rows: make([]fairlead.RowMeta, to-from), Inputs: []fairlead.Tensor{whole.Slice(from, to)}}
		}
		got, rest := join([]*fairlead.Prediction{part(0, 1), part(1, 3)})
		if len(rest) > 0 || len(got.Rows) != 3 || !reflect.DeepEqual(got.Inputs, []fairlead.Tensor{whole}) {
			t.Errorf("%s: joined %+v, want %+v", dt, got.Inputs, whole)
		}
	}
}
