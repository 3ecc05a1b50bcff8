package profile

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-ml/fairlead"
)

func normals(rng *rand.Rand, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = rng.NormFloat64()
	}
	return out
}

// Without ties the bins are 64 quantiles and the alert bins begin where the definition says.
func TestQuantileBins(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{640, 1000, 12_345} {
		for _, dt := range []fairlead.DataType{fairlead.FP32, fairlead.FP64} {
			r := learnOne(t, dt, normals(rng, n)...)
			c := &r.Layout.Columns[0]
			if c.Kind != Numeric || len(c.edges) != 65 {
				t.Fatalf("n %d %s: kind %s with %d edges", n, dt, c.Kind, len(c.edges))
			}
			if want := []int{0, 6, 13, 19, 26, 32, 38, 45, 51, 58, 64}; !slices.Equal(c.alert, want) {
				t.Fatalf("n %d: alert bins at %v, want %v", n, c.alert, want)
			}
			fine := r.Total.FineBins(r.Layout, 0)
			for j, rows := range fine[1:65] {
				if math.Abs(float64(rows)-float64(n)/64) > 2 {
					t.Fatalf("n %d: fine bin %d holds %d rows", n, j, rows)
				}
			}
			if fine[0] != 0 || fine[65] != 0 {
				t.Fatalf("the reference has %d rows under and %d over itself", fine[0], fine[65])
			}
			for _, rows := range r.Total.AlertBins(r.Layout, 0)[:10] {
				if s := float64(rows) / float64(n); s < .09 || s > .112 {
					t.Fatalf("n %d: an alert bin holds %.3f", n, s)
				}
			}
		}
	}
}

// A value holding more than 1/64 of the reference gets a bin of its own, and no other bin grows far beyond 1/64.
func TestAtoms(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	values := normals(rng, 5000)
	for i := range values {
		switch {
		case i%4 == 0:
			values[i] = 0
		case i%20 == 1:
			values[i] = 1.5
		case i%30 == 2:
			values[i] = -9 // the minimum
		case i%30 == 3:
			values[i] = 9 // the maximum
		}
	}
	r := learnOne(t, fairlead.FP32, values...)
	c := &r.Layout.Columns[0]
	var atoms []float64
	for j, atom := range c.atoms {
		if atom {
			atoms = append(atoms, c.edges[j])
			if want := successor(c.edges[j], fairlead.FP32); c.edges[j+1] != want {
				t.Errorf("the bin of %g ends at %g", c.edges[j], c.edges[j+1])
			}
		}
	}
	if want := []float64{-9, 0, 1.5, 9}; !slices.Equal(atoms, want) {
		t.Fatalf("atoms %v, want %v", atoms, want)
	}
	for j, rows := range r.Total.FineBins(r.Layout, 0)[1:] {
		if j < len(c.atoms) && !c.atoms[j] && rows > 5000/64+5 {
			t.Errorf("bin %d without an atom holds %d rows", j, rows)
		}
	}
	if c.maximum() != 9 {
		t.Errorf("maximum %g, want 9", c.maximum())
	}
	// A live value beside an atom does not fall into it.
	beside := float64(math.Nextafter32(1.5, 2))
	a, b := countFloats(r, 1.5), countFloats(r, beside)
	if slices.Equal(a.FineBins(r.Layout, 0), b.FineBins(r.Layout, 0)) {
		t.Error("1.5 and its neighbour share a bin")
	}
}

// The hour of the day has 24 values: hours with flights are atoms, and the bins never exceed what a table entry holds.
func TestManyAtoms(t *testing.T) {
	var values []float64
	for h := range 63 {
		for range 100 {
			values = append(values, float64(h))
		}
	}
	r := learnOne(t, fairlead.FP32, values...)
	c := &r.Layout.Columns[0]
	if len(c.atoms) != 125 { // 63 values, 62 gaps between them
		t.Fatalf("%d fine bins, want 125", len(c.atoms))
	}
	for _, rows := range r.Total.AlertBins(r.Layout, 0)[:10] {
		if rows < 500 || rows > 800 {
			t.Errorf("an alert bin holds %d of 6300 rows", rows)
		}
	}
	for h := range 63 {
		got := countFloats(r, float64(h)).FineBins(r.Layout, 0)
		if got[1+2*h] != 1 {
			t.Fatalf("hour %d fell into %v", h, got)
		}
		gap := countFloats(r, float64(h)+.5).FineBins(r.Layout, 0)
		if gap[2+2*h] != 1 {
			t.Fatalf("hour %d.5 fell into %v", h, gap)
		}
	}
}

