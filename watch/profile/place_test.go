package profile_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fairlead-ml/fairlead"
	"github.com/fairlead-ml/fairlead/watch/profile"
)

// A value's place is where Counts counts it, whatever the column is and whatever comes.
func TestPlacesAreWhereValuesAreCounted(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 2))
	const rows = 3000
	table := func(odd bool) *fairlead.Table {
		number, few, text := make([]float64, rows), make([]float64, rows), make([]string, rows)
		for i := range rows {
			number[i], few[i], text[i] = math.Exp(r.NormFloat64()), float64(r.IntN(5)), fmt.Sprintf("v%d", min(r.IntN(400), r.IntN(400)))
			if odd && r.IntN(4) == 0 {
				number[i] = []float64{math.NaN(), math.Inf(1), math.Inf(-1), -5, 1e9, 0}[r.IntN(6)]
				few[i] = []float64{math.NaN(), 77, 1.5, -1}[r.IntN(4)]
				text[i] = []string{"", "new", "v1"}[r.IntN(3)]
			}
		}
		return &fairlead.Table{Rows: rows, Columns: []fairlead.TableColumn{{Name: "number", Floats: number}, {Name: "few", Floats: few}, {Name: "text", Strings: text}}}
	}
	var fields []fairlead.Field
	for name, typ := range map[string]fairlead.DataType{"number": fairlead.FP32, "few": fairlead.FP64, "text": fairlead.Bytes} {
		fields = append(fields, fairlead.Field{Name: name, Tensor: name, Type: typ})
	}
	ref, err := profile.Learn(fields, table(false), profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	live := table(true)
	counts := profile.NewCounts(ref.Layout)
	counts.AddTable(ref.Layout, live, 0, rows)
	for col := range ref.Layout.Columns {
		name := ref.Layout.Columns[col].Name
		bins, ordered := ref.Layout.AlertPlaces(col)
		got := make([]uint64, len(bins))
		for i := range rows {
			c := live.Column(name)
			if c.Strings != nil {
				got[ref.Layout.AlertPlace(col, c.Strings[i])]++
				continue
			}
			p := ref.Layout.AlertPlace(col, c.Floats[i])
			got[p]++
			if x := c.Floats[i]; p < ordered && (x < bins[p].Low-1e-6 || x > bins[p].High+1e-6) {
				t.Errorf("%s: %v is not in %+v", name, x, bins[p])
			}
		}
		if want := counts.AlertBins(ref.Layout, col); !slices.Equal(got, want) {
			t.Errorf("%s:\n%v, want\n%v", name, got, want)
		}
		if bins[ref.Layout.AlertPlace(col, nil)].Kind != "null" {
			t.Errorf("%s: nil is in %+v", name, bins[ref.Layout.AlertPlace(col, nil)])
		}
	}
	for col := range ref.Layout.Columns {
		edges := ref.Layout.FineEdges(col)
		if numeric := ref.Layout.Columns[col].Kind == profile.Numeric; numeric != (edges != nil) || numeric && len(edges)+1 != len(counts.FineBins(ref.Layout, col)) {
			t.Errorf("%s: %d edges", ref.Layout.Columns[col].Name, len(edges))
		}
	}
}
