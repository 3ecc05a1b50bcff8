package profile_test

import (
	"math"
	"slices"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

func TestOutside(t *testing.T) {
	fields := []fairlead.Field{
		{Name: "age", Tensor: "age", Type: fairlead.FP32}, {Name: "town", Tensor: "town", Type: fairlead.Bytes},
	}
	table := &fairlead.Table{Rows: 300, Columns: []fairlead.TableColumn{{Name: "age"}, {Name: "town"}}}
	for i := range table.Rows {
		table.Columns[0].Floats = append(table.Columns[0].Floats, float64(20+i%61))
		table.Columns[1].Strings = append(table.Columns[1].Strings, []string{"Ulm", "Bern"}[i%2])
	}
	ref, err := profile.Learn(fields, table, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(ages []float32, towns []string) []bool {
		n := int64(len(ages))
		return ref.Layout.Outside(&fairlead.Prediction{Rows: make([]fairlead.RowMeta, n), Inputs: []fairlead.Tensor{
			{Name: "age", Type: fairlead.FP32, Shape: []int64{n, 1}, Data: ages},
			{Name: "town", Type: fairlead.Bytes, Shape: []int64{n, 1}, Data: towns},
		}})
	}
	if got := ask([]float32{20, 80}, []string{"Ulm", "Bern"}); got != nil {
		t.Errorf("rows as in the reference: %v", got)
	}
	inf := float32(math.Inf(1))
	got := ask([]float32{30, 19, 81, 30, inf}, []string{"Ulm", "Ulm", "Bern", "Oslo", "Ulm"})
	if want := []bool{false, true, true, true, true}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