// Whatever the reference, every bin layout is well formed and counts the reference itself without loss.
func TestAnyReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	types := []fairlead.DataType{fairlead.FP32, fairlead.FP64, fairlead.FP16, fairlead.Int64, fairlead.Uint8, fairlead.Bool}
	for i := range 200 {
		n := 1 + rng.IntN(700)
		grain := math.Pow(10, float64(rng.IntN(5)-2))
		values := make([]float64, n)
		for j := range values {
			values[j] = rng.NormFloat64() * math.Pow(10, float64(rng.IntN(6)))
			if rng.IntN(2) == 0 {
				values[j] = math.Round(values[j]/grain) * grain
			}
			if rng.IntN(10) == 0 {
				values[j] = []float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 1}[rng.IntN(6)]
			}
		}
		dt := types[i%len(types)]
		r := learnOne(t, dt, values...)
		c := &r.Layout.Columns[0]
		if c.Kind == Numeric {
			if !slices.IsSorted(c.edges) || len(slices.Compact(slices.Clone(c.edges))) != len(c.edges) ||
				len(c.atoms) != len(c.edges)-1 || c.alert[0] != 0 || c.alert[len(c.alert)-1] != len(c.atoms) {
				t.Fatalf("edges %v alert %v", c.edges, c.alert)
			}
		}
		if got := r.Total.Columns[0].rows(); got != uint64(n) || r.Total.N != uint64(n) {
			t.Fatalf("%d of %d rows counted", got, n)
		}
		infinite := 0
		for _, v := range values {
			if math.IsInf(round(v, dt), 0) {
				infinite++
			}
		}
		if u := r.Total.Unseen(r.Layout, 0); math.Abs(u-float64(infinite)/float64(n)) > 1e-12 {
			t.Fatalf("%s: %g of the reference unseen in itself, %d infinities in %d", dt, u, infinite, n)
		}
		if got := sum(r.Total.AlertBins(r.Layout, 0)); got != uint64(n) {
			t.Fatalf("alert bins hold %d of %d rows", got, n)
		}
		if len(r.Layout.Bins(0)) != len(r.Total.BinCounts(r.Layout, 0)) {
			t.Fatal("bins and their counts differ in number")
		}
	}
}

func TestFewValues(t *testing.T) {
	r := learnOne(t, fairlead.Int64, 0, 1, 0, 1, 1, 0)
	if c := r.Layout.Columns[0]; c.Kind != Categorical {
		t.Fatalf("a label of two values is %s", c.Kind)
	}
	live := countOne(r, fairlead.Tensor{Type: fairlead.Int64, Data: []int64{1, 1, 1, 2, -1, 0}})
	if got := live.Columns[0].Slots; !slices.Equal(got, []uint64{1, 3, 0, 2}) {
		t.Errorf("counted %v, want one 0, three 1, none other, two unseen", got)
	}
	if u := live.Unseen(r.Layout, 0); math.Abs(u-2.0/6) > 1e-12 {
		t.Errorf("unseen %g", u)
	}
	if m, ok := live.Mean(0); !ok || math.Abs(m-4.0/6) > 1e-7 {
		t.Errorf("mean %g %v", m, ok)
	}
	if live.FineBins(r.Layout, 0) != nil {
		t.Error("categories have no order")
	}
	// 20 distinct values are categories, 21 are not. 0.1 in a float32 tensor is not 0.1 in the reference's float64.
	var values []float64
	for i := range 21 {
		values = append(values, float64(i)/10, float64(i)/10)
	}
	if k := learnOne(t, fairlead.FP32, values...).Layout.Columns[0].Kind; k != Numeric {
		t.Errorf("21 values are %s", k)
	}
	few := learnOne(t, fairlead.FP32, values[:40]...)
	if k := few.Layout.Columns[0].Kind; k != Categorical {
		t.Errorf("20 values are %s", k)
	}
	same := countOne(few, fairlead.Tensor{Type: fairlead.FP32, Data: []float32{0, 0.1, 0.7, 1.9}})
	if u := same.Unseen(few.Layout, 0); u != 0 {
		t.Errorf("%g of known values unseen", u)
	}
	// Neighbouring floats are different categories.
	next := float64(math.Nextafter32(1, 2))
	pair := learnOne(t, fairlead.FP32, 1, next, 1)
	if got := countFloats(pair, 1, next, 2).Columns[0].Slots; !slices.Equal(got, []uint64{1, 1, 0, 1}) {
		t.Errorf("neighbours counted %v", got)
	}
}

