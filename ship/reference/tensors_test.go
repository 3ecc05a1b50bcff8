package reference_test

import (
	"os"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/ship/bundle"
	"github.com/fairlead-ml/fairlead/ship/reference"
)

// The way of reference data at push: file to table, table held against the signature, rows to the model's tensors.
func TestReferenceToTensors(t *testing.T) {
	file, err := bundle.ParseFile([]byte(`
name: flights
inputs: [{name: numbers, features: [hour, weekday, distance]}]
reference: flights.parquet`))
	if err != nil {
		t.Fatal(err)
	}
	sig, _, err := bundle.Merge(fairlead.Signature{Inputs: []fairlead.TensorSpec{
		{Name: "numbers", Type: fairlead.FP32, Shape: []int64{-1, 3}},
		{Name: "origin", Type: fairlead.Bytes, Shape: []int64{-1, 1}},
		{Name: "destination", Type: fairlead.Bytes, Shape: []int64{-1}},
	}}, file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"flights.parquet", "flights.csv"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		table, err := reference.Read(name, b, bundle.TextColumns(sig)...)
		if err != nil {
			t.Fatal(err)
		}
		if err := bundle.CheckReference(sig, table); err != nil {
			t.Fatal(err)
		}
		if column, err := bundle.TimeColumn(file, sig, table); column != "time" || err != nil {
			t.Error(column, err)
		}
		in, err := bundle.Inputs(sig, table, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		numbers, origin := in[0].Data.([]float32), in[1].Data.([]string)
		if len(numbers) != 3*64 || numbers[2] != 2176 || origin[0] != "LAS" || in[2].Rows() != 64 {
			t.Errorf("%s: %v %v", name, numbers[:3], origin[:1])
		}
		table.Column("origin").Name = "orign"
		if err := bundle.CheckReference(sig, table); err == nil || !strings.Contains(err.Error(), `origin ("orign" is close)`) {
			t.Error(err)
		}
	}
}