func TestConstantAndEmptyColumns(t *testing.T) {
	constant := learnOne(t, fairlead.FP32, 3, 3, 3)
	if u := countFloats(constant, 3, 3.5).Unseen(constant.Layout, 0); u != .5 {
		t.Errorf("a constant column: unseen %g, want .5", u)
	}
	nan := math.NaN()
	empty := learnOne(t, fairlead.FP32, nan, nan)
	if m := empty.Total.Missing(empty.Layout, 0); m != 1 {
		t.Errorf("missing %g, want 1", m)
	}
	if u := countFloats(empty, 1).Unseen(empty.Layout, 0); u != 1 {
		t.Errorf("a value in an empty column: unseen %g, want 1", u)
	}
}

func TestVocabulary(t *testing.T) {
	names := func(n int) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = fmt.Sprintf("value-%06d", i)
		}
		return append(out, "often", "often", "often")
	}
	for _, c := range []struct {
		distinct int
		form     string
		unseen   uint64 // of 1,000 new values
	}{
		{50, "exact", 1000},
		{5_000, "exact", 1000},
		{30_000, "hashed", 1000},
		{hashedKeys + 200, "open", 0},
	} {
		r := learnText1(t, names(c.distinct)...)
		col := &r.Layout.Columns[0]
		form := "exact"
		if col.vocab.open {
			form = "open"
		} else if col.vocab.hashes != nil {
			form = "hashed"
		}
		if form != c.form || col.keys[0] != "often" || len(col.keys) != min(c.distinct+1, ownCategories) {
			t.Errorf("%d values: %s with %d categories, the first %q", c.distinct, form, len(col.keys), col.keys[0])
		}
		if u := r.Total.Unseen(r.Layout, 0); u != 0 {
			t.Errorf("%d values: %g of the reference unseen in itself", c.distinct, u)
		}
		var fresh []string
		for i := range 1000 {
			fresh = append(fresh, fmt.Sprintf("new-%d", i))
		}
		live := countOne(r, fairlead.Tensor{Type: fairlead.Bytes, Data: fresh})
		if got := live.Columns[0].Slots[len(live.Columns[0].Slots)-1]; got+2 < c.unseen || got > c.unseen {
			t.Errorf("%d values, %s: %d of 1,000 new values unseen, want %d", c.distinct, form, got, c.unseen)
		}
		b, err := r.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseReference(b)
		if err != nil {
			t.Fatal(err)
		}
		sameBytes(t, form, countOne(back, fairlead.Tensor{Type: fairlead.Bytes, Data: fresh}), live)
	}
}

func TestLongKeys(t *testing.T) {
	long := strings.Repeat("ä", 100) // 200 bytes
	r := learnText1(t, long+"1", long+"1", long+"2", "short")
	if n := len(r.Layout.Columns[0].keys); n != 3 {
		t.Fatalf("%d categories, want 3: long values that differ at the end are different", n)
	}
	got := countOne(r, fairlead.Tensor{Type: fairlead.Bytes, Data: []string{long + "1", long + "3"}})
	if got.Columns[0].Slots[0] != 1 || got.Unseen(r.Layout, 0) != .5 {
		t.Errorf("counted %v", got.Columns[0].Slots)
	}
	for _, k := range r.Layout.Columns[0].keys {
		if len(k) > keyBytes+17 {
			t.Errorf("a key of %d bytes", len(k))
		}
	}
}
